/* SPDX-License-Identifier: MIT
 *
 * Names the files of a song, and refuses names that would destroy something.
 */
#include "cli/outputs.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What {filename} and {foldername} stand for: the parts of the file's real path, the former without its last extension. */
static void name_input(const char *input, char *real, const char **ret_filename,
                       const char **ret_foldername) {
    *ret_filename = "stdin";
    *ret_foldername = "stdin";
    if (strcmp(input, "-") == 0)
        return;
    char *slash = strrchr(real, '/');
    char *base = slash ? slash + 1 : real;
    char *dot = strrchr(base, '.');
    if (dot && strspn(base, ".") < (size_t)(dot - base))
        *dot = '\0';
    *ret_filename = base;
    *ret_foldername = "";
    if (slash) {
        *slash = '\0';
        char *above = strrchr(real, '/');
        *ret_foldername = above ? above + 1 : real;
    }
}

static int append_text(char **text, const char *more, size_t length) {
    char *longer;
    if (asprintf(&longer, "%s%.*s", *text, (int)length, more) < 0)
        return SPL_E_MEMORY;
    free(*text);
    *text = longer;
    return 0;
}

int cli_format_expand(const char *format, const char *input, const char *instrument,
                      const char *codec, char **ret_text, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *real = realpath(input, NULL);
    if (!real)
        real = strdup(input);
    SPL_CLEANUP(spl_free_p) char *text = strdup("");
    if (!real || !text)
        return spl_fail_memory(ret_error);
    const char *filename, *foldername;
    name_input(input, real, &filename, &foldername);
    const struct {
        const char *field, *value;
    } fields[] = {{"{filename}", filename},
                  {"{foldername}", foldername},
                  {"{instrument}", instrument},
                  {"{codec}", codec}};

    while (*format) {
        const char *value = format;
        size_t taken = strcspn(format, "{}"), given = taken;
        if (taken == 0) {
            for (size_t i = 0; i < SPL_ARRAY_SIZE(fields) && taken == 0; i++) {
                size_t length = strlen(fields[i].field);
                if (strncmp(format, fields[i].field, length) == 0) {
                    taken = length;
                    value = fields[i].value;
                    given = strlen(value);
                }
            }
        }
        if (taken == 0 && format[0] == format[1]) {
            taken = 2;
            given = 1;
        }
        if (taken == 0)
            return spl_fail(ret_error, SPL_E_ARGUMENT,
                            "--filename_format: cannot understand \"%s\"; there are {filename}, "
                            "{foldername}, {instrument} and {codec}",
                            format);
        if (value != format && memchr(value, '/', given))
            return spl_fail(ret_error, SPL_E_ARGUMENT, "the name \"%s\" must not contain a slash",
                            value);
        if (append_text(&text, value, given) < 0)
            return spl_fail_memory(ret_error);
        format += taken;
    }
    *ret_text = SPL_STEAL(text);
    return 0;
}

static int compare_paths(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Refuses two files of one name. */
static int check_conflicts(const cli_plan *plan, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char **sorted = calloc(plan->count, sizeof(*sorted));
    if (!sorted)
        return spl_fail_memory(ret_error);
    memcpy(sorted, plan->paths, plan->count * sizeof(*sorted));
    qsort(sorted, plan->count, sizeof(*sorted), compare_paths);
    for (size_t i = 1; i < plan->count; i++) {
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            return spl_fail(ret_error, SPL_E_ARGUMENT,
                            "more than one stem would be written to %s; use {filename}, "
                            "{foldername} and {instrument} in --filename_format to tell them apart",
                            sorted[i]);
    }
    return 0;
}

/* Refuses to replace an input. */
static int check_inputs_survive(const cli_plan *plan, const cli_inputs *inputs,
                                spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) struct stat *found = calloc(inputs->count, sizeof(*found));
    if (!found)
        return spl_fail_memory(ret_error);
    for (size_t i = 0; i < inputs->count; i++) {
        if (stat(inputs->paths[i], &found[i]) < 0)
            found[i] = (struct stat){0};
    }
    for (size_t i = 0; i < plan->count; i++) {
        struct stat output;
        if (stat(plan->paths[i], &output) < 0)
            continue;
        for (size_t j = 0; j < inputs->count; j++) {
            if (found[j].st_dev == output.st_dev && found[j].st_ino == output.st_ino)
                return spl_fail(ret_error, SPL_E_ARGUMENT,
                                "%s is an input and would be replaced; choose another "
                                "--output_path or --filename_format",
                                plan->paths[i]);
        }
    }
    return 0;
}

/* As Python's os.path.join; *ret_path is owned by the caller. */
static int join(const char *folder, const char *name, bool absolute, char **ret_path) {
    size_t length = strlen(folder);
    if (absolute)
        length = 0;
    bool slash = length > 0 && folder[length - 1] != '/';
    return asprintf(ret_path, "%.*s%s%s", (int)length, folder, slash ? "/" : "", name);
}

int cli_plan_make(const cli_inputs *inputs, const spl_parts *parts, const char *folder,
                  const char *format, const char *codec, cli_plan *ret_plan, spl_error *ret_error) {
    SPL_CLEANUP(cli_plan_free)
    cli_plan plan = {.paths = calloc(inputs->count * parts->count, sizeof(char *))};
    if (!plan.paths)
        return spl_fail_memory(ret_error);
    for (size_t i = 0; i < inputs->count; i++) {
        for (size_t j = 0; j < parts->count; j++) {
            SPL_CLEANUP(spl_free_p) char *name = NULL;
            int status = cli_format_expand(format, inputs->paths[i], parts->outputs[j].name, codec,
                                           &name, ret_error);
            if (status < 0)
                return status;
            if (join(folder, name, format[0] == '/', &plan.paths[plan.count]) < 0)
                return spl_fail_memory(ret_error);
            plan.count++;
        }
    }
    int status = check_conflicts(&plan, ret_error);
    if (status == 0)
        status = check_inputs_survive(&plan, inputs, ret_error);
    if (status < 0)
        return status;
    *ret_plan = plan;
    plan = (cli_plan){0};
    return 0;
}

void cli_plan_free(cli_plan *plan) {
    for (size_t i = 0; i < plan->count; i++)
        free(plan->paths[i]);
    free(plan->paths);
    *plan = (cli_plan){0};
}

/* Cuts the last part off; false when there is none left. */
static bool cut_last_part(char *path) {
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return false;
    *slash = '\0';
    return true;
}

int cli_folder_make(const char *path, size_t *ret_existed, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *folder = strdup(path);
    SPL_CLEANUP(spl_free_p) char *existing = strdup(path);
    if (!folder || !existing)
        return spl_fail_memory(ret_error);
    struct stat found;
    bool more = cut_last_part(existing);
    while (more && stat(existing, &found) < 0)
        more = cut_last_part(existing);
    *ret_existed = more ? strlen(existing) : 0;
    return cut_last_part(folder) ? spl_make_folders(folder, ret_error) : 0;
}

void cli_folder_remove(const char *path, size_t existed) {
    SPL_CLEANUP(spl_free_p) char *folder = strdup(path);
    while (folder && cut_last_part(folder) && strlen(folder) > existed) {
        if (rmdir(folder) < 0 && errno != ENOENT)
            break;
    }
}
