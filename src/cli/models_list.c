/* SPDX-License-Identifier: MIT
 *
 * `spleeterd models list`: a table of what there is, and which names mean it.
 */
#include "cli/models.h"

#include <spleeter/spleeter.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEEZER "spleeter-"

typedef struct model_row {
    char *cells[6];
} model_row;

typedef struct model_table {
    const char *search_path;
    model_row *rows;
    size_t count;
    spl_error *error;
} model_table;

static const char *const titles[] = {"NAME", "STEMS", "SIZE", "CALLED", "LICENCE", "FROM"};

static void clear_table(model_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        for (size_t k = 0; k < SPL_ARRAY_SIZE(titles); k++)
            free(table->rows[i].cells[k]);
    }
    free(table->rows);
}

/* Of the nets' files, each counted once. */
static uint64_t size_of(const spl_model_info *info) {
    uint64_t bytes = 0;
    for (unsigned i = 0; i < info->stem_count + info->group_count; i++) {
        bool counted = false;
        for (unsigned k = 0; k < i; k++)
            counted |= strcmp(info->stems[k].net, info->stems[i].net) == 0;
        SPL_CLEANUP(spl_free_p) char *path = NULL;
        struct stat file;
        if (!counted && asprintf(&path, "%s/%s", info->path, info->stems[i].net) >= 0 &&
            stat(path, &file) == 0)
            bytes += (uint64_t)file.st_size;
    }
    return bytes;
}

/* The names for -p that mean the model in the folder `path`. */
static char *names_of(const char *search_path, const char *path) {
    const char *folder = strrchr(path, '/');
    folder = folder ? folder + 1 : path;
    const bool deezers = strncmp(folder, DEEZER, strlen(DEEZER)) == 0;
    const char *plain = deezers ? folder + strlen(DEEZER) : folder;
    spl_model_choice choice;
    const bool called =
        spl_model_resolve(plain, search_path, &choice, NULL) == 0 && strcmp(choice.path, path) == 0;
    char *text;
    return asprintf(&text, "%s%s%s%s", called ? plain : "", called && deezers ? " " : "",
                    deezers ? "spleeter:" : "", deezers ? plain : "") < 0
               ? NULL
               : text;
}

static char *stems_of(const spl_model_info *info) {
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return NULL;
    for (unsigned i = 0; i < info->stem_count; i++)
        fprintf(file, "%s%s", i ? "," : "", info->stems[i].name);
    fclose(file);
    return text;
}

static int fill_row(void *user, const spl_model_info *info) {
    model_table *table = user;
    model_row *row = &table->rows[table->count - 1];
    const char *slash = strrchr(info->path, '/');
    row->cells[0] = strdup(slash ? slash + 1 : info->path);
    row->cells[1] = stems_of(info);
    if (asprintf(&row->cells[2], "%.1f MB", (double)size_of(info) / 1e6) < 0)
        row->cells[2] = NULL;
    row->cells[3] = names_of(table->search_path, info->path);
    row->cells[4] = strdup(info->licence);
    row->cells[5] = strdup(info->source);
    for (size_t k = 0; k < SPL_ARRAY_SIZE(titles); k++) {
        if (!row->cells[k])
            return spl_fail_memory(table->error);
    }
    return 0;
}

static int add_model(void *user, const char *path) {
    model_table *table = user;
    model_row *longer = reallocarray(table->rows, table->count + 1, sizeof(*table->rows));
    if (!longer)
        return spl_fail_memory(table->error);
    table->rows = longer;
    longer[table->count++] = (model_row){0};
    return spl_model_describe(path, fill_row, table, table->error);
}

static void print_row(const char *const *cells, const int widths[]) {
    for (size_t k = 0; k < SPL_ARRAY_SIZE(titles) - 1; k++)
        printf("%-*s  ", widths[k], cells[k]);
    printf("%s\n", cells[SPL_ARRAY_SIZE(titles) - 1]);
}

cli_exit cli_models_list(const char *search_path, spl_error *ret_error) {
    SPL_CLEANUP(clear_table)
    model_table table = {.search_path = search_path, .error = ret_error};
    int status = spl_model_list(search_path, add_model, &table, ret_error);
    if (status < 0)
        return cli_exit_of_model(status);
    if (table.count == 0) {
        fprintf(stderr, "there are no models in %s\n", search_path);
        return CLI_EXIT_OK;
    }
    int widths[SPL_ARRAY_SIZE(titles)];
    for (size_t k = 0; k < SPL_ARRAY_SIZE(titles); k++) {
        widths[k] = (int)strlen(titles[k]);
        for (size_t i = 0; i < table.count; i++)
            widths[k] = SPL_MAX(widths[k], (int)strlen(table.rows[i].cells[k]));
    }
    print_row(titles, widths);
    for (size_t i = 0; i < table.count; i++)
        print_row((const char *const *)table.rows[i].cells, widths);
    return CLI_EXIT_OK;
}
