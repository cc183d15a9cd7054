/* SPDX-License-Identifier: MIT
 *
 * Splits the body at its delimiters, collects texts, and passes the file on. libmicrohttpd's post
 * processor is not used, because it reads only quoted names and finds a boundary only at the end of
 * the Content-Type.
 */
#include "service/http/connection/multipart.h"

#include "service/http/connection/header_value.h"
#include "service/http/connection/target.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define BUFFER_BYTES       ((size_t)32 << 10)
#define HEADERS_MAX_BYTES  ((size_t)8 << 10) /* of a part */
#define BOUNDARY_MAX_BYTES 70                /* RFC 2046 */

/* What comes at the start of the buffer. */
typedef enum form_place {
    PLACE_PREAMBLE,
    /* After a delimiter: the end of its line and the headers of a part, or "--". */
    PLACE_HEADERS,
    /* The empty line below the headers, which may also be the start of a delimiter. */
    PLACE_START,
    PLACE_CONTENT,
    PLACE_END,
} form_place;

struct spl_multipart {
    spl_multipart_sink sink;
    json_t *fields;
    size_t field_count, other_bytes;
    char *name; /* of the current text; NULL: none */
    char *value;
    size_t value_size;
    bool has_file, in_file;
    form_place place;
    char delimiter[sizeof("\r\n--") + BOUNDARY_MAX_BYTES];
    size_t delimiter_size;
    size_t used; /* of the buffer */
    char buffer[BUFFER_BYTES];
};

static int refuse_malformed(spl_problem *ret_problem, const char *why) {
    return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST, "The form is malformed: %s", why);
}

/* ---- Content ---- */

static int take_content(spl_multipart *form, const char *data, size_t size,
                        spl_problem *ret_problem) {
    if (size == 0)
        return 0;
    if (form->in_file)
        return form->sink.write(form->sink.user, data, size, ret_problem);
    if (size > SPL_FORM_FIELD_MAX_BYTES - form->value_size)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, form->name, NULL,
                                "The field may have %zu bytes at most; a song must be the part "
                                "\"file\"",
                                SPL_FORM_FIELD_MAX_BYTES);
    char *longer = realloc(form->value, form->value_size + size + 1);
    if (!longer)
        return spl_refuse_memory(ret_problem);
    memcpy(longer + form->value_size, data, size);
    form->value = longer;
    form->value_size += size;
    longer[form->value_size] = '\0';
    return 0;
}

static int end_part(spl_multipart *form, spl_problem *ret_problem) {
    form->in_file = false;
    if (!form->name)
        return 0;
    const char *text = form->value ? form->value : "";
    const char *earlier = json_string_value(json_object_get(form->fields, form->name));
    json_t *value = NULL;
    if (strlen(text) == form->value_size)
        value = earlier ? json_sprintf("%s,%s", earlier, text) : json_string(text);
    if (!value)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, form->name, NULL,
                                "The field is not text in UTF-8; a song must be the part "
                                "\"file\"");
    if (json_object_set_new(form->fields, form->name, value) < 0)
        return spl_refuse_memory(ret_problem);
    free(SPL_STEAL(form->name));
    free(SPL_STEAL(form->value));
    form->value_size = 0;
    return 0;
}

/* ---- Headers of a part ---- */

typedef struct part_headers {
    char *disposition, *type, *encoding; /* in `text`; NULL: absent */
    char text[HEADERS_MAX_BYTES + 1];
} part_headers;

static bool has_control(const char *text) {
    for (; *text; text++) {
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
            return true;
    }
    return false;
}

static bool read_header(char *line, part_headers *headers) {
    const struct {
        const char *name;
        char **value;
    } known[] = {
        {"Content-Disposition", &headers->disposition},
        {"Content-Type", &headers->type},
        {"Content-Transfer-Encoding", &headers->encoding},
    };
    char *colon = strchr(line, ':');
    if (!colon || has_control(line))
        return false;
    *colon = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t");
    for (size_t end = strlen(value); end > 0 && strchr(" \t", value[end - 1]); end--)
        value[end - 1] = '\0';
    for (size_t i = 0; i < SPL_ARRAY_SIZE(known); i++) {
        if (strcasecmp(line, known[i].name) != 0)
            continue;
        if (*known[i].value) /* parsers disagree on which of two counts */
            return false;
        *known[i].value = value;
    }
    return true;
}

/* Splits headers->text, whose lines each end in CRLF, in place. */
static bool split_headers(part_headers *headers) {
    char *line = headers->text, *end;
    for (char *fold = line; (fold = strstr(fold, "\r\n")); fold += 2) {
        if (fold[2] == ' ' || fold[2] == '\t')
            memset(fold, ' ', 2);
    }
    while ((end = strstr(line, "\r\n"))) {
        *end = '\0';
        if (!read_header(line, headers))
            return false;
        line = end + 2;
    }
    return *line == '\0';
}

/* Browsers, curl and urllib3 encode a quote in a name as %22, but leave percent signs as they
 * are. */
static void decode_quotes(char *text) {
    for (char *quote = text; (quote = strstr(quote, "%22")); quote++) {
        *quote = '"';
        memmove(quote + 1, quote + 3, strlen(quote + 3) + 1);
    }
}

/* *ret_name is the caller's; NULL: the part has none. Errors: FORMAT, MEMORY. */
static int read_file_name(const char *disposition, char **ret_name) {
    SPL_CLEANUP(spl_free_p) char *extended = NULL;
    int status = spl_header_parameter(disposition, "filename*", &extended);
    if (status < 0)
        return status;
    if (extended && spl_header_decode_extended(extended)) {
        *ret_name = SPL_STEAL(extended);
        return 0;
    }
    status = spl_header_parameter(disposition, "filename", ret_name);
    if (status == 0 && *ret_name)
        decode_quotes(*ret_name);
    return status;
}

static int open_part(spl_multipart *form, const char *name, const char *file_name, const char *type,
                     spl_problem *ret_problem) {
    if (++form->field_count > SPL_FORM_FIELDS_MAX)
        return spl_refuse(ret_problem, SPL_PROBLEM_INVALID, "The form may have %d fields",
                          SPL_FORM_FIELDS_MAX);
    if (!spl_text_valid(name, strlen(name)))
        return refuse_malformed(ret_problem, "the name of a field is not text in UTF-8");
    form->in_file = strcmp(name, "file") == 0;
    if (!form->in_file) {
        form->name = strdup(name);
        return form->name ? 0 : spl_refuse_memory(ret_problem);
    }
    if (form->has_file)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_INVALID, "file", NULL,
                                "Send one file a request");
    form->has_file = true;
    return form->sink.open(form->sink.user, file_name, type, ret_problem);
}

static bool is_plain_encoding(const char *encoding) {
    return !encoding || strcasecmp(encoding, "binary") == 0 || strcasecmp(encoding, "8bit") == 0 ||
           strcasecmp(encoding, "7bit") == 0;
}

static int start_part(spl_multipart *form, part_headers *headers, spl_problem *ret_problem) {
    SPL_CLEANUP(spl_free_p) char *name = NULL;
    SPL_CLEANUP(spl_free_p) char *file_name = NULL;
    int status = 0;
    if (!split_headers(headers))
        return refuse_malformed(ret_problem, "the headers of a part can't be read");
    if (headers->disposition)
        status = spl_header_parameter(headers->disposition, "name", &name);
    if (name)
        status = read_file_name(headers->disposition, &file_name);
    if (status == SPL_E_MEMORY)
        return spl_refuse_memory(ret_problem);
    if (status < 0)
        return refuse_malformed(ret_problem, "the Content-Disposition of a part can't be read");
    if (!name)
        return refuse_malformed(ret_problem, "a part has no name");
    if (!is_plain_encoding(headers->encoding))
        return refuse_malformed(ret_problem,
                                "the Content-Transfer-Encoding of a part must be binary");
    decode_quotes(name);
    return open_part(form, name, file_name, headers->type, ret_problem);
}

/* ---- Places ---- */

/* Each of these parses the `size` bytes at `data` and sets *ret_taken to the number of bytes
 * consumed; 0: it needs more data. */

static int pass_headers(spl_multipart *form, const char *data, size_t size, size_t *ret_taken,
                        spl_problem *ret_problem) {
    if (size >= 2 && memcmp(data, "--", 2) == 0) {
        form->place = PLACE_END;
        *ret_taken = 2;
        return 0;
    }
    size_t padding = 0;
    while (padding < size && (data[padding] == ' ' || data[padding] == '\t'))
        padding++;
    if (size >= padding + 2 && memcmp(data + padding, "\r\n", 2) != 0)
        return refuse_malformed(ret_problem,
                                "a boundary must end its line, and lines must end in CRLF");
    const char *end = memmem(data + padding, size - padding, "\r\n\r\n", 4);
    if ((end ? (size_t)(end - data) : size) > HEADERS_MAX_BYTES)
        return refuse_malformed(ret_problem, "the headers of a part are too long");
    *ret_taken = 0;
    if (!end)
        return 0;
    part_headers headers = {.text = ""};
    const char *start = data + padding + 2;
    const size_t headers_size = (size_t)(end + 2 - start);
    if (memchr(start, '\0', headers_size))
        return refuse_malformed(ret_problem, "the headers of a part can't be read");
    memcpy(headers.text, start, headers_size);
    form->place = PLACE_START;
    *ret_taken = (size_t)(end + 2 - data);
    return start_part(form, &headers, ret_problem);
}

/* A part without content has no line end of its own before the delimiter, so the empty line may
 * already belong to the delimiter. */
static int pass_empty_line(spl_multipart *form, const char *data, size_t size, size_t *ret_taken,
                           spl_problem *ret_problem) {
    const bool may_be_delimiter =
        memcmp(data, form->delimiter, SPL_MIN(size, form->delimiter_size)) == 0;
    *ret_taken = 0;
    if (may_be_delimiter && size < form->delimiter_size)
        return 0;
    *ret_taken = may_be_delimiter ? form->delimiter_size : 2;
    form->place = may_be_delimiter ? PLACE_HEADERS : PLACE_CONTENT;
    return may_be_delimiter ? end_part(form, ret_problem) : 0;
}

/* Consumes preamble or content up to the next delimiter, or as much of it as can't be the start of
 * one. */
static int pass_content(spl_multipart *form, const char *data, size_t size, size_t *ret_taken,
                        spl_problem *ret_problem) {
    const char *delimiter = memmem(data, size, form->delimiter, form->delimiter_size);
    const size_t before = delimiter                      ? (size_t)(delimiter - data)
                          : size >= form->delimiter_size ? size - form->delimiter_size + 1
                                                         : 0;
    const bool in_part = form->place == PLACE_CONTENT;
    *ret_taken = before + (delimiter ? form->delimiter_size : 0);
    int status = in_part ? take_content(form, data, before, ret_problem) : 0;
    if (status < 0 || !delimiter)
        return status;
    form->place = PLACE_HEADERS;
    return in_part ? end_part(form, ret_problem) : 0;
}

static int pass(spl_multipart *form, const char *data, size_t size, size_t *ret_taken,
                spl_problem *ret_problem) {
    switch (form->place) {
    case PLACE_HEADERS:
        return pass_headers(form, data, size, ret_taken, ret_problem);
    case PLACE_START:
        return pass_empty_line(form, data, size, ret_taken, ret_problem);
    case PLACE_END:
        *ret_taken = size;
        return 0;
    default:
        return pass_content(form, data, size, ret_taken, ret_problem);
    }
}

/* Consumes as much of the buffer as possible and moves the rest to its start. */
static int empty_buffer(spl_multipart *form, spl_problem *ret_problem) {
    size_t at = 0, taken = 0;
    int status = 0;
    do {
        const bool in_file = form->in_file;
        status = pass(form, form->buffer + at, form->used - at, &taken, ret_problem);
        if (status == 0)
            at += taken;
        if (status == 0 && !in_file && (form->other_bytes += taken) > SPL_FORM_MAX_BYTES)
            status = spl_refuse(ret_problem, SPL_PROBLEM_INVALID,
                                "The form may have %zu bytes at most besides its file",
                                SPL_FORM_MAX_BYTES);
    } while (status == 0 && taken > 0 && at < form->used);
    memmove(form->buffer, form->buffer + at, form->used - at);
    form->used -= at;
    return status;
}

/* ---- The form ---- */

/* 1 to 70 characters of those that RFC 2046 allows. */
static bool is_boundary(const char *text) {
    size_t length = 0;
    while (isalnum((unsigned char)text[length]) ||
           (text[length] && strchr("'()+_,-./:=? ", text[length])))
        length++;
    return length >= 1 && length <= BOUNDARY_MAX_BYTES && text[length] == '\0' &&
           text[length - 1] != ' ';
}

int spl_multipart_open(const char *type, const spl_multipart_sink *sink, spl_multipart **ret_form,
                       spl_problem *ret_problem) {
    SPL_CLEANUP(spl_free_p) char *boundary = NULL;
    int status = spl_header_parameter(type, "boundary", &boundary);
    if (status == SPL_E_MEMORY)
        return spl_refuse_memory(ret_problem);
    if (status < 0 || !boundary || !is_boundary(boundary))
        return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                          "The Content-Type of a form must name its boundary, such as "
                          "multipart/form-data; boundary=0123456789");
    spl_multipart *form = calloc(1, sizeof(*form));
    json_t *fields = json_object();
    if (!form || !fields) {
        free(form);
        json_decref(fields);
        return spl_refuse_memory(ret_problem);
    }
    form->sink = *sink;
    form->fields = fields;
    form->delimiter_size =
        (size_t)snprintf(form->delimiter, sizeof(form->delimiter), "\r\n--%s", boundary);
    memcpy(form->buffer, "\r\n", 2); /* the first delimiter may be at the start of the body */
    form->used = 2;
    *ret_form = form;
    return 0;
}

int spl_multipart_take(spl_multipart *form, const char *data, size_t size,
                       spl_problem *ret_problem) {
    int status = 0;
    while (status == 0 && size > 0) {
        const size_t piece = SPL_MIN(size, BUFFER_BYTES - form->used);
        memcpy(form->buffer + form->used, data, piece);
        form->used += piece;
        data += piece;
        size -= piece;
        status = empty_buffer(form, ret_problem);
    }
    return status;
}

int spl_multipart_finish(spl_multipart *form, json_t **ret_fields, spl_problem *ret_problem) {
    if (form->place != PLACE_END)
        return refuse_malformed(ret_problem, "it ends before its last boundary");
    *ret_fields = SPL_STEAL(form->fields);
    return 0;
}

void spl_multipart_free(spl_multipart *form) {
    if (!form)
        return;
    json_decref(form->fields);
    free(form->name);
    free(form->value);
    free(form);
}
