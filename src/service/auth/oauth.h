/* SPDX-License-Identifier: MIT
 *
 * Signing in at an OAuth 2.0 server, by authorization code with PKCE (RFC 6749, RFC 7636, RFC
 * 9700). All of it happens here: neither the code's verifier nor a token comes near a script in a
 * browser.
 */
#ifndef SPL_SERVICE_AUTH_OAUTH_H
#define SPL_SERVICE_AUTH_OAUTH_H

#include "service/core/settings.h"

#define SPL_OAUTH_SECRET_SIZE 160
#define SPL_OAUTH_S           600 /* for signing in there */

/* Where SPLEETER_PUBLIC_URL leads back to. */
#define SPL_OAUTH_CALLBACK "/v1/session/callback"

/* Whether the settings name a server. */
bool spl_oauth_configured(const spl_settings *settings);

/* The address at the server that the browser is sent to (the caller's), and what the browser is to
 * keep meanwhile, in a cookie that no script can read; sealed with `key`. `now_s`: Unix time. */
SPL_WARN_UNUSED int spl_oauth_begin(const spl_settings *settings, const uint8_t key[32],
                                    int64_t now_s, char **ret_url,
                                    char ret_secret[SPL_OAUTH_SECRET_SIZE], spl_error *ret_error);

/* What the browser is back with, each "" when it is missing. */
typedef struct spl_oauth_return {
    const char *secret; /* its cookie */
    const char *state, *code;
    int (*canceled)(void *user); /* whether nobody waits any more; asked several times a second */
    void *user;
} spl_oauth_return;

/* Fetches the access token (the caller's). Blocks for the server, which is asked only when the
 * secret is one of ours, SPL_OAUTH_S old at most, and of that state. Errors: PERMISSION (it is not,
 * or the server refuses), IO (it gives no answer, or nobody waits for it), FORMAT, MEMORY. */
SPL_WARN_UNUSED int spl_oauth_finish(const spl_settings *settings, const uint8_t key[32],
                                     int64_t now_s, const spl_oauth_return *back, char **ret_token,
                                     spl_error *ret_error);

#endif
