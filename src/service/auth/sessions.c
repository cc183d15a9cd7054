/* SPDX-License-Identifier: MIT
 *
 * "EXPIRES.SCOPES.SESSION.CREDENTIAL.ID.SEAL": only the id can contain a dot.
 */
#include "service/auth/sessions.h"

#include "service/auth/seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int spl_sessions_seal(const uint8_t key[32], const spl_principal *principal, char ret_text[256],
                      spl_error *ret_error) {
    char seal[SPL_SEAL_CHARS + 1];
    const int length =
        snprintf(ret_text, 256, "%" PRId64 ".%u.%s.%s.%s", principal->expires_s, principal->scopes,
                 principal->session, principal->credential, principal->id);
    const int status = spl_seal_make(key, ret_text, (size_t)length, seal, ret_error);
    if (status == 0)
        snprintf(ret_text + length, 256 - (size_t)length, ".%s", seal);
    return status;
}

/* Copies the part before the next dot and returns the text after the dot. */
static const char *take(const char *text, char *ret_part, size_t size) {
    const size_t length = strcspn(text, ".");
    snprintf(ret_part, size, "%.*s", (int)length, text);
    return text + length + 1;
}

bool spl_sessions_open(const uint8_t key[32], const char *text, int64_t now_s,
                       spl_principal *ret_principal) {
    const char *seal = strrchr(text, '.');
    if (!seal || !spl_seal_holds(key, text, (size_t)(seal - text), seal + 1))
        return false;
    /* The seal is valid, so this service wrote the text. */
    spl_principal principal = {0};
    char *rest;
    principal.expires_s = strtoll(text, &rest, 10);
    principal.scopes = (unsigned)strtoul(rest + 1, &rest, 10);
    const char *id = take(rest + 1, principal.session, sizeof(principal.session));
    id = take(id, principal.credential, sizeof(principal.credential));
    snprintf(principal.id, sizeof(principal.id), "%.*s", (int)(seal - id), id);
    *ret_principal = principal;
    return principal.expires_s > now_s &&
           principal.expires_s - now_s <= SPL_SESSION_MAX_S + SPL_CLOCK_LEEWAY_S;
}
