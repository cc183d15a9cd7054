/* SPDX-License-Identifier: MIT
 *
 * Names and folders of the output files.
 */
#ifndef SPL_CLI_OUTPUTS_H
#define SPL_CLI_OUTPUTS_H

#include "app/request/separation.h"
#include "cli/inputs.h"

/* The default name formats: for inputs given by name, and for inputs found in a folder, whose tree
 * is preserved. */
#define CLI_FORMAT           "{filename}/{instrument}.{codec}"
#define CLI_FORMAT_IN_FOLDER "{relpath}/{instrument}.{codec}"

/* Replaces {filename}, {foldername}, {relpath}, {path}, {ext}, {instrument} and {codec} in `format`
 * as Python's str.format does; "{{" and "}}" stand for braces. Anything else in braces fails with
 * ARGUMENT. The caller owns *ret_text. */
SPL_WARN_UNUSED int cli_format_expand(const char *format, const cli_input *input,
                                      const char *instrument, const char *codec, char **ret_text,
                                      spl_error *ret_error);

/* The output paths: paths[input * parts + part]. The entries of an unreadable input are NULL. */
typedef struct cli_plan {
    char **paths;
    size_t count;
} cli_plan;

/* Names all output files before anything is written. `format` NULL selects the defaults, see
 * CLI_FORMAT. Errors: ARGUMENT when two outputs have the same name, an input is given twice, or an
 * output would replace an input. */
SPL_WARN_UNUSED int cli_plan_make(const cli_inputs *inputs, const spl_parts *parts,
                                  const char *folder, const char *format, const char *codec,
                                  cli_plan *ret_plan, spl_error *ret_error);

void cli_plan_free(cli_plan *plan);

/* Creates the folder of `path`. *ret_existed, for cli_folder_remove, is the length of the part of
 * `path` that already existed; it is set on failure too. */
SPL_WARN_UNUSED int cli_folder_make(const char *path, size_t *ret_existed, spl_error *ret_error);

/* Removes the empty folders along `path` whose paths are longer than `existed`. */
void cli_folder_remove(const char *path, size_t existed);

#endif
