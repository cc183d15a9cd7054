/* SPDX-License-Identifier: MIT
 *
 * manifest.json: the properties of a model and the files of its networks.
 *
 * Unknown keys are ignored; unsupported values are rejected.
 */
#include "lib/model/manifest.h"

#include "base/file.h"
#include "lib/formats/json.h"
#include "lib/model/parameters.h"

#include <stdio.h>
#include <string.h>

#define FORMAT_NAME "spleeterd-model"
#define VERSION     1

static const char *const architecture_names[] = {
    [SPL_ARCHITECTURE_UNET] = "unet",
    [SPL_ARCHITECTURE_SOFTMAX_UNET] = "softmax_unet",
};

static const spl_settings_keys keys = {"frames", "bins", "sample_rate_hz"};

/* Whether `network` is a file in the model folder or in a sibling folder. */
static bool is_network_path(const char *network) {
    static const char up[] = "../";
    if (strncmp(network, up, strlen(up)) != 0)
        return spl_is_plain_name(network, SPL_FILE_NAME_MAX_BYTES);
    const char *folder = network + strlen(up), *slash = strchr(folder, '/');
    char name[SPL_FILE_NAME_MAX_BYTES + 1];
    if (!slash || slash - folder > SPL_FILE_NAME_MAX_BYTES)
        return false;
    snprintf(name, sizeof(name), "%.*s", (int)(slash - folder), folder);
    return spl_is_plain_name(name, SPL_FILE_NAME_MAX_BYTES) &&
           spl_is_plain_name(slash + 1, SPL_FILE_NAME_MAX_BYTES);
}

static int parse_stem(const json_t *entry, const char *path, spl_stem_info *stem,
                      spl_error *ret_error) {
    int status;
    if ((status = spl_json_get_line(entry, "name", path, &stem->name, ret_error)) < 0 ||
        (status = spl_json_get_line(entry, "net", path, &stem->network, ret_error)) < 0 ||
        (status = spl_json_get_line(entry, "sha256", path, &stem->sha256, ret_error)) < 0)
        return status;
    if (!is_network_path(stem->network))
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "%s: the \"net\" \"%.100s\" is neither a file name nor of the form "
                        "../FOLDER/FILE",
                        path, stem->network);
    if (strlen(stem->sha256) != 64 || strspn(stem->sha256, "0123456789abcdef") != 64)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "%s: the \"sha256\" of stem %.100s is not 64 lower-case hex digits", path,
                        stem->name);
    return 0;
}

/* Reads the networks of `array` to info->stems from index `first` on. */
static int parse_networks(const json_t *array, unsigned first, const char *path,
                          spl_model_info *info, spl_error *ret_error) {
    for (unsigned i = first; i < first + (unsigned)json_array_size(array); i++) {
        spl_stem_info *stem = &info->stems[i];
        int status = parse_stem(json_array_get(array, i - first), path, stem, ret_error);
        if (status < 0)
            return status;
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(stem->network, info->stems[j].network) == 0 &&
                strcmp(stem->sha256, info->stems[j].sha256) != 0)
                return spl_fail(ret_error, SPL_E_FORMAT, "%s gives %s two different \"sha256\"",
                                path, stem->network);
        }
    }
    return 0;
}

/* Sets each stem's group to the name of an existing one. */
static int parse_memberships(const json_t *stems, const char *path, spl_model_info *info,
                             spl_error *ret_error) {
    unsigned members[SPL_STEMS_MAX] = {0}, parts = info->group_count;
    for (unsigned i = 0; i < info->stem_count; i++) {
        const json_t *group = json_object_get(json_array_get(stems, i), "group");
        if (!group) {
            parts++;
            continue;
        }
        unsigned g = info->stem_count;
        while (
            g < info->stem_count + info->group_count &&
            (!json_is_string(group) || strcmp(json_string_value(group), info->stems[g].name) != 0))
            g++;
        if (g == info->stem_count + info->group_count)
            return spl_fail(ret_error, SPL_E_FORMAT,
                            "%s: the \"group\" of stem %s is not one of its \"groups\"", path,
                            info->stems[i].name);
        info->stems[i].group = info->stems[g].name;
        members[g]++;
    }
    if (parts < 2)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s: all stems are in one group", path);
    for (unsigned g = info->stem_count; g < info->stem_count + info->group_count; g++)
        if (members[g] < 2)
            return spl_fail(ret_error, SPL_E_FORMAT, "%s: the group %s has %u stems, not 2 or more",
                            path, info->stems[g].name, members[g]);
    return 0;
}

static int parse_groups(const json_t *root, const char *path, spl_model_info *info,
                        spl_error *ret_error) {
    const json_t *groups = json_object_get(root, "groups");
    if (groups && !json_is_array(groups))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s: \"groups\" is not an array", path);
    if (json_array_size(groups) > SPL_STEMS_MAX - info->stem_count)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "%s has more than %d stems and groups, which is not supported", path,
                        SPL_STEMS_MAX);
    info->group_count = (unsigned)json_array_size(groups);
    if (info->group_count > 0 && info->architecture != SPL_ARCHITECTURE_UNET)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "%s: \"groups\" are supported with the architecture unet only", path);
    int status = parse_networks(groups, info->stem_count, path, info, ret_error);
    return status < 0 ? status
                      : parse_memberships(json_object_get(root, "stems"), path, info, ret_error);
}

static int parse_stems(const json_t *root, const char *path, spl_model_info *info,
                       spl_error *ret_error) {
    const json_t *stems = json_object_get(root, "stems");
    int status = spl_check_stem_array(stems, "stems", path, ret_error);
    if (status < 0)
        return status;
    info->stem_count = (unsigned)json_array_size(stems);
    if ((status = parse_networks(stems, 0, path, info, ret_error)) < 0 ||
        (status = parse_groups(root, path, info, ret_error)) < 0)
        return status;
    return spl_check_stem_names(info, path, ret_error);
}

static int parse_root(const json_t *root, const char *path, spl_model_info *info,
                      spl_error *ret_error) {
    const char *format = json_string_value(json_object_get(root, "format"));
    if (!format || strcmp(format, FORMAT_NAME) != 0)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s has no \"format\": \"%s\"", path, FORMAT_NAME);
    unsigned architecture = 0;
    int status;
    if ((status = spl_json_expect_unsigned(root, "version", VERSION, path, ret_error)) < 0 ||
        (status = spl_json_get_line(root, "name", path, &info->name, ret_error)) < 0 ||
        (status = spl_json_get_choice(root, "architecture", architecture_names,
                                      SPL_ARRAY_SIZE(architecture_names), path, &architecture,
                                      ret_error)) < 0 ||
        (status = spl_settings_read(root, &keys, path, info, ret_error)) < 0 ||
        (status = spl_json_get_line(root, "licence", path, &info->licence, ret_error)) < 0 ||
        (status = spl_json_get_line(root, "source", path, &info->source, ret_error)) < 0)
        return status;
    info->architecture = (spl_architecture)architecture;
    return parse_stems(root, path, info, ret_error);
}

/* Takes ownership of `root`: passes it on in *ret_root if it is a valid manifest, frees it if
 * not. */
static int take_root(json_t *root, const char *path, json_t **ret_root, spl_model_info *ret_info,
                     spl_error *ret_error) {
    spl_model_info info = {0};
    int status = parse_root(root, path, &info, ret_error);
    if (status < 0) {
        json_decref(root);
        return status;
    }
    *ret_root = root;
    *ret_info = info;
    return 0;
}

int spl_manifest_parse(const void *text, size_t size, const char *path, json_t **ret_root,
                       spl_model_info *ret_info, spl_error *ret_error) {
    json_t *root;
    int status = spl_json_parse(text, size, path, &root, ret_error);
    return status < 0 ? status : take_root(root, path, ret_root, ret_info, ret_error);
}

int spl_manifest_load(const char *folder, json_t **ret_root, spl_model_info *ret_info,
                      spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/" SPL_MANIFEST_NAME, folder) < 0)
        return spl_fail_memory(ret_error);
    json_t *root;
    int status = spl_json_parse_file(path, &root, ret_error);
    return status < 0 ? status : take_root(root, path, ret_root, ret_info, ret_error);
}

/* Adds the array `key` with `count` stems or groups; returns false when out of memory. */
static bool add_networks(json_t *root, const char *key, const spl_stem_info *networks,
                         unsigned count) {
    json_t *array = json_array();
    if (json_object_set_new(root, key, array) < 0)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (json_array_append_new(array,
                                  json_pack("{s:s, s:s, s:s, s:s*}", "name", networks[i].name,
                                            "net", networks[i].network, "sha256",
                                            networks[i].sha256, "group", networks[i].group)) < 0)
            return false;
    }
    return true;
}

/* Returns NULL when out of memory. */
static char *make_text(const spl_model_info *info) {
    SPL_CLEANUP(spl_json_free_p)
    json_t *root =
        json_pack("{s:s, s:i, s:s, s:s}", "format", FORMAT_NAME, "version", VERSION, "name",
                  info->name, "architecture", architecture_names[info->architecture]);
    if (!root || !spl_settings_write(root, &keys, info) ||
        !add_networks(root, "stems", info->stems, info->stem_count) ||
        (info->group_count > 0 &&
         !add_networks(root, "groups", info->stems + info->stem_count, info->group_count)) ||
        json_object_set_new(root, "licence", json_string(info->licence)) < 0 ||
        json_object_set_new(root, "source", json_string(info->source)) < 0)
        return NULL;
    return json_dumps(root, JSON_INDENT(2));
}

int spl_manifest_write(const char *path, const spl_model_info *info, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *text = make_text(info);
    if (!text)
        return spl_fail_memory(ret_error);
    spl_output_file file = SPL_OUTPUT_FILE_INIT;
    int status = spl_output_file_open(path, &file, ret_error);
    if (status == 0)
        status = spl_write_all(file.fd, text, strlen(text), path, ret_error);
    if (status == 0)
        status = spl_write_all(file.fd, "\n", 1, path, ret_error);
    if (status == 0)
        status = spl_output_file_commit(&file, ret_error);
    spl_output_file_discard(&file);
    return status;
}
