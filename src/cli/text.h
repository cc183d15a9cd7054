/* SPDX-License-Identifier: MIT
 *
 * Text for people. File names may contain anything, and terminals execute control characters, so
 * text is escaped before it is printed.
 */
#ifndef SPL_CLI_TEXT_H
#define SPL_CLI_TEXT_H

#include "base/error.h"

#include <stdio.h>

/* Makes the multibyte functions treat text as UTF-8, whatever the environment specifies. Call once,
 * before any other thread starts. */
void cli_text_start(void);

/* Returns a copy of `text` in which control characters, characters that change the writing
 * direction, and bytes that are not UTF-8 are escaped, such as \x1b or \u202e. The caller owns it;
 * NULL when out of memory. */
char *cli_text_clean(const char *text);

/* Returns the number of terminal columns that clean text occupies. */
size_t cli_text_columns(const char *text);

/* Shortens clean text to at most `columns` columns: "the beginn...the end". The caller owns the
 * result; NULL when out of memory. */
char *cli_text_fit(const char *text, size_t columns);

/* Returns the beginning of clean text, at most `columns` columns. The caller owns the result; NULL
 * when out of memory. */
char *cli_text_cut(const char *text, size_t columns);

/* Prints one line, escaped as by cli_text_clean. */
void cli_print_line(FILE *stream, const char *format, ...) SPL_PRINTF(2, 3);

/* Prints "spleeterd: MESSAGE" and a newline to standard error, escaped as by cli_text_clean. */
void cli_complain(const char *format, ...) SPL_PRINTF(1, 2);

/* Returns the number of columns of the terminal `stream`; 80 if it is not a terminal. */
size_t cli_terminal_columns(FILE *stream);

#endif
