/* SPDX-License-Identifier: MIT
 *
 * S3 with libcurl, which signs the requests. Presigned URLs are signed here:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 */
#include "service/blobs/s3_client.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/response_headers.h"
#include "service/outbound/resolve.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define CONNECT_MS       3000L
#define ANSWER_S         30L /* for requests with a small body or none */
#define ABORT_S          1L  /* for aborting a failed or canceled upload in parts */
#define SLOW_BYTES_S     2048L
#define SLOW_S           20L
#define TRIES            4
#define PAUSE_MS         200 /* before the second try; doubles with each further one */
#define ANSWER_MAX_BYTES ((size_t)4 << 20)
#define PART_BYTES       ((uint64_t)16 << 20)
#define PARTS_MAX        9000
#define SINGLE_MAX_BYTES (4 * PART_BYTES)
#define HANDLES_KEPT     16
#define KEY_MAX          256
#define TOKEN_MAX        2048
#define SECRET_MAX       256
#define EMPTY_SHA256     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct spl_s3_client {
    const spl_blobs_s3 *options;
    char *scope; /* for CURLOPT_AWS_SIGV4 */
    char *host;  /* NULL: an address */
    pthread_mutex_t lock;
    CURL *handles[HANDLES_KEPT]; /* with open connections, for reuse */
    size_t handle_count;
};

typedef struct request {
    const char *method; /* GET, HEAD, PUT, POST, DELETE */
    const char *key;    /* "": the bucket itself */
    const char *query;  /* sorted and escaped; NULL: none */
    const char *headers[4];
    const char *body;            /* for POST */
    int from_fd;                 /* for PUT: `size` bytes, beginning at `start` */
    uint64_t start, size;        /* `start` for GET into a file: where to resume */
    const char *sha256;          /* of the body; NULL: the body is empty */
    const spl_s3_target *target; /* NULL: the answer is kept as text */
    uint64_t position;           /* of the next byte in `target`; advances */
    unsigned tries;
    long answer_s; /* 0: ANSWER_S */
    const spl_blob_wait *wait;
} request;

typedef struct answer {
    long status;
    char etag[128], sha256[65];
    char *text; /* NUL-terminated */
    size_t text_size;
} answer;

/* The state of one try. */
typedef struct transfer {
    request *request;
    answer *answer;
    CURL *curl;
    const char *host;
    uint64_t sent;
    int number;              /* errno of a local failure */
    spl_error refusal;       /* of the target; status 0: none */
    bool too_long, accepted; /* too_long: do not retry; accepted: the status is known */
    bool canceled;
    spl_response_headers headers;
} transfer;

static void answer_free(answer *own) {
    free(own->text);
    *own = (answer){0};
}

static void headers_free(struct curl_slist **list) {
    curl_slist_free_all(*list);
}

/* -------------------------------------------------------------- SHA-256 ---- */

static int fail_canceled(spl_error *ret_error) {
    return spl_fail(ret_error, SPL_E_CANCELED, "the request to S3 was canceled");
}

/* Hashes `size` bytes of the file, beginning at `start`. */
static int hash_file(int fd, uint64_t start, uint64_t size, const spl_blob_wait *wait,
                     char ret_hex[65], spl_error *ret_error) {
    const spl_digest_source source = {.fd = fd,
                                      .name = "a blob",
                                      .start = start,
                                      .bytes = size,
                                      .canceled = wait ? wait->canceled : NULL,
                                      .user = wait ? wait->user : NULL};
    return spl_digest_file(&source, ret_hex, ret_error);
}

/* ------------------------------------------------------------- one try ---- */

static size_t send_body(char *buffer, size_t unit, size_t count, void *user) {
    transfer *own = user;
    const request *r = own->request;
    const size_t most = SPL_MIN((uint64_t)unit * count, r->size - own->sent);
    if (most == 0)
        return 0;
    const ssize_t got = pread(r->from_fd, buffer, most, (off_t)(r->start + own->sent));
    if (got <= 0) {
        own->number = got < 0 ? errno : EIO;
        return CURL_READFUNC_ABORT;
    }
    own->sent += (uint64_t)got;
    return (size_t)got;
}

static int rewind_body(void *user, curl_off_t offset, int origin) {
    transfer *own = user;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    own->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t keep_text(answer *own, const char *data, size_t size) {
    char *longer = realloc(own->text, own->text_size + size + 1);
    if (!longer)
        return 0;
    memcpy(longer + own->text_size, data, size);
    own->text = longer;
    own->text_size += size;
    own->text[own->text_size] = '\0';
    return size;
}

static size_t take_body(char *data, size_t unit, size_t count, void *user) {
    transfer *own = user;
    request *r = own->request;
    const size_t size = unit * count;
    if (!own->accepted) {
        curl_easy_getinfo(own->curl, CURLINFO_RESPONSE_CODE, &own->answer->status);
        own->accepted = true;
        if (r->target && r->start > 0 && own->answer->status == 200) {
            own->too_long = true; /* the whole object instead of the requested range */
            return CURL_WRITEFUNC_ERROR;
        }
    }
    if (!r->target || own->answer->status >= 300) {
        if (size > ANSWER_MAX_BYTES - own->answer->text_size) {
            own->too_long = true;
            return CURL_WRITEFUNC_ERROR;
        }
        return keep_text(own->answer, data, size);
    }
    spl_error error;
    if (r->target->put(r->target->user, data, size, r->position, &error) < 0) {
        own->refusal = error;
        return CURL_WRITEFUNC_ERROR;
    }
    r->position += size;
    return size;
}

static int check_canceled(void *user, curl_off_t to_receive, curl_off_t received,
                          curl_off_t to_send, curl_off_t sent) {
    (void)to_receive, (void)received, (void)to_send, (void)sent;
    transfer *own = user;
    own->canceled = spl_blob_wait_canceled(own->request->wait);
    return own->canceled;
}

/* CURLOPT_RESOLVER_START_FUNCTION. libcurl starts a thread that looks up the name, and a canceled
 * or late request leaves it behind. While the name server does not answer, all requests wait for
 * one lookup here instead. */
static int wait_for_name(void *state, void *reserved, void *user) {
    (void)state, (void)reserved;
    transfer *own = user;
    const spl_blob_wait *wait = own->request->wait;
    const spl_resolve resolve = {
        .host = own->host,
        .owner = "",
        .deadline_s = spl_now_s() + 1e-3 * CONNECT_MS,
        .canceled = wait ? wait->canceled : NULL,
        .user = wait ? wait->user : NULL,
    };
    SPL_CLEANUP(spl_free_p) char *addresses = NULL;
    const int status = spl_resolve_host(&resolve, &addresses, NULL);
    own->canceled |= status == SPL_E_CANCELED;
    return status < 0;
}

static void copy_header(CURL *curl, const char *name, char *ret_value, size_t size) {
    struct curl_header *header;
    const bool found = curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK;
    snprintf(ret_value, size, "%s", found ? header->value : "");
}

static int make_headers(const request *r, struct curl_slist **ret_list, spl_error *ret_error) {
    SPL_CLEANUP(headers_free) struct curl_slist *list = NULL;
    char hash[100];
    snprintf(hash, sizeof(hash), "x-amz-content-sha256: %s", r->sha256 ? r->sha256 : EMPTY_SHA256);
    list = curl_slist_append(NULL, hash);
    for (size_t i = 0; list && i < SPL_ARRAY_SIZE(r->headers) && r->headers[i]; i++) {
        struct curl_slist *longer = curl_slist_append(list, r->headers[i]);
        if (!longer)
            return spl_fail_memory(ret_error);
        list = longer;
    }
    if (!list)
        return spl_fail_memory(ret_error);
    *ret_list = SPL_STEAL(list);
    return 0;
}

static CURLcode set_options(const spl_s3_client *client, transfer *own, const char *url,
                            struct curl_slist *headers) {
    const request *r = own->request;
    CURL *curl = own->curl;
    CURLcode code = CURLE_OK;
#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(curl, CURLOPT_##option, value)
    SET(URL, url);
    SET(PATH_AS_IS, 1L);
    SET(PROTOCOLS_STR, "http,https");
    SET(NOPROXY, "*");
    SET(NOSIGNAL, 1L);
    SET(QUICK_EXIT, 1L); /* else libcurl finishes a name lookup after a cancel */
    if (client->host) {
        SET(RESOLVER_START_FUNCTION, wait_for_name);
        SET(RESOLVER_START_DATA, own);
    }
    SET(AWS_SIGV4, client->scope);
    SET(USERNAME, client->options->access_key_id);
    SET(PASSWORD, client->options->secret_access_key);
    SET(HTTPHEADER, headers);
    SET(CONNECTTIMEOUT_MS, CONNECT_MS);
    SET(HEADERFUNCTION, spl_response_headers_take);
    SET(HEADERDATA, &own->headers);
    SET(WRITEFUNCTION, take_body);
    SET(WRITEDATA, own);
    if (r->target || r->size > PART_BYTES / 16) {
        SET(LOW_SPEED_LIMIT, SLOW_BYTES_S);
        SET(LOW_SPEED_TIME, SLOW_S);
    } else {
        SET(TIMEOUT, r->answer_s ? r->answer_s : ANSWER_S);
    }
    if (r->wait) {
        SET(NOPROGRESS, 0L);
        SET(XFERINFOFUNCTION, check_canceled);
        SET(XFERINFODATA, own);
    }
    if (strcmp(r->method, "HEAD") == 0) {
        SET(NOBODY, 1L);
    } else if (strcmp(r->method, "PUT") == 0) {
        SET(UPLOAD, 1L);
        SET(INFILESIZE_LARGE, (curl_off_t)r->size);
        SET(READFUNCTION, send_body);
        SET(READDATA, own);
        SET(SEEKFUNCTION, rewind_body);
        SET(SEEKDATA, own);
    } else if (strcmp(r->method, "POST") == 0) {
        SET(POSTFIELDSIZE_LARGE, (curl_off_t)(r->body ? strlen(r->body) : 0));
        SET(POSTFIELDS, r->body ? r->body : "");
    } else if (strcmp(r->method, "DELETE") == 0) {
        SET(CUSTOMREQUEST, "DELETE");
    }
#undef SET
    return code;
}

static CURL *take_handle(spl_s3_client *client) {
    pthread_mutex_lock(&client->lock);
    CURL *curl = client->handle_count > 0 ? client->handles[--client->handle_count] : NULL;
    pthread_mutex_unlock(&client->lock);
    return curl ? curl : curl_easy_init();
}

static void give_handle(spl_s3_client *client, CURL *curl) {
    curl_easy_reset(curl); /* keeps its connections */
    pthread_mutex_lock(&client->lock);
    const bool kept = client->handle_count < HANDLES_KEPT;
    if (kept)
        client->handles[client->handle_count++] = curl;
    pthread_mutex_unlock(&client->lock);
    if (!kept)
        curl_easy_cleanup(curl);
}

/* Copies the text of the first element `name` of `xml`. False if it is missing, contains an entity,
 * or does not fit. */
static bool find_text(const char *xml, const char *name, char *ret_text, size_t size) {
    char tag[64];
    snprintf(tag, sizeof(tag), "<%s>", name);
    const char *start = xml ? strstr(xml, tag) : NULL;
    if (!start)
        return false;
    start += strlen(tag);
    const size_t length = strcspn(start, "<");
    if (length >= size || memchr(start, '&', length))
        return false;
    memcpy(ret_text, start, length);
    ret_text[length] = '\0';
    return true;
}

static int fail_answer(const request *r, const answer *got, spl_error *ret_error) {
    char code[64] = "";
    find_text(got->text, "Code", code, sizeof(code));
    spl_status status = SPL_E_IO;
    if (got->status == 404)
        status = SPL_E_NOT_FOUND;
    else if (got->status == 401 || got->status == 403)
        status = SPL_E_PERMISSION;
    else if (got->status == 507)
        status = SPL_E_NO_SPACE;
    return spl_fail(ret_error, status, "S3 answers %s %s with %ld%s%s", r->method,
                    *r->key ? r->key : "of the bucket", got->status, *code ? " " : "", code);
}

/* *ret_again: a retry may help. The caller frees the answer in any case. */
static int try_once(spl_s3_client *client, request *r, answer *got, bool *ret_again,
                    spl_error *ret_error) {
    *ret_again = false;
    SPL_CLEANUP(spl_free_p) char *url = NULL;
    SPL_CLEANUP(headers_free) struct curl_slist *headers = NULL;
    if (asprintf(&url, "%s/%s%s%s%s%s", client->options->endpoint, client->options->bucket,
                 *r->key ? "/" : "", r->key, r->query ? "?" : "", r->query ? r->query : "") < 0)
        return spl_fail_memory(ret_error);
    int status = make_headers(r, &headers, ret_error);
    if (status < 0)
        return status;
    transfer own = {.request = r, .answer = got, .curl = take_handle(client), .host = client->host};
    if (!own.curl)
        return spl_fail_memory(ret_error);
    CURLcode code = set_options(client, &own, url, headers);
    if (code == CURLE_OK)
        code = curl_easy_perform(own.curl);
    if (code == CURLE_OK) {
        curl_easy_getinfo(own.curl, CURLINFO_RESPONSE_CODE, &got->status);
        copy_header(own.curl, "ETag", got->etag, sizeof(got->etag));
        copy_header(own.curl, "x-amz-meta-sha256", got->sha256, sizeof(got->sha256));
    }
    give_handle(client, own.curl);
    if (own.canceled)
        return fail_canceled(ret_error);
    if (own.refusal.status < 0)
        return spl_fail(ret_error, own.refusal.status, "%s", own.refusal.message);
    if (own.number)
        return spl_fail_errno(ret_error, own.number, "cannot read or write a blob's file");
    if (own.headers.problem)
        return spl_fail(ret_error, SPL_E_IO, "S3 gave an invalid answer: its %s",
                        own.headers.problem);
    if (code == CURLE_OUT_OF_MEMORY)
        return spl_fail_memory(ret_error);
    if (code != CURLE_OK) {
        *ret_again = !own.too_long;
        return spl_fail(ret_error, SPL_E_IO, "S3 can't be reached: %s", curl_easy_strerror(code));
    }
    if (got->status >= 200 && got->status < 300)
        return 0;
    *ret_again = got->status >= 500 || got->status == 408 || got->status == 429;
    return fail_answer(r, got, ret_error);
}

static int run(spl_s3_client *client, request *r, answer *ret_answer, spl_error *ret_error) {
    const unsigned tries = r->tries ? r->tries : TRIES;
    for (unsigned i = 1;; i++) {
        SPL_CLEANUP(answer_free) answer got = {0};
        const uint64_t position = r->position;
        bool again;
        int status = try_once(client, r, &got, &again, ret_error);
        if (status == 0) {
            *ret_answer = got;
            got = (answer){0};
            return 0;
        }
        /* After progress, spl_s3_get resumes from the new position. */
        if (!again || i == tries || r->position != position)
            return status;
        usleep((PAUSE_MS * 1000) << (i - 1));
        if (spl_blob_wait_canceled(r->wait))
            return fail_canceled(ret_error);
    }
}

static int run_without_answer(spl_s3_client *client, request *r, spl_error *ret_error) {
    SPL_CLEANUP(answer_free) answer got = {0};
    return run(client, r, &got, ret_error);
}

/* -------------------------------------------------------------- storing ---- */

static int put_whole(spl_s3_client *client, const char *key, int fd, uint64_t size,
                     const char *sha256, const spl_blob_wait *wait, spl_error *ret_error) {
    char meta[100];
    snprintf(meta, sizeof(meta), "x-amz-meta-sha256: %s", sha256);
    return run_without_answer(client,
                              &(request){.method = "PUT",
                                         .key = key,
                                         .headers = {meta},
                                         .from_fd = fd,
                                         .size = size,
                                         .sha256 = sha256,
                                         .wait = wait},
                              ret_error);
}

typedef struct multipart {
    char id[1024];
    char *list; /* the body of the completing request */
    size_t list_size;
    FILE *listing;
} multipart;

static int start_parts(spl_s3_client *client, const char *key, const char *sha256,
                       const spl_blob_wait *wait, char ret_id[1024], spl_error *ret_error) {
    char meta[100];
    snprintf(meta, sizeof(meta), "x-amz-meta-sha256: %s", sha256);
    SPL_CLEANUP(answer_free) answer got = {0};
    int status =
        run(client,
            &(request){
                .method = "POST", .key = key, .query = "uploads=", .headers = {meta}, .wait = wait},
            &got, ret_error);
    if (status < 0)
        return status;
    char id[1000];
    if (!find_text(got.text, "UploadId", id, sizeof(id)))
        return spl_fail(ret_error, SPL_E_IO, "S3 gave no id for an upload in parts");
    char *escaped = curl_easy_escape(NULL, id, 0);
    if (!escaped)
        return spl_fail_memory(ret_error);
    const int length = snprintf(ret_id, 1024, "%s", escaped);
    curl_free(escaped);
    return length < 1024 ? 0 : spl_fail(ret_error, SPL_E_IO, "S3 gave too long an id");
}

static int put_parts(spl_s3_client *client, const char *key, int fd, uint64_t size,
                     multipart *parts, const spl_blob_wait *wait, spl_error *ret_error) {
    const uint64_t part_bytes = SPL_MAX(PART_BYTES, size / PARTS_MAX + 1);
    fputs("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
          parts->listing);
    for (uint64_t start = 0, number = 1; start < size; start += part_bytes, number++) {
        char query[1100], sha256[65];
        const uint64_t bytes = SPL_MIN(part_bytes, size - start);
        int status = hash_file(fd, start, bytes, wait, sha256, ret_error);
        if (status < 0)
            return status;
        snprintf(query, sizeof(query), "partNumber=%" PRIu64 "&uploadId=%s", number, parts->id);
        SPL_CLEANUP(answer_free) answer got = {0};
        status = run(client,
                     &(request){.method = "PUT",
                                .key = key,
                                .query = query,
                                .from_fd = fd,
                                .start = start,
                                .size = bytes,
                                .sha256 = sha256,
                                .wait = wait},
                     &got, ret_error);
        if (status < 0)
            return status;
        if (!got.etag[0] || strpbrk(got.etag, "<>&"))
            return spl_fail(ret_error, SPL_E_IO, "S3 gave no tag for a part");
        fprintf(parts->listing, "<Part><PartNumber>%" PRIu64 "</PartNumber><ETag>%s</ETag></Part>",
                number, got.etag);
    }
    fputs("</CompleteMultipartUpload>", parts->listing);
    return fflush(parts->listing) == 0 ? 0 : spl_fail_memory(ret_error);
}

static int complete_parts(spl_s3_client *client, const char *key, const multipart *parts,
                          const spl_blob_wait *wait, spl_error *ret_error) {
    char query[1100], sha256[65];
    snprintf(query, sizeof(query), "uploadId=%s", parts->id);
    SPL_CLEANUP(answer_free) answer got = {0};
    int status = spl_sha256_hex(parts->list, parts->list_size, sha256, ret_error);
    if (status < 0)
        return status;
    status = run(client,
                 &(request){.method = "POST",
                            .key = key,
                            .query = query,
                            .headers = {"Content-Type: application/xml"},
                            .body = parts->list,
                            .sha256 = sha256,
                            .wait = wait},
                 &got, ret_error);
    if (status == 0 && got.text && strstr(got.text, "<Error>"))
        status = fail_answer(&(request){.method = "POST", .key = key}, &got, ret_error);
    return status;
}

static int put_in_parts(spl_s3_client *client, const char *key, int fd, uint64_t size,
                        const char *sha256, const spl_blob_wait *wait, spl_error *ret_error) {
    multipart parts = {0};
    int status = start_parts(client, key, sha256, wait, parts.id, ret_error);
    if (status < 0)
        return status;
    parts.listing = open_memstream(&parts.list, &parts.list_size);
    if (!parts.listing)
        status = spl_fail_memory(ret_error);
    if (status == 0)
        status = put_parts(client, key, fd, size, &parts, wait, ret_error);
    if (parts.listing)
        fclose(parts.listing);
    if (status == 0)
        status = complete_parts(client, key, &parts, wait, ret_error);
    free(parts.list);
    if (status < 0) { /* if the abort fails too, the bucket's lifecycle removes the parts */
        char query[1100];
        snprintf(query, sizeof(query), "uploadId=%s", parts.id);
        (void)!run_without_answer(
            client,
            &(request){
                .method = "DELETE", .key = key, .query = query, .tries = 1, .answer_s = ABORT_S},
            NULL);
    }
    return status;
}

int spl_s3_put(spl_s3_client *client, const char *key, int fd, const spl_blob_wait *wait,
               spl_error *ret_error) {
    struct stat file;
    char sha256[65];
    if (fstat(fd, &file) < 0)
        return spl_fail_errno(ret_error, errno, "cannot read a blob");
    const uint64_t size = (uint64_t)file.st_size;
    int status = hash_file(fd, 0, size, wait, sha256, ret_error);
    if (status < 0)
        return status;
    return size <= SINGLE_MAX_BYTES ? put_whole(client, key, fd, size, sha256, wait, ret_error)
                                    : put_in_parts(client, key, fd, size, sha256, wait, ret_error);
}

/* ------------------------------------------------------------- fetching ---- */

/* Fetches the object from `*position` on, and advances it. *ret_sha256 is the hash stored with the
 * object, "" if there is none. */
static int get_rest(spl_s3_client *client, const char *key, const spl_s3_target *target,
                    const spl_blob_wait *wait, uint64_t *position, char ret_sha256[65],
                    spl_error *ret_error) {
    char range[64];
    snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-", *position);
    request r = {.method = "GET",
                 .key = key,
                 .headers = {*position > 0 ? range : NULL},
                 .start = *position,
                 .target = target,
                 .position = *position,
                 .wait = wait};
    SPL_CLEANUP(answer_free) answer got = {0};
    int status = run(client, &r, &got, ret_error);
    *position = r.position;
    if (status == 0)
        memcpy(ret_sha256, got.sha256, sizeof(got.sha256));
    return status;
}

int spl_s3_get(spl_s3_client *client, const char *key, const spl_s3_target *target,
               const spl_blob_wait *wait, spl_error *ret_error) {
    char expected[65] = "", actual[65];
    uint64_t position = 0;
    int status;
    for (unsigned stalled = 0;;) {
        const uint64_t before = position;
        status = get_rest(client, key, target, wait, &position, expected, ret_error);
        if (status != SPL_E_IO || position == 0)
            break;
        stalled = position - before >= SLOW_BYTES_S * SLOW_S ? 0 : stalled + 1;
        if (stalled > 1)
            break;
    }
    if (status == 0)
        status = hash_file(target->fd, 0, position, wait, actual, ret_error);
    if (status == 0 && strcmp(actual, expected) != 0)
        status =
            spl_fail(ret_error, SPL_E_IO,
                     "what S3 gives for %s is not what was stored: its SHA-256 is another", key);
    return status;
}

/* ------------------------------------------------- the server's own work ---- */

int spl_s3_probe(spl_s3_client *client, const spl_blob_wait *wait, spl_error *ret_error) {
    return run_without_answer(
        client, &(request){.method = "HEAD", .key = "", .tries = 1, .wait = wait}, ret_error);
}

int spl_s3_copy(spl_s3_client *client, const char *from_key, const char *to_key,
                const spl_blob_wait *wait, spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *source = NULL;
    if (asprintf(&source, "x-amz-copy-source: /%s/%s", client->options->bucket, from_key) < 0)
        return spl_fail_memory(ret_error);
    SPL_CLEANUP(answer_free) answer got = {0};
    int status =
        run(client, &(request){.method = "PUT", .key = to_key, .headers = {source}, .wait = wait},
            &got, ret_error);
    if (status == 0 && !(got.text && strstr(got.text, "CopyObjectResult")))
        status = fail_answer(&(request){.method = "PUT", .key = to_key}, &got, ret_error);
    return status;
}

int spl_s3_remove(spl_s3_client *client, const char *key, const spl_blob_wait *wait,
                  spl_error *ret_error) {
    int status = run_without_answer(
        client, &(request){.method = "DELETE", .key = key, .wait = wait}, ret_error);
    return status == SPL_E_NOT_FOUND ? 0 : status;
}

/* Visits the keys of one page. Foreign keys that find_text cannot read are skipped. */
static int visit_page(const char *xml, int (*visit)(void *user, const char *key), void *user) {
    int status = 0;
    char key[KEY_MAX];
    for (const char *at = xml; status == 0 && at && (at = strstr(at, "<Key>")); at++) {
        if (find_text(at, "Key", key, sizeof(key)))
            status = visit(user, key);
    }
    return status;
}

/* Reads whether another page follows, and replaces the token of this page by that of the next. */
static int find_next_page(const char *xml, bool *ret_more, char token[TOKEN_MAX],
                          spl_error *ret_error) {
    char truncated[8] = "", next[TOKEN_MAX];
    find_text(xml, "IsTruncated", truncated, sizeof(truncated));
    *ret_more = strcmp(truncated, "true") == 0;
    if (!*ret_more)
        return 0;
    if (!find_text(xml, "NextContinuationToken", next, sizeof(next)))
        return spl_fail(ret_error, SPL_E_IO, "S3 gave no token for the next page of a list");
    if (strcmp(next, token) == 0) /* the list would never end */
        return spl_fail(ret_error, SPL_E_IO, "S3 gave the token of a list's page twice");
    memcpy(token, next, sizeof(next));
    return 0;
}

int spl_s3_list(spl_s3_client *client, const char *prefix,
                int (*visit)(void *user, const char *key), void *user, const spl_blob_wait *wait,
                spl_error *ret_error) {
    char token[TOKEN_MAX] = "";
    for (bool more = true; more;) {
        SPL_CLEANUP(spl_free_p) char *query = NULL;
        char *start = curl_easy_escape(NULL, prefix, 0), *after = curl_easy_escape(NULL, token, 0);
        const bool made =
            start && after &&
            asprintf(&query, "%s%s%slist-type=2&prefix=%s", *token ? "continuation-token=" : "",
                     after, *token ? "&" : "", start) >= 0;
        curl_free(start);
        curl_free(after);
        if (!made)
            return spl_fail_memory(ret_error);
        SPL_CLEANUP(answer_free) answer got = {0};
        int status =
            run(client, &(request){.method = "GET", .key = "", .query = query, .wait = wait}, &got,
                ret_error);
        if (status == 0)
            status = visit_page(got.text, visit, user);
        if (status == 0)
            status = find_next_page(got.text, &more, token, ret_error);
        if (status != 0)
            return status;
    }
    return 0;
}

/* ----------------------------------------------------------- presigning ---- */

static void sign_with(const uint8_t *key, size_t key_size, const char *text,
                      uint8_t ret_mac[SHA256_DIGEST_LENGTH]) {
    unsigned size = SHA256_DIGEST_LENGTH;
    HMAC(EVP_sha256(), key, (int)key_size, (const uint8_t *)text, strlen(text), ret_mac, &size);
}

static void make_signature(const spl_blobs_s3 *options, const char *date, const char *text,
                           char ret_hex[65]) {
    uint8_t mac[SHA256_DIGEST_LENGTH];
    char first[SECRET_MAX + 5];
    snprintf(first, sizeof(first), "AWS4%s", options->secret_access_key);
    sign_with((const uint8_t *)first, strlen(first), date, mac);
    explicit_bzero(first, sizeof(first));
    sign_with(mac, sizeof(mac), options->region, mac);
    sign_with(mac, sizeof(mac), "s3", mac);
    sign_with(mac, sizeof(mac), "aws4_request", mac);
    sign_with(mac, sizeof(mac), text, mac);
    spl_hex(mac, sizeof(mac), ret_hex);
}

int spl_s3_presign(const spl_s3_client *client, const char *endpoint, const char *key,
                   const char *type, const char *disposition, unsigned seconds, char **ret_url,
                   spl_error *ret_error) {
    const spl_blobs_s3 *options = client->options;
    const time_t now = (time_t)(spl_wall_ms() / 1000);
    struct tm utc;
    char when[20], date[12], hash[65], signature[65];
    strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
    snprintf(date, sizeof(date), "%.8s", when);
    char *user = curl_easy_escape(NULL, options->access_key_id, 0);
    char *shown = curl_easy_escape(NULL, disposition, 0), *media = curl_easy_escape(NULL, type, 0);
    SPL_CLEANUP(spl_free_p) char *query = NULL;
    SPL_CLEANUP(spl_free_p) char *canonical = NULL;
    SPL_CLEANUP(spl_free_p) char *text = NULL;
    const char *host = strstr(endpoint, "://") + 3;
    const size_t host_length = strcspn(host, "/");
    bool whole = user && shown && media;
    whole = whole &&
            asprintf(&query,
                     "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%s%%2F%s%%2F%s%%2Fs3%%2F"
                     "aws4_request&X-Amz-Date=%s&X-Amz-Expires=%u&X-Amz-SignedHeaders=host"
                     "&response-content-disposition=%s&response-content-type=%s",
                     user, date, options->region, when, seconds, shown, media) >= 0;
    whole = whole &&
            asprintf(&canonical, "GET\n%s/%s/%s\n%s\nhost:%.*s\n\nhost\nUNSIGNED-PAYLOAD",
                     host + host_length, options->bucket, key, query, (int)host_length, host) >= 0;
    whole = whole && spl_sha256_hex(canonical, strlen(canonical), hash, NULL) == 0;
    whole = whole && asprintf(&text, "AWS4-HMAC-SHA256\n%s\n%s/%s/s3/aws4_request\n%s", when, date,
                              options->region, hash) >= 0;
    if (whole)
        make_signature(options, date, text, signature);
    whole = whole && asprintf(ret_url, "%s/%s/%s?%s&X-Amz-Signature=%s", endpoint, options->bucket,
                              key, query, signature) >= 0;
    curl_free(user);
    curl_free(shown);
    curl_free(media);
    return whole ? 0 : spl_fail_memory(ret_error);
}

/* --------------------------------------------------- opening, closing ---- */

/* *ret_host is NULL for an address, and owned by the caller. */
static int find_host(const char *endpoint, char **ret_host, spl_error *ret_error) {
    CURLU *url = curl_url();
    char *host = NULL;
    struct in6_addr address;
    int status = 0;
    if (url && curl_url_set(url, CURLUPART_URL, endpoint, 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK && *host != '[' &&
        inet_pton(AF_INET, host, &address) != 1 && !(*ret_host = strdup(host)))
        status = spl_fail_memory(ret_error);
    curl_free(host);
    curl_url_cleanup(url);
    return status;
}

int spl_s3_client_new(const spl_blobs_s3 *options, spl_s3_client **ret_client,
                      spl_error *ret_error) {
    if (strlen(options->secret_access_key) > SECRET_MAX)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "the secret access key of S3 is too long");
    spl_s3_client *client = calloc(1, sizeof(*client));
    if (!client || asprintf(&client->scope, "aws:amz:%s:s3", options->region) < 0) {
        free(client);
        return spl_fail_memory(ret_error);
    }
    int status = find_host(options->endpoint, &client->host, ret_error);
    if (status < 0) {
        free(client->scope);
        free(client);
        return status;
    }
    client->options = options;
    pthread_mutex_init(&client->lock, NULL);
    *ret_client = client;
    return 0;
}

void spl_s3_client_free(spl_s3_client *client) {
    if (!client)
        return;
    for (size_t i = 0; i < client->handle_count; i++)
        curl_easy_cleanup(client->handles[i]);
    pthread_mutex_destroy(&client->lock);
    free(client->scope);
    free(client->host);
    free(client);
}
