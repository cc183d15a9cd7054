/* SPDX-License-Identifier: MIT
 *
 * One request, from its request line to the end of its answer (callbacks.h).
 */
#ifndef SPL_SERVICE_HTTP_CONNECTION_REQUEST_H
#define SPL_SERVICE_HTTP_CONNECTION_REQUEST_H

#include "service/core/ids.h"
#include "service/http/connection/framing.h"
#include "service/http/connection/state.h"
#include "service/http/connection/target.h"

#include <jansson.h>
#include <microhttpd.h>

/* The session cookie, and the header that the web page sends. Requests with a session need that
 * header to change anything: other sites can't send it without a CORS permission, which is never
 * granted. Requests with the header also receive files directly rather than by a redirect. */
#define SPL_SESSION_COOKIE "spleeterd_session"
#define SPL_OAUTH_COOKIE   "spleeterd_oauth"
#define SPL_SECURE_PREFIX  "__Host-"
#define SPL_PAGE_HEADER    "X-Spleeterd-Page"

typedef struct spl_request {
    spl_http *http;
    const spl_http_parts *parts;
    struct MHD_Connection *connection;
    spl_guarded *guarded;
    const spl_route *route; /* NULL: none matches */
    const char *method;     /* one of a constant set */
    char *raw_target;
    /* The target in libmicrohttpd's buffer, to check what lies between it and the version. */
    const char *raw_place;
    spl_target target;
    /* {id} (a valid UUID) and {file} of the route; NULL: it has none. */
    const char *path_id, *path_file;
    spl_framing framing;
    char address[64]; /* of the client, as far as proxies are trusted */
    bool secure;      /* the client uses TLS, with the service or with a proxy */
    char id[64];
    spl_trace trace;
    bool authenticated;  /* principal is set */
    bool by_link;        /* a signed link authorizes it, whoever the client is */
    char link_owner[64]; /* of its job, if by_link */
    spl_principal principal;
    bool has_rate;
    spl_rate rate;
    double started_s;
    uint64_t received_bytes, sent_bytes; /* of bodies */
    uint64_t discarded_bytes;            /* received after the refusal */

    bool opened, refused, must_close;
    spl_problem problem;    /* when refused */
    const char *allow;      /* methods, for OPTIONS and 405 */
    char content_range[40]; /* for 416 */
    unsigned status;        /* of the answer; 0: none yet */

    void *state; /* the route's, created by `start` */
    void (*free_state)(void *state);
} spl_request;

/* Returns the value of SPL_SESSION_COOKIE or SPL_OAUTH_COOKIE, or NULL. If the client uses TLS, the
 * cookie's full name starts with "__Host-", so that no other host and no plaintext connection can
 * have set it. */
const char *spl_request_cookie(const spl_request *request, const char *name);
/* NULL if the header is absent. */
const char *spl_request_header(const spl_request *request, const char *name);
/* Returns true if nobody waits for the answer any more: the client has disconnected, or the server
 * is stopping. */
bool spl_request_gone(const spl_request *request);
/* As spl_request_gone; `user` is the request. For waits that poll whether to end. */
int spl_request_is_gone(void *user);
/* The owner whose jobs the request may access; NULL: any owner's, by a signed link. */
const char *spl_request_owner(const spl_request *request);
/* Records in the audit log who did `action` to `id`. Problems: UNAVAILABLE, STORAGE_FULL; the
 * action must then not be performed. */
SPL_WARN_UNUSED int spl_request_audit(const spl_request *request, const char *action,
                                      const char *id, const char *detail, spl_problem *ret_problem);
/* Records who read a file of the job `id`. A full disk does not prevent the read. */
void spl_request_note_read(const spl_request *request, const char *id, const char *file);
/* Records in the audit log that a request for the path of `route` was refused. The request stays
 * refused even if the audit log can't be written. */
void spl_request_note_refusal(const spl_request *request, const char *route,
                              const spl_problem *problem);
/* Returns true if the request may cause one more line of log or audit log (anonymous.h). */
bool spl_request_may_write(const spl_request *request, spl_anonymous_line line);
/* Logs why a request was refused whose answer is only a redirect. The budgets of anonymous.h limit
 * these lines. */
void spl_request_log_failure(const spl_request *request, const char *event,
                             const spl_problem *problem);

#endif
