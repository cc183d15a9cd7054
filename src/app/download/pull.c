/* SPDX-License-Identifier: MIT
 *
 * A pull works in the hidden folder .pull-NAME in the folder of models:
 *
 *     NAME.tar.gz.part, NAME.tar.gz.part.etag   the partial download; kept when it fails
 *     checkpoint/                               the unpacked checkpoint
 *     model/                                    the imported model; swapped with the final folder
 */
#include "app/download/pull.h"

#include "app/download/checksums.h"
#include "app/download/transfer.h"
#include "app/download/unpack.h"
#include "base/digest.h"
#include "base/file.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spleeter/model.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define ARCHIVE_MAX_BYTES ((size_t)1 << 30)
#define STALL_S           30
#define FOLDERS_OPEN      8

#define LICENCE "MIT (deezer/spleeter; the release names no separate licence for the weights)"

static const char *const names[] = {"2stems", "4stems", "5stems"};

typedef struct pull_job {
    const spl_pull_options *options;
    char *base;  /* a URL, or a path */
    char *shown; /* the same without user and password */
    bool remote;
    char sha256[65];
    char *source; /* origin of the model, for its manifest */
    char *work, *model;
    int lock_fd;
} pull_job;

static void clear_pull(pull_job *p) {
    free(p->base);
    free(p->shown);
    free(p->source);
    free(p->work);
    free(p->model);
    if (p->lock_fd >= 0)
        close(p->lock_fd);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void remove_tree(const char *path) {
    nftw(path, remove_entry, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS);
}

/* "folder/name", owned by the caller. */
static int join(const char *folder, const char *name, char **ret_path, spl_error *ret_error) {
    return asprintf(ret_path, "%s/%s", folder, name) < 0 ? spl_fail_memory(ret_error) : 0;
}

static int report_progress(const pull_job *p, spl_pull_phase phase, uint64_t done, uint64_t total,
                           spl_error *ret_error) {
    const spl_pull_progress progress = {phase, done, total};
    if (p->options->progress && p->options->progress(p->options->user, &progress))
        return spl_fail(ret_error, SPL_E_CANCELED, "the pull of %s was interrupted",
                        p->options->name);
    return 0;
}

static int report_transfer(void *user, uint64_t done, uint64_t total) {
    return report_progress(user, SPL_PULL_DOWNLOAD, done, total, NULL);
}

static spl_transfer make_transfer(pull_job *p, const char *url, const char *shown,
                                  uint64_t cap_bytes) {
    return (spl_transfer){
        .url = url,
        .shown = shown,
        .cap_bytes = cap_bytes,
        .stall_s = p->options->stall_s ? p->options->stall_s : STALL_S,
        .user = p,
        .progress = report_transfer,
    };
}

/* -------------------------------------------------------------- base ---- */

static void url_free_p(CURLU **url) {
    curl_url_cleanup(*url);
}

/* Parses the URL `base`: sets the URL for messages, or the path of a file URL. */
static int read_url(pull_job *p, const char *base, spl_error *ret_error) {
    SPL_CLEANUP(url_free_p) CURLU *url = curl_url();
    char *scheme = NULL, *text = NULL;
    if (!url)
        return spl_fail_memory(ret_error);
    if (curl_url_set(url, CURLUPART_URL, base, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s is not a URL", base);
    p->remote = strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0;
    const bool local = strcmp(scheme, "file") == 0;
    curl_free(scheme);
    if (!p->remote && !local)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "%s: give an https, http or file URL, or the path of a folder", base);
    curl_url_set(url, CURLUPART_USER, NULL, 0);
    curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
    if (curl_url_get(url, local ? CURLUPART_PATH : CURLUPART_URL, &text,
                     local ? CURLU_URLDECODE : 0) != CURLUE_OK)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s is not a URL", base);
    p->shown = strdup(text);
    p->base = strdup(local ? text : base);
    curl_free(text);
    return 0;
}

static int read_base(pull_job *p, spl_error *ret_error) {
    const char *base = p->options->base ? p->options->base : SPL_PULL_BASE;
    if (strstr(base, "://")) {
        int status = read_url(p, base, ret_error);
        if (status < 0)
            return status;
    } else {
        p->base = strdup(base);
        p->shown = strdup(base);
    }
    if (!p->base || !p->shown)
        return spl_fail_memory(ret_error);
    char *const texts[] = {p->base, p->shown};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(texts); i++) {
        for (size_t length = strlen(texts[i]); length > 1 && texts[i][length - 1] == '/'; length--)
            texts[i][length - 1] = '\0';
    }
    return 0;
}

/* --------------------------------------------------------- checksums ---- */

static int get_checksum(pull_job *p, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *from = NULL;
    SPL_CLEANUP(spl_free_p) char *shown = NULL;
    int status;
    if ((status = join(p->base, "checksum.json", &from, ret_error)) < 0 ||
        (status = join(p->shown, "checksum.json", &shown, ret_error)) < 0)
        return status;
    if (!p->remote) {
        SPL_CLEANUP(spl_file_content_free) spl_file_content file = {0};
        status = spl_file_read(from, SPL_FILE_ANYBODYS, SPL_CHECKSUMS_MAX_BYTES, &file, ret_error);
        return status < 0 ? status
                          : spl_checksums_find(file.text, file.size_bytes, p->options->name, from,
                                               p->sha256, ret_error);
    }
    const spl_transfer transfer = make_transfer(p, from, shown, SPL_CHECKSUMS_MAX_BYTES);
    SPL_CLEANUP(spl_free_p) char *text = NULL;
    size_t size;
    status = spl_transfer_text(&transfer, &text, &size, ret_error);
    return status < 0
               ? status
               : spl_checksums_find(text, size, p->options->name, shown, p->sha256, ret_error);
}

/* Whether the installed model is intact and was imported from the archive that is to be pulled. */
static bool is_up_to_date(const pull_job *p) {
    spl_model_info *info;
    if (spl_model_describe(p->model, &info, NULL) < 0)
        return false;
    const char *recorded = strstr(info->source, "sha256 ");
    const bool same = recorded && strcmp(recorded + strlen("sha256 "), p->sha256) == 0;
    spl_model_info_free(info);
    return same && spl_model_verify(p->model, NULL) == 0;
}

/* ----------------------------------------------------------- archive ---- */

static int get_sha256(const char *path, char ret_hex[65], spl_error *ret_error) {
    SPL_CLEANUP(spl_file_map_close) spl_file_map map = {0};
    int status = spl_file_map_open(path, ARCHIVE_MAX_BYTES, &map, ret_error);
    return status < 0 ? status : spl_sha256_hex(map.data, map.size_bytes, ret_hex, ret_error);
}

static bool has_right_sha256(const pull_job *p, const char *path) {
    char hex[65];
    return get_sha256(path, hex, NULL) == 0 && strcmp(hex, p->sha256) == 0;
}

/* Downloads the archive if it is remote, and verifies its checksum. *ret_path is its path. */
static int get_archive(pull_job *p, char **ret_path, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *from = NULL;
    SPL_CLEANUP(spl_free_p) char *shown = NULL;
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&from, "%s/%s.tar.gz", p->base, p->options->name) < 0 ||
        asprintf(&shown, "%s/%s.tar.gz", p->shown, p->options->name) < 0 ||
        asprintf(&path, "%s/%s.tar.gz.part", p->work, p->options->name) < 0)
        return spl_fail_memory(ret_error);
    int status = 0;
    if (!p->remote) {
        free(path);
        path = SPL_STEAL(from);
    } else if (!has_right_sha256(p, path)) {
        const spl_transfer transfer = make_transfer(p, from, shown, ARCHIVE_MAX_BYTES);
        status = spl_transfer_file(&transfer, path, ret_error);
    }
    char hex[65];
    if (status < 0 || (status = report_progress(p, SPL_PULL_CHECK, 0, 0, ret_error)) < 0 ||
        (status = get_sha256(path, hex, ret_error)) < 0)
        return status;
    if (strcmp(hex, p->sha256) != 0)
        return spl_fail(ret_error, SPL_E_CHECKSUM,
                        "%s is damaged: its SHA-256 is %s, but checksum.json has %s", shown, hex,
                        p->sha256);
    *ret_path = SPL_STEAL(path);
    return 0;
}

/* ------------------------------------------------------------- model ---- */

static int import(pull_job *p, const char *archive, const char *made, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *checkpoint = NULL;
    SPL_CLEANUP(spl_free_p) char *name = NULL;
    int status = report_progress(p, SPL_PULL_IMPORT, 0, 0, ret_error);
    if (status < 0 || (status = join(p->work, "checkpoint", &checkpoint, ret_error)) < 0)
        return status;
    remove_tree(checkpoint);
    remove_tree(made);
    SPL_CLEANUP(spl_close_p) int fd = open(archive, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot open %s", archive);
    if (mkdir(checkpoint, 0700) < 0)
        return spl_fail_errno(ret_error, errno, "cannot make the folder %s", checkpoint);
    if (asprintf(&name, "spleeter-%s", p->options->name) < 0)
        return spl_fail_memory(ret_error);
    const spl_model_import_options options = {
        .checkpoint = checkpoint,
        .name = name,
        .licence = LICENCE,
        .source = p->source,
        .folder = made,
    };
    if ((status = spl_archive_unpack(fd, archive, checkpoint, ret_error)) < 0 ||
        (status = spl_model_import(&options, ret_error)) < 0)
        return status;
    return report_progress(p, SPL_PULL_IMPORT, 0, 0, ret_error);
}

/* Moves the folder `made` to its final path atomically. An existing model there is moved to the
 * path `made`. */
static int publish(const pull_job *p, const char *made, spl_error *ret_error) {
    const bool exists = access(p->model, F_OK) == 0;
    const unsigned how = exists ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    if (renameat2(AT_FDCWD, made, AT_FDCWD, p->model, how) < 0)
        return spl_fail_errno(ret_error, errno, "cannot make the folder %s", p->model);
    return spl_folder_flush(p->options->folder, ret_error);
}

/* Creates the work folder and locks it against other pulls. */
static int enter_work(pull_job *p, spl_error *ret_error) {
    if (mkdir(p->work, 0700) < 0 && errno != EEXIST)
        return spl_fail_errno(ret_error, errno, "cannot make the folder %s", p->work);
    p->lock_fd = open(p->work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (p->lock_fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot open the folder %s", p->work);
    if (flock(p->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return spl_fail_errno(ret_error, errno, "cannot lock the folder %s", p->work);
    return spl_fail(ret_error, SPL_E_EXISTS,
                    "another pull of %s into %s is running already; wait for it", p->options->name,
                    p->options->folder);
}

static int make_model(pull_job *p, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *archive = NULL;
    SPL_CLEANUP(spl_free_p) char *made = NULL;
    int status;
    if ((status = join(p->work, "model", &made, ret_error)) < 0 ||
        (status = get_archive(p, &archive, ret_error)) < 0 ||
        (status = import(p, archive, made, ret_error)) < 0)
        return status;
    return publish(p, made, ret_error);
}

/* Whether the next try can resume from the partial download. */
static bool is_worth_keeping(int status) {
    return spl_status_is_transient(status) || status == SPL_E_CANCELED || status == SPL_E_NO_SPACE;
}

static int run(pull_job *p, bool *ret_changed, spl_error *ret_error) {
    const spl_pull_options *options = p->options;
    int status;
    if ((status = read_base(p, ret_error)) < 0 || (status = get_checksum(p, ret_error)) < 0)
        return status;
    if (asprintf(&p->model, "%s/spleeter-%s", options->folder, options->name) < 0 ||
        asprintf(&p->work, "%s/.pull-%s", options->folder, options->name) < 0 ||
        asprintf(&p->source, "%s/%s.tar.gz sha256 %s", p->shown, options->name, p->sha256) < 0)
        return spl_fail_memory(ret_error);
    if (is_up_to_date(p)) {
        *ret_changed = false;
        return 0;
    }
    if ((status = spl_make_folders(options->folder, ret_error)) < 0 ||
        (status = enter_work(p, ret_error)) < 0)
        return status;
    status = make_model(p, ret_error);
    if (!p->remote || !is_worth_keeping(status))
        remove_tree(p->work);
    *ret_changed = true;
    return status;
}

int spl_model_pull(const spl_pull_options *options, char **ret_path, bool *ret_changed,
                   spl_error *ret_error) {
    bool known = false;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(names); i++)
        known |= strcmp(options->name, names[i]) == 0;
    if (!known)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "there is no model %.100s to pull; Deezer has 2stems, 4stems and 5stems",
                        options->name);
    SPL_CLEANUP(clear_pull) pull_job p = {.options = options, .lock_fd = -1};
    bool changed;
    int status = run(&p, &changed, ret_error);
    if (status < 0)
        return status;
    *ret_path = SPL_STEAL(p.model);
    *ret_changed = changed;
    return 0;
}
