/* SPDX-License-Identifier: MIT
 *
 * Helpers of the model tests. The checkpoint writer follows the format in
 * src/lib/formats/checkpoint_index.c.
 */
#include "model_fixture.h"

#include "lib/formats/crc32c.h"
#include "lib/model/folder_network.h"
#include "lib/model/manifest.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>

const unsigned tiny_filters[SPL_UNET_DEPTH] = {1, 1, 1, 1, 1, 1};

/* ------------------------------------------------------------- files ---- */

void bytes_add(test_bytes *bytes, const void *data, size_t size) {
    bytes->data = realloc(bytes->data, bytes->size + size + 1);
    assert_non_null(bytes->data);
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void bytes_free(test_bytes *bytes) {
    free(bytes->data);
    bytes->data = NULL;
    bytes->size = 0;
}

int make_folder(void **state) {
    char *path = strdup("/tmp/spleeter-model-test.XXXXXX");
    *state = mkdtemp(path);
    return *state ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

int remove_folder(void **state) {
    int status = nftw(*state, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return status;
}

const char *in_folder(const char *folder, const char *name) {
    static char paths[64][512];
    static unsigned next;
    char *path = paths[next++ % SPL_ARRAY_SIZE(paths)];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

void write_file(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void write_text(const char *path, const char *text) {
    write_file(path, text, strlen(text));
}

test_bytes read_file(const char *path) {
    test_bytes all = {0};
    char part[4096];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (size_t size; (size = fread(part, 1, sizeof(part), file)) > 0;)
        bytes_add(&all, part, size);
    fclose(file);
    return all;
}

bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

unsigned count_entries(const char *folder) {
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    unsigned count = 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2; /* "." and ".." */
}

/* ---------------------------------------------------------- networks ---- */

void make_net(test_net *net, const unsigned filters[SPL_UNET_DEPTH], unsigned seed) {
    memset(net, 0, sizeof(*net));
    memcpy(net->weights.filters, filters, sizeof(net->weights.filters));
    net->weights.conv_activation = SPL_ACTIVATION_ELU;
    net->weights.deconv_activation = SPL_ACTIVATION_LEAKY_RELU;
    spl_network_list_tensors(&net->weights, net->tensors);
    size_t total = 0, bytes = 0;
    for (size_t i = 0; i < SPL_NETWORK_TENSORS; i++) {
        assert_true(spl_tensor_bytes(net->tensors[i].rank, net->tensors[i].shape, &bytes));
        total += bytes / sizeof(float);
    }
    float *next = net->numbers = calloc(total, sizeof(float));
    assert_non_null(next);
    for (size_t i = 0; i < total; i++)
        next[i] = (float)(seed * total + i + 1) / 65536;
    for (size_t i = 0; i < SPL_NETWORK_TENSORS; i++) {
        assert_true(spl_tensor_bytes(net->tensors[i].rank, net->tensors[i].shape, &bytes));
        *net->tensors[i].data = next;
        next += bytes / sizeof(float);
    }
}

void free_net(test_net *net) {
    free(net->numbers);
}

void make_model(const char *folder, unsigned stem_count, unsigned shared) {
    static const char *const names[] = {"vocals", "drums", "bass", "other"};
    assert_int_equal(mkdir(folder, 0777), 0);
    spl_model_info info = {
        .name = "tiny",
        .frames = 64,
        .bins = 128,
        .mask_extension = SPL_MASK_EXTENSION_AVERAGE,
        .separation_exponent = 1.5,
        .licence = "MIT",
        .source = "a test",
        .stem_count = stem_count,
    };
    char nets[SPL_STEMS_MAX][40], sha256[SPL_STEMS_MAX][65];
    for (unsigned i = 0; i < stem_count; i++) {
        unsigned own = SPL_MIN(i, shared);
        test_net net;
        make_net(&net, tiny_filters, own);
        snprintf(nets[i], sizeof(nets[i]), "%s.safetensors", names[own]);
        assert_int_equal(spl_folder_network_write(folder, nets[i], &net.weights, sha256[i], NULL),
                         0);
        free_net(&net);
        info.stems[i] = (spl_stem_info){.name = names[i], .network = nets[i], .sha256 = sha256[i]};
    }
    assert_int_equal(spl_manifest_write(in_folder(folder, "manifest.json"), &info, NULL), 0);
}

/* ------------------------------------------------------- checkpoints ---- */

static void add_varint(test_bytes *to, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        bytes_add(to, &(uint8_t){(uint8_t)(value | 0x80)}, 1);
    bytes_add(to, &(uint8_t){(uint8_t)value}, 1);
}

static void add_u32(test_bytes *to, uint32_t value) {
    bytes_add(to, &value, sizeof(value));
}

static void add_number_field(test_bytes *to, unsigned number, uint64_t value) {
    add_varint(to, number << 3);
    add_varint(to, value);
}

static void add_bytes_field(test_bytes *to, unsigned number, test_bytes *value) {
    add_varint(to, number << 3 | 2);
    add_varint(to, value->size);
    bytes_add(to, value->data, value->size);
    bytes_free(value);
}

static uint32_t masked_crc(const void *data, size_t size) {
    spl_crc32c_tables tables;
    spl_crc32c_init(&tables);
    uint32_t crc = spl_crc32c(&tables, data, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

typedef struct table_block {
    test_bytes entries, restarts;
    unsigned count;
    char last_key[256];
} table_block;

static void add_entry(table_block *block, const char *key, test_bytes *value) {
    enum { RESTART_INTERVAL = 16 };
    size_t shared = 0;
    if (block->count++ % RESTART_INTERVAL == 0)
        add_u32(&block->restarts, (uint32_t)block->entries.size);
    else
        while (key[shared] && key[shared] == block->last_key[shared])
            shared++;
    add_varint(&block->entries, shared);
    add_varint(&block->entries, strlen(key) - shared);
    add_varint(&block->entries, value->size);
    bytes_add(&block->entries, key + shared, strlen(key) - shared);
    bytes_add(&block->entries, value->data, value->size);
    bytes_free(value);
    snprintf(block->last_key, sizeof(block->last_key), "%s", key);
}

/* Writes the block to `file`, and its handle to `handle`. */
static void end_block(table_block *block, uint8_t compression, test_bytes *file,
                      test_bytes *handle) {
    uint32_t restart_count = (uint32_t)(block->restarts.size / sizeof(uint32_t));
    size_t offset = file->size;
    if (block->entries.size)
        bytes_add(file, block->entries.data, block->entries.size);
    if (block->restarts.size)
        bytes_add(file, block->restarts.data, block->restarts.size);
    add_u32(file, restart_count);
    add_varint(handle, offset);
    add_varint(handle, file->size - offset);
    bytes_add(file, &compression, 1);
    add_u32(file, masked_crc(file->data + offset, file->size - offset));
    bytes_free(&block->entries);
    bytes_free(&block->restarts);
    memset(block, 0, sizeof(*block));
}

static test_bytes make_header(const bundle_options *options, unsigned shards) {
    test_bytes header = {0}, version = {0};
    add_number_field(&header, 1, shards);
    if (options->big_endian)
        add_number_field(&header, 2, 1);
    add_number_field(&version, 1, 1);
    if (options->min_consumer)
        add_number_field(&version, 2, options->min_consumer);
    add_bytes_field(&header, 3, &version);
    return header;
}

static test_bytes make_description(const bundle_tensor *tensor, unsigned shard, size_t offset,
                                   bool wrong_crc) {
    test_bytes entry = {0}, shape = {0};
    add_number_field(&entry, 1, tensor->dtype);
    for (unsigned i = 0; i < tensor->rank; i++) {
        test_bytes dim = {0};
        add_number_field(&dim, 1, tensor->shape[i]);
        add_bytes_field(&shape, 2, &dim);
    }
    if (shape.size)
        add_bytes_field(&entry, 2, &shape);
    if (shard)
        add_number_field(&entry, 3, shard);
    if (offset)
        add_number_field(&entry, 4, offset);
    add_number_field(&entry, 5, tensor->size_bytes);
    add_varint(&entry, 6 << 3 | 5);
    add_u32(&entry, masked_crc(tensor->data, tensor->size_bytes) ^ wrong_crc);
    if (tensor->sliced) {
        test_bytes slice = {0};
        add_number_field(&slice, 1, 0);
        add_bytes_field(&entry, 7, &slice);
    }
    return entry;
}

void write_bundle(const char *prefix, const bundle_tensor *tensors, size_t count,
                  const bundle_options *options) {
    enum { SHARDS_MAX = 8 };
    unsigned shards = options->shards ? options->shards : 1;
    size_t per_block = options->tensors_per_block ? options->tensors_per_block : count + 1;
    test_bytes data[SHARDS_MAX] = {0}, file = {0}, handle = {0};
    table_block block = {0}, index = {0}, metaindex = {0};
    test_bytes header = make_header(options, shards);
    add_entry(&block, "", &header);
    for (size_t k = 0; k < count; k++) {
        size_t i = options->unsorted ? count - 1 - k : k;
        unsigned shard = (unsigned)(i % shards);
        bool wrong_crc = options->wrong_crc && strcmp(options->wrong_crc, tensors[i].name) == 0;
        test_bytes entry = make_description(&tensors[i], shard,
                                            options->shares_data ? 0 : data[shard].size, wrong_crc);
        bytes_add(&data[shard], tensors[i].data, tensors[i].size_bytes);
        add_entry(&block, tensors[i].name, &entry);
        if (block.count >= per_block || k == count - 1) {
            end_block(&block, options->compression, &file, &handle);
            add_entry(&index, tensors[i].name, &handle);
        }
    }
    if (options->repeats_block) {
        test_bytes again = {0};
        end_block(&block, 0, &file, &handle);
        bytes_add(&again, handle.data, handle.size);
        add_entry(&index, "~1", &handle);
        add_entry(&index, "~2", &again);
    }
    test_bytes footer = {0};
    end_block(&metaindex, 0, &file, &footer);
    end_block(&index, 0, &file, &footer);
    while (footer.size < 40)
        bytes_add(&footer, "", 1);
    bytes_add(&footer, &(uint64_t){0xdb4775248b80fb57u}, 8);
    bytes_add(&file, footer.data, footer.size);

    char path[512];
    snprintf(path, sizeof(path), "%s.index", prefix);
    write_file(path, file.data, file.size);
    for (unsigned s = 0; s < shards; s++) {
        snprintf(path, sizeof(path), "%s.data-%05u-of-%05u", prefix, s, shards);
        write_file(path, data[s].data ? data[s].data : (const uint8_t *)"", data[s].size);
        bytes_free(&data[s]);
    }
    bytes_free(&footer);
    bytes_free(&file);
}

static int compare_tensors(const void *a, const void *b) {
    return strcmp(((const bundle_tensor *)a)->name, ((const bundle_tensor *)b)->name);
}

static void name_variable(char name[80], const char *kind, unsigned number, const char *part) {
    char suffix[16] = "";
    if (number > 0)
        snprintf(suffix, sizeof(suffix), "_%u", number);
    snprintf(name, 80, "%s%s/%s", kind, suffix, part);
}

bundle_tensor *make_spleeter_tensors(const test_net *nets, unsigned count, size_t *ret_count) {
    static const uint64_t step = 1000;
    bundle_tensor *tensors = calloc(count * SPL_NETWORK_TENSORS + 2, sizeof(*tensors));
    assert_non_null(tensors);
    bundle_tensor *next = tensors;
    for (unsigned n = 0; n < count; n++) {
        for (unsigned i = 0; i < SPL_NETWORK_TENSORS; i++, next++) {
            const spl_network_tensor *ours = &nets[n].tensors[i];
            char part[32];
            unsigned layer = 0;
            next->dtype = 1;
            next->rank = ours->rank;
            memcpy(next->shape, ours->shape, sizeof(ours->shape));
            next->data = *ours->data;
            spl_tensor_bytes(ours->rank, ours->shape, &next->size_bytes);
            if (sscanf(ours->name, "encoder.%u.norm.%31s", &layer, part) == 2)
                name_variable(next->name, "batch_normalization", 12 * n + layer - 1, part);
            else if (sscanf(ours->name, "decoder.%u.norm.%31s", &layer, part) == 2)
                name_variable(next->name, "batch_normalization", 12 * n + layer + 5, part);
            else if (sscanf(ours->name, "encoder.%u.%31s", &layer, part) == 2)
                name_variable(next->name, "conv2d", 7 * n + layer - 1, part);
            else if (sscanf(ours->name, "decoder.%u.%31s", &layer, part) == 2)
                name_variable(next->name, "conv2d_transpose", 6 * n + layer - 1, part);
            else
                name_variable(next->name, "conv2d", 7 * n + 6, strchr(ours->name, '.') + 1);
        }
    }
    *next++ = (bundle_tensor){
        .name = "global_step", .dtype = 9, .data = &step, .size_bytes = sizeof(step)};
    *next++ =
        (bundle_tensor){.name = "conv2d/kernel/Adam", .dtype = 1, .data = &step, .size_bytes = 4};
    *ret_count = (size_t)(next - tensors);
    qsort(tensors, *ret_count, sizeof(*tensors), compare_tensors);
    return tensors;
}
