/* SPDX-License-Identifier: MIT
 *
 * Spleeter's JSON configuration, interpreted as in deezer/spleeter 2.4.2: an unknown activation
 * means the default one.
 */
#include "lib/model/spleeter_config.h"

#include "lib/formats/json.h"
#include "lib/model/parameters.h"

#include <string.h>

static const unsigned default_filters[SPL_UNET_DEPTH] = {16, 32, 64, 128, 256, 512};

static const char *const type_names[] = {
    [SPL_ARCHITECTURE_UNET] = "unet.unet",
    [SPL_ARCHITECTURE_SOFTMAX_UNET] = "unet.softmax_unet",
};

static const spl_settings_keys keys = {"T", "F", "sample_rate"};

static spl_activation conv_activation_of(const char *name) {
    if (name && strcmp(name, "ReLU") == 0)
        return SPL_ACTIVATION_RELU;
    if (name && strcmp(name, "ELU") == 0)
        return SPL_ACTIVATION_ELU;
    return SPL_ACTIVATION_LEAKY_RELU;
}

static spl_activation deconv_activation_of(const char *name) {
    if (name && strcmp(name, "LeakyReLU") == 0)
        return SPL_ACTIVATION_LEAKY_RELU;
    if (name && strcmp(name, "ELU") == 0)
        return SPL_ACTIVATION_ELU;
    return SPL_ACTIVATION_RELU;
}

static int parse_filters(const json_t *filters, const char *path,
                         unsigned ret_filters[SPL_UNET_DEPTH], spl_error *ret_error) {
    if (!filters) {
        memcpy(ret_filters, default_filters, sizeof(default_filters));
        return 0;
    }
    for (size_t i = 0; i < SPL_UNET_DEPTH; i++) {
        json_int_t n = json_integer_value(json_array_get(filters, i));
        if (json_array_size(filters) != SPL_UNET_DEPTH || n < 1 || n > SPL_UNET_FILTERS_MAX)
            return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                            "%s: \"conv_n_filters\" is not %d integers from 1 to %d", path,
                            SPL_UNET_DEPTH, SPL_UNET_FILTERS_MAX);
        ret_filters[i] = (unsigned)n;
    }
    return 0;
}

static int parse_model(const json_t *model, const char *path, spl_spleeter_config *config,
                       spl_error *ret_error) {
    if (!json_is_object(model))
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "%s has no object \"model\", so it is not a Spleeter configuration", path);
    const char *type;
    int status = spl_json_get_line(model, "type", path, &type, ret_error);
    if (status < 0)
        return status;
    if (strncmp(type, "blstm", strlen("blstm")) == 0)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "%s is of the type %.64s: recurrent (BLSTM) models are not supported, only "
                        "unet.unet and unet.softmax_unet are",
                        path, type);
    unsigned architecture = 0;
    status = spl_json_get_choice(model, "type", type_names, SPL_ARRAY_SIZE(type_names), path,
                                 &architecture, ret_error);
    if (status < 0)
        return status;
    config->info.architecture = (spl_architecture)architecture;

    const json_t *params = json_object_get(model, "params");
    const char *conv = json_string_value(json_object_get(params, "conv_activation"));
    const char *deconv = json_string_value(json_object_get(params, "deconv_activation"));
    for (unsigned i = 0; i < config->info.stem_count; i++) {
        config->info.stems[i].conv_activation = conv_activation_of(conv);
        config->info.stems[i].deconv_activation = deconv_activation_of(deconv);
    }
    return parse_filters(json_object_get(params, "conv_n_filters"), path, config->filters,
                         ret_error);
}

static int parse_instruments(const json_t *instruments, const char *path, spl_model_info *info,
                             spl_error *ret_error) {
    int status = spl_check_stem_array(instruments, "instrument_list", path, ret_error);
    if (status < 0)
        return status;
    info->stem_count = (unsigned)json_array_size(instruments);
    for (unsigned i = 0; i < info->stem_count; i++) {
        const char *name = json_string_value(json_array_get(instruments, i));
        if (!name)
            return spl_fail(ret_error, SPL_E_FORMAT,
                            "%s: \"instrument_list\" has members that are not text", path);
        info->stems[i] = (spl_stem_info){.name = name, .network = "", .sha256 = ""};
    }
    return spl_check_stem_names(info, path, ret_error);
}

static int parse_root(const json_t *root, const char *path, spl_spleeter_config *config,
                      spl_error *ret_error) {
    int status;
    if ((status = parse_instruments(json_object_get(root, "instrument_list"), path, &config->info,
                                    ret_error)) < 0 ||
        (status = parse_model(json_object_get(root, "model"), path, config, ret_error)) < 0 ||
        (status = spl_settings_read(root, &keys, path, &config->info, ret_error)) < 0 ||
        (status = spl_json_expect_unsigned(root, "n_channels", 2, path, ret_error)) < 0 ||
        (status = spl_json_get_line(root, "model_dir", path, &config->model_dir, ret_error)) < 0)
        return status;
    return 0;
}

/* Parses `root` and takes ownership of it. */
static int take_root(json_t *root, const char *path, spl_spleeter_config *ret_config,
                     spl_error *ret_error) {
    spl_spleeter_config config = {.root = root};
    int status = parse_root(root, path, &config, ret_error);
    if (status < 0) {
        spl_spleeter_config_clear(&config);
        return status;
    }
    *ret_config = config;
    return 0;
}

int spl_spleeter_config_parse(const void *text, size_t size, const char *path,
                              spl_spleeter_config *ret_config, spl_error *ret_error) {
    json_t *root;
    int status = spl_json_parse(text, size, path, &root, ret_error);
    return status < 0 ? status : take_root(root, path, ret_config, ret_error);
}

int spl_spleeter_config_load(const char *path, spl_spleeter_config *ret_config,
                             spl_error *ret_error) {
    json_t *root;
    int status = spl_json_parse_file(path, &root, ret_error);
    return status < 0 ? status : take_root(root, path, ret_config, ret_error);
}

int spl_spleeter_config_official(unsigned stem_count, spl_spleeter_config *ret_config,
                                 spl_error *ret_error) {
    static const struct {
        unsigned stem_count;
        const char *stems[5];
        spl_architecture architecture;
        spl_activation conv_activation, deconv_activation;
    } official[] = {
        {2,
         {"vocals", "accompaniment"},
         SPL_ARCHITECTURE_UNET,
         SPL_ACTIVATION_LEAKY_RELU,
         SPL_ACTIVATION_RELU},
        {4,
         {"vocals", "drums", "bass", "other"},
         SPL_ARCHITECTURE_UNET,
         SPL_ACTIVATION_ELU,
         SPL_ACTIVATION_ELU},
        {5,
         {"vocals", "piano", "drums", "bass", "other"},
         SPL_ARCHITECTURE_SOFTMAX_UNET,
         SPL_ACTIVATION_ELU,
         SPL_ACTIVATION_ELU},
    };
    for (size_t k = 0; k < SPL_ARRAY_SIZE(official); k++) {
        if (official[k].stem_count != stem_count)
            continue;
        spl_spleeter_config config = {
            .info =
                {
                    .architecture = official[k].architecture,
                    .frames = 512,
                    .bins = 1024,
                    .mask_extension = SPL_MASK_EXTENSION_ZEROS,
                    .separation_exponent = 2,
                    .stem_count = stem_count,
                },
        };
        memcpy(config.filters, default_filters, sizeof(default_filters));
        for (unsigned i = 0; i < stem_count; i++)
            config.info.stems[i] = (spl_stem_info){
                .name = official[k].stems[i],
                .network = "",
                .sha256 = "",
                .conv_activation = official[k].conv_activation,
                .deconv_activation = official[k].deconv_activation,
            };
        *ret_config = config;
        return 0;
    }
    return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                    "the checkpoint holds %u network%s, unlike Deezer's models; give its Spleeter "
                    "configuration (JSON)",
                    stem_count, SPL_PLURAL(stem_count));
}

void spl_spleeter_config_clear(spl_spleeter_config *config) {
    json_decref(config->root);
    *config = (spl_spleeter_config){0};
}
