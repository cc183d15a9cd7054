/* SPDX-License-Identifier: MIT
 *
 * Input arguments: files, folders (all audio files in them), glob patterns, and "-" for standard
 * input.
 */
#ifndef SPL_CLI_INPUTS_H
#define SPL_CLI_INPUTS_H

#include "base/error.h"

typedef struct cli_input {
    char *path;           /* "-" is standard input; it may not exist */
    size_t folder_length; /* of the part of the path that was given; 0: it was itself given */
    bool unreadable;      /* a folder in such a folder that cannot be read; opening it says why */
} cli_input;

typedef struct cli_inputs {
    cli_input *items;
    size_t count;
    size_t skipped;      /* files of folders that are not songs by their names */
    char *first_skipped; /* NULL: none */
} cli_inputs;

/* Adds what `argument` stands for: a folder gives its audio files, recursively and sorted, without
 * hidden ones and without those in `output_folder`, and the folders in it that cannot be read; a
 * pattern that is not a file gives the files that match it. What gives nothing is added as it is,
 * so that opening it tells what is wrong. */
SPL_WARN_UNUSED int cli_inputs_add(cli_inputs *inputs, const char *argument,
                                   const char *output_folder, spl_error *ret_error);

void cli_inputs_free(cli_inputs *inputs);

/* Opens the input `path` for the pipeline. Standard input is copied to an unlinked temporary file
 * first. *ret_fd is owned by the caller. Errors: NOT_FOUND, PERMISSION, IO, CANCELED (a signal
 * came). */
SPL_WARN_UNUSED int cli_input_open(const char *path, int *ret_fd, spl_error *ret_error);

/* The folder for temporary files, as Python's gettempdir: the first of $TMPDIR, $TEMP, $TMP and
 * /tmp that can be written to. */
const char *cli_temporary_folder(void);

#endif
