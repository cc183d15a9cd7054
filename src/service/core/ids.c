/* SPDX-License-Identifier: MIT
 *
 * A UUID version 7 is 48 bits of milliseconds, 12 bits that count within a millisecond, and 62
 * random bits. The counter makes the ids of one process strictly increasing (RFC 9562, 6.2, method
 * 1).
 */
#include "service/core/ids.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static void fill_random(void *bytes, size_t size) {
    while (getrandom(bytes, size, 0) != (ssize_t)size) {
        if (errno != EINTR)
            abort(); /* every supported kernel has it */
    }
}

/* Milliseconds and counter, larger than in any earlier call. */
static uint64_t next_stamp(void) {
    static _Atomic uint64_t last;
    const uint64_t now = (uint64_t)spl_wall_ms() << 12;
    uint64_t before = atomic_load(&last), next;
    do {
        next = SPL_MAX(now, before + 1);
    } while (!atomic_compare_exchange_weak(&last, &before, next));
    return next;
}

void spl_uuid_make(char ret_text[37]) {
    const uint64_t stamp = next_stamp();
    uint64_t random;
    fill_random(&random, sizeof(random));
    snprintf(ret_text, 37, "%08" PRIx64 "-%04" PRIx64 "-7%03" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
             stamp >> 28 & 0xffffffff, stamp >> 12 & 0xffff, stamp & 0xfff, 0x8000 | (random >> 50),
             random & UINT64_C(0xffffffffffff));
}

/* Whether `text` starts with `length` lower-case hex digits. */
static bool is_hex(const char *text, size_t length) {
    return strspn(text, "0123456789abcdef") >= length;
}

bool spl_uuid_valid(const char *text) {
    return strlen(text) == 36 && is_hex(text, 8) && text[8] == '-' && is_hex(text + 9, 4) &&
           text[13] == '-' && text[14] == '7' && is_hex(text + 15, 3) && text[18] == '-' &&
           strchr("89ab", text[19]) && is_hex(text + 20, 3) && text[23] == '-' &&
           is_hex(text + 24, 12);
}

void spl_request_id_choose(const char *header, char ret_id[64]) {
    const size_t length = header ? strlen(header) : 0;
    if (length == 0 || length > 63 ||
        strspn(header, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") !=
            length)
        spl_uuid_make(ret_id);
    else
        memcpy(ret_id, header, length + 1);
}

/* Whether `text` is VERSION-TRACE-SPAN-FLAGS in lower-case hex, with trace and span not all zeros.
 * Later versions than 00 may continue after another '-'. */
static bool is_traceparent(const char *text) {
    return is_hex(text, 2) && strncmp(text, "ff", 2) != 0 && text[2] == '-' &&
           is_hex(text + 3, 32) && strncmp(text + 3, "00000000000000000000000000000000", 32) != 0 &&
           text[35] == '-' && is_hex(text + 36, 16) &&
           strncmp(text + 36, "0000000000000000", 16) != 0 && text[52] == '-' &&
           is_hex(text + 53, 2) &&
           (text[55] == '\0' || (text[55] == '-' && strncmp(text, "00", 2) != 0));
}

void spl_trace_start(const char *traceparent, spl_trace *ret_trace) {
    const bool goes_on = traceparent && is_traceparent(traceparent);
    uint64_t random[3];
    fill_random(random, sizeof(random));
    spl_trace trace;
    if (goes_on)
        snprintf(trace.trace_id, sizeof(trace.trace_id), "%.32s", traceparent + 3);
    else
        snprintf(trace.trace_id, sizeof(trace.trace_id), "%016" PRIx64 "%016" PRIx64, random[0] | 1,
                 random[1]);
    snprintf(trace.parent, sizeof(trace.parent), "00-%s-%016" PRIx64 "-%.2s", trace.trace_id,
             random[2] | 1, goes_on ? traceparent + 53 : "00");
    *ret_trace = trace;
}
