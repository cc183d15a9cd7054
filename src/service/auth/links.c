/* SPDX-License-Identifier: MIT
 *
 * Signed links: HMAC-SHA256 over "EXPIRES\nBY\nPATH", in base64url. BY is such a code of the
 * maker's id, so that a link does not reveal the name of a key.
 */
#include "service/auth/links.h"

#include "service/auth/seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Makes the text to seal, owned by the caller. Returns its length, or -1 when memory runs out. */
static int make_text(const char *path, const char *by, int64_t expires_s, char **ret_text) {
    return asprintf(ret_text, "%" PRId64 "\n%s\n%s", expires_s, by, path);
}

/* "by" separates these texts from those of links, which begin with a digit. */
static int make_maker_text(const char *maker, char ret_text[80]) {
    return snprintf(ret_text, 80, "by\n%s", maker);
}

int spl_links_sign(const uint8_t key[32], const char *path, const char *maker, int64_t expires_s,
                   char ret_query[SPL_LINK_SIZE], spl_error *ret_error) {
    char seal[SPL_SEAL_CHARS + 1], by[SPL_SEAL_CHARS + 1], maker_text[80], *text;
    const int maker_length = make_maker_text(maker, maker_text);
    int status = spl_seal_make(key, maker_text, (size_t)maker_length, by, ret_error);
    if (status < 0)
        return status;
    const int length = make_text(path, by, expires_s, &text);
    if (length < 0)
        return spl_fail_memory(ret_error);
    status = spl_seal_make(key, text, (size_t)length, seal, ret_error);
    free(text);
    if (status == 0)
        snprintf(ret_query, SPL_LINK_SIZE, "expires=%" PRId64 "&by=%s&signature=%s", expires_s, by,
                 seal);
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

bool spl_links_valid(const uint8_t key[32], const char *path, const spl_link *link, int64_t now_s,
                     int64_t max_s) {
    int64_t expires_s;
    char *text;
    if (!link->expires || !link->by || !link->signature ||
        !parse_expires(link->expires, &expires_s))
        return false;
    const int length = make_text(path, link->by, expires_s, &text);
    if (length < 0)
        return false;
    const bool holds = spl_seal_holds(key, text, (size_t)length, link->signature);
    free(text);
    return holds && expires_s > now_s && expires_s - now_s <= max_s;
}

bool spl_links_made_by(const uint8_t key[32], const spl_link *link, const char *maker) {
    char text[80];
    const int length = make_maker_text(maker, text);
    return spl_seal_holds(key, text, (size_t)length, link->by);
}
