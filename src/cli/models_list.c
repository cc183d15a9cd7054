/* SPDX-License-Identifier: MIT
 *
 * `spleeterd models list`: a table of the models and the names that resolve to them.
 */
#include "cli/models.h"
#include "cli/report.h"

#include <spleeter/spleeter.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEEZER "spleeter-"

typedef struct model_list {
    const char *search_path;
    json_t *models;
    spl_error *error;
    cli_exit code; /* of the first model that cannot be described */
} model_list;

static const struct {
    const char *title, *key;
} columns[] = {
    {"NAME", "folder"}, {"STEMS", "stems"}, {"SIZE", "size_bytes"}, {"CALLED", "called"}};

/* Returns the total size in bytes of the network files, counting each file once. */
static uint64_t size_of(const spl_model_info *info) {
    uint64_t bytes = 0;
    for (unsigned i = 0; i < info->stem_count + info->group_count; i++) {
        bool counted = false;
        for (unsigned k = 0; k < i; k++)
            counted |= strcmp(info->stems[k].network, info->stems[i].network) == 0;
        SPL_CLEANUP(spl_free_p) char *path = NULL;
        struct stat file;
        if (!counted && asprintf(&path, "%s/%s", info->path, info->stems[i].network) >= 0 &&
            stat(path, &file) == 0)
            bytes += (uint64_t)file.st_size;
    }
    return bytes;
}

/* Adds PREFIX NAME SUFFIX if -p resolves it to the model in the folder `path`. */
static void add_name(json_t *names, const char *search_path, const char *path, const char *prefix,
                     const char *name, const char *suffix) {
    SPL_CLEANUP(spl_free_p) char *full = NULL;
    spl_model_choice choice;
    if (asprintf(&full, "%s%s%s", prefix, name, suffix) >= 0 &&
        spl_model_resolve(full, search_path, &choice, NULL) == 0 && strcmp(choice.path, path) == 0)
        json_array_append_new(names, cli_json_text(full));
}

static json_t *names_of(const char *search_path, const char *path) {
    const char *folder = strrchr(path, '/');
    folder = folder ? folder + 1 : path;
    const bool deezers = strncmp(folder, DEEZER, strlen(DEEZER)) == 0;
    const char *plain = deezers ? folder + strlen(DEEZER) : folder;
    json_t *names = json_array();
    add_name(names, search_path, path, "", plain, "");
    if (deezers) {
        add_name(names, search_path, path, "spleeter:", plain, "");
        add_name(names, search_path, path, "spleeter:", plain, "-16kHz");
    }
    return names;
}

json_t *cli_model_to_json(const char *search_path, const spl_model_info *info) {
    const char *slash = strrchr(info->path, '/');
    json_t *stems = json_array();
    for (unsigned i = 0; i < info->stem_count; i++)
        json_array_append_new(stems, cli_json_text(info->stems[i].name));
    json_t *model =
        json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "name", cli_json_text(info->name),
                  "folder", cli_json_text(slash ? slash + 1 : info->path), "stems", stems, "called",
                  names_of(search_path, info->path), "size_bytes", (json_int_t)size_of(info),
                  "licence", cli_json_text(info->licence), "source", cli_json_text(info->source));
    if (model)
        cli_json_set_path(model, "path", info->path);
    return model;
}

static spl_status add_model(void *user, const char *path) {
    model_list *list = user;
    spl_model_info *info;
    spl_error error;
    int status = spl_model_describe(path, &info, &error);
    if (status < 0 && spl_status_is_transient(status))
        return spl_fail(list->error, status, "%s", error.message);
    if (status < 0) { /* reported, and the others are listed */
        cli_complain("%s", error.message);
        if (list->code == CLI_EXIT_OK)
            list->code = cli_exit_of_model(status);
        return 0;
    }
    if (json_array_append_new(list->models, cli_model_to_json(list->search_path, info)) < 0)
        status = spl_fail_memory(list->error);
    spl_model_info_free(info);
    return status;
}

/* ---- As a table ---- */

/* Formats a cell: a string, a size, or the elements of an array except names that only add a
 * bandwidth (-16kHz). The caller owns it; NULL when out of memory. */
static char *cell_of(const json_t *model, size_t column) {
    const json_t *value = json_object_get(model, columns[column].key);
    char *text = NULL;
    size_t size, i;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return NULL;
    const json_t *item;
    const char *separator = strcmp(columns[column].key, "stems") == 0 ? "," : " ";
    if (json_is_integer(value))
        fprintf(file, "%.1f MB", (double)json_integer_value(value) / 1e6);
    else if (json_is_string(value))
        fputs(json_string_value(value), file);
    json_array_foreach(value, i, item) {
        const char *name = json_string_value(item);
        if (!strstr(name, "-16kHz"))
            fprintf(file, "%s%s", i > 0 ? separator : "", name);
    }
    fclose(file);
    return text;
}

static void print_table(const json_t *models) {
    size_t widths[SPL_ARRAY_SIZE(columns)];
    for (size_t k = 0; k < SPL_ARRAY_SIZE(columns); k++) {
        widths[k] = strlen(columns[k].title);
        for (size_t i = 0; i < json_array_size(models); i++) {
            SPL_CLEANUP(spl_free_p) char *cell = cell_of(json_array_get(models, i), k);
            widths[k] = SPL_MAX(widths[k], cell ? cli_text_columns(cell) : 0);
        }
    }
    for (size_t i = 0; i <= json_array_size(models); i++) {
        for (size_t k = 0; k < SPL_ARRAY_SIZE(columns); k++) {
            SPL_CLEANUP(spl_free_p)
            char *cell =
                i == 0 ? strdup(columns[k].title) : cell_of(json_array_get(models, i - 1), k);
            const bool last = k == SPL_ARRAY_SIZE(columns) - 1;
            if (cell)
                printf("%s%*s", cell, last ? 0 : (int)(widths[k] - cli_text_columns(cell)) + 2, "");
        }
        putchar('\n');
    }
}

cli_exit cli_models_list(const char *search_path, bool json, spl_error *ret_error) {
    json_auto_t *models = json_array();
    model_list list = {.search_path = search_path, .models = models, .error = ret_error};
    int status = spl_model_list(search_path, add_model, &list, ret_error);
    if (status < 0)
        return cli_exit_of_model(status);
    if (json)
        return cli_json_print(json_incref(models), ret_error) < 0 ? CLI_EXIT_OUTPUT : list.code;
    if (json_array_size(models) > 0)
        print_table(models);
    else if (list.code == CLI_EXIT_OK)
        cli_print_line(stderr, "there are no models in %s", search_path);
    return list.code;
}
