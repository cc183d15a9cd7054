/* SPDX-License-Identifier: MIT
 *
 * Browser sessions: a sealed text for a cookie, with the principal, its key and the expiry. It is
 * valid only while that key exists and the session was not ended (auth.h).
 */
#ifndef SPL_SERVICE_AUTH_SESSIONS_H
#define SPL_SERVICE_AUTH_SESSIONS_H

#include "service/auth/principal.h"

#define SPL_SESSION_MAX_S  (12 * 3600)
/* By how much the clocks of processes that share a secret may differ. */
#define SPL_CLOCK_LEEWAY_S 60

/* Seals the id, credential, session, scopes and expires_s of `principal`. */
SPL_WARN_UNUSED int spl_sessions_seal(const uint8_t key[32], const spl_principal *principal,
                                      char ret_text[256], spl_error *ret_error);
/* Fills those five fields. Returns false when the seal is wrong, the session has expired, or it
 * would last longer than SPL_SESSION_MAX_S from now, with SPL_CLOCK_LEEWAY_S, which a clock that
 * was ahead has caused. */
bool spl_sessions_open(const uint8_t key[32], const char *text, int64_t now_s,
                       spl_principal *ret_principal);

#endif
