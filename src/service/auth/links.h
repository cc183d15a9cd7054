/* SPDX-License-Identifier: MIT
 *
 * Signatures of links, without the rest of authentication.
 */
#ifndef SPL_SERVICE_AUTH_LINKS_H
#define SPL_SERVICE_AUTH_LINKS_H

#include "base/error.h"

#define SPL_LINK_SIZE 192 /* of "expires=...&by=...&signature=..." */

/* The parameters of a link, as received; NULL for a missing one. */
typedef struct spl_link {
    const char *expires, *by, *signature;
} spl_link;

/* Signs a link that `maker` (spl_principal.id) gives out. See spl_link_sign. */
SPL_WARN_UNUSED int spl_links_sign(const uint8_t key[32], const char *path, const char *maker,
                                   int64_t expires_s, char ret_query[SPL_LINK_SIZE],
                                   spl_error *ret_error);
/* Whether the link was signed for `path` and has not expired. Links that expire more than `max_s`
 * after `now_s` are invalid. */
bool spl_links_valid(const uint8_t key[32], const char *path, const spl_link *link, int64_t now_s,
                     int64_t max_s);
/* Whether `maker` made the valid link. */
bool spl_links_made_by(const uint8_t key[32], const spl_link *link, const char *maker);

#endif
