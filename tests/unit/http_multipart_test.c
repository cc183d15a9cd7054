/* SPDX-License-Identifier: MIT
 *
 * Multipart forms as they arrive: the same file and fields however the body is divided, limits, and
 * malformed forms.
 */
#include "service/http/connection/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct received {
    char name[64], type[64];
    char *data;
    size_t size;
    unsigned opened;
    /* Bytes after which the sink refuses the file; 0: never. */
    size_t refuse_at;
} received;

static int open_file(void *user, const char *name, const char *type, spl_problem *ret_problem) {
    (void)ret_problem;
    received *file = user;
    file->opened++;
    snprintf(file->name, sizeof(file->name), "%s", name ? name : "(none)");
    snprintf(file->type, sizeof(file->type), "%s", type ? type : "(none)");
    return 0;
}

static int write_file(void *user, const void *data, size_t size, spl_problem *ret_problem) {
    received *file = user;
    if (file->refuse_at && file->size + size > file->refuse_at)
        return spl_refuse(ret_problem, SPL_PROBLEM_TOO_LARGE, "enough");
    file->data = realloc(file->data, file->size + size);
    assert_non_null(file->data);
    memcpy(file->data + file->size, data, size);
    file->size += size;
    return 0;
}

/* Feeds `body` in pieces of `piece` bytes. Returns 0 or the status. The caller owns *ret_fields. */
static int feed(const char *body, size_t size, size_t piece, received *file, json_t **ret_fields,
                spl_problem *ret_problem) {
    const spl_multipart_sink sink = {open_file, write_file, file};
    spl_multipart *form;
    assert_int_equal(
        spl_multipart_open("multipart/form-data; boundary=bb", &sink, &form, ret_problem), 0);
    int status = 0;
    for (size_t at = 0; at < size && status == 0; at += piece)
        status = spl_multipart_take(form, body + at, SPL_MIN(piece, size - at), ret_problem);
    if (status == 0)
        status = spl_multipart_finish(form, ret_fields, ret_problem);
    spl_multipart_free(form);
    return status;
}

#define PART(disposition, content)                                                                 \
    "--bb\r\nContent-Disposition: form-data; " disposition "\r\n\r\n" content "\r\n"
#define FILE_PART                                                                                  \
    "--bb\r\nContent-Disposition: form-data; name=\"file\"; filename=\"song.wav\"\r\n"             \
    "Content-Type: audio/wav\r\n\r\nRIFF\r\n--\r\n--a\0\r\n\r\n"
#define END "--bb--\r\n"

static void any_pieces(void **state) {
    (void)state;
    static const char body[] = PART("name=\"codec\"", "flac")
        FILE_PART PART("name=\"stems\"", "vocals") PART("name=\"stems\"", "drums")
            PART("name=\"empty\"", "") PART("name=\"options\"; filename=\"blob\"", "{}") END;
    static const char content[] = "RIFF\r\n--\r\n--a\0\r\n";
    for (size_t piece = 1; piece <= sizeof(body); piece++) {
        received file = {0};
        spl_problem problem;
        json_t *fields;
        assert_int_equal(feed(body, sizeof(body) - 1, piece, &file, &fields, &problem), 0);
        assert_int_equal(file.opened, 1);
        assert_string_equal(file.name, "song.wav");
        assert_string_equal(file.type, "audio/wav");
        assert_int_equal(file.size, sizeof(content) - 1);
        assert_memory_equal(file.data, content, file.size);
        json_t *expected = json_pack("{s:s, s:s, s:s, s:s}", "codec", "flac", "stems",
                                     "vocals,drums", "empty", "", "options", "{}");
        assert_true(json_equal(fields, expected));
        json_decref(expected);
        json_decref(fields);
        free(file.data);
    }
}

/* Asserts the file name of a part with this Content-Disposition and the content "x". */
static void named(const char *disposition, const char *name) {
    char body[512];
    const int size = snprintf(body, sizeof(body), "--bb\r\n%s\r\n\r\nx\r\n" END, disposition);
    received file = {0};
    spl_problem problem;
    json_t *fields = NULL;
    assert_int_equal(feed(body, (size_t)size, 7, &file, &fields, &problem), 0);
    assert_int_equal(file.opened, 1);
    assert_string_equal(file.name, name);
    assert_int_equal(file.size, 1);
    json_decref(fields);
    free(file.data);
}

/* As .NET, Go, curl, browsers, Apache HttpClient and urllib3 write them. */
static void names_of_files(void **state) {
    (void)state;
#define FORM_DATA "Content-Disposition: form-data; "
    named(FORM_DATA "name=file; filename=a.wav; filename*=utf-8''a.wav", "a.wav");
    named(FORM_DATA "name=file; filename=\"=?utf-8?B?w6QgYi53YXY=?=\"; "
                    "filename*=utf-8''%C3%A4%20b.wav",
          "\xc3\xa4 b.wav");
    named(FORM_DATA "name=\"file\"; filename*=UTF-8'en'%e2%82%ac.wav", "\xe2\x82\xac.wav");
    named(FORM_DATA "name=\"file\"; filename=\"a.wav\"; filename*=latin1''b.wav", "a.wav");
    named(FORM_DATA "name=\"file\"; filename=\"a.wav\"; filename*=utf-8''%00.wav", "a.wav");
    named(FORM_DATA "name=\"file\"; filename=\"a.wav\"; filename*=utf-8''%zz.wav", "a.wav");
    named(FORM_DATA "name=\"file\"; filename=\"say \\\"hi\\\".wav\"", "say \"hi\".wav");
    named(FORM_DATA "name=\"file\"; filename=\"say %22hi%22 100%.wav\"", "say \"hi\" 100%.wav");
    named(FORM_DATA "name=\"file\"; filename=\"C:\\music\\a;b=c.wav\"", "C:\\music\\a;b=c.wav");
    named(FORM_DATA "name=\"file\"; filename=\"a\\\\b.wav\"", "a\\b.wav");
    named("content-disposition:form-data;NAME=file;FileName=a.wav;", "a.wav");
    named("Content-Type: audio/wav\r\n" FORM_DATA "filename=a.wav; name=file", "a.wav");
    named(FORM_DATA "name=\"file\";\r\n\tfilename=\"a.wav\"\r\n"
                    "Content-Transfer-Encoding: binary",
          "a.wav");
    named(FORM_DATA "name=\"file\"", "(none)");
#undef FORM_DATA
}

static void ends_of_forms(void **state) {
    (void)state;
    static const char *const before[] = {"", "\r\n", "preamble\r\n"};
    static const char *const after[] = {"", "\r\n", "\r\n\r\n", "  \r\nepilogue\r\n--bb\r\n"};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(before); i++) {
        for (size_t k = 0; k < SPL_ARRAY_SIZE(after); k++) {
            char body[512];
            const int size = snprintf(body, sizeof(body),
                                      "%s--bb \t\r\nContent-Disposition: "
                                      "form-data; name=a\r\n\r\n--bb\r\nContent-Disposition: "
                                      "form-data; name=b\r\n\r\n\r\n-\r\n--bb--%s",
                                      before[i], after[k]);
            for (size_t piece = 1; piece <= (size_t)size; piece++) {
                received file = {0};
                spl_problem problem;
                json_auto_t *fields = NULL,
                            *expected = json_pack("{s:s, s:s}", "a", "", "b", "\r\n-");
                assert_int_equal(feed(body, (size_t)size, piece, &file, &fields, &problem), 0);
                assert_true(json_equal(fields, expected));
            }
        }
    }
}

static void refused(const char *body, size_t size, spl_problem_code code) {
    const size_t pieces[] = {1, 7, 1 << 20};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(pieces); i++) {
        received file = {0};
        spl_problem problem;
        json_t *fields;
        assert_true(feed(body, size, pieces[i], &file, &fields, &problem) < 0);
        assert_int_equal(problem.code, code);
        free(file.data);
    }
}

static void malformed_forms(void **state) {
    (void)state;
#define REFUSED(code, body) refused(body, sizeof(body) - 1, SPL_PROBLEM_##code)
    REFUSED(INVALID, FILE_PART FILE_PART END);
    REFUSED(INVALID, PART("name=\"codec\"", "\xff\xfe") END);
    REFUSED(BAD_REQUEST, PART("name=\"co\xff\"", "flac") END);
    REFUSED(BAD_REQUEST, FILE_PART);
    REFUSED(BAD_REQUEST, "--bb\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nno end");
    REFUSED(BAD_REQUEST, "--bb\r\nContent-Type: text/plain\r\n\r\nno name\r\n" END);
    REFUSED(BAD_REQUEST, "--bb\r\n\r\nno headers\r\n" END);
    REFUSED(BAD_REQUEST, "--bb\nContent-Disposition: form-data; name=a\n\nLF\n--bb--\n");
    REFUSED(BAD_REQUEST, "--bbb\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--bbb--");
    REFUSED(BAD_REQUEST, PART("name=\"a", "no end of the name") END);
    REFUSED(BAD_REQUEST, PART("name=a; filename=b c.wav", "a space") END);
    REFUSED(BAD_REQUEST, PART("name=a; name=b", "two names") END);
    REFUSED(BAD_REQUEST, PART("name=a\0", "a NUL") END);
    REFUSED(BAD_REQUEST, PART("name=a\x01", "a control character") END);
    REFUSED(BAD_REQUEST, PART("name=a\r\nContent-Disposition: form-data; name=b", "twice") END);
    REFUSED(BAD_REQUEST, PART("name=a\r\nContent-Transfer-Encoding: base64", "YQ==") END);
    REFUSED(INVALID, PART("name=a", "a NUL: \0") END);
    REFUSED(INVALID, PART("name=audio; filename=a.wav", "RIFF\xff\xff") END);
#undef REFUSED
}

static void limits(void **state) {
    (void)state;
    char *body = malloc(4 << 20);
    assert_non_null(body);
    size_t size =
        (size_t)snprintf(body, 200, "--bb\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n");
    memset(body + size, 'x', SPL_FORM_FIELD_MAX_BYTES + 1);
    size += SPL_FORM_FIELD_MAX_BYTES + 1;
    size += (size_t)snprintf(body + size, 20, "\r\n" END);
    refused(body, size, SPL_PROBLEM_INVALID);

    size = 0;
    for (int i = 0; i <= SPL_FORM_FIELDS_MAX; i++)
        size += (size_t)snprintf(body + size, 200, PART("name=\"f%d\"", "v"), i);
    size += (size_t)snprintf(body + size, 20, END);
    refused(body, size, SPL_PROBLEM_INVALID);

    size = (size_t)snprintf(body, 200, "--bb\r\nContent-Disposition: form-data; name=\"");
    memset(body + size, 'x', 64 << 10);
    refused(body, size + (64 << 10), SPL_PROBLEM_BAD_REQUEST);

    /* A preamble without a part. */
    memset(body, 'x', 3 << 20);
    received file = {0};
    spl_problem problem;
    json_t *fields;
    assert_true(feed(body, 3 << 20, 4096, &file, &fields, &problem) < 0);
    free(body);
}

static void what_the_sink_refuses(void **state) {
    (void)state;
    received file = {.refuse_at = 5};
    spl_problem problem;
    json_t *fields;
    assert_true(feed(FILE_PART END, sizeof(FILE_PART END) - 1, 1, &file, &fields, &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_TOO_LARGE);
    free(file.data);
}

static void boundaries(void **state) {
    (void)state;
    static const struct {
        const char *type;
        bool good;
    } cases[] = {
        {"multipart/form-data; boundary=bb", true},
        {"multipart/form-data; boundary=\"a'()+_,-./:=?b\"", true},
        {"multipart/form-data; charset=utf-8; boundary=----WebKit0123", true},
        {"multipart/form-data", false},
        {"multipart/form-data; boundary=b", true},
        {"multipart/form-data; boundary=bb; charset=utf-8", true},
        {"multipart/form-data; BOUNDARY=\"b b\" ; charset=UTF-8;", true},
        {"multipart/form-data;boundary = bb", true},
        {"multipart/form-data; boundary=bb; boundary=cc", false},
        {"multipart/form-data; boundary=bb cc", false},
        {"multipart/form-data; boundary=\"b \"", false},
        {"multipart/form-data; boundaryx=bb", false},
        {"multipart/form-data; boundary=", false},
        {"multipart/form-data; boundary=\"\"", false},
        {"multipart/form-data; boundary=\"bb", false},
        {"multipart/form-data; boundary="
         "0123456789012345678901234567890123456789012345678901234567890123456789x",
         false},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        const spl_multipart_sink sink = {open_file, write_file, NULL};
        spl_multipart *form = NULL;
        spl_problem problem;
        assert_int_equal(spl_multipart_open(cases[i].type, &sink, &form, &problem) == 0,
                         cases[i].good);
        spl_multipart_free(form);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_pieces),    cmocka_unit_test(names_of_files),
        cmocka_unit_test(ends_of_forms), cmocka_unit_test(malformed_forms),
        cmocka_unit_test(limits),        cmocka_unit_test(what_the_sink_refuses),
        cmocka_unit_test(boundaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
