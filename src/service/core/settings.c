/* SPDX-License-Identifier: MIT
 *
 * The table of settings, and the parsing, help and documentation that it drives.
 */
#include "service/core/settings.h"

#include "base/file.h"
#include "service/outbound/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#define PREFIX  "SPLEETER_"
#define FORMATS "mp3,wav,flac,ogg,opus,m4a,aac,aif,aiff,wma,webm,mp4,mov,mkv"
/* Other formats that jobs/media.c supports; accepted only if the setting names them. */
#define MORE_FORMATS                                                                               \
    "3g2,3gp,ac3,adts,aifc,alac,amr,ape,asf,au,avi,awb,bwf,caf,dsf,dts,dtshd,eac3,ec3,f4a,"        \
    "f4v,flv,latm,loas,m2ts,m4b,m4r,m4v,mka,mlp,mp1,mp2,mpc,mpeg,mpg,mts,oga,ogv,qt,rf64,"         \
    "snd,spx,tak,thd,ts,tta,vob,voc,w64,wave,wmv,wv,xwma"
#define ALGORITHMS    "RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512"
#define CIDRS         "networks, such as 10.0.0.0/8,fd00::/8, but not all addresses (/0)"
#define SECRET_SIZE   4096
/* Distinct characters of a secret; 16 random digits nearly always have more. */
#define DIFFERENT_MIN 6
#define NAME_SIZE     64 /* of variables and flags */
#define MIB           1048576

typedef enum setting_kind { TEXT, COUNT, MEBIBYTES, SECONDS } setting_kind;

typedef struct setting {
    const char *name; /* the variable's name after SPLEETER_; NULL: `help` is a heading */
    setting_kind kind;
    size_t offset; /* in spl_settings */
    const char *fallback;
    uint64_t min, max;                /* of numbers, in the setting's own unit */
    bool (*valid)(const char *value); /* of texts; NULL: any */
    const char *expected;             /* description of a valid text */
    bool secret;
    const char *help;
} setting;

/* ---- Checks of texts ---- */

/* Whether `item`, of `length` bytes, is in the comma-separated `list`. */
static bool list_has(const char *list, const char *item, size_t length) {
    for (;;) {
        const size_t step = strcspn(list, ",");
        if (step == length && strncmp(list, item, length) == 0)
            return true;
        if (list[step] == '\0')
            return false;
        list += step + 1;
    }
}

static bool is_one_of(const char *list, const char *value) {
    return !strchr(value, ',') && list_has(list, value, strlen(value));
}

static bool is_environment(const char *value) {
    return is_one_of("production,development", value);
}

static bool is_level(const char *value) {
    return is_one_of("debug,info,warning,error", value);
}

static bool is_algorithm(const char *value) {
    return is_one_of(ALGORITHMS, value);
}

static bool are_formats(const char *value) {
    for (;;) {
        const size_t length = strcspn(value, ",");
        if (!list_has(FORMATS "," MORE_FORMATS, value, length))
            return false;
        if (value[length] == '\0')
            return true;
        value += length + 1;
    }
}

static bool is_address(const char *value) {
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, value, bytes) == 1 || inet_pton(AF_INET6, value, bytes) == 1;
}

static bool is_url(const char *value) {
    const size_t scheme = strncmp(value, "https://", 8) == 0  ? 8
                          : strncmp(value, "http://", 7) == 0 ? 7
                                                              : 0;
    return scheme > 0 && isalnum((unsigned char)value[scheme]) && !strchr(value, ' ');
}

static bool is_url_or_empty(const char *value) {
    return *value == '\0' || is_url(value);
}

static bool is_base_url(const char *value) {
    return *value == '\0' || (is_url(value) && value[strlen(value) - 1] != '/');
}

static bool is_database(const char *value) {
    return *value == '\0' || strncmp(value, "postgresql://", 13) == 0;
}

static bool is_bucket(const char *value) {
    return value[strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789.-")] == '\0';
}

static bool is_region(const char *value) {
    return *value != '\0' && value[strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

/* Whether `value` is a shorter text repeated. */
static bool is_repetition(const char *value, size_t length) {
    for (size_t period = 1; period <= length / 2; period++) {
        if (memcmp(value, value + period, length - period) == 0)
            return true;
    }
    return false;
}

/* Whether `value` looks random: enough distinct characters, no repetition of a shorter text, and no
 * sequence such as 0123456789. */
static bool looks_random(const char *value) {
    bool seen[UCHAR_MAX + 1] = {false};
    const size_t length = strlen(value);
    size_t different = 0, steps = 0;
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)value[i];
        different += !seen[c];
        seen[c] = true;
        steps += i > 0 && abs(c - (unsigned char)value[i - 1]) <= 1;
    }
    return different >= DIFFERENT_MIN && steps <= length / 2 && !is_repetition(value, length);
}

static bool is_long_secret(const char *value) {
    return *value == '\0' || (strlen(value) >= 32 && looks_random(value));
}

static bool is_clamd(const char *value) {
    if (*value == '\0')
        return true;
    if (strncmp(value, "unix:", 5) == 0)
        return value[5] == '/';
    const char *port = strrchr(value, ':');
    return strncmp(value, "tcp:", 4) == 0 && port > value + 4 && port[1] != '\0' &&
           port[1 + strspn(port + 1, "0123456789")] == '\0';
}

/* A network of all addresses would trust strangers. */
static bool are_cidrs(const char *value) {
    for (const char *bits = strchr(value, '/'); bits; bits = strchr(bits + 1, '/')) {
        if (strtoul(bits + 1, NULL, 10) == 0)
            return false;
    }
    return spl_cidr_check(value, NULL) == 0;
}

static bool is_key(const char *value) {
    size_t length = 0;
    for (; value[length]; length++) {
        if (!isgraph((unsigned char)value[length]))
            return false;
    }
    return length == 0 || (length >= 16 && looks_random(value));
}

static bool is_not_empty(const char *value) {
    return *value != '\0';
}

/* ---- The table ---- */

#define ROW(kind_, field_, name_, fallback_, ...)                                                  \
    {                                                                                              \
        .name = (name_), .kind = (kind_), .offset = offsetof(spl_settings, field_),                \
        .fallback = (fallback_), __VA_ARGS__                                                       \
    }

static const setting table[] = {
    {.help = "Where it runs"},
    ROW(TEXT, env, "ENV", "production", .valid = is_environment,
        .expected = "production or development",
        .help =
            "production; or development, which needs no authentication and is for loopback only"),
    ROW(TEXT, bind, "BIND", "127.0.0.1", .valid = is_address,
        .expected = "an IP address, such as 127.0.0.1, 0.0.0.0 or ::",
        .help = "Address to listen on"),
    ROW(COUNT, port, "PORT", "8080", .max = 65535,
        .help = "Port to listen on; 0: any free one, which the log names"),
    ROW(TEXT, data_dir, "DATA_DIR", "$XDG_DATA_HOME/spleeterd/service", .valid = is_not_empty,
        .expected = "a folder",
        .help = "Folder of the database, uploads, stems, keys, secret and audit log; made when "
                "missing; one process at a time. XDG_DATA_HOME is ~/.local/share when not set"),
    ROW(TEXT, tls_certificate, "TLS_CERTIFICATE", "",
        .help = "Certificate chain, a PEM file; empty: plain HTTP, for a proxy that does TLS"),
    ROW(TEXT, tls_key, "TLS_KEY", "", .help = "Private key of the certificate, a PEM file"),
    ROW(TEXT, public_url, "PUBLIC_URL", "", .valid = is_base_url,
        .expected = "an http or https URL without a slash at its end",
        .help = "Beginning of links in responses and webhooks, such as https://stems.example"),
    ROW(TEXT, trusted_proxies, "TRUSTED_PROXIES", "", .valid = are_cidrs, .expected = CIDRS,
        .help = "CIDRs of proxies whose X-Forwarded-For is trusted"),

    {.help = "Several machines"},
    ROW(TEXT, database_url, "DATABASE_URL", "", .valid = is_database, .secret = true,
        .expected = "a URL such as postgresql://USER:PASSWORD@HOST,HOST/DATABASE",
        .help = "PostgreSQL that the processes share; with it, S3 and SPLEETER_SECRET are needed "
                "too. Empty: SQLite and files in the data folder, and one process"),
    ROW(COUNT, database_connections, "DATABASE_CONNECTIONS", "8", .min = 2, .max = 1000,
        .help = "Connections of this process to PostgreSQL at most; they open when needed"),
    ROW(TEXT, s3_endpoint, "S3_ENDPOINT", "", .valid = is_base_url,
        .expected = "an http or https URL without a slash at its end",
        .help = "Where uploads and stems are kept, such as https://s3.eu-central-1.amazonaws.com; "
                "buckets are addressed by path"),
    ROW(TEXT, s3_public_endpoint, "S3_PUBLIC_ENDPOINT", "", .valid = is_base_url,
        .expected = "an http or https URL without a slash at its end",
        .help =
            "URL of the same server for clients, to which downloads are redirected by signed URLs; "
            "empty: the service sends stems itself"),
    ROW(TEXT, s3_bucket, "S3_BUCKET", "", .valid = is_bucket, .expected = "the name of a bucket",
        .help = "The bucket, for this service alone; it must exist"),
    ROW(TEXT, s3_region, "S3_REGION", "us-east-1", .valid = is_region, .expected = "a region",
        .help = "The region that requests are signed for"),
    ROW(TEXT, s3_access_key_id, "S3_ACCESS_KEY_ID", "", .help = "Access key id for requests to S3"),
    ROW(TEXT, s3_secret_access_key, "S3_SECRET_ACCESS_KEY", "", .secret = true,
        .help = "Secret access key for requests to S3"),
    ROW(MEBIBYTES, cache_bytes, "CACHE_MB", "4096", .min = 64, .max = 1 << 30,
        .help = "Size of the cache of S3 objects in the data folder, in MiB"),
    ROW(TEXT, shared_secret, "SECRET", "", .valid = is_long_secret, .secret = true,
        .expected = "32 or more random characters, such as openssl rand -hex 32 makes",
        .help =
            "Secret from which the keys of links, webhooks and the audit log are derived, the same "
            "for all processes; empty: a file in the data folder, made at first start"),

    {.help = "Who may use it"},
    ROW(TEXT, api_key, "API_KEY", "", .valid = is_key, .secret = true,
        .expected = "16 or more printable characters without spaces that look random, such as "
                    "openssl rand -hex 24 makes",
        .help = "The first API key, an admin's named default; more by spleeterd keys add"),
    ROW(TEXT, jwt_issuer, "JWT_ISSUER", "", .help = "The iss that bearer tokens must have"),
    ROW(TEXT, jwt_audience, "JWT_AUDIENCE", "", .help = "The aud that bearer tokens must have"),
    ROW(TEXT, jwt_jwks_url, "JWT_JWKS_URL", "", .valid = is_url_or_empty,
        .expected = "an http or https URL", .help = "URL of the issuer's keys"),
    ROW(TEXT, jwt_algorithm, "JWT_ALGORITHM", "RS256", .valid = is_algorithm,
        .expected = "one of " ALGORITHMS, .help = "The one signature algorithm of bearer tokens"),
    ROW(COUNT, jwt_leeway_s, "JWT_LEEWAY_S", "30", .max = 300,
        .help = "How far the issuer's clock may be off, in seconds"),
    ROW(TEXT, oauth_client_id, "OAUTH_CLIENT_ID", "",
        .help = "The web page's client id at the OAuth 2.0 server where people sign in"),
    ROW(TEXT, oauth_authorize_url, "OAUTH_AUTHORIZE_URL", "", .valid = is_url_or_empty,
        .expected = "an http or https URL", .help = "That server's authorization endpoint"),
    ROW(TEXT, oauth_token_url, "OAUTH_TOKEN_URL", "", .valid = is_url_or_empty,
        .expected = "an http or https URL",
        .help = "Its token endpoint; it must give JWTs of SPLEETER_JWT_ISSUER"),
    ROW(TEXT, oauth_scope, "OAUTH_SCOPE", "jobs:read jobs:write",
        .help = "Scope that the page requests"),
    ROW(COUNT, link_max_s, "LINK_MAX_S", "86400", .min = 1, .max = 2592000,
        .help = "Longest life of a signed download link, in seconds"),

    {.help = "Quotas of keys that name none of their own, and of bearer tokens' users"},
    ROW(COUNT, rate_per_minute, "RATE_PER_MINUTE", "600", .min = 1, .max = 1000000,
        .help = "Requests a minute; links to a client's jobs have ten times as many"),
    ROW(COUNT, jobs_per_key, "JOBS_PER_KEY", "100", .min = 1, .max = 1000000,
        .help = "Jobs that wait or run"),
    ROW(MEBIBYTES, storage_per_key_bytes, "STORAGE_PER_KEY_MB", "20480", .min = 1, .max = 1 << 30,
        .help = "Inputs and stems kept, and stems that jobs will make, in MiB"),

    {.help = "Uploads"},
    ROW(MEBIBYTES, max_file_size_bytes, "MAX_FILE_SIZE_MB", "512", .min = 1, .max = 1 << 20,
        .help = "Largest upload, in MiB"),
    ROW(SECONDS, max_duration_s, "MAX_DURATION_S", "7200", .min = 1, .max = 604800,
        .help = "Longest song, in seconds"),
    ROW(TEXT, formats, "FORMATS", FORMATS, .valid = are_formats,
        .expected = "a list out of " FORMATS "," MORE_FORMATS,
        .help = "File name extensions that are accepted; known are also " MORE_FORMATS),
    ROW(MEBIBYTES, min_free_bytes, "MIN_FREE_DISK_MB", "1024", .max = 1 << 30,
        .help = "Free disk below which uploads are answered with 507, in MiB"),
    ROW(TEXT, source_allow, "SOURCE_ALLOW", "", .valid = are_cidrs, .expected = CIDRS,
        .help = "CIDRs of private hosts that source URLs may name"),
    ROW(TEXT, clamd, "CLAMD", "", .valid = is_clamd,
        .expected = "unix:/PATH or tcp:HOST:PORT, such as unix:/run/clamav/clamd.ctl",
        .help = "clamd's socket, unix:/PATH or tcp:HOST:PORT; empty: uploads are not scanned"),
    ROW(COUNT, require_landlock, "REQUIRE_LANDLOCK", "0", .max = 1,
        .help = "1: do not start where the kernel has no Landlock; 0: warn, and rely on seccomp"),
    ROW(COUNT, scan_timeout_s, "SCAN_TIMEOUT_S", "120", .min = 1, .max = 3600,
        .help = "Time for one scan, in seconds; past it the upload is refused"),

    {.help = "Connections"},
    ROW(COUNT, connections, "CONNECTIONS", "2048", .min = 8, .max = 65536,
        .help = "Connections at once; 32 more are for health, readiness and metrics"),
    ROW(COUNT, connections_per_address, "CONNECTIONS_PER_ADDRESS", "256", .max = 65536,
        .help = "Connections at once of one address, or of one client behind a trusted proxy; 0: "
                "no limit"),
    ROW(COUNT, connections_per_key, "CONNECTIONS_PER_KEY", "256", .max = 65536,
        .help = "Requests of one key at once, and idle connections of it, each at most half of "
                "SPLEETER_CONNECTIONS; at most half are event streams; links have half as many of "
                "their own; 0: no limit"),
    ROW(COUNT, header_timeout_s, "HEADER_TIMEOUT_S", "15", .min = 1, .max = 3600,
        .help = "Time for a request's headers, in seconds, from connect or the last answer"),
    ROW(COUNT, body_timeout_s, "BODY_TIMEOUT_S", "3600", .min = 1, .max = 86400,
        .help = "Time for a request in all, in seconds"),
    ROW(COUNT, min_rate_bytes_s, "MIN_RATE_BYTES_S", "4096", .max = 1 << 30,
        .help = "Bytes a second that bodies must make, both ways, after 10 seconds; 0: no limit"),
    ROW(COUNT, sync_timeout_s, "SYNC_TIMEOUT_S", "300", .min = 1, .max = 86400,
        .help = "Time after which POST /separate answers 202 instead of stems, in seconds"),

    {.help = "Jobs"},
    ROW(TEXT, default_model, "MODEL", "2stems", .valid = is_not_empty, .expected = "a model's name",
        .help = "Model of jobs that name none"),
    ROW(TEXT, pull_models, "PULL_MODELS", "",
        .help = "Deezer's models to download at start, such as 4stems,5stems"),
    ROW(TEXT, model_url, "MODEL_URL", "",
        .help = "Where they are downloaded from, a URL or a folder; empty: Deezer's release"),
    ROW(COUNT, workers, "WORKERS", "1", .max = 256,
        .help = "Jobs at once; 0: none in this process, spleeterd worker runs them"),
    ROW(COUNT, threads, "THREADS", "0", .max = 1024,
        .help = "Threads of one job; 0: all CPUs, divided by the workers"),
    ROW(COUNT, queue, "QUEUE", "1000", .min = 1, .max = 1000000, .help = "Jobs that may wait"),
    ROW(COUNT, attempts, "ATTEMPTS", "3", .min = 1, .max = 100,
        .help = "Tries of a job whose worker fails or dies"),
    ROW(COUNT, lease_s, "LEASE_S", "30", .min = 5, .max = 3600,
        .help = "Time without a heartbeat after which another worker may claim a job, in seconds"),
    ROW(COUNT, job_timeout_s, "JOB_TIMEOUT_S", "3600", .min = 1, .max = 604800,
        .help = "Time for one job, in seconds"),
    ROW(COUNT, retention_s, "RETENTION_S", "86400", .min = 1, .max = 31536000,
        .help = "How long stems are kept after a job's end, in seconds"),
    ROW(COUNT, drain_s, "DRAIN_S", "25", .max = 3600,
        .help = "How long a running job may go on after SIGTERM, in seconds, before it is queued "
                "again"),

    {.help = "Webhooks"},
    ROW(TEXT, webhook_allow, "WEBHOOK_ALLOW", "", .valid = are_cidrs, .expected = CIDRS,
        .help = "CIDRs of private receivers (http is then allowed too)"),
    ROW(COUNT, webhook_attempts, "WEBHOOK_ATTEMPTS", "10", .min = 1, .max = 100,
        .help = "Tries of a delivery"),
    ROW(COUNT, webhook_timeout_s, "WEBHOOK_TIMEOUT_S", "15", .min = 1, .max = 300,
        .help = "Time for one try, in seconds"),

    {.help = "Observation"},
    ROW(TEXT, log_file, "LOG_FILE", "", .help = "File of the log; empty: standard error"),
    ROW(MEBIBYTES, log_file_bytes, "LOG_FILE_MB", "100", .max = 1 << 20,
        .help =
            "Size at which that file becomes FILE.1, in place of an older one, in MiB; 0: never"),
    ROW(TEXT, log_level, "LOG_LEVEL", "info", .valid = is_level,
        .expected = "debug, info, warning or error", .help = "Lowest level that is logged"),
    ROW(MEBIBYTES, audit_bytes, "AUDIT_MB", "1024", .min = 16, .max = 1 << 20,
        .help = "Disk for the audit log in the data folder, in MiB; past it, its oldest files are "
                "removed"),
};

/* Variables with the same prefix that are read elsewhere. */
static const char *const other_variables[] = {"SPLEETER_MODEL_PATH", "SPLEETER_CODEC",
                                              "SPLEETER_CPU", "SPLEETER_WEBHOOK_SECRET"};

/* ---- Sources of values ---- */

typedef enum setting_origin {
    FROM_DEFAULT,
    FROM_ENVIRONMENT,
    FROM_ENVIRONMENT_FILE,
    FROM_FLAG,
    FROM_FLAG_FILE
} setting_origin;

static const char *const origin_texts[] = {
    "default", "environment", "file named by the environment", "flag", "file named by a flag"};

/* A value as given. For the _FILE origins, `text` is the path of the file. */
typedef struct setting_value {
    setting_origin origin;
    const char *text;
} setting_value;

/* "SPLEETER_API_KEY_FILE". */
static void variable_name(const setting *row, const char *suffix, char ret_name[NAME_SIZE]) {
    snprintf(ret_name, NAME_SIZE, PREFIX "%s%s", row->name, suffix);
}

/* "--api-key-file". */
static void flag_name(const setting *row, const char *suffix, char ret_name[NAME_SIZE]) {
    snprintf(ret_name, NAME_SIZE, "--%s%s", row->name, suffix);
    for (char *c = ret_name; *c; c++)
        *c = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
}

/* Reports every problem and keeps the first. */
typedef struct problem_list {
    spl_settings_report *report; /* may be NULL */
    void *user;
    spl_error first; /* status SPL_OK: no problem */
} problem_list;

static void add_problem(problem_list *problems, const spl_error *error) {
    if (problems->first.status == SPL_OK)
        problems->first = *error;
    if (problems->report)
        problems->report(problems->user, error->message);
}

static int take_variable(const setting *row, setting_value *value, spl_error *ret_error) {
    char name[64], file_name[64];
    variable_name(row, "", name);
    variable_name(row, "_FILE", file_name);
    const char *text = getenv(name);
    const char *file = row->secret ? getenv(file_name) : NULL;
    const bool has_text = text && *text, has_file = file && *file;
    if (has_text && has_file)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s and %s are both set; keep one of them", name,
                        file_name);
    if (has_text)
        *value = (setting_value){FROM_ENVIRONMENT, text};
    else if (has_file)
        *value = (setting_value){FROM_ENVIRONMENT_FILE, file};
    return 0;
}

static void take_environment(setting_value values[], problem_list *problems) {
    spl_error error;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++) {
        if (table[i].name && take_variable(&table[i], &values[i], &error) < 0)
            add_problem(problems, &error);
    }
}

/* ---- Suggestions for misspelled names ---- */

/* The Levenshtein distance of two texts. `b_length` is at most NAME_SIZE. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t row[NAME_SIZE + 1];
    for (size_t k = 0; k <= b_length; k++)
        row[k] = k;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b_length; k++) {
            const size_t changed = diagonal + (a[i - 1] != b[k - 1]);
            diagonal = row[k];
            row[k] = SPL_MIN(changed, SPL_MIN(row[k], row[k - 1]) + 1);
        }
    }
    return row[b_length];
}

/* " (did you mean SPLEETER_RETENTION_S?)", or "". `name_of` makes the candidate name of a row, its
 * variable or its flag. */
static void suggest(const char *wrong, size_t length,
                    void (*name_of)(const setting *row, const char *suffix,
                                    char ret_name[NAME_SIZE]),
                    char ret_text[128]) {
    char best[NAME_SIZE] = "";
    size_t best_distance = SPL_MAX(length / 4, 2) + 1;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table) && length < NAME_SIZE; i++) {
        if (!table[i].name)
            continue;
        char name[NAME_SIZE];
        name_of(&table[i], "", name);
        const size_t distance = edit_distance(wrong, length, name, strlen(name));
        if (distance < best_distance) {
            best_distance = distance;
            memcpy(best, name, sizeof(best));
        }
    }
    ret_text[0] = '\0';
    if (*best)
        snprintf(ret_text, 128, " (did you mean %s?)", best);
}

/* Returns the row of a flag of `length` characters, or SPL_ARRAY_SIZE(table) when there is none. */
static size_t find_flag(const char *flag, size_t length, setting_origin *ret_origin) {
    size_t i = 0;
    for (; i < SPL_ARRAY_SIZE(table); i++) {
        if (!table[i].name)
            continue;
        char name[64], file_name[64];
        flag_name(&table[i], "", name);
        flag_name(&table[i], "-file", file_name);
        const bool is_value = strlen(name) == length && strncmp(flag, name, length) == 0;
        if (is_value || (table[i].secret && strlen(file_name) == length &&
                         strncmp(flag, file_name, length) == 0)) {
            *ret_origin = is_value ? FROM_FLAG : FROM_FLAG_FILE;
            break;
        }
    }
    return i;
}

static void add_unknown_flag(const char *flag, size_t length, problem_list *problems) {
    char hint[128];
    spl_error error;
    suggest(flag, length, flag_name, hint);
    spl_fail(&error, SPL_E_ARGUMENT, "there is no setting %.*s%s; see spleeterd serve --help",
             (int)length, flag, hint);
    add_problem(problems, &error);
}

static void take_flags(int argc, char **argv, setting_value values[], problem_list *problems) {
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i];
        const size_t length = strcspn(flag, "=");
        setting_origin origin;
        const size_t row = find_flag(flag, length, &origin);
        const bool apart = flag[length] != '='; /* the value is the next argument */
        const char *text = apart ? argv[i + 1] : flag + length + 1;
        if (row == SPL_ARRAY_SIZE(table)) {
            add_unknown_flag(flag, length, problems);
            i += apart && text && strncmp(text, "--", 2) != 0;
        } else if (!text) {
            spl_error error;
            spl_fail(&error, SPL_E_ARGUMENT, "%s needs a value", flag);
            add_problem(problems, &error);
        } else {
            values[row] = (setting_value){origin, text};
            i += apart;
        }
    }
}

/* ---- Parsing of values ---- */

/* The name of the variable or flag that gave the value. */
static void given_name(const setting *row, setting_value value, char ret_name[NAME_SIZE]) {
    if (value.origin == FROM_FLAG || value.origin == FROM_FLAG_FILE)
        flag_name(row, value.origin == FROM_FLAG_FILE ? "-file" : "", ret_name);
    else
        variable_name(row, value.origin == FROM_ENVIRONMENT_FILE ? "_FILE" : "", ret_name);
}

static int read_secret(const setting *row, setting_value value, char **ret_text,
                       spl_error *ret_error) {
    const char *path = value.text;
    char name[NAME_SIZE];
    given_name(row, value, name);
    SPL_CLEANUP(spl_file_content_free) spl_file_content content = {0};
    spl_error reason;
    const int status = spl_file_read(path, SPL_FILE_TRUSTED, SECRET_SIZE - 1, &content, &reason);
    if (status == SPL_E_LIMIT || (status == 0 && strlen(content.text) < content.size_bytes))
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "%s: %s holds no secret: it is too long, or binary", name, path);
    if (status < 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s: %.400s", name, reason.message);
    size_t length = content.size_bytes;
    while (length > 0 && (content.text[length - 1] == '\n' || content.text[length - 1] == '\r'))
        length--;
    *ret_text = strndup(content.text, length);
    return *ret_text ? 0 : spl_fail_memory(ret_error);
}

/* $XDG_DATA_HOME/spleeterd/service. */
static int default_data_dir(char **ret_text, spl_error *ret_error) {
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    const bool has_data = data && *data;
    if (!has_data && !(home && *home))
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "set " PREFIX "DATA_DIR: there is no HOME to take it from");
    if (asprintf(ret_text, "%s%s/spleeterd/service", has_data ? data : home,
                 has_data ? "" : "/.local/share") < 0)
        return spl_fail_memory(ret_error);
    return 0;
}

/* Reports the setting, its value unless that is secret, its origin, and the valid values. */
static int fail_value(const setting *row, setting_value value, const char *expected,
                      spl_error *ret_error) {
    char name[NAME_SIZE];
    given_name(row, value, name);
    return spl_fail(ret_error, SPL_E_ARGUMENT, "%s%s%.200s%s (%s): give %s", name,
                    row->secret ? "" : " \"", row->secret ? "" : value.text,
                    row->secret ? "" : "\"", origin_texts[value.origin], expected);
}

static int set_number(const setting *row, setting_value value, void *field, spl_error *ret_error) {
    char expected[96];
    snprintf(expected, sizeof(expected), "a%s number from %llu to %llu",
             row->kind == SECONDS ? "" : " whole", (unsigned long long)row->min,
             (unsigned long long)row->max);
    char *end;
    errno = 0;
    const double number = strtod(value.text, &end);
    const char *characters = row->kind == SECONDS ? "0123456789." : "0123456789";
    if (*value.text == '\0' || value.text[strspn(value.text, characters)] || *end || errno ||
        !(number >= (double)row->min && number <= (double)row->max))
        return fail_value(row, value, expected, ret_error);
    if (row->kind == SECONDS)
        *(double *)field = number;
    else if (row->kind == MEBIBYTES)
        *(uint64_t *)field = (uint64_t)number * MIB;
    else
        *(unsigned *)field = (unsigned)number;
    return 0;
}

static int set_text(const setting *row, setting_value value, char **field, spl_error *ret_error) {
    const bool in_file = value.origin == FROM_ENVIRONMENT_FILE || value.origin == FROM_FLAG_FILE;
    SPL_CLEANUP(spl_free_p) char *text = NULL;
    int status = 0;
    if (in_file)
        status = read_secret(row, value, &text, ret_error);
    else if (row->offset == offsetof(spl_settings, data_dir) && value.origin == FROM_DEFAULT)
        status = default_data_dir(&text, ret_error);
    else if (!(text = strdup(value.text)))
        status = spl_fail_memory(ret_error);
    if (status < 0)
        return status;
    for (const char *c = text; *c; c++) {
        if (iscntrl((unsigned char)*c))
            return fail_value(row, value, "text without control characters", ret_error);
    }
    if (row->valid && !row->valid(text))
        return fail_value(row, value, row->expected, ret_error);
    *field = SPL_STEAL(text);
    return 0;
}

static SPL_PRINTF(2, 3) void refuse(problem_list *problems, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    spl_error error;
    spl_fail(&error, SPL_E_ARGUMENT, "%s", text);
    add_problem(problems, &error);
}

static void check_together(const spl_settings *settings, problem_list *problems) {
    if (!*settings->tls_certificate != !*settings->tls_key)
        refuse(problems, "SPLEETER_TLS_CERTIFICATE and SPLEETER_TLS_KEY go together: give both, or "
                         "neither for plain HTTP");
    const int oauth = !!*settings->oauth_client_id + !!*settings->oauth_authorize_url +
                      !!*settings->oauth_token_url;
    if (oauth % 3 != 0)
        refuse(problems, "SPLEETER_OAUTH_CLIENT_ID, SPLEETER_OAUTH_AUTHORIZE_URL and "
                         "SPLEETER_OAUTH_TOKEN_URL go together: give all or none");
    if (oauth && (!*settings->jwt_issuer || !*settings->public_url))
        refuse(problems, "SPLEETER_OAUTH_CLIENT_ID needs SPLEETER_JWT_ISSUER, whose tokens let "
                         "people in, and SPLEETER_PUBLIC_URL, where they come back to");
    const int jwt = !!*settings->jwt_issuer + !!*settings->jwt_audience + !!*settings->jwt_jwks_url;
    if (jwt != 0 && jwt != 3)
        refuse(problems, "SPLEETER_JWT_ISSUER, SPLEETER_JWT_AUDIENCE and SPLEETER_JWT_JWKS_URL go "
                         "together: give all three, or none");
    const char *const shared[] = {settings->database_url, settings->s3_endpoint,
                                  settings->s3_bucket, settings->s3_access_key_id,
                                  settings->s3_secret_access_key};
    size_t given = 0;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(shared); i++)
        given += *shared[i] != '\0';
    if (given != 0 && (given < SPL_ARRAY_SIZE(shared) || !*settings->shared_secret))
        refuse(problems, "SPLEETER_DATABASE_URL, SPLEETER_S3_ENDPOINT, SPLEETER_S3_BUCKET, "
                         "SPLEETER_S3_ACCESS_KEY_ID, SPLEETER_S3_SECRET_ACCESS_KEY and "
                         "SPLEETER_SECRET go together: give all of them, or none for one process "
                         "with SQLite and files");
    if (settings->workers == 0 && given == 0)
        refuse(problems, "SPLEETER_WORKERS=0 is for a service whose jobs are done by spleeterd "
                         "worker: set SPLEETER_DATABASE_URL, or let this process work");
    if (strcmp(settings->env, "development") == 0 && !spl_address_is_loopback(settings->bind))
        refuse(problems,
               "SPLEETER_ENV=development is for loopback only: set SPLEETER_BIND to "
               "127.0.0.1 instead of %s, or use production",
               settings->bind);
}

/* Sets a field whose value is wrong: a number to its default, a text to what was given, so that it
 * counts as set. */
static void set_wrong(const setting *row, setting_value value, void *field) {
    if (row->kind == TEXT)
        *(char **)field = strdup(value.origin == FROM_DEFAULT ? "" : value.text);
    else
        set_number(row, (setting_value){FROM_DEFAULT, row->fallback}, field, NULL);
}

static void set_values(const setting_value values[], spl_settings *settings,
                       problem_list *problems) {
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++) {
        const setting *row = &table[i];
        if (!row->name)
            continue;
        void *field = (char *)settings + row->offset;
        settings->origins[i] = (unsigned char)values[i].origin;
        spl_error error;
        if ((row->kind == TEXT ? set_text(row, values[i], field, &error)
                               : set_number(row, values[i], field, &error)) == 0)
            continue;
        add_problem(problems, &error);
        set_wrong(row, values[i], field);
    }
}

int spl_settings_load_all(int argc, char **argv, spl_settings_report *report, void *user,
                          spl_settings *ret_settings, spl_error *ret_error) {
    setting_value values[SPL_ARRAY_SIZE(table)];
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++)
        values[i] = (setting_value){FROM_DEFAULT, table[i].fallback};
    spl_settings settings = {.origins = calloc(SPL_ARRAY_SIZE(table), 1)};
    if (!settings.origins)
        return spl_fail_memory(ret_error);
    problem_list problems = {.report = report, .user = user};
    take_environment(values, &problems);
    take_flags(argc, argv, values, &problems);
    set_values(values, &settings, &problems);
    check_together(&settings, &problems);
    if (problems.first.status != SPL_OK && ret_error)
        *ret_error = problems.first;
    *ret_settings = settings;
    if (problems.first.status == SPL_OK)
        return 0;
    return problems.first.status == SPL_E_MEMORY ? SPL_E_MEMORY : SPL_E_ARGUMENT;
}

int spl_settings_load(int argc, char **argv, spl_settings *ret_settings, spl_error *ret_error) {
    SPL_CLEANUP(spl_settings_free) spl_settings settings = {0};
    int status = spl_settings_load_all(argc, argv, NULL, NULL, &settings, ret_error);
    if (status < 0)
        return status;
    *ret_settings = settings;
    settings = (spl_settings){0};
    return 0;
}

int spl_settings_check_access(const spl_settings *settings, size_t keys, spl_error *ret_error) {
    if (keys > 0 || *settings->jwt_issuer || strcmp(settings->env, "development") == 0)
        return 0;
    return spl_fail(ret_error, SPL_E_ARGUMENT,
                    "there is no API key and no JWT issuer, so anybody could use the service: set "
                    "SPLEETER_API_KEY, run spleeterd keys add, or set SPLEETER_JWT_ISSUER; only "
                    "SPLEETER_ENV=development on loopback goes without");
}

void spl_settings_free(spl_settings *settings) {
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++) {
        if (!table[i].name || table[i].kind != TEXT)
            continue;
        char *text = *(char **)((char *)settings + table[i].offset);
        if (text && table[i].secret)
            explicit_bzero(text, strlen(text));
        free(text);
    }
    free(settings->origins);
    *settings = (spl_settings){0};
}

/* ---- Output ---- */

static const char *const value_names[] = {
    [TEXT] = "TEXT", [COUNT] = "N", [MEBIBYTES] = "MIB", [SECONDS] = "SECONDS"};

void spl_settings_print_help(FILE *stream) {
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++) {
        const setting *row = &table[i];
        if (!row->name) {
            fprintf(stream, "%s%s:\n", i > 0 ? "\n" : "", row->help);
            continue;
        }
        char flag[64];
        flag_name(row, "", flag);
        fprintf(stream, "      %s %s\n          %s.", flag, value_names[row->kind], row->help);
        if (*row->fallback)
            fprintf(stream, " Default: %s", row->fallback);
        fputc('\n', stream);
        if (row->secret)
            fprintf(stream, "      %s-file FILE\n          A file that holds it.\n", flag);
    }
}

static void print_value(const spl_settings *settings, const setting *row, char ret_text[256]) {
    const void *field = (const char *)settings + row->offset;
    if (row->kind == SECONDS)
        snprintf(ret_text, 256, "%g", *(const double *)field);
    else if (row->kind == MEBIBYTES)
        snprintf(ret_text, 256, "%llu", (unsigned long long)(*(const uint64_t *)field / MIB));
    else if (row->kind == COUNT)
        snprintf(ret_text, 256, "%u", *(const unsigned *)field);
    else if (row->secret)
        snprintf(ret_text, 256, "%s", **(char *const *)field ? "set" : "");
    else
        snprintf(ret_text, 256, "%s", *(char *const *)field);
}

/* Whether an entry ("NAME=...") of the environment is a setting, or is read elsewhere. */
static bool is_known(const char *variable) {
    const size_t length = strcspn(variable, "=");
    for (size_t i = 0; i < SPL_ARRAY_SIZE(other_variables); i++) {
        if (strlen(other_variables[i]) == length &&
            strncmp(variable, other_variables[i], length) == 0)
            return true;
    }
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++) {
        if (!table[i].name)
            continue;
        char name[64], file_name[64];
        variable_name(&table[i], "", name);
        variable_name(&table[i], "_FILE", file_name);
        if ((strlen(name) == length && strncmp(variable, name, length) == 0) ||
            (table[i].secret && strlen(file_name) == length &&
             strncmp(variable, file_name, length) == 0))
            return true;
    }
    return false;
}

void spl_settings_print(const spl_settings *settings, FILE *stream) {
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++) {
        if (!table[i].name)
            continue;
        char name[64], text[256];
        variable_name(&table[i], "", name);
        print_value(settings, &table[i], text);
        fprintf(stream, "%-33s %-11s %s\n", name, origin_texts[settings->origins[i]], text);
    }
}

json_t *spl_settings_to_json(const spl_settings *settings) {
    json_t *array = json_array();
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++) {
        if (!table[i].name)
            continue;
        char name[NAME_SIZE], text[256];
        variable_name(&table[i], "", name);
        print_value(settings, &table[i], text);
        json_t *value = table[i].kind == TEXT ? json_string(text) : json_real(strtod(text, NULL));
        if (table[i].kind != TEXT && table[i].kind != SECONDS) {
            json_decref(value);
            value = json_integer(strtoll(text, NULL, 10));
        }
        json_array_append_new(array, json_pack("{s:s, s:s, s:o}", "name", name, "from",
                                               origin_texts[settings->origins[i]], "value", value));
    }
    return array;
}

void spl_settings_find_unknown(spl_settings_report *report, void *user) {
    for (char **variable = environ; *variable; variable++) {
        if (strncmp(*variable, PREFIX, strlen(PREFIX)) != 0 || is_known(*variable))
            continue;
        const int length = (int)strcspn(*variable, "=");
        char hint[128], text[512];
        suggest(*variable, (size_t)length, variable_name, hint);
        snprintf(text, sizeof(text), "%.*s is set, but there is no such setting%s", length,
                 *variable, hint);
        report(user, text);
    }
}

void spl_settings_print_markdown(FILE *stream) {
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++) {
        const setting *row = &table[i];
        if (!row->name) {
            fprintf(stream,
                    "%s## %s\n\n| variable | flag | default | what it is |\n|---|---|---|---|\n",
                    i > 0 ? "\n" : "", row->help);
            continue;
        }
        char name[64], flag[64];
        variable_name(row, "", name);
        flag_name(row, "", flag);
        const char *tick = *row->fallback ? "`" : "";
        fprintf(stream, "| `%s` | `%s` | %s%s%s | %s", name, flag, tick, row->fallback, tick,
                row->help);
        if (row->kind != TEXT)
            fprintf(stream, " (%llu to %llu)", (unsigned long long)row->min,
                    (unsigned long long)row->max);
        if (row->secret)
            fprintf(stream, ". `%s_FILE` names a file that holds it", name);
        fputs(" |\n", stream);
    }
}
