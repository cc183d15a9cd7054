/* SPDX-License-Identifier: MIT
 *
 * keys.json, parsed strictly: an unknown member, a duplicate name or a number out of range refuses
 * the file.
 */
#include "service/auth/keys_file.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "service/auth/private_file.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME      "keys.json"
#define FILE_MAX_BYTES ((size_t)4 << 20)
#define FILE_VERSION   1

static const struct {
    const char *name;
    unsigned scopes;
} roles[] = {
    [SPL_ROLE_USER] = {"user", SPL_SCOPE_READ | SPL_SCOPE_WRITE},
    [SPL_ROLE_READER] = {"reader", SPL_SCOPE_READ},
    [SPL_ROLE_METRICS] = {"metrics", SPL_SCOPE_METRICS},
    [SPL_ROLE_ADMIN] = {"admin", SPL_SCOPE_READ | SPL_SCOPE_WRITE | SPL_SCOPE_METRICS},
};

void spl_key_client(const spl_key *key, char ret_client[64]) {
    snprintf(ret_client, 64, "key:%s%s%s", key->name, *key->id ? "#" : "", key->id);
}

const char *spl_role_name(spl_role role) {
    return roles[role].name;
}

unsigned spl_role_scopes(spl_role role) {
    return roles[role].scopes;
}

int spl_role_parse(const char *name, spl_role *ret_role, spl_error *ret_error) {
    for (size_t i = 0; i < SPL_ARRAY_SIZE(roles); i++) {
        if (strcmp(name, roles[i].name) == 0) {
            *ret_role = (spl_role)i;
            return 0;
        }
    }
    return spl_fail(ret_error, SPL_E_ARGUMENT,
                    "there is no role \"%.40s\"; give user, reader, metrics or admin", name);
}

int spl_key_check_name(const char *name, spl_error *ret_error) {
    const size_t length = strlen(name);
    const size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789-_.");
    if (length == 0 || length > SPL_KEY_NAME_MAX || good != length)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "\"%.60s\" is no name for a key; give 1 to %d letters, digits, '-', '_' "
                        "or '.'",
                        name, SPL_KEY_NAME_MAX);
    return 0;
}

static bool parse_sha256(const char *hex, uint8_t ret_sha256[32]) {
    size_t size;
    return strlen(hex) == 64 && OPENSSL_hexstr2buf_ex(ret_sha256, 32, &size, hex, '\0') == 1 &&
           size == 32;
}

static bool is_id(const char *text) {
    return strlen(text) == SPL_KEY_ID_CHARS && strspn(text, "0123456789abcdef") == SPL_KEY_ID_CHARS;
}

static int parse_key(json_t *item, size_t number, const char *path, spl_key *ret_key,
                     spl_error *ret_error) {
    const char *name, *role, *sha256, *created, *id = "", *of = "";
    json_int_t rate, jobs, storage_bytes, priority;
    json_error_t problem;
    spl_key key = {0};
    spl_error reason = {0};
    if (json_unpack_ex(item, &problem, JSON_STRICT,
                       "{s:s, s?s, s?s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "name", &name, "id",
                       &id, "of", &of, "role", &role, "sha256", &sha256, "created", &created,
                       "rate_per_minute", &rate, "jobs", &jobs, "storage_bytes", &storage_bytes,
                       "priority", &priority) < 0) {
        spl_fail(&reason, SPL_E_FORMAT, "%s", problem.text);
    } else if (spl_key_check_name(name, &reason) == 0 &&
               spl_role_parse(role, &key.role, &reason) == 0) {
        if (!parse_sha256(sha256, key.sha256))
            spl_fail(&reason, SPL_E_FORMAT, "sha256 is not 64 hexadecimal digits");
        else if (*id && !is_id(id))
            spl_fail(&reason, SPL_E_FORMAT, "id is not %d hexadecimal digits", SPL_KEY_ID_CHARS);
        else if (*of && (strncmp(of, "key:", 4) != 0 || strlen(of) >= sizeof(key.of)))
            spl_fail(&reason, SPL_E_FORMAT, "of is not a client");
        else if (strlen(created) >= sizeof(key.created))
            spl_fail(&reason, SPL_E_FORMAT, "created is not a time");
        else if (rate < 0 || rate > UINT_MAX || jobs < 0 || jobs > UINT_MAX || storage_bytes < 0 ||
                 priority < -10 || priority > 10)
            spl_fail(&reason, SPL_E_FORMAT, "a number of its quota is out of range");
    }
    if (reason.status != SPL_OK)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s: key %zu: %.300s", path, number + 1,
                        reason.message);
    snprintf(key.name, sizeof(key.name), "%s", name);
    snprintf(key.id, sizeof(key.id), "%s", id);
    snprintf(key.of, sizeof(key.of), "%s", of);
    snprintf(key.created, sizeof(key.created), "%s", created);
    key.quota = (spl_quota){.rate_per_minute = (unsigned)rate,
                            .jobs = (unsigned)jobs,
                            .storage_bytes = (uint64_t)storage_bytes,
                            .priority = (int)priority};
    *ret_key = key;
    return 0;
}

int spl_key_file_parse(const void *text, size_t size, const char *path, spl_key_file *ret_file,
                       spl_error *ret_error) {
    SPL_CLEANUP(spl_json_free_p) json_t *root = NULL;
    spl_error reason;
    if (spl_json_load(text, size, 0, &root, &reason) < 0)
        return spl_fail(ret_error, (spl_status)reason.status, "%s %s", path, reason.message);
    int version;
    json_t *list;
    json_error_t problem;
    if (json_unpack_ex(root, &problem, JSON_STRICT, "{s:i, s:o}", "version", &version, "keys",
                       &list) < 0)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s: line %d: %s", path, problem.line,
                        problem.text);
    if (version != FILE_VERSION || !json_is_array(list))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s is not a list of keys of version %d", path,
                        FILE_VERSION);

    SPL_CLEANUP(spl_key_file_free) spl_key_file file = {0};
    file.keys = calloc(SPL_MAX(json_array_size(list), 1), sizeof(*file.keys));
    if (!file.keys)
        return spl_fail_memory(ret_error);
    for (; file.count < json_array_size(list); file.count++) {
        spl_key *key = &file.keys[file.count];
        const int status =
            parse_key(json_array_get(list, file.count), file.count, path, key, ret_error);
        if (status < 0)
            return status;
        for (size_t i = 0; i < file.count; i++) {
            if (strcmp(file.keys[i].name, key->name) == 0)
                return spl_fail(ret_error, SPL_E_FORMAT, "%s has two keys named %s", path,
                                key->name);
        }
    }
    *ret_file = (spl_key_file){.keys = SPL_STEAL(file.keys), .count = file.count};
    return 0;
}

int spl_key_file_read(const char *data_dir, spl_key_file *ret_file, bool *ret_open,
                      spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/" FILE_NAME, data_dir) < 0)
        return spl_fail_memory(ret_error);
    SPL_CLEANUP(spl_file_content_free) spl_file_content content = {0};
    spl_error reason;
    int status = spl_file_read(path, SPL_FILE_TRUSTED, FILE_MAX_BYTES, &content, &reason);
    if (status == SPL_E_NOT_FOUND) {
        *ret_file = (spl_key_file){0};
        return 0;
    }
    if (status < 0)
        return spl_fail(ret_error, (spl_status)status, "%s", reason.message);
    status = spl_key_file_parse(content.text, content.size_bytes, path, ret_file, ret_error);
    if (status == 0 && ret_open)
        *ret_open = content.shared;
    return status;
}

static json_t *pack_key(const spl_key *key) {
    char sha256[65];
    spl_hex(key->sha256, sizeof(key->sha256), sha256);
    return json_pack("{s:s, s:s*, s:s*, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "name", key->name,
                     "id", *key->id ? key->id : NULL, "of", *key->of ? key->of : NULL, "role",
                     spl_role_name(key->role), "sha256", sha256, "created", key->created,
                     "rate_per_minute", (json_int_t)key->quota.rate_per_minute, "jobs",
                     (json_int_t)key->quota.jobs, "storage_bytes",
                     (json_int_t)key->quota.storage_bytes, "priority",
                     (json_int_t)key->quota.priority);
}

int spl_key_file_write(const char *data_dir, const spl_key_file *file, spl_error *ret_error) {
    json_t *list = json_array(); /* owned by root */
    SPL_CLEANUP(spl_json_free_p)
    json_t *root = json_pack("{s:i, s:o}", "version", FILE_VERSION, "keys", list);
    bool whole = root != NULL;
    for (size_t i = 0; i < file->count && whole; i++)
        whole = json_array_append_new(list, pack_key(&file->keys[i])) == 0;
    SPL_CLEANUP(spl_free_p) char *text = whole ? json_dumps(root, JSON_INDENT(2)) : NULL;
    if (!text)
        return spl_fail_memory(ret_error);
    const size_t size = strlen(text);
    if (size > FILE_MAX_BYTES)
        return spl_fail(ret_error, SPL_E_LIMIT, FILE_NAME " would have more than %zu bytes",
                        FILE_MAX_BYTES);
    return spl_private_write(data_dir, FILE_NAME, text, size, ret_error);
}

void spl_key_file_free(spl_key_file *file) {
    free(file->keys);
    *file = (spl_key_file){0};
}
