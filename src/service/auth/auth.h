/* SPDX-License-Identifier: MIT
 *
 * Authentication: API keys (keys.h) and JWT bearer tokens (jwt.h), one door for both, with the
 * rates of failed attempts and of requests.
 */
#ifndef SPL_SERVICE_AUTH_AUTH_H
#define SPL_SERVICE_AUTH_AUTH_H

#include "service/auth/principal.h"
#include "service/core/problem.h"
#include "service/core/settings.h"

typedef struct spl_auth spl_auth;

/* The service's secret: 32 random bytes in DATA_DIR/secret (0600), made at first start. Purposes
 * get keys of their own from it by HKDF-SHA256 ("audit", "links", "webhooks"). */
SPL_WARN_UNUSED int spl_secret_open(const char *data_dir, uint8_t ret_secret[32],
                                    spl_error *ret_error);
/* The secret that SPLEETER_SECRET stands for. */
SPL_WARN_UNUSED int spl_secret_from_text(const char *text, uint8_t ret_secret[32],
                                         spl_error *ret_error);
SPL_WARN_UNUSED int spl_secret_derive(const uint8_t secret[32], const char *purpose,
                                      uint8_t ret_key[32], spl_error *ret_error);

/* Reads the keys; the JWKS is fetched when the first token comes. `settings` must outlive it. */
SPL_WARN_UNUSED int spl_auth_open(const spl_settings *settings, const uint8_t secret[32],
                                  spl_auth **ret_auth, spl_error *ret_error);
/* Reads DATA_DIR/keys.json anew (SIGHUP); on failure the old keys stay in force. */
SPL_WARN_UNUSED int spl_auth_reload(spl_auth *auth, spl_error *ret_error);
/* The service ends: fetches of the issuer's keys end within a second. */
void spl_auth_stop(spl_auth *auth);
void spl_auth_free(spl_auth *auth);

/* The two headers as they came, or NULL. "Authorization: Bearer" takes an API key too (Prometheus
 * can send no other). Both at once, or none outside development, are refused. Credentials are
 * checked before failures are counted, so a valid one is always accepted; the check is one hash for
 * a key and one signature over at most SPL_JWT_MAX_LENGTH bytes for a token. May block for a JWKS
 * fetch. Problems: UNAUTHORIZED, RATE_LIMITED (a failure, after too many from this address),
 * UNAVAILABLE (no JWKS can be had). Thread-safe. */
SPL_WARN_UNUSED int spl_auth_check(spl_auth *auth, const char *x_api_key, const char *authorization,
                                   const char *address, spl_principal *ret_principal,
                                   spl_problem *ret_problem);
/* Whether the client, an spl_principal.id, could still be let in: its key is there, or tokens are
 * taken. Its links and webhooks end with that. Thread-safe. */
bool spl_auth_has_client(spl_auth *auth, const char *client);
/* Counts a failed attempt from `address` (an IPv6 client is its /64); past 60 a minute, *problem
 * becomes RATE_LIMITED. Always returns PERMISSION. Thread-safe. */
int spl_auth_fail(spl_auth *auth, const char *address, spl_problem *problem);

/* Where it is kept which sessions were ended, for all processes. NULL functions: nowhere. */
typedef struct spl_session_source {
    int (*end)(void *user, const char *id, int64_t expires_s);
    int (*is_ended)(void *user, const char *id, bool *ret_ended);
    void *user;
} spl_session_source;
/* Before the first request. */
void spl_auth_share_sessions(spl_auth *auth, const spl_session_source *source);

/* Sessions of browsers (sessions.h): `principal` has just been let in by key or token.
 * *ret_expires_s is Unix time, 12 hours from now, or when the token expires. */
SPL_WARN_UNUSED int spl_session_open(const spl_auth *auth, const spl_principal *principal,
                                     int64_t now_s, char ret_cookie[256], int64_t *ret_expires_s,
                                     spl_error *ret_error);
/* Problems: UNAUTHORIZED: the session is over, or its key was revoked; UNAVAILABLE: it can't be
 * told whether it was ended. Thread-safe. */
SPL_WARN_UNUSED int spl_session_check(spl_auth *auth, const char *cookie, int64_t now_s,
                                      spl_principal *ret_principal, spl_problem *ret_problem);

/* Ends the session of that cookie, also in other processes; a cookie that is none is no error.
 * Problem: UNAVAILABLE. Thread-safe. */
SPL_WARN_UNUSED int spl_session_end(spl_auth *auth, const char *cookie, int64_t now_s,
                                    spl_problem *ret_problem);

/* What RateLimit headers say (draft-ietf-httpapi-ratelimit-headers). */
typedef struct spl_rate {
    unsigned limit, remaining, reset_s;
} spl_rate;
/* How rates of requests are shared by several processes: takes one of what `name` may have, each of
 * which takes `one_us` to come back; *ret_left_us is when all will have. A negative status: it
 * can't be told now, and this process counts alone. */
typedef int (*spl_rate_source)(void *user, const char *name, int64_t one_us, bool *ret_granted,
                               int64_t *ret_left_us);
/* Before the first request. */
void spl_auth_share_rates(spl_auth *auth, spl_rate_source take, void *user);
/* Takes one request from the principal's bucket; RATE_LIMITED with retry_after_s when it is empty.
 * *ret_rate is always written. Thread-safe. */
SPL_WARN_UNUSED int spl_auth_take(spl_auth *auth, const spl_principal *principal,
                                  spl_rate *ret_rate, spl_problem *ret_problem);

/* Signed links: `path` ("/v1/jobs/ID/stems/vocals.wav") may be read until `expires_s` (Unix time)
 * without a key. */
SPL_WARN_UNUSED int spl_link_sign(const spl_auth *auth, const char *path, int64_t expires_s,
                                  char ret_query[128], /* "expires=...&signature=..." */
                                  spl_error *ret_error);
bool spl_link_valid(const spl_auth *auth, const char *path, const char *expires,
                    const char *signature, int64_t now_s);

/* The Standard Webhooks secret of an owner: "whsec_" and base64 of 32 bytes, derived, so it needs
 * no storage. */
SPL_WARN_UNUSED int spl_webhook_secret(const uint8_t secret[32], const char *owner,
                                       char ret_secret[64], spl_error *ret_error);

#endif
