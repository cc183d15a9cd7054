/* SPDX-License-Identifier: MIT
 *
 * Starts and stops libmicrohttpd.
 */
#include "service/http/connection/state.h"

#include "base/clock.h"
#include "service/http/connection/callbacks.h"
#include "service/http/connection/limits.h"
#include "service/http/connection/listen.h"
#include "service/http/connection/readers.h"
#include "service/observe/log.h"
#include "service/observe/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CONNECTION_BYTES ((size_t)64 << 10) /* headers, and the buffer for bodies */
#define READS_MAX        16384

/* TLS 1.3, and the suites of TLS 1.2 with forward secrecy and authenticated encryption. */
#define TLS_PRIORITIES                                                                             \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:"                  \
    "-CIPHER-ALL:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:-MAC-ALL:+AEAD:%SERVER_PRECEDENCE"

static enum MHD_Result admit(void *user, const struct sockaddr *address, socklen_t size) {
    (void)size;
    spl_http *http = user;
    return spl_guard_admits(http->guard, address) ? MHD_YES : MHD_NO;
}

static void watch_connection(void *user, struct MHD_Connection *connection, void **context,
                             enum MHD_ConnectionNotificationCode what) {
    spl_http *http = user;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        spl_metrics_add(SPL_GAUGE_CONNECTIONS, -1);
        if (*context)
            spl_guard_leave(http->guard, *context);
        return;
    }
    spl_metrics_add(SPL_GAUGE_CONNECTIONS, 1);
    const int fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    const struct sockaddr *address =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    *context = spl_guard_enter(http->guard, address, fd);
    if (!*context)
        shutdown(fd, SHUT_RDWR);
}

/* Returns how many connections there may be. */
static int count_connections(const spl_settings *settings, unsigned *ret_connections,
                             spl_error *ret_error) {
    const int status = spl_connections_fit(settings, ret_connections, ret_error);
    if (status == 0 && *ret_connections < settings->connections)
        spl_log(SPL_LOG_WARNING, "http.fewer_connections",
                SPL_INTEGER("connections", *ret_connections),
                SPL_INTEGER("wanted", settings->connections));
    return status;
}

static int read_certificate(spl_http *http, spl_error *ret_error) {
    const spl_settings *settings = http->parts.settings;
    if (!*settings->tls_certificate)
        return 0;
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES ||
        MHD_is_feature_supported(MHD_FEATURE_HTTPS_CERT_CALLBACK) != MHD_YES)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "this build of libmicrohttpd has no TLS; put a proxy in front");
    return spl_certificate_open(settings->tls_certificate, settings->tls_key, &http->certificate,
                                ret_error);
}

/* Retries log an error only if it is another one. */
static void refresh_certificate(spl_http *http, bool now) {
    bool changed;
    spl_error error;
    if (!http->certificate)
        return;
    if (spl_certificate_refresh(http->certificate, now, &changed, &error) < 0) {
        if (now || strcmp(http->certificate_error.message, error.message) != 0)
            spl_log(SPL_LOG_ERROR, "http.certificate_not_read", SPL_TEXT("error", error.message));
        http->certificate_error = error;
    } else if (changed) {
        http->certificate_error = (spl_error){0};
        spl_log(SPL_LOG_INFO, "http.certificate_read");
    }
}

static int start_daemon(spl_http *http, int fd, unsigned connections, spl_error *ret_error) {
    const struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)spl_request_library_log, http},
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        /* Beyond this limit libmicrohttpd resets new connections, whoever they come from. */
        {MHD_OPTION_CONNECTION_LIMIT,
         connections + SPL_GUARD_ENDING(connections) + SPL_GUARD_RESERVE, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, CONNECTION_BYTES / 4, NULL},
        {MHD_OPTION_THREAD_STACK_SIZE, SPL_HTTP_STACK_BYTES, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, spl_library_can_be_strict(), NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)watch_connection, http},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)spl_request_begin, http},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)spl_request_end, http},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem tls_options[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)spl_certificate_retrieve},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    const unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                           MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    errno = 0;
    if (http->certificate)
        http->daemon = MHD_start_daemon(flags | MHD_USE_TLS, 0, admit, http, spl_request_handle,
                                        http, MHD_OPTION_ARRAY, options, MHD_OPTION_ARRAY,
                                        tls_options, MHD_OPTION_END);
    else
        http->daemon = MHD_start_daemon(flags, 0, admit, http, spl_request_handle, http,
                                        MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (!http->daemon)
        return spl_fail(ret_error, SPL_E_IO, "cannot start the HTTP server%s%s", errno ? ": " : "",
                        errno ? strerror(errno) : "");
    return 0;
}

int spl_http_start(const spl_http_parts *parts, spl_http **ret_http, spl_error *ret_error) {
    spl_http *http = calloc(1, sizeof(*http));
    if (!http)
        return spl_fail_memory(ret_error);
    http->parts = *parts;
    pthread_mutex_init(&http->readiness.lock, NULL);
    unsigned connections = 0;
    SPL_CLEANUP(spl_close_p) int fd = -1;
    int status = count_connections(parts->settings, &connections, ret_error);
    if (status == 0)
        status = read_certificate(http, ret_error);
    if (status == 0)
        status = spl_listen(parts->settings, &fd, &http->address, ret_error);
    if (status == 0)
        status = spl_guard_start(parts->settings, connections, &http->guard, ret_error);
    if (status == 0)
        status = spl_anonymous_new(parts->audit, &http->anonymous, ret_error);
    if (status == 0)
        status = spl_rate_table_new(READS_MAX, &http->reads, ret_error);
    if (status == 0)
        status = start_daemon(http, fd, connections, ret_error);
    if (status < 0) {
        spl_http_stop(http, 0);
        return status;
    }
    fd = -1; /* owned by the daemon now */
    *ret_http = http;
    return 0;
}

const spl_listen_address *spl_http_address(const spl_http *http) {
    return &http->address;
}

void spl_http_tick(spl_http *http) {
    spl_readers_check(http);
    spl_anonymous_report(http->anonymous, spl_now_s());
    refresh_certificate(http, false);
}

void spl_http_reload(spl_http *http) {
    refresh_certificate(http, true);
}

void spl_http_drain(spl_http *http) {
    atomic_store(&http->draining, true);
    spl_metrics_set(SPL_GAUGE_READY, 0);
}

void spl_http_stop(spl_http *http, unsigned grace_s) {
    atomic_store(&http->draining, true);
    atomic_store(&http->stopping, true);
    const double deadline_s = spl_now_s() + grace_s;
    while (http->daemon && spl_guard_busy(http->guard) > 0 && spl_now_s() < deadline_s)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    if (http->guard)
        spl_guard_stop(http->guard);
    spl_anonymous_free(http->anonymous);
    spl_rate_table_free(http->reads);
    spl_certificate_free(http->certificate);
    pthread_mutex_destroy(&http->readiness.lock);
    explicit_bzero(http->parts.secret, sizeof(http->parts.secret));
    free(http);
}
