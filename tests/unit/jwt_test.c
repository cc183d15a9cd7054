/* SPDX-License-Identifier: MIT
 *
 * JSON Web Tokens, the key sets that verify them, and the authentication that accepts them. The
 * keys are made here and cjose signs the tokens. tests/service/test_jwt.py uses tokens of another
 * implementation.
 */
#include "base/clock.h"
#include "http_fixture.h"
#include "service/auth/auth.h"
#include "service/auth/jwks.h"
#include "service/auth/jwt.h"
#include "service/auth/keys.h"
#include "service/observe/log.h"
#include "service/outbound/outbound.h"

#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW_S 1000000

static const char *const algorithms[] = {"RS256", "RS384", "RS512", "PS256", "PS384",
                                         "PS512", "ES256", "ES384", "ES512"};

static cjose_jwk_t *rsa, *other_rsa, *small_rsa, *p256, *p384, *p521;

static int make_keys(void **state) {
    (void)state;
    static const uint8_t exponent[] = {1, 0, 1};
    rsa = cjose_jwk_create_RSA_random(2048, exponent, sizeof(exponent), NULL);
    other_rsa = cjose_jwk_create_RSA_random(2048, exponent, sizeof(exponent), NULL);
    small_rsa = cjose_jwk_create_RSA_random(1024, exponent, sizeof(exponent), NULL);
    p256 = cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, NULL);
    p384 = cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_384, NULL);
    p521 = cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_521, NULL);
    cjose_jwk_t *keys[] = {rsa, other_rsa, small_rsa, p256, p384, p521};
    const char *kids[] = {"rsa", "other", "small", "p256", "p384", "p521"};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(keys); i++) {
        if (!keys[i] || !cjose_jwk_set_kid(keys[i], kids[i], strlen(kids[i]), NULL))
            return -1;
    }
    return spl_outbound_start(NULL) < 0 || spl_log_open("/dev/null", 0, SPL_LOG_ERROR, NULL) < 0;
}

static int free_keys(void **state) {
    (void)state;
    cjose_jwk_t *keys[] = {rsa, other_rsa, small_rsa, p256, p384, p521};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(keys); i++)
        cjose_jwk_release(keys[i]);
    return 0;
}

static const cjose_jwk_t *key_of(const char *algorithm) {
    if (algorithm[0] != 'E')
        return rsa;
    return strcmp(algorithm, "ES256") == 0 ? p256 : strcmp(algorithm, "ES384") == 0 ? p384 : p521;
}

/* Returns the public half of a key as JSON, with the members of `more` added. */
static json_t *public_json(const cjose_jwk_t *key, const char *more) {
    char *text = cjose_jwk_to_json(key, false, NULL);
    json_t *object = json_loads(text, 0, NULL);
    free(text);
    json_t *members = json_loads(more, 0, NULL);
    assert_non_null(members);
    json_object_update(object, members);
    json_decref(members);
    return object;
}

/* Returns {"keys": [...]} as text and releases `keys`. The caller frees the text. */
static char *set_of(json_t *keys) {
    json_t *root = json_pack("{s:o}", "keys", keys);
    char *text = json_dumps(root, 0);
    json_decref(root);
    return text;
}

/* Returns a token with this header and these claims, both JSON texts. The caller frees it. */
static char *sign(const cjose_jwk_t *key, const char *header, const char *claims) {
    json_t *fields = json_loads(header, 0, NULL);
    assert_non_null(fields);
    cjose_jws_t *jws = cjose_jws_sign(key, fields, (const uint8_t *)claims, strlen(claims), NULL);
    assert_non_null(jws);
    const char *token;
    assert_true(cjose_jws_export(jws, &token, NULL));
    char *copy = strdup(token);
    cjose_jws_release(jws);
    json_decref(fields);
    return copy;
}

static spl_jwt_policy policy_of(const char *algorithm) {
    return (spl_jwt_policy){.issuer = "https://issuer.example",
                            .audience = "spleeterd",
                            .algorithm = algorithm,
                            .leeway_s = 30};
}

#define CLAIMS_WITH(more)                                                                          \
    "{\"iss\":\"https://"                                                                          \
    "issuer.example\",\"aud\":\"spleeterd\",\"sub\":\"me\",\"exp\":1000100" more "}"

static int check(const spl_jwt_policy *policy, const cjose_jwk_t *key, const char *token,
                 spl_jwt_claims *ret_claims, spl_error *ret_error) {
    char kid[SPL_JWT_KID_MAX_LENGTH + 1];
    int status = spl_jwt_read_kid(policy, token, kid, ret_error);
    return status < 0 ? status : spl_jwt_verify(policy, key, token, NOW_S, ret_claims, ret_error);
}

static void each_algorithm(void **state) {
    (void)state;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(algorithms); i++) {
        const spl_jwt_policy policy = policy_of(algorithms[i]);
        for (size_t k = 0; k < SPL_ARRAY_SIZE(algorithms); k++) {
            char header[64];
            spl_jwt_claims claims;
            spl_error error = {0};
            snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"k\"}", algorithms[k]);
            SPL_CLEANUP(spl_free_p)
            char *token = sign(key_of(algorithms[k]), header, CLAIMS_WITH(""));
            const int status = check(&policy, key_of(algorithms[i]), token, &claims, &error);
            if (status != (i == k ? 0 : SPL_E_PERMISSION))
                fail_msg("%s for %s: %s", algorithms[k], algorithms[i], error.message);
        }
    }
}

static void claims(void **state) {
    (void)state;
    static const struct {
        const char *claims;
        unsigned scopes; /* ~0u: the token is refused */
    } cases[] = {
        {CLAIMS_WITH(""), 0},
        {CLAIMS_WITH(",\"scope\":\"jobs:read\""), SPL_SCOPE_READ},
        {CLAIMS_WITH(",\"scope\":\"openid jobs:write  metrics:read jobs:read\""), 7},
        {CLAIMS_WITH(",\"scope\":\"jobs:readx jobs: read jobs:rea\""), 0},
        {CLAIMS_WITH(",\"scp\":[\"jobs:read\",\"jobs:write\",1]"),
         SPL_SCOPE_READ | SPL_SCOPE_WRITE},
        {CLAIMS_WITH(",\"scp\":\"jobs:write\""), SPL_SCOPE_WRITE},
        {CLAIMS_WITH(",\"scope\":\"\",\"scp\":[\"jobs:read\"]"), 0},
        {CLAIMS_WITH(",\"scope\":{\"jobs:read\":1}"), 0},
        {CLAIMS_WITH(",\"nbf\":1000030,\"iat\":1000030"), 0},
        {CLAIMS_WITH(",\"nbf\":1000031"), ~0u},
        {CLAIMS_WITH(",\"iat\":1000031"), ~0u},
        {CLAIMS_WITH(",\"nbf\":\"0\""), ~0u},
        {CLAIMS_WITH(",\"nbf\":null"), ~0u},
        /* The claim occurs twice. */
        {CLAIMS_WITH(",\"sub\":\"me\""), ~0u},
#define PARTS(iss, aud, sub, exp)                                                                  \
    "{\"iss\":" iss ",\"aud\":" aud ",\"sub\":" sub ",\"exp\":" exp "}"
#define ISS "\"https://issuer.example\""
        {PARTS(ISS, "[\"a\",\"spleeterd\"]", "\"me\"", "1000100"), 0},
        {PARTS(ISS, "[\"a\",1,\"spleeterd\"]", "\"me\"", "1000100"), ~0u},
        {PARTS(ISS, "[\"spleeter\"]", "\"me\"", "1000100"), ~0u},
        {PARTS(ISS, "[]", "\"me\"", "1000100"), ~0u},
        {PARTS(ISS, "{\"spleeterd\":1}", "\"me\"", "1000100"), ~0u},
        {PARTS(ISS, "\"spleeterd2\"", "\"me\"", "1000100"), ~0u},
        {PARTS(ISS, "\"SPLEETERD\"", "\"me\"", "1000100"), ~0u},
        {PARTS(ISS, "[[\"spleeterd\"]]", "\"me\"", "1000100"), ~0u},
        {PARTS("\"https://issuer.example/\"", "\"spleeterd\"", "\"me\"", "1000100"), ~0u},
        {PARTS("[\"https://issuer.example\"]", "\"spleeterd\"", "\"me\"", "1000100"), ~0u},
        {PARTS("\"\"", "\"spleeterd\"", "\"me\"", "1000100"), ~0u},
        {PARTS(ISS, "\"spleeterd\"", "\"me\"", "999971"), 0},
        {PARTS(ISS, "\"spleeterd\"", "\"me\"", "999971.5"), 0},
        {PARTS(ISS, "\"spleeterd\"", "\"me\"", "999970"), ~0u},
        {PARTS(ISS, "\"spleeterd\"", "\"me\"", "0"), ~0u},
        {PARTS(ISS, "\"spleeterd\"", "\"me\"", "-1"), ~0u},
        {PARTS(ISS, "\"spleeterd\"", "\"me\"", "\"1000100\""), ~0u},
        {PARTS(ISS, "\"spleeterd\"", "\"me\"", "null"), ~0u},
        {PARTS(ISS, "\"spleeterd\"", "\"me\"", "true"), ~0u},
        {PARTS(ISS, "\"spleeterd\"", "\"me\"", "[1000100]"), ~0u},
        {PARTS(ISS, "\"spleeterd\"", "\"me\"", "1e300"), 0},
        {PARTS(ISS, "\"spleeterd\"", "\"me\"", "1e999"), ~0u},
        {PARTS(ISS, "\"spleeterd\"", "\"\"", "1000100"), ~0u},
        {PARTS(ISS, "\"spleeterd\"", "7", "1000100"), ~0u},
        {PARTS(ISS, "\"spleeterd\"", "\"a\\nb\"", "1000100"), ~0u},
        {PARTS(ISS, "\"spleeterd\"", "\"a\\u0000b\"", "1000100"), ~0u},
        {"{\"iss\":" ISS ",\"aud\":\"spleeterd\",\"exp\":1000100}", ~0u},
        {"{\"iss\":" ISS ",\"aud\":\"spleeterd\",\"sub\":\"me\"}", ~0u},
        {"{\"iss\":" ISS ",\"sub\":\"me\",\"exp\":1000100}", ~0u},
        {"{\"aud\":\"spleeterd\",\"sub\":\"me\",\"exp\":1000100}", ~0u},
        {"{}", ~0u},
        {"[]", ~0u},
        {"null", ~0u},
        {"x", ~0u},
        {CLAIMS_WITH("") " ", 0},
        {CLAIMS_WITH("") "{}", ~0u},
    };
    const spl_jwt_policy policy = policy_of("RS256");
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        spl_jwt_claims read = {.scopes = 0xff};
        spl_error error = {0};
        SPL_CLEANUP(spl_free_p)
        char *token = sign(rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", cases[i].claims);
        const int status = check(&policy, rsa, token, &read, &error);
        const bool refused = cases[i].scopes == ~0u;
        if ((status < 0) != refused)
            fail_msg("%s: %d %s", cases[i].claims, status, error.message);
        assert_int_equal(error.status, status);
        assert_int_equal(read.scopes, refused ? 0xff : cases[i].scopes);
        if (!refused)
            assert_string_equal(read.subject, "me");
    }
}

static void headers(void **state) {
    (void)state;
    static char long_kid[400] = "{\"alg\":\"RS256\",\"kid\":\"";
    memset(long_kid + strlen(long_kid), 'k', 300);
    snprintf(long_kid + strlen(long_kid), 8, "\"}");
    static const struct {
        const char *header;
        bool good;
    } cases[] = {
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\"}", true},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"JWT\"}", true},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"jwt\"}", true},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"at+jwt\"}", true},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"application/at+jwt\"}", true},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"id+jwt\"}", false},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"secevent+jwt\"}", false},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"\"}", false},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":1}", false},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":[\"exp\"]}", false},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":[]}", false},
        {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"jku\":\"http://127.0.0.1/\",\"x5u\":\"x\"}", true},
        {"{\"alg\":\"RS256\"}", false},
        {"{\"alg\":\"RS256\",\"kid\":\"\"}", false},
        {"{\"alg\":\"RS256\",\"kid\":7}", false},
        {"{\"alg\":\"RS384\",\"kid\":\"rsa\"}", false},
        {long_kid, false},
    };
    const spl_jwt_policy policy = policy_of("RS256");
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        spl_jwt_claims read;
        spl_error error = {0};
        SPL_CLEANUP(spl_free_p) char *token = sign(rsa, cases[i].header, CLAIMS_WITH(""));
        if ((check(&policy, rsa, token, &read, &error) == 0) != cases[i].good)
            fail_msg("%s: %s", cases[i].header, error.message);
    }
}

/* Every change of one character, and texts that do not have the form of a token. */
static void shapes(void **state) {
    (void)state;
    const spl_jwt_policy policy = policy_of("ES256");
    SPL_CLEANUP(spl_free_p)
    char *token = sign(p256, "{\"alg\":\"ES256\",\"kid\":\"p256\"}", CLAIMS_WITH(""));
    spl_jwt_claims read;
    assert_int_equal(check(&policy, p256, token, &read, NULL), 0);
    /* The low bits of the last character are not part of the signature. */
    const size_t last = strlen(token) - 1;
    for (size_t i = 0; i < last; i++) {
        const char kept = token[i];
        token[i] = kept == 'A' ? 'B' : 'A';
        assert_true(check(&policy, p256, token, &read, NULL) < 0);
        token[i] = kept;
    }
    for (size_t i = 0; i < last; i++) {
        const char kept = token[i];
        token[i] = '\0';
        assert_true(check(&policy, p256, token, &read, NULL) < 0);
        token[i] = kept;
    }
    SPL_CLEANUP(spl_free_p) char *longer = NULL;
    static const char *const around[][2] = {{"", "."}, {".", ""},  {"", ".x"}, {" ", ""},
                                            {"", "="}, {"", "\n"}, {"=", ""},  {"", " "}};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(around); i++) {
        free(SPL_STEAL(longer));
        assert_true(asprintf(&longer, "%s%s%s", around[i][0], token, around[i][1]) > 0);
        assert_true(check(&policy, p256, longer, &read, NULL) < 0);
    }
    static char large[SPL_JWT_MAX_LENGTH + 2];
    memset(large, 'a', sizeof(large) - 1);
    large[10] = large[20] = '.';
    assert_int_equal(check(&policy, p256, large, &read, NULL), SPL_E_FORMAT);
    static const char *const none[] = {"", ".", "..", "a.b", "a.b.c", "e30.e30.e30", "e30.e30."};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(none); i++)
        assert_true(check(&policy, p256, none[i], &read, NULL) < 0);
}

static void key_sets(void **state) {
    (void)state;
    json_t *keys = json_array();
    json_array_append_new(keys, public_json(rsa, "{}"));
    json_array_append_new(keys, public_json(other_rsa, "{\"use\":\"enc\"}"));
    json_array_append_new(keys, public_json(other_rsa, "{\"kid\":\"alg\",\"alg\":\"RS512\"}"));
    json_array_append_new(keys,
                          public_json(other_rsa, "{\"kid\":\"ops\",\"key_ops\":[\"encrypt\"]}"));
    json_array_append_new(keys, public_json(other_rsa, "{\"kid\":\"bad\",\"n\":\"!\"}"));
    json_array_append_new(keys, public_json(other_rsa, "{\"kid\":\"padded\",\"n\":\"wcHB=HBw\"}"));
    json_array_append_new(keys, public_json(other_rsa, "{\"kid\":\"cut\",\"n\":\"wcHBw\"}"));
    json_array_append_new(keys, public_json(other_rsa, "{\"kid\":7}"));
    json_array_append_new(keys, public_json(other_rsa,
                                            "{\"kid\":\"good\",\"use\":\"sig\",\"alg\":\"RS256\","
                                            "\"key_ops\":[\"sign\",\"verify\"]}"));
    json_array_append_new(keys, public_json(small_rsa, "{}"));
    json_array_append_new(keys, public_json(p256, "{}"));
    json_array_append_new(
        keys, json_pack("{s:s, s:s, s:s}", "kty", "oct", "k", "c2VjcmV0", "kid", "oct"));
    json_array_append_new(keys, json_integer(1));
    SPL_CLEANUP(spl_free_p) char *text = set_of(keys);
    spl_jwks *set;
    assert_int_equal(spl_jwks_parse(text, strlen(text), "RS256", &set, NULL), 0);
    assert_non_null(spl_jwks_find(set, "rsa"));
    assert_non_null(spl_jwks_find(set, "good"));
    static const char *const left_out[] = {"other", "alg",  "ops", "bad", "small", "padded",
                                           "cut",   "p256", "oct", "",    "RSA"};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(left_out); i++)
        assert_null(spl_jwks_find(set, left_out[i]));
    spl_jwks_unref(set);
    assert_int_equal(spl_jwks_parse(text, strlen(text), "ES256", &set, NULL), 0);
    assert_non_null(spl_jwks_find(set, "p256"));
    assert_null(spl_jwks_find(set, "rsa"));
    spl_jwks_unref(set);
    assert_int_equal(spl_jwks_parse(text, strlen(text), "ES384", &set, NULL), SPL_E_FORMAT);

    static const char *const wrong[] = {
        "", "x", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[{}]}"};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(wrong); i++)
        assert_int_equal(spl_jwks_parse(wrong[i], strlen(wrong[i]), "RS256", &set, NULL),
                         SPL_E_FORMAT);
}

static http_fixture server;
static char url[64];

static int start_server(void **state) {
    (void)state;
    http_fixture_start(&server, false);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/jwks.json", server.port);
    return 0;
}

static int stop_server(void **state) {
    (void)state;
    http_fixture_stop(&server);
    return 0;
}

static bool has(spl_jwks_source *source, const char *kid, double now_s) {
    spl_jwks *set;
    assert_int_equal(spl_jwks_source_get(source, kid, now_s, &set, NULL), 0);
    const bool found = spl_jwks_find(set, kid) != NULL;
    spl_jwks_unref(set);
    return found;
}

/* Keys are fetched on demand, at most once a minute. They stay in use while the server fails. */
static void fetching(void **state) {
    (void)state;
    SPL_CLEANUP(spl_free_p) char *first = set_of(json_pack("[o]", public_json(rsa, "{}")));
    SPL_CLEANUP(spl_free_p) char *second = set_of(json_pack("[o]", public_json(other_rsa, "{}")));
    spl_jwks_source *source;
    spl_jwks *set;
    spl_error error;
    assert_int_equal(spl_jwks_source_new(url, "RS256", &source, NULL), 0);
    assert_int_equal(server.requests, 0);

    server.status = 500;
    server.body = first;
    for (int i = 0; i < 50; i++)
        assert_int_equal(spl_jwks_source_get(source, "rsa", 100 + i, &set, &error), SPL_E_IO);
    assert_int_equal(server.requests, 1);

    server.status = 200;
    assert_true(has(source, "rsa", 160));
    assert_int_equal(server.requests, 2);
    for (int i = 0; i < 500; i++) {
        char kid[32];
        snprintf(kid, sizeof(kid), "unknown-%d", i);
        assert_false(has(source, kid, 160 + 0.1 * i));
        assert_true(has(source, "rsa", 160 + 0.1 * i));
    }
    assert_int_equal(server.requests, 2);

    /* The issuer has replaced its key. The new key is found a minute after the last fetch, and the
     * old one is dropped. */
    server.body = second;
    assert_true(has(source, "rsa", 300));
    assert_int_equal(server.requests, 2);
    assert_true(has(source, "other", 300));
    assert_false(has(source, "rsa", 301));
    assert_int_equal(server.requests, 3);

    /* After 15 minutes the set is fetched again. While that fails, the keys stay in use. */
    server.body = "not JSON";
    assert_true(has(source, "other", 1199));
    assert_int_equal(server.requests, 3);
    assert_true(has(source, "other", 1201));
    assert_true(has(source, "other", 1202));
    assert_int_equal(server.requests, 4);
    server.status = 404;
    assert_true(has(source, "other", 5000));
    assert_int_equal(server.requests, 5);
    server.status = 200;
    server.body = first;
    assert_false(has(source, "other", 5061));
    assert_true(has(source, "rsa", 5061));
    assert_int_equal(server.requests, 6);
    spl_jwks_source_free(source);
    spl_jwks_source_free(NULL);
}

static void *find_rsa(void *source) {
    return has(source, "rsa", 10) ? source : NULL;
}

/* Many threads that need the keys at the same time cause one request and share its result. */
static void fetching_at_once(void **state) {
    (void)state;
    SPL_CLEANUP(spl_free_p) char *text = set_of(json_pack("[o]", public_json(rsa, "{}")));
    server.body = text;
    spl_jwks_source *source;
    assert_int_equal(spl_jwks_source_new(url, "RS256", &source, NULL), 0);
    pthread_t threads[16];
    for (size_t i = 0; i < SPL_ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_rsa, source), 0);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(threads); i++) {
        void *found;
        pthread_join(threads[i], &found);
        assert_ptr_equal(found, source);
    }
    assert_int_equal(server.requests, 1);
    spl_jwks_source_free(source);
}

static char empty[] = "", development[] = "development", production[] = "production",
            api_key[] = "sixteen characters", issuer[] = "https://issuer.example",
            audience[] = "spleeterd", algorithm[] = "RS256", folder[] = "/nowhere";

static spl_settings settings_of(char *env, char *key, bool tokens) {
    return (spl_settings){.env = env,
                          .data_dir = folder,
                          .api_key = key,
                          .jwt_issuer = tokens ? issuer : empty,
                          .jwt_audience = tokens ? audience : empty,
                          .jwt_algorithm = algorithm,
                          .jwt_jwks_url = tokens ? url : empty,
                          .jwt_leeway_s = 30,
                          .link_max_s = 100,
                          .rate_per_minute = 3,
                          .jobs_per_key = 7};
}

static const uint8_t secret[32] = {1};

static int enter(spl_auth *auth, const char *key, const char *authorization, const char *address,
                 spl_principal *ret_principal, spl_problem_code *ret_code) {
    spl_problem problem = {.code = SPL_PROBLEM_COUNT};
    const int status = spl_auth_check(auth, key, authorization, address, ret_principal, &problem);
    assert_true((status < 0) == (problem.code != SPL_PROBLEM_COUNT));
    assert_true(status == 0 || problem.detail[0]);
    *ret_code = problem.code;
    return status;
}

static void door(void **state) {
    (void)state;
    SPL_CLEANUP(spl_free_p) char *keys = set_of(json_pack("[o]", public_json(rsa, "{}")));
    server.body = keys;
    const spl_settings settings = settings_of(production, api_key, true);
    spl_auth *auth;
    spl_principal who = {0};
    spl_problem_code code;
    char claims_text[256], bearer[4096];
    assert_int_equal(spl_auth_open(&settings, secret, &auth, NULL), 0);

    assert_int_equal(enter(auth, api_key, NULL, "192.0.2.1", &who, &code), 0);
    assert_string_equal(who.id, "key:default");
    assert_int_equal(who.quota.jobs, 7);
    assert_int_equal(enter(auth, NULL, "Bearer sixteen characters", "192.0.2.1", &who, &code), 0);
    assert_int_equal(enter(auth, NULL, "bearer  sixteen characters", "192.0.2.1", &who, &code), 0);
    assert_int_equal(server.requests, 0);

    snprintf(claims_text, sizeof(claims_text),
             "{\"iss\":\"https://"
             "issuer.example\",\"aud\":\"spleeterd\",\"sub\":\"m\xc3\xa9\",\"exp\":%lld,"
             "\"scope\":\"jobs:read\"}",
             (long long)time(NULL) + 100);
    SPL_CLEANUP(spl_free_p)
    char *token = sign(rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", claims_text);
    snprintf(bearer, sizeof(bearer), "Bearer %s", token);
    assert_int_equal(enter(auth, NULL, bearer, "192.0.2.1", &who, &code), 0);
    /* printf 'https://issuer.example\nmé' | sha256sum */
    assert_string_equal(who.id, "jwt:f7ae00c4a252d4de2353f09769a77788");
    assert_string_equal(who.name, "m\xc3\xa9");
    assert_int_equal(who.scopes, SPL_SCOPE_READ);
    assert_int_equal(who.quota.jobs, 7);

    static const struct {
        const char *key, *authorization;
    } refused[] = {
        {NULL, NULL},
        {"", NULL},
        {"sixteen character", NULL},
        {"sixteen characters", "Bearer sixteen characters"},
        {NULL, ""},
        {NULL, "Bearer"},
        {NULL, "Bearer "},
        {NULL, "Basic c2l4dGVlbiBjaGFyYWN0ZXJz"},
        {NULL, "sixteen characters"},
        {NULL, "Bearer a.b.c"},
        {NULL, "Bearer eyJhbGciOiJub25lIn0.e30.eA"},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(refused); i++) {
        assert_true(
            enter(auth, refused[i].key, refused[i].authorization, "192.0.2.2", &who, &code) < 0);
        assert_int_equal(code, SPL_PROBLEM_UNAUTHORIZED);
    }
    spl_auth_free(auth);
    spl_auth_free(NULL);
}

/* After too many failures from an IPv4 address or an IPv6 /64, further failures are rate limited.
 * Valid credentials from there are still accepted. */
static void failures(void **state) {
    (void)state;
    const spl_settings settings = settings_of(production, api_key, false);
    spl_auth *auth;
    spl_principal who;
    spl_problem_code code;
    assert_int_equal(spl_auth_open(&settings, secret, &auth, NULL), 0);
    for (int i = 0; i < 100; i++) {
        char address[64];
        snprintf(address, sizeof(address), "2a00:1:2:3::%x", i);
        assert_true(enter(auth, "guess", NULL, address, &who, &code) < 0);
        enter(auth, "guess", NULL, "192.0.2.7", &who, &code);
    }
    assert_int_equal(code, SPL_PROBLEM_RATE_LIMITED);
    assert_int_equal(enter(auth, api_key, NULL, "192.0.2.7", &who, &code), 0);
    assert_int_equal(enter(auth, api_key, NULL, "2a00:1:2:3:ffff::1", &who, &code), 0);
    assert_true(enter(auth, "guess", NULL, "2a00:1:2:3:ffff::1", &who, &code) < 0);
    assert_int_equal(code, SPL_PROBLEM_RATE_LIMITED);
    assert_true(enter(auth, "guess", NULL, "2a00:1:2:4::1", &who, &code) < 0);
    assert_int_equal(code, SPL_PROBLEM_UNAUTHORIZED);

    spl_problem problem;
    assert_true(spl_auth_check(auth, "x", NULL, "192.0.2.7", &who, &problem) < 0);
    assert_true(problem.retry_after_s >= 1);
    spl_auth_free(auth);
}

static void request_rates(void **state) {
    (void)state;
    const spl_settings settings = settings_of(production, api_key, false);
    spl_auth *auth;
    spl_principal who;
    spl_problem_code code;
    spl_problem problem;
    spl_rate rate;
    assert_int_equal(spl_auth_open(&settings, secret, &auth, NULL), 0);
    assert_int_equal(enter(auth, api_key, NULL, "192.0.2.1", &who, &code), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(spl_auth_take(auth, &who, &rate, &problem), 0);
        assert_int_equal(rate.limit, 3);
        assert_int_equal(rate.remaining, 2 - i);
    }
    assert_true(spl_auth_take(auth, &who, &rate, &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_RATE_LIMITED);
    assert_string_equal(problem.setting, "SPLEETER_RATE_PER_MINUTE");
    assert_true(problem.retry_after_s >= 1 && problem.retry_after_s <= 20);
    spl_auth_free(auth);
}

static void development_without_keys(void **state) {
    (void)state;
    spl_settings settings = settings_of(development, empty, false);
    spl_auth *auth;
    spl_principal who;
    spl_problem_code code;
    assert_int_equal(spl_auth_open(&settings, secret, &auth, NULL), 0);
    assert_int_equal(enter(auth, NULL, NULL, "127.0.0.1", &who, &code), 0);
    assert_string_equal(who.id, "dev");
    assert_int_equal(who.scopes, 7);
    assert_true(enter(auth, "any", NULL, "127.0.0.1", &who, &code) < 0);
    spl_auth_free(auth);

    settings = settings_of(development, api_key, false);
    assert_int_equal(spl_auth_open(&settings, secret, &auth, NULL), 0);
    assert_true(enter(auth, NULL, NULL, "127.0.0.1", &who, &code) < 0);
    assert_int_equal(code, SPL_PROBLEM_UNAUTHORIZED);
    spl_auth_free(auth);

    spl_error error;
    settings = settings_of(production, empty, false);
    assert_int_equal(spl_auth_open(&settings, secret, &auth, &error), SPL_E_ARGUMENT);
}

/* If the issuer's keys cannot be fetched, the error is "unavailable", not "unauthorized". */
static void issuer_unavailable(void **state) {
    (void)state;
    server.status = 503;
    const spl_settings settings = settings_of(production, empty, true);
    spl_auth *auth;
    spl_principal who;
    spl_problem_code code;
    char bearer[4096];
    assert_int_equal(spl_auth_open(&settings, secret, &auth, NULL), 0);
    SPL_CLEANUP(spl_free_p)
    char *token = sign(rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", CLAIMS_WITH(""));
    snprintf(bearer, sizeof(bearer), "Bearer %s", token);
    for (int i = 0; i < 100; i++) {
        assert_true(enter(auth, NULL, bearer, "192.0.2.1", &who, &code) < 0);
        assert_int_equal(code, SPL_PROBLEM_UNAVAILABLE);
    }
    assert_int_equal(server.requests, 1);
    spl_auth_free(auth);
}

static void reload(void **state) {
    (void)state;
    char place[] = "/tmp/jwt_test.XXXXXX";
    assert_non_null(mkdtemp(place));
    spl_settings settings = settings_of(production, api_key, false);
    settings.data_dir = place;
    spl_auth *auth;
    spl_principal who;
    spl_problem_code code;
    char key[64], path[64];
    assert_int_equal(spl_auth_open(&settings, secret, &auth, NULL), 0);
    assert_int_equal(spl_keys_add(place, "new", "user", NULL, &(spl_quota){0}, key, NULL), 0);
    assert_true(enter(auth, key, NULL, "192.0.2.1", &who, &code) < 0);
    assert_int_equal(spl_auth_reload(auth, NULL), 0);
    assert_int_equal(enter(auth, key, NULL, "192.0.2.1", &who, &code), 0);

    snprintf(path, sizeof(path), "%s/keys.json", place);
    FILE *file = fopen(path, "w");
    fputs("{", file);
    fclose(file);
    spl_error error;
    assert_int_equal(spl_auth_reload(auth, &error), SPL_E_FORMAT);
    assert_int_equal(enter(auth, key, NULL, "192.0.2.1", &who, &code), 0);
    unlink(path);
    assert_int_equal(spl_auth_reload(auth, NULL), 0);
    assert_true(enter(auth, key, NULL, "192.0.2.1", &who, &code) < 0);
    spl_auth_free(auth);
    assert_int_equal(rmdir(place), 0);
}

static void signed_links(void **state) {
    (void)state;
    const spl_settings settings = settings_of(production, api_key, false);
    spl_auth *auth;
    char query[SPL_LINK_SIZE], expires[32], by[64], signature[64];
    const spl_principal maker = {.id = "key:default"}, gone = {.id = "key:gone#01234567"};
    const spl_link link = {expires, by, signature};
    const char *format = "expires=%31[0-9]&by=%63[^&]&signature=%63s";
    assert_int_equal(spl_auth_open(&settings, secret, &auth, NULL), 0);
    assert_int_equal(spl_link_sign(auth, "/v1/jobs/1/stems/a.wav", &maker, 1050, query, NULL), 0);
    assert_int_equal(sscanf(query, format, expires, by, signature), 3);
    assert_true(spl_link_valid(auth, "/v1/jobs/1/stems/a.wav", &link, 1000));
    assert_false(spl_link_valid(auth, "/v1/jobs/2/stems/a.wav", &link, 1000));
    assert_false(spl_link_valid(auth, "/v1/jobs/1/stems/a.wav", &link, 1050));
    assert_true(
        spl_link_valid(auth, "/v1/jobs/1/stems/a.wav", &link, 950 - 60)); /* clocks that differ */
    assert_false(spl_link_valid(auth, "/v1/jobs/1/stems/a.wav", &link, 950 - 61));
    assert_true(spl_link_has_maker(auth, &link, "key:default"));
    assert_false(spl_link_has_maker(auth, &link, "key:other#01234567"));
    assert_false(spl_link_has_maker(auth, &link, "jwt:0123")); /* tokens are not accepted */
    assert_int_equal(spl_link_sign(auth, "/v1/jobs/1/stems/a.wav", &gone, 1050, query, NULL), 0);
    assert_int_equal(sscanf(query, format, expires, by, signature), 3);
    assert_true(spl_link_valid(auth, "/v1/jobs/1/stems/a.wav", &link, 1000));
    assert_false(spl_link_has_maker(auth, &link, "key:default"));
    spl_auth_free(auth);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_algorithm),
        cmocka_unit_test(claims),
        cmocka_unit_test(headers),
        cmocka_unit_test(shapes),
        cmocka_unit_test(key_sets),
        cmocka_unit_test_setup_teardown(fetching, start_server, stop_server),
        cmocka_unit_test_setup_teardown(fetching_at_once, start_server, stop_server),
        cmocka_unit_test_setup_teardown(door, start_server, stop_server),
        cmocka_unit_test(failures),
        cmocka_unit_test(request_rates),
        cmocka_unit_test(development_without_keys),
        cmocka_unit_test_setup_teardown(issuer_unavailable, start_server, stop_server),
        cmocka_unit_test(reload),
        cmocka_unit_test(signed_links),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
