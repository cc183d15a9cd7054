/* SPDX-License-Identifier: MIT
 *
 * Authentication by API keys (keys.h) and JWT bearer tokens (jwt.h), with limits on the rates of
 * requests and of failed attempts.
 */
#ifndef SPL_SERVICE_AUTH_AUTH_H
#define SPL_SERVICE_AUTH_AUTH_H

#include "service/auth/links.h"
#include "service/auth/principal.h"
#include "service/auth/rate.h"
#include "service/core/problem.h"
#include "service/core/settings.h"

typedef struct spl_auth spl_auth;

/* Reads the service's secret, 32 random bytes in DATA_DIR/secret (0600), or creates it at the first
 * start. Each purpose, such as "audit" or "links", has its own key, derived from the secret by
 * HKDF-SHA256. */
SPL_WARN_UNUSED int spl_secret_open(const char *data_dir, uint8_t ret_secret[32],
                                    spl_error *ret_error);
/* Checks DATA_DIR/secret as spl_secret_open does, without creating it. */
SPL_WARN_UNUSED int spl_secret_check(const char *data_dir, spl_error *ret_error);
/* Makes the secret from the text of SPLEETER_SECRET. */
SPL_WARN_UNUSED int spl_secret_from_text(const char *text, uint8_t ret_secret[32],
                                         spl_error *ret_error);
SPL_WARN_UNUSED int spl_secret_derive(const uint8_t secret[32], const char *purpose,
                                      uint8_t ret_key[32], spl_error *ret_error);

/* Reads the keys. The JWKS is fetched when the first token arrives. `settings` must outlive
 * *ret_auth. */
SPL_WARN_UNUSED int spl_auth_open(const spl_settings *settings, const uint8_t secret[32],
                                  spl_auth **ret_auth, spl_error *ret_error);
/* Reads DATA_DIR/keys.json again (SIGHUP). On failure the old keys stay in force. */
SPL_WARN_UNUSED int spl_auth_reload(spl_auth *auth, spl_error *ret_error);
/* Makes fetches of the issuer's keys end within a second, for a shutdown. */
void spl_auth_stop(spl_auth *auth);
void spl_auth_free(spl_auth *auth);

/* Authenticates a request by its two headers, unmodified or NULL. "Authorization: Bearer" also
 * accepts an API key because Prometheus can send no other header. Both headers at once, or none
 * outside development, are refused. Credentials are checked before failures are counted, so valid
 * ones are always accepted; a check costs one hash for a key, or one signature over at most
 * SPL_JWT_MAX_LENGTH bytes for a token. May block for a JWKS fetch. Problems: UNAUTHORIZED,
 * RATE_LIMITED (a failure, after too many from this address), UNAVAILABLE (the JWKS is
 * unavailable). Thread-safe. */
SPL_WARN_UNUSED int spl_auth_check(spl_auth *auth, const char *x_api_key, const char *authorization,
                                   const char *address, spl_principal *ret_principal,
                                   spl_problem *ret_problem);
/* Whether `client` (an spl_principal.id) can still authenticate: its key exists, or tokens are
 * accepted. The client's webhooks end when it cannot. Thread-safe. */
bool spl_auth_has_client(spl_auth *auth, const char *client);
/* Lists the clients whose keys the last spl_auth_reload took away: each call returns the next one
 * after *position, which starts at 0, or false if there are no more. Call it from the thread that
 * reloads. */
bool spl_auth_next_revoked(spl_auth *auth, size_t *position, char ret_client[64]);
/* Counts a failed attempt from `address`; an IPv6 client is its /64. Beyond 60 a minute *problem
 * becomes RATE_LIMITED. Always returns PERMISSION. Thread-safe. */
int spl_auth_fail(spl_auth *auth, const char *address, spl_problem *problem);

/* The record of ended sessions, shared by all processes. NULL functions: there is none. */
typedef struct spl_session_source {
    int (*end)(void *user, const char *id, int64_t expires_s);
    int (*is_ended)(void *user, const char *id, bool *ret_ended);
    void *user;
} spl_session_source;
/* Call before the first request. */
void spl_auth_share_sessions(spl_auth *auth, const spl_session_source *source);

/* Opens a browser session (sessions.h) for `principal`, which has just authenticated by key or
 * token. *ret_expires_s (Unix time) is 12 hours after `now_s`, or the token's expiry if that is
 * earlier. A principal may open 60 a minute and end 60 a minute, an address 300; this also limits
 * the rows of the record of ended sessions. Problems: RATE_LIMITED, INTERNAL. Thread-safe. */
SPL_WARN_UNUSED int spl_session_open(spl_auth *auth, const spl_principal *principal,
                                     const char *address, int64_t now_s, char ret_cookie[256],
                                     int64_t *ret_expires_s, spl_problem *ret_problem);
/* Takes one of the 60 sign-ins a minute that an address may begin at the token server. Problem:
 * RATE_LIMITED with retry_after_s. Thread-safe. */
SPL_WARN_UNUSED int spl_sign_in_take(spl_auth *auth, const char *address, spl_problem *ret_problem);

/* Authenticates a request by its session cookie. Failures count as those of spl_auth_check.
 * Problems: UNAUTHORIZED (the session has ended, or its key was revoked), RATE_LIMITED (the same,
 * after too many failures from this address), UNAVAILABLE (the record of ended sessions cannot be
 * read). Thread-safe. */
SPL_WARN_UNUSED int spl_session_check(spl_auth *auth, const char *cookie, const char *address,
                                      int64_t now_s, spl_principal *ret_principal,
                                      spl_problem *ret_problem);

/* Ends the session of `cookie` in all processes. An invalid or ended cookie is not an error, but
 * counts as a failed attempt. Problems: RATE_LIMITED, UNAVAILABLE. Thread-safe. */
SPL_WARN_UNUSED int spl_session_end(spl_auth *auth, const char *cookie, const char *address,
                                    int64_t now_s, spl_problem *ret_problem);

/* Finds out whether the credential of `principal` was revoked after it had authenticated a request:
 * its key was revoked or rotated, its session ended, or tokens are no longer accepted. That a token
 * or session expires in the meantime is no revocation. Errors: IO (the record of ended sessions
 * cannot be read). Thread-safe. */
SPL_WARN_UNUSED int spl_auth_revoked(spl_auth *auth, const spl_principal *principal,
                                     bool *ret_revoked);

/* Takes one request from a rate that several processes share. `name` regains one request every
 * `one_us`; *ret_left_us is the time until it has all of them. On a negative status the rate is
 * unavailable, and this process counts alone. */
typedef int (*spl_rate_source)(void *user, const char *name, int64_t one_us, bool *ret_granted,
                               int64_t *ret_left_us);
/* Call before the first request. */
void spl_auth_share_rates(spl_auth *auth, spl_rate_source take, void *user);
/* Takes one request from the principal's bucket. Problem: RATE_LIMITED with retry_after_s (the
 * bucket is empty). *ret_rate is always written. Thread-safe. */
SPL_WARN_UNUSED int spl_auth_take(spl_auth *auth, const spl_principal *principal,
                                  spl_rate *ret_rate, spl_problem *ret_problem);
/* Takes one request from the bucket of all links to the jobs of `owner` (an spl_principal.id),
 * which has ten times RATE_PER_MINUTE: players read a file by many requests. Problem: RATE_LIMITED
 * with retry_after_s. Thread-safe. */
SPL_WARN_UNUSED int spl_auth_take_link(spl_auth *auth, const char *owner, spl_problem *ret_problem);

/* Signs a link that `maker` gives out: until `expires_s` (Unix time) `path`
 * ("/v1/jobs/ID/stems/vocals.wav") may be read without a key. */
SPL_WARN_UNUSED int spl_link_sign(const spl_auth *auth, const char *path,
                                  const spl_principal *maker, int64_t expires_s,
                                  char ret_query[SPL_LINK_SIZE], spl_error *ret_error);
bool spl_link_valid(const spl_auth *auth, const char *path, const spl_link *link, int64_t now_s);
/* Whether the maker of a valid link can still read what `owner` (spl_principal.owner) owns. A key
 * that was revoked cannot, nor a key that was added again under its name. Links of tokens' users
 * last until they expire. Thread-safe. */
bool spl_link_has_maker(spl_auth *auth, const spl_link *link, const char *owner);

/* The Standard Webhooks secret of an owner: "whsec_" and base64 of 32 bytes. It is derived, so it
 * needs no storage. */
SPL_WARN_UNUSED int spl_webhook_secret(const uint8_t secret[32], const char *owner,
                                       char ret_secret[64], spl_error *ret_error);

#endif
