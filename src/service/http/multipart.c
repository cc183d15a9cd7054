/* SPDX-License-Identifier: MIT
 *
 * Collects texts, hands the file on.
 */
#include "service/http/multipart.h"

#include "service/http/target.h"

#include <ctype.h>
#include <string.h>

#define BUFFER_BYTES ((size_t)32 << 10)

struct spl_multipart {
    struct MHD_PostProcessor *processor;
    spl_multipart_sink sink;
    json_t *fields;
    size_t field_count, other_bytes;
    char *name; /* of the text that is coming in; NULL: none */
    char *value;
    size_t value_size;
    bool has_file, in_file;
    uint64_t part_bytes; /* of the part that is coming in */
    int status;          /* of the first failure */
    spl_problem problem;
};

/* The end of the text that was coming in. */
static int keep_field(spl_multipart *form) {
    if (!form->name)
        return 0;
    if (!spl_text_valid(form->name, strlen(form->name)))
        return spl_refuse(&form->problem, SPL_PROBLEM_BAD_REQUEST, "A field has a malformed name");
    const char *earlier = json_string_value(json_object_get(form->fields, form->name));
    json_t *value = earlier ? json_sprintf("%s,%s", earlier, form->value ? form->value : "")
                            : json_stringn(form->value ? form->value : "", form->value_size);
    if (!value)
        return spl_refuse_about(&form->problem, SPL_PROBLEM_INVALID, form->name, NULL,
                                "The field is not UTF-8");
    if (json_object_set_new(form->fields, form->name, value) < 0)
        return spl_refuse(&form->problem, SPL_PROBLEM_UNAVAILABLE, "The service is out of memory");
    free(SPL_STEAL(form->name));
    free(SPL_STEAL(form->value));
    form->value_size = 0;
    return 0;
}

static int start_part(spl_multipart *form, const char *key, const char *file_name,
                      const char *type) {
    int status = keep_field(form);
    if (status < 0)
        return status;
    if (++form->field_count > SPL_FORM_FIELDS_MAX)
        return spl_refuse(&form->problem, SPL_PROBLEM_INVALID, "The form may have %d fields",
                          SPL_FORM_FIELDS_MAX);
    form->part_bytes = 0;
    form->in_file = strcmp(key, "file") == 0;
    if (form->in_file) {
        if (form->has_file)
            return spl_refuse_about(&form->problem, SPL_PROBLEM_INVALID, "file", NULL,
                                    "Send one file a request");
        form->has_file = true;
        return form->sink.open(form->sink.user, file_name, type, &form->problem);
    }
    form->name = strdup(key);
    if (!form->name)
        return spl_refuse(&form->problem, SPL_PROBLEM_UNAVAILABLE, "The service is out of memory");
    return 0;
}

/* Whether this is more of the part that is coming in. The post processor may give nothing first, and then the start. */
static bool is_same_part(const spl_multipart *form, const char *key, uint64_t offset) {
    const char *current = form->in_file ? "file" : form->name;
    return offset > 0 || (form->part_bytes == 0 && current && strcmp(current, key) == 0);
}

static int take_part(spl_multipart *form, const char *data, size_t size) {
    if (size == 0)
        return 0;
    form->part_bytes += size;
    if (form->in_file)
        return form->sink.write(form->sink.user, data, size, &form->problem);
    if (size > SPL_FORM_FIELD_MAX_BYTES - form->value_size)
        return spl_refuse_about(&form->problem, SPL_PROBLEM_INVALID, form->name, NULL,
                                "The field may have %zu bytes at most", SPL_FORM_FIELD_MAX_BYTES);
    char *longer = realloc(form->value, form->value_size + size + 1);
    if (!longer)
        return spl_refuse(&form->problem, SPL_PROBLEM_UNAVAILABLE, "The service is out of memory");
    memcpy(longer + form->value_size, data, size);
    form->value = longer;
    form->value_size += size;
    longer[form->value_size] = '\0';
    return 0;
}

static enum MHD_Result iterate(void *user, enum MHD_ValueKind kind, const char *key,
                               const char *file_name, const char *type, const char *encoding,
                               const char *data, uint64_t offset, size_t size) {
    (void)kind;
    (void)encoding;
    spl_multipart *form = user;
    if (form->status < 0)
        return MHD_NO;
    if (!key)
        form->status =
            spl_refuse(&form->problem, SPL_PROBLEM_BAD_REQUEST, "A part of the form has no name");
    else if (!is_same_part(form, key, offset))
        form->status = start_part(form, key, file_name, type);
    if (form->status == 0)
        form->status = take_part(form, data, size);
    return form->status < 0 ? MHD_NO : MHD_YES;
}

/* The post processor takes all behind "boundary=" for it, so it must come last: 2 to 70 of the characters of RFC 2046, quoted or not. */
static bool has_boundary(const char *type) {
    const char *boundary = type ? strstr(type, "boundary=") : NULL;
    if (!boundary)
        return false;
    boundary += strlen("boundary=");
    const bool quoted = *boundary == '"';
    boundary += quoted;
    size_t length = 0;
    while (isalnum((unsigned char)boundary[length]) ||
           (boundary[length] && strchr("'()+_,-./:=?", boundary[length])))
        length++;
    return length >= 2 && length <= 70 && strcmp(boundary + length, quoted ? "\"" : "") == 0;
}

int spl_multipart_open(struct MHD_Connection *connection, const spl_multipart_sink *sink,
                       spl_multipart **ret_form, spl_problem *ret_problem) {
    if (!has_boundary(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type")))
        return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                          "The Content-Type of a form must end in its boundary");
    spl_multipart *form = calloc(1, sizeof(*form));
    if (form) {
        form->sink = *sink;
        form->fields = json_object();
        form->processor = MHD_create_post_processor(connection, BUFFER_BYTES, iterate, form);
    }
    if (!form || !form->fields || !form->processor) {
        spl_multipart_free(form);
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE, "The service is out of memory");
    }
    *ret_form = form;
    return 0;
}

static int refuse_malformed(spl_multipart *form, spl_problem *ret_problem) {
    if (form->status == 0)
        return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST, "The form is malformed");
    *ret_problem = form->problem;
    return form->status;
}

int spl_multipart_take(spl_multipart *form, const char *data, size_t size,
                       spl_problem *ret_problem) {
    if (!form->in_file) {
        form->other_bytes += size;
        if (form->other_bytes > SPL_FORM_MAX_BYTES + BUFFER_BYTES)
            return spl_refuse(ret_problem, SPL_PROBLEM_INVALID,
                              "The form holds too much besides its file");
    }
    if (MHD_post_process(form->processor, data, size) != MHD_YES || form->status < 0)
        return refuse_malformed(form, ret_problem);
    return 0;
}

int spl_multipart_finish(spl_multipart *form, json_t **ret_fields, spl_problem *ret_problem) {
    const bool complete = MHD_destroy_post_processor(SPL_STEAL(form->processor)) == MHD_YES;
    if (form->status == 0 && complete)
        form->status = keep_field(form);
    if (form->status < 0 || !complete)
        return refuse_malformed(form, ret_problem);
    *ret_fields = SPL_STEAL(form->fields);
    return 0;
}

void spl_multipart_free(spl_multipart *form) {
    if (!form)
        return;
    if (form->processor)
        MHD_destroy_post_processor(form->processor);
    json_decref(form->fields);
    free(form->name);
    free(form->value);
    free(form);
}
