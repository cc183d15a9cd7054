/* SPDX-License-Identifier: MIT
 *
 * Sign-in at an OAuth 2.0 server by authorization code with PKCE (RFC 6749, RFC 7636, RFC 9700).
 * The service runs the whole exchange, so no script in a browser can read the code's verifier or a
 * token.
 */
#ifndef SPL_SERVICE_AUTH_OAUTH_H
#define SPL_SERVICE_AUTH_OAUTH_H

#include "service/core/settings.h"

#define SPL_OAUTH_SECRET_SIZE 160
#define SPL_OAUTH_S           600 /* time limit of a sign-in */

/* Path of the redirect URI, below SPLEETER_PUBLIC_URL. */
#define SPL_OAUTH_CALLBACK "/v1/session/callback"

/* Whether the settings name an OAuth server. */
bool spl_oauth_configured(const spl_settings *settings);

/* Begins a sign-in. *ret_url, owned by the caller, is the server's address for the browser. The
 * browser keeps ret_secret, sealed with `key`, in a cookie that no script can read. `now_s`: Unix
 * time. */
SPL_WARN_UNUSED int spl_oauth_begin(const spl_settings *settings, const uint8_t key[32],
                                    int64_t now_s, char **ret_url,
                                    char ret_secret[SPL_OAUTH_SECRET_SIZE], spl_error *ret_error);

/* What the browser returns with; "" for a missing value. */
typedef struct spl_oauth_return {
    const char *secret; /* from its cookie */
    const char *state, *code;
    /* Whether the client has disconnected; polled several times a second. */
    int (*canceled)(void *user);
    void *user;
} spl_oauth_return;

/* Fetches the access token, owned by the caller, and blocks for the server. The server is contacted
 * only if the secret is sealed with `key`, at most SPL_OAUTH_S old, and has that state. Errors:
 * PERMISSION (the secret fails these checks, or the server refuses), IO (the server does not
 * respond, or the client has disconnected), FORMAT, MEMORY. */
SPL_WARN_UNUSED int spl_oauth_finish(const spl_settings *settings, const uint8_t key[32],
                                     int64_t now_s, const spl_oauth_return *back, char **ret_token,
                                     spl_error *ret_error);

#endif
