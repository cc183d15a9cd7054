/* SPDX-License-Identifier: MIT
 *
 * Finds and opens the input files.
 */
#include "cli/inputs.h"

#include "app/audio/extensions.h"
#include "app/audio/walk.h"
#include "app/pipeline/spool.h"
#include "base/file.h"
#include "cli/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>

static cli_input *append(cli_inputs *inputs, const char *path, size_t folder_length) {
    cli_input *longer = reallocarray(inputs->items, inputs->count + 1, sizeof(*longer));
    if (!longer)
        return NULL;
    inputs->items = longer;
    cli_input *input = &longer[inputs->count];
    *input = (cli_input){.path = strdup(path), .folder_length = folder_length};
    if (!input->path)
        return NULL;
    inputs->count++;
    return input;
}

bool cli_same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Returns whether to skip an entry below the root: a hidden entry or the output folder. */
static bool is_left_out(const FTSENT *entry, const struct stat *output) {
    if (entry->fts_level == 0)
        return false;
    return entry->fts_name[0] == '.' ||
           (entry->fts_info == FTS_D && output && cli_same_file(entry->fts_statp, output));
}

static int take_entry(cli_inputs *inputs, const FTSENT *entry, size_t folder_length) {
    const bool audio = spl_name_is_audio(entry->fts_name);
    cli_input *input;
    switch (entry->fts_info) {
    case FTS_F:
    case FTS_SLNONE: /* a dangling link: opening it reports the error */
        if (audio)
            return append(inputs, entry->fts_path, folder_length) ? 0 : SPL_E_MEMORY;
        if (inputs->skipped++ == 0)
            inputs->first_skipped = strdup(entry->fts_path);
        return inputs->first_skipped ? 0 : SPL_E_MEMORY;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        if (!(input = append(inputs, entry->fts_path, folder_length)))
            return SPL_E_MEMORY;
        input->unreadable = true;
        return 0;
    default:
        return 0;
    }
}

typedef struct folder_walk {
    cli_inputs *inputs;
    const struct stat *output; /* NULL: it does not exist */
} folder_walk;

/* spl_walk_visit */
static int visit_entry(void *user, const FTSENT *entry, size_t root_length, spl_error *ret_error) {
    const folder_walk *walk = user;
    if (is_left_out(entry, walk->output))
        return SPL_WALK_SKIP;
    return take_entry(walk->inputs, entry, root_length) < 0 ? spl_fail_memory(ret_error) : 0;
}

static int add_folder(cli_inputs *inputs, const char *folder, const char *output_folder,
                      spl_error *ret_error) {
    struct stat output;
    folder_walk walk = {inputs, stat(output_folder, &output) == 0 ? &output : NULL};
    return spl_walk(folder, visit_entry, &walk, ret_error);
}

static int add_pattern(cli_inputs *inputs, const char *pattern, spl_error *ret_error) {
    SPL_CLEANUP(globfree) glob_t found = {0};
    int failed = glob(pattern, 0, NULL, &found);
    if (failed == GLOB_NOSPACE)
        return spl_fail_memory(ret_error);
    for (size_t i = 0; failed == 0 && i < found.gl_pathc; i++) {
        if (!append(inputs, found.gl_pathv[i], 0))
            return spl_fail_memory(ret_error);
    }
    return 0;
}

int cli_inputs_add(cli_inputs *inputs, const char *argument, const char *output_folder,
                   spl_error *ret_error) {
    size_t before = inputs->count;
    int status = 0;
    struct stat found;
    bool exists = strcmp(argument, "-") == 0 || stat(argument, &found) == 0;
    if (!exists)
        status = add_pattern(inputs, argument, ret_error);
    else if (strcmp(argument, "-") != 0 && S_ISDIR(found.st_mode))
        status = add_folder(inputs, argument, output_folder, ret_error);
    if (status == 0 && inputs->count == before && !append(inputs, argument, 0))
        status = spl_fail_memory(ret_error);
    return status;
}

void cli_inputs_free(cli_inputs *inputs) {
    for (size_t i = 0; i < inputs->count; i++)
        free(inputs->items[i].path);
    free(inputs->items);
    free(inputs->first_skipped);
    *inputs = (cli_inputs){0};
}

const char *cli_temporary_folder(void) {
    const char *const candidates[] = {getenv("TMPDIR"), getenv("TEMP"), getenv("TMP")};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(candidates); i++) {
        if (candidates[i] && *candidates[i] && access(candidates[i], W_OK | X_OK) == 0)
            return candidates[i];
    }
    return "/tmp";
}

static int spool_standard_input(int *ret_fd, spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int fd = -1;
    int status = spl_spool_open(cli_temporary_folder(), &fd, ret_error);
    if (status < 0)
        return status;
    char buffer[1 << 16];
    for (;;) {
        if (cli_signals_caught())
            return spl_fail(ret_error, SPL_E_CANCELED, "standard input: interrupted");
        ssize_t got = read(STDIN_FILENO, buffer, sizeof(buffer));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return spl_fail_errno(ret_error, errno, "cannot read standard input");
        if (got == 0)
            break;
        status = spl_write_all(fd, buffer, (size_t)got, "the temporary copy of standard input",
                               ret_error);
        if (status < 0)
            return status;
    }
    *ret_fd = spl_steal_fd(&fd);
    return 0;
}

int cli_input_open(const char *path, int *ret_fd, spl_error *ret_error) {
    if (strcmp(path, "-") == 0)
        return spool_standard_input(ret_fd, ret_error);
    SPL_CLEANUP(spl_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat found;
    if (fd < 0 || fstat(fd, &found) < 0)
        return spl_fail_errno(ret_error, errno, "cannot open %s", path);
    if (S_ISDIR(found.st_mode))
        return spl_fail(ret_error, SPL_E_NOT_FOUND, "there are no audio files in the folder %s",
                        path);
    if (!S_ISREG(found.st_mode))
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "%s is not a regular file; pipe it to standard input and give -", path);
    *ret_fd = spl_steal_fd(&fd);
    return 0;
}
