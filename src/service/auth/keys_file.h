/* SPDX-License-Identifier: MIT
 *
 * keys.json: {"version": 1, "keys": [{"name", "role", "sha256", "created", "rate_per_minute", "jobs", "storage_bytes", "priority"}, ...]}.
 */
#ifndef SPL_SERVICE_AUTH_KEYS_FILE_H
#define SPL_SERVICE_AUTH_KEYS_FILE_H

#include "service/auth/principal.h"

#define SPL_KEY_NAME_MAX 48

typedef enum spl_role { SPL_ROLE_USER, SPL_ROLE_READER, SPL_ROLE_METRICS, SPL_ROLE_ADMIN } spl_role;

typedef struct spl_key {
    char name[SPL_KEY_NAME_MAX + 1]; /* letters, digits, '-', '_', '.' */
    spl_role role;
    uint8_t sha256[32];
    char created[25]; /* RFC 3339 */
    spl_quota quota;  /* zeros: the defaults */
} spl_key;

typedef struct spl_key_file {
    spl_key *keys;
    size_t count;
} spl_key_file;

const char *spl_role_name(spl_role role);
unsigned spl_role_scopes(spl_role role);
/* Errors: ARGUMENT. */
SPL_WARN_UNUSED int spl_role_parse(const char *name, spl_role *ret_role, spl_error *ret_error);

/* Errors: ARGUMENT, for a name that a key can't have. */
SPL_WARN_UNUSED int spl_key_check_name(const char *name, spl_error *ret_error);

/* `path` is for messages. Errors: FORMAT, MEMORY. */
SPL_WARN_UNUSED int spl_key_file_parse(const void *text, size_t size, const char *path,
                                       spl_key_file *ret_file, spl_error *ret_error);
/* Reads DATA_DIR/keys.json; a missing one has no keys. */
SPL_WARN_UNUSED int spl_key_file_read(const char *data_dir, spl_key_file *ret_file,
                                      spl_error *ret_error);
SPL_WARN_UNUSED int spl_key_file_write(const char *data_dir, const spl_key_file *file,
                                       spl_error *ret_error);
void spl_key_file_free(spl_key_file *file);

#endif
