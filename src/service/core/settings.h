/* SPDX-License-Identifier: MIT
 *
 * The service's settings. One table (settings.c) gives each setting its environment variable, flag,
 * default, range and help text; it drives parsing, `spleeterd serve --help`, `spleeterd config
 * check` and docs/settings.md. A flag overrides the environment. SPLEETER_X_Y is --x-y.
 */
#ifndef SPL_SERVICE_CORE_SETTINGS_H
#define SPL_SERVICE_CORE_SETTINGS_H

#include "base/error.h"

#include <jansson.h>
#include <stdio.h>

/* All strings are owned by the struct and never NULL; "" means not set. Lists are
 * comma-separated. */
typedef struct spl_settings {
    /* ---- Where it runs ---- */
    /* SPLEETER_ENV: production, or development (loopback only, may run without authentication) */
    char *env;
    char *bind;     /* SPLEETER_BIND: address; 127.0.0.1 */
    unsigned port;  /* SPLEETER_PORT: 8080; 0: any free port, which is logged */
    char *data_dir; /* SPLEETER_DATA_DIR: jobs.db, blobs/, incoming/, keys.json, secret, audit/ */
    /* SPLEETER_TLS_CERTIFICATE, SPLEETER_TLS_KEY: PEM files; both or none */
    char *tls_certificate, *tls_key;
    char *public_url; /* SPLEETER_PUBLIC_URL: the beginning of links in webhooks */
    /* SPLEETER_TRUSTED_PROXIES: CIDRs whose X-Forwarded-For is trusted; none */
    char *trusted_proxies;

    /* ---- Several machines: set all of these that have no default, or none ---- */
    char *database_url; /* SPLEETER_DATABASE_URL: postgresql://...; "": SQLite and files */
    unsigned database_connections; /* SPLEETER_DATABASE_CONNECTIONS: maximum; 8 */
    char *s3_endpoint;             /* SPLEETER_S3_ENDPOINT: URL; buckets are addressed by path */
    /* SPLEETER_S3_PUBLIC_ENDPOINT: where downloads are redirected to; optional, "": no redirects */
    char *s3_public_endpoint;
    char *s3_bucket;                               /* SPLEETER_S3_BUCKET */
    char *s3_region;                               /* SPLEETER_S3_REGION: us-east-1 */
    char *s3_access_key_id, *s3_secret_access_key; /* SPLEETER_S3_ACCESS_KEY_ID, ... */
    uint64_t cache_bytes;                          /* SPLEETER_CACHE_MB: 4096 */
    char *shared_secret;                           /* SPLEETER_SECRET: "": DATA_DIR/secret */

    /* ---- Who may use it ---- */
    char *api_key; /* SPLEETER_API_KEY: the first key, an admin named "default" */
    /* SPLEETER_JWT_...; the algorithm's default is RS256 */
    char *jwt_issuer, *jwt_audience, *jwt_algorithm, *jwt_jwks_url;
    unsigned jwt_leeway_s; /* SPLEETER_JWT_LEEWAY_S: 30 */
    /* SPLEETER_OAUTH_...: where browsers sign in; all or none, but the scope is optional */
    char *oauth_client_id, *oauth_authorize_url, *oauth_token_url, *oauth_scope;
    unsigned link_max_s; /* SPLEETER_LINK_MAX_S: maximum lifetime of a signed link; 86400 */

    /* ---- Quotas of keys without their own, and of JWT principals ---- */
    unsigned rate_per_minute;       /* SPLEETER_RATE_PER_MINUTE: requests; 600 */
    unsigned jobs_per_key;          /* SPLEETER_JOBS_PER_KEY: queued and running; 100 */
    uint64_t storage_per_key_bytes; /* SPLEETER_STORAGE_PER_KEY_MB: files and rows; 20480 */

    /* ---- Uploads ---- */
    uint64_t max_file_size_bytes; /* SPLEETER_MAX_FILE_SIZE_MB: 512 */
    double max_duration_s;        /* SPLEETER_MAX_DURATION_S: 7200 */
    char *formats;                /* SPLEETER_FORMATS: accepted file extensions */
    uint64_t min_free_bytes;      /* SPLEETER_MIN_FREE_DISK_MB: below it, uploads get 507; 1024 */
    /* SPLEETER_SOURCE_ALLOW: CIDRs of private hosts that source URLs may name; none */
    char *source_allow;
    unsigned require_landlock; /* SPLEETER_REQUIRE_LANDLOCK: 0 or 1 */
    char *clamd; /* SPLEETER_CLAMD: "unix:/run/clamav/clamd.ctl" or "tcp:host:3310"; "": no scan */
    unsigned scan_timeout_s; /* SPLEETER_SCAN_TIMEOUT_S: 120 */

    /* ---- Connections ---- */
    unsigned connections;             /* SPLEETER_CONNECTIONS: 2048 */
    unsigned connections_per_address; /* SPLEETER_CONNECTIONS_PER_ADDRESS: 256; 0: no limit */
    unsigned connections_per_key;     /* SPLEETER_CONNECTIONS_PER_KEY: 256; 0: no limit */
    /* SPLEETER_HEADER_TIMEOUT_S: total, from the connection or the last response; 15 */
    unsigned header_timeout_s;
    unsigned body_timeout_s; /* SPLEETER_BODY_TIMEOUT_S: total for a request; 3600 */
    /* SPLEETER_MIN_RATE_BYTES_S: for bodies in both directions, after 10 s; 4096 */
    unsigned min_rate_bytes_s;
    unsigned sync_timeout_s; /* SPLEETER_SYNC_TIMEOUT_S: POST /separate then returns 202; 300 */

    /* ---- Jobs ---- */
    unsigned workers;       /* SPLEETER_WORKERS: jobs at once; 1; 0: none in this process */
    unsigned threads;       /* SPLEETER_THREADS: per job; 0: all CPUs divided by workers */
    unsigned queue;         /* SPLEETER_QUEUE: maximum number of queued jobs; 1000 */
    unsigned attempts;      /* SPLEETER_ATTEMPTS: 3 */
    unsigned lease_s;       /* SPLEETER_LEASE_S: 30 */
    unsigned job_timeout_s; /* SPLEETER_JOB_TIMEOUT_S: 3600 */
    unsigned retention_s;   /* SPLEETER_RETENTION_S: outputs, from the job's end; 86400 */
    unsigned drain_s;       /* SPLEETER_DRAIN_S: 25 */
    char *default_model;    /* SPLEETER_MODEL: 2stems */
    char *pull_models;      /* SPLEETER_PULL_MODELS: Deezer's models to download at start; none */
    char *model_url;        /* SPLEETER_MODEL_URL: where to download models; "": Deezer's release */

    /* ---- Webhooks ---- */
    /* SPLEETER_WEBHOOK_ALLOW: CIDRs of private receivers, for which http is allowed too; none */
    char *webhook_allow;
    unsigned webhook_attempts;  /* SPLEETER_WEBHOOK_ATTEMPTS: 10 */
    unsigned webhook_timeout_s; /* SPLEETER_WEBHOOK_TIMEOUT_S: 15 */

    /* ---- Observation ---- */
    char *log_file;          /* SPLEETER_LOG_FILE: "": standard error */
    uint64_t log_file_bytes; /* SPLEETER_LOG_FILE_MB: 100; 0: no limit */
    char *log_level;         /* SPLEETER_LOG_LEVEL: debug, info, warning, error; info */
    uint64_t audit_bytes;    /* SPLEETER_AUDIT_MB: 1024 */

    /* The origin of each value, by row of the table; for printing. */
    unsigned char *origins;
} spl_settings;

/* Loads and checks all settings. A value comes from its flag, else from its environment variable,
 * else it is the default; an empty variable counts as not set. A secret may also come from the file
 * that SPLEETER_X_FILE names. Constraints between settings are checked, too (both TLS files;
 * development on loopback only; ...). argv[0] is ignored; argv may be NULL when argc is 0. Errors:
 * ARGUMENT (names the setting, the origin of its value and the valid values), MEMORY. */
SPL_WARN_UNUSED int spl_settings_load(int argc, char **argv, spl_settings *ret_settings,
                                      spl_error *ret_error);

/* Receives one problem, as a sentence without its full stop. */
typedef void spl_settings_report(void *user, const char *problem);

/* As spl_settings_load, but reports every problem to `report` (may be NULL), not only the first,
 * and fills *ret_settings even when values are wrong: a wrong text stays as given, and a wrong
 * number becomes its default. */
int spl_settings_load_all(int argc, char **argv, spl_settings_report *report, void *user,
                          spl_settings *ret_settings, spl_error *ret_error);

/* Reports the environment variables named SPLEETER_... that are not settings, each with the setting
 * that was probably meant. */
void spl_settings_find_unknown(spl_settings_report *report, void *user);

/* Fails with ARGUMENT outside development when no client could be identified: `keys` (the number of
 * keys in keys.json and SPLEETER_API_KEY) is 0 and there is no JWT issuer. */
SPL_WARN_UNUSED int spl_settings_check_access(const spl_settings *settings, size_t keys,
                                              spl_error *ret_error);

void spl_settings_free(spl_settings *settings);

/* Prints the options of `spleeterd serve` with their help texts. */
void spl_settings_print_help(FILE *stream);
/* Prints the effective values and their origins. A secret is shown as "set". */
void spl_settings_print(const spl_settings *settings, FILE *stream);
/* The same as an array of objects with name, from and value, owned by the caller. NULL when memory
 * runs out. */
json_t *spl_settings_to_json(const spl_settings *settings);
/* Prints the table as Markdown; docs/settings.md holds the result. */
void spl_settings_print_markdown(FILE *stream);

#endif
