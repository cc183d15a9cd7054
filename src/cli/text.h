/* SPDX-License-Identifier: MIT
 *
 * Text for people: file names may hold anything, and a terminal obeys control characters.
 */
#ifndef SPL_CLI_TEXT_H
#define SPL_CLI_TEXT_H

#include "base/error.h"

#include <stdio.h>

/* Has text taken for UTF-8, whatever the environment says. Called once, before any other thread
 * starts. */
void cli_text_start(void);

/* `text` with each control character, each character that changes the direction of writing, and
 * each byte that is not UTF-8 written as \x1b or \u202e. Owned by the caller; NULL when memory runs
 * out. */
char *cli_text_clean(const char *text);

/* Columns of a terminal that clean text takes. */
size_t cli_text_columns(const char *text);

/* Clean text in `columns` columns at most: "the beginn...the end". Owned by the caller; NULL when
 * memory runs out. */
char *cli_text_fit(const char *text, size_t columns);

/* The beginning of clean text, in `columns` columns at most. Owned by the caller; NULL when memory
 * runs out. */
char *cli_text_cut(const char *text, size_t columns);

/* Writes one line of clean text. */
void cli_print_line(FILE *stream, const char *format, ...) SPL_PRINTF(2, 3);

/* Prints "spleeterd: MESSAGE" and a line end to standard error, clean. */
void cli_complain(const char *format, ...) SPL_PRINTF(1, 2);

/* Columns of the terminal that `stream` is; 80 when it is none. */
size_t cli_terminal_columns(FILE *stream);

#endif
