/* SPDX-License-Identifier: MIT
 *
 * Secrets, API keys, rate limits, signed links and signatures of webhooks.
 */
#include "base/file.h"
#include "service/auth/auth.h"
#include "service/auth/base64.h"
#include "service/auth/keys.h"
#include "service/auth/keys_file.h"
#include "service/auth/links.h"
#include "service/auth/private_file.h"
#include "service/auth/rate.h"
#include "service/auth/webhook_signature.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char folder[64];

static const spl_quota defaults = {.rate_per_minute = 600, .jobs = 100, .storage_bytes = 1 << 30};

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/auth_test.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static char *path_of(const char *name) {
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path_of("keys.json"));
    unlink(path_of("secret"));
    /* Fails if the folder is not empty. */
    return rmdir(folder);
}

static mode_t mode_of(const char *name) {
    struct stat status;
    assert_int_equal(stat(path_of(name), &status), 0);
    return status.st_mode & 07777;
}

static void write_text(const char *name, const char *text) {
    assert_int_equal(spl_private_write(folder, name, text, strlen(text), NULL), 0);
}

static void secret_is_kept(void **state) {
    (void)state;
    uint8_t first[32], second[32], nothing[32] = {0};
    assert_int_equal(spl_secret_open(folder, first, NULL), 0);
    assert_int_equal(mode_of("secret"), 0600);
    assert_int_equal(spl_secret_open(folder, second, NULL), 0);
    assert_memory_equal(first, second, 32);
    assert_memory_not_equal(first, nothing, 32);
}

static void secret_is_refused(void **state) {
    (void)state;
    spl_error error;
    uint8_t secret[32];
    write_text("secret", "too short");
    assert_int_equal(spl_secret_open(folder, secret, &error), SPL_E_FORMAT);
    write_text("secret", "0123456789abcdef0123456789abcdef");
    assert_int_equal(chmod(path_of("secret"), 0640), 0);
    assert_int_equal(spl_secret_open(folder, secret, &error), SPL_E_PERMISSION);
    assert_non_null(strstr(error.message, "chmod 600"));
    assert_int_equal(chmod(path_of("secret"), 0600), 0);
    assert_int_equal(spl_secret_open(folder, secret, &error), 0);
    assert_memory_equal(secret, "0123456789abcdef0123456789abcdef", 32);
    assert_int_equal(unlink(path_of("secret")), 0);
    assert_int_equal(symlink("/etc/passwd", path_of("secret")), 0);
    assert_true(spl_secret_open(folder, secret, &error) < 0);
}

/* HKDF-SHA256 without salt. The expected key was computed with Python's cryptography package:
 * HKDF(SHA256(), 32, None, b"audit").derive(bytes(range(32))) */
static void derived_keys(void **state) {
    (void)state;
    static const uint8_t expected[32] = {0xad, 0xa3, 0x48, 0xd6, 0x4c, 0x25, 0x35, 0x69,
                                         0x9a, 0x93, 0xa7, 0x52, 0xaa, 0x50, 0x5c, 0xd2,
                                         0x22, 0x46, 0xad, 0xac, 0xfb, 0x78, 0x95, 0x65,
                                         0xac, 0x5d, 0xe0, 0x02, 0x63, 0xd0, 0x7c, 0x2a};
    uint8_t secret[32], audit[32], links[32];
    for (size_t i = 0; i < sizeof(secret); i++)
        secret[i] = (uint8_t)i;
    assert_int_equal(spl_secret_derive(secret, "audit", audit, NULL), 0);
    assert_memory_equal(audit, expected, 32);
    assert_int_equal(spl_secret_derive(secret, "links", links, NULL), 0);
    assert_memory_not_equal(audit, links, 32);
}

static void base64(void **state) {
    (void)state;
    static const char *const texts[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                        "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"}; /* RFC 4648, 10 */
    for (size_t i = 0; i < SPL_ARRAY_SIZE(texts); i++) {
        char text[16];
        uint8_t data[8];
        size_t size;
        spl_base64_encode((const uint8_t *)"foobar", i, text);
        assert_string_equal(text, texts[i]);
        assert_true(spl_base64_decode(texts[i], sizeof(data), data, &size));
        assert_int_equal(size, i);
        assert_memory_equal(data, "foobar", i);
    }
    char url[SPL_BASE64_SIZE(5)];
    spl_base64url_encode((const uint8_t *)"\xfb\xff\xfe\xff\x01", 5, url);
    assert_string_equal(url, "-__-_wE");

    static const char *const wrong[] = {"Zg",   "Zg=",  "Zh==",  "Zg==\n", " Zg==",        "Zm9=",
                                        "====", "Z===", "Zm9v-", "Zm-v",   "Zm9vYmFyZm9v", "Z=g="};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(wrong); i++) {
        uint8_t data[8];
        size_t size;
        if (spl_base64_decode(wrong[i], sizeof(data), data, &size))
            fail_msg("%s is taken", wrong[i]);
    }
}

static void keys_come_and_go(void **state) {
    (void)state;
    spl_error error;
    char song[64], metrics[64], again[64];
    const spl_quota own = {.rate_per_minute = 10, .priority = 3};
    assert_int_equal(spl_keys_add(folder, "song-app", "user", NULL, &own, song, &error), 0);
    assert_int_equal(
        spl_keys_add(folder, "prom", "metrics", NULL, &(spl_quota){0}, metrics, &error), 0);
    assert_int_equal(mode_of("keys.json"), 0600);
    assert_int_equal(strlen(song), 47);
    assert_memory_equal(song, "spl_", 4);
    assert_string_not_equal(song, metrics);

    spl_file_map map;
    assert_int_equal(spl_file_map_open(path_of("keys.json"), 1 << 20, &map, NULL), 0);
    assert_null(memmem(map.data, map.size_bytes, song + 4, 43));
    spl_file_map_close(&map);

    assert_int_equal(spl_keys_add(folder, "prom", "user", NULL, &(spl_quota){0}, again, &error),
                     SPL_E_ARGUMENT);
    assert_int_equal(spl_keys_add(folder, "default", "user", NULL, &(spl_quota){0}, again, &error),
                     SPL_E_ARGUMENT);
    assert_int_equal(spl_keys_add(folder, "a/b", "user", NULL, &(spl_quota){0}, again, &error),
                     SPL_E_ARGUMENT);
    assert_int_equal(spl_keys_add(folder, "x", "root", NULL, &(spl_quota){0}, again, &error),
                     SPL_E_ARGUMENT);

    spl_keyring *ring;
    spl_principal principal = {0};
    assert_int_equal(spl_keyring_open(folder, "first key of all", &defaults, &ring, &error), 0);
    assert_int_equal(spl_keyring_count(ring), 3);
    assert_true(spl_keyring_find(ring, song, &principal));
    assert_int_equal(strlen(principal.id), strlen("key:song-app#01234567"));
    assert_memory_equal(principal.id, "key:song-app#", 13);
    assert_string_equal(principal.owner, principal.id);
    assert_string_equal(principal.name, "song-app");
    assert_int_equal(principal.scopes, SPL_SCOPE_READ | SPL_SCOPE_WRITE);
    assert_int_equal(principal.quota.rate_per_minute, 10);
    assert_int_equal(principal.quota.jobs, 100);
    assert_int_equal(principal.quota.priority, 3);
    assert_true(spl_keyring_find(ring, metrics, &principal));
    assert_int_equal(principal.scopes, SPL_SCOPE_METRICS);
    assert_int_equal(principal.quota.storage_bytes, 1 << 30);
    assert_true(spl_keyring_find(ring, "first key of all", &principal));
    assert_string_equal(principal.id, "key:default");
    assert_int_equal(principal.scopes, SPL_SCOPE_READ | SPL_SCOPE_WRITE | SPL_SCOPE_METRICS);

    static char longer[2000];
    memset(longer, 'a', sizeof(longer) - 1);
    const char *const unknown[] = {"", "first key of al", "first key of all ", longer};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(unknown); i++)
        assert_false(spl_keyring_find(ring, unknown[i], &principal));
    spl_keyring_free(ring);

    char listing[1000] = "";
    FILE *stream = fmemopen(listing, sizeof(listing), "w");
    assert_int_equal(spl_keys_list(folder, stream, &error), 0);
    fclose(stream);
    assert_non_null(strstr(listing, "song-app"));
    assert_non_null(strstr(listing, "10 requests a minute"));
    assert_null(strstr(listing, song + 4));

    assert_int_equal(spl_keys_revoke(folder, "song-app", &error), 0);
    assert_int_equal(spl_keys_revoke(folder, "song-app", &error), SPL_E_NOT_FOUND);
    assert_int_equal(spl_keyring_open(folder, "", &defaults, &ring, &error), 0);
    assert_int_equal(spl_keyring_count(ring), 1);
    assert_false(spl_keyring_find(ring, song, &principal));
    assert_true(spl_keyring_find(ring, metrics, &principal));
    spl_keyring_free(ring);
}

/* A reader belongs to the client, not to its name. */
static void readers_of_revoked_clients_are_marked(void **state) {
    (void)state;
    char key[64], listing[1000] = "";
    assert_int_equal(spl_keys_add(folder, "alice", "user", NULL, &defaults, key, NULL), 0);
    assert_int_equal(spl_keys_add(folder, "old", "reader", "alice", &defaults, key, NULL), 0);
    assert_int_equal(spl_keys_add(folder, "first", "reader", "default", &defaults, key, NULL), 0);
    assert_int_equal(spl_keys_revoke(folder, "alice", NULL), 0);
    assert_int_equal(spl_keys_add(folder, "alice", "user", NULL, &defaults, key, NULL), 0);
    assert_int_equal(spl_keys_add(folder, "new", "reader", "alice", &defaults, key, NULL), 0);
    FILE *stream = fmemopen(listing, sizeof(listing), "w");
    assert_int_equal(spl_keys_list(folder, stream, NULL), 0);
    fclose(stream);
    assert_non_null(strstr(listing, "  of alice (revoked)  "));
    assert_non_null(strstr(listing, "  of alice  "));
    assert_non_null(strstr(listing, "  of default  "));
    json_t *list;
    assert_int_equal(spl_keys_to_json(folder, &list, NULL), 0);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const bool old = strcmp(json_string_value(json_object_get(item, "name")), "old") == 0;
        assert_int_equal(json_is_true(json_object_get(item, "of_revoked")), old);
    }
    json_decref(list);
}

/* Looks up the principal of a key. Returns false if the key is unknown. */
static bool look_up(const char *first_key, const char *key, spl_principal *ret_principal) {
    spl_keyring *ring;
    assert_int_equal(spl_keyring_open(folder, first_key, &defaults, &ring, NULL), 0);
    const bool found = spl_keyring_find(ring, key, ret_principal);
    assert_true(!found || spl_keyring_has_client(ring, ret_principal->id));
    spl_keyring_free(ring);
    return found;
}

/* A client keeps its identity when its key is rotated. A name that is revoked and added again gets
 * a new identity. */
static void names_are_not_inherited(void **state) {
    (void)state;
    spl_error error;
    char first[64], second[64], third[64];
    spl_principal one = {0}, two = {0}, three = {0};
    assert_int_equal(spl_keys_add(folder, "bob", "user", NULL, &defaults, first, &error), 0);
    assert_true(look_up("", first, &one));
    assert_int_equal(spl_keys_rotate(folder, "bob", second, &error), 0);
    assert_int_equal(spl_keys_rotate(folder, "carol", third, &error), SPL_E_NOT_FOUND);
    assert_false(look_up("", first, &two));
    assert_true(look_up("", second, &two));
    assert_string_equal(two.id, one.id);
    assert_string_not_equal(two.credential, one.credential);
    assert_int_equal(two.quota.jobs, defaults.jobs);
    assert_int_equal(spl_keys_revoke(folder, "bob", &error), 0);
    assert_int_equal(spl_keys_add(folder, "bob", "user", NULL, &defaults, third, &error), 0);
    assert_true(look_up("", third, &three));
    assert_string_not_equal(three.id, one.id);
}

static void readers_read_of_one_client(void **state) {
    (void)state;
    spl_error error;
    char bob[64], reader[64], other[64];
    spl_principal client = {0}, principal = {0};
    const spl_quota none = {0};
    assert_int_equal(spl_keys_add(folder, "bob", "user", NULL, &none, bob, &error), 0);
    assert_int_equal(spl_keys_add(folder, "r", "reader", "bob", &none, reader, &error), 0);
    assert_int_equal(spl_keys_add(folder, "d", "reader", "default", &none, other, &error), 0);
    assert_true(look_up("", bob, &client));
    assert_true(look_up("", reader, &principal));
    assert_string_equal(principal.owner, client.id);
    assert_string_not_equal(principal.id, client.id);
    assert_int_equal(principal.scopes, SPL_SCOPE_READ);
    assert_false(look_up("", other, &principal));
    assert_true(look_up("the first key of all", other, &principal));
    assert_string_equal(principal.owner, "key:default");

    assert_int_equal(spl_keys_add(folder, "x", "reader", NULL, &none, other, &error),
                     SPL_E_ARGUMENT);
    assert_int_equal(spl_keys_add(folder, "x", "user", "bob", &none, other, &error),
                     SPL_E_ARGUMENT);
    assert_int_equal(spl_keys_add(folder, "x", "reader", "nobody", &none, other, &error),
                     SPL_E_NOT_FOUND);
    assert_int_equal(spl_keys_revoke(folder, "bob", &error), 0);
    assert_int_equal(spl_keys_add(folder, "bob", "user", NULL, &none, bob, &error), 0);
    assert_false(look_up("", reader, &principal));
}

static void open_key_files(void **state) {
    (void)state;
    spl_error error;
    char key[64];
    spl_key_file file;
    bool is_open;
    const spl_quota none = {0};
    assert_int_equal(spl_keys_add(folder, "bob", "user", NULL, &none, key, &error), 0);
    for (mode_t mode = 0; mode < 0100; mode++) {
        assert_int_equal(chmod(path_of("keys.json"), 0600 | mode), 0);
        const int status = spl_key_file_read(folder, &file, &is_open, &error);
        if (mode & 022) {
            assert_int_equal(status, SPL_E_PERMISSION);
            assert_non_null(strstr(error.message, "chmod go-w"));
            continue;
        }
        assert_int_equal(status, 0);
        assert_int_equal(is_open, mode != 0);
        spl_key_file_free(&file);
    }
}

static void expect_no_keys(spl_status status, const char *words) {
    spl_error error;
    spl_key_file file;
    assert_int_equal(spl_key_file_read(folder, &file, NULL, &error), status);
    if (!strstr(error.message, words))
        fail_msg("%s", error.message);
}

/* A FIFO has no writer, so opening it in the usual way would wait for ever. */
static void only_regular_files_are_read(void **state) {
    (void)state;
    spl_error error;
    uint8_t secret[32];
    alarm(60);
    assert_int_equal(mkfifo(path_of("keys.json"), 0600), 0);
    expect_no_keys(SPL_E_FORMAT, "not a regular file");
    assert_int_equal(mkfifo(path_of("secret"), 0600), 0);
    assert_int_equal(spl_secret_open(folder, secret, &error), SPL_E_FORMAT);
    assert_int_equal(unlink(path_of("keys.json")), 0);
    assert_int_equal(symlink("/dev/zero", path_of("keys.json")), 0);
    expect_no_keys(SPL_E_FORMAT, "not a regular file");
    alarm(0);
}

static void files_of_other_users_are_refused(void **state) {
    (void)state;
    spl_error error;
    char key[64];
    uint8_t secret[32];
    if (geteuid() != 0)
        skip();
    assert_int_equal(spl_keys_add(folder, "bob", "user", NULL, &defaults, key, &error), 0);
    assert_int_equal(spl_secret_open(folder, secret, &error), 0);
    assert_int_equal(chown(path_of("keys.json"), 10001, 0), 0);
    expect_no_keys(SPL_E_PERMISSION, "belongs to user 10001");
    expect_no_keys(SPL_E_PERMISSION, "sudo -u '#10001'");
    assert_int_equal(chown(path_of("secret"), 10001, 0), 0);
    assert_int_equal(spl_secret_open(folder, secret, &error), SPL_E_PERMISSION);
}

static void expect_folder(mode_t mode, int expected, const char *words) {
    spl_error error = {0};
    assert_int_equal(chmod(folder, mode), 0);
    assert_int_equal(spl_folder_check(folder, &error), expected);
    assert_non_null(strstr(error.message, words));
}

static void folders_of_others_are_refused(void **state) {
    (void)state;
    uint8_t secret[32];
    expect_folder(0750, 0, "");
    expect_folder(02770, 0, ""); /* as Kubernetes makes them: the group is ours */
    expect_folder(0702, SPL_E_PERMISSION, "chmod go-w");
    expect_folder(01777, SPL_E_PERMISSION, "chmod go-w");
    assert_int_equal(spl_secret_open(folder, secret, NULL), SPL_E_PERMISSION);
    expect_folder(0700, 0, "");
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(folder, 0, 10001), 0);
    expect_folder(0770, SPL_E_PERMISSION, "chmod go-w");
    expect_folder(0750, 0, "");
    assert_int_equal(chown(folder, 10001, 0), 0);
    expect_folder(0700, SPL_E_PERMISSION, "belongs to user 10001");
}

static void expect_key_file(mode_t mode, int expected) {
    spl_keyring *ring;
    spl_error error = {0};
    uint8_t secret[32];
    assert_int_equal(chmod(path_of("keys.json"), mode), 0);
    assert_int_equal(chmod(path_of("secret"), mode), 0);
    const int status = spl_keyring_open(folder, "", &defaults, &ring, &error);
    if (status == 0)
        spl_keyring_free(ring);
    assert_int_equal(status, expected);
    assert_int_equal(spl_secret_open(folder, secret, &error), expected);
}

/* Kubernetes gives all files of a volume with fsGroup to the group of the pod. */
static void files_may_be_open_to_the_group_of_the_folder(void **state) {
    (void)state;
    char key[64];
    uint8_t secret[32];
    assert_int_equal(spl_keys_add(folder, "bob", "user", NULL, &defaults, key, NULL), 0);
    assert_int_equal(spl_secret_open(folder, secret, NULL), 0);
    expect_key_file(0660, SPL_E_PERMISSION); /* the group may not write to the folder */
    assert_int_equal(chmod(folder, 02770), 0);
    expect_key_file(0660, 0);
    expect_key_file(0662, SPL_E_PERMISSION);
    expect_key_file(0660, 0);
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(path_of("keys.json"), 0, 10001), 0);
    assert_int_equal(chown(path_of("secret"), 0, 10001), 0);
    expect_key_file(0660, SPL_E_PERMISSION); /* not the folder's group */
    assert_int_equal(chown(folder, 0, 10001), 0);
    assert_int_equal(chmod(folder, 0750), 0);
    expect_key_file(0660, SPL_E_PERMISSION); /* not a group of ours */
}

/* 24 processes add keys at the same time; no key is lost. */
static void keys_added_at_once(void **state) {
    (void)state;
    enum { PROCESSES = 24 };
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            char name[16], key[64];
            snprintf(name, sizeof(name), "key-%d", i);
            _exit(spl_keys_add(folder, name, "user", NULL, &(spl_quota){0}, key, NULL) < 0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    spl_keyring *ring;
    assert_int_equal(spl_keyring_open(folder, "", &defaults, &ring, NULL), 0);
    assert_int_equal(spl_keyring_count(ring), PROCESSES);
    spl_keyring_free(ring);
}

#define SHA256_OF_ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define KEY_WITH(name, role, sha256, rest)                                                         \
    "{\"name\":\"" name "\",\"role\":\"" role "\",\"sha256\":\"" sha256                            \
    "\",\"created\":\"2026-01-01T00:00:00Z\"," rest "}"
#define QUOTA        "\"rate_per_minute\":0,\"jobs\":0,\"storage_bytes\":0,\"priority\":0"
#define FILE_OF(key) "{\"version\":1,\"keys\":[" key "]}"

static void damaged_key_files(void **state) {
    (void)state;
    static const char *const damaged[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"version\":2,\"keys\":[]}",
        "{\"version\":1,\"keys\":{}}",
        "{\"version\":1,\"keys\":[],\"more\":1}",
        "{\"version\":1,\"version\":1,\"keys\":[]}",
        FILE_OF("1"),
        FILE_OF(KEY_WITH("a", "user", "00", QUOTA)),
        FILE_OF(KEY_WITH("a", "user", SHA256_OF_ZEROS "00", QUOTA)),
        FILE_OF(KEY_WITH("a", "user", "g" SHA256_OF_ZEROS, QUOTA)),
        FILE_OF(KEY_WITH("a", "king", SHA256_OF_ZEROS, QUOTA)),
        FILE_OF(KEY_WITH("", "user", SHA256_OF_ZEROS, QUOTA)),
        FILE_OF(KEY_WITH("a", "user", SHA256_OF_ZEROS, QUOTA ",\"id\":\"0123456\"")),
        FILE_OF(KEY_WITH("a", "user", SHA256_OF_ZEROS, QUOTA ",\"id\":\"0123456X\"")),
        FILE_OF(KEY_WITH("a", "reader", SHA256_OF_ZEROS, QUOTA ",\"of\":\"bob\"")),
        FILE_OF(KEY_WITH("a b", "user", SHA256_OF_ZEROS, QUOTA)),
        FILE_OF(KEY_WITH("a", "user", SHA256_OF_ZEROS, QUOTA ",\"more\":1")),
        FILE_OF(KEY_WITH("a", "user", SHA256_OF_ZEROS, "\"rate_per_minute\":0")),
        FILE_OF(KEY_WITH("a", "user", SHA256_OF_ZEROS,
                         "\"rate_per_minute\":-1,\"jobs\":0,\"storage_bytes\":0,\"priority\":0")),
        FILE_OF(KEY_WITH("a", "user", SHA256_OF_ZEROS,
                         "\"rate_per_minute\":0,\"jobs\":0,\"storage_bytes\":0,\"priority\":11")),
        FILE_OF(KEY_WITH("a", "user", SHA256_OF_ZEROS, QUOTA) "," KEY_WITH("a", "user",
                                                                           SHA256_OF_ZEROS, QUOTA)),
    };
    const char *good = FILE_OF(KEY_WITH("a", "user", SHA256_OF_ZEROS, QUOTA));
    spl_key_file file;
    assert_int_equal(spl_key_file_parse(good, strlen(good), "keys.json", &file, NULL), 0);
    assert_int_equal(file.count, 1);
    char client[64];
    spl_key_client(&file.keys[0], client);
    assert_string_equal(client, "key:a");
    spl_key_file_free(&file);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(damaged); i++) {
        spl_error error = {0};
        spl_keyring *ring;
        write_text("keys.json", damaged[i]);
        if (spl_keyring_open(folder, "", &defaults, &ring, &error) != SPL_E_FORMAT)
            fail_msg("taken: %s", damaged[i]);
        assert_non_null(strstr(error.message, "keys.json"));
    }
}

static void rates(void **state) {
    (void)state;
    spl_rate_table *table;
    spl_rate rate;
    unsigned wait_s;
    assert_int_equal(spl_rate_table_new(100, &table, NULL), 0);
    for (unsigned i = 0; i < 6; i++) {
        assert_true(spl_rate_take(table, "a", 6, 1000, &rate, &wait_s));
        assert_int_equal(rate.limit, 6);
        assert_int_equal(rate.remaining, 5 - i);
        assert_int_equal(rate.reset_s, 10 * (i + 1));
        assert_int_equal(wait_s, 0);
    }
    assert_false(spl_rate_take(table, "a", 6, 1003.5, &rate, &wait_s));
    assert_int_equal(wait_s, 7);
    assert_int_equal(rate.remaining, 0);
    assert_true(spl_rate_take(table, "b", 6, 1003.5, &rate, &wait_s));
    assert_true(spl_rate_take(table, "a", 6, 1010, &rate, &wait_s));
    assert_false(spl_rate_take(table, "a", 6, 1010, &rate, &wait_s));
    assert_true(spl_rate_take(table, "a", 6, 2000, &rate, &wait_s));
    assert_int_equal(rate.remaining, 5);
    spl_rate_table_free(table);
    spl_rate_table_free(NULL);
}

/* A busy name keeps its count however many other names appear once. The table does not grow. */
static void rates_of_many(void **state) {
    (void)state;
    spl_rate_table *table;
    spl_rate rate;
    unsigned wait_s;
    assert_int_equal(spl_rate_table_new(1000, &table, NULL), 0);
    for (int i = 0; i < 60; i++)
        assert_true(spl_rate_take(table, "busy", 60, 10, &rate, &wait_s));
    for (int i = 0; i < 100000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "other-%d", i);
        assert_true(spl_rate_take(table, name, 60, 10, &rate, &wait_s));
    }
    assert_false(spl_rate_take(table, "busy", 60, 10, &rate, &wait_s));
    spl_rate_table_free(table);
}

/* Splits "expires=...&by=...&signature=..." in place. */
static spl_link parse_link(char query[SPL_LINK_SIZE]) {
    char *rest = query;
    const char *expires = strsep(&rest, "&"), *by = strsep(&rest, "&");
    assert_memory_equal(expires, "expires=", 8);
    assert_memory_equal(by, "by=", 3);
    assert_memory_equal(rest, "signature=", 10);
    return (spl_link){expires + 8, by + 3, rest + 10};
}

static void links(void **state) {
    (void)state;
    const uint8_t key[32] = {1, 2, 3}, other[32] = {3, 2, 1};
    const char *path = "/v1/jobs/0190a/stems/vocals.wav";
    char query[SPL_LINK_SIZE], others_query[SPL_LINK_SIZE];
    assert_int_equal(spl_links_sign(key, path, "key:bob#01234567", 2000, query, NULL), 0);
    assert_int_equal(spl_links_sign(key, path, "key:bob#01234568", 2000, others_query, NULL), 0);
    assert_null(strstr(query, "bob"));
    const spl_link good = parse_link(query), others = parse_link(others_query);
    assert_string_equal(good.expires, "2000");
    assert_int_equal(strlen(good.signature), 43);
    assert_true(spl_links_valid(key, path, &good, 1000, 3600));
    assert_true(spl_links_valid(key, path, &good, 1999, 3600));
    assert_false(spl_links_valid(key, path, &good, 2000, 3600));
    assert_false(spl_links_valid(key, path, &good, 1000, 999));
    assert_false(spl_links_valid(other, path, &good, 1000, 3600));
    assert_false(spl_links_valid(key, "/v1/jobs/0190a/stems/other.wav", &good, 1000, 3600));
    assert_true(spl_links_made_by(key, &good, "key:bob#01234567"));
    assert_false(spl_links_made_by(key, &good, "key:bob#01234568"));
    assert_false(spl_links_made_by(key, &good, "key:bob"));
    assert_false(spl_links_made_by(other, &good, "key:bob#01234567"));
    const char *const times[] = {
        "2001", "02000", " 2000", "+2000", "2000 ", "2e3", "", "99999999999999999999", "-1", NULL};
    spl_link wrong = good;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(times); i++) {
        wrong.expires = times[i];
        assert_false(spl_links_valid(key, path, &wrong, 1000, 3600));
    }
    const char *const makers[] = {others.by, "", "by", NULL};
    wrong = good;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(makers); i++) {
        wrong.by = makers[i];
        assert_false(spl_links_valid(key, path, &wrong, 1000, 3600));
    }
    char signature[64];
    wrong = good;
    wrong.signature = signature;
    for (size_t i = 0; i < 43; i++) {
        snprintf(signature, sizeof(signature), "%s", good.signature);
        signature[i] = signature[i] == 'A' ? 'B' : 'A';
        assert_false(spl_links_valid(key, path, &wrong, 1000, 3600));
    }
    const char *const others_signatures[] = {others.signature, good.by, "", NULL};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(others_signatures); i++) {
        wrong.signature = others_signatures[i];
        assert_false(spl_links_valid(key, path, &wrong, 1000, 3600));
    }
}

/* The test vector of the reference libraries (standard-webhooks/standard-webhooks). */
#define VECTOR_SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define VECTOR_ID        "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define VECTOR_TIME      "1614265330"
#define VECTOR_PAYLOAD   "{\"test\": 2432232314}"
#define VECTOR_SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static int verify(const char *secret, const char *id, const char *timestamp, const char *signatures,
                  const char *payload, int64_t now_s) {
    spl_error error = {0};
    const int status = spl_webhook_verify(secret, id, timestamp, signatures, payload,
                                          strlen(payload), now_s, &error);
    assert_int_equal(error.status, status);
    return status;
}

static void webhooks(void **state) {
    (void)state;
    const int64_t then = 1614265330;
    char signature[SPL_WEBHOOK_SIGNATURE_SIZE];
    assert_int_equal(spl_webhook_sign(VECTOR_SECRET, VECTOR_ID, then, VECTOR_PAYLOAD,
                                      strlen(VECTOR_PAYLOAD), signature),
                     0);
    assert_string_equal(signature, VECTOR_SIGNATURE);
    assert_int_equal(spl_webhook_sign(&VECTOR_SECRET[6], VECTOR_ID, then, VECTOR_PAYLOAD,
                                      strlen(VECTOR_PAYLOAD), signature),
                     0);
    assert_string_equal(signature, VECTOR_SIGNATURE);

    static const struct {
        const char *secret, *id, *timestamp, *signatures, *payload;
        int64_t late_s;
        int status;
    } cases[] = {
        {VECTOR_SECRET, VECTOR_ID, VECTOR_TIME, VECTOR_SIGNATURE, VECTOR_PAYLOAD, 0, 0},
        {VECTOR_SECRET, VECTOR_ID, VECTOR_TIME, VECTOR_SIGNATURE, VECTOR_PAYLOAD, 300, 0},
        {VECTOR_SECRET, VECTOR_ID, VECTOR_TIME, VECTOR_SIGNATURE, VECTOR_PAYLOAD, -300, 0},
        {VECTOR_SECRET, VECTOR_ID, VECTOR_TIME, "v1a,xxxx v1,AAAA " VECTOR_SIGNATURE,
         VECTOR_PAYLOAD, 0, 0},
        {VECTOR_SECRET, VECTOR_ID, VECTOR_TIME, VECTOR_SIGNATURE, VECTOR_PAYLOAD, 301, SPL_E_LIMIT},
        {VECTOR_SECRET, VECTOR_ID, VECTOR_TIME, VECTOR_SIGNATURE, VECTOR_PAYLOAD, -301,
         SPL_E_LIMIT},
        {VECTOR_SECRET, VECTOR_ID, VECTOR_TIME, VECTOR_SIGNATURE, VECTOR_PAYLOAD " ", 0,
         SPL_E_PERMISSION},
        {VECTOR_SECRET, "msg_other", VECTOR_TIME, VECTOR_SIGNATURE, VECTOR_PAYLOAD, 0,
         SPL_E_PERMISSION},
        {VECTOR_SECRET, VECTOR_ID, "1614265331", VECTOR_SIGNATURE, VECTOR_PAYLOAD, 0,
         SPL_E_PERMISSION},
        {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", VECTOR_ID, VECTOR_TIME, VECTOR_SIGNATURE,
         VECTOR_PAYLOAD, 0, SPL_E_PERMISSION},
        {VECTOR_SECRET, VECTOR_ID, VECTOR_TIME,
         "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", VECTOR_PAYLOAD, 0, SPL_E_PERMISSION},
        {VECTOR_SECRET, VECTOR_ID, VECTOR_TIME, "v1,", VECTOR_PAYLOAD, 0, SPL_E_PERMISSION},
        {VECTOR_SECRET, NULL, VECTOR_TIME, VECTOR_SIGNATURE, VECTOR_PAYLOAD, 0, SPL_E_FORMAT},
        {VECTOR_SECRET, VECTOR_ID, NULL, VECTOR_SIGNATURE, VECTOR_PAYLOAD, 0, SPL_E_FORMAT},
        {VECTOR_SECRET, VECTOR_ID, VECTOR_TIME, NULL, VECTOR_PAYLOAD, 0, SPL_E_FORMAT},
        {VECTOR_SECRET, VECTOR_ID, "soon", VECTOR_SIGNATURE, VECTOR_PAYLOAD, 0, SPL_E_FORMAT},
        {VECTOR_SECRET, "a.b", VECTOR_TIME, VECTOR_SIGNATURE, VECTOR_PAYLOAD, 0, SPL_E_FORMAT},
        {"whsec_short", VECTOR_ID, VECTOR_TIME, VECTOR_SIGNATURE, VECTOR_PAYLOAD, 0,
         SPL_E_ARGUMENT},
        {"", VECTOR_ID, VECTOR_TIME, VECTOR_SIGNATURE, VECTOR_PAYLOAD, 0, SPL_E_ARGUMENT},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        const int status = verify(cases[i].secret, cases[i].id, cases[i].timestamp,
                                  cases[i].signatures, cases[i].payload, then + cases[i].late_s);
        if (status != cases[i].status)
            fail_msg("case %zu: %d", i, status);
    }
}

static void webhook_secrets(void **state) {
    (void)state;
    const uint8_t secret[32] = {7};
    char one[64], same[64], two[64];
    assert_int_equal(spl_webhook_secret(secret, "key:one", one, NULL), 0);
    assert_int_equal(spl_webhook_secret(secret, "key:one", same, NULL), 0);
    assert_int_equal(spl_webhook_secret(secret, "key:two", two, NULL), 0);
    assert_string_equal(one, same);
    assert_string_not_equal(one, two);
    assert_int_equal(strlen(one), 6 + 44);
    char signature[SPL_WEBHOOK_SIGNATURE_SIZE];
    assert_int_equal(spl_webhook_sign(one, "id", 1, "x", 1, signature), 0);
    assert_int_equal(verify(one, "id", "1", signature, "x", 1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(secret_is_kept, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(secret_is_refused, make_folder, remove_folder),
        cmocka_unit_test(derived_keys),
        cmocka_unit_test(base64),
        cmocka_unit_test_setup_teardown(keys_come_and_go, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(names_are_not_inherited, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(readers_read_of_one_client, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(open_key_files, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(only_regular_files_are_read, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(files_of_other_users_are_refused, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(readers_of_revoked_clients_are_marked, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(folders_of_others_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(files_may_be_open_to_the_group_of_the_folder, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(keys_added_at_once, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(damaged_key_files, make_folder, remove_folder),
        cmocka_unit_test(rates),
        cmocka_unit_test(rates_of_many),
        cmocka_unit_test(links),
        cmocka_unit_test(webhooks),
        cmocka_unit_test(webhook_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
