/* SPDX-License-Identifier: MIT
 *
 * JWK sets. jansson parses them, cjose imports the keys, libcurl fetches them.
 */
#include "service/auth/jwks.h"

#include "base/json.h"
#include "service/auth/base64.h"
#include "service/observe/log.h"
#include "service/observe/metrics.h"
#include "service/outbound/outbound.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define SET_MAX_BYTES   ((size_t)256 << 10)
#define SET_MAX_KEYS    64
#define RSA_MIN_BITS    2048
#define RSA_MAX_BITS    8192
#define FETCH_TIMEOUT_S 5
#define FETCH_PAUSE_S   60.0
#define SET_MAX_AGE_S   900.0

struct spl_jwks {
    atomic_uint holders;
    size_t count;
    cjose_jwk_t *keys[SET_MAX_KEYS];
};

static void jwks_unref_p(spl_jwks **jwks) {
    spl_jwks_unref(*jwks);
}

/* Whether `member` is missing or equals `text`. */
static bool absent_or(const json_t *item, const char *member, const char *text) {
    const json_t *value = json_object_get(item, member);
    const char *string = json_string_value(value);
    return !value || (string && strcmp(string, text) == 0);
}

static bool may_verify(const json_t *item) {
    const json_t *operations = json_object_get(item, "key_ops");
    size_t i;
    json_t *operation;
    json_array_foreach(operations, i, operation) {
        const char *name = json_string_value(operation);
        if (name && strcmp(name, "verify") == 0)
            return true;
    }
    return !operations;
}

static bool fits_algorithm(const cjose_jwk_t *key, const char *algorithm) {
    const cjose_jwk_kty_t type = cjose_jwk_get_kty(key, NULL);
    if (algorithm[0] != 'E') {
        const size_t bits = cjose_jwk_get_keysize(key, NULL);
        return type == CJOSE_JWK_KTY_RSA && bits >= RSA_MIN_BITS && bits <= RSA_MAX_BITS;
    }
    const cjose_jwk_ec_curve wanted = strcmp(algorithm, "ES256") == 0   ? CJOSE_JWK_EC_P_256
                                      : strcmp(algorithm, "ES384") == 0 ? CJOSE_JWK_EC_P_384
                                                                        : CJOSE_JWK_EC_P_521;
    return type == CJOSE_JWK_KTY_EC && cjose_jwk_EC_get_curve(key, NULL) == wanted;
}

/* Whether the key's numbers are base64url with padding only at the end. libcjose aborts the process
 * on others. */
static bool has_clean_numbers(const json_t *item) {
    static const char *const members[] = {"n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y", "k"};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(members); i++) {
        const json_t *value = json_object_get(item, members[i]);
        const char *text = json_string_value(value);
        const size_t digits = text ? strspn(text, SPL_BASE64URL_DIGITS) : 0;
        const size_t padding = text ? strspn(text + digits, "=") : 0;
        if (value && (!text || digits % 4 == 1 || padding > 2 || text[digits + padding] ||
                      (padding > 0 && (digits + padding) % 4 != 0)))
            return false;
    }
    return true;
}

/* Returns NULL when the key is unusable. */
static cjose_jwk_t *import_key(json_t *item, const char *algorithm) {
    const char *kid = json_string_value(json_object_get(item, "kid"));
    if (!kid || !*kid || !absent_or(item, "use", "sig") || !absent_or(item, "alg", algorithm) ||
        !may_verify(item) || !has_clean_numbers(item))
        return NULL;
    cjose_jwk_t *key = cjose_jwk_import_json(item, NULL);
    if (key && !fits_algorithm(key, algorithm)) {
        cjose_jwk_release(key);
        return NULL;
    }
    return key;
}

int spl_jwks_parse(const void *text, size_t size, const char *algorithm, spl_jwks **ret_jwks,
                   spl_error *ret_error) {
    SPL_CLEANUP(spl_json_free_p) json_t *root = NULL;
    spl_error reason;
    if (spl_json_load(text, size, 0, &root, &reason) < 0)
        return spl_fail(ret_error, (spl_status)reason.status, "the JWK set %s", reason.message);
    const json_t *list = json_object_get(root, "keys");
    if (!json_is_array(list))
        return spl_fail(ret_error, SPL_E_FORMAT, "the JWK set is not a JSON object with \"keys\"");
    if (json_array_size(list) > SET_MAX_KEYS)
        return spl_fail(ret_error, SPL_E_FORMAT, "the JWK set has more than %d keys", SET_MAX_KEYS);
    SPL_CLEANUP(jwks_unref_p) spl_jwks *jwks = calloc(1, sizeof(*jwks));
    if (!jwks)
        return spl_fail_memory(ret_error);
    jwks->holders = 1;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        cjose_jwk_t *key = import_key(item, algorithm);
        if (key)
            jwks->keys[jwks->count++] = key;
    }
    if (jwks->count == 0)
        return spl_fail(ret_error, SPL_E_FORMAT, "the JWK set has no key with an id for %s",
                        algorithm);
    *ret_jwks = SPL_STEAL(jwks);
    return 0;
}

const cjose_jwk_t *spl_jwks_find(const spl_jwks *jwks, const char *kid) {
    for (size_t i = 0; i < jwks->count; i++) {
        if (strcmp(cjose_jwk_get_kid(jwks->keys[i], NULL), kid) == 0)
            return jwks->keys[i];
    }
    return NULL;
}

spl_jwks *spl_jwks_ref(spl_jwks *jwks) {
    atomic_fetch_add(&jwks->holders, 1);
    return jwks;
}

void spl_jwks_unref(spl_jwks *jwks) {
    if (!jwks || atomic_fetch_sub(&jwks->holders, 1) > 1)
        return;
    for (size_t i = 0; i < jwks->count; i++)
        cjose_jwk_release(jwks->keys[i]);
    free(jwks);
}

struct spl_jwks_source {
    const char *url, *algorithm;
    pthread_mutex_t lock;
    pthread_cond_t fetched;
    spl_jwks *set; /* NULL until the first successful fetch */
    bool fetching, tried;
    atomic_bool stopped;
    double tried_s, set_s;
};

int spl_jwks_source_new(const char *url, const char *algorithm, spl_jwks_source **ret_source,
                        spl_error *ret_error) {
    spl_jwks_source *source = calloc(1, sizeof(*source));
    if (!source)
        return spl_fail_memory(ret_error);
    source->url = url;
    source->algorithm = algorithm;
    pthread_mutex_init(&source->lock, NULL);
    pthread_cond_init(&source->fetched, NULL);
    *ret_source = source;
    return 0;
}

void spl_jwks_source_free(spl_jwks_source *source) {
    if (!source)
        return;
    spl_jwks_unref(source->set);
    pthread_cond_destroy(&source->fetched);
    pthread_mutex_destroy(&source->lock);
    free(source);
}

void spl_jwks_source_stop(spl_jwks_source *source) {
    atomic_store(&source->stopped, true);
}

typedef struct body {
    const spl_jwks_source *source;
    size_t size;
    char data[SET_MAX_BYTES];
} body;

static int take_body(void *user, const void *data, size_t size) {
    body *whole = user;
    memcpy(whole->data + whole->size, data, size); /* max_bytes limits the total */
    whole->size += size;
    return 0;
}

/* spl_outbound.canceled */
static int is_stopped(void *user) {
    const body *whole = user;
    return atomic_load(&whole->source->stopped);
}

static int fetch(const spl_jwks_source *source, spl_jwks **ret_jwks, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) body *whole = malloc(sizeof(*whole));
    if (!whole)
        return spl_fail_memory(ret_error);
    whole->source = source;
    whole->size = 0;
    const spl_outbound request = {.url = source->url,
                                  .allow = "",
                                  .allow_private = true,
                                  .max_bytes = sizeof(whole->data),
                                  .timeout_s = FETCH_TIMEOUT_S,
                                  .write = take_body,
                                  .user = whole,
                                  .canceled = is_stopped};
    spl_outbound_answer answer;
    spl_metrics_count(SPL_COUNTER_JWKS_FETCHES, 1);
    const int status = spl_outbound_run(&request, &answer, ret_error);
    if (status < 0)
        return status;
    if (answer.status != 200)
        return spl_fail(ret_error, SPL_E_IO, "its server answered %ld", answer.status);
    return spl_jwks_parse(whole->data, whole->size, source->algorithm, ret_jwks, ret_error);
}

/* Fetches with the lock released. The caller holds it before and after. */
static void refresh(spl_jwks_source *source, double now_s) {
    source->fetching = source->tried = true;
    source->tried_s = now_s;
    pthread_mutex_unlock(&source->lock);
    spl_jwks *set = NULL;
    spl_error error;
    if (fetch(source, &set, &error) < 0)
        spl_log(SPL_LOG_WARNING, "jwks.fetch_failed", SPL_TEXT("url", source->url),
                SPL_TEXT("error", error.message));
    pthread_mutex_lock(&source->lock);
    source->fetching = false;
    if (set) {
        spl_jwks_unref(source->set);
        source->set = set;
        source->set_s = now_s;
    }
    pthread_cond_broadcast(&source->fetched);
}

int spl_jwks_source_get(spl_jwks_source *source, const char *kid, double now_s, spl_jwks **ret_jwks,
                        spl_error *ret_error) {
    pthread_mutex_lock(&source->lock);
    for (;;) {
        const bool known = source->set && spl_jwks_find(source->set, kid);
        const bool fresh = source->set && now_s - source->set_s < SET_MAX_AGE_S;
        if (known && (fresh || source->fetching))
            break;
        if (source->fetching)
            pthread_cond_wait(&source->fetched, &source->lock);
        else if (source->tried && now_s - source->tried_s < FETCH_PAUSE_S)
            break;
        else
            refresh(source, now_s);
    }
    spl_jwks *set = source->set ? spl_jwks_ref(source->set) : NULL;
    pthread_mutex_unlock(&source->lock);
    if (!set)
        return spl_fail(ret_error, SPL_E_IO, "the keys of the token's issuer can't be fetched");
    *ret_jwks = set;
    return 0;
}
