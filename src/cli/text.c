/* SPDX-License-Identifier: MIT
 *
 * Uses the C library's multibyte functions in the locale C.UTF-8. Without that locale, all bytes
 * above ASCII are escaped.
 */
#include "cli/text.h"

#include <locale.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <wchar.h>
#include <wctype.h>

#define ELLIPSIS "..."
#define COLUMNS  80
#define ESCAPED  6 /* the longest escape, "\u202e" */

void cli_text_start(void) {
    setlocale(LC_CTYPE, "C.UTF-8");
}

/* Returns the length of the next character; for an invalid byte, 1 with *ret_character set to
 * WEOF. */
static size_t next_character(const char *text, wint_t *ret_character) {
    mbstate_t state = {0};
    wchar_t character;
    const size_t length = mbrtowc(&character, text, strlen(text), &state);
    const bool valid = length > 0 && length <= strlen(text);
    *ret_character = valid ? (wint_t)character : WEOF;
    return valid ? length : 1;
}

static bool is_harmless(wint_t character) {
    const bool turns = character == 0x061C || character == 0x200E || character == 0x200F ||
                       (character >= 0x202A && character <= 0x202E) ||
                       (character >= 0x2066 && character <= 0x2069);
    return character != WEOF && !iswcntrl(character) && !turns;
}

char *cli_text_clean(const char *text) {
    char *clean = malloc(ESCAPED * strlen(text) + 1);
    char *end = clean;
    while (clean && *text) {
        wint_t character;
        const size_t length = next_character(text, &character);
        if (is_harmless(character))
            end = mempcpy(end, text, length);
        else if (character == WEOF || character < 0x100)
            end += snprintf(end, ESCAPED + 1, "\\x%02x",
                            character == WEOF ? (unsigned char)*text : (unsigned)character);
        else
            end += snprintf(end, ESCAPED + 1, "\\u%04x", (unsigned)character);
        text += length;
    }
    if (clean)
        *end = '\0';
    return clean;
}

static size_t width_of(wint_t character) {
    const int width = character == WEOF ? 1 : wcwidth((wchar_t)character);
    return width < 0 ? 1 : (size_t)width;
}

size_t cli_text_columns(const char *text) {
    size_t columns = 0;
    wint_t character;
    for (size_t length; *text; text += length) {
        length = next_character(text, &character);
        columns += width_of(character);
    }
    return columns;
}

/* Returns how many bytes of `text` fit into `columns` columns. */
static size_t bytes_in(const char *text, size_t columns) {
    const char *end = text;
    wint_t character;
    for (size_t length, width; *end; end += length, columns -= width) {
        length = next_character(end, &character);
        width = width_of(character);
        if (width > columns)
            break;
    }
    return (size_t)(end - text);
}

char *cli_text_cut(const char *text, size_t columns) {
    return strndup(text, bytes_in(text, columns));
}

char *cli_text_fit(const char *text, size_t columns) {
    const size_t all = cli_text_columns(text), dots = strlen(ELLIPSIS);
    if (all <= columns)
        return strdup(text);
    if (columns < dots + 2)
        return cli_text_cut(text, columns);
    const size_t before = (columns - dots) / 2, after = columns - dots - before;
    const char *tail = text + bytes_in(text, all - after);
    while (cli_text_columns(tail) > after) {
        wint_t character;
        tail += next_character(tail, &character);
    }
    char *fitting;
    return asprintf(&fitting, "%.*s" ELLIPSIS "%s", (int)bytes_in(text, before), text, tail) < 0
               ? NULL
               : fitting;
}

static void print_clean(FILE *stream, const char *start, const char *format, va_list arguments) {
    SPL_CLEANUP(spl_free_p) char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        return;
    SPL_CLEANUP(spl_free_p) char *clean = cli_text_clean(text);
    if (clean)
        fprintf(stream, "%s%s\n", start, clean);
}

void cli_print_line(FILE *stream, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_clean(stream, "", format, arguments);
    va_end(arguments);
}

void cli_complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_clean(stderr, "spleeterd: ", format, arguments);
    va_end(arguments);
}

size_t cli_terminal_columns(FILE *stream) {
    struct winsize size;
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS;
}
