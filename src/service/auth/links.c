/* SPDX-License-Identifier: MIT
 *
 * Signed links: HMAC-SHA256 over "EXPIRES\nPATH", in base64url.
 */
#include "service/auth/links.h"

#include "service/auth/seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Makes the text to seal, owned by the caller. Returns its length, or -1 when memory runs out. */
static int make_text(const char *path, int64_t expires_s, char **ret_text) {
    return asprintf(ret_text, "%" PRId64 "\n%s", expires_s, path);
}

int spl_links_sign(const uint8_t key[32], const char *path, int64_t expires_s, char ret_query[128],
                   spl_error *ret_error) {
    char seal[SPL_SEAL_CHARS + 1], *text;
    const int length = make_text(path, expires_s, &text);
    if (length < 0)
        return spl_fail_memory(ret_error);
    const int status = spl_seal_make(key, text, (size_t)length, seal, ret_error);
    free(text);
    if (status == 0)
        snprintf(ret_query, 128, "expires=%" PRId64 "&signature=%s", expires_s, seal);
    return status;
}

/* Parses a decimal without sign, blanks or leading zeros, so that a link has one spelling. */
static bool parse_expires(const char *text, int64_t *ret_s) {
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 12 || text[digits] || text[0] == '0')
        return false;
    *ret_s = strtoll(text, NULL, 10);
    return true;
}

bool spl_links_valid(const uint8_t key[32], const char *path, const char *expires,
                     const char *signature, int64_t now_s, int64_t max_s) {
    int64_t expires_s;
    char *text;
    if (!expires || !signature || !parse_expires(expires, &expires_s))
        return false;
    const int length = make_text(path, expires_s, &text);
    if (length < 0)
        return false;
    const bool holds = spl_seal_holds(key, text, (size_t)length, signature);
    free(text);
    return holds && expires_s > now_s && expires_s - now_s <= max_s;
}
