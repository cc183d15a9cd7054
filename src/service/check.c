/* SPDX-License-Identifier: MIT
 *
 * Repeats the checks that `serve` makes at its start, as far as they leave no traces.
 */
#include "service/check.h"

#include "app/audio/audio.h"
#include "service/auth/auth.h"
#include "service/auth/jwks.h"
#include "service/auth/keys.h"
#include "service/blobs/s3_client.h"
#include "service/data_dir.h"
#include "service/http/connection/certificate.h"
#include "service/http/connection/limits.h"
#include "service/http/connection/listen.h"
#include "service/jobs/models.h"
#include "service/observe/log.h"
#include "service/outbound/outbound.h"
#include "service/s3_settings.h"
#include "service/scan/clamd.h"
#include "service/store/store.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define REMOTE_S      10
#define PEM_MAX_BYTES ((size_t)1 << 20)

typedef struct service_check {
    const spl_settings *settings;
    spl_settings_report *report, *warn;
    void *user;
} service_check;

static SPL_PRINTF(2, 3) void report_problem(const service_check *check, const char *format, ...) {
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    check->report(check->user, text);
}

/* ---- Files ---- */

/* Opens the PEM file of a setting. Returns NULL after reporting why it cannot be used. */
static BIO *open_pem(const service_check *check, const char *setting, const char *path,
                     spl_file_content *ret_content) {
    spl_error error;
    if (spl_file_read(path, SPL_FILE_TRUSTED, PEM_MAX_BYTES, ret_content, &error) == 0)
        return BIO_new_mem_buf(ret_content->text, (int)ret_content->size_bytes);
    report_problem(check, "%s: %s", setting, error.message);
    return NULL;
}

static void free_pem(BIO **pem) {
    BIO_free(*pem);
}

static void free_certificate(X509 **certificate) {
    X509_free(*certificate);
}

static void free_key(EVP_PKEY **key) {
    EVP_PKEY_free(*key);
}

/* The service starts nevertheless, so that a renewal brings it back. */
static void warn_of_expiry(const service_check *check, const char *path) {
    char text[1200];
    snprintf(text, sizeof(text),
             "SPLEETER_TLS_CERTIFICATE: the certificate in %s has expired; renew it", path);
    check->warn(check->user, text);
}

/* Reads the pair as the server does. */
static void check_loading(const service_check *check) {
    spl_certificate *certificate;
    spl_error error;
    if (spl_certificate_open(check->settings->tls_certificate, check->settings->tls_key,
                             &certificate, &error) < 0)
        report_problem(check, "SPLEETER_TLS_CERTIFICATE: %s", error.message);
    else
        spl_certificate_free(certificate);
}

static void check_tls(const service_check *check) {
    const char *certificate_path = check->settings->tls_certificate;
    const char *key_path = check->settings->tls_key;
    SPL_CLEANUP(free_certificate) X509 *certificate = NULL;
    SPL_CLEANUP(free_key) EVP_PKEY *key = NULL;
    SPL_CLEANUP(spl_file_content_free) spl_file_content certificate_file = {0};
    SPL_CLEANUP(spl_file_content_free) spl_file_content key_file = {0};
    SPL_CLEANUP(free_pem)
    BIO *certificate_pem = *certificate_path ? open_pem(check, "SPLEETER_TLS_CERTIFICATE",
                                                        certificate_path, &certificate_file)
                                             : NULL;
    if (certificate_pem) {
        certificate = PEM_read_bio_X509(certificate_pem, NULL, NULL, NULL);
        if (!certificate)
            report_problem(check, "SPLEETER_TLS_CERTIFICATE: %s holds no certificate in PEM",
                           certificate_path);
        else if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
            warn_of_expiry(check, certificate_path);
    }
    SPL_CLEANUP(free_pem)
    BIO *key_pem = *key_path ? open_pem(check, "SPLEETER_TLS_KEY", key_path, &key_file) : NULL;
    if (key_pem) {
        key = PEM_read_bio_PrivateKey(key_pem, NULL, NULL, (void *)(uintptr_t) "");
        if (!key)
            report_problem(check,
                           "SPLEETER_TLS_KEY: %s holds no private key in PEM without a password",
                           key_path);
    }
    if (certificate && key && X509_check_private_key(certificate, key) != 1)
        report_problem(check,
                       "SPLEETER_TLS_KEY: the key in %s is not that of the certificate in %s",
                       key_path, certificate_path);
    else if (certificate && key)
        check_loading(check);
}

/* Checks that `path`, or the nearest existing folder above it, is a writable folder. */
static void check_folder(const service_check *check, const char *setting, const char *path) {
    SPL_CLEANUP(spl_free_p) char *existing = NULL;
    struct stat found;
    if (asprintf(&existing, "%s%s", path[0] == '/' ? "" : "./", path) < 0)
        return;
    while (stat(existing, &found) < 0 && errno == ENOENT) {
        char *slash = strrchr(existing, '/');
        if (!slash)
            break;
        slash[slash == existing] = '\0';
    }
    if (stat(existing, &found) < 0)
        report_problem(check, "%s: cannot use %s: %s", setting, path, strerror(errno));
    else if (!S_ISDIR(found.st_mode))
        report_problem(check, "%s: cannot use %s: %s is not a folder", setting, path, existing);
    else if (access(existing, R_OK | W_OK | X_OK) < 0)
        report_problem(check, "%s: cannot write to %s: %s", setting, existing, strerror(errno));
}

/* The files that the start opens first. */
static void check_own_files(const service_check *check) {
    const spl_settings *settings = check->settings;
    SPL_CLEANUP(spl_close_p) int lock = -1;
    spl_error error;
    int status = spl_data_dir_open_lock(settings->data_dir, false, &lock, &error);
    if (status < 0 && status != SPL_E_NOT_FOUND)
        report_problem(check, "SPLEETER_DATA_DIR: %s", error.message);
    if (!*settings->shared_secret && spl_secret_check(settings->data_dir, &error) < 0)
        report_problem(check, "SPLEETER_DATA_DIR: %s", error.message);
    if (!*settings->database_url && spl_data_dir_check_database(settings->data_dir, &error) < 0)
        report_problem(check, "SPLEETER_DATA_DIR: %s", error.message);
}

static void check_data_dir(const service_check *check) {
    static const char *const names[] = {"jobs.db",  "keys.json", "audit", "blobs",
                                        "incoming", "cache",     "models"};
    const char *data_dir = check->settings->data_dir;
    if (!*data_dir)
        return;
    check_folder(check, "SPLEETER_DATA_DIR", data_dir);
    spl_error error;
    const int status = spl_folder_check(data_dir, &error);
    if (status == SPL_E_PERMISSION)
        report_problem(check, "SPLEETER_DATA_DIR: %s", error.message);
    if (status == 0)
        check_own_files(check);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(names); i++) {
        SPL_CLEANUP(spl_free_p) char *path = NULL;
        if (asprintf(&path, "%s/%s", data_dir, names[i]) >= 0 && access(path, R_OK | W_OK) < 0 &&
            errno != ENOENT && errno != ENOTDIR)
            report_problem(check, "SPLEETER_DATA_DIR: cannot use %s: %s", path, strerror(errno));
    }
}

static void check_log_file(const service_check *check) {
    const char *path = check->settings->log_file;
    if (!*path)
        return;
    spl_error error;
    const int status = spl_log_check(path, &error);
    if (status != SPL_E_NOT_FOUND) {
        if (status < 0)
            report_problem(check, "SPLEETER_LOG_FILE: %s", error.message);
        return;
    }
    SPL_CLEANUP(spl_free_p) char *folder = strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash)
        *slash = '\0';
    if (access(slash ? (*folder ? folder : "/") : ".", W_OK | X_OK) < 0)
        report_problem(check, "SPLEETER_LOG_FILE: cannot make %s: %s", path, strerror(errno));
}

/* ---- Keys ---- */

static void check_access(const service_check *check) {
    const spl_settings *settings = check->settings;
    const spl_quota defaults = {.rate_per_minute = settings->rate_per_minute,
                                .jobs = settings->jobs_per_key,
                                .storage_bytes = settings->storage_per_key_bytes};
    spl_keyring *keyring;
    spl_error error;
    int status =
        spl_keyring_open(settings->data_dir, settings->api_key, &defaults, &keyring, &error);
    if (status == 0) {
        status = spl_settings_check_access(settings, spl_keyring_count(keyring), &error);
        spl_keyring_free(keyring);
    }
    if (status < 0)
        report_problem(check, "%s", error.message);
}

/* ---- What jobs need ---- */

static bool is_pulled(const char *list, const char *name, size_t length) {
    for (; *list; list += strcspn(list, ", "), list += strspn(list, ", ")) {
        if (strcspn(list, ", ") == length && strncmp(list, name, length) == 0)
            return true;
    }
    return false;
}

static void check_pulled_models(const service_check *check) {
    for (const char *name = check->settings->pull_models; *name;
         name += strcspn(name, ", "), name += strspn(name, ", ")) {
        const size_t length = strcspn(name, ", ");
        if (length > 0 && !is_pulled("2stems,4stems,5stems", name, length))
            report_problem(
                check,
                "SPLEETER_PULL_MODELS: there is no model %.*s; there are 2stems, 4stems and 5stems",
                (int)SPL_MIN(length, 100), name);
    }
}

static void check_model(const service_check *check) {
    const spl_settings *settings = check->settings;
    const char *name = settings->default_model;
    const char *plain = strncmp(name, "spleeter:", 9) == 0 ? name + 9 : name;
    if (is_pulled(settings->pull_models, plain, strcspn(plain, "-")))
        return;
    spl_models *models;
    spl_models_entry entry;
    spl_error error;
    int status = spl_models_open(&models, &error);
    if (status == 0) {
        status = spl_models_find(models, name, &entry, &error);
        spl_models_free(models);
    }
    if (status == 0)
        status = spl_model_verify(entry.choice.path, &error);
    if (status < 0)
        report_problem(check, "SPLEETER_MODEL: %s", error.message);
}

static void check_limits(const service_check *check) {
    unsigned connections;
    spl_error error;
    if (spl_connections_fit(check->settings, &connections, &error) < 0)
        report_problem(check, "%s", error.message);
}

static void check_helper(const service_check *check) {
    spl_error error;
    if (spl_sandbox_check(&error) < 0)
        report_problem(check, "%s", error.message);
}

void spl_service_check_local(const spl_settings *settings, spl_settings_report *report,
                             spl_settings_report *warn, void *user) {
    const service_check check = {settings, report, warn, user};
    check_data_dir(&check);
    check_log_file(&check);
    check_tls(&check);
    check_access(&check);
    check_pulled_models(&check);
    check_model(&check);
    check_helper(&check);
    check_limits(&check);
}

/* ---- Other programs and machines ---- */

/* Whether a service runs with this data folder; the port is then in use by that service. */
static bool is_running(const spl_settings *settings) {
    SPL_CLEANUP(spl_close_p) int fd = -1;
    return spl_data_dir_open_lock(settings->data_dir, false, &fd, NULL) == 0 &&
           flock(fd, LOCK_EX | LOCK_NB) < 0;
}

static int probe_port(const spl_settings *settings, spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int fd = -1;
    spl_listen_address address;
    return is_running(settings) ? 0 : spl_listen(settings, &fd, &address, ret_error);
}

static int probe_database(const spl_settings *settings, spl_error *ret_error) {
    return *settings->database_url ? spl_store_probe_postgres(settings->database_url, ret_error)
                                   : 0;
}

static int probe_storage(const spl_settings *settings, spl_error *ret_error) {
    const spl_blobs_s3 options = spl_s3_settings(settings);
    spl_s3_client *client;
    if (!*settings->s3_endpoint)
        return 0;
    int status = spl_s3_client_new(&options, &client, ret_error);
    if (status < 0)
        return status;
    status = spl_s3_probe(client, NULL, ret_error);
    spl_s3_client_free(client);
    return status;
}

static int probe_scanner(const spl_settings *settings, spl_error *ret_error) {
    if (!*settings->clamd || spl_clamd_alive(settings->clamd))
        return 0;
    return spl_fail(ret_error, SPL_E_IO, "clamd at %s does not answer", settings->clamd);
}

static int probe_issuer(const spl_settings *settings, spl_error *ret_error) {
    spl_jwks_source *source;
    spl_jwks *jwks;
    if (!*settings->jwt_jwks_url)
        return 0;
    int status =
        spl_jwks_source_new(settings->jwt_jwks_url, settings->jwt_algorithm, &source, ret_error);
    if (status < 0)
        return status;
    status = spl_jwks_source_get(source, "", spl_now_s(), &jwks, ret_error);
    if (status == 0)
        spl_jwks_unref(jwks);
    spl_jwks_source_free(source);
    return status;
}

static const struct {
    const char *settings;
    int (*probe)(const spl_settings *settings, spl_error *ret_error);
} probes[] = {
    {"SPLEETER_BIND and SPLEETER_PORT", probe_port}, {"SPLEETER_DATABASE_URL", probe_database},
    {"SPLEETER_S3_ENDPOINT", probe_storage},         {"SPLEETER_CLAMD", probe_scanner},
    {"SPLEETER_JWT_JWKS_URL", probe_issuer},
};

typedef struct probe_run {
    pthread_t thread;
    const spl_settings *settings;
    size_t index;
    int status;
    spl_error error;
} probe_run;

static void *probe(void *user) {
    probe_run *run = user;
    run->status = probes[run->index].probe(run->settings, &run->error);
    return NULL;
}

void spl_service_check_remote(const spl_settings *settings, spl_settings_report *report,
                              void *user) {
    /* Static, because a check that misses the deadline keeps using its run. */
    static probe_run runs[SPL_ARRAY_SIZE(probes)];
    const service_check check = {.settings = settings, .report = report, .user = user};
    spl_error error;
    if (spl_outbound_start(&error) < 0) {
        report_problem(&check, "%s", error.message);
        return;
    }
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += REMOTE_S;
    int started[SPL_ARRAY_SIZE(probes)];
    for (size_t i = 0; i < SPL_ARRAY_SIZE(probes); i++) {
        runs[i] = (probe_run){.settings = settings, .index = i};
        started[i] = pthread_create(&runs[i].thread, NULL, probe, &runs[i]);
    }
    for (size_t i = 0; i < SPL_ARRAY_SIZE(probes); i++) {
        const int failed =
            started[i] ? started[i] : pthread_timedjoin_np(runs[i].thread, NULL, &deadline);
        if (failed)
            report_problem(&check, "%s: no answer in %d seconds", probes[i].settings, REMOTE_S);
        else if (runs[i].status < 0)
            report_problem(&check, "%s: %s", probes[i].settings, runs[i].error.message);
    }
}
