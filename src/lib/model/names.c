/* SPDX-License-Identifier: MIT
 *
 * Reads and writes names.json.
 */
#include "lib/model/names.h"

#include "base/file.h"
#include "lib/formats/json.h"
#include "lib/model/parameters.h"

#include <stdio.h>
#include <string.h>

#define NAMES_FILE "names.json"

/* Reads the names.json in `parent`; sets *ret_names to an empty object if there is none. */
static int load(const char *parent, json_t **ret_names, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/" NAMES_FILE, parent) < 0)
        return spl_fail_memory(ret_error);
    if (access(path, F_OK) == 0)
        return spl_json_parse_file(path, ret_names, ret_error);
    *ret_names = json_object();
    return *ret_names ? 0 : spl_fail_memory(ret_error);
}

static int find_in(const char *parent, const char *name, char folder[SPL_NAMES_FOLDER_BYTES],
                   spl_error *ret_error) {
    SPL_CLEANUP(spl_json_free_p) json_t *names = NULL;
    int status = load(parent, &names, ret_error);
    if (status < 0 || !json_object_get(names, name))
        return status;
    const char *meaning = json_string_value(json_object_get(names, name));
    if (!meaning || !spl_is_plain_name(meaning, SPL_NAMES_FOLDER_BYTES - 1))
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "%s/" NAMES_FILE " names no valid model folder for %s", parent, name);
    snprintf(folder, SPL_NAMES_FOLDER_BYTES, "%s", meaning);
    return 0;
}

int spl_names_find(const char *search_path, const char *name,
                   char ret_folder[SPL_NAMES_FOLDER_BYTES], spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = strdup(search_path);
    if (!path)
        return spl_fail_memory(ret_error);
    char folder[SPL_NAMES_FOLDER_BYTES] = "", *rest = path;
    for (char *parent; !*folder && (parent = strtok_r(rest, ":", &rest));) {
        int status = find_in(parent, name, folder, ret_error);
        if (status < 0)
            return status;
    }
    snprintf(ret_folder, SPL_NAMES_FOLDER_BYTES, "%s", folder);
    return 0;
}

int spl_names_set(const char *parent, const char *name, const char *folder, spl_error *ret_error) {
    SPL_CLEANUP(spl_json_free_p) json_t *names = NULL;
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    SPL_CLEANUP(spl_free_p) char *text = NULL;
    SPL_CLEANUP(spl_output_file_discard) spl_output_file file = SPL_OUTPUT_FILE_INIT;
    int status;
    if ((status = spl_make_folders(parent, ret_error)) < 0 ||
        (status = load(parent, &names, ret_error)) < 0)
        return status;
    json_object_del(names, name);
    if (folder && json_object_set_new(names, name, json_string(folder)) < 0)
        return spl_fail_memory(ret_error);
    text = json_dumps(names, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (!text || asprintf(&path, "%s/" NAMES_FILE, parent) < 0)
        return spl_fail_memory(ret_error);
    if (strlen(text) >= SPL_JSON_FILE_MAX_BYTES)
        return spl_fail(ret_error, SPL_E_LIMIT, "%s would have more than %zu bytes; shorten it",
                        path, SPL_JSON_FILE_MAX_BYTES);
    if ((status = spl_output_file_open(path, &file, ret_error)) < 0 ||
        (status = spl_write_all(file.fd, text, strlen(text), path, ret_error)) < 0 ||
        (status = spl_write_all(file.fd, "\n", 1, path, ret_error)) < 0)
        return status;
    return spl_output_file_commit(&file, ret_error);
}
