/* SPDX-License-Identifier: MIT
 *
 * The keyring that authenticates requests, and the changes that `spleeterd keys` makes to
 * keys.json.
 */
#include "service/auth/keys.h"

#include "base/clock.h"
#include "base/digest.h"
#include "service/auth/base64.h"
#include "service/auth/keys_file.h"
#include "service/auth/private_file.h"
#include "service/observe/log.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#define KEY_PREFIX     "spl_"
#define KEY_BYTES      32
#define KEY_MAX_LENGTH 512
#define FIRST_NAME     "default" /* of SPLEETER_API_KEY */

typedef struct ring_entry {
    uint8_t sha256[32];
    spl_principal principal;
} ring_entry;

struct spl_keyring {
    size_t count;
    ring_entry entries[];
};

/* Replaces the zeros of a quota by the defaults. */
static spl_quota complete_quota(const spl_quota *own, const spl_quota *defaults) {
    return (spl_quota){
        .rate_per_minute = own->rate_per_minute ? own->rate_per_minute : defaults->rate_per_minute,
        .jobs = own->jobs ? own->jobs : defaults->jobs,
        .storage_bytes = own->storage_bytes ? own->storage_bytes : defaults->storage_bytes,
        .priority = own->priority ? own->priority : defaults->priority,
    };
}

static void add_entry(spl_keyring *ring, const spl_key *key, const spl_quota *defaults) {
    ring_entry *entry = &ring->entries[ring->count++];
    memcpy(entry->sha256, key->sha256, sizeof(entry->sha256));
    entry->principal = (spl_principal){.scopes = spl_role_scopes(key->role),
                                       .quota = complete_quota(&key->quota, defaults)};
    spl_hex(key->sha256, 8, entry->principal.credential);
    spl_key_client(key, entry->principal.id);
    snprintf(entry->principal.owner, sizeof(entry->principal.owner), "%s",
             *key->of ? key->of : entry->principal.id);
    snprintf(entry->principal.name, sizeof(entry->principal.name), "%s", key->name);
}

/* Removes the readers whose client has no key any more. */
static void leave_out_readers(spl_keyring *ring) {
    size_t count = 0;
    for (size_t i = 0; i < ring->count; i++) {
        if (spl_keyring_has_client(ring, ring->entries[i].principal.owner))
            ring->entries[count++] = ring->entries[i];
    }
    ring->count = count;
}

int spl_keyring_open(const char *data_dir, const char *first_key, const spl_quota *defaults,
                     spl_keyring **ret_keyring, spl_error *ret_error) {
    SPL_CLEANUP(spl_key_file_free) spl_key_file file = {0};
    bool is_open = false;
    int status = spl_key_file_read(data_dir, &file, &is_open, ret_error);
    if (status < 0)
        return status;
    if (is_open)
        spl_log(SPL_LOG_WARNING, "keys.open", SPL_TEXT("data_dir", data_dir),
                SPL_TEXT("detail", "others may read keys.json; chmod 600 keeps them out"));
    spl_keyring *ring = calloc(1, sizeof(*ring) + (file.count + 1) * sizeof(ring_entry));
    if (!ring)
        return spl_fail_memory(ret_error);
    for (size_t i = 0; i < file.count; i++)
        add_entry(ring, &file.keys[i], defaults);
    if (*first_key) {
        spl_key first = {.name = FIRST_NAME, .role = SPL_ROLE_ADMIN};
        SHA256((const unsigned char *)first_key, strlen(first_key), first.sha256);
        add_entry(ring, &first, defaults);
    }
    leave_out_readers(ring);
    *ret_keyring = ring;
    return 0;
}

bool spl_keyring_has_client(const spl_keyring *keyring, const char *client) {
    for (size_t i = 0; i < keyring->count; i++) {
        if (strcmp(keyring->entries[i].principal.id, client) == 0)
            return true;
    }
    return false;
}

size_t spl_keyring_count(const spl_keyring *keyring) {
    return keyring->count;
}

const spl_principal *spl_keyring_get(const spl_keyring *keyring, size_t index) {
    return &keyring->entries[index].principal;
}

bool spl_keyring_find(const spl_keyring *keyring, const char *key, spl_principal *ret_principal) {
    uint8_t sha256[32];
    const size_t length = strnlen(key, KEY_MAX_LENGTH + 1);
    if (length == 0 || length > KEY_MAX_LENGTH ||
        !SHA256((const unsigned char *)key, length, sha256))
        return false;
    const ring_entry *found = NULL;
    for (size_t i = 0; i < keyring->count; i++) {
        if (CRYPTO_memcmp(keyring->entries[i].sha256, sha256, sizeof(sha256)) == 0)
            found = &keyring->entries[i];
    }
    if (found)
        *ret_principal = found->principal;
    return found != NULL;
}

bool spl_keyring_find_session(const spl_keyring *keyring, const spl_principal *session,
                              spl_principal *ret_principal) {
    for (size_t i = 0; i < keyring->count; i++) {
        const spl_principal *principal = &keyring->entries[i].principal;
        if (strcmp(principal->id, session->id) == 0 &&
            strcmp(principal->credential, session->credential) == 0) {
            *ret_principal = *principal;
            return true;
        }
    }
    return false;
}

void spl_keyring_free(spl_keyring *keyring) {
    free(keyring);
}

static spl_key *find_name(const spl_key_file *file, const char *name) {
    for (size_t i = 0; i < file->count; i++) {
        if (strcmp(file->keys[i].name, name) == 0)
            return &file->keys[i];
    }
    return NULL;
}

static int make_key(spl_key *key, char ret_text[64], spl_error *ret_error) {
    uint8_t random[KEY_BYTES];
    char encoded[SPL_BASE64_SIZE(KEY_BYTES)];
    if (RAND_bytes(random, sizeof(random)) != 1)
        return spl_fail(ret_error, SPL_E_IO, "OpenSSL has no random bytes");
    spl_base64url_encode(random, sizeof(random), encoded);
    const int length = snprintf(ret_text, 64, KEY_PREFIX "%s", encoded);
    SHA256((unsigned char *)ret_text, (size_t)length, key->sha256);
    OPENSSL_cleanse(random, sizeof(random));
    OPENSSL_cleanse(encoded, sizeof(encoded));
    spl_time_text(spl_wall_ms(), key->created);
    return 0;
}

static int make_id(spl_key *key, spl_error *ret_error) {
    uint8_t random[SPL_KEY_ID_CHARS / 2];
    if (RAND_bytes(random, sizeof(random)) != 1)
        return spl_fail(ret_error, SPL_E_IO, "OpenSSL has no random bytes");
    spl_hex(random, sizeof(random), key->id);
    return 0;
}

static int no_such_name(const char *name, spl_error *ret_error) {
    return spl_fail(ret_error, SPL_E_NOT_FOUND, "there is no key named %s", name);
}

/* Sets the client whose jobs the reader `key` reads. */
static int set_client(spl_key *key, const char *of, const spl_key_file *file,
                      spl_error *ret_error) {
    if (!of)
        return 0;
    const spl_key first = {.name = FIRST_NAME};
    const spl_key *client = strcmp(of, FIRST_NAME) == 0 ? &first : find_name(file, of);
    if (!client)
        return no_such_name(of, ret_error);
    spl_key_client(client, key->of);
    return 0;
}

static int check_new(const char *name, const char *of, const spl_key *key, spl_error *ret_error) {
    if (strcmp(name, FIRST_NAME) == 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "\"" FIRST_NAME "\" is the name of SPLEETER_API_KEY; choose another");
    if ((key->role == SPL_ROLE_READER) != (of != NULL))
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "a reader, and nobody else, reads the jobs of one client: give --role "
                        "reader and --of NAME together");
    return 0;
}

static int add_key(spl_key_file *file, const spl_key *key, spl_error *ret_error) {
    spl_key *more = reallocarray(file->keys, file->count + 1, sizeof(*more));
    if (!more)
        return spl_fail_memory(ret_error);
    file->keys = more;
    file->keys[file->count++] = *key;
    return 0;
}

/* Reads the key file for a change; it stays locked until *ret_lock is closed. */
static int lock_and_read(const char *data_dir, int *ret_lock, spl_key_file *ret_file,
                         spl_error *ret_error) {
    const int status = spl_private_lock(data_dir, ret_lock, ret_error);
    return status < 0 ? status : spl_key_file_read(data_dir, ret_file, NULL, ret_error);
}

int spl_keys_add(const char *data_dir, const char *name, const char *role, const char *of,
                 const spl_quota *quota, char ret_key[64], spl_error *ret_error) {
    spl_key key = {.quota = *quota};
    int status = spl_key_check_name(name, ret_error);
    if (status == 0)
        status = spl_role_parse(role, &key.role, ret_error);
    if (status == 0)
        status = check_new(name, of, &key, ret_error);
    if (status < 0)
        return status;
    snprintf(key.name, sizeof(key.name), "%s", name);

    SPL_CLEANUP(spl_close_p) int lock = -1;
    SPL_CLEANUP(spl_key_file_free) spl_key_file file = {0};
    status = lock_and_read(data_dir, &lock, &file, ret_error);
    if (status < 0)
        return status;
    if (find_name(&file, name))
        return spl_fail(ret_error, SPL_E_ARGUMENT, "there is already a key named %s", name);

    char text[64] = "";
    status = set_client(&key, of, &file, ret_error);
    if (status == 0)
        status = make_id(&key, ret_error);
    if (status == 0)
        status = make_key(&key, text, ret_error);
    if (status == 0)
        status = add_key(&file, &key, ret_error);
    if (status == 0)
        status = spl_key_file_write(data_dir, &file, ret_error);
    if (status == 0)
        memcpy(ret_key, text, sizeof(text));
    OPENSSL_cleanse(text, sizeof(text));
    return status;
}

int spl_keys_rotate(const char *data_dir, const char *name, char ret_key[64],
                    spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int lock = -1;
    SPL_CLEANUP(spl_key_file_free) spl_key_file file = {0};
    int status = lock_and_read(data_dir, &lock, &file, ret_error);
    if (status < 0)
        return status;
    spl_key *key = find_name(&file, name);
    if (!key)
        return no_such_name(name, ret_error);
    char text[64] = "";
    status = make_key(key, text, ret_error);
    if (status == 0)
        status = spl_key_file_write(data_dir, &file, ret_error);
    if (status == 0)
        memcpy(ret_key, text, sizeof(text));
    OPENSSL_cleanse(text, sizeof(text));
    return status;
}

int spl_keys_revoke(const char *data_dir, const char *name, spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int lock = -1;
    SPL_CLEANUP(spl_key_file_free) spl_key_file file = {0};
    int status = lock_and_read(data_dir, &lock, &file, ret_error);
    if (status < 0)
        return status;
    spl_key *key = find_name(&file, name);
    if (!key)
        return no_such_name(name, ret_error);
    const size_t after = file.count - (size_t)(key - file.keys) - 1;
    memmove(key, key + 1, after * sizeof(*key));
    file.count--;
    return spl_key_file_write(data_dir, &file, ret_error);
}

/* Whether the client of a reader still has a key. */
static bool has_client_of(const spl_key_file *file, const spl_key *reader) {
    char client[64];
    spl_key_client(&(spl_key){.name = FIRST_NAME}, client);
    bool found = strcmp(client, reader->of) == 0;
    for (size_t i = 0; i < file->count && !found; i++) {
        spl_key_client(&file->keys[i], client);
        found = strcmp(client, reader->of) == 0;
    }
    return found;
}

int spl_keys_list(const char *data_dir, FILE *stream, spl_error *ret_error) {
    SPL_CLEANUP(spl_key_file_free) spl_key_file file = {0};
    const int status = spl_key_file_read(data_dir, &file, NULL, ret_error);
    if (status < 0)
        return status;
    for (size_t i = 0; i < file.count; i++) {
        const spl_key *key = &file.keys[i];
        fprintf(stream, "%-24s %-8s %s", key->name, spl_role_name(key->role), key->created);
        if (*key->of)
            fprintf(stream, "  of %.*s%s", (int)strcspn(key->of + strlen("key:"), "#"),
                    key->of + strlen("key:"), has_client_of(&file, key) ? "" : " (revoked)");
        if (key->quota.rate_per_minute)
            fprintf(stream, "  %u request%s a minute", key->quota.rate_per_minute,
                    SPL_PLURAL(key->quota.rate_per_minute));
        if (key->quota.jobs)
            fprintf(stream, "  %u job%s", key->quota.jobs, SPL_PLURAL(key->quota.jobs));
        if (key->quota.storage_bytes)
            fprintf(stream, "  %" PRIu64 " bytes", key->quota.storage_bytes);
        if (key->quota.priority)
            fprintf(stream, "  priority %d", key->quota.priority);
        fputc('\n', stream);
    }
    return 0;
}

/* A zero means the default, which is null in JSON. */
static json_t *limit_to_json(uint64_t limit) {
    return limit > 0 ? json_integer((json_int_t)limit) : json_null();
}

int spl_keys_to_json(const char *data_dir, json_t **ret_array, spl_error *ret_error) {
    SPL_CLEANUP(spl_key_file_free) spl_key_file file = {0};
    const int status = spl_key_file_read(data_dir, &file, NULL, ret_error);
    json_t *array = status == 0 ? json_array() : NULL;
    if (status < 0)
        return status;
    for (size_t i = 0; i < file.count; i++) {
        const spl_key *key = &file.keys[i];
        const size_t begin = *key->of ? strlen("key:") : 0;
        json_t *object =
            json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:i}", "name", key->name, "role",
                      spl_role_name(key->role), "created", key->created, "rate_per_minute",
                      limit_to_json(key->quota.rate_per_minute), "jobs",
                      limit_to_json(key->quota.jobs), "storage_bytes",
                      limit_to_json(key->quota.storage_bytes), "priority", key->quota.priority);
        if (object && *key->of)
            json_object_set_new(object, "of",
                                json_stringn(key->of + begin, strcspn(key->of + begin, "#")));
        if (object && *key->of)
            json_object_set_new(object, "of_revoked", json_boolean(!has_client_of(&file, key)));
        if (json_array_append_new(array, object) < 0) {
            json_decref(array);
            return spl_fail_memory(ret_error);
        }
    }
    *ret_array = array;
    return 0;
}
