/* SPDX-License-Identifier: MIT
 *
 * Names the output files of each song, and rejects names that would overwrite something.
 */
#include "cli/outputs.h"

#include "app/audio/extensions.h"
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Values of the fields of a format. The struct owns the strings. */
typedef struct input_names {
    char *filename, *foldername, *relpath, *path, *ext;
} input_names;

static void clear_names(input_names *names) {
    free(names->filename);
    free(names->foldername);
    free(names->relpath);
    free(names->path);
    free(names->ext);
}

/* Returns the folder that contains the file `path`, with links and ".." resolved. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    SPL_CLEANUP(spl_free_p)
    char *folder = slash ? strndup(path, (size_t)SPL_MAX(slash - path, 1)) : strdup(".");
    char *real = folder ? realpath(folder, NULL) : NULL;
    return real ? real : SPL_STEAL(folder);
}

static bool has_parent_part(const char *path) {
    for (; *path; path += strcspn(path, "/"), path += strspn(path, "/")) {
        if (strncmp(path, "..", 2) == 0 && (path[2] == '/' || path[2] == '\0'))
            return true;
    }
    return false;
}

/* Returns `path` in a form that can be appended to another folder: without a leading slash and
 * "..". */
static char *make_relative(const char *path, const char *folder, const char *base) {
    SPL_CLEANUP(spl_free_p) char *real = NULL;
    if (has_parent_part(path) && asprintf(&real, "%s/%s", folder, base) >= 0)
        path = real;
    while (*path == '/' || strncmp(path, "./", 2) == 0)
        path += *path == '/' ? 1 : 2;
    return strdup(path);
}

static int name_input(const cli_input *input, input_names *ret_names) {
    const char *path = strcmp(input->path, "-") == 0 ? "stdin" : input->path;
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *ext = base + spl_name_stem_length(base);
    SPL_CLEANUP(spl_free_p) char *folder = path == input->path ? folder_of(path) : strdup("stdin");
    SPL_CLEANUP(spl_free_p) char *whole = folder ? make_relative(path, folder, base) : NULL;
    if (!whole)
        return SPL_E_MEMORY;
    const char *above = strrchr(folder, '/');
    const char *below = input->folder_length > 0 ? path + input->folder_length : whole;
    below += *below == '/';
    *ret_names = (input_names){
        .filename = strndup(base, (size_t)(ext - base)),
        .foldername = strdup(above ? above + 1 : folder),
        .relpath = strndup(below, strlen(below) - strlen(ext)),
        .path = strndup(whole, strlen(whole) - strlen(ext)),
        .ext = strdup(*ext ? ext + 1 : ""),
    };
    return ret_names->filename && ret_names->foldername && ret_names->relpath && ret_names->path &&
                   ret_names->ext
               ? 0
               : SPL_E_MEMORY;
}

static int append_text(char **text, const char *more, size_t length) {
    char *longer;
    if (asprintf(&longer, "%s%.*s", *text, (int)length, more) < 0)
        return SPL_E_MEMORY;
    free(*text);
    *text = longer;
    return 0;
}

/* A field of a format and its value. */
typedef struct format_field {
    const char *name, *value;
} format_field;

/* The first piece of a format: the bytes that it takes in the format, and its replacement. */
typedef struct format_piece {
    size_t taken; /* 0: the format is invalid here */
    const char *text;
    size_t length;
} format_piece;

static format_piece first_piece(const char *format, const format_field *fields, size_t count) {
    const size_t plain = strcspn(format, "{}");
    if (plain > 0)
        return (format_piece){plain, format, plain};
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(fields[i].name);
        if (strncmp(format, fields[i].name, length) == 0)
            return (format_piece){length, fields[i].value, strlen(fields[i].value)};
    }
    if (format[0] == format[1]) /* "{{" and "}}" stand for braces */
        return (format_piece){2, format, 1};
    return (format_piece){0};
}

static int expand(const char *format, const format_field *fields, size_t count, char **text,
                  spl_error *ret_error) {
    while (*format) {
        const format_piece piece = first_piece(format, fields, count);
        if (piece.taken == 0)
            return spl_fail(ret_error, SPL_E_ARGUMENT,
                            "--filename_format: \"%s\" is not valid; the fields are {filename}, "
                            "{foldername}, {relpath}, {path}, {ext}, {instrument} and {codec}",
                            format);
        if (append_text(text, piece.text, piece.length) < 0)
            return spl_fail_memory(ret_error);
        format += piece.taken;
    }
    return 0;
}

int cli_format_expand(const char *format, const cli_input *input, const char *instrument,
                      const char *codec, char **ret_text, spl_error *ret_error) {
    SPL_CLEANUP(clear_names) input_names names = {0};
    SPL_CLEANUP(spl_free_p) char *text = strdup("");
    if (!text || name_input(input, &names) < 0)
        return spl_fail_memory(ret_error);
    const format_field fields[] = {
        {"{filename}", names.filename},
        {"{foldername}", names.foldername},
        {"{relpath}", names.relpath},
        {"{path}", names.path},
        {"{ext}", names.ext},
        {"{instrument}", instrument},
        {"{codec}", codec},
    };
    if (strchr(instrument, '/'))
        return spl_fail(ret_error, SPL_E_ARGUMENT, "the name \"%s\" must not contain a slash",
                        instrument);
    int status = expand(format, fields, SPL_ARRAY_SIZE(fields), &text, ret_error);
    if (status == 0)
        *ret_text = SPL_STEAL(text);
    return status;
}

typedef struct named_output {
    const char *path;
    size_t input;
} named_output;

static int compare_outputs(const void *a, const void *b) {
    const named_output *left = a, *right = b;
    const int order = strcmp(left->path, right->path);
    return order ? order : (left->input > right->input) - (left->input < right->input);
}

/* Finds two outputs with the same name; ret_pair[0].path is NULL if there are none. */
static int find_conflict(const cli_plan *plan, size_t parts, named_output ret_pair[2],
                         spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) named_output *sorted = calloc(plan->count, sizeof(*sorted));
    if (!sorted)
        return spl_fail_memory(ret_error);
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->paths[i])
            sorted[count++] = (named_output){plan->paths[i], i / parts};
    }
    qsort(sorted, count, sizeof(*sorted), compare_outputs);
    ret_pair[0] = ret_pair[1] = (named_output){0};
    for (size_t i = 1; i < count && !ret_pair[0].path; i++) {
        if (strcmp(sorted[i - 1].path, sorted[i].path) == 0)
            memcpy(ret_pair, &sorted[i - 1], 2 * sizeof(*ret_pair));
    }
    return 0;
}

/* Rejects outputs that would replace an input. */
static int check_inputs_survive(const cli_plan *plan, const cli_inputs *inputs,
                                spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) struct stat *found = calloc(inputs->count, sizeof(*found));
    if (!found)
        return spl_fail_memory(ret_error);
    for (size_t i = 0; i < inputs->count; i++) {
        if (stat(inputs->items[i].path, &found[i]) < 0)
            found[i] = (struct stat){0};
    }
    for (size_t i = 0; i < plan->count; i++) {
        struct stat output;
        if (!plan->paths[i] || stat(plan->paths[i], &output) < 0)
            continue;
        for (size_t j = 0; j < inputs->count; j++) {
            if (cli_same_file(&found[j], &output))
                return spl_fail(ret_error, SPL_E_ARGUMENT,
                                "%s is an input and would be replaced; choose another "
                                "--output_path or --filename_format",
                                plan->paths[i]);
        }
    }
    return 0;
}

/* Joins as Python's os.path.join does. The caller owns *ret_path. */
static int join(const char *folder, const char *name, bool absolute, char **ret_path) {
    size_t length = strlen(folder);
    if (absolute)
        length = 0;
    bool slash = length > 0 && folder[length - 1] != '/';
    return asprintf(ret_path, "%.*s%s%s", (int)length, folder, slash ? "/" : "", name);
}

/* Everything that determines the output names, except the format. */
typedef struct plan_request {
    const cli_inputs *inputs;
    const spl_parts *parts;
    const char *folder, *codec;
} plan_request;

static int name_outputs(const plan_request *request, const char *format, cli_plan *ret_plan,
                        spl_error *ret_error) {
    const size_t parts = request->parts->count;
    SPL_CLEANUP(cli_plan_free) cli_plan plan = {.count = request->inputs->count * parts};
    plan.paths = calloc(plan.count, sizeof(char *));
    if (!plan.paths)
        return spl_fail_memory(ret_error);
    for (size_t i = 0; i < plan.count; i++) {
        const cli_input *input = &request->inputs->items[i / parts];
        if (input->unreadable)
            continue;
        const char *used = format                     ? format
                           : input->folder_length > 0 ? CLI_FORMAT_IN_FOLDER
                                                      : CLI_FORMAT;
        SPL_CLEANUP(spl_free_p) char *name = NULL;
        int status = cli_format_expand(used, input, request->parts->outputs[i % parts].name,
                                       request->codec, &name, ret_error);
        if (status < 0)
            return status;
        if (join(request->folder, name, used[0] == '/', &plan.paths[i]) < 0)
            return spl_fail_memory(ret_error);
    }
    *ret_plan = plan;
    plan = (cli_plan){0};
    return 0;
}

/* Returns the first known format that gives each file a unique name and preserves the folder tree;
 * NULL if none does. */
static const char *find_format(const plan_request *request) {
    static const char *const formats[] = {
        "{filename}.{ext}/{instrument}.{codec}", "{relpath}/{instrument}.{codec}",
        "{relpath}.{ext}/{instrument}.{codec}", "{path}/{instrument}.{codec}",
        "{path}.{ext}/{instrument}.{codec}"};
    size_t first = 0;
    for (size_t i = 0; i < request->inputs->count; i++)
        first |= request->inputs->items[i].folder_length > 0;
    for (size_t i = first; i < SPL_ARRAY_SIZE(formats); i++) {
        SPL_CLEANUP(cli_plan_free) cli_plan plan = {0};
        named_output pair[2];
        if (name_outputs(request, formats[i], &plan, NULL) == 0 &&
            find_conflict(&plan, request->parts->count, pair, NULL) == 0 && !pair[0].path)
            return formats[i];
    }
    return NULL;
}

/* Rejects two outputs with the same name and suggests a remedy. */
static int check_conflicts(const plan_request *request, const cli_plan *plan,
                           spl_error *ret_error) {
    named_output pair[2];
    int status = find_conflict(plan, request->parts->count, pair, ret_error);
    if (status < 0 || !pair[0].path)
        return status;
    if (pair[0].input == pair[1].input)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "more than one stem would be written to %s; use {instrument} in "
                        "--filename_format",
                        pair[0].path);
    const char *first = request->inputs->items[pair[0].input].path;
    const char *second = request->inputs->items[pair[1].input].path;
    struct stat a, b;
    const bool same = stat(first, &a) == 0 && stat(second, &b) == 0 && cli_same_file(&a, &b);
    if (strcmp(first, second) == 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s is given twice; give it once", first);
    if (same)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s and %s are the same file; give it once",
                        first, second);
    const char *format = find_format(request);
    return spl_fail(ret_error, SPL_E_ARGUMENT,
                    "stems of both %s and %s would be written to %s; give them different names "
                    "with --filename_format%s%s%s",
                    first, second, pair[0].path, format ? " '" : "", format ? format : "",
                    format ? "'" : "");
}

int cli_plan_make(const cli_inputs *inputs, const spl_parts *parts, const char *folder,
                  const char *format, const char *codec, cli_plan *ret_plan, spl_error *ret_error) {
    const plan_request request = {inputs, parts, folder, codec};
    SPL_CLEANUP(cli_plan_free) cli_plan plan = {0};
    int status = name_outputs(&request, format, &plan, ret_error);
    if (status == 0)
        status = check_conflicts(&request, &plan, ret_error);
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

/* Removes the last component; returns false if none is left. */
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
