/* SPDX-License-Identifier: MIT
 *
 * Authentication: selects the kind of credentials, checks them, and limits the rates.
 */
#include "service/auth/auth.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "service/auth/base64.h"
#include "service/auth/jwks.h"
#include "service/auth/jwt.h"
#include "service/auth/keys.h"
#include "service/auth/sessions.h"
#include "service/observe/log.h"
#include "service/observe/metrics.h"
#include "service/outbound/address.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#define PRINCIPALS_MAX        16384
#define FAILING_ADDRESSES_MAX 16384
#define FAILURES_PER_MINUTE   60
#define LINK_RATE_FACTOR      10 /* times RATE_PER_MINUTE */
#define SESSIONS_OF_PRINCIPAL 60 /* opened in a minute; also ended */
#define SESSIONS_OF_ADDRESS   300
#define SIGN_INS_OF_ADDRESS   60 /* requests to the token server in a minute */
#define MINUTE_US             INT64_C(60000000)
#define BEARER                "Bearer "
#define DEVELOPER             "dev"
#define KEY_ID                "key:" /* of keys' ids */
#define SESSION_BYTES         16
#define SESSION_RETRY_S       5

struct spl_auth {
    const spl_settings *settings;
    spl_quota quota; /* of principals without their own */
    uint8_t link_key[32], session_key[32];
    pthread_rwlock_t lock; /* protects the rings */
    spl_keyring *ring;
    spl_keyring *earlier; /* before the last reload; NULL: there was none */
    spl_jwt_policy jwt;
    spl_jwks_source *jwks; /* NULL: tokens are not accepted */
    spl_rate_table *requests, *failures, *session_rates;
    spl_rate_source shared_rates; /* NULL: only `requests` counts */
    void *shared_user;
    spl_session_source sessions;
};

static void auth_free_p(spl_auth **auth) {
    spl_auth_free(*auth);
}

static int open_tokens(spl_auth *auth, spl_error *ret_error) {
    const spl_settings *settings = auth->settings;
    if (!*settings->jwt_issuer)
        return 0;
    auth->jwt = (spl_jwt_policy){.issuer = settings->jwt_issuer,
                                 .audience = settings->jwt_audience,
                                 .algorithm = settings->jwt_algorithm,
                                 .leeway_s = settings->jwt_leeway_s};
    return spl_jwks_source_new(settings->jwt_jwks_url, settings->jwt_algorithm, &auth->jwks,
                               ret_error);
}

int spl_auth_open(const spl_settings *settings, const uint8_t secret[32], spl_auth **ret_auth,
                  spl_error *ret_error) {
    SPL_CLEANUP(auth_free_p) spl_auth *auth = calloc(1, sizeof(*auth));
    if (!auth)
        return spl_fail_memory(ret_error);
    auth->settings = settings;
    auth->quota = (spl_quota){.rate_per_minute = settings->rate_per_minute,
                              .jobs = settings->jobs_per_key,
                              .storage_bytes = settings->storage_per_key_bytes};
    pthread_rwlock_init(&auth->lock, NULL);
    int status = spl_keyring_open(settings->data_dir, settings->api_key, &auth->quota, &auth->ring,
                                  ret_error);
    if (status == 0)
        status = spl_settings_check_access(settings, spl_keyring_count(auth->ring), ret_error);
    if (status == 0)
        status = open_tokens(auth, ret_error);
    if (status == 0)
        status = spl_secret_derive(secret, "links", auth->link_key, ret_error);
    if (status == 0)
        status = spl_secret_derive(secret, "sessions with ids", auth->session_key, ret_error);
    if (status == 0)
        status = spl_rate_table_new(PRINCIPALS_MAX, &auth->requests, ret_error);
    if (status == 0)
        status = spl_rate_table_new(FAILING_ADDRESSES_MAX, &auth->failures, ret_error);
    if (status == 0)
        status = spl_rate_table_new(PRINCIPALS_MAX, &auth->session_rates, ret_error);
    if (status == 0)
        *ret_auth = SPL_STEAL(auth);
    return status;
}

int spl_auth_reload(spl_auth *auth, spl_error *ret_error) {
    spl_keyring *ring;
    const int status = spl_keyring_open(auth->settings->data_dir, auth->settings->api_key,
                                        &auth->quota, &ring, ret_error);
    if (status < 0)
        return status;
    pthread_rwlock_wrlock(&auth->lock);
    spl_keyring *old = auth->earlier;
    auth->earlier = auth->ring;
    auth->ring = ring;
    pthread_rwlock_unlock(&auth->lock);
    spl_keyring_free(old);
    return 0;
}

void spl_auth_stop(spl_auth *auth) {
    if (auth->jwks)
        spl_jwks_source_stop(auth->jwks);
}

void spl_auth_free(spl_auth *auth) {
    if (!auth)
        return;
    spl_rate_table_free(auth->session_rates);
    spl_rate_table_free(auth->failures);
    spl_rate_table_free(auth->requests);
    spl_jwks_source_free(auth->jwks);
    spl_keyring_free(auth->ring);
    spl_keyring_free(auth->earlier);
    pthread_rwlock_destroy(&auth->lock);
    explicit_bzero(auth->link_key, sizeof(auth->link_key));
    explicit_bzero(auth->session_key, sizeof(auth->session_key));
    free(auth);
}

static int check_key(spl_auth *auth, const char *key, spl_principal *ret_principal,
                     spl_problem *ret_problem) {
    pthread_rwlock_rdlock(&auth->lock);
    const bool found = spl_keyring_find(auth->ring, key, ret_principal);
    pthread_rwlock_unlock(&auth->lock);
    return found ? 0 : spl_refuse(ret_problem, SPL_PROBLEM_UNAUTHORIZED, "The API key is unknown");
}

static int make_principal(const spl_auth *auth, const spl_jwt_claims *claims,
                          spl_principal *ret_principal, spl_error *ret_error) {
    spl_principal principal = {
        .scopes = claims->scopes, .expires_s = claims->expires_s, .quota = auth->quota};
    SPL_CLEANUP(spl_free_p) char *text = NULL;
    char hex[65];
    const int length = asprintf(&text, "%s\n%s", auth->jwt.issuer, claims->subject);
    if (length < 0)
        return spl_fail_memory(ret_error);
    const int status = spl_sha256_hex(text, (size_t)length, hex, ret_error);
    if (status < 0)
        return status;
    snprintf(principal.id, sizeof(principal.id), "jwt:%.32s", hex);
    memcpy(principal.owner, principal.id, sizeof(principal.owner));
    size_t whole = strnlen(claims->subject, sizeof(principal.name) - 1);
    while (((unsigned char)claims->subject[whole] & 0xc0) == 0x80) /* inside a character */
        whole--;
    memcpy(principal.name, claims->subject, whole);
    *ret_principal = principal;
    return 0;
}

static int verify_token(spl_auth *auth, const char *token, spl_principal *ret_principal,
                        spl_error *ret_error) {
    char kid[SPL_JWT_KID_MAX_LENGTH + 1];
    spl_jwks *keys;
    spl_jwt_claims claims;
    int status = spl_jwt_read_kid(&auth->jwt, token, kid, ret_error);
    if (status == 0)
        status = spl_jwks_source_get(auth->jwks, kid, spl_now_s(), &keys, ret_error);
    if (status < 0)
        return status;
    const cjose_jwk_t *key = spl_jwks_find(keys, kid);
    status = key ? spl_jwt_verify(&auth->jwt, key, token, spl_wall_ms() / 1000, &claims, ret_error)
                 : spl_fail(ret_error, SPL_E_PERMISSION, "the token's key is unknown");
    spl_jwks_unref(keys);
    return status < 0 ? status : make_principal(auth, &claims, ret_principal, ret_error);
}

static int check_token(spl_auth *auth, const char *token, spl_principal *ret_principal,
                       spl_problem *ret_problem) {
    if (!auth->jwks)
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAUTHORIZED,
                          "This service accepts no JWTs; send an API key");
    spl_error error;
    const int status = verify_token(auth, token, ret_principal, &error);
    if (status == SPL_E_IO) {
        spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE,
                   "The keys of the token's issuer can't be fetched; try again later");
        ret_problem->retry_after_s = 60;
    } else if (status == SPL_E_MEMORY) {
        spl_refuse_error(ret_problem, &error);
    } else if (status < 0) {
        spl_refuse(ret_problem, SPL_PROBLEM_UNAUTHORIZED, "The JWT is refused: %s", error.message);
    }
    return status;
}

static bool has_two_dots(const char *text) {
    const char *first = strchr(text, '.');
    const char *second = first ? strchr(first + 1, '.') : NULL;
    return second != NULL && !strchr(second + 1, '.');
}

static int check_credentials(spl_auth *auth, const char *x_api_key, const char *authorization,
                             spl_principal *ret_principal, spl_problem *ret_problem) {
    if (x_api_key && authorization)
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAUTHORIZED,
                          "Send X-API-KEY or Authorization, not both");
    if (x_api_key)
        return check_key(auth, x_api_key, ret_principal, ret_problem);
    if (strncasecmp(authorization, BEARER, strlen(BEARER)) != 0)
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAUTHORIZED,
                          "Authorization takes the scheme Bearer only");
    const char *bearer = authorization + strlen(BEARER);
    bearer += strspn(bearer, " ");
    return has_two_dots(bearer) ? check_token(auth, bearer, ret_principal, ret_problem)
                                : check_key(auth, bearer, ret_principal, ret_problem);
}

/* Whether everyone is accepted: in development, when neither keys nor an issuer are configured. */
static bool is_keyless(spl_auth *auth) {
    pthread_rwlock_rdlock(&auth->lock);
    const bool keyless = spl_keyring_count(auth->ring) == 0;
    pthread_rwlock_unlock(&auth->lock);
    return keyless && strcmp(auth->settings->env, "development") == 0 && !auth->jwks;
}

bool spl_auth_has_client(spl_auth *auth, const char *client) {
    if (strncmp(client, KEY_ID, strlen(KEY_ID)) != 0)
        return strcmp(client, DEVELOPER) == 0 ? is_keyless(auth) : auth->jwks != NULL;
    pthread_rwlock_rdlock(&auth->lock);
    const bool found = spl_keyring_has_client(auth->ring, client);
    pthread_rwlock_unlock(&auth->lock);
    return found;
}

bool spl_auth_next_revoked(spl_auth *auth, size_t *position, char ret_client[64]) {
    bool found = false;
    pthread_rwlock_rdlock(&auth->lock);
    const size_t count = auth->earlier ? spl_keyring_count(auth->earlier) : 0;
    while (!found && *position < count) {
        const char *client = spl_keyring_get(auth->earlier, (*position)++)->id;
        found = !spl_keyring_has_client(auth->ring, client);
        if (found)
            snprintf(ret_client, 64, "%s", client);
    }
    pthread_rwlock_unlock(&auth->lock);
    return found;
}

static int check_anonymous(spl_auth *auth, spl_principal *ret_principal, spl_problem *ret_problem) {
    if (!is_keyless(auth))
        return spl_refuse(ret_problem, SPL_PROBLEM_UNAUTHORIZED,
                          "Send an API key as X-API-KEY, or a token as Authorization: Bearer");
    *ret_principal = (spl_principal){.id = DEVELOPER,
                                     .owner = DEVELOPER,
                                     .name = "dev",
                                     .scopes = SPL_SCOPE_READ | SPL_SCOPE_WRITE | SPL_SCOPE_METRICS,
                                     .quota = auth->quota};
    return 0;
}

int spl_auth_check(spl_auth *auth, const char *x_api_key, const char *authorization,
                   const char *address, spl_principal *ret_principal, spl_problem *ret_problem) {
    if (!x_api_key && !authorization)
        return check_anonymous(auth, ret_principal, ret_problem);
    const int status =
        check_credentials(auth, x_api_key, authorization, ret_principal, ret_problem);
    if (status == 0 || ret_problem->code != SPL_PROBLEM_UNAUTHORIZED)
        return status;
    return spl_auth_fail(auth, address, ret_problem);
}

int spl_auth_fail(spl_auth *auth, const char *address, spl_problem *problem) {
    char network[64];
    spl_rate rate;
    unsigned wait_s;
    spl_metrics_count(SPL_COUNTER_AUTH_FAILURES, 1);
    spl_address_network(address, network);
    if (!spl_rate_take(auth->failures, network, FAILURES_PER_MINUTE, spl_now_s(), &rate, &wait_s)) {
        spl_refuse(problem, SPL_PROBLEM_RATE_LIMITED, "Too many failed attempts from this address");
        problem->retry_after_s = wait_s;
    }
    return SPL_E_PERMISSION;
}

void spl_auth_share_rates(spl_auth *auth, spl_rate_source take, void *user) {
    auth->shared_rates = take;
    auth->shared_user = user;
}

static bool take_shared(const spl_auth *auth, const char *name, unsigned per_minute,
                        spl_rate *ret_rate, unsigned *ret_wait_s, bool *ret_granted) {
    const int64_t one_us = SPL_MAX(MINUTE_US / SPL_MAX(per_minute, 1u), 1);
    int64_t left_us;
    if (auth->shared_rates(auth->shared_user, name, one_us, ret_granted, &left_us) < 0)
        return false;
    left_us = SPL_MAX(left_us, 0);
    *ret_wait_s = *ret_granted ? 0 : (unsigned)((left_us + one_us - MINUTE_US + 999999) / 1000000);
    *ret_rate = (spl_rate){
        .limit = per_minute,
        .remaining = (unsigned)(SPL_MAX(MINUTE_US - left_us, 0) / one_us),
        .reset_s = (unsigned)((left_us + 999999) / 1000000),
    };
    return true;
}

void spl_auth_share_sessions(spl_auth *auth, const spl_session_source *source) {
    auth->sessions = *source;
}

int spl_sign_in_take(spl_auth *auth, const char *address, spl_problem *ret_problem) {
    char network[64], name[96];
    spl_rate rate;
    unsigned wait_s;
    spl_address_network(address, network);
    snprintf(name, sizeof(name), "sign-in %s", network);
    if (spl_rate_take(auth->session_rates, name, SIGN_INS_OF_ADDRESS, spl_now_s(), &rate, &wait_s))
        return 0;
    spl_refuse(ret_problem, SPL_PROBLEM_RATE_LIMITED,
               "Too many sign-ins from this address; try again in %u s", wait_s);
    ret_problem->retry_after_s = wait_s;
    return SPL_E_PERMISSION;
}

/* Takes one `action` ("open", "end") on sessions from the rates of the address and of `id`. */
static int take_session(spl_auth *auth, const char *action, const char *id, const char *address,
                        spl_problem *ret_problem) {
    char network[64], of_address[96], of_principal[96];
    spl_rate rate;
    unsigned wait_s;
    spl_address_network(address, network);
    snprintf(of_address, sizeof(of_address), "%s %s", action, network);
    snprintf(of_principal, sizeof(of_principal), "%s %s", action, id);
    if (spl_rate_take(auth->session_rates, of_principal, SESSIONS_OF_PRINCIPAL, spl_now_s(), &rate,
                      &wait_s) &&
        spl_rate_take(auth->session_rates, of_address, SESSIONS_OF_ADDRESS, spl_now_s(), &rate,
                      &wait_s))
        return 0;
    spl_refuse(ret_problem, SPL_PROBLEM_RATE_LIMITED, "Too many sessions; try again in %u s",
               wait_s);
    ret_problem->retry_after_s = wait_s;
    return SPL_E_PERMISSION;
}

static int seal_session(spl_auth *auth, const spl_principal *principal, int64_t now_s,
                        char ret_cookie[256], int64_t *ret_expires_s, spl_error *ret_error) {
    spl_principal session = *principal;
    uint8_t random[SESSION_BYTES];
    char id[SPL_BASE64_SIZE(SESSION_BYTES)];
    if (RAND_bytes(random, sizeof(random)) != 1)
        return spl_fail(ret_error, SPL_E_IO, "OpenSSL has no random bytes");
    spl_base64url_encode(random, sizeof(random), id);
    memcpy(session.session, id, sizeof(session.session));
    session.expires_s = now_s + SPL_SESSION_MAX_S;
    if (principal->expires_s > 0)
        session.expires_s = SPL_MIN(session.expires_s, principal->expires_s);
    *ret_expires_s = session.expires_s;
    return spl_sessions_seal(auth->session_key, &session, ret_cookie, ret_error);
}

int spl_session_open(spl_auth *auth, const spl_principal *principal, const char *address,
                     int64_t now_s, char ret_cookie[256], int64_t *ret_expires_s,
                     spl_problem *ret_problem) {
    spl_error error;
    int status = take_session(auth, "open", principal->id, address, ret_problem);
    if (status < 0)
        return status;
    status = seal_session(auth, principal, now_s, ret_cookie, ret_expires_s, &error);
    if (status < 0) {
        spl_log(SPL_LOG_ERROR, "session.failed", SPL_TEXT("error", error.message));
        spl_refuse_error(ret_problem, &error);
    }
    return status;
}

/* Finds the key that authenticated `principal`. */
static bool find_key_of(spl_auth *auth, const spl_principal *principal, spl_principal *ret_key) {
    pthread_rwlock_rdlock(&auth->lock);
    const bool found = spl_keyring_find_session(auth->ring, principal, ret_key);
    pthread_rwlock_unlock(&auth->lock);
    return found;
}

/* Updates the principal of a cookie to what is in force now. Returns false when its key was revoked
 * or tokens are no longer accepted. */
static bool renew_session(spl_auth *auth, spl_principal *session) {
    if (!session->credential[0]) {
        session->quota = auth->quota;
        snprintf(session->name, sizeof(session->name), "%s", session->id);
        memcpy(session->owner, session->id, sizeof(session->owner));
        return strncmp(session->id, "jwt:", 4) == 0 && auth->jwks;
    }
    spl_principal key;
    if (!find_key_of(auth, session, &key))
        return false;
    key.expires_s = session->expires_s;
    memcpy(key.session, session->session, sizeof(key.session));
    *session = key;
    return true;
}

static int refuse_unknown(spl_problem *ret_problem) {
    spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE,
               "The service can't look up sessions now; try again later");
    ret_problem->retry_after_s = SESSION_RETRY_S;
    return SPL_E_IO;
}

/* Opens a cookie. *ret_alive: its session neither expired nor ended, and its key or issuer is still
 * in force. */
static int find_session(spl_auth *auth, const char *cookie, int64_t now_s,
                        spl_principal *ret_session, bool *ret_alive, spl_problem *ret_problem) {
    bool ended = !spl_sessions_open(auth->session_key, cookie, now_s, ret_session) ||
                 !renew_session(auth, ret_session);
    if (!ended && auth->sessions.is_ended &&
        auth->sessions.is_ended(auth->sessions.user, ret_session->session, &ended) < 0)
        return refuse_unknown(ret_problem);
    *ret_alive = !ended;
    return 0;
}

int spl_session_check(spl_auth *auth, const char *cookie, const char *address, int64_t now_s,
                      spl_principal *ret_principal, spl_problem *ret_problem) {
    spl_principal session;
    bool alive;
    int status = find_session(auth, cookie, now_s, &session, &alive, ret_problem);
    if (status < 0)
        return status;
    if (!alive) {
        spl_refuse(ret_problem, SPL_PROBLEM_UNAUTHORIZED, "The session has ended; sign in again");
        return spl_auth_fail(auth, address, ret_problem);
    }
    *ret_principal = session;
    return 0;
}

int spl_session_end(spl_auth *auth, const char *cookie, const char *address, int64_t now_s,
                    spl_problem *ret_problem) {
    spl_principal session;
    bool alive;
    int status = find_session(auth, cookie, now_s, &session, &alive, ret_problem);
    if (status < 0)
        return status;
    /* A copy of an ended cookie must not use up the rate at which its owner can end sessions. */
    if (!alive) {
        spl_problem failed = {0};
        spl_auth_fail(auth, address, &failed);
        if (failed.code != SPL_PROBLEM_RATE_LIMITED)
            return 0;
        *ret_problem = failed;
        return SPL_E_PERMISSION;
    }
    status = take_session(auth, "end", session.id, address, ret_problem);
    if (status < 0 || !auth->sessions.end)
        return status;
    return auth->sessions.end(auth->sessions.user, session.session, session.expires_s) < 0
               ? refuse_unknown(ret_problem)
               : 0;
}

int spl_auth_revoked(spl_auth *auth, const spl_principal *principal, bool *ret_revoked) {
    spl_principal key;
    bool revoked = principal->credential[0] ? !find_key_of(auth, principal, &key)
                                            : !spl_auth_has_client(auth, principal->id);
    if (!revoked && principal->session[0] && auth->sessions.is_ended &&
        auth->sessions.is_ended(auth->sessions.user, principal->session, &revoked) < 0)
        return SPL_E_IO;
    *ret_revoked = revoked;
    return 0;
}

static int take(spl_auth *auth, const char *name, unsigned limit, const char *setting,
                spl_rate *ret_rate, spl_problem *ret_problem) {
    unsigned wait_s;
    bool granted;
    if (!auth->shared_rates || !take_shared(auth, name, limit, ret_rate, &wait_s, &granted))
        granted = spl_rate_take(auth->requests, name, limit, spl_now_s(), ret_rate, &wait_s);
    if (granted)
        return 0;
    const int status =
        spl_refuse_about(ret_problem, SPL_PROBLEM_RATE_LIMITED, NULL, setting,
                         "%u requests a minute are allowed; the next is in %u s", limit, wait_s);
    ret_problem->retry_after_s = wait_s;
    return status;
}

int spl_auth_take(spl_auth *auth, const spl_principal *principal, spl_rate *ret_rate,
                  spl_problem *ret_problem) {
    const unsigned limit = principal->quota.rate_per_minute;
    return take(auth, principal->id, limit,
                limit == auth->quota.rate_per_minute ? "SPLEETER_RATE_PER_MINUTE" : NULL, ret_rate,
                ret_problem);
}

int spl_auth_take_link(spl_auth *auth, const char *owner, spl_problem *ret_problem) {
    char name[80];
    spl_rate rate;
    snprintf(name, sizeof(name), "links of %s", owner);
    return take(auth, name, LINK_RATE_FACTOR * auth->quota.rate_per_minute,
                "SPLEETER_RATE_PER_MINUTE", &rate, ret_problem);
}

int spl_link_sign(const spl_auth *auth, const char *path, const spl_principal *maker,
                  int64_t expires_s, char ret_query[SPL_LINK_SIZE], spl_error *ret_error) {
    return spl_links_sign(auth->link_key, path, maker->id, expires_s, ret_query, ret_error);
}

bool spl_link_valid(const spl_auth *auth, const char *path, const spl_link *link, int64_t now_s) {
    return spl_links_valid(auth->link_key, path, link, now_s,
                           auth->settings->link_max_s + SPL_CLOCK_LEEWAY_S);
}

bool spl_link_has_maker(spl_auth *auth, const spl_link *link, const char *owner) {
    if (strncmp(owner, KEY_ID, strlen(KEY_ID)) != 0)
        return spl_auth_has_client(auth, owner);
    bool found = false;
    pthread_rwlock_rdlock(&auth->lock);
    for (size_t i = 0; i < spl_keyring_count(auth->ring) && !found; i++) {
        const spl_principal *key = spl_keyring_get(auth->ring, i);
        found = strcmp(key->owner, owner) == 0 && key->scopes & SPL_SCOPE_READ &&
                spl_links_made_by(auth->link_key, link, key->id);
    }
    pthread_rwlock_unlock(&auth->lock);
    return found;
}
