/* SPDX-License-Identifier: MIT
 *
 * keys.json: {"version": 1, "keys": [{"name", "id", "of", "role", "sha256", "created",
 * "rate_per_minute", "jobs", "storage_bytes", "priority"}, ...]}. Keys of earlier releases have no
 * "id"; only readers have "of".
 */
#ifndef SPL_SERVICE_AUTH_KEYS_FILE_H
#define SPL_SERVICE_AUTH_KEYS_FILE_H

#include "service/auth/principal.h"

#define SPL_KEY_NAME_MAX 48
#define SPL_KEY_ID_CHARS 8

typedef enum spl_role { SPL_ROLE_USER, SPL_ROLE_READER, SPL_ROLE_METRICS, SPL_ROLE_ADMIN } spl_role;

typedef struct spl_key {
    char name[SPL_KEY_NAME_MAX + 1]; /* letters, digits, '-', '_', '.' */
    char id[SPL_KEY_ID_CHARS + 1];   /* random hex digits; "": made by an earlier release */
    char of[64];                     /* client whose jobs a reader reads (spl_key_client), or "" */
    spl_role role;
    uint8_t sha256[32];
    char created[25]; /* RFC 3339 */
    spl_quota quota;  /* zeros: the defaults */
} spl_key;

typedef struct spl_key_file {
    spl_key *keys;
    size_t count;
} spl_key_file;

/* Writes the client that the key authenticates (spl_principal.id). A name that is used again gets a
 * new id, and so is another client. */
void spl_key_client(const spl_key *key, char ret_client[64]);

const char *spl_role_name(spl_role role);
unsigned spl_role_scopes(spl_role role);
/* Errors: ARGUMENT. */
SPL_WARN_UNUSED int spl_role_parse(const char *name, spl_role *ret_role, spl_error *ret_error);

/* Errors: ARGUMENT (not a valid name for a key). */
SPL_WARN_UNUSED int spl_key_check_name(const char *name, spl_error *ret_error);

/* `path` is for error messages. Errors: FORMAT, MEMORY. */
SPL_WARN_UNUSED int spl_key_file_parse(const void *text, size_t size, const char *path,
                                       spl_key_file *ret_file, spl_error *ret_error);
/* Reads DATA_DIR/keys.json; a missing file has no keys. *ret_open (may be NULL): this user owns the
 * file and others have access to it, unlike the files that spl_key_file_write makes. Errors:
 * FORMAT, PERMISSION (another user owns or may write the file), IO, MEMORY. */
SPL_WARN_UNUSED int spl_key_file_read(const char *data_dir, spl_key_file *ret_file, bool *ret_open,
                                      spl_error *ret_error);
SPL_WARN_UNUSED int spl_key_file_write(const char *data_dir, const spl_key_file *file,
                                       spl_error *ret_error);
void spl_key_file_free(spl_key_file *file);

#endif
