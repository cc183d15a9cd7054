/* SPDX-License-Identifier: MIT
 *
 * clamd's INSTREAM command (clamd(8)): "zINSTREAM\0", then chunks of a 32-bit big-endian length and
 * that many bytes, then a length of 0. The response ends with a NUL: "stream: OK", "stream: NAME
 * FOUND", or an error. One deadline covers connecting, sending and waiting.
 */
#include "service/scan/clamd.h"

#include "base/clock.h"
#include "service/outbound/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CHUNK_BYTES      (64 << 10)
#define ANSWER_MAX_BYTES 1024
#define ALIVE_TIMEOUT_S  2
#define POLL_MS          100

typedef struct clamd_session {
    int fd;
    double deadline_s;
    const spl_scan_wait *wait;
    char answer[ANSWER_MAX_BYTES + 1];
    size_t answer_size;
} clamd_session;

static void session_close(clamd_session *session) {
    if (session->fd >= 0)
        close(session->fd);
}

/* Waits until the socket is ready for one of `events`; *ret_events holds the ready ones. */
static int wait_for(const clamd_session *session, short events, short *ret_events,
                    spl_error *ret_error) {
    for (;;) {
        struct pollfd poll_fd = {.fd = session->fd, .events = events};
        const spl_scan_wait *wait = session->wait;
        const double left_s = session->deadline_s - spl_now_s();
        if (wait->canceled && wait->canceled(wait->user))
            return spl_fail(ret_error, SPL_E_CANCELED, "the scan was canceled");
        const int ready =
            left_s > 0 ? poll(&poll_fd, 1, (int)fmin(ceil(left_s * 1000), POLL_MS)) : 0;
        if (ready > 0) {
            *ret_events = poll_fd.revents;
            return 0;
        }
        if (ready < 0 && errno != EINTR)
            return spl_fail_errno(ret_error, errno, "cannot wait for clamd");
        if (left_s <= 0)
            return spl_fail(ret_error, SPL_E_IO, "clamd did not answer in %u s", wait->timeout_s);
    }
}

static int connect_to(clamd_session *session, const struct sockaddr *address, socklen_t length,
                      spl_error *ret_error) {
    session->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (session->fd < 0)
        return spl_fail_errno(ret_error, errno, "cannot make a socket for clamd");
    int failed = connect(session->fd, address, length) < 0 ? errno : 0;
    if (failed == EINPROGRESS) {
        short events;
        const int status = wait_for(session, POLLOUT, &events, ret_error);
        if (status < 0)
            return status;
        socklen_t size = sizeof(failed);
        if (getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &failed, &size) < 0)
            failed = errno;
    }
    if (failed)
        return spl_fail(ret_error, SPL_E_IO, "cannot connect to clamd: %s", strerror(failed));
    return 0;
}

static int connect_unix(clamd_session *session, const char *path, spl_error *ret_error) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return spl_fail(ret_error, SPL_E_ARGUMENT, "the path of clamd's socket is too long");
    memcpy(address.sun_path, path, strlen(path));
    return connect_to(session, (struct sockaddr *)&address, sizeof(address), ret_error);
}

/* `host` is an address. */
static int connect_address(clamd_session *session, const char *host, const char *port,
                           spl_error *ret_error) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "%s port %s is no address", host, port);
    session_close(session);
    const int status = connect_to(session, found->ai_addr, found->ai_addrlen, ret_error);
    freeaddrinfo(found);
    return status;
}

/* Tries the addresses of a name in their order. */
static int connect_name(clamd_session *session, const char *host, const char *port,
                        spl_error *ret_error) {
    const spl_resolve resolve = {
        .host = host,
        .owner = "",
        .deadline_s = session->deadline_s,
        .canceled = session->wait->canceled,
        .user = session->wait->user,
    };
    SPL_CLEANUP(spl_free_p) char *addresses = NULL;
    spl_error error;
    int status = spl_resolve_host(&resolve, &addresses, &error);
    if (status < 0)
        return spl_fail(ret_error, (spl_status)status, "cannot find clamd's host %s: %s", host,
                        error.message);
    status = SPL_E_IO;
    char *rest = addresses, *address;
    while (status == SPL_E_IO && (address = strsep(&rest, ",")) && *address) {
        if (*address == '[')
            *strchr(++address, ']') = '\0';
        status = connect_address(session, address, port, ret_error);
    }
    return status;
}

static int connect_tcp(clamd_session *session, const char *host_and_port, spl_error *ret_error) {
    const char *colon = strrchr(host_and_port, ':');
    SPL_CLEANUP(spl_free_p)
    char *host = colon ? strndup(host_and_port, (size_t)(colon - host_and_port)) : NULL;
    if (!colon)
        return spl_fail(ret_error, SPL_E_ARGUMENT, "tcp:%s names no port", host_and_port);
    if (!host)
        return spl_fail_memory(ret_error);
    const int status = connect_address(session, host, colon + 1, ret_error);
    return status == SPL_E_ARGUMENT ? connect_name(session, host, colon + 1, ret_error) : status;
}

static int session_open(const char *socket_name, const spl_scan_wait *wait, clamd_session *session,
                        spl_error *ret_error) {
    *session = (clamd_session){.fd = -1, .deadline_s = spl_now_s() + wait->timeout_s, .wait = wait};
    if (strncmp(socket_name, "unix:", 5) == 0)
        return connect_unix(session, socket_name + 5, ret_error);
    if (strncmp(socket_name, "tcp:", 4) == 0)
        return connect_tcp(session, socket_name + 4, ret_error);
    return spl_fail(ret_error, SPL_E_ARGUMENT,
                    "%s names no socket of clamd; write unix:PATH or tcp:HOST:PORT", socket_name);
}

/* Sends all data. *ret_sent is false when clamd responds first or closes the connection. */
static int send_all(clamd_session *session, const void *data, size_t size, bool *ret_sent,
                    spl_error *ret_error) {
    const char *bytes = data;
    while (size > 0) {
        short events;
        const int status = wait_for(session, POLLIN | POLLOUT, &events, ret_error);
        if (status < 0)
            return status;
        const ssize_t sent =
            events & POLLIN ? -1 : send(session->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (events & POLLIN || (sent < 0 && (errno == EPIPE || errno == ECONNRESET))) {
            *ret_sent = false;
            return 0;
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return spl_fail_errno(ret_error, errno, "cannot send to clamd");
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        }
    }
    *ret_sent = true;
    return 0;
}

static int send_file(clamd_session *session, int file_fd, bool *ret_sent, spl_error *ret_error) {
    static const char command[] = "zINSTREAM";
    struct {
        uint32_t length;
        char data[CHUNK_BYTES];
    } chunk;
    off_t offset = 0;
    int status = send_all(session, command, sizeof(command), ret_sent, ret_error);
    while (status == 0 && *ret_sent) {
        const ssize_t size = pread(file_fd, chunk.data, sizeof(chunk.data), offset);
        if (size < 0)
            return spl_fail_errno(ret_error, errno, "cannot read the file to scan");
        chunk.length = htonl((uint32_t)size);
        offset += size;
        status =
            send_all(session, &chunk, sizeof(chunk.length) + (size_t)size, ret_sent, ret_error);
        if (size == 0)
            break;
    }
    return status;
}

/* Receives the response, up to its NUL and the end of the connection. */
static int receive_answer(clamd_session *session, spl_error *ret_error) {
    for (;;) {
        short events;
        const int status = wait_for(session, POLLIN, &events, ret_error);
        if (status < 0)
            return status;
        const ssize_t size = recv(session->fd, session->answer + session->answer_size,
                                  sizeof(session->answer) - session->answer_size, MSG_DONTWAIT);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (size < 0)
            return spl_fail_errno(ret_error, errno, "clamd closed the connection");
        if (size == 0)
            break;
        session->answer_size += (size_t)size;
        if (session->answer_size == sizeof(session->answer))
            return spl_fail(ret_error, SPL_E_FORMAT, "clamd's answer has more than %d bytes",
                            ANSWER_MAX_BYTES);
    }
    if (session->answer_size == 0)
        return spl_fail(ret_error, SPL_E_IO, "clamd closed the connection without an answer");
    if (strnlen(session->answer, session->answer_size) != session->answer_size - 1)
        return spl_fail(ret_error, SPL_E_FORMAT, "clamd's answer does not end in a NUL");
    for (const char *c = session->answer; *c; c++) {
        if (*c < ' ' || *c > '~')
            return spl_fail(ret_error, SPL_E_FORMAT, "clamd's answer is not plain text");
    }
    return 0;
}

int spl_clamd_parse_answer(const char *answer, bool all_sent, spl_scan_verdict *ret_verdict,
                           char ret_signature[128], spl_error *ret_error) {
    static const char stream[] = "stream: ", found[] = " FOUND";
    if (strcmp(answer, "INSTREAM size limit exceeded. ERROR") == 0)
        return spl_fail(ret_error, SPL_E_LIMIT,
                        "the file is larger than clamd scans; raise its StreamMaxLength");
    if (strncmp(answer, stream, strlen(stream)) != 0)
        return spl_fail(ret_error, SPL_E_FORMAT, "clamd answered: %.200s", answer);
    const char *result = answer + strlen(stream);
    const size_t length = strlen(result);
    if (strcmp(result, "OK") == 0) {
        if (!all_sent)
            return spl_fail(ret_error, SPL_E_FORMAT, "clamd answered before it had the whole file");
        *ret_verdict = SPL_SCAN_CLEAN;
        return 0;
    }
    if (length <= strlen(found) || strcmp(result + length - strlen(found), found) != 0)
        return spl_fail(ret_error, SPL_E_FORMAT, "clamd answered: %.200s", answer);
    snprintf(ret_signature, 128, "%.*s", (int)SPL_MIN(length - strlen(found), 127), result);
    *ret_verdict = SPL_SCAN_INFECTED;
    return 0;
}

int spl_clamd_scan(const char *socket, int fd, const spl_scan_wait *wait,
                   spl_scan_verdict *ret_verdict, char ret_signature[128], spl_error *ret_error) {
    SPL_CLEANUP(session_close) clamd_session session;
    bool all_sent = false;
    int status = session_open(socket, wait, &session, ret_error);
    if (status == 0)
        status = send_file(&session, fd, &all_sent, ret_error);
    if (status == 0)
        status = receive_answer(&session, ret_error);
    if (status < 0)
        return status;
    return spl_clamd_parse_answer(session.answer, all_sent, ret_verdict, ret_signature, ret_error);
}

bool spl_clamd_alive(const char *socket) {
    static const char command[] = "zPING";
    SPL_CLEANUP(session_close) clamd_session session;
    bool sent;
    const spl_scan_wait wait = {.timeout_s = ALIVE_TIMEOUT_S};
    return session_open(socket, &wait, &session, NULL) == 0 &&
           send_all(&session, command, sizeof(command), &sent, NULL) == 0 && sent &&
           receive_answer(&session, NULL) == 0 && strcmp(session.answer, "PONG") == 0;
}
