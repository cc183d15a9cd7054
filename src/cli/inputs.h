/* SPDX-License-Identifier: MIT
 *
 * Input arguments: files, folders (all audio files in them), glob patterns, and "-" for standard
 * input.
 */
#ifndef SPL_CLI_INPUTS_H
#define SPL_CLI_INPUTS_H

#include "base/error.h"

#include <sys/stat.h>

typedef struct cli_input {
    char *path; /* "-" for standard input; the file may not exist */
    /* Length of the folder argument at the start of `path`; 0 if `path` itself was the argument. */
    size_t folder_length;
    /* A subfolder that cannot be read; opening it reports the reason. */
    bool unreadable;
} cli_input;

typedef struct cli_inputs {
    cli_input *items;
    size_t count;
    /* Number of files in folders that were skipped because they have no audio extension. */
    size_t skipped;
    char *first_skipped; /* NULL: none */
} cli_inputs;

/* Adds the inputs that `argument` names. A folder adds its audio files, recursively and sorted, and
 * its unreadable subfolders; hidden entries and `output_folder` are skipped. A pattern that is not
 * a file adds the files that match it. An argument that yields nothing is added unchanged, so that
 * opening it reports the error. */
SPL_WARN_UNUSED int cli_inputs_add(cli_inputs *inputs, const char *argument,
                                   const char *output_folder, spl_error *ret_error);

void cli_inputs_free(cli_inputs *inputs);

/* Opens the input `path` for the pipeline. Standard input is first copied to an unlinked temporary
 * file. The caller owns *ret_fd. Errors: NOT_FOUND, ARGUMENT (not a regular file), PERMISSION,
 * NO_SPACE, EXHAUSTED, IO, CANCELED (a signal arrived). */
SPL_WARN_UNUSED int cli_input_open(const char *path, int *ret_fd, spl_error *ret_error);

/* Whether two existing paths are the same file. */
bool cli_same_file(const struct stat *a, const struct stat *b);

/* Returns the folder for temporary files, chosen as Python's gettempdir does: the first writable
 * one of $TMPDIR, $TEMP and $TMP, otherwise /tmp. */
const char *cli_temporary_folder(void);

#endif
