/* SPDX-License-Identifier: MIT
 *
 * The problem that a client receives when a request cannot be served. Modules below http fill in an
 * spl_problem; http turns it into application/problem+json (RFC 9457) with the status and title of
 * its code.
 */
#ifndef SPL_SERVICE_CORE_PROBLEM_H
#define SPL_SERVICE_CORE_PROBLEM_H

#include "base/error.h"

/* X(name, HTTP status, code, title): the code is stable, and the end of the problem's type URI. */
#define SPL_PROBLEMS(X)                                                                            \
    X(BAD_REQUEST, 400, "bad-request", "The request is malformed")                                 \
    X(UNAUTHORIZED, 401, "unauthorized", "Authentication is missing or wrong")                     \
    X(FORBIDDEN, 403, "forbidden", "This key may not do that")                                     \
    X(NOT_FOUND, 404, "not-found", "There is nothing here")                                        \
    X(METHOD, 405, "method-not-allowed", "This address does not accept that method")               \
    X(CONFLICT, 409, "conflict", "The job's state does not allow that")                            \
    X(IDEMPOTENCY_BUSY, 409, "idempotency-in-flight", "A request with this key is in flight")      \
    X(GONE, 410, "gone", "The job's files have expired")                                           \
    X(LENGTH_REQUIRED, 411, "length-required", "The request needs a length")                       \
    X(TOO_LARGE, 413, "too-large", "The upload is too large")                                      \
    X(TOO_LONG, 413, "too-long", "The song is too long")                                           \
    X(URI_TOO_LONG, 414, "uri-too-long", "The address is too long")                                \
    X(MEDIA_TYPE, 415, "unsupported-media-type", "This type of content is not accepted")           \
    X(RANGE, 416, "range-not-satisfiable", "The range lies outside the file")                      \
    X(INVALID, 422, "invalid", "A field has a value that is not allowed")                          \
    X(UNREADABLE_AUDIO, 422, "unreadable-audio", "The audio could not be decoded")                 \
    X(INFECTED, 422, "infected", "The virus scanner refused the file")                             \
    X(IDEMPOTENCY_REUSED, 422, "idempotency-key-reused", "This key was used with other content")   \
    X(SOURCE_REFUSED, 422, "source-refused", "The source URL can't be used")                       \
    X(RATE_LIMITED, 429, "rate-limited", "Too many requests")                                      \
    X(QUOTA, 429, "quota-exceeded", "This key's quota is used up")                                 \
    X(QUEUE_FULL, 429, "queue-full", "The queue is full")                                          \
    X(HEADERS_TOO_LARGE, 431, "headers-too-large", "The headers are too large")                    \
    X(INTERNAL, 500, "internal", "The service failed")                                             \
    X(SCAN_UNAVAILABLE, 503, "scan-unavailable", "The virus scanner does not answer")              \
    X(UNAVAILABLE, 503, "unavailable", "The service can't take this now")                          \
    X(DRAINING, 503, "draining", "The service is shutting down")                                   \
    X(STORAGE_FULL, 507, "storage-full", "The disk is full")

typedef enum spl_problem_code {
#define SPL_PROBLEM_ENUM(name, status, code, title) SPL_PROBLEM_##name,
    SPL_PROBLEMS(SPL_PROBLEM_ENUM)
#undef SPL_PROBLEM_ENUM
        SPL_PROBLEM_COUNT,
} spl_problem_code;

typedef struct spl_problem {
    spl_problem_code code;
    char detail[512]; /* one sentence for people: what was wrong and what to do */
    char field[64];   /* the wrong field of the request, or "" */
    /* The setting that holds the limit, such as SPLEETER_MAX_FILE_SIZE_MB, or "". */
    char setting[48];
    unsigned retry_after_s; /* 0: none */
} spl_problem;

/* The type of a problem is this prefix and its code (RFC 9457):
 * "urn:spleeterd:problem:queue-full". */
#define SPL_PROBLEM_TYPE_PREFIX "urn:spleeterd:problem:"

/* The code, HTTP status and title, such as "queue-full", 429 and "The queue is full". */
const char *spl_problem_code_text(spl_problem_code code);
unsigned spl_problem_http_status(spl_problem_code code);
const char *spl_problem_title(spl_problem_code code);

/* Fills *ret_problem (code and detail, all else zero) and returns a negative spl_status for the
 * caller to return. */
int spl_refuse(spl_problem *ret_problem, spl_problem_code code, const char *format, ...)
    SPL_PRINTF(3, 4);

/* As spl_refuse, with the field of the request and the setting that the problem concerns. Both may
 * be NULL. */
int spl_refuse_about(spl_problem *ret_problem, spl_problem_code code, const char *field,
                     const char *setting, const char *format, ...) SPL_PRINTF(5, 6);

/* Refuses with CONFLICT and a retry time when a job must end before it has the requested data. */
int spl_refuse_yet(spl_problem *ret_problem, const char *detail);

/* UNAVAILABLE, because memory ran out. */
int spl_refuse_memory(spl_problem *ret_problem);
/* UNAVAILABLE, because the client has disconnected. The log and the metrics receive the problem. */
int spl_refuse_disconnected(spl_problem *ret_problem);
/* DRAINING with a retry time. */
int spl_refuse_draining(spl_problem *ret_problem);

/* Turns an error of an inner module into a problem: NO_SPACE becomes STORAGE_FULL, MEMORY and IO
 * become UNAVAILABLE, all others INTERNAL. The detail is a constant; the message of `error` is for
 * the log, not for the client. Returns the status of `error`. */
int spl_refuse_error(spl_problem *ret_problem, const spl_error *error);

#endif
