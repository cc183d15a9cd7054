/* SPDX-License-Identifier: MIT
 *
 * Opens the modules in the order of their dependencies, waits for signals, and closes the modules
 * in reverse.
 */
#include "service/service.h"

#include "app/audio/audio.h"
#include "app/download/pull.h"
#include "base/file.h"
#include "service/core/ids.h"
#include "service/core/space.h"
#include "service/data_dir.h"
#include "service/http/connection/http.h"
#include "service/http/routes/routes.h"
#include "service/observe/log.h"
#include "service/outbound/address.h"
#include "service/outbound/outbound.h"
#include "service/s3_settings.h"
#include "service/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define GRACE_S       5  /* for responses in transit when the jobs have stopped */
#define STOP_MARGIN_S 15 /* for everything that follows the drain, including GRACE_S */

typedef struct running_service {
    const spl_settings *settings;
    spl_service_role role;
    int lock;
    uint8_t secret[32];
    spl_audit *audit;
    spl_auth *auth;
    spl_store *store;
    spl_space *space;
    spl_blobs *blobs;
    spl_models *models;
    spl_jobs *jobs;
    spl_http *http;
} running_service;

static bool in_development(const spl_settings *settings) {
    return strcmp(settings->env, "development") == 0;
}

/* ---- Start ---- */

static int open_log(const spl_settings *settings, spl_error *ret_error) {
    static const char *const names[] = {"debug", "info", "warning", "error"};
    spl_log_level level = SPL_LOG_INFO;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(names); i++) {
        if (strcmp(settings->log_level, names[i]) == 0)
            level = (spl_log_level)i;
    }
    return spl_log_open(settings->log_file, settings->log_file_bytes, level, ret_error);
}

static int make_data_dir(const char *path, spl_error *ret_error) {
    umask(077);
    int status = spl_make_folders(path, ret_error);
    if (status < 0)
        return status;
    status = spl_folder_check(path, ret_error);
    if (status < 0)
        return status;
    struct stat stat;
    if (lstat(path, &stat) == 0 && (stat.st_mode & 077) != 0)
        spl_log(SPL_LOG_WARNING, "service.data_dir_open", SPL_TEXT("data_dir", path),
                SPL_TEXT("detail", "other users can read it; chmod 0700 prevents that"));
    return 0;
}

static int take_lock(running_service *service, spl_error *ret_error) {
    int status =
        spl_data_dir_open_lock(service->settings->data_dir, true, &service->lock, ret_error);
    if (status < 0)
        return status;
    if (flock(service->lock, LOCK_EX | LOCK_NB) < 0)
        return spl_fail(ret_error, SPL_E_IO,
                        "another spleeterd serves SPLEETER_DATA_DIR %s; stop it or use another "
                        "folder",
                        service->settings->data_dir);
    return 0;
}

static int open_audit(running_service *service, spl_error *ret_error) {
    uint8_t key[32];
    SPL_CLEANUP(spl_free_p) char *folder = NULL;
    const spl_settings *settings = service->settings;
    int status = *settings->shared_secret
                     ? spl_secret_from_text(settings->shared_secret, service->secret, ret_error)
                     : spl_secret_open(settings->data_dir, service->secret, ret_error);
    if (status == 0)
        status = spl_secret_derive(service->secret, "audit", key, ret_error);
    if (status < 0)
        return status;
    if (asprintf(&folder, "%s/audit", service->settings->data_dir) < 0)
        return spl_fail_memory(ret_error);
    status = spl_audit_open(folder, key, settings->audit_bytes, &service->audit, ret_error);
    explicit_bzero(key, sizeof(key));
    return status;
}

static int check_sandbox(const spl_settings *settings, spl_error *ret_error) {
    spl_error error;
    if (settings->require_landlock)
        spl_sandbox_require_landlock();
    int status = spl_sandbox_check(&error);
    if (status == 0)
        return 0;
    if (!in_development(settings) || settings->require_landlock)
        return spl_fail(ret_error, status, "%s", error.message);
    spl_log(SPL_LOG_WARNING, "service.sandbox", SPL_TEXT("error", error.message));
    return 0;
}

/* Downloads the models of SPLEETER_PULL_MODELS into DATA_DIR/models and puts that folder first in
 * SPLEETER_MODEL_PATH. */
static int pull_models(const spl_settings *settings, spl_error *ret_error) {
    if (!*settings->pull_models)
        return 0;
    SPL_CLEANUP(spl_free_p) char *folder = NULL, *path = NULL;
    SPL_CLEANUP(spl_free_p) char *names = strdup(settings->pull_models);
    const char *earlier = getenv("SPLEETER_MODEL_PATH");
    if (!names || asprintf(&folder, "%s/models", settings->data_dir) < 0 ||
        asprintf(&path, "%s%s%s", folder, earlier && *earlier ? ":" : "", earlier ? earlier : "") <
            0 ||
        setenv("SPLEETER_MODEL_PATH", path, 1) < 0)
        return spl_fail_memory(ret_error);
    char *rest = names, *name;
    while ((name = strsep(&rest, ", "))) {
        if (!*name)
            continue;
        spl_log(SPL_LOG_INFO, "model.pulling", SPL_TEXT("model", name));
        SPL_CLEANUP(spl_free_p) char *pulled = NULL;
        bool changed;
        const spl_pull_options options = {
            .name = name,
            .base = *settings->model_url ? settings->model_url : NULL,
            .folder = folder,
        };
        int status = spl_model_pull(&options, &pulled, &changed, ret_error);
        if (status < 0)
            return status;
        spl_log(SPL_LOG_INFO, "model.pulled", SPL_TEXT("model", name), SPL_BOOL("new", changed));
    }
    return 0;
}

/* spl_rate_source */
static int take_shared_rate(void *user, const char *name, int64_t one_us, bool *ret_granted,
                            int64_t *ret_left_us) {
    spl_store *store = user;
    const int64_t now_us = 1000 * store->functions->now_ms(store);
    int64_t full_us;
    spl_error error;
    int status =
        store->functions->take_rate(store, name, one_us, now_us, ret_granted, &full_us, &error);
    if (status < 0)
        spl_log(SPL_LOG_ERROR, "auth.rates_not_shared", SPL_TEXT("error", error.message));
    else
        *ret_left_us = full_us - now_us;
    return status;
}

/* spl_session_source.end */
static int end_session(void *user, const char *id, int64_t expires_s) {
    spl_store *store = user;
    spl_error error;
    const int status = store->functions->end_session(store, id, 1000 * expires_s, &error);
    if (status < 0)
        spl_log(SPL_LOG_ERROR, "session.not_ended", SPL_TEXT("error", error.message));
    return status;
}

/* spl_session_source.is_ended */
static int session_ended(void *user, const char *id, bool *ret_ended) {
    spl_store *store = user;
    spl_error error;
    const int status = store->functions->session_ended(store, id, ret_ended, &error);
    if (status < 0)
        spl_log(SPL_LOG_ERROR, "session.not_read", SPL_TEXT("error", error.message));
    return status;
}

static void share_sessions(running_service *service) {
    const spl_session_source source = {end_session, session_ended, service->store};
    spl_auth_share_sessions(service->auth, &source);
}

static int open_store(running_service *service, spl_error *ret_error) {
    const spl_settings *settings = service->settings;
    if (!*settings->database_url) {
        int status = spl_data_dir_check_database(settings->data_dir, ret_error);
        return status < 0 ? status
                          : spl_store_open_sqlite(settings->data_dir, &service->store, ret_error);
    }
    const spl_store_postgres options = {
        .url = settings->database_url,
        .connections = settings->database_connections,
        .listens = service->role == SPL_SERVES,
    };
    int status = spl_store_open_postgres(&options, &service->store, ret_error);
    if (status == 0)
        spl_auth_share_rates(service->auth, take_shared_rate, service->store);
    return status;
}

static int open_blobs(running_service *service, spl_error *ret_error) {
    const spl_settings *settings = service->settings;
    if (!*settings->s3_endpoint)
        return spl_blobs_open_directory(settings->data_dir, &service->blobs, ret_error);
    spl_blobs_s3 options = spl_s3_settings(settings);
    options.space = service->space;
    return spl_blobs_open_s3(&options, &service->blobs, ret_error);
}

/* Checks the default model, which jobs that name no model use. */
static int open_models(running_service *service, spl_error *ret_error) {
    int status = spl_models_open(&service->models, ret_error);
    if (status < 0 || service->role != SPL_SERVES)
        return status;
    spl_models_entry entry;
    spl_error error;
    status = spl_models_find(service->models, service->settings->default_model, &entry, &error);
    return status < 0 ? spl_fail(ret_error, SPL_E_ARGUMENT, "SPLEETER_MODEL: %s", error.message)
                      : 0;
}

static void warn_of_unknown(void *user, const char *problem) {
    (void)user;
    spl_log(SPL_LOG_WARNING, "service.unknown_setting", SPL_TEXT("detail", problem));
}

static int start_jobs(running_service *service, spl_error *ret_error) {
    spl_jobs_parts parts = {
        .settings = service->settings,
        .store = service->store,
        .space = service->space,
        .blobs = service->blobs,
        .models = service->models,
        .audit = service->audit,
        .auth = service->auth,
        .only_works = service->role == SPL_WORKS,
    };
    memcpy(parts.secret, service->secret, sizeof(parts.secret));
    spl_signals_drain(); /* or the first job that a worker claims would count as lost in a crash */
    const int status = spl_jobs_start(&parts, &service->jobs, ret_error);
    explicit_bzero(parts.secret, sizeof(parts.secret));
    return status;
}

static int start_http(running_service *service, spl_error *ret_error) {
    spl_http_parts parts = {
        .settings = service->settings,
        .routes = spl_routes,
        .route_count = spl_route_count,
        .auth = service->auth,
        .jobs = service->jobs,
        .models = service->models,
        .audit = service->audit,
        .only_system = service->role == SPL_WORKS,
    };
    memcpy(parts.secret, service->secret, sizeof(parts.secret));
    const int status = spl_http_start(&parts, &service->http, ret_error);
    explicit_bzero(parts.secret, sizeof(parts.secret));
    return status;
}

static int start(running_service *service, spl_error *ret_error) {
    const spl_settings *settings = service->settings;
    int status = open_log(settings, ret_error);
    if (status == 0)
        spl_settings_find_unknown(warn_of_unknown, NULL);
    if (status == 0)
        status = make_data_dir(settings->data_dir, ret_error);
    if (status == 0)
        status = take_lock(service, ret_error);
    if (status == 0)
        status = spl_outbound_start(ret_error);
    if (status == 0)
        status = open_audit(service, ret_error);
    if (status == 0)
        status = spl_auth_open(settings, service->secret, &service->auth, ret_error);
    if (status == 0)
        status = check_sandbox(settings, ret_error);
    if (status == 0)
        status = pull_models(settings, ret_error);
    if (status == 0)
        status = open_store(service, ret_error);
    if (status == 0)
        share_sessions(service);
    if (status == 0)
        status = spl_space_open(settings->data_dir, settings->min_free_bytes, &service->space,
                                ret_error);
    if (status == 0)
        status = open_blobs(service, ret_error);
    if (status == 0)
        status = open_models(service, ret_error);
    if (status == 0)
        status = start_jobs(service, ret_error);
    if (status == 0)
        status = start_http(service, ret_error);
    return status;
}

/* ---- Announcement ---- */

/* "2stems, spleeter:2stems, ..." */
static void list_models(spl_models *models, char *ret_text, size_t size) {
    json_auto_t *array = NULL;
    snprintf(ret_text, size, "none");
    if (spl_models_describe(models, &array, NULL) < 0)
        return;
    size_t i, used = 0;
    json_t *model;
    json_array_foreach(array, i, model) {
        const char *name = json_string_value(json_object_get(model, "name"));
        int length = snprintf(ret_text + used, size - used, "%s%s", i ? ", " : "", name);
        used = SPL_MIN(used + (size_t)length, size - 1);
    }
}

/* Whether keys cross the network unencrypted; ignores a TLS proxy that no setting names. */
static bool is_plain(const running_service *service) {
    const spl_settings *settings = service->settings;
    const char *host = spl_http_address(service->http)->host;
    return service->role == SPL_SERVES && *host && !*settings->tls_certificate &&
           !spl_address_is_loopback(host) && !*settings->trusted_proxies &&
           strncmp(settings->public_url, "https://", 8) != 0;
}

static void announce(const running_service *service) {
    const spl_settings *settings = service->settings;
    const bool open = in_development(settings) && !*settings->api_key && !*settings->jwt_issuer;
    const spl_listen_address *address = spl_http_address(service->http);
    const bool v6 = strchr(address->host, ':') != NULL;
    char models[512], url[256];
    list_models(service->models, models, sizeof(models));
    if (!*address->host)
        snprintf(url, sizeof(url), "a Unix socket of systemd");
    else
        snprintf(url, sizeof(url), "%s://%s%s%s:%u", *settings->tls_certificate ? "https" : "http",
                 v6 ? "[" : "", address->host, v6 ? "]" : "", address->port);
    const char *access = open                    ? "none (development)"
                         : *settings->jwt_issuer ? "API keys and tokens"
                                                 : "API keys";
    const char *scan = *settings->clamd ? settings->clamd : "off";
    if (service->role == SPL_WORKS)
        printf("spleeterd works; %s/health\n  data   %s\n  models %s\n", url, settings->data_dir,
               models);
    else
        printf("spleeterd serves %s\n  data   %s\n  access %s\n  scan   %s\n  models %s\n", url,
               settings->data_dir, access, scan, models);
    fflush(stdout);
    spl_log(SPL_LOG_INFO, "service.started", SPL_TEXT("url", url),
            SPL_TEXT("data_dir", settings->data_dir), SPL_TEXT("access", access),
            SPL_TEXT("scan", scan), SPL_TEXT("models", models));
    if (is_plain(service))
        spl_log(SPL_LOG_WARNING, "service.plain_http",
                SPL_TEXT("detail", "keys and songs cross the network unencrypted; set "
                                   "SPLEETER_TLS_CERTIFICATE, or put a proxy that does TLS in "
                                   "front and name it in SPLEETER_TRUSTED_PROXIES"));
    if (service->role == SPL_SERVES && !*settings->clamd)
        spl_log(SPL_LOG_WARNING, "service.no_scan",
                SPL_TEXT("detail", "uploads are not scanned for viruses; see SPLEETER_CLAMD"));
    const char *warning = spl_sandbox_warning();
    if (warning)
        spl_log(SPL_LOG_WARNING, "service.sandbox", SPL_TEXT("detail", warning));
}

/* ---- Signals ---- */

static void reload(running_service *service) {
    spl_error error;
    if (spl_log_reopen(&error) < 0)
        spl_log(SPL_LOG_ERROR, "service.log_not_reopened", SPL_TEXT("error", error.message));
    const int status = spl_auth_reload(service->auth, &error);
    if (status < 0)
        spl_log(SPL_LOG_ERROR, "service.keys_not_reloaded", SPL_TEXT("error", error.message));
    else
        spl_log(SPL_LOG_INFO, "service.reloaded");
    if (status == 0 && service->role == SPL_SERVES)
        spl_jobs_cancel_revoked(service->jobs);
    const spl_audit_event event = {
        .actor = "system", .action = "key.reload", .outcome = status < 0 ? "internal" : "ok"};
    (void)!spl_audit_write(service->audit, &event, &error);
    spl_http_reload(service->http);
}

static void wait_for_end(running_service *service) {
    int number;
    do {
        number = spl_signals_wait();
        if (number == SIGHUP)
            reload(service);
        spl_http_tick(service->http);
    } while (number != SIGTERM && number != SIGINT);
    spl_log(SPL_LOG_INFO, "service.draining", SPL_TEXT("signal", strsignal(number)));
}

/* The time from a signal to the end of the process, at most. While a shared database is not
 * available, a worker keeps its job until the lease ends. */
static unsigned stop_max_s(const spl_settings *settings) {
    return settings->drain_s + (*settings->database_url ? settings->lease_s : 0) + STOP_MARGIN_S;
}

static void stop(running_service *service) {
    if (service->http)
        spl_http_drain(service->http);
    if (service->jobs)
        spl_jobs_stop(service->jobs, service->settings->drain_s);
    if (service->auth)
        spl_auth_stop(service->auth);
    if (service->http)
        spl_http_stop(service->http, GRACE_S);
    spl_jobs_free(service->jobs);
    spl_models_free(service->models);
    if (service->blobs)
        service->blobs->functions->close(service->blobs);
    spl_space_close(service->space);
    if (service->store)
        service->store->functions->close(service->store);
    spl_auth_free(service->auth);
    spl_audit_close(service->audit);
    explicit_bzero(service->secret, sizeof(service->secret));
    spl_close_p(&service->lock);
}

int spl_service_run(const spl_settings *settings, spl_service_role role, spl_error *ret_error) {
    if (role == SPL_WORKS && (!*settings->database_url || settings->workers == 0))
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "a worker needs the job store that it shares with the service, and work to "
                        "do: set SPLEETER_DATABASE_URL, and SPLEETER_WORKERS to 1 or more");
    running_service service = {.settings = settings, .role = role, .lock = -1};
    int status = spl_signals_watch(stop_max_s(settings), ret_error);
    if (status == 0)
        status = start(&service, ret_error);
    if (status == 0) {
        announce(&service);
        wait_for_end(&service);
    }
    spl_signals_limit_stop();
    stop(&service);
    if (status == 0)
        spl_log(SPL_LOG_INFO, "service.stopped");
    return status;
}
