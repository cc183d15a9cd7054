/* SPDX-License-Identifier: MIT
 *
 * HTTP requests that the service makes: webhooks, source URLs, JWKS. libcurl, with what it may
 * reach cut down: https only (http too for hosts in the allow-list), no redirects, no proxy
 * variables, no credentials in the URL, the address checked when the socket opens (so that DNS
 * rebinding does not help), size and total time limited.
 */
#ifndef SPL_SERVICE_OUTBOUND_OUTBOUND_H
#define SPL_SERVICE_OUTBOUND_OUTBOUND_H

#include "base/error.h"

typedef struct spl_outbound {
    const char *url;
    const char
        *allow; /* CIDRs of addresses that are not public and allowed all the same; "" none */
    bool allow_private;         /* a URL that the operator set (JWKS): any address, http allowed */
    const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
    const char *body;           /* POST when not NULL */
    size_t body_size;
    uint64_t max_bytes;        /* of the answer */
    unsigned timeout_s;        /* in all */
    unsigned min_rate_bytes_s; /* of the answer, over ten seconds each; 0: none */
    /* Takes the answer's body; a negative status stops. NULL: it is thrown away, and one that is
     * longer than max_bytes is cut without a failure. */
    int (*write)(void *user, const void *data, size_t size);
    void *user;
    /* Asked now and then; a non-zero answer cancels (CANCELED). May be NULL. */
    int (*canceled)(void *user);
} spl_outbound;

typedef struct spl_outbound_answer {
    long status;
    uint64_t bytes;
    char content_type[128]; /* "" when none */
} spl_outbound_answer;

/* Once, before other threads: curl_global_init. */
SPL_WARN_UNUSED int spl_outbound_start(spl_error *ret_error);

/* Errors: ARGUMENT (URL), PERMISSION (the address is denied), LIMIT (size), IO (all else),
 * CANCELED. Any HTTP status is success. Thread-safe. */
SPL_WARN_UNUSED int spl_outbound_run(const spl_outbound *request, spl_outbound_answer *ret_answer,
                                     spl_error *ret_error);
/* The checks that need no connection. */
SPL_WARN_UNUSED int spl_outbound_check_url(const char *url, const char *allow,
                                           spl_error *ret_error);

/* The URL's host in lower case, without port; "" when there is none. Of a longer name the end. */
void spl_outbound_host(const char *url, char *ret_host, size_t size);

#endif
