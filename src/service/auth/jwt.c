/* SPDX-License-Identifier: MIT
 *
 * Checks shape, header, signature (cjose) and claims of tokens, in that order. Claims are read only
 * after the signature was verified.
 */
#include "service/auth/jwt.h"

#include "base/json.h"
#include "service/auth/base64.h"
#include "service/auth/principal.h"

#include <cjose/base64.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#define HEADER_MAX_LENGTH 2048

static void jws_free_p(cjose_jws_t **jws) {
    cjose_jws_release(*jws);
}

/* Whether `token` is three non-empty parts of base64url characters. */
static bool is_compact(const char *token, size_t *ret_header_length) {
    static const char digits[] = SPL_BASE64URL_DIGITS;
    if (strnlen(token, SPL_JWT_MAX_LENGTH + 1) > SPL_JWT_MAX_LENGTH)
        return false;
    const size_t header = strspn(token, digits);
    const char *payload = token + header + 1;
    if (header == 0 || header > HEADER_MAX_LENGTH || token[header] != '.')
        return false;
    const size_t payload_length = strspn(payload, digits);
    const char *signature = payload + payload_length + 1;
    if (payload_length == 0 || payload[payload_length] != '.')
        return false;
    const size_t signature_length = strspn(signature, digits);
    *ret_header_length = header;
    return signature_length > 0 && signature[signature_length] == '\0';
}

/* Returns NULL when `text` is not a JSON object or spl_json_load refuses it. */
static json_t *parse_object(const void *text, size_t size) {
    json_t *object = NULL;
    (void)!spl_json_load(text, size, 0, &object, NULL);
    if (json_is_object(object))
        return object;
    json_decref(object);
    return NULL;
}

static json_t *decode_object(const char *text, size_t length) {
    uint8_t *data = NULL;
    size_t size;
    if (!cjose_base64url_decode(text, length, &data, &size, NULL))
        return NULL;
    json_t *object = parse_object(data, size);
    cjose_get_dealloc()(data);
    return object;
}

/* Whether `type` is absent or a type of access tokens. A token made for another purpose must not
 * pass (RFC 8725, 3.11). */
static bool is_access_type(const json_t *type) {
    static const char *const types[] = {"JWT", "at+jwt", "application/at+jwt"};
    const char *text = json_string_value(type);
    for (size_t i = 0; text && i < SPL_ARRAY_SIZE(types); i++) {
        if (strcasecmp(text, types[i]) == 0)
            return true;
    }
    return !type;
}

int spl_jwt_read_kid(const spl_jwt_policy *policy, const char *token,
                     char ret_kid[SPL_JWT_KID_MAX_LENGTH + 1], spl_error *ret_error) {
    size_t header_length;
    if (!is_compact(token, &header_length))
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "the token is not a signed compact JWT of at most %d characters",
                        SPL_JWT_MAX_LENGTH);
    SPL_CLEANUP(spl_json_free_p) json_t *header = decode_object(token, header_length);
    if (!header)
        return spl_fail(ret_error, SPL_E_FORMAT, "the token's header is not a JSON object");
    const char *algorithm = json_string_value(json_object_get(header, "alg"));
    if (!algorithm || strcmp(algorithm, policy->algorithm) != 0)
        return spl_fail(ret_error, SPL_E_PERMISSION, "the token's algorithm is not %s",
                        policy->algorithm);
    if (json_object_get(header, "crit"))
        return spl_fail(ret_error, SPL_E_PERMISSION, "the token has critical extensions");
    if (!is_access_type(json_object_get(header, "typ")))
        return spl_fail(ret_error, SPL_E_PERMISSION,
                        "the token's type is not that of an access token");
    const char *kid = json_string_value(json_object_get(header, "kid"));
    if (!kid || !*kid || strlen(kid) > SPL_JWT_KID_MAX_LENGTH)
        return spl_fail(ret_error, SPL_E_PERMISSION, "the token names no key (kid)");
    memcpy(ret_kid, kid, strlen(kid) + 1);
    return 0;
}

/* Whether `claim` is `audience`, or an array of strings that contains it. */
static bool names_audience(const json_t *claim, const char *audience) {
    const char *text = json_string_value(claim);
    if (text)
        return strcmp(text, audience) == 0;
    bool found = false, all_text = true;
    size_t i;
    json_t *item;
    json_array_foreach(claim, i, item) {
        text = json_string_value(item);
        all_text &= text != NULL;
        found |= text && strcmp(text, audience) == 0;
    }
    return found && all_text;
}

/* Reads a NumericDate. Returns false when it is missing or invalid. */
static bool get_time(const json_t *claims, const char *name, double *ret_s) {
    const json_t *value = json_object_get(claims, name);
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
        return false;
    *ret_s = json_number_value(value);
    return true;
}

static int check_times(const json_t *claims, double now_s, double leeway_s, int64_t *ret_expires_s,
                       spl_error *ret_error) {
    static const char *const not_before[] = {"nbf", "iat"};
    double time_s;
    if (!get_time(claims, "exp", &time_s))
        return spl_fail(ret_error, SPL_E_PERMISSION, "the token does not say when it expires");
    if (now_s >= time_s + leeway_s)
        return spl_fail(ret_error, SPL_E_PERMISSION, "the token has expired");
    *ret_expires_s = (int64_t)fmin(time_s, 0x1p52);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(not_before); i++) {
        if (!json_object_get(claims, not_before[i]))
            continue;
        if (!get_time(claims, not_before[i], &time_s) || now_s + leeway_s < time_s)
            return spl_fail(ret_error, SPL_E_PERMISSION, "the token is not valid yet (%s)",
                            not_before[i]);
    }
    return 0;
}

static unsigned scope_bit(const char *name, size_t length) {
    static const struct {
        const char *name;
        unsigned bit;
    } scopes[] = {
        {"jobs:read", SPL_SCOPE_READ},
        {"jobs:write", SPL_SCOPE_WRITE},
        {"metrics:read", SPL_SCOPE_METRICS},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(scopes); i++) {
        if (strlen(scopes[i].name) == length && memcmp(scopes[i].name, name, length) == 0)
            return scopes[i].bit;
    }
    return 0;
}

/* Reads words separated by spaces, or an array of words. */
static unsigned read_scopes(const json_t *claim) {
    unsigned scopes = 0;
    size_t i;
    json_t *item;
    json_array_foreach(claim, i, item) {
        const char *word = json_string_value(item);
        if (word)
            scopes |= scope_bit(word, strlen(word));
    }
    const char *text = json_string_value(claim);
    while (text && *text) {
        const size_t length = strcspn(text, " ");
        scopes |= scope_bit(text, length);
        text += length;
        text += strspn(text, " ");
    }
    return scopes;
}

static bool is_subject(const char *text) {
    if (!text || !*text || strlen(text) > SPL_JWT_SUBJECT_MAX_LENGTH)
        return false;
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    }
    return true;
}

static int check_claims(const spl_jwt_policy *policy, const json_t *claims, int64_t now_s,
                        spl_jwt_claims *ret_claims, spl_error *ret_error) {
    const char *issuer = json_string_value(json_object_get(claims, "iss"));
    if (!issuer || strcmp(issuer, policy->issuer) != 0)
        return spl_fail(ret_error, SPL_E_PERMISSION, "the token is from another issuer");
    if (!names_audience(json_object_get(claims, "aud"), policy->audience))
        return spl_fail(ret_error, SPL_E_PERMISSION, "the token is for another audience");
    int64_t expires_s = 0;
    const int status = check_times(claims, (double)now_s, policy->leeway_s, &expires_s, ret_error);
    if (status < 0)
        return status;
    const char *subject = json_string_value(json_object_get(claims, "sub"));
    if (!is_subject(subject))
        return spl_fail(ret_error, SPL_E_PERMISSION, "the token names no subject");
    const json_t *scope = json_object_get(claims, "scope");
    spl_jwt_claims checked = {.scopes = read_scopes(scope ? scope : json_object_get(claims, "scp")),
                              .expires_s = expires_s};
    memcpy(checked.subject, subject, strlen(subject) + 1);
    *ret_claims = checked;
    return 0;
}

int spl_jwt_verify(const spl_jwt_policy *policy, const cjose_jwk_t *key, const char *token,
                   int64_t now_s, spl_jwt_claims *ret_claims, spl_error *ret_error) {
    uint8_t *payload;
    size_t size;
    SPL_CLEANUP(jws_free_p) cjose_jws_t *jws = cjose_jws_import(token, strlen(token), NULL);
    if (!jws || !cjose_jws_verify(jws, key, NULL) ||
        !cjose_jws_get_plaintext(jws, &payload, &size, NULL))
        return spl_fail(ret_error, SPL_E_PERMISSION, "the token's signature is wrong");
    SPL_CLEANUP(spl_json_free_p) json_t *claims = parse_object(payload, size);
    if (!claims)
        return spl_fail(ret_error, SPL_E_FORMAT, "the token's claims are not a JSON object");
    return check_claims(policy, claims, now_s, ret_claims, ret_error);
}
