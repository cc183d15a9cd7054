/* SPDX-License-Identifier: MIT
 *
 * libcurl with restricted options. A URL is checked twice: its text before the request, and each
 * address when its socket is created. The second check follows name resolution, so DNS cannot
 * bypass it. libcurl looks up no names itself: the number of its threads would have no limit.
 */
#include "service/outbound/outbound.h"

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/response_headers.h"
#include "service/outbound/address.h"
#include "service/outbound/resolve.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define URL_MAX_LENGTH 2048
#define RATE_WINDOW_S  10L

typedef struct transfer {
    const spl_outbound *request;
    bool plain;      /* http: the address must be in the allow-list */
    char denied[64]; /* the last denied address */
    uint64_t bytes;
    double deadline_s;
    struct curl_slist *addresses; /* CURLOPT_RESOLVE; NULL: the host is an address */
    spl_response_headers headers;
    bool cut;         /* the rest of an unneeded response was not received */
    int stopped;      /* the status with which this side ended it, or 0 */
    int socket_errno; /* of the last socket that could not be made, or 0 */
} transfer;

static void url_free_p(CURLU **url) {
    curl_url_cleanup(*url);
}

static void text_free_p(char **text) {
    curl_free(*text);
}

static void handle_free_p(CURL **handle) {
    curl_easy_cleanup(*handle);
}

static void list_free_p(struct curl_slist **list) {
    curl_slist_free_all(*list);
}

int spl_outbound_start(spl_error *ret_error) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return spl_fail(ret_error, SPL_E_IO, "libcurl does not start");
    return 0;
}

static bool address_allowed(const char *allow, bool plain, const struct sockaddr *address) {
    return (!plain && spl_address_public(address)) || spl_cidr_contains(allow, address);
}

/* Fills `ret_address` when `host` is an address; returns false for a name. */
static bool parse_literal(const char *host, struct sockaddr_storage *ret_address) {
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    char bare[INET6_ADDRSTRLEN];
    const size_t length = strlen(host);
    *ret_address = (struct sockaddr_storage){0};
    if (host[0] == '[' && length > 2 && length - 2 < sizeof(bare)) {
        snprintf(bare, sizeof(bare), "%.*s", (int)(length - 2), host + 1);
        if (inet_pton(AF_INET6, bare, &ipv6.sin6_addr) != 1)
            return false;
        memcpy(ret_address, &ipv6, sizeof(ipv6));
        return true;
    }
    if (inet_pton(AF_INET, host, &ipv4.sin_addr) != 1)
        return false;
    memcpy(ret_address, &ipv4, sizeof(ipv4));
    return true;
}

/* Checks a URL as far as possible without a connection. `any`: the operator set the URL, so http
 * and all addresses are allowed. */
static int check_url(const char *text, const char *allow, bool any, CURLU **ret_url,
                     bool *ret_plain, spl_error *ret_error) {
    if (strlen(text) > URL_MAX_LENGTH)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "the URL has more than %d characters",
                        URL_MAX_LENGTH);
    for (const char *c = text; *c; c++) {
        if (*c <= ' ' || *c == '\\' || *c >= 0x7f)
            return spl_fail(ret_error, SPL_E_ARGUMENT,
                            "the URL has a blank, a backslash or a character that is not ASCII; "
                            "encode it");
    }
    /* libcurl also accepts "https:/host" and "host" alone, which other programs interpret
     * differently. */
    if (strncasecmp(text, "https://", 8) != 0 && strncasecmp(text, "http://", 7) != 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "the URL must start with https://");
    SPL_CLEANUP(url_free_p) CURLU *url = curl_url();
    if (!url)
        return spl_fail_memory(ret_error);
    const CURLUcode code = curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER);
    if (code == CURLUE_OUT_OF_MEMORY)
        return spl_fail_memory(ret_error);
    if (code == CURLUE_USER_NOT_ALLOWED)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "the URL holds credentials; remove them");
    if (code != CURLUE_OK)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "the URL can't be used: %s",
                        curl_url_strerror(code));

    SPL_CLEANUP(text_free_p) char *scheme = NULL;
    SPL_CLEANUP(text_free_p) char *host = NULL;
    if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
        return spl_fail(ret_error, SPL_E_ARGUMENT, "the URL has no host");
    }
    const bool plain = strcmp(scheme, "http") == 0;
    if (plain && !any && !*allow)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "the URL must start with https://; http is for hosts that the operator "
                        "allowed");

    struct sockaddr_storage address;
    if (!any && parse_literal(host, &address) &&
        !address_allowed(allow, plain, (struct sockaddr *)&address)) {
        return spl_fail(ret_error, SPL_E_PERMISSION, "the address %s is not allowed", host);
    }
    *ret_url = SPL_STEAL(url);
    *ret_plain = plain && !any;
    return 0;
}

int spl_outbound_check_url(const char *url, const char *allow, spl_error *ret_error) {
    SPL_CLEANUP(url_free_p) CURLU *parsed = NULL;
    bool plain;
    return check_url(url, allow, false, &parsed, &plain, ret_error);
}

void spl_outbound_host(const char *url, char *ret_host, size_t size) {
    SPL_CLEANUP(url_free_p) CURLU *parsed = curl_url();
    SPL_CLEANUP(text_free_p) char *host = NULL;
    ret_host[0] = '\0';
    if (!parsed || curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return;
    const size_t length = strlen(host);
    snprintf(ret_host, size, "%s", host + (length < size ? 0 : length - size + 1));
    for (char *c = ret_host; *c; c++)
        *c = (char)tolower((unsigned char)*c);
}

static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)purpose;
    transfer *run = user;
    if (!run->request->allow_private &&
        !address_allowed(run->request->allow, run->plain, &address->addr)) {
        spl_address_text(&address->addr, run->denied);
        return CURL_SOCKET_BAD;
    }
    const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    run->socket_errno = fd < 0 ? errno : 0;
    return fd;
}

static size_t take_data(char *data, size_t unit, size_t count, void *user) {
    transfer *run = user;
    const spl_outbound *request = run->request;
    const size_t size = unit * count; /* unit is always 1 */
    if (size > request->max_bytes - run->bytes) {
        run->cut = !request->write;
        run->stopped = SPL_E_LIMIT;
        return CURL_WRITEFUNC_ERROR;
    }
    const int status = request->write ? request->write(request->user, data, size) : 0;
    if (status < 0) {
        run->stopped = status;
        return CURL_WRITEFUNC_ERROR;
    }
    run->bytes += size;
    return size;
}

static int check_canceled(void *user, curl_off_t to_receive, curl_off_t received,
                          curl_off_t to_send, curl_off_t sent) {
    (void)to_receive, (void)received, (void)to_send, (void)sent;
    transfer *run = user;
    if (!run->request->canceled(run->request->user))
        return 0;
    run->stopped = SPL_E_CANCELED;
    return 1;
}

/* *ret_list is owned by the caller. */
static int make_headers(const spl_outbound *request, struct curl_slist **ret_list,
                        spl_error *ret_error) {
    SPL_CLEANUP(list_free_p) struct curl_slist *list = NULL;
    static const char *const quiet[] = {"Expect:", NULL};
    const char *const *sources[] = {quiet, request->headers};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(sources); i++) {
        for (const char *const *header = sources[i]; header && *header; header++) {
            struct curl_slist *longer = curl_slist_append(list, *header);
            if (!longer)
                return spl_fail_memory(ret_error);
            list = longer;
        }
    }
    *ret_list = SPL_STEAL(list);
    return 0;
}

/* libcurl calls this before it looks up a name, so the name is not in CURLOPT_RESOLVE. */
static int refuse_lookup(void *state, void *reserved, void *user) {
    (void)state, (void)reserved, (void)user;
    return 1;
}

/* Sets run->addresses, owned by the caller. */
static int look_up(CURLU *url, transfer *run, spl_error *ret_error) {
    const spl_outbound *request = run->request;
    SPL_CLEANUP(text_free_p) char *host = NULL;
    SPL_CLEANUP(text_free_p) char *port = NULL;
    SPL_CLEANUP(spl_free_p) char *addresses = NULL;
    SPL_CLEANUP(spl_free_p) char *entry = NULL;
    struct sockaddr_storage literal;
    if (curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        return spl_fail_memory(ret_error);
    if (*host == '[' || parse_literal(host, &literal))
        return 0;
    const spl_resolve resolve = {
        .host = host,
        .owner = request->owner ? request->owner : "",
        .deadline_s = run->deadline_s,
        .canceled = request->canceled,
        .user = request->user,
    };
    int status = spl_resolve_host(&resolve, &addresses, ret_error);
    if (status < 0)
        return status;
    if (asprintf(&entry, "%s:%s:%s", host, port, addresses) < 0 ||
        !(run->addresses = curl_slist_append(NULL, entry)))
        return spl_fail_memory(ret_error);
    return 0;
}

static CURLcode set_options(CURL *curl, CURLU *url, struct curl_slist *headers, transfer *run) {
    const spl_outbound *request = run->request;
    CURLcode code = CURLE_OK;
#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(curl, (option), (value))
    SET(CURLOPT_CURLU, url);
    SET(CURLOPT_PROTOCOLS_STR, request->allow_private || run->plain ? "http,https" : "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_RESOLVE, run->addresses);
    if (run->addresses)
        SET(CURLOPT_RESOLVER_START_FUNCTION, refuse_lookup);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_USERAGENT, "spleeterd");
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_TIMEOUT_MS, SPL_MAX(1, (long)(1000 * (run->deadline_s - spl_now_s()))));
    if (request->min_rate_bytes_s > 0) {
        SET(CURLOPT_LOW_SPEED_LIMIT, (long)request->min_rate_bytes_s);
        SET(CURLOPT_LOW_SPEED_TIME, RATE_WINDOW_S);
    }
    if (request->write)
        SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)SPL_MIN(request->max_bytes, INT64_MAX));
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, run);
    SET(CURLOPT_HEADERFUNCTION, spl_response_headers_take);
    SET(CURLOPT_HEADERDATA, &run->headers);
    SET(CURLOPT_WRITEFUNCTION, take_data);
    SET(CURLOPT_WRITEDATA, run);
    if (request->body) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDS, request->body);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
    }
    if (request->canceled) {
        SET(CURLOPT_NOPROGRESS, 0L);
        SET(CURLOPT_XFERINFOFUNCTION, check_canceled);
        SET(CURLOPT_XFERINFODATA, run);
    }
#undef SET
    return code;
}

/* libcurl 7.88 reports CURLE_OUT_OF_MEMORY for a header line that is too long; the response has
 * then begun. */
static bool is_headers_too_long(CURL *curl, CURLcode code) {
    curl_off_t first_byte_us = 0;
    return code == CURLE_OUT_OF_MEMORY &&
           curl_easy_getinfo(curl, CURLINFO_STARTTRANSFER_TIME_T, &first_byte_us) == CURLE_OK &&
           first_byte_us > 0;
}

/* Whether the transfer failed because no descriptor was left. */
static bool is_exhausted(const transfer *run, CURLcode code) {
    return run->socket_errno == EMFILE || run->socket_errno == ENFILE ||
           (code == CURLE_OUT_OF_MEMORY && spl_descriptors_left() == 0);
}

static int fail_transfer(const transfer *run, CURL *curl, CURLcode code, spl_error *ret_error) {
    if (code == CURLE_COULDNT_CONNECT && run->denied[0])
        return spl_fail(ret_error, SPL_E_PERMISSION,
                        "the host's address %s is not allowed: it is not public, and not in the "
                        "operator's list",
                        run->denied);
    if (is_exhausted(run, code))
        return spl_fail_errno(ret_error, run->socket_errno ? run->socket_errno : EMFILE,
                              "cannot make a connection");
    if (run->stopped == SPL_E_LIMIT || code == CURLE_FILESIZE_EXCEEDED)
        return spl_fail(ret_error, SPL_E_LIMIT, "the answer has more than %" PRIu64 " bytes",
                        run->request->max_bytes);
    if (run->stopped == SPL_E_CANCELED)
        return spl_fail(ret_error, SPL_E_CANCELED, "the request was canceled");
    if (run->stopped)
        return spl_fail(ret_error, (spl_status)run->stopped, "the answer could not be kept: %s",
                        spl_status_text(run->stopped));
    if (run->headers.problem || is_headers_too_long(curl, code))
        return spl_fail(ret_error, SPL_E_IO, "the answer's %s",
                        run->headers.problem ? run->headers.problem : "headers are too long");
    if (code == CURLE_OUT_OF_MEMORY)
        return spl_fail_memory(ret_error);
    if (code == CURLE_URL_MALFORMAT)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "the URL can't be used: %s",
                        curl_easy_strerror(code));
    if (code == CURLE_OPERATION_TIMEDOUT)
        return spl_fail(ret_error, SPL_E_IO,
                        run->request->min_rate_bytes_s > 0
                            ? "there was no whole answer in %u s, or fewer than %u bytes a second"
                            : "there was no whole answer in %u s",
                        run->request->timeout_s, run->request->min_rate_bytes_s);
    return spl_fail(ret_error, SPL_E_IO, "%s", curl_easy_strerror(code));
}

int spl_outbound_run(const spl_outbound *request, spl_outbound_answer *ret_answer,
                     spl_error *ret_error) {
    assert(request->timeout_s > 0);
    transfer run = {.request = request, .deadline_s = spl_now_s() + request->timeout_s};
    SPL_CLEANUP(url_free_p) CURLU *url = NULL;
    int status = check_url(request->url, request->allow, request->allow_private, &url, &run.plain,
                           ret_error);
    if (status < 0)
        return status;
    SPL_CLEANUP(list_free_p) struct curl_slist *headers = NULL;
    status = make_headers(request, &headers, ret_error);
    if (status < 0)
        return status;
    SPL_CLEANUP(list_free_p) struct curl_slist *addresses = NULL;
    SPL_CLEANUP(handle_free_p) CURL *curl = curl_easy_init();
    if (!curl)
        return spl_fail_memory(ret_error);
    status = look_up(url, &run, ret_error);
    addresses = run.addresses;
    if (status < 0)
        return status;

    CURLcode code = set_options(curl, url, headers, &run);
    if (code == CURLE_OK)
        code = curl_easy_perform(curl);
    if (code != CURLE_OK && !run.cut)
        return fail_transfer(&run, curl, code, ret_error);

    spl_outbound_answer answer = {.bytes = run.bytes};
    const char *type = NULL;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    snprintf(answer.content_type, sizeof(answer.content_type), "%s", type ? type : "");
    *ret_answer = answer;
    return 0;
}
