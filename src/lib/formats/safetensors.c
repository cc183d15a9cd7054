/* SPDX-License-Identifier: MIT
 *
 * Reads and writes safetensors files.
 *
 * The reader validates everything: the header's length is limited, its JSON may not repeat a key,
 * each tensor's byte range must match its shape, and the sorted ranges must cover the data exactly.
 * Half precision is expanded when a tensor is requested; single precision is used in place.
 */
#include "lib/formats/safetensors.h"

#include "base/file.h"
#include "lib/formats/json.h"

#include <string.h>

#define HEADER_MAX_BYTES ((size_t)1 << 20)
#define LENGTH_BYTES     sizeof(uint64_t)
#define DATA_ALIGNMENT   64

typedef struct file_tensor {
    const char *name;
    const uint8_t *begin, *end; /* in the file */
    spl_tensor tensor;
    bool half;
    float *expanded; /* expanded from half precision; owned */
} file_tensor;

struct spl_safetensors {
    const char *path;
    json_t *header; /* owns the names */
    size_t count;
    file_tensor tensors[];
};

static bool get_index(const json_t *array, size_t index, size_t *ret_value) {
    const json_t *value = json_array_get(array, index);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret_value = (size_t)json_integer_value(value);
    return true;
}

static int parse_shape(const spl_safetensors *file, const json_t *entry, file_tensor *named,
                       spl_error *ret_error) {
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape) || json_array_size(shape) > SPL_TENSOR_RANK_MAX)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "%s: tensor %s needs a shape of at most %d numbers", file->path,
                        named->name, SPL_TENSOR_RANK_MAX);
    spl_tensor *tensor = &named->tensor;
    tensor->rank = (unsigned)json_array_size(shape);
    for (unsigned i = 0; i < tensor->rank; i++) {
        if (!get_index(shape, i, &tensor->shape[i]) || tensor->shape[i] == 0)
            return spl_fail(ret_error, SPL_E_FORMAT,
                            "%s: tensor %s has a shape that is not of positive integers",
                            file->path, named->name);
    }
    return 0;
}

static int parse_tensor(const spl_safetensors *file, const json_t *entry, const uint8_t *data,
                        size_t data_bytes, file_tensor *named, spl_error *ret_error) {
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s: tensor %s has no dtype", file->path,
                        named->name);
    named->half = strcmp(dtype, "F16") == 0;
    if (!named->half && strcmp(dtype, "F32") != 0)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "%s: tensor %s has the dtype %s; only F32 and F16 are supported",
                        file->path, named->name, dtype);

    int status = parse_shape(file, entry, named, ret_error);
    if (status < 0)
        return status;
    const json_t *offsets = json_object_get(entry, "data_offsets");
    size_t begin, end, bytes;
    if (json_array_size(offsets) != 2 || !get_index(offsets, 0, &begin) ||
        !get_index(offsets, 1, &end) || begin > end || end > data_bytes)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "%s: tensor %s does not lie within the file's %zu bytes of data",
                        file->path, named->name, data_bytes);
    if (!spl_tensor_bytes(named->tensor.rank, named->tensor.shape, &bytes) ||
        bytes / (named->half ? 2 : 1) != end - begin)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "%s: tensor %s has %zu bytes, not as many as its shape says", file->path,
                        named->name, end - begin);
    named->begin = data + begin;
    named->end = data + end;
    if (!named->half && (uintptr_t)named->begin % _Alignof(float) != 0)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "%s: tensor %s does not start at a multiple of 4 bytes", file->path,
                        named->name);
    return 0;
}

/* Converts half precision by its bits. The biases of the exponents differ by 112, and exponent 31
 * stays "not finite". */
static void expand_halves(const uint8_t *halves, size_t count, float *ret_floats) {
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, halves + i * sizeof(half), sizeof(half));
        uint32_t bits = (half & 0x7fffu) << 13;
        float value;
        memcpy(&value, &bits, sizeof(value));
        value *= 0x1p112f;
        memcpy(&bits, &value, sizeof(bits));
        bits |= (half & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0;
        bits |= (half & 0x8000u) << 16;
        memcpy(&ret_floats[i], &bits, sizeof(bits));
    }
}

/* Points tensor.data to the data, expanded if it is in half precision. Only tensors that a network
 * has are expanded, so a file with others takes no memory for them. */
static int set_data(file_tensor *named, spl_error *ret_error) {
    if (!named->half)
        named->tensor.data = (const float *)(const void *)named->begin;
    if (named->tensor.data)
        return 0;
    const size_t count = (size_t)(named->end - named->begin) / sizeof(uint16_t);
    named->expanded = calloc(count, sizeof(float));
    if (!named->expanded)
        return spl_fail_memory(ret_error);
    expand_halves(named->begin, count, named->expanded);
    named->tensor.data = named->expanded;
    return 0;
}

static int compare_positions(const void *a, const void *b) {
    const uint8_t *x = ((const file_tensor *)a)->begin, *y = ((const file_tensor *)b)->begin;
    return (x > y) - (x < y);
}

static int check_metadata(const spl_safetensors *file, const json_t *metadata,
                          spl_error *ret_error) {
    if (!json_is_object(metadata))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s: __metadata__ is not an object", file->path);
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value) {
        if (!json_is_string(value))
            return spl_fail(ret_error, SPL_E_FORMAT, "%s: __metadata__ \"%s\" is not a string",
                            file->path, key);
    }
    return 0;
}

static int parse_entries(spl_safetensors *file, const uint8_t *data, size_t data_bytes,
                         spl_error *ret_error) {
    const char *name;
    json_t *entry;
    json_object_foreach(file->header, name, entry) {
        int status;
        if (strcmp(name, "__metadata__") == 0) {
            status = check_metadata(file, entry, ret_error);
        } else {
            file_tensor *named = &file->tensors[file->count++];
            named->name = name;
            status = parse_tensor(file, entry, data, data_bytes, named, ret_error);
        }
        if (status < 0)
            return status;
    }

    qsort(file->tensors, file->count, sizeof(file->tensors[0]), compare_positions);
    const uint8_t *position = data;
    for (size_t i = 0; i < file->count; i++) {
        if (file->tensors[i].begin != position)
            return spl_fail(ret_error, SPL_E_FORMAT,
                            "%s: there is a gap or an overlap before tensor %s", file->path,
                            file->tensors[i].name);
        position = file->tensors[i].end;
    }
    if (position != data + data_bytes)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s has %zu bytes after its last tensor",
                        file->path, (size_t)(data + data_bytes - position));
    return 0;
}

int spl_safetensors_parse(const void *bytes, size_t size, const char *path,
                          spl_safetensors **ret_file, spl_error *ret_error) {
    uint64_t header_bytes;
    if (size < LENGTH_BYTES)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s is too short for a safetensors file", path);
    memcpy(&header_bytes, bytes, LENGTH_BYTES);
    if (header_bytes > size - LENGTH_BYTES || header_bytes > HEADER_MAX_BYTES)
        return spl_fail(
            ret_error, SPL_E_FORMAT,
            "%s is cut off, or not a safetensors file: header of %llu bytes in a file of %zu", path,
            (unsigned long long)header_bytes, size);

    const char *text = (const char *)bytes + LENGTH_BYTES;
    json_t *header;
    int status = spl_json_parse(text, header_bytes, path, &header, ret_error);
    if (status < 0)
        return status;
    spl_safetensors *file =
        calloc(1, sizeof(*file) + json_object_size(header) * sizeof(file->tensors[0]));
    if (!file) {
        json_decref(header);
        return spl_fail_memory(ret_error);
    }
    file->path = path;
    file->header = header;
    status = parse_entries(file, (const uint8_t *)text + header_bytes,
                           size - LENGTH_BYTES - header_bytes, ret_error);
    if (status < 0) {
        spl_safetensors_free(file);
        return status;
    }
    *ret_file = file;
    return 0;
}

void spl_safetensors_free(spl_safetensors *file) {
    if (!file)
        return;
    for (size_t i = 0; i < file->count; i++)
        free(file->tensors[i].expanded);
    json_decref(file->header);
    free(file);
}

static int get_tensor(const void *from, const char *name, spl_tensor *ret_tensor,
                      spl_error *ret_error) {
    spl_safetensors *file = (spl_safetensors *)(uintptr_t)from;
    for (size_t i = 0; i < file->count; i++) {
        file_tensor *named = &file->tensors[i];
        if (strcmp(named->name, name) == 0) {
            const int status = set_data(named, ret_error);
            if (status == 0)
                *ret_tensor = named->tensor;
            return status;
        }
    }
    return spl_fail(ret_error, SPL_E_FORMAT, "%s has no tensor %s", file->path, name);
}

spl_tensor_source spl_safetensors_source(spl_safetensors *file) {
    return (spl_tensor_source){.from = file, .path = file->path, .get = get_tensor};
}

const char *spl_safetensors_metadata(const spl_safetensors *file, const char *key) {
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

/* Returns the JSON header of a file with these tensors; NULL when out of memory. */
static char *make_header(json_t *metadata, const spl_named_tensor *tensors, size_t count) {
    SPL_CLEANUP(spl_json_free_p) json_t *header = json_object();
    if (json_object_set(header, "__metadata__", metadata) < 0)
        return NULL;
    json_int_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        const spl_tensor *tensor = &tensors[i].tensor;
        json_t *shape = json_array();
        for (unsigned d = 0; d < tensor->rank; d++) {
            if (json_array_append_new(shape, json_integer((json_int_t)tensor->shape[d])) < 0) {
                json_decref(shape);
                return NULL;
            }
        }
        size_t bytes = 0;
        spl_tensor_bytes(tensor->rank, tensor->shape, &bytes);
        json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape,
                                  "data_offsets", offset, offset + (json_int_t)bytes);
        if (json_object_set_new(header, tensors[i].name, entry) < 0)
            return NULL;
        offset += (json_int_t)bytes;
    }
    return json_dumps(header, JSON_COMPACT);
}

int spl_safetensors_write(int fd, const char *path, json_t *metadata,
                          const spl_named_tensor *tensors, size_t count, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *header = make_header(metadata, tensors, count);
    if (!header)
        return spl_fail_memory(ret_error);
    size_t header_bytes = strlen(header);
    size_t data_start = spl_round_up(LENGTH_BYTES + header_bytes, DATA_ALIGNMENT);
    SPL_CLEANUP(spl_free_p) char *head = malloc(data_start);
    if (!head)
        return spl_fail_memory(ret_error);
    uint64_t padded_bytes = data_start - LENGTH_BYTES;
    memset(head, ' ', data_start);
    memcpy(head, &padded_bytes, LENGTH_BYTES);
    memcpy(head + LENGTH_BYTES, header, header_bytes);

    int status = spl_write_all(fd, head, data_start, path, ret_error);
    for (size_t i = 0; i < count && status == 0; i++) {
        const spl_tensor *tensor = &tensors[i].tensor;
        size_t bytes = 0;
        spl_tensor_bytes(tensor->rank, tensor->shape, &bytes);
        status = spl_write_all(fd, tensor->data, bytes, path, ret_error);
    }
    return status;
}
