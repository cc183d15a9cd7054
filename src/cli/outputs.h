/* SPDX-License-Identifier: MIT
 *
 * Where what is separated is written: file names and folders.
 */
#ifndef SPL_CLI_OUTPUTS_H
#define SPL_CLI_OUTPUTS_H

#include "app/request/parts.h"
#include "cli/inputs.h"

/* The name formats that are used when none is given: for inputs that were named, and for those
 * found in a folder, whose tree is kept. */
#define CLI_FORMAT           "{filename}/{instrument}.{codec}"
#define CLI_FORMAT_IN_FOLDER "{relpath}/{instrument}.{codec}"

/* Replaces {filename}, {foldername}, {relpath}, {path}, {ext}, {instrument} and {codec} in `format`
 * as Python's str.format does;
 * "{{" and "}}" are braces. Anything else in braces is refused (ARGUMENT). *ret_text is owned by
 * the caller. */
SPL_WARN_UNUSED int cli_format_expand(const char *format, const cli_input *input,
                                      const char *instrument, const char *codec, char **ret_text,
                                      spl_error *ret_error);

/* Where all parts of all inputs go: paths[input * parts + part]; NULL for inputs that cannot be
 * read. */
typedef struct cli_plan {
    char **paths;
    size_t count;
} cli_plan;

/* Names all files before anything is written; `format` NULL: see CLI_FORMAT. Refused (ARGUMENT):
 * two files of one name, an input that is there twice, and a file that would replace an input. */
SPL_WARN_UNUSED int cli_plan_make(const cli_inputs *inputs, const spl_parts *parts,
                                  const char *folder, const char *format, const char *codec,
                                  cli_plan *ret_plan, spl_error *ret_error);

void cli_plan_free(cli_plan *plan);

/* Makes the folder of `path`. *ret_existed is the length of the part of `path` that existed before,
 * written also on failure, for cli_folder_remove. */
SPL_WARN_UNUSED int cli_folder_make(const char *path, size_t *ret_existed, spl_error *ret_error);

/* Removes the folders of `path` that are longer than `existed` and empty. */
void cli_folder_remove(const char *path, size_t existed);

#endif
