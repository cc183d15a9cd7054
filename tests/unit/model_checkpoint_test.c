/* SPDX-License-Identifier: MIT
 *
 * TensorFlow checkpoints: multiple blocks, shards and shared key prefixes are read correctly.
 * Damaged and unsupported files are refused with an error that names the problem.
 */
#include "model_fixture.h"

#include "lib/formats/checkpoint.h"
#include "lib/model/spleeter_networks.h"

#include <sys/stat.h>

static void crc32c_matches_known_values(void **state) {
    (void)state;
    spl_crc32c_tables tables;
    spl_crc32c_init(&tables);
    uint8_t bytes32[32] = {0};
    assert_int_equal(spl_crc32c(&tables, "", 0), 0);
    assert_int_equal(spl_crc32c(&tables, "123456789", 9), 0xe3069283u);
    /* RFC 3720, appendix B.4 */
    assert_int_equal(spl_crc32c(&tables, bytes32, 32), 0x8a9136aau);
    memset(bytes32, 0xff, 32);
    assert_int_equal(spl_crc32c(&tables, bytes32, 32), 0x62a8ab43u);
    for (uint8_t i = 0; i < 32; i++)
        bytes32[i] = i;
    assert_int_equal(spl_crc32c(&tables, bytes32, 32), 0x46dd794eu);
}

static void assert_reads_net(const char *folder, const test_net *nets, unsigned count) {
    spl_checkpoint *checkpoint;
    spl_error error = {0};
    if (spl_checkpoint_open(folder, &checkpoint, &error) < 0)
        fail_msg("%s", error.message);
    unsigned found;
    assert_int_equal(spl_spleeter_networks_count(checkpoint, &found, NULL), 0);
    assert_int_equal(found, count);
    for (unsigned n = 0; n < count; n++) {
        spl_spleeter_network net = {.checkpoint = checkpoint, .number = n};
        spl_network_weights weights;
        uint64_t parameters;
        assert_int_equal(spl_network_read(spl_spleeter_network_source(&net), SPL_ACTIVATION_RELU,
                                          SPL_ACTIVATION_ELU, &weights, &parameters, &error),
                         0);
        spl_network_tensor tensors[SPL_NETWORK_TENSORS];
        spl_network_list_tensors(&weights, tensors);
        for (size_t i = 0; i < SPL_NETWORK_TENSORS; i++) {
            size_t size = 0;
            spl_tensor_bytes(tensors[i].rank, tensors[i].shape, &size);
            assert_memory_equal(*tensors[i].data, *nets[n].tensors[i].data, size);
        }
        assert_int_equal(weights.conv_activation, SPL_ACTIVATION_RELU);
        assert_int_equal(weights.deconv_activation, SPL_ACTIVATION_ELU);
    }
    spl_checkpoint_close(checkpoint);
}

static void reads_nets_from_any_layout(void **state) {
    const unsigned filters[SPL_UNET_DEPTH] = {2, 1, 3, 2, 4, 1};
    test_net nets[3];
    for (unsigned n = 0; n < 3; n++)
        make_net(&nets[n], filters, n);
    size_t count;
    bundle_tensor *tensors = make_spleeter_tensors(nets, 3, &count);
    const bundle_options layouts[] = {
        {0},
        {.shards = 3},
        {.tensors_per_block = 1},
        {.tensors_per_block = 40, .shards = 8},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(layouts); i++) {
        char name[16];
        snprintf(name, sizeof(name), "layout%zu", i);
        const char *folder = in_folder(*state, name);
        assert_int_equal(mkdir(folder, 0777), 0);
        write_bundle(in_folder(folder, "model.ckpt-17"), tensors, count, &layouts[i]);
        assert_reads_net(folder, nets, 3);
    }
    free(tensors);
    for (unsigned n = 0; n < 3; n++)
        free_net(&nets[n]);
}

static const float numbers[4] = {1, 2, 3, 4};

#define FLOATS(tensor_name)                                                                        \
    { .name = tensor_name, .dtype = 1, .rank = 1, .shape = {4}, .data = numbers, .size_bytes = 16 }

static int open_one(const char *folder, const bundle_tensor *tensor, const bundle_options *options,
                    spl_error *error) {
    write_bundle(in_folder(folder, "m"), tensor, 1, options);
    spl_checkpoint *checkpoint;
    int status = spl_checkpoint_open(folder, &checkpoint, error);
    if (status < 0)
        return status;
    spl_tensor got;
    status = spl_checkpoint_get(checkpoint, tensor->name, &got, error);
    spl_checkpoint_close(checkpoint);
    return status;
}

static void refuses_what_is_not_supported(void **state) {
    const bundle_tensor good = FLOATS("a");
    const bundle_options plain = {0};
    spl_error error;
    assert_int_equal(open_one(*state, &good, &plain, &error), 0);

    assert_fails(open_one(*state, &good, &(bundle_options){.compression = 1}, &error), error,
                 SPL_E_UNSUPPORTED, "compressed");
    assert_fails(open_one(*state, &good, &(bundle_options){.big_endian = 1}, &error), error,
                 SPL_E_UNSUPPORTED, "big-endian");
    assert_fails(open_one(*state, &good, &(bundle_options){.min_consumer = 2}, &error), error,
                 SPL_E_UNSUPPORTED, "version 2");
    assert_fails(open_one(*state, &good, &(bundle_options){.wrong_crc = "a"}, &error), error,
                 SPL_E_CHECKSUM, "CRC-32C of a");

    bundle_tensor bad = good;
    bad.dtype = 14;
    assert_fails(open_one(*state, &bad, &plain, &error), error, SPL_E_UNSUPPORTED, "data type 14");
    bad = good;
    bad.sliced = true;
    assert_fails(open_one(*state, &bad, &plain, &error), error, SPL_E_UNSUPPORTED, "slices");
    bad = good;
    bad.shape[0] = 5;
    assert_fails(open_one(*state, &bad, &plain, &error), error, SPL_E_FORMAT, "shape says");
    bad = good;
    bad.rank = 5;
    bad.shape[1] = bad.shape[2] = bad.shape[3] = bad.shape[4] = 1;
    assert_fails(open_one(*state, &bad, &plain, &error), error, SPL_E_FORMAT, "shape says");
    bad = good;
    bad.shape[0] = 0;
    bad.size_bytes = 0;
    assert_fails(open_one(*state, &bad, &plain, &error), error, SPL_E_FORMAT, "shape says");
}

static void refuses_unsorted_names(void **state) {
    const bundle_tensor tensors[] = {FLOATS("a"), FLOATS("b")};
    write_bundle(in_folder(*state, "m"), tensors, 2, &(bundle_options){.unsorted = true});
    spl_checkpoint *checkpoint;
    spl_error error;
    assert_fails(spl_checkpoint_open(*state, &checkpoint, &error), error, SPL_E_FORMAT,
                 "not sorted");
}

/* Else an index of 4 MiB can name a large block or tensor tens of thousands of times. */
static void refuses_to_read_anything_twice(void **state) {
    const bundle_tensor tensors[] = {FLOATS("a"), FLOATS("b")};
    spl_checkpoint *checkpoint;
    spl_error error;
    write_bundle(in_folder(*state, "m"), tensors, 2, &(bundle_options){.repeats_block = true});
    assert_fails(spl_checkpoint_open(*state, &checkpoint, &error), error, SPL_E_FORMAT,
                 "blocks overlap");
    write_bundle(in_folder(*state, "m"), tensors, 2, &(bundle_options){.shares_data = true});
    assert_fails(spl_checkpoint_open(*state, &checkpoint, &error), error, SPL_E_FORMAT,
                 "tensors overlap");
}

static void refuses_offsets_that_are_not_aligned(void **state) {
    const bundle_tensor tensors[] = {
        {.name = "_", .dtype = 7, .data = "xyz", .size_bytes = 3},
        FLOATS("a"),
    };
    write_bundle(in_folder(*state, "m"), tensors, 2, &(bundle_options){0});
    spl_checkpoint *checkpoint;
    spl_tensor got;
    spl_error error;
    assert_int_equal(spl_checkpoint_open(*state, &checkpoint, NULL), 0);
    assert_fails(spl_checkpoint_get(checkpoint, "a", &got, &error), error, SPL_E_UNSUPPORTED,
                 "multiple of 4");
    assert_fails(spl_checkpoint_get(checkpoint, "b", &got, &error), error, SPL_E_FORMAT,
                 "no tensor b");
    spl_checkpoint_close(checkpoint);
}

static int parse(const uint8_t *data, size_t size) {
    /* A copy of exactly this size, so that AddressSanitizer detects reads past its end. */
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    spl_crc32c_tables tables;
    spl_crc32c_init(&tables);
    spl_checkpoint_index index;
    int status = spl_checkpoint_index_parse(&tables, copy, size, "x", &index, NULL);
    if (status == 0)
        spl_checkpoint_index_clear(&index);
    free(copy);
    return status;
}

static void refuses_every_cut_and_every_flipped_byte(void **state) {
    const bundle_tensor tensors[] = {FLOATS("a"), FLOATS("ab"), FLOATS("abc")};
    write_bundle(in_folder(*state, "m"), tensors, 3, &(bundle_options){.tensors_per_block = 2});
    test_bytes index = read_file(in_folder(*state, "m.index"));
    assert_int_equal(parse(index.data, index.size), 0);
    for (size_t size = 0; size < index.size; size++)
        assert_int_not_equal(parse(index.data, size), 0);
    for (size_t i = 0; i < index.size; i++) {
        index.data[i] ^= 0x41;
        int status = parse(index.data, index.size);
        /* The first block. Other bytes, such as the footer's padding, are not covered by a
         * checksum. */
        if (i < 20)
            assert_int_equal(status, SPL_E_CHECKSUM);
        index.data[i] ^= 0x41;
    }
    bytes_free(&index);
}

static void refuses_data_that_are_cut_off(void **state) {
    const bundle_tensor tensors[] = {FLOATS("a"), FLOATS("b")};
    write_bundle(in_folder(*state, "m"), tensors, 2, &(bundle_options){0});
    test_bytes data = read_file(in_folder(*state, "m.data-00000-of-00001"));
    spl_checkpoint *checkpoint;
    spl_tensor got;
    spl_error error;
    for (size_t size = 0; size < data.size; size++) {
        write_file(in_folder(*state, "m.data-00000-of-00001"), data.data, size);
        assert_int_equal(spl_checkpoint_open(*state, &checkpoint, NULL), 0);
        assert_fails(spl_checkpoint_get(checkpoint, "b", &got, &error), error, SPL_E_FORMAT,
                     "cut off");
        assert_int_equal(spl_checkpoint_get(checkpoint, "a", &got, &error),
                         size < 16 ? SPL_E_FORMAT : 0);
        spl_checkpoint_close(checkpoint);
    }
    remove(in_folder(*state, "m.data-00000-of-00001"));
    assert_fails(spl_checkpoint_open(*state, &checkpoint, &error), error, SPL_E_NOT_FOUND,
                 "m.data-00000-of-00001");
    bytes_free(&data);
}

static void finds_the_right_checkpoint(void **state) {
    const char *folder = *state;
    const bundle_tensor one = FLOATS("one"), two = FLOATS("two");
    spl_checkpoint *checkpoint;
    spl_error error;
    assert_fails(spl_checkpoint_open(folder, &checkpoint, &error), error, SPL_E_NOT_FOUND,
                 "no file *.index");
    assert_fails(spl_checkpoint_open(in_folder(folder, "absent"), &checkpoint, &error), error,
                 SPL_E_NOT_FOUND, "absent");

    write_bundle(in_folder(folder, "model.ckpt-1"), &one, 1, &(bundle_options){0});
    assert_int_equal(spl_checkpoint_open(folder, &checkpoint, NULL), 0);
    assert_string_equal(spl_checkpoint_prefix(checkpoint), in_folder(folder, "model.ckpt-1"));
    spl_checkpoint_close(checkpoint);

    write_bundle(in_folder(folder, "model.ckpt-2"), &two, 1, &(bundle_options){0});
    assert_fails(spl_checkpoint_open(folder, &checkpoint, &error), error, SPL_E_UNSUPPORTED,
                 "2 checkpoints");

    static const char *const texts[] = {
        "model_checkpoint_path: \"model.ckpt-2\"\nall_model_checkpoint_paths: \"model.ckpt-1\"\n",
        "all_model_checkpoint_paths: \"model.ckpt-1\"\nmodel_checkpoint_path: \"model.ckpt-2\"\n",
        "model_checkpoint_path: \"/home/me/training/model.ckpt-2\"\n",
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(texts); i++) {
        write_text(in_folder(folder, "checkpoint"), texts[i]);
        assert_int_equal(spl_checkpoint_open(folder, &checkpoint, NULL), 0);
        assert_true(spl_checkpoint_has(checkpoint, "two"));
        assert_false(spl_checkpoint_has(checkpoint, "one"));
        spl_checkpoint_close(checkpoint);
    }
    static const char *const wrong[] = {"", "model_checkpoint_path: \"x",
                                        "all_model_checkpoint_paths: \"model.ckpt-1\"\n"};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(wrong); i++) {
        write_text(in_folder(folder, "checkpoint"), wrong[i]);
        assert_fails(spl_checkpoint_open(folder, &checkpoint, &error), error, SPL_E_FORMAT,
                     "model_checkpoint_path");
    }
    write_text(in_folder(folder, "checkpoint"), "model_checkpoint_path: \"model.ckpt-3\"\n");
    assert_fails(spl_checkpoint_open(folder, &checkpoint, &error), error, SPL_E_NOT_FOUND,
                 "model.ckpt-3.index");
}

static void refuses_parts_of_nets(void **state) {
    test_net net;
    make_net(&net, tiny_filters, 0);
    size_t count;
    bundle_tensor *tensors = make_spleeter_tensors(&net, 1, &count);
    spl_checkpoint *checkpoint;
    spl_error error;
    unsigned nets;
    write_bundle(in_folder(*state, "m"), tensors, 2, &(bundle_options){0});
    assert_int_equal(spl_checkpoint_open(*state, &checkpoint, NULL), 0);
    assert_fails(spl_spleeter_networks_count(checkpoint, &nets, &error), error, SPL_E_FORMAT,
                 "0 convolutions");
    spl_checkpoint_close(checkpoint);

    /* Without conv2d_6, the layer of the mask. */
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(tensors[i].name, "conv2d_6", 8) != 0)
            tensors[kept++] = tensors[i];
    }
    write_bundle(in_folder(*state, "m"), tensors, kept, &(bundle_options){0});
    assert_int_equal(spl_checkpoint_open(*state, &checkpoint, NULL), 0);
    assert_fails(spl_spleeter_networks_count(checkpoint, &nets, &error), error, SPL_E_FORMAT,
                 "6 convolutions");
    spl_checkpoint_close(checkpoint);
    free(tensors);
    free_net(&net);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_matches_known_values),
        IN_FOLDER(reads_nets_from_any_layout),
        IN_FOLDER(refuses_what_is_not_supported),
        IN_FOLDER(refuses_unsorted_names),
        IN_FOLDER(refuses_to_read_anything_twice),
        IN_FOLDER(refuses_offsets_that_are_not_aligned),
        IN_FOLDER(refuses_every_cut_and_every_flipped_byte),
        IN_FOLDER(refuses_data_that_are_cut_off),
        IN_FOLDER(finds_the_right_checkpoint),
        IN_FOLDER(refuses_parts_of_nets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
