/* SPDX-License-Identifier: MIT
 *
 * The service's settings: one table (settings.c) gives each its environment variable, flag,
 * default, range and explanation, and so drives parsing, `spleeterd serve --help`, `spleeterd
 * config check` and docs/settings.md. A flag wins over the environment. SPLEETER_X_Y is --x-y.
 */
#ifndef SPL_SERVICE_CORE_SETTINGS_H
#define SPL_SERVICE_CORE_SETTINGS_H

#include "base/error.h"

#include <jansson.h>
#include <stdio.h>

/* All strings are owned by the struct; "" when not set, never NULL. Lists are separated by commas.
 */
typedef struct spl_settings {
    /* Where it runs */
    char *env;      /* SPLEETER_ENV: production, or development (loopback only: may go without
                       authentication) */
    char *bind;     /* SPLEETER_BIND: address; 127.0.0.1 */
    unsigned port;  /* SPLEETER_PORT: 8080; 0: any free one, which is logged */
    char *data_dir; /* SPLEETER_DATA_DIR: jobs.db, blobs/, incoming/, keys.json, secret, audit/ */
    char *tls_certificate,
        *tls_key;          /* SPLEETER_TLS_CERTIFICATE, SPLEETER_TLS_KEY: PEM files; both or none */
    char *public_url;      /* SPLEETER_PUBLIC_URL: what links in webhooks start with */
    char *trusted_proxies; /* SPLEETER_TRUSTED_PROXIES: CIDRs whose X-Forwarded-For is believed;
                              none */

    /* Several machines: all of these (but the public endpoint), or none */
    char *database_url; /* SPLEETER_DATABASE_URL: postgresql://...; "": SQLite and files */
    unsigned database_connections; /* SPLEETER_DATABASE_CONNECTIONS: at most; 8 */
    char *s3_endpoint;             /* SPLEETER_S3_ENDPOINT: URL, buckets by path */
    char *s3_public_endpoint; /* SPLEETER_S3_PUBLIC_ENDPOINT: where downloads are redirected to;
                                      "": they are not */
    char *s3_bucket;          /* SPLEETER_S3_BUCKET */
    char *s3_region;          /* SPLEETER_S3_REGION: us-east-1 */
    char *s3_access_key_id, *s3_secret_access_key; /* SPLEETER_S3_ACCESS_KEY_ID, ... */
    uint64_t cache_bytes;                          /* SPLEETER_CACHE_MB: 4096 */
    char *shared_secret;                           /* SPLEETER_SECRET: "": DATA_DIR/secret */

    /* Who may use it */
    char *api_key; /* SPLEETER_API_KEY: the first key, an admin named "default" */
    char *jwt_issuer, *jwt_audience, *jwt_algorithm,
        *jwt_jwks_url;     /* SPLEETER_JWT_...; algorithm RS256 */
    unsigned jwt_leeway_s; /* SPLEETER_JWT_LEEWAY_S: 30 */
    char *oauth_client_id, *oauth_authorize_url, *oauth_token_url,
        *oauth_scope; /* SPLEETER_OAUTH_...: where browsers sign in; all but the scope, or none */
    unsigned link_max_s; /* SPLEETER_LINK_MAX_S: longest life of a signed link; 86400 */

    /* Quotas of keys that name none of their own, and of JWT users */
    unsigned rate_per_minute;       /* SPLEETER_RATE_PER_MINUTE: requests; 600 */
    unsigned jobs_per_key;          /* SPLEETER_JOBS_PER_KEY: queued and running; 100 */
    uint64_t storage_per_key_bytes; /* SPLEETER_STORAGE_PER_KEY_MB: files and rows; 20480 */

    /* Uploads */
    uint64_t max_file_size_bytes; /* SPLEETER_MAX_FILE_SIZE_MB: 512 */
    double max_duration_s;        /* SPLEETER_MAX_DURATION_S: 7200 */
    char *formats;                /* SPLEETER_FORMATS: extensions of the files that are accepted */
    uint64_t min_free_bytes;      /* SPLEETER_MIN_FREE_DISK_MB: below it, uploads get 507; 1024 */
    char *source_allow; /* SPLEETER_SOURCE_ALLOW: CIDRs of private hosts that source URLs may name;
                           none */
    unsigned require_landlock; /* SPLEETER_REQUIRE_LANDLOCK: 0 or 1 */
    char *clamd; /* SPLEETER_CLAMD: "unix:/run/clamav/clamd.ctl" or "tcp:host:3310"; "": no scan */
    unsigned scan_timeout_s; /* SPLEETER_SCAN_TIMEOUT_S: 120 */

    /* Connections */
    unsigned connections;             /* SPLEETER_CONNECTIONS: 2048 */
    unsigned connections_per_address; /* SPLEETER_CONNECTIONS_PER_ADDRESS: 256; 0: no limit */
    unsigned connections_per_key;     /* SPLEETER_CONNECTIONS_PER_KEY: 256; 0: no limit */
    unsigned header_timeout_s; /* SPLEETER_HEADER_TIMEOUT_S: total, from connect or the last answer;
                                  15 */
    unsigned body_timeout_s;   /* SPLEETER_BODY_TIMEOUT_S: total for a request; 3600 */
    unsigned
        min_rate_bytes_s;    /* SPLEETER_MIN_RATE_BYTES_S: after 10 s, for bodies both ways; 4096 */
    unsigned sync_timeout_s; /* SPLEETER_SYNC_TIMEOUT_S: POST /separate then answers 202; 300 */

    /* Jobs */
    unsigned workers;       /* SPLEETER_WORKERS: jobs at once; 1; 0: none here */
    unsigned threads;       /* SPLEETER_THREADS: of one job; 0: all CPUs divided by workers */
    unsigned queue;         /* SPLEETER_QUEUE: jobs that may wait; 1000 */
    unsigned attempts;      /* SPLEETER_ATTEMPTS: 3 */
    unsigned lease_s;       /* SPLEETER_LEASE_S: 30 */
    unsigned job_timeout_s; /* SPLEETER_JOB_TIMEOUT_S: 3600 */
    unsigned retention_s;   /* SPLEETER_RETENTION_S: outputs, from the job's end; 86400 */
    unsigned drain_s;       /* SPLEETER_DRAIN_S: 25 */
    char *default_model;    /* SPLEETER_MODEL: 2stems */
    char *pull_models;      /* SPLEETER_PULL_MODELS: Deezer's models to download at start; none */
    char *model_url;        /* SPLEETER_MODEL_URL: where from; empty: Deezer's release */

    /* Webhooks */
    char *webhook_allow; /* SPLEETER_WEBHOOK_ALLOW: CIDRs of private receivers (http is then allowed
                            too); none */
    unsigned webhook_attempts;  /* SPLEETER_WEBHOOK_ATTEMPTS: 10 */
    unsigned webhook_timeout_s; /* SPLEETER_WEBHOOK_TIMEOUT_S: 15 */

    /* Observation */
    char *log_file;          /* SPLEETER_LOG_FILE: "": standard error */
    uint64_t log_file_bytes; /* SPLEETER_LOG_FILE_MB: 100; 0: any size */
    char *log_level;         /* SPLEETER_LOG_LEVEL: debug, info, warning, error; info */
    uint64_t audit_bytes;    /* SPLEETER_AUDIT_MB: 1024 */

    unsigned char
        *origins; /* where each value came from, by row of the table; for spl_settings_print */
} spl_settings;

/* Takes flags (argv[0] is not looked at; argv may be NULL with argc 0), then the environment, then
 * defaults, and checks each value and what must hold between them (both TLS files; development on
 * loopback only; ...). An empty variable is one that is not set. Secrets may also come from the
 * file that SPLEETER_X_FILE names. Errors: ARGUMENT (says which setting, where its value came from,
 * and what it may be), MEMORY. */
SPL_WARN_UNUSED int spl_settings_load(int argc, char **argv, spl_settings *ret_settings,
                                      spl_error *ret_error);

/* Is told one thing that is wrong, as a sentence without its full stop. */
typedef void spl_settings_tell(void *user, const char *problem);

/* As spl_settings_load, but tells everything that is wrong, not only the first thing (`tell` may be
 * NULL), and fills in *ret_settings also then: with what was given for texts, and defaults for
 * numbers. */
int spl_settings_load_all(int argc, char **argv, spl_settings_tell *tell, void *user,
                          spl_settings *ret_settings, spl_error *ret_error);

/* Tells which variables named SPLEETER_... are no settings, and what was probably meant. */
void spl_settings_find_unknown(spl_settings_tell *tell, void *user);

/* Refuses (ARGUMENT) to run where nobody could be told apart: with no key among `keys` (those of
 * keys.json and SPLEETER_API_KEY) and no JWT issuer, outside development. */
SPL_WARN_UNUSED int spl_settings_check_access(const spl_settings *settings, size_t keys,
                                              spl_error *ret_error);

void spl_settings_free(spl_settings *settings);

/* The options of `spleeterd serve`, with their explanations. */
void spl_settings_print_help(FILE *stream);
/* The values in force and where each came from (secrets are shown as "set"). */
void spl_settings_print(const spl_settings *settings, FILE *stream);
/* The same as an array of objects with name, from and value; the caller's. NULL when memory runs
 * out. */
json_t *spl_settings_to_json(const spl_settings *settings);
/* The table as Markdown; docs/settings.md holds it. */
void spl_settings_print_markdown(FILE *stream);

#endif
