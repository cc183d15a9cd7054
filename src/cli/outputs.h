/* SPDX-License-Identifier: MIT
 *
 * Where what is separated is written: file names and folders.
 */
#ifndef SPL_CLI_OUTPUTS_H
#define SPL_CLI_OUTPUTS_H

#include "cli/inputs.h"
#include "pipeline/parts.h"

/* Replaces {filename}, {foldername}, {instrument} and {codec} in `format` as Python's str.format does; "{{" and
 * "}}" are braces. Anything else in braces is refused (ARGUMENT). *ret_text is owned by the caller. */
SPL_WARN_UNUSED int cli_format_expand(const char *format, const char *input, const char *instrument,
                                      const char *codec, char **ret_text, spl_error *ret_error);

/* Where all parts of all inputs go: paths[input * parts + part]. */
typedef struct cli_plan {
    char **paths;
    size_t count;
} cli_plan;

/* Names all files before anything is written. Refused (ARGUMENT): two files of one name, and a file that would replace an
 * input. */
SPL_WARN_UNUSED int cli_plan_make(const cli_inputs *inputs, const spl_parts *parts,
                                  const char *folder, const char *format, const char *codec,
                                  cli_plan *ret_plan, spl_error *ret_error);

void cli_plan_free(cli_plan *plan);

/* Makes the folder of `path`. *ret_existed is the length of the part of `path` that existed before, written also on failure,
 * for cli_folder_remove. */
SPL_WARN_UNUSED int cli_folder_make(const char *path, size_t *ret_existed, spl_error *ret_error);

/* Removes the folders of `path` that are longer than `existed` and empty. */
void cli_folder_remove(const char *path, size_t existed);

#endif
