/* SPDX-License-Identifier: MIT
 *
 * Writing and verifying the chain. A mac covers the bytes of its line as they are in the file, so
 * verification does not depend on how JSON is serialized:
 *
 *     {"sequence":1,...,"detail":null,"mac":"..."}
 *     mac = HMAC(key, previous mac || {"sequence":1,...,"detail":null})
 */
#include "service/observe/audit.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "service/observe/json.h"
#include "service/observe/log.h"
#include "service/observe/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_SIZE       32
#define MAC_SIZE       32
#define HEX_SIZE       (2 * MAC_SIZE + 1)
#define LINE_SIZE      65536         /* twice the longest texts after escaping */
#define TAIL           ",\"mac\":\"" /* end of a line: TAIL, hex digits, END */
#define END            "\"}"
#define FILES_AT_LEAST 16 /* that share the log's disk space */
#define FILE_MAX_BYTES ((off_t)64 << 20)
#define FILE_MIN_COST  4096             /* at least one block per file */
#define RESERVE_BYTES  ((off_t)1 << 20) /* allocated in advance, in case others fill the disk */
#define RETRY_S        1.0
#define NUMBER_DIGITS  8 /* of a file's number */
#define NUMBER_MAX     99999999u

struct spl_audit {
    char *folder;
    uint8_t key[KEY_SIZE];
    uint64_t max_bytes;
    off_t file_max_bytes;

    pthread_mutex_t write_mutex; /* protects the fields up to flush_mutex */
    int fd;                      /* -1: no file could be created */
    bool spoiled;                /* the file may differ from what was written */
    char path[PATH_MAX];
    off_t size_bytes, reserved_bytes;
    uint64_t sequence;     /* lines of this file */
    uint64_t written;      /* lines of all files since the start */
    uint8_t mac[MAC_SIZE]; /* of the last line */
    uint64_t missed;       /* events that could not be written */
    char missed_since[25];
    double retry_s; /* when creating a file may be tried again */
    spl_error failure;

    pthread_mutex_t flush_mutex; /* taken before write_mutex; the descriptor is closed under both */
    uint64_t flushed;
    /* Lines after number lost_from, up to number lost_to, may not be on the disk. */
    uint64_t lost_from, lost_to;
};

/* ---- Macs ---- */

/* mac = HMAC(key, mac || text). */
static int chain(const uint8_t key[KEY_SIZE], uint8_t mac[MAC_SIZE], const char *text,
                 size_t size) {
    SPL_CLEANUP(spl_free_p) uint8_t *message = malloc(MAC_SIZE + size);
    if (!message)
        return SPL_E_MEMORY;
    memcpy(message, mac, MAC_SIZE);
    memcpy(message + MAC_SIZE, text, size);
    unsigned length = MAC_SIZE;
    return HMAC(EVP_sha256(), key, KEY_SIZE, message, MAC_SIZE + size, mac, &length) ? 0
                                                                                     : SPL_E_MEMORY;
}

/* ---- Files ---- */

static void file_path(const char *folder, unsigned number, char ret_path[PATH_MAX]) {
    snprintf(ret_path, PATH_MAX, "%s/%08u.jsonl", folder, number);
}

/* Opens a file for reading; NULL if it is missing or not a regular file. Opening a FIFO does not
 * block. */
static FILE *open_file(const char *folder, unsigned number) {
    char path[PATH_MAX];
    file_path(folder, number, path);
    SPL_CLEANUP(spl_close_p) int fd = -1;
    if (spl_file_open(path, SPL_FILE_ANYBODYS, &fd, NULL) < 0)
        return NULL;
    FILE *file = fdopen(fd, "r");
    if (file)
        fd = -1;
    return file;
}

/* The number of an audit file; 0 for other names. */
static unsigned file_number(const char *name) {
    return strspn(name, "0123456789") == NUMBER_DIGITS &&
                   strcmp(name + NUMBER_DIGITS, ".jsonl") == 0
               ? (unsigned)strtoul(name, NULL, 10)
               : 0;
}

static int compare_numbers(const void *a, const void *b) {
    const unsigned left = *(const unsigned *)a, right = *(const unsigned *)b;
    return (left > right) - (left < right);
}

/* Lists the numbers of all files, ascending. The caller frees *ret_numbers. */
static int list_files(const char *folder, unsigned **ret_numbers, size_t *ret_count,
                      spl_error *ret_error) {
    DIR *stream = opendir(folder);
    if (!stream)
        return spl_fail_errno(ret_error, errno, "cannot read the audit folder %s", folder);
    SPL_CLEANUP(spl_free_p) unsigned *numbers = NULL;
    size_t count = 0, room = 0;
    int status = 0;
    for (struct dirent *entry; status == 0 && (entry = readdir(stream));) {
        const unsigned number = file_number(entry->d_name);
        if (number == 0)
            continue;
        if (count == room) {
            room = 2 * room + 16;
            unsigned *more = realloc(numbers, room * sizeof(*numbers));
            if (!more) {
                status = spl_fail_memory(ret_error);
                break;
            }
            numbers = more;
        }
        numbers[count++] = number;
    }
    closedir(stream);
    if (status < 0)
        return status;
    if (count > 0)
        qsort(numbers, count, sizeof(*numbers), compare_numbers);
    *ret_numbers = SPL_STEAL(numbers);
    *ret_count = count;
    return 0;
}

/* Returns the mac's hex digits in a complete line without its line end; NULL when it has none. */
static const char *find_mac(const char *line) {
    const size_t length = strlen(line);
    const size_t tail = strlen(TAIL) + HEX_SIZE - 1 + strlen(END);
    if (length <= tail || strcmp(line + length - strlen(END), END) != 0 ||
        strncmp(line + length - tail, TAIL, strlen(TAIL)) != 0)
        return NULL;
    return line + length - tail + strlen(TAIL);
}

/* Reads the next line into `line`, without its line end; "" when it is too long or contains a NUL.
 * Returns false at the end of the file. An unfinished line there is no line; it is then in `line`,
 * which is "" otherwise. */
static bool read_line(FILE *file, char line[LINE_SIZE]) {
    line[0] = '\0';
    if (!fgets(line, LINE_SIZE, file))
        return false;
    const size_t length = strlen(line);
    const bool whole = length > 0 && line[length - 1] == '\n';
    if (!whole && feof(file))
        return false;
    line[whole ? length - 1 : 0] = '\0';
    return true;
}

/* ---- Lines ---- */

static json_t *start_line(const char *actor, const char *action) {
    json_t *line = json_object();
    char time[25];
    spl_time_text(spl_wall_ms(), time);
    json_object_set_new(line, "sequence", json_null()); /* so that it comes first */
    json_object_set_new(line, "time", json_string(time));
    json_object_set_new(line, "actor", spl_json_text(actor));
    json_object_set_new(line, "action", spl_json_text(action));
    return line;
}

/* Makes "{...}" with its mac and a line end, owned by the caller. Consumes `line`. */
static int seal(const spl_audit *audit, json_t *line, uint8_t mac[MAC_SIZE], char **ret_text,
                spl_error *ret_error) {
    json_object_set_new(line, "sequence", json_integer((json_int_t)audit->sequence));
    SPL_CLEANUP(spl_free_p) char *text = line ? spl_json_line(line) : NULL;
    json_decref(line);
    if (!text || chain(audit->key, mac, text, strlen(text)) < 0)
        return spl_fail_memory(ret_error);
    char hex[HEX_SIZE], *whole;
    spl_hex(mac, MAC_SIZE, hex);
    if (asprintf(&whole, "%.*s" TAIL "%s" END "\n", (int)strlen(text) - 1, text, hex) < 0)
        return spl_fail_memory(ret_error);
    *ret_text = whole;
    return 0;
}

/* Keeps blocks beyond the end allocated, so that the log has space when others fill the disk. */
static void reserve(spl_audit *audit) {
    if (audit->size_bytes + RESERVE_BYTES / 2 < audit->reserved_bytes)
        return;
    if (fallocate(audit->fd, FALLOC_FL_KEEP_SIZE, audit->size_bytes, RESERVE_BYTES) == 0)
        audit->reserved_bytes = audit->size_bytes + RESERVE_BYTES;
}

/* Appends `line` with its mac. Consumes `line`, which may be NULL (out of memory). */
static int append(spl_audit *audit, json_t *line, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *text = NULL;
    uint8_t mac[MAC_SIZE];
    memcpy(mac, audit->mac, sizeof(mac));
    int status = seal(audit, line, mac, &text, ret_error);
    if (status < 0)
        return status;
    status = spl_write_all(audit->fd, text, strlen(text), audit->path, ret_error);
    if (status < 0) {
        audit->spoiled = ftruncate(audit->fd, audit->size_bytes) < 0;
        audit->reserved_bytes = 0;
        return status;
    }
    audit->size_bytes += (off_t)strlen(text);
    memcpy(audit->mac, mac, sizeof(mac));
    audit->sequence++;
    audit->written++;
    reserve(audit);
    return 0;
}

/* Call with both mutexes held. The kernel reports a lost page only once, so a later flush proves
 * nothing about the lines that are not flushed yet. */
static void lose(spl_audit *audit) {
    audit->spoiled = true;
    if (audit->flushed == audit->written)
        return;
    audit->lost_from = audit->flushed;
    audit->lost_to = audit->flushed = audit->written;
}

/* Makes the first `lines` lines durable. One flush serves all threads that wait for it. */
static int flush(spl_audit *audit, uint64_t lines, spl_error *ret_error) {
    int failed = 0;
    pthread_mutex_lock(&audit->flush_mutex);
    if (audit->flushed < lines) {
        pthread_mutex_lock(&audit->write_mutex);
        const uint64_t written = audit->written;
        pthread_mutex_unlock(&audit->write_mutex);
        failed = fdatasync(audit->fd) < 0 ? errno : 0;
        if (failed) {
            pthread_mutex_lock(&audit->write_mutex);
            lose(audit);
            pthread_mutex_unlock(&audit->write_mutex);
        } else {
            audit->flushed = written;
        }
    } else if (lines > audit->lost_from && lines <= audit->lost_to) {
        failed = EIO;
    }
    pthread_mutex_unlock(&audit->flush_mutex);
    return failed ? spl_fail_errno(ret_error, failed, "cannot flush the audit log in %s",
                                   audit->folder)
                  : 0;
}

/* ---- Rotation ---- */

/* Adds the last mac in `files`, searched from the newest back, to `line` as previous_file and
 * previous_mac. */
static void add_previous(json_t *line, const char *folder, const unsigned *files, size_t count) {
    char text[LINE_SIZE], hex[HEX_SIZE] = "";
    unsigned number = 0;
    for (size_t i = count; i > 0 && !*hex; i--) {
        FILE *file = open_file(folder, files[i - 1]);
        if (!file)
            continue;
        number = files[i - 1];
        while (read_line(file, text)) {
            const char *mac = find_mac(text);
            if (mac)
                snprintf(hex, sizeof(hex), "%.*s", HEX_SIZE - 1, mac);
        }
        fclose(file);
    }
    json_object_set_new(line, "previous_file", *hex ? json_integer(number) : json_null());
    json_object_set_new(line, "previous_mac", *hex ? json_string(hex) : json_null());
}

/* Removes the oldest of `files` until there is space for another one. The newest stays because the
 * chain continues from it. */
static void make_room(const spl_audit *audit, const unsigned *files, size_t count) {
    uint64_t total = (uint64_t)audit->file_max_bytes;
    char path[PATH_MAX];
    for (size_t i = count; i > 0; i--) {
        struct stat status;
        file_path(audit->folder, files[i - 1], path);
        if (lstat(path, &status) == 0)
            total += SPL_MAX((uint64_t)status.st_size, (uint64_t)FILE_MIN_COST);
        if (total > audit->max_bytes && i < count && unlink(path) == 0)
            spl_log(SPL_LOG_INFO, "audit.file_removed", SPL_TEXT("path", path));
    }
}

/* Creates the file after the newest one, and adds both numbers and the last mac to `line`. */
static int create_file(spl_audit *audit, json_t *line, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) unsigned *files = NULL;
    size_t count;
    const int status = list_files(audit->folder, &files, &count, ret_error);
    if (status < 0)
        return status;
    if (count > 0 && files[count - 1] == NUMBER_MAX)
        return spl_fail(ret_error, SPL_E_LIMIT,
                        "%s has a file of the last number, %u.jsonl; move the audit log away",
                        audit->folder, NUMBER_MAX);
    make_room(audit, files, count);
    const unsigned number = count > 0 ? files[count - 1] + 1 : 1;
    file_path(audit->folder, number, audit->path);
    audit->fd =
        open(audit->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (audit->fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot write %s", audit->path);
    audit->spoiled = false;
    audit->size_bytes = audit->reserved_bytes = 0;
    audit->sequence = 0;
    memset(audit->mac, 0, sizeof(audit->mac));
    json_object_set_new(line, "file", json_integer(number));
    add_previous(line, audit->folder, files, count);
    return 0;
}

/* Call with both mutexes held. Releases the space reserved beyond the end. */
static void close_file(spl_audit *audit) {
    if (audit->fd < 0)
        return;
    if (ftruncate(audit->fd, audit->size_bytes) < 0 || fdatasync(audit->fd) < 0) {
        spl_log(SPL_LOG_ERROR, "audit.failed", SPL_TEXT("path", audit->path));
        lose(audit);
    }
    audit->flushed = audit->written;
    close(audit->fd);
    audit->fd = -1;
}

static int make_folder(const char *folder, spl_error *ret_error) {
    const int status = spl_make_folders(folder, ret_error);
    if (status == 0 && chmod(folder, 0700) < 0)
        return spl_fail_errno(ret_error, errno, "cannot close the audit folder %s to others",
                              folder);
    return status;
}

/* Call with both mutexes held. Removes the file again if its first line could not be written. */
static int begin_file(spl_audit *audit, spl_error *ret_error) {
    json_t *line = start_line("system", "audit.start");
    json_object_set_new(line, "pid", json_integer(getpid()));
    int status = make_folder(audit->folder, ret_error);
    if (status == 0)
        status = create_file(audit, line, ret_error);
    if (status < 0) {
        json_decref(line);
        return status;
    }
    status = append(audit, line, ret_error);
    if (status == 0 && fdatasync(audit->fd) < 0)
        status = spl_fail_errno(ret_error, errno, "cannot flush %s", audit->path);
    if (status == 0)
        status = spl_folder_flush(audit->folder, ret_error);
    if (status < 0) {
        close_file(audit);
        unlink(audit->path);
    }
    return status;
}

/* Call with both mutexes held. */
static int next_file(spl_audit *audit, spl_error *ret_error) {
    if (spl_now_s() < audit->retry_s) {
        *ret_error = audit->failure;
        return audit->failure.status;
    }
    spl_error error;
    if (audit->fd >= 0 && !audit->spoiled &&
        append(audit, start_line("system", "audit.end"), &error) < 0)
        spl_log(SPL_LOG_ERROR, "audit.failed", SPL_TEXT("error", error.message));
    close_file(audit);
    const int status = begin_file(audit, &audit->failure);
    if (status < 0) {
        audit->retry_s = spl_now_s() + RETRY_S;
        *ret_error = audit->failure;
    }
    return status;
}

static bool needs_file(const spl_audit *audit) {
    return audit->fd < 0 || audit->spoiled || audit->size_bytes >= audit->file_max_bytes;
}

/* Locks write_mutex, also on failure. On success there is a file that can be written. */
static int take_file(spl_audit *audit, spl_error *ret_error) {
    pthread_mutex_lock(&audit->write_mutex);
    if (!needs_file(audit))
        return 0;
    pthread_mutex_unlock(&audit->write_mutex);
    pthread_mutex_lock(&audit->flush_mutex);
    pthread_mutex_lock(&audit->write_mutex);
    const int status = needs_file(audit) ? next_file(audit, ret_error) : 0;
    pthread_mutex_unlock(&audit->flush_mutex);
    return status;
}

/* ---- Missed events ---- */

static void note_missed(spl_audit *audit, const spl_error *error) {
    spl_metrics_count(SPL_COUNTER_AUDIT_EVENTS_MISSED, 1);
    if (audit->missed++ > 0)
        return;
    spl_time_text(spl_wall_ms(), audit->missed_since);
    spl_log(SPL_LOG_ERROR, "audit.failed", SPL_TEXT("error", error->message));
}

/* Records in the log how many events it lacks, once it can be written again. */
static int append_gap(spl_audit *audit, spl_error *ret_error) {
    if (audit->missed == 0)
        return 0;
    char detail[96];
    snprintf(detail, sizeof(detail), "%llu events since %s could not be written",
             (unsigned long long)audit->missed, audit->missed_since);
    json_t *line = start_line("system", "audit.gap");
    json_object_set_new(line, "detail", json_string(detail));
    const int status = append(audit, line, ret_error);
    if (status == 0) {
        spl_log(SPL_LOG_INFO, "audit.recovered", SPL_INTEGER("missed", audit->missed));
        audit->missed = 0;
    }
    return status;
}

/* An event that may not be on the disk counts as missed. */
static int flush_or_miss(spl_audit *audit, uint64_t lines, spl_error *ret_error) {
    const int status = flush(audit, lines, ret_error);
    if (status < 0) {
        pthread_mutex_lock(&audit->write_mutex);
        note_missed(audit, ret_error);
        pthread_mutex_unlock(&audit->write_mutex);
    }
    return status;
}

static int append_durably(spl_audit *audit, json_t *line, spl_error *ret_error) {
    spl_error error = {0};
    int status = take_file(audit, &error);
    if (status == 0)
        status = append_gap(audit, &error);
    if (status == 0)
        status = append(audit, line, &error);
    else
        json_decref(line);
    if (status < 0)
        note_missed(audit, &error);
    const uint64_t lines = audit->written;
    pthread_mutex_unlock(&audit->write_mutex);
    if (status == 0)
        status = flush_or_miss(audit, lines, &error);
    if (status < 0 && ret_error)
        *ret_error = error;
    return status;
}

static void audit_free(spl_audit *audit) {
    close_file(audit);
    pthread_mutex_destroy(&audit->write_mutex);
    pthread_mutex_destroy(&audit->flush_mutex);
    OPENSSL_cleanse(audit->key, sizeof(audit->key));
    free(audit->folder);
    free(audit);
}

int spl_audit_open(const char *folder, const uint8_t key[32], uint64_t max_bytes,
                   spl_audit **ret_audit, spl_error *ret_error) {
    spl_audit *audit = calloc(1, sizeof(*audit));
    char *copy = strdup(folder);
    if (!audit || !copy) {
        free(audit);
        free(copy);
        return spl_fail_memory(ret_error);
    }
    *audit =
        (spl_audit){.folder = copy,
                    .max_bytes = max_bytes,
                    .file_max_bytes = SPL_MIN((off_t)(max_bytes / FILES_AT_LEAST), FILE_MAX_BYTES),
                    .fd = -1,
                    .write_mutex = PTHREAD_MUTEX_INITIALIZER,
                    .flush_mutex = PTHREAD_MUTEX_INITIALIZER};
    memcpy(audit->key, key, KEY_SIZE);
    const int status = begin_file(audit, ret_error);
    if (status == SPL_E_NO_SPACE) {
        spl_log(
            SPL_LOG_ERROR, "audit.failed", SPL_TEXT("path", folder),
            SPL_TEXT("detail", "The disk is full; what makes jobs, links or sessions is refused"));
    } else if (status < 0) {
        audit_free(audit);
        return status;
    }
    *ret_audit = audit;
    return 0;
}

int spl_audit_write(spl_audit *audit, const spl_audit_event *event, spl_error *ret_error) {
    const char *request_id = spl_log_context_get()->request_id;
    json_t *line = start_line(event->actor, event->action);
    json_object_set_new(line, "object", spl_json_text(event->object));
    json_object_set_new(line, "address", spl_json_text(event->address));
    json_object_set_new(line, "outcome", spl_json_text(event->outcome));
    json_object_set_new(line, "request_id", spl_json_text(*request_id ? request_id : NULL));
    json_object_set_new(line, "detail", spl_json_text(event->detail));
    return append_durably(audit, line, ret_error);
}

void spl_audit_close(spl_audit *audit) {
    if (!audit)
        return;
    (void)!append_durably(audit, start_line("system", "audit.end"), NULL);
    audit_free(audit);
}

/* ---- Verification ---- */

/* The state of a verification. */
typedef struct verification {
    const char *folder;
    const uint8_t *key;
    FILE *report;
    size_t wrong;
} verification;

static bool has_mac(const verification *v, unsigned number, const char *hex) {
    char line[LINE_SIZE];
    FILE *file = open_file(v->folder, number);
    bool found = false;
    while (file && !found && read_line(file, line)) {
        const char *mac = find_mac(line);
        found = mac && strncmp(mac, hex, HEX_SIZE - 1) == 0;
    }
    if (file)
        fclose(file);
    return found;
}

/* Returns what is wrong with a file's first line, apart from its mac; NULL: nothing. `oldest`: the
 * files before it may have been removed. */
static const char *check_first(const verification *v, const char *text, unsigned number,
                               bool oldest) {
    json_t *line = spl_json_load_own(text);
    const json_int_t named = json_integer_value(json_object_get(line, "file"));
    const json_int_t before = json_integer_value(json_object_get(line, "previous_file"));
    const char *hex = json_string_value(json_object_get(line, "previous_mac"));
    const char *problem = NULL;
    if (named != number)
        problem = "the file has another file's name";
    else if (before == 0 && !oldest)
        problem = "it does not go on from the file before it";
    else if (before > 0 && hex && !oldest && !has_mac(v, (unsigned)before, hex))
        problem = "the file before it is gone, or lines were cut off its end";
    json_decref(line);
    return problem;
}

static void verify_file(verification *v, unsigned number, bool oldest) {
    char line[LINE_SIZE], hex[HEX_SIZE] = "";
    fprintf(v->report, "%08u.jsonl: ", number);
    FILE *file = open_file(v->folder, number);
    const char *problem = file ? NULL : "the file cannot be read, or is not a regular file";
    uint8_t mac[MAC_SIZE] = {0};
    size_t lines = 0;
    bool ended = false;
    while (!problem && read_line(file, line)) {
        lines++;
        const char *claimed = find_mac(line);
        const size_t covered = claimed ? (size_t)(claimed - line) - strlen(TAIL) : 0;
        if (!claimed) {
            problem = "it is no line of this log";
            break;
        }
        snprintf(hex, sizeof(hex), "%s", claimed);
        line[covered] = '}';
        line[covered + 1] = '\0';
        char expected[HEX_SIZE] = "";
        if (chain(v->key, mac, line, covered + 1) == 0)
            spl_hex(mac, MAC_SIZE, expected);
        if (CRYPTO_memcmp(expected, hex, HEX_SIZE) != 0)
            problem = "the line was changed or moved, or the one before it removed";
        else if (lines == 1)
            problem = check_first(v, line, number, oldest);
        ended = strstr(line, "\"action\":\"audit.end\"") != NULL;
    }
    if (file)
        fclose(file);
    if (problem) {
        v->wrong++;
        fprintf(v->report, "WRONG at line %zu: %s\n", lines, problem);
    } else {
        fprintf(v->report, "%zu lines, whole%s, last mac %s", lines,
                ended ? "" : " so far (still open, or its process was killed)",
                *hex ? hex : "none");
        if (*line)
            fprintf(v->report,
                    "; an event of which %zu bytes were written follows: the disk was full, or the "
                    "process was killed",
                    strlen(line));
        fputc('\n', v->report);
    }
}

int spl_audit_verify(const char *folder, const uint8_t key[32], FILE *report,
                     spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) unsigned *files = NULL;
    size_t count;
    const int status = list_files(folder, &files, &count, ret_error);
    if (status < 0)
        return status;
    if (count == 0)
        return spl_fail(ret_error, SPL_E_NOT_FOUND, "%s holds no audit log", folder);
    verification v = {.folder = folder, .key = key, .report = report};
    for (size_t i = 0; i < count; i++)
        verify_file(&v, files[i], i == 0);
    if (v.wrong > 0)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "%zu of %zu files of %s are not as they were written", v.wrong, count,
                        folder);
    return 0;
}
