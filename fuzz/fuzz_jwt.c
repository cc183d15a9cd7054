/* SPDX-License-Identifier: MIT
 *
 * Fuzzes bearer tokens and JWK sets. An input has three parts, each ended by a newline: the JSON of
 * a token's header, the JSON of its claims, and a JWK set. The harness signs the token with its own
 * key, so that the claims are checked. The raw input is also parsed as a token.
 */
#include "service/auth/jwt.h"

#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const spl_jwt_policy policy = {
    .issuer = "https://issuer.example", .audience = "spleeterd", .algorithm = "ES256"};

static const cjose_jwk_t *signing_key(void) {
    static const char text[] = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\","
                               "\"x\":\"fGQoD0dGh6XtYrdgMYcz5sVRtKiDLVlSY1ABTB3OYMk\","
                               "\"y\":\"FNdRbzi5nlwyHn9PkK4BrfTKk66V2lz1p41Tabz-WGQ\","
                               "\"d\":\"c3BsZWV0ZXJkIGZ1enoga2V5IGZvciB0b2tlbnMhISE\"}";
    static cjose_jwk_t *key;
    if (!key)
        key = cjose_jwk_import(text, strlen(text), NULL);
    if (!key)
        __builtin_trap();
    return key;
}

static void check(const char *token) {
    char kid[SPL_JWT_KID_MAX_LENGTH + 1];
    spl_jwt_claims claims = {0};
    spl_error error = {0};
    int status = spl_jwt_read_kid(&policy, token, kid, &error);
    if (status == 0) {
        if (!kid[0])
            __builtin_trap();
        status = spl_jwt_verify(&policy, signing_key(), token, 1000000, &claims, &error);
    }
    if (status < 0 ? error.status != status || !error.message[0] || claims.subject[0]
                   : !claims.subject[0] || claims.scopes > 7)
        __builtin_trap();
}

static void check_signed(const char *header, const char *claims) {
    json_t *fields = json_loads(header, 0, NULL);
    cjose_jws_t *jws =
        json_is_object(fields)
            ? cjose_jws_sign(signing_key(), fields, (const uint8_t *)claims, strlen(claims), NULL)
            : NULL;
    const char *token;
    if (jws && cjose_jws_export(jws, &token, NULL))
        check(token);
    cjose_jws_release(jws);
    json_decref(fields);
}

static void check_set(const char *text) {
    spl_jwks *set;
    spl_error error = {0};
    const int status = spl_jwks_parse(text, strlen(text), "ES256", &set, &error);
    if (status < 0) {
        if (error.status != status || !error.message[0])
            __builtin_trap();
        return;
    }
    spl_jwks_find(set, "k");
    spl_jwks_unref(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = calloc(size + 1, 1);
    memcpy(text, data, size);
    check(text);
    char *rest = text;
    const char *header = strsep(&rest, "\n");
    const char *claims = rest ? strsep(&rest, "\n") : "";
    check_signed(header, claims);
    check_set(rest ? rest : "");
    free(text);
    return 0;
}
