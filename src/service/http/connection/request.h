/* SPDX-License-Identifier: MIT
 *
 * One request, from its request line to the end of its answer. libmicrohttpd calls back for the
 * request line, the headers, each piece of the body, and the end. These calls become the three
 * steps of a route: start (the headers are complete, the client is identified), body, answer. A
 * step that refuses the request produces a problem document. All steps run on the connection's
 * thread and may block.
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
    bool authenticated; /* principal is set */
    bool by_link;       /* a signed link authorizes it, whoever the client is */
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
/* Returns true if the credential of the request is no longer valid: its key was revoked or rotated,
 * or its token, link or session has ended. Long answers check this, also while they are being
 * sent. */
bool spl_request_revoked(spl_request *request);
/* The owner whose jobs the request may access; NULL: any owner's, by a signed link. */
const char *spl_request_owner(const spl_request *request);
/* Records in the audit log who did `action` to `id`. Problems: UNAVAILABLE, STORAGE_FULL; the
 * action must then not be performed. */
SPL_WARN_UNUSED int spl_request_audit(const spl_request *request, const char *action,
                                      const char *id, const char *detail, spl_problem *ret_problem);
/* Records who read a file of the job `id`. A full disk does not prevent the read. */
void spl_request_note_read(const spl_request *request, const char *id, const char *file);

/* Logs why a request was refused whose answer is only a redirect. The budgets of anonymous.h limit
 * these lines. */
void spl_request_log_failure(const spl_request *request, const char *event,
                             const spl_problem *problem);

/* The callbacks of libmicrohttpd; `user` is the spl_http. */
void *spl_request_begin(void *user, const char *target, struct MHD_Connection *connection);
enum MHD_Result spl_request_handle(void *user, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *data,
                                   size_t *size, void **state);
void spl_request_end(void *user, struct MHD_Connection *connection, void **state,
                     enum MHD_RequestTerminationCode why);
/* Returns whether libmicrohttpd (1.0.0 or later) itself refuses what spl_framing_contiguous
 * detects. */
bool spl_library_can_be_strict(void);
/* Passes libmicrohttpd's messages to the log. */
void spl_request_library_log(void *user, const char *format, va_list arguments);

#endif
