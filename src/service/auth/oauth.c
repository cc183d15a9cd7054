/* SPDX-License-Identifier: MIT
 *
 * The secret is "EXPIRES.STATE.VERIFIER.SEAL". The state ties the response to the browser that
 * began the sign-in, and the verifier ties the code to this sign-in. The seal prevents forged
 * secrets, which would cause requests to the server.
 */
#include "service/auth/oauth.h"

#include "base/json.h"
#include "service/auth/base64.h"
#include "service/auth/seal.h"
#include "service/outbound/outbound.h"

#include <ctype.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#define STATE_BYTES      16
#define VERIFIER_BYTES   32
#define CODE_MAX_LENGTH  2048
#define ANSWER_MAX_BYTES ((size_t)64 << 10)
#define TIMEOUT_S        15

typedef struct pkce_verifier {
    char text[SPL_BASE64_SIZE(VERIFIER_BYTES)];
} pkce_verifier;

/* For SPL_CLEANUP. */
static void wipe_verifier(pkce_verifier *verifier) {
    OPENSSL_cleanse(verifier, sizeof(*verifier));
}

bool spl_oauth_configured(const spl_settings *settings) {
    return *settings->oauth_client_id != '\0';
}

/* Writes "&name=value" in the format application/x-www-form-urlencoded. */
static void put(FILE *out, const char *separator, const char *name, const char *value) {
    fprintf(out, "%s%s=", separator, name);
    for (const char *c = value; *c; c++) {
        const unsigned char byte = (unsigned char)*c;
        if (isalnum(byte) || strchr("-._~", byte))
            fputc(byte, out);
        else
            fprintf(out, "%%%02X", byte);
    }
}

static void put_callback(FILE *out, const spl_settings *settings) {
    put(out, "&", "redirect_uri", settings->public_url);
    for (const char *c = SPL_OAUTH_CALLBACK; *c; c++)
        fprintf(out, *c == '/' ? "%%2F" : "%c", *c);
}

int spl_oauth_begin(const spl_settings *settings, const uint8_t key[32], int64_t now_s,
                    char **ret_url, char ret_secret[SPL_OAUTH_SECRET_SIZE], spl_error *ret_error) {
    uint8_t random[STATE_BYTES + VERIFIER_BYTES], digest[SHA256_DIGEST_LENGTH];
    char state[SPL_BASE64_SIZE(STATE_BYTES)];
    SPL_CLEANUP(wipe_verifier) pkce_verifier verifier = {0};
    char challenge[SPL_BASE64_SIZE(SHA256_DIGEST_LENGTH)];
    if (RAND_bytes(random, sizeof(random)) != 1)
        return spl_fail(ret_error, SPL_E_IO, "OpenSSL has no random bytes");
    spl_base64url_encode(random, STATE_BYTES, state);
    spl_base64url_encode(random + STATE_BYTES, VERIFIER_BYTES, verifier.text);
    OPENSSL_cleanse(random, sizeof(random));
    SHA256((const unsigned char *)verifier.text, strlen(verifier.text), digest);
    spl_base64url_encode(digest, sizeof(digest), challenge);
    char seal[SPL_SEAL_CHARS + 1];
    const int length = snprintf(ret_secret, SPL_OAUTH_SECRET_SIZE, "%" PRId64 ".%s.%s",
                                now_s + SPL_OAUTH_S, state, verifier.text);
    const int status = spl_seal_make(key, ret_secret, (size_t)length, seal, ret_error);
    if (status < 0)
        return status;
    snprintf(ret_secret + length, SPL_OAUTH_SECRET_SIZE - (size_t)length, ".%s", seal);

    size_t size;
    FILE *out = open_memstream(ret_url, &size);
    if (!out)
        return spl_fail_memory(ret_error);
    fputs(settings->oauth_authorize_url, out);
    put(out, strchr(settings->oauth_authorize_url, '?') ? "&" : "?", "response_type", "code");
    put(out, "&", "client_id", settings->oauth_client_id);
    put_callback(out, settings);
    put(out, "&", "scope", settings->oauth_scope);
    put(out, "&", "state", state);
    put(out, "&", "code_challenge", challenge);
    put(out, "&", "code_challenge_method", "S256");
    return fclose(out) == 0 ? 0 : spl_fail_memory(ret_error);
}

typedef struct token_answer {
    const spl_oauth_return *back;
    char text[ANSWER_MAX_BYTES];
    size_t size;
} token_answer;

static void free_answer(token_answer **answer) {
    if (*answer)
        explicit_bzero(*answer, sizeof(**answer));
    free(*answer);
}

static int take_answer(void *user, const void *data, size_t size) {
    token_answer *answer = user;
    if (size > sizeof(answer->text) - answer->size)
        return SPL_E_LIMIT;
    memcpy(answer->text + answer->size, data, size);
    answer->size += size;
    return 0;
}

/* spl_outbound.canceled */
static int is_canceled(void *user) {
    const token_answer *answer = user;
    return answer->back->canceled(answer->back->user);
}

static int write_request(const spl_settings *settings, const char *code, const char *verifier,
                         char **ret_body, size_t *ret_size, spl_error *ret_error) {
    FILE *out = open_memstream(ret_body, ret_size);
    if (!out)
        return spl_fail_memory(ret_error);
    put(out, "", "grant_type", "authorization_code");
    put(out, "&", "code", code);
    put_callback(out, settings);
    put(out, "&", "client_id", settings->oauth_client_id);
    put(out, "&", "code_verifier", verifier);
    return fclose(out) == 0 ? 0 : spl_fail_memory(ret_error);
}

static int read_answer(const token_answer *answer, long status, char **ret_token,
                       spl_error *ret_error) {
    SPL_CLEANUP(spl_json_free_p) json_t *root = NULL;
    /* On failure `token` and `reason` are NULL. */
    (void)!spl_json_load(answer->text, answer->size, 0, &root, NULL);
    const char *token = json_string_value(json_object_get(root, "access_token"));
    const char *reason = json_string_value(json_object_get(root, "error"));
    int result = 0;
    if (status / 100 == 4)
        result = spl_fail(ret_error, SPL_E_PERMISSION, "the token server refuses (%ld): %.100s",
                          status, reason ? reason : "it does not say why");
    else if (status / 100 != 2)
        result = spl_fail(ret_error, SPL_E_IO, "the token server answers with %ld", status);
    else if (!token)
        result = spl_fail(ret_error, SPL_E_FORMAT, "the token server's answer holds no token");
    else if (!(*ret_token = strdup(token)))
        result = spl_fail_memory(ret_error);
    return result;
}

/* Extracts the verifier of a secret. Returns false when the seal, expiry or
 * state is invalid. */
static bool open_secret(const uint8_t key[32], int64_t now_s, const char *secret, const char *state,
                        pkce_verifier *ret_verifier) {
    const char *seal = strrchr(secret, '.');
    if (!seal || !spl_seal_holds(key, secret, (size_t)(seal - secret), seal + 1))
        return false;
    char *own;
    const int64_t expires_s = strtoll(secret, &own, 10);
    const size_t length = strcspn(++own, ".");
    const char *verifier = own + length + 1;
    snprintf(ret_verifier->text, sizeof(ret_verifier->text), "%.*s", (int)(seal - verifier),
             verifier);
    return expires_s > now_s && strlen(state) == length && CRYPTO_memcmp(own, state, length) == 0;
}

int spl_oauth_finish(const spl_settings *settings, const uint8_t key[32], int64_t now_s,
                     const spl_oauth_return *back, char **ret_token, spl_error *ret_error) {
    SPL_CLEANUP(wipe_verifier) pkce_verifier verifier = {0};
    if (!open_secret(key, now_s, back->secret, back->state, &verifier) || !*back->code ||
        strlen(back->code) > CODE_MAX_LENGTH)
        return spl_fail(ret_error, SPL_E_PERMISSION, "the answer belongs to another sign-in");
    SPL_CLEANUP(spl_wipe_p) char *body = NULL;
    SPL_CLEANUP(free_answer) token_answer *answer = calloc(1, sizeof(*answer));
    size_t size;
    if (!answer)
        return spl_fail_memory(ret_error);
    answer->back = back;
    int status = write_request(settings, back->code, verifier.text, &body, &size, ret_error);
    if (status < 0)
        return status;
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
                                          "Accept: application/json", NULL};
    const spl_outbound request = {
        .url = settings->oauth_token_url,
        .allow = "",
        .allow_private = true,
        .headers = headers,
        .body = body,
        .body_size = size,
        .max_bytes = ANSWER_MAX_BYTES,
        .timeout_s = TIMEOUT_S,
        .write = take_answer,
        .user = answer,
        .canceled = is_canceled,
    };
    spl_outbound_answer outcome;
    spl_error reason;
    if (spl_outbound_run(&request, &outcome, &reason) < 0)
        return spl_fail(ret_error, SPL_E_IO, "the token server does not answer: %s",
                        reason.message);
    return read_answer(answer, outcome.status, ret_token, ret_error);
}
