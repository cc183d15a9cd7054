/* SPDX-License-Identifier: MIT
 *
 * Runs one libcurl transfer at a time, to memory or a file. When the first bytes of the body
 * arrive, the headers of their response determine the offset in the file at which the body begins.
 */
#include "app/download/transfer.h"

#include "base/file.h"
#include "base/response_headers.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define REDIRECTS_MAX       5L
#define CONNECT_MAX_S       20L
#define STALL_BYTES_PER_S   2048L
#define REQUEST_MAX_S       (6 * 3600L)
#define ATTEMPTS_MAX        5
#define VALIDATOR_MAX_BYTES 256

/* The destination of a transfer and its progress. */
typedef struct download {
    const spl_transfer *transfer;
    CURL *curl;
    int fd;                /* of the file; -1: into `text` */
    char *text;            /* [cap_bytes] */
    const char *etag_path; /* NULL: none */
    uint64_t offset;       /* of the body in the file: the size of the resumed part */
    uint64_t done;         /* bytes received, including `offset` */
    bool started;          /* the body has begun */
    spl_response_headers headers;
    spl_error error; /* from our own callbacks */
} download;

static const char *header(CURL *curl, const char *name) {
    struct curl_header *found;
    return curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value
                                                                                  : NULL;
}

/* Stores the version of the file: its strong ETag, or else its Last-Modified date. */
static int remember_version(download *d) {
    const char *etag = header(d->curl, "ETag"), *date = header(d->curl, "Last-Modified");
    const char *version = etag && etag[0] == '"' ? etag : date;
    if (!version || strlen(version) >= VALIDATOR_MAX_BYTES)
        version = "";
    SPL_CLEANUP(spl_close_p)
    int fd = open(d->etag_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return spl_fail_errno(&d->error, errno, "cannot write %s", d->etag_path);
    return spl_write_all(fd, version, strlen(version), d->etag_path, &d->error);
}

/* Reads the version of the partial file; "" when it is unknown. */
static void recall_version(const char *etag_path, char version[VALIDATOR_MAX_BYTES]) {
    SPL_CLEANUP(spl_close_p) int fd = open(etag_path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, version, VALIDATOR_MAX_BYTES - 1);
    version[size > 0 ? size : 0] = '\0';
}

/* Whether the response has the rest of the file from `offset` on, and no more than `cap_bytes` in
 * all. */
static bool is_rest(const char *range, uint64_t offset, uint64_t cap_bytes) {
    uint64_t first, last, size;
    return range && offset > 0 &&
           sscanf(range, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, &first, &last, &size) == 3 &&
           first == offset && last >= first && size > last && size - 1 == last && size <= cap_bytes;
}

/* Determines where in the file the body begins. */
static int start_body(download *d) {
    d->started = true;
    long code = 0;
    curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code == 206) {
        if (!is_rest(header(d->curl, "Content-Range"), d->offset, d->transfer->cap_bytes))
            return spl_fail(&d->error, SPL_E_FORMAT,
                            "cannot download %s: the server sent another part than requested",
                            d->transfer->shown);
        return 0;
    }
    d->offset = d->done = 0;
    if (d->fd < 0)
        return 0;
    if (ftruncate(d->fd, 0) < 0 || lseek(d->fd, 0, SEEK_SET) < 0)
        return spl_fail_errno(&d->error, errno, "cannot write the download of %s",
                              d->transfer->shown);
    return remember_version(d);
}

static size_t take_body(char *bytes, size_t one, size_t size, void *user) {
    download *d = user;
    (void)one;
    if (!d->started && start_body(d) < 0)
        return CURL_WRITEFUNC_ERROR;
    if (size > d->transfer->cap_bytes - d->done) {
        spl_fail(&d->error, SPL_E_LIMIT, "%s has more than the %" PRIu64 " bytes allowed",
                 d->transfer->shown, d->transfer->cap_bytes);
        return CURL_WRITEFUNC_ERROR;
    }
    if (d->fd < 0)
        memcpy(d->text + d->done, bytes, size);
    else if (spl_write_all(d->fd, bytes, size, d->transfer->shown, &d->error) < 0)
        return CURL_WRITEFUNC_ERROR;
    d->done += size;
    return size;
}

static int report_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total,
                           curl_off_t up) {
    download *d = user;
    (void)up_total, (void)up;
    /* take_body() does not receive the bodies of redirects. */
    if ((uint64_t)now > d->transfer->cap_bytes)
        return spl_fail(&d->error, SPL_E_LIMIT, "%s has more than the %" PRIu64 " bytes allowed",
                        d->transfer->shown, d->transfer->cap_bytes);
    if (!d->transfer->progress)
        return 0;
    const uint64_t whole = d->started && total > 0 ? d->offset + (uint64_t)total : 0;
    return d->transfer->progress(d->transfer->user, d->done, whole);
}

static int fail_transfer(const download *d, CURLcode code, const char *reason,
                         spl_error *ret_error) {
    const char *shown = d->transfer->shown;
    long http = 0;
    curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &http);
    if (d->headers.problem)
        return spl_fail(ret_error, SPL_E_IO, "cannot download %s: the answer's %s", shown,
                        d->headers.problem);
    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
        return spl_fail(ret_error, SPL_E_CANCELED, "the download of %s was interrupted", shown);
    case CURLE_OUT_OF_MEMORY:
        return spl_fail_memory(ret_error);
    case CURLE_HTTP_RETURNED_ERROR:
        return spl_fail(ret_error, http == 404 || http == 410 ? SPL_E_NOT_FOUND : SPL_E_IO,
                        "cannot download %s: the server answers %ld", shown, http);
    case CURLE_OPERATION_TIMEDOUT:
        if (d->started || http > 0)
            return spl_fail(ret_error, SPL_E_IO,
                            "cannot download %s: less than %ld bytes a second came for %u "
                            "seconds, or it took more than %ld hours",
                            shown, STALL_BYTES_PER_S, d->transfer->stall_s, REQUEST_MAX_S / 3600);
        break;
    case CURLE_UNSUPPORTED_PROTOCOL:
        return spl_fail(ret_error, SPL_E_PERMISSION,
                        "cannot download %s: it redirects to an address that is not https", shown);
    default:
        break;
    }
    return spl_fail(ret_error, SPL_E_IO, "cannot download %s: %s", shown,
                    *reason ? reason : curl_easy_strerror(code));
}

static bool is_cut(CURLcode code) {
    return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
           code == CURLE_GOT_NOTHING;
}

static void set_options(download *d, char reason[CURL_ERROR_SIZE]) {
    CURL *curl = d->curl;
    const char *protocols =
        strncmp(d->transfer->url, "https:", strlen("https:")) == 0 ? "https" : "http,https";
    curl_easy_setopt(curl, CURLOPT_URL, d->transfer->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT,
                     SPL_MIN((long)d->transfer->stall_s, CONNECT_MAX_S));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES_PER_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)d->transfer->stall_s);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, REQUEST_MAX_S);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* else an interrupt waits for a name lookup */
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "spleeterd");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, spl_response_headers_take);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &d->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, d);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, report_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, d);
}

/* Runs one request for the bytes from `d->offset` on. */
static CURLcode request(download *d, const char *version, char reason[CURL_ERROR_SIZE]) {
    char range[64], condition[VALIDATOR_MAX_BYTES + 16];
    struct curl_slist *headers = NULL;
    curl_easy_reset(d->curl);
    set_options(d, reason);
    reason[0] = '\0';
    d->started = false;
    d->headers = (spl_response_headers){0};
    if (d->offset > 0) {
        snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-", d->offset);
        snprintf(condition, sizeof(condition), "If-Range: %s", version);
        headers = curl_slist_append(curl_slist_append(NULL, range), condition);
        curl_easy_setopt(d->curl, CURLOPT_HTTPHEADER, headers);
    }
    CURLcode code = curl_easy_perform(d->curl);
    curl_slist_free_all(headers);
    return code;
}

static void curl_free_p(CURL **curl) {
    curl_easy_cleanup(*curl);
}

int spl_transfer_text(const spl_transfer *transfer, char **ret_text, size_t *ret_size,
                      spl_error *ret_error) {
    SPL_CLEANUP(curl_free_p) CURL *curl = curl_easy_init();
    SPL_CLEANUP(spl_free_p) char *text = malloc(transfer->cap_bytes);
    if (!curl || !text)
        return spl_fail_memory(ret_error);
    download d = {.transfer = transfer, .curl = curl, .fd = -1, .text = text};
    char reason[CURL_ERROR_SIZE];
    const CURLcode code = request(&d, "", reason);
    if (d.error.status != SPL_OK)
        return spl_fail(ret_error, d.error.status, "%s", d.error.message);
    if (code != CURLE_OK)
        return fail_transfer(&d, code, reason, ret_error);
    *ret_text = SPL_STEAL(text);
    *ret_size = (size_t)d.done;
    return 0;
}

/* Repeats the request until the file is complete. */
static int run(download *d, spl_error *ret_error) {
    for (unsigned attempt = 1;; attempt++) {
        char version[VALIDATOR_MAX_BYTES], reason[CURL_ERROR_SIZE];
        recall_version(d->etag_path, version);
        const off_t size = lseek(d->fd, 0, SEEK_END);
        if (size < 0)
            return spl_fail_errno(ret_error, errno, "cannot write the download of %s",
                                  d->transfer->shown);
        d->offset = *version && (uint64_t)size <= d->transfer->cap_bytes ? (uint64_t)size : 0;
        d->done = d->offset;
        const uint64_t before = d->offset;
        const CURLcode code = request(d, version, reason);
        if (d->error.status != SPL_OK)
            return spl_fail(ret_error, d->error.status, "%s", d->error.message);
        if (code == CURLE_OK)
            return 0;
        long http = 0;
        curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &http);
        if (http == 416 && before > 0 && attempt < ATTEMPTS_MAX) {
            /* The partial file does not belong to the server's file: start over. */
            unlink(d->etag_path);
            continue;
        }
        if (!is_cut(code) || d->done <= before || attempt == ATTEMPTS_MAX)
            return fail_transfer(d, code, reason, ret_error);
    }
}

int spl_transfer_file(const spl_transfer *transfer, const char *path, spl_error *ret_error) {
    SPL_CLEANUP(curl_free_p) CURL *curl = curl_easy_init();
    SPL_CLEANUP(spl_free_p) char *etag_path = NULL;
    if (!curl || asprintf(&etag_path, "%s.etag", path) < 0)
        return spl_fail_memory(ret_error);
    SPL_CLEANUP(spl_close_p)
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot write %s", path);
    download d = {.transfer = transfer, .curl = curl, .fd = fd, .etag_path = etag_path};
    return run(&d, ret_error);
}
