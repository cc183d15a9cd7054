/* SPDX-License-Identifier: MIT
 *
 * API keys. DATA_DIR/keys.json holds the name, id, role, quota, creation time and SHA-256 of each
 * key; a key is 256 random bits, so a plain hash is enough. The file is replaced atomically and has
 * mode 0600. A key is "spl_" and 43 base64url characters; SPLEETER_API_KEY may be any text of 16
 * characters or more.
 */
#ifndef SPL_SERVICE_AUTH_KEYS_H
#define SPL_SERVICE_AUTH_KEYS_H

#include "service/auth/principal.h"

#include <jansson.h>
#include <stdio.h>

typedef struct spl_keyring spl_keyring;

/* Reads all keys, without readers whose client has no key any more. `first_key` is SPLEETER_API_KEY
 * ("": none); `defaults` is for keys without their own quota. A missing file counts as empty. */
SPL_WARN_UNUSED int spl_keyring_open(const char *data_dir, const char *first_key,
                                     const spl_quota *defaults, spl_keyring **ret_keyring,
                                     spl_error *ret_error);
size_t spl_keyring_count(const spl_keyring *keyring);
/* The principal of key number `index`; lives as long as the keyring. */
const spl_principal *spl_keyring_get(const spl_keyring *keyring, size_t index);
/* Compares with every key in constant time. */
bool spl_keyring_find(const spl_keyring *keyring, const char *key, spl_principal *ret_principal);
/* Whether `client` (spl_principal.id) has a key. */
bool spl_keyring_has_client(const spl_keyring *keyring, const char *client);
/* Finds the key that opened a session, by the id and credential of the session's principal. */
bool spl_keyring_find_session(const spl_keyring *keyring, const spl_principal *session,
                              spl_principal *ret_principal);
void spl_keyring_free(spl_keyring *keyring);

/* Adds a key, for `spleeterd keys`. Roles: user (read and write), reader (read the jobs of the
 * client that `of` names), metrics, admin (user and metrics). `of` is NULL for all roles but
 * reader. Zeros in a quota mean the defaults. */
SPL_WARN_UNUSED int spl_keys_add(const char *data_dir, const char *name, const char *role,
                                 const char *of, const spl_quota *quota, char ret_key[64],
                                 spl_error *ret_error);
/* Replaces a client's key by a new one. */
SPL_WARN_UNUSED int spl_keys_rotate(const char *data_dir, const char *name, char ret_key[64],
                                    spl_error *ret_error);
SPL_WARN_UNUSED int spl_keys_revoke(const char *data_dir, const char *name, spl_error *ret_error);
SPL_WARN_UNUSED int spl_keys_list(const char *data_dir, FILE *stream, spl_error *ret_error);

/* Returns what spl_keys_list prints, as an array of objects; null stands for a quota's default. The
 * caller owns *ret_array. */
SPL_WARN_UNUSED int spl_keys_to_json(const char *data_dir, json_t **ret_array,
                                     spl_error *ret_error);

#endif
