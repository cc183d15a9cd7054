/* SPDX-License-Identifier: MIT
 *
 * Fuzzes a form with the boundary "bb". The result must be the same whether the form arrives in one
 * piece or in pieces of as many bytes as the first byte plus one.
 */
#include "service/http/connection/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct sum {
    uint64_t bytes, hash;
} sum;

static int open_file(void *user, const char *name, const char *type, spl_problem *ret_problem) {
    (void)user;
    (void)name;
    (void)type;
    (void)ret_problem;
    return 0;
}

static int write_file(void *user, const void *data, size_t size, spl_problem *ret_problem) {
    (void)ret_problem;
    sum *file = user;
    for (size_t i = 0; i < size; i++)
        file->hash = file->hash * 31 + ((const uint8_t *)data)[i];
    file->bytes += size;
    return 0;
}

static int feed(const char *body, size_t size, size_t piece, sum *file, json_t **ret_fields) {
    const spl_multipart_sink sink = {open_file, write_file, file};
    spl_multipart *form;
    spl_problem problem;
    if (spl_multipart_open("multipart/form-data; boundary=bb", &sink, &form, &problem) < 0)
        __builtin_trap();
    int status = 0;
    for (size_t at = 0; at < size && status == 0; at += piece)
        status = spl_multipart_take(form, body + at, SPL_MIN(piece, size - at), &problem);
    if (status == 0)
        status = spl_multipart_finish(form, ret_fields, &problem);
    spl_multipart_free(form);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    json_auto_t *fields = NULL, *again = NULL;
    sum file = {0}, pieces = {0};
    const char *body = (const char *)data + 1;
    int status = feed(body, size - 1, size, &file, &fields);
    int other = feed(body, size - 1, (size_t)data[0] + 1, &pieces, &again);
    if (status != other)
        __builtin_trap();
    if (status == 0 &&
        (file.bytes != pieces.bytes || file.hash != pieces.hash || !json_equal(fields, again)))
        __builtin_trap();
    return 0;
}
