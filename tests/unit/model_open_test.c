/* SPDX-License-Identifier: MIT
 *
 * Manifests, Spleeter's configurations, import and names: the results of the public functions of
 * model.h, and their error messages.
 */
#include "model_fixture.h"

#include "base/digest.h"
#include "base/file.h"
#include "lib/model/folder_network.h"
#include "lib/model/manifest.h"
#include "lib/model/model.h"
#include "lib/model/spleeter_config.h"

#include <spleeter/separate.h>
#include <sys/stat.h>

/* ---------------------------------------------------------- manifests ---- */

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const char good_manifest[] =
    "{\"format\":\"spleeterd-model\",\"version\":1,\"name\":\"n\",\"architecture\":\"softmax_"
    "unet\","
    "\"frames\":512,\"bins\":1024,\"sample_rate_hz\":44100,\"frame_length\":4096,"
    "\"frame_step\":1024,\"mask_extension\":\"zeros\",\"separation_exponent\":2,\"stems\":["
    "{\"name\":\"a\",\"net\":\"a.net\",\"sha256\":\"" SHA_A "\"},"
    "{\"name\":\"b\",\"net\":\"b.net\",\"sha256\":\"" SHA_B "\"}],"
    "\"licence\":\"L\",\"source\":\"S\",\"later\":[]}";

static const char good_config[] =
    "{\"model_dir\":\"nets\",\"instrument_list\":[\"left\",\"right\"],\"sample_rate\":44100,"
    "\"frame_length\":4096,\"frame_step\":1024,\"T\":128,\"F\":1536,\"n_channels\":2,"
    "\"separation_exponent\":1,\"mask_extension\":\"average\",\"learning_rate\":1e-4,"
    "\"model\":{\"type\":\"unet.unet\",\"params\":{\"conv_activation\":\"ELU\","
    "\"conv_n_filters\":[1,1,1,1,1,1]}}}";

/* Returns a copy of `text` with the first `from` replaced by `to`. The caller frees it. */
static char *edited(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    if (!at)
        fail_msg("%s is not in the text", from);
    char *copy = NULL;
    assert_true(asprintf(&copy, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) >= 0);
    return copy;
}

typedef struct edit_case {
    const char *from, *to;
    spl_status status;
    const char *message;
} edit_case;

static void manifest_reads(void **state) {
    (void)state;
    json_t *root;
    spl_model_info info;
    assert_int_equal(
        spl_manifest_parse(good_manifest, strlen(good_manifest), "m", &root, &info, NULL), 0);
    assert_string_equal(info.name, "n");
    assert_int_equal(info.architecture, SPL_ARCHITECTURE_SOFTMAX_UNET);
    assert_int_equal(info.frames, 512);
    assert_int_equal(info.bins, 1024);
    assert_int_equal(info.mask_extension, SPL_MASK_EXTENSION_ZEROS);
    assert_true(info.separation_exponent == 2);
    assert_int_equal(info.stem_count, 2);
    assert_string_equal(info.stems[1].name, "b");
    assert_string_equal(info.stems[1].network, "b.net");
    assert_string_equal(info.stems[1].sha256, SHA_B);
    assert_string_equal(info.licence, "L");
    assert_string_equal(info.source, "S");
    json_decref(root);
}

/* Asserts that each edit of `manifest` is refused with its error. */
static void assert_edits_refused(const char *manifest, const edit_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char *text = edited(manifest, cases[i].from, cases[i].to);
        json_t *root;
        spl_model_info info;
        spl_error error;
        assert_fails(spl_manifest_parse(text, strlen(text), "m", &root, &info, &error), error,
                     cases[i].status, cases[i].message);
        free(text);
    }
}

static void manifest_refuses(void **state) {
    (void)state;
    static const edit_case cases[] = {
        {"spleeterd-model", "other", SPL_E_FORMAT, "\"format\""},
        {"\"version\":1", "\"version\":2", SPL_E_UNSUPPORTED, "\"version\"; only 1"},
        {"\"version\":1", "\"version\":\"1\"", SPL_E_FORMAT, "\"version\""},
        {"\"name\":\"n\"", "\"name\":3", SPL_E_FORMAT, "\"name\""},
        {"\"name\":\"n\"", "\"name\":\"a\\u001bb\"", SPL_E_FORMAT, "control"},
        {"\"name\":\"n\"", "\"name\":\"a\\u0000b\"", SPL_E_FORMAT, "JSON"},
        {"softmax_unet", "blstm", SPL_E_UNSUPPORTED, "supported: unet, softmax_unet"},
        {"\"frames\":512", "\"frames\":500", SPL_E_UNSUPPORTED, "multiple of 64"},
        {"\"frames\":512", "\"frames\":0", SPL_E_UNSUPPORTED, "64 to 8192"},
        {"\"frames\":512", "\"frames\":8256", SPL_E_UNSUPPORTED, "64 to 8192"},
        {"\"frames\":512", "\"frames\":-512", SPL_E_UNSUPPORTED, "64 to 8192"},
        {"\"frames\":512", "\"frames\":512.0", SPL_E_FORMAT, "\"frames\""},
        {"\"bins\":1024", "\"bins\":2112", SPL_E_UNSUPPORTED, "64 to 2048"},
        {"\"bins\":1024", "\"bins\":4294968320", SPL_E_UNSUPPORTED, "64 to 2048"},
        {"44100", "48000", SPL_E_UNSUPPORTED, "only 44100"},
        {"\"frame_length\":4096", "\"frame_length\":2048", SPL_E_UNSUPPORTED, "only 4096"},
        {"\"frame_step\":1024", "\"frame_step\":512", SPL_E_UNSUPPORTED, "only 1024"},
        {"zeros", "ones", SPL_E_UNSUPPORTED, "supported: zeros, average"},
        {"exponent\":2", "exponent\":0", SPL_E_UNSUPPORTED, "separation_exponent"},
        {"exponent\":2", "exponent\":-1", SPL_E_UNSUPPORTED, "separation_exponent"},
        {"exponent\":2", "exponent\":1e9", SPL_E_UNSUPPORTED, "separation_exponent"},
        {"exponent\":2", "exponent\":\"2\"", SPL_E_FORMAT, "separation_exponent"},
        {"\"name\":\"b\"", "\"name\":\"a\"", SPL_E_FORMAT, "twice"},
        {"\"name\":\"b\"", "\"name\":\"\"", SPL_E_FORMAT, "stem's name"},
        {"\"name\":\"b\"", "\"name\":\"../b\"", SPL_E_FORMAT, "stem's name"},
        {"\"name\":\"b\"", "\"nam\":\"b\"", SPL_E_FORMAT, "\"name\""},
        {"a.net", "../a.net", SPL_E_FORMAT, "neither a file name"},
        {"a.net", "../../a.net", SPL_E_FORMAT, "neither a file name"},
        {"a.net", "../m/../a.net", SPL_E_FORMAT, "neither a file name"},
        {"a.net", ".././a.net", SPL_E_FORMAT, "neither a file name"},
        {"a.net", "../m/n/a.net", SPL_E_FORMAT, "neither a file name"},
        {"a.net", "../m/", SPL_E_FORMAT, "neither a file name"},
        {"a.net", "..//a.net", SPL_E_FORMAT, "neither a file name"},
        {"a.net", "m/a.net", SPL_E_FORMAT, "neither a file name"},
        {"a.net", ".a.net", SPL_E_FORMAT, "neither a file name"},
        {"a.net", "/etc/passwd", SPL_E_FORMAT, "neither a file name"},
        {"b.net", "a.net", SPL_E_FORMAT, "two different"},
        {SHA_A, "AA", SPL_E_FORMAT, "64 lower-case hex"},
        {"\"stems\":[", "\"stems\":[],\"x\":[", SPL_E_UNSUPPORTED, "0 stems"},
        {"\"stems\":[", "\"stems\":[1,2],\"x\":[", SPL_E_FORMAT, "\"name\""},
        {"\"stems\":[", "\"stems\":7,\"x\":[", SPL_E_FORMAT, "\"stems\""},
        {"\"licence\":\"L\"", "\"license\":\"L\"", SPL_E_FORMAT, "\"licence\""},
        {"\"source\":\"S\"", "\"name\":\"S\"", SPL_E_FORMAT, "a name appears twice"},
    };
    assert_edits_refused(good_manifest, cases, SPL_ARRAY_SIZE(cases));
    for (size_t size = 0; size < strlen(good_manifest); size++) {
        json_t *root;
        spl_model_info info;
        assert_int_equal(spl_manifest_parse(good_manifest, size, "m", &root, &info, NULL),
                         SPL_E_FORMAT);
    }
}

static const char grouped_manifest[] =
    "{\"format\":\"spleeterd-model\",\"version\":1,\"name\":\"n\",\"architecture\":\"unet\","
    "\"frames\":512,\"bins\":1024,\"sample_rate_hz\":44100,\"frame_length\":4096,"
    "\"frame_step\":1024,\"mask_extension\":\"zeros\",\"separation_exponent\":2,\"stems\":["
    "{\"name\":\"v\",\"net\":\"../m/v.net\",\"sha256\":\"" SHA_A "\"},"
    "{\"name\":\"d\",\"net\":\"d.net\",\"sha256\":\"" SHA_B "\",\"group\":\"acc\"},"
    "{\"name\":\"b\",\"net\":\"b.net\",\"sha256\":\"" SHA_B "\",\"group\":\"acc\"}],"
    "\"groups\":[{\"name\":\"acc\",\"net\":\"../m/a.net\",\"sha256\":\"" SHA_A "\"}],"
    "\"licence\":\"L\",\"source\":\"S\"}";

static void manifest_reads_groups(void **state) {
    (void)state;
    json_t *root;
    spl_model_info info;
    assert_int_equal(
        spl_manifest_parse(grouped_manifest, strlen(grouped_manifest), "m", &root, &info, NULL), 0);
    assert_int_equal(info.stem_count, 3);
    assert_int_equal(info.group_count, 1);
    assert_string_equal(info.stems[0].network, "../m/v.net");
    assert_null(info.stems[0].group);
    assert_string_equal(info.stems[1].group, "acc");
    assert_string_equal(info.stems[2].group, "acc");
    assert_string_equal(info.stems[3].name, "acc");
    assert_string_equal(info.stems[3].network, "../m/a.net");
    assert_null(info.stems[3].group);
    json_decref(root);
}

static void manifest_refuses_groups(void **state) {
    (void)state;
    static const edit_case cases[] = {
        {"\"architecture\":\"unet\"", "\"architecture\":\"softmax_unet\"", SPL_E_UNSUPPORTED,
         "unet only"},
        {"\"group\":\"acc\"", "\"group\":\"rest\"", SPL_E_FORMAT, "stem d is not one of"},
        {"\"group\":\"acc\"", "\"group\":\"b\"", SPL_E_FORMAT, "stem d is not one of"},
        {"\"group\":\"acc\"", "\"group\":1", SPL_E_FORMAT, "stem d is not one of"},
        {"\"group\":\"acc\"", "\"grouped\":1", SPL_E_FORMAT, "acc has 1 stems"},
        {"\"name\":\"v\"", "\"group\":\"acc\",\"name\":\"v\"", SPL_E_FORMAT, "all stems"},
        {"\"name\":\"v\"", "\"name\":\"acc\"", SPL_E_FORMAT, "twice"},
        {"\"groups\":[", "\"groups\":7,\"x\":[", SPL_E_FORMAT, "not an array"},
        {"\"groups\":[", "\"x\":[", SPL_E_FORMAT, "not one of its \"groups\""},
        {"a.net\",\"sha256\":\"" SHA_A,
         "a.net\",\"sha256\":\""
         "A",
         SPL_E_FORMAT, "64 lower-case"},
        {"\"groups\":[", "\"groups\":[0,0,0,0,0,0,0,0,0,0,0,0,0,", SPL_E_UNSUPPORTED,
         "more than 16 stems and groups"},
    };
    assert_edits_refused(grouped_manifest, cases, SPL_ARRAY_SIZE(cases));
}

/* ----------------------------------------------------- configurations ---- */

static void config_reads(void **state) {
    (void)state;
    spl_spleeter_config config;
    assert_int_equal(
        spl_spleeter_config_parse(good_config, strlen(good_config), "c", &config, NULL), 0);
    assert_string_equal(config.model_dir, "nets");
    assert_int_equal(config.info.frames, 128);
    assert_int_equal(config.info.bins, 1536);
    assert_int_equal(config.info.mask_extension, SPL_MASK_EXTENSION_AVERAGE);
    assert_true(config.info.separation_exponent == 1);
    assert_int_equal(config.info.stem_count, 2);
    assert_string_equal(config.info.stems[1].name, "right");
    assert_int_equal(config.info.stems[1].conv_activation, SPL_ACTIVATION_ELU);
    assert_int_equal(config.info.stems[1].deconv_activation, SPL_ACTIVATION_RELU);
    assert_int_equal(config.filters[5], 1);
    spl_spleeter_config_clear(&config);
}

static void config_activations_mean_what_they_mean_to_spleeter(void **state) {
    (void)state;
    static const struct {
        const char *params;
        spl_activation conv, deconv;
    } cases[] = {
        {"\"params\":{\"a\":1", SPL_ACTIVATION_LEAKY_RELU, SPL_ACTIVATION_RELU},
        {"\"params\":{\"conv_activation\":\"ReLU\",\"deconv_activation\":\"ReLU\"",
         SPL_ACTIVATION_RELU, SPL_ACTIVATION_RELU},
        {"\"params\":{\"conv_activation\":\"LeakyReLU\",\"deconv_activation\":\"LeakyReLU\"",
         SPL_ACTIVATION_LEAKY_RELU, SPL_ACTIVATION_LEAKY_RELU},
        {"\"params\":{\"conv_activation\":\"elu\",\"deconv_activation\":null",
         SPL_ACTIVATION_LEAKY_RELU, SPL_ACTIVATION_RELU},
        {"\"params\":{\"conv_activation\":\"ELU\",\"deconv_activation\":\"ELU\"",
         SPL_ACTIVATION_ELU, SPL_ACTIVATION_ELU},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        char *text =
            edited(good_config, "\"params\":{\"conv_activation\":\"ELU\"", cases[i].params);
        spl_spleeter_config config;
        assert_int_equal(spl_spleeter_config_parse(text, strlen(text), "c", &config, NULL), 0);
        assert_int_equal(config.info.stems[0].conv_activation, cases[i].conv);
        assert_int_equal(config.info.stems[0].deconv_activation, cases[i].deconv);
        spl_spleeter_config_clear(&config);
        free(text);
    }
}

static void config_refuses(void **state) {
    (void)state;
    static const edit_case cases[] = {
        {"unet.unet", "blstm.blstm", SPL_E_UNSUPPORTED, "BLSTM"},
        {"unet.unet", "unet.other", SPL_E_UNSUPPORTED, "supported: unet.unet"},
        {"\"model\":{", "\"modle\":{", SPL_E_FORMAT, "not a Spleeter configuration"},
        {"\"n_channels\":2", "\"n_channels\":1", SPL_E_UNSUPPORTED, "\"n_channels\"; only 2"},
        {"44100", "22050", SPL_E_UNSUPPORTED, "only 44100"},
        {"\"T\":128", "\"T\":100", SPL_E_UNSUPPORTED, "\"T\", not a multiple of 64"},
        {"\"F\":1536", "\"F\":2049", SPL_E_UNSUPPORTED, "\"F\"; 64 to 2048"},
        {"[\"left\",\"right\"]", "[\"left\"]", SPL_E_UNSUPPORTED, "1 stems"},
        {"[\"left\",\"right\"]", "[\"left\",1]", SPL_E_FORMAT, "not text"},
        {"[\"left\",\"right\"]", "[\"left\",\"left\"]", SPL_E_FORMAT, "twice"},
        {"[\"left\",\"right\"]", "[\"left\",\"a/b\"]", SPL_E_FORMAT, "stem's name"},
        {"[1,1,1,1,1,1]", "[1,1,1,1,1]", SPL_E_UNSUPPORTED, "conv_n_filters"},
        {"[1,1,1,1,1,1]", "[1,1,1,1,1,0]", SPL_E_UNSUPPORTED, "conv_n_filters"},
        {"[1,1,1,1,1,1]", "[1,1,1,1,1,4097]", SPL_E_UNSUPPORTED, "conv_n_filters"},
        {"[1,1,1,1,1,1]", "3", SPL_E_UNSUPPORTED, "conv_n_filters"},
        {"\"model_dir\":\"nets\"", "\"model_dir\":1", SPL_E_FORMAT, "model_dir"},
        {"average", "median", SPL_E_UNSUPPORTED, "mask_extension"},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        char *text = edited(good_config, cases[i].from, cases[i].to);
        spl_spleeter_config config;
        spl_error error;
        assert_fails(spl_spleeter_config_parse(text, strlen(text), "c", &config, &error), error,
                     cases[i].status, cases[i].message);
        free(text);
    }
}

/* ------------------------------------------------------------- opening ---- */

static void opens_folders_and_shares_nets(void **state) {
    const char *folder = in_folder(*state, "m");
    make_model(folder, 4, 2);
    spl_model *model;
    spl_error error = {0};
    if (spl_model_open(folder, &model, &error) < 0)
        fail_msg("%s", error.message);
    const spl_model_info *info = spl_model_get_info(model);
    assert_string_equal(info->path, folder);
    assert_string_equal(info->name, "tiny");
    assert_int_equal(info->stem_count, 4);
    assert_int_equal(info->stems[3].conv_activation, SPL_ACTIVATION_ELU);
    assert_int_equal(info->stems[3].deconv_activation, SPL_ACTIVATION_LEAKY_RELU);
    assert_int_equal(info->stems[3].parameters, info->stems[0].parameters);
    assert_ptr_not_equal(spl_model_unet(model, 0), spl_model_unet(model, 1));
    assert_ptr_not_equal(spl_model_unet(model, 1), spl_model_unet(model, 2));
    assert_ptr_equal(spl_model_unet(model, 2), spl_model_unet(model, 3));
    assert_ptr_equal(spl_model_ref(model), model);
    spl_model_unref(model);
    assert_string_equal(spl_model_get_info(model)->name, "tiny");
    spl_model_unref(model);
    spl_model_unref(NULL);
    assert_int_equal(spl_model_verify(folder, NULL), 0);
}

static void opens_groups_and_nets_of_the_folder_beside(void **state) {
    const char *beside = in_folder(*state, "beside"), *folder = in_folder(*state, "m");
    make_model(beside, 4, 4);
    json_t *root;
    spl_model_info info;
    assert_int_equal(spl_manifest_load(beside, &root, &info, NULL), 0);
    char nets[4][64];
    for (unsigned i = 0; i < 4; i++) {
        snprintf(nets[i], sizeof(nets[i]), "../beside/%s", info.stems[i].network);
        info.stems[i].network = nets[i];
    }
    info.stem_count = 3;
    info.group_count = 1;
    info.stems[1].group = info.stems[2].group = info.stems[3].name;
    info.stems[2].network = info.stems[0].network;
    info.stems[2].sha256 = info.stems[0].sha256;
    assert_int_equal(mkdir(folder, 0777), 0);
    assert_int_equal(spl_manifest_write(in_folder(folder, "manifest.json"), &info, NULL), 0);
    json_decref(root);

    spl_model *model;
    spl_error error = {0};
    if (spl_model_open(folder, &model, &error) < 0)
        fail_msg("%s", error.message);
    const spl_model_info *opened = spl_model_get_info(model);
    assert_int_equal(opened->stem_count, 3);
    assert_int_equal(opened->group_count, 1);
    assert_string_equal(opened->stems[3].name, "other");
    assert_string_equal(opened->stems[1].group, "other");
    assert_int_equal(opened->stems[3].parameters, opened->stems[0].parameters);
    assert_ptr_equal(spl_model_unet(model, 0), spl_model_unet(model, 2));
    assert_ptr_not_equal(spl_model_unet(model, 0), spl_model_unet(model, 3));
    spl_model_unref(model);
    assert_int_equal(spl_model_verify(folder, NULL), 0);

    write_text(in_folder(*state, "mine.json"), good_config);
    assert_int_equal(symlink("m", in_folder(*state, "nets")), 0);
    assert_fails(spl_model_open(in_folder(*state, "mine.json"), &model, &error), error,
                 SPL_E_UNSUPPORTED, "groups");
    const char *group_net = in_folder(beside, "other.safetensors");
    remove(group_net);
    assert_fails(spl_model_verify(folder, &error), error, SPL_E_NOT_FOUND, "other.safetensors");
    assert_fails(spl_model_open(folder, &model, &error), error, SPL_E_NOT_FOUND,
                 "../beside/other.safetensors");
}

static void refuses_damaged_folders(void **state) {
    const char *folder = in_folder(*state, "m");
    spl_model *model;
    spl_error error;
    assert_fails(spl_model_open("", &model, &error), error, SPL_E_ARGUMENT, "path");
    assert_fails(spl_model_open(NULL, &model, &error), error, SPL_E_ARGUMENT, "path");
    assert_fails(spl_model_verify(NULL, &error), error, SPL_E_ARGUMENT, "folder");
    assert_fails(spl_model_open(folder, &model, &error), error, SPL_E_NOT_FOUND, folder);
    assert_fails(spl_model_open(*state, &model, &error), error, SPL_E_NOT_FOUND,
                 "spleeterd models import");

    make_model(folder, 2, 2);
    const char *net = in_folder(folder, "drums.safetensors");
    test_bytes file = read_file(net);
    file.data[file.size - 1] ^= 1;
    write_file(net, file.data, file.size);
    assert_fails(spl_model_open(folder, &model, &error), error, SPL_E_CHECKSUM, net);
    assert_fails(spl_model_verify(folder, &error), error, SPL_E_CHECKSUM, net);
    bytes_free(&file);
    remove(net);
    assert_fails(spl_model_verify(folder, &error), error, SPL_E_NOT_FOUND, net);
    write_text(in_folder(folder, "manifest.json"), "{}");
    assert_fails(spl_model_open(folder, &model, &error), error, SPL_E_FORMAT, "manifest.json");
}

static void refuses_nets_with_different_filters(void **state) {
    const char *folder = in_folder(*state, "m");
    make_model(folder, 2, 2);
    const unsigned filters[SPL_UNET_DEPTH] = {1, 1, 1, 1, 1, 2};
    test_net net;
    char before[65], after[65];
    test_bytes file = read_file(in_folder(folder, "drums.safetensors"));
    assert_int_equal(spl_sha256_hex(file.data, file.size, before, NULL), 0);
    bytes_free(&file);
    make_net(&net, filters, 1);
    assert_int_equal(
        spl_folder_network_write(folder, "drums.safetensors", &net.weights, after, NULL), 0);
    free_net(&net);
    test_bytes manifest = read_file(in_folder(folder, "manifest.json"));
    bytes_add(&manifest, "", 1);
    char *text = edited((char *)manifest.data, before, after);
    write_text(in_folder(folder, "manifest.json"), text);
    free(text);
    bytes_free(&manifest);
    spl_model *model;
    spl_error error;
    assert_fails(spl_model_open(folder, &model, &error), error, SPL_E_FORMAT,
                 "drums.safetensors: convolution 6 has 2 filters");
    assert_fails(spl_model_verify(folder, &error), error, SPL_E_FORMAT, "convolution 6");
}

/* Writes a checkpoint of `count` tiny networks to the new folder `folder`. */
static void make_checkpoint(const char *folder, unsigned count, const char *wrong_crc) {
    test_net nets[4];
    for (unsigned n = 0; n < count; n++)
        make_net(&nets[n], tiny_filters, n);
    size_t tensor_count;
    bundle_tensor *tensors = make_spleeter_tensors(nets, count, &tensor_count);
    assert_int_equal(mkdir(folder, 0777), 0);
    write_bundle(in_folder(folder, "model"), tensors, tensor_count,
                 &(bundle_options){.wrong_crc = wrong_crc});
    free(tensors);
    for (unsigned n = 0; n < count; n++)
        free_net(&nets[n]);
}

static void opens_configurations(void **state) {
    const char *config = in_folder(*state, "mine.json");
    const char *nets = in_folder(*state, "nets");
    spl_model *model;
    spl_error error;
    write_text(config, good_config);
    unsetenv("MODEL_PATH");
    assert_fails(spl_model_open(config, &model, &error), error, SPL_E_NOT_FOUND, "\"nets\"");
    assert_int_equal(mkdir(nets, 0777), 0);
    assert_fails(spl_model_open(config, &model, &error), error, SPL_E_NOT_FOUND, "*.index");
    rmdir(nets);

    make_checkpoint(nets, 2, NULL);
    if (spl_model_open(config, &model, &error) < 0)
        fail_msg("%s", error.message);
    const spl_model_info *info = spl_model_get_info(model);
    assert_string_equal(info->name, "mine");
    assert_string_equal(info->path, config);
    assert_string_equal(info->licence, "unknown");
    assert_int_equal(info->bins, 1536);
    assert_string_equal(info->stems[0].name, "left");
    assert_string_equal(info->stems[0].network, in_folder(nets, "model"));
    assert_string_equal(info->stems[0].sha256, "");
    assert_int_equal(info->stems[0].conv_activation, SPL_ACTIVATION_ELU);
    assert_int_equal(info->stems[0].deconv_activation, SPL_ACTIVATION_RELU);
    spl_model_unref(model);

    char *text = edited(good_config, "[1,1,1,1,1,1]", "[1,1,1,2,1,1]");
    write_text(config, text);
    free(text);
    assert_fails(spl_model_open(config, &model, &error), error, SPL_E_FORMAT,
                 "convolution 4 has 1 filters, but in");
    text = edited(good_config, "\"right\"", "\"right\",\"behind\"");
    write_text(config, text);
    free(text);
    assert_fails(spl_model_open(config, &model, &error), error, SPL_E_FORMAT,
                 "holds 2 networks, but");
}

static void configurations_find_their_nets(void **state) {
    /* The networks are found in MODEL_PATH, as a model folder. The configuration takes precedence
     * over the folder's manifest. */
    const char *models = in_folder(*state, "models"), *home = in_folder(*state, "home");
    const char *config = in_folder(home, "mine.json");
    spl_model *model;
    assert_int_equal(mkdir(models, 0777), 0);
    assert_int_equal(mkdir(home, 0777), 0);
    make_model(in_folder(models, "nets"), 2, 1);
    write_text(config, good_config);
    assert_int_equal(spl_model_open(config, &model, NULL), SPL_E_NOT_FOUND);
    setenv("MODEL_PATH", models, 1);
    assert_int_equal(spl_model_open(config, &model, NULL), 0);
    unsetenv("MODEL_PATH");
    const spl_model_info *info = spl_model_get_info(model);
    assert_string_equal(info->licence, "MIT");
    assert_int_equal(info->frames, 128);
    assert_string_equal(info->stems[0].name, "left");
    assert_string_equal(info->stems[0].network, "vocals.safetensors");
    assert_int_equal(info->stems[1].deconv_activation, SPL_ACTIVATION_RELU);
    spl_model_unref(model);

    char *absolute = NULL;
    assert_true(asprintf(&absolute, "\"model_dir\":\"%s/nets\"", models) >= 0);
    char *text = edited(good_config, "\"model_dir\":\"nets\"", absolute);
    write_text(config, text);
    assert_int_equal(spl_model_open(config, &model, NULL), 0);
    spl_model_unref(model);
    free(text);
    free(absolute);
}

static void configurations_find_installed_nets(void **state) {
    const char *models = in_folder(*state, "models"), *config = in_folder(*state, "mine.json");
    spl_model *model;
    spl_error error = {0};
    assert_int_equal(mkdir(models, 0777), 0);
    make_model(in_folder(models, "spleeter-nets"), 2, 1);
    write_text(config, good_config);
    assert_fails(spl_model_open(config, &model, &error), error, SPL_E_NOT_FOUND,
                 "no model of Deezer's with that name is installed");
    setenv("SPLEETER_MODEL_PATH", models, 1);
    assert_int_equal(spl_model_open(config, &model, NULL), 0);
    assert_int_equal(spl_model_get_info(model)->frames, 128);
    spl_model_unref(model);
    /* A missing folder that was given as a path is not replaced by another model. */
    char *text = edited(good_config, "\"model_dir\":\"nets\"", "\"model_dir\":\"own/nets\"");
    write_text(config, text);
    free(text);
    assert_int_equal(spl_model_open(config, &model, NULL), SPL_E_NOT_FOUND);
    /* A search that fails does not mean that the model is missing. */
    const char *loop = in_folder(*state, "loop");
    assert_int_equal(symlink(loop, loop), 0);
    setenv("SPLEETER_MODEL_PATH", loop, 1);
    write_text(config, good_config);
    assert_fails(spl_model_open(config, &model, &error), error, SPL_E_IO, "mine.json");
    unsetenv("SPLEETER_MODEL_PATH");
}

static void a_byte_order_mark_is_skipped(void **state) {
    const char *config = in_folder(*state, "mine.json");
    char *text = NULL;
    spl_spleeter_config parsed;
    assert_true(asprintf(&text, "\xef\xbb\xbf%s", good_config) >= 0);
    write_text(config, text);
    free(text);
    assert_int_equal(spl_spleeter_config_load(config, &parsed, NULL), 0);
    assert_string_equal(parsed.model_dir, "nets");
    spl_spleeter_config_clear(&parsed);
    write_text(config, "\xef\xbb\xbf");
    assert_int_equal(spl_spleeter_config_load(config, &parsed, NULL), SPL_E_FORMAT);
}

/* -------------------------------------------------------------- import ---- */

static void imports_checkpoints(void **state) {
    const char *checkpoint = in_folder(*state, "checkpoint"), *config = in_folder(*state, "c.json");
    make_checkpoint(checkpoint, 2, NULL);
    write_text(config, good_config);
    char folder[512];
    snprintf(folder, sizeof(folder), "%s/new/deep/mine", (char *)*state);
    spl_model_import_options options = {
        .checkpoint = checkpoint, .config = config, .folder = folder, .licence = "MIT"};
    spl_error error = {0};
    if (spl_model_import(&options, &error) < 0)
        fail_msg("%s", error.message);
    assert_int_equal(count_entries(folder), 3);
    assert_int_equal(count_entries(in_folder(*state, "new/deep")), 1);
    struct stat status;
    assert_int_equal(stat(folder, &status), 0);
    assert_int_not_equal(status.st_mode & S_IRUSR, 0);

    spl_model *model;
    assert_int_equal(spl_model_open(folder, &model, NULL), 0);
    const spl_model_info *info = spl_model_get_info(model);
    assert_string_equal(info->name, "mine");
    assert_string_equal(info->licence, "MIT");
    assert_string_equal(info->source, "unknown");
    assert_int_equal(info->frames, 128);
    assert_int_equal(info->mask_extension, SPL_MASK_EXTENSION_AVERAGE);
    assert_string_equal(info->stems[1].network, "right.safetensors");
    assert_int_equal(info->stems[1].conv_activation, SPL_ACTIVATION_ELU);
    spl_model_unref(model);

    spl_model_info *described;
    assert_int_equal(spl_model_describe(folder, &described, NULL), 0);
    assert_string_equal(described->path, folder);
    assert_string_equal(described->stems[1].name, "right");
    assert_int_equal(described->stems[1].parameters, 0);
    spl_model_info_free(described);
    assert_fails(spl_model_describe("absent", &described, &error), error, SPL_E_NOT_FOUND,
                 "absent");

    assert_fails(spl_model_import(&options, &error), error, SPL_E_EXISTS, "exists already");
    options.reserved[0] = 1;
    assert_fails(spl_model_import(&options, &error), error, SPL_E_ARGUMENT, "reserved");
    assert_int_equal(spl_model_verify(folder, NULL), 0);
}

static void import_leaves_nothing_behind(void **state) {
    const char *good = in_folder(*state, "good"), *bad = in_folder(*state, "bad");
    const char *three = in_folder(*state, "three"), *config = in_folder(*state, "c.json");
    make_checkpoint(good, 2, NULL);
    /* The mask of the last network. */
    make_checkpoint(bad, 2, "conv2d_13/bias");
    make_checkpoint(three, 3, NULL);
    write_text(config, good_config);
    const char *models = in_folder(*state, "models");
    char folder[512];
    snprintf(folder, sizeof(folder), "%s/m", models);
    spl_error error;
    spl_model_import_options options = {.checkpoint = bad, .config = config, .folder = folder};
    assert_fails(spl_model_import(&options, &error), error, SPL_E_CHECKSUM, "conv2d_13/bias");
    options.checkpoint = three;
    assert_fails(spl_model_import(&options, &error), error, SPL_E_FORMAT, "3 networks");
    options.config = NULL;
    assert_fails(spl_model_import(&options, &error), error, SPL_E_UNSUPPORTED, "3 networks");
    options.checkpoint = good;
    assert_fails(spl_model_import(&options, &error), error, SPL_E_UNSUPPORTED,
                 "not one of Deezer's models");
    options.config = config;
    options.name = "two\nlines";
    assert_fails(spl_model_import(&options, &error), error, SPL_E_ARGUMENT, "one line");
    options.name = "\xff";
    assert_fails(spl_model_import(&options, &error), error, SPL_E_ARGUMENT, "UTF-8");
    options.name = NULL;
    options.folder = NULL;
    assert_fails(spl_model_import(&options, &error), error, SPL_E_ARGUMENT, "folder");
    assert_int_equal(count_entries(models), 0);
}

/* --------------------------------------------------------------- names ---- */

static void assert_resolves(const char *name, const char *search_path, const char *path,
                            int as_spleeter, int bandwidth) {
    spl_model_choice choice;
    spl_error error = {0};
    if (spl_model_resolve(name, search_path, &choice, &error) < 0)
        fail_msg("%s: %s", name, error.message);
    assert_string_equal(choice.path, path);
    assert_int_equal(choice.as_spleeter, as_spleeter);
    assert_int_equal(choice.bandwidth, bandwidth);
}

static void resolves_names(void **state) {
    const char *a = in_folder(*state, "a"), *b = in_folder(*state, "b");
    char search_path[600], deezer[300], mine[300], own[300];
    assert_int_equal(mkdir(a, 0777), 0);
    assert_int_equal(mkdir(b, 0777), 0);
    snprintf(search_path, sizeof(search_path), "%s:/nowhere::%s", a, b);
    snprintf(deezer, sizeof(deezer), "%s/spleeter-2stems", a);
    snprintf(mine, sizeof(mine), "%s/mine", b);
    snprintf(own, sizeof(own), "%s/2stems", b);
    make_model(deezer, 2, 2);
    make_model(mine, 2, 2);
    assert_int_equal(mkdir(in_folder(a, "no-model"), 0777), 0);

    assert_resolves("2stems", search_path, deezer, 0, SPL_BANDWIDTH_FULL);
    assert_resolves("spleeter:2stems", search_path, deezer, 1, SPL_BANDWIDTH_11K);
    assert_resolves("spleeter:2stems-16kHz", search_path, deezer, 1, SPL_BANDWIDTH_16K);
    assert_resolves("spleeter-2stems", search_path, deezer, 0, SPL_BANDWIDTH_FULL);
    assert_resolves("mine", search_path, mine, 0, SPL_BANDWIDTH_FULL);
    assert_resolves(mine, search_path, mine, 1, SPL_BANDWIDTH_MODEL);

    /* A user's own "2stems" is preferred for the plain name only. */
    make_model(own, 2, 2);
    assert_resolves("2stems", search_path, own, 0, SPL_BANDWIDTH_FULL);
    assert_resolves("spleeter:2stems", search_path, deezer, 1, SPL_BANDWIDTH_11K);

    setenv("SPLEETER_MODEL_PATH", b, 1);
    setenv("XDG_DATA_HOME", *state, 1);
    assert_resolves("mine", NULL, mine, 0, SPL_BANDWIDTH_FULL);
    unsetenv("SPLEETER_MODEL_PATH");
    assert_int_equal(mkdir(in_folder(*state, "spleeterd"), 0777), 0);
    assert_int_equal(mkdir(in_folder(*state, "spleeterd/models"), 0777), 0);
    make_model(in_folder(*state, "spleeterd/models/4stems"), 4, 4);
    assert_resolves("4stems", NULL, in_folder(*state, "spleeterd/models/4stems"), 0,
                    SPL_BANDWIDTH_FULL);
    unsetenv("XDG_DATA_HOME");
}

static void says_what_there_is(void **state) {
    const char *folder = *state;
    spl_model_choice choice;
    spl_error error;
    assert_fails(spl_model_resolve("4stems", folder, &choice, &error), error, SPL_E_NOT_FOUND,
                 "installed: none");
    assert_non_null(strstr(error.message, folder));
    make_model(in_folder(folder, "spleeter-2stems"), 2, 2);
    make_model(in_folder(folder, "mine"), 2, 2);
    assert_fails(spl_model_resolve("spleeter:4stems", folder, &choice, &error), error,
                 SPL_E_NOT_FOUND, "get them with: spleeterd models pull 4stems");
    assert_null(strstr(error.message, "or use the model"));
    make_model(in_folder(folder, "4stems"), 4, 4);
    assert_fails(spl_model_resolve("spleeter:4stems", folder, &choice, &error), error,
                 SPL_E_NOT_FOUND, "or use the model 4stems");
    assert_fails(spl_model_resolve("5stems", folder, &choice, &error), error, SPL_E_NOT_FOUND,
                 "installed: 4stems, mine, 2stems (");
    assert_fails(spl_model_resolve("./absent", folder, &choice, &error), error, SPL_E_NOT_FOUND,
                 "./absent");
    assert_fails(spl_model_resolve("absent.json", folder, &choice, &error), error, SPL_E_NOT_FOUND,
                 "absent.json");
    static const char *const wrong[] = {"", "..", ".hidden", "spleeter:", "a\nb", "a\\b"};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(wrong); i++)
        assert_fails(spl_model_resolve(wrong[i], folder, &choice, &error), error, SPL_E_ARGUMENT,
                     "model's name");
}

#define NAMES_BYTES 600

static spl_status collect(void *user, const char *path) {
    char *names = user;
    size_t used = strlen(names);
    snprintf(names + used, NAMES_BYTES - used, "%s", strrchr(path, '/'));
    return strstr(names, "stop") ? SPL_E_LIMIT : SPL_OK;
}

static void lists_models(void **state) {
    const char *a = in_folder(*state, "a"), *b = in_folder(*state, "b");
    assert_int_equal(mkdir(a, 0777), 0);
    assert_int_equal(mkdir(b, 0777), 0);
    make_model(in_folder(a, "m"), 2, 2);
    make_model(in_folder(a, ".half-imported"), 2, 2);
    make_model(in_folder(b, "c"), 2, 2);
    make_model(in_folder(b, "m"), 2, 2);
    make_model(in_folder(b, "z"), 2, 2);
    assert_int_equal(mkdir(in_folder(b, "no-model"), 0777), 0);
    char search_path[600], names[NAMES_BYTES] = "";
    snprintf(search_path, sizeof(search_path), "%s:/nowhere:%s", a, b);
    assert_int_equal(spl_model_list(search_path, collect, names, NULL), 0);
    assert_string_equal(names, "/c/m/z");
    make_model(in_folder(b, "n-stop"), 2, 2);
    names[0] = '\0';
    assert_int_equal(spl_model_list(search_path, collect, names, NULL), SPL_E_LIMIT);
    assert_string_equal(names, "/c/m/n-stop");
    spl_error error;
    assert_fails(spl_model_list(search_path, NULL, NULL, &error), error, SPL_E_ARGUMENT,
                 "function");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifest_reads),
        cmocka_unit_test(manifest_refuses),
        cmocka_unit_test(manifest_reads_groups),
        cmocka_unit_test(manifest_refuses_groups),
        cmocka_unit_test(config_reads),
        cmocka_unit_test(config_activations_mean_what_they_mean_to_spleeter),
        cmocka_unit_test(config_refuses),
        IN_FOLDER(opens_folders_and_shares_nets),
        IN_FOLDER(opens_groups_and_nets_of_the_folder_beside),
        IN_FOLDER(refuses_damaged_folders),
        IN_FOLDER(refuses_nets_with_different_filters),
        IN_FOLDER(opens_configurations),
        IN_FOLDER(configurations_find_their_nets),
        IN_FOLDER(configurations_find_installed_nets),
        IN_FOLDER(a_byte_order_mark_is_skipped),
        IN_FOLDER(imports_checkpoints),
        IN_FOLDER(import_leaves_nothing_behind),
        IN_FOLDER(resolves_names),
        IN_FOLDER(says_what_there_is),
        IN_FOLDER(lists_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
