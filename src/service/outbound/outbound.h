/* SPDX-License-Identifier: MIT
 *
 * HTTP requests that the service makes: webhooks, source URLs, JWKS and OAuth tokens. libcurl may
 * use https only (and http for hosts in the allow-list), and no redirects, proxy variables or
 * credentials in the URL. An address is checked when its socket opens, which defeats DNS rebinding.
 * Size and total time are limited.
 */
#ifndef SPL_SERVICE_OUTBOUND_OUTBOUND_H
#define SPL_SERVICE_OUTBOUND_OUTBOUND_H

#include "base/error.h"

typedef struct spl_outbound {
    const char *url;
    const char *owner; /* the key for which the name is looked up; NULL: the service itself */
    /* CIDRs of addresses that are allowed although they are not public; "": none. */
    const char *allow;
    /* The operator set the URL (JWKS): any address is allowed, and http. */
    bool allow_private;
    const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
    const char *body;           /* POST when not NULL */
    size_t body_size;
    uint64_t max_bytes;        /* of the response */
    unsigned timeout_s;        /* total */
    unsigned min_rate_bytes_s; /* of the response, over each ten seconds; 0: none */
    /* Receives the response body; a negative status ends the request. When NULL, the body is
     * discarded, and one longer than max_bytes is cut off without an error. */
    int (*write)(void *user, const void *data, size_t size);
    void *user;
    /* Polled during the request; non-zero cancels it (CANCELED). May be NULL. */
    int (*canceled)(void *user);
} spl_outbound;

typedef struct spl_outbound_answer {
    long status;
    uint64_t bytes;
    char content_type[128]; /* "" when none */
} spl_outbound_answer;

/* Calls curl_global_init. Call it once, before other threads start. */
SPL_WARN_UNUSED int spl_outbound_start(spl_error *ret_error);

/* Sends a request and receives the response; any HTTP status is success. Errors: ARGUMENT (the
 * URL), PERMISSION (the address is not allowed), LIMIT (size), CANCELED, MEMORY, the status of
 * `write`, EXHAUSTED, IO (all others). Thread-safe. */
SPL_WARN_UNUSED int spl_outbound_run(const spl_outbound *request, spl_outbound_answer *ret_answer,
                                     spl_error *ret_error);
/* Makes the checks of a URL that need no connection. Errors: ARGUMENT, PERMISSION, MEMORY. */
SPL_WARN_UNUSED int spl_outbound_check_url(const char *url, const char *allow,
                                           spl_error *ret_error);

/* Writes the URL's host in lower case, without port; "" when there is none. A name longer than
 * `size` loses its beginning. */
void spl_outbound_host(const char *url, char *ret_host, size_t size);

#endif
