/* SPDX-License-Identifier: MIT
 *
 * Safetensors files and the networks in them: written files read back unchanged, and damaged files
 * are refused.
 */
#include "model_fixture.h"

#include "base/digest.h"
#include "base/file.h"
#include "lib/model/folder_network.h"

#include <malloc.h>
#include <math.h>

/* Returns a file with this header and `data_bytes` of data. The header is padded to align them. */
static test_bytes make_file(const char *header, size_t data_bytes) {
    test_bytes file = {0};
    size_t length = strlen(header);
    uint64_t padded = (8 + length + 7) / 8 * 8 - 8;
    bytes_add(&file, &padded, 8);
    bytes_add(&file, header, length);
    while (file.size < 8 + padded)
        bytes_add(&file, " ", 1);
    uint8_t *zeros = calloc(1, data_bytes + 1);
    assert_non_null(zeros);
    bytes_add(&file, zeros, data_bytes);
    free(zeros);
    return file;
}

static void assert_refused(const char *header, size_t data_bytes, spl_status status,
                           const char *text) {
    test_bytes file = make_file(header, data_bytes);
    spl_safetensors *parsed = NULL;
    spl_error error;
    assert_fails(spl_safetensors_parse(file.data, file.size, "x", &parsed, &error), error, status,
                 text);
    assert_null(parsed);
    bytes_free(&file);
}

static void reads_what_it_should(void **state) {
    (void)state;
    test_bytes file =
        make_file("{\"__metadata__\":{\"k\":\"v\"},"
                  "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[12,20]},"
                  "\"a\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[0,12]}}",
                  20);
    spl_safetensors *parsed;
    assert_int_equal(spl_safetensors_parse(file.data, file.size, "x", &parsed, NULL), 0);
    assert_string_equal(spl_safetensors_metadata(parsed, "k"), "v");
    assert_null(spl_safetensors_metadata(parsed, "other"));
    spl_tensor_source source = spl_safetensors_source(parsed);
    spl_tensor tensor;
    assert_int_equal(source.get(source.from, "b", &tensor, NULL), 0);
    assert_int_equal(tensor.rank, 1);
    assert_int_equal(tensor.shape[0], 2);
    assert_ptr_equal(tensor.data, file.data + file.size - 8);
    spl_error error;
    assert_fails(source.get(source.from, "c", &tensor, &error), error, SPL_E_FORMAT, "no tensor c");
    spl_safetensors_free(parsed);
    bytes_free(&file);
}

static size_t allocated_bytes(void) {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void expands_halves(void **state) {
    (void)state;
    static const struct {
        uint16_t half;
        float value;
    } cases[] = {
        {0x0000, 0},        {0x8000, -0.0f},       {0x3c00, 1},
        {0xc000, -2},       {0x7bff, 65504},       {0x0400, 0x1p-14f},
        {0x0001, 0x1p-24f}, {0x83ff, -0x3ffp-24f}, {0x3555, 0x1.554p-2f},
    };
    enum { COUNT = SPL_ARRAY_SIZE(cases) };
    /* A 16-bit tensor may start at an offset where a 32-bit one may not. */
    test_bytes file =
        make_file("{\"a\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]},"
                  "\"b\":{\"dtype\":\"F16\",\"shape\":[3,3],\"data_offsets\":[2,20]}}",
                  2 + 2 * COUNT);
    for (size_t i = 0; i < COUNT; i++)
        memcpy(file.data + file.size - 2 * (COUNT - i), &cases[i].half, 2);
    spl_safetensors *parsed;
    assert_int_equal(spl_safetensors_parse(file.data, file.size, "x", &parsed, NULL), 0);
    spl_tensor_source source = spl_safetensors_source(parsed);
    spl_tensor tensor;
    assert_int_equal(source.get(source.from, "b", &tensor, NULL), 0);
    assert_int_equal(tensor.shape[1], 3);
    for (size_t i = 0; i < COUNT; i++)
        assert_memory_equal(&tensor.data[i], &cases[i].value, sizeof(float));
    spl_safetensors_free(parsed);

    static const uint16_t not_finite[] = {0x7c00, 0xfc00, 0x7e00, 0xfc01};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(not_finite); i++) {
        memcpy(file.data + file.size - 2, &not_finite[i], 2);
        assert_int_equal(spl_safetensors_parse(file.data, file.size, "x", &parsed, NULL), 0);
        source = spl_safetensors_source(parsed);
        assert_int_equal(source.get(source.from, "b", &tensor, NULL), 0);
        assert_false(isfinite(tensor.data[COUNT - 1]));
        assert_int_equal(signbit(tensor.data[COUNT - 1]) != 0, not_finite[i] >> 15);
        spl_safetensors_free(parsed);
    }
    bytes_free(&file);
}

static void expands_what_is_asked_for(void **state) {
    (void)state;
    enum { COUNT = 1 << 20 };
    test_bytes file = make_file("{\"a\":{\"dtype\":\"F16\",\"shape\":[1048576],"
                                "\"data_offsets\":[0,2097152]}}",
                                2 * COUNT);
    const size_t before = allocated_bytes();
    spl_safetensors *parsed;
    assert_int_equal(spl_safetensors_parse(file.data, file.size, "x", &parsed, NULL), 0);
    assert_true(allocated_bytes() < before + COUNT);
    const spl_tensor_source source = spl_safetensors_source(parsed);
    spl_tensor tensor, again;
    assert_int_equal(source.get(source.from, "a", &tensor, NULL), 0);
    assert_int_equal(source.get(source.from, "a", &again, NULL), 0);
    assert_ptr_equal(tensor.data, again.data);
    spl_safetensors_free(parsed);
    bytes_free(&file);
}

static void refuses_false_declarations(void **state) {
    (void)state;
    assert_refused("", 0, SPL_E_FORMAT, "JSON");
    assert_refused("[]", 0, SPL_E_FORMAT, "not a JSON object");
    assert_refused("{\"a\":1}", 0, SPL_E_FORMAT, "dtype");
    assert_refused("{\"__metadata__\":[]}", 0, SPL_E_FORMAT, "__metadata__");
    assert_refused("{\"__metadata__\":{\"a\":1}}", 0, SPL_E_FORMAT, "not a string");
    assert_refused("{}", 4, SPL_E_FORMAT, "after its last tensor");
#define TENSOR(name, dtype, shape, offsets)                                                        \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
    assert_refused("{" TENSOR("a", "BF16", "[2]", "[0,4]") "}", 4, SPL_E_UNSUPPORTED, "BF16");
    assert_refused("{" TENSOR("a", "F16", "[2]", "[0,8]") "}", 8, SPL_E_FORMAT, "shape says");
    assert_refused("{" TENSOR("a", "F16", "[2]", "[0,3]") "}", 4, SPL_E_FORMAT, "shape says");
    assert_refused(
        "{" TENSOR("a", "F16", "[4]", "[0,8]") "," TENSOR("b", "F16", "[4]", "[0,8]") "}", 8,
        SPL_E_FORMAT, "overlap");
    assert_refused("{" TENSOR("a", "F32", "[1,1,1,1,1]", "[0,4]") "}", 4, SPL_E_FORMAT, "shape");
    assert_refused("{" TENSOR("a", "F32", "1", "[0,4]") "}", 4, SPL_E_FORMAT, "shape");
    assert_refused("{" TENSOR("a", "F32", "[0]", "[0,0]") "}", 0, SPL_E_FORMAT, "positive");
    assert_refused("{" TENSOR("a", "F32", "[-1]", "[0,4]") "}", 4, SPL_E_FORMAT, "positive");
    assert_refused("{" TENSOR("a", "F32", "[1.0]", "[0,4]") "}", 4, SPL_E_FORMAT, "positive");
    assert_refused("{" TENSOR("a", "F32", "[1]", "[0]") "}", 4, SPL_E_FORMAT, "within");
    assert_refused("{" TENSOR("a", "F32", "[1]", "[4,0]") "}", 4, SPL_E_FORMAT, "within");
    assert_refused("{" TENSOR("a", "F32", "[1]", "[4,8]") "}", 4, SPL_E_FORMAT, "within");
    assert_refused("{" TENSOR("a", "F32", "[2]", "[0,4]") "}", 4, SPL_E_FORMAT, "shape says");
    assert_refused("{" TENSOR("a", "F32", "[4611686018427387905]", "[0,4]") "}", 4, SPL_E_FORMAT,
                   "shape says");
    assert_refused("{" TENSOR("a", "F32", "[2147483648,2147483648,4]", "[0,0]") "}", 0,
                   SPL_E_FORMAT, "shape says");
    assert_refused("{" TENSOR("a", "F32", "[99999999999999999999]", "[0,4]") "}", 4, SPL_E_FORMAT,
                   "JSON");
    assert_refused(
        "{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("a", "F32", "[1]", "[4,8]") "}", 8,
        SPL_E_FORMAT, "a name appears twice");
    assert_refused(
        "{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("b", "F32", "[1]", "[0,4]") "}", 4,
        SPL_E_FORMAT, "overlap");
    assert_refused(
        "{" TENSOR("a", "F32", "[2]", "[0,8]") "," TENSOR("b", "F32", "[2]", "[4,12]") "}", 12,
        SPL_E_FORMAT, "overlap");
    assert_refused(
        "{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("b", "F32", "[1]", "[8,12]") "}", 12,
        SPL_E_FORMAT, "gap");
    assert_refused("{" TENSOR("a", "F32", "[1]", "[4,8]") "}", 8, SPL_E_FORMAT, "gap");
#undef TENSOR
}

static void refuses_lying_lengths(void **state) {
    (void)state;
    spl_safetensors *parsed;
    spl_error error;
    test_bytes file = make_file("{}", 0);
    const uint64_t lengths[] = {9, 1u << 21, 1ull << 32, 1ull << 63, UINT64_MAX};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(lengths); i++) {
        memcpy(file.data, &lengths[i], 8);
        assert_fails(spl_safetensors_parse(file.data, file.size, "x", &parsed, &error), error,
                     SPL_E_FORMAT, "cut off");
    }
    bytes_free(&file);

    /* Data that start at an odd offset cannot be used in place. */
    const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}} ";
    uint64_t length = strlen(header);
    length -= (8 + length) % 2 == 0;
    test_bytes odd = {0};
    bytes_add(&odd, &length, 8);
    bytes_add(&odd, header, length);
    bytes_add(&odd, "\0\0\0\0", 4);
    assert_fails(spl_safetensors_parse(odd.data, odd.size, "x", &parsed, &error), error,
                 SPL_E_FORMAT, "multiple of 4");
    bytes_free(&odd);
}

static void writes_what_it_reads(void **state) {
    const char *folder = *state;
    test_net net;
    const unsigned filters[SPL_UNET_DEPTH] = {1, 2, 3, 4, 5, 6};
    make_net(&net, filters, 7);
    char sha256[65];
    assert_int_equal(spl_folder_network_write(folder, "n", &net.weights, sha256, NULL), 0);
    test_bytes file = read_file(in_folder(folder, "n"));
    uint64_t header_bytes;
    memcpy(&header_bytes, file.data, 8);
    assert_int_equal((8 + header_bytes) % 64, 0);
    bytes_free(&file);

    spl_folder_network opened;
    assert_int_equal(spl_folder_network_open(folder, "n", sha256, &opened, NULL), 0);
    assert_memory_equal(opened.weights.filters, filters, sizeof(filters));
    assert_int_equal(opened.weights.conv_activation, SPL_ACTIVATION_ELU);
    assert_int_equal(opened.weights.deconv_activation, SPL_ACTIVATION_LEAKY_RELU);
    spl_network_tensor tensors[SPL_NETWORK_TENSORS];
    spl_network_list_tensors(&opened.weights, tensors);
    uint64_t parameters = 0;
    for (size_t i = 0; i < SPL_NETWORK_TENSORS; i++) {
        size_t size = 0;
        spl_tensor_bytes(tensors[i].rank, tensors[i].shape, &size);
        assert_memory_equal(*tensors[i].data, *net.tensors[i].data, size);
        parameters += size / sizeof(float);
    }
    assert_int_equal(opened.parameters, parameters);
    spl_folder_network_close(&opened);
    free_net(&net);
}

/* Writes these bytes as a network file and opens it with its true SHA-256. */
static int open_bytes(const char *folder, const void *data, size_t size, spl_error *error) {
    char sha256[65];
    spl_folder_network net;
    write_file(in_folder(folder, "n"), data, size);
    assert_int_equal(spl_sha256_hex(data, size, sha256, NULL), 0);
    int status = spl_folder_network_open(folder, "n", sha256, &net, error);
    if (status == 0)
        spl_folder_network_close(&net);
    return status;
}

static test_bytes make_tiny_file(const char *folder) {
    test_net net;
    char sha256[65];
    make_net(&net, tiny_filters, 1);
    assert_int_equal(spl_folder_network_write(folder, "tiny", &net.weights, sha256, NULL), 0);
    free_net(&net);
    return read_file(in_folder(folder, "tiny"));
}

static void refuses_every_cut(void **state) {
    test_bytes file = make_tiny_file(*state);
    for (size_t size = 0; size < file.size; size++) {
        /* A copy of exactly this size, so that AddressSanitizer detects reads past its end. */
        uint8_t *cut = malloc(size ? size : 1);
        assert_non_null(cut);
        memcpy(cut, file.data, size);
        spl_safetensors *parsed;
        assert_int_equal(spl_safetensors_parse(cut, size, "x", &parsed, NULL), SPL_E_FORMAT);
        free(cut);
    }
    assert_int_equal(open_bytes(*state, file.data, file.size, NULL), 0);
    bytes_free(&file);
}

/* Replaces the first `from` in the file by `to`, which has the same length. */
static void replace(test_bytes *file, const char *from, const char *to) {
    assert_int_equal(strlen(from), strlen(to));
    uint8_t *at = memmem(file->data, file->size, from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(to));
}

static void refuses_other_nets(void **state) {
    static const struct {
        const char *from, *to, *text;
    } cases[] = {
        {"encoder.1.bias", "encoder.1.bia5", "no tensor encoder.1.bias"},
        {"encoder.3.kernel", "encoder.3.kernul", "no tensor encoder.3.kernel"},
        {"[5,5,2,1]", "[5,1,2,5]", "encoder.1.kernel has the shape [5, 1, 2, 5], not [5, 5, 2, 5]"},
        {"[4,4,1,2]", "[4,2,2,2]", "mask.kernel has the shape"},
        {"spleeterd-net", "spleeterd-tex", "\"format\""},
        {"\"elu\"", "\"Elu\"", "conv_activation"},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        test_bytes file = make_tiny_file(*state);
        replace(&file, cases[i].from, cases[i].to);
        spl_error error;
        assert_fails(open_bytes(*state, file.data, file.size, &error), error, SPL_E_FORMAT,
                     cases[i].text);
        bytes_free(&file);
    }
}

static void refuses_bad_numbers(void **state) {
    const float bad[] = {NAN, INFINITY, -INFINITY};
    spl_error error;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(bad); i++) {
        test_bytes file = make_tiny_file(*state);
        memcpy(file.data + file.size - sizeof(float), &bad[i], sizeof(float));
        assert_fails(open_bytes(*state, file.data, file.size, &error), error, SPL_E_FORMAT,
                     "mask.bias has numbers that are not finite");
        bytes_free(&file);
    }
    test_net net;
    char sha256[65];
    spl_folder_network opened;
    make_net(&net, tiny_filters, 1);
    net.weights.decoder[5].norm.variance = &(float){-1e-6f};
    assert_int_equal(spl_folder_network_write(*state, "v", &net.weights, sha256, NULL), 0);
    assert_fails(spl_folder_network_open(*state, "v", sha256, &opened, &error), error, SPL_E_FORMAT,
                 "decoder.6.norm.moving_variance has negative variances");
    free_net(&net);
}

static void refuses_other_sha256(void **state) {
    test_bytes file = make_tiny_file(*state);
    spl_folder_network net;
    spl_error error;
    char zeros[65];
    memset(zeros, '0', 64);
    zeros[64] = '\0';
    assert_fails(spl_folder_network_open(*state, "tiny", zeros, &net, &error), error,
                 SPL_E_CHECKSUM, "SHA-256");
    assert_fails(spl_folder_network_open(*state, "absent", zeros, &net, &error), error,
                 SPL_E_NOT_FOUND, "absent");
    bytes_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_should),
        cmocka_unit_test(expands_halves),
        cmocka_unit_test(expands_what_is_asked_for),
        cmocka_unit_test(refuses_false_declarations),
        cmocka_unit_test(refuses_lying_lengths),
        cmocka_unit_test_setup_teardown(writes_what_it_reads, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(refuses_every_cut, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(refuses_other_nets, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(refuses_bad_numbers, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(refuses_other_sha256, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
