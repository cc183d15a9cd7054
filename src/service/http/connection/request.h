/* SPDX-License-Identifier: MIT
 *
 * One request, from its first line to the end of its answer. libmicrohttpd calls for the request
 * line, the headers, each piece of body, and the end; this turns that into the three steps of a
 * route: start (headers are there, the client is known), body, answer. What a step refuses becomes
 * a problem document. All runs on the connection's thread, so a step may block.
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_REQUEST_H
#define SPL_SERVICE_HTTP_CONNECTION_REQUEST_H

#include "service/core/ids.h"
#include "service/http/connection/framing.h"
#include "service/http/connection/server.h"
#include "service/http/connection/target.h"

#include <jansson.h>
#include <microhttpd.h>
#include <stdarg.h>

/* The cookie of a session, and the header that the web page sends: without it a session lets nobody
 * change anything, for another site can't send it unasked, and nobody is allowed to; and with it
 * files come from here rather than by a redirect. */
#define SPL_SESSION_COOKIE "spleeterd_session"
#define SPL_OAUTH_COOKIE   "spleeterd_oauth"
#define SPL_SECURE_PREFIX  "__Host-"
#define SPL_PAGE_HEADER    "X-Spleeterd-Page"

typedef struct spl_request {
    spl_http *http;
    const spl_http_parts *parts;
    struct MHD_Connection *connection;
    spl_guarded *guarded;
    const spl_route *route; /* NULL: none fits */
    const char *method;     /* one of a constant set */
    char *raw_target;
    const char *raw_place; /* where libmicrohttpd keeps it, to compare with */
    spl_target target;
    const char *path_id,
        *path_file; /* {id} (a valid UUID) and {file} of the route; NULL: it has none */
    spl_framing framing;
    char address[64]; /* of the client, as far as proxies are trusted */
    bool secure;      /* the client uses TLS, with the service or with a proxy */
    char id[64];
    spl_trace trace;
    bool authenticated; /* principal is set */
    bool by_link;       /* a signed link lets this in, whoever it is */
    spl_principal principal;
    bool has_rate;
    spl_rate rate;
    double started_s;
    uint64_t received_bytes, sent_bytes; /* of bodies */

    bool opened, refused, must_close;
    spl_problem problem;    /* when refused */
    const char *allow;      /* methods, for OPTIONS and 405 */
    char content_range[40]; /* for 416 */
    unsigned status;        /* of the answer; 0: none yet */

    void *state; /* of the route, made by start */
    void (*free_state)(void *state);
} spl_request;

/* The value of one of these cookies, or NULL. Where clients use TLS its name starts with "__Host-",
 * so that no other host, and nobody without TLS, can have set it. */
const char *spl_request_cookie(const spl_request *request, const char *name);
/* NULL when it is not there. */
const char *spl_request_header(const spl_request *request, const char *name);
/* Whether nobody waits for the answer any more: the client has hung up, or the server stops. */
bool spl_request_gone(const spl_request *request);
/* Whether what let it in counts no more: a key that was revoked or rotated, a token, link or
 * session that has ended. For answers that take long; also asked while they are written. */
bool spl_request_revoked(spl_request *request);
/* The owner whose jobs it may see; NULL: any, by a signed link. */
const char *spl_request_owner(const spl_request *request);
/* Notes in the audit log who did `action` to `id`. Problems: UNAVAILABLE, STORAGE_FULL: then it
 * must not be done. */
SPL_WARN_UNUSED int spl_request_audit(const spl_request *request, const char *action,
                                      const char *id, const char *detail, spl_problem *ret_problem);
/* Notes who read a file of the job `id`; a full disk does not keep anybody from reading. */
void spl_request_note_read(const spl_request *request, const char *id, const char *file);

/* Logs why a person, who sees only where to go on, was refused; strangers cause some lines a
 * minute. */
void spl_request_log_failure(const spl_request *request, const char *event,
                             const spl_problem *problem);

/* The callbacks of libmicrohttpd; `user` is the spl_http. */
void *spl_request_begin(void *user, const char *target, struct MHD_Connection *connection);
enum MHD_Result spl_request_handle(void *user, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *data,
                                   size_t *size, void **state);
void spl_request_end(void *user, struct MHD_Connection *connection, void **state,
                     enum MHD_RequestTerminationCode why);
/* Whether libmicrohttpd, from 1.0.0 on, can itself refuse what spl_framing_contiguous looks for. */
bool spl_library_can_be_strict(void);
/* Its messages go to the log. */
void spl_request_library_log(void *user, const char *format, va_list arguments);

#endif
