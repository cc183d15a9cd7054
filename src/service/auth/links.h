/* SPDX-License-Identifier: MIT
 *
 * Signatures of links, without the rest of authentication.
 */
#ifndef SPL_SERVICE_AUTH_LINKS_H
#define SPL_SERVICE_AUTH_LINKS_H

#include "base/error.h"

/* See spl_link_sign and spl_link_valid. Links that expire more than `max_s` after `now_s` are
 * invalid. */
SPL_WARN_UNUSED int spl_links_sign(const uint8_t key[32], const char *path, int64_t expires_s,
                                   char ret_query[128], spl_error *ret_error);
bool spl_links_valid(const uint8_t key[32], const char *path, const char *expires,
                     const char *signature, int64_t now_s, int64_t max_s);

#endif
