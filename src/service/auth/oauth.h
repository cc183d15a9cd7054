/* SPDX-License-Identifier: MIT
 *
 * Signing in at an OAuth 2.0 server, by authorization code with PKCE (RFC 6749, RFC 7636, RFC 9700). All of it happens here: neither
 * the code's verifier nor a token comes near a script in a browser.
 */
#ifndef SPL_SERVICE_AUTH_OAUTH_H
#define SPL_SERVICE_AUTH_OAUTH_H

#include "service/settings.h"

#define SPL_OAUTH_SECRET_SIZE 160
#define SPL_OAUTH_S           600 /* for signing in there */

/* Where SPLEETER_PUBLIC_URL leads back to. */
#define SPL_OAUTH_CALLBACK "/v1/session/callback"

/* Whether the settings name a server. */
bool spl_oauth_configured(const spl_settings *settings);

/* The address at the server that the browser is sent to (the caller's), and what the browser is to keep meanwhile, in a cookie that no script can read;
 * sealed with `key`. `now_s`: Unix time. */
SPL_WARN_UNUSED int spl_oauth_begin(const spl_settings *settings, const uint8_t key[32],
                                    int64_t now_s, char **ret_url,
                                    char ret_secret[SPL_OAUTH_SECRET_SIZE], spl_error *ret_error);

/* The browser is back with `code` and `state`: fetches the access token (the caller's). Blocks for the server, which is asked only when `secret` is one of
 * ours, SPL_OAUTH_S old at most, and of that state. Errors: PERMISSION (it is not, or the server refuses), IO (it gives no answer), FORMAT, MEMORY. */
SPL_WARN_UNUSED int spl_oauth_finish(const spl_settings *settings, const uint8_t key[32],
                                     int64_t now_s, const char *secret, const char *state,
                                     const char *code, char **ret_token, spl_error *ret_error);

#endif
