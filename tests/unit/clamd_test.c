/* SPDX-License-Identifier: MIT
 *
 * The clamd client against a peer with unusual answers. tests/service uses a real clamd.
 */
#include "base/clock.h"
#include "service/scan/clamd.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

/* A peer that accepts one connection. It reads the whole stream, or only the first bytes if
 * `early`, then sends the answer and closes. With `hang` it keeps the connection open until the
 * client closes. */
typedef struct peer {
    const char *answer;
    size_t answer_size;
    bool early, hang;
    int listener;
    char name[128];
    pthread_t thread;

    uint8_t received[300000]; /* the content of the chunks */
    size_t received_size;
    bool ended; /* a chunk of length 0 was received */
    char command[16];
} peer;

static peer the_peer;

static bool receive_all(int fd, void *data, size_t size) {
    return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

static void receive_stream(peer *self, int fd) {
    uint32_t length;
    while (receive_all(fd, &length, sizeof(length))) {
        const size_t size = ntohl(length);
        if (size == 0) {
            self->ended = true;
            return;
        }
        assert_true(size <= sizeof(self->received) - self->received_size);
        if (!receive_all(fd, self->received + self->received_size, size))
            return;
        self->received_size += size;
    }
}

static void *serve(void *user) {
    peer *self = user;
    int fd = accept(self->listener, NULL, NULL);
    for (size_t i = 0; i < sizeof(self->command) && receive_all(fd, self->command + i, 1); i++) {
        if (!self->command[i])
            break;
    }
    if (!self->early && strcmp(self->command, "zINSTREAM") == 0)
        receive_stream(self, fd);
    send(fd, self->answer, self->answer_size, MSG_NOSIGNAL);
    char rest[4096];
    while (self->hang && recv(fd, rest, sizeof(rest), 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void start(const char *answer, size_t size) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    the_peer = (peer){.answer = answer, .answer_size = size};
    the_peer.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(the_peer.listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(the_peer.listener, 1), 0);
    getsockname(the_peer.listener, (struct sockaddr *)&address, &length);
    snprintf(the_peer.name, sizeof(the_peer.name), "tcp:127.0.0.1:%d", ntohs(address.sin_port));
}

static void run(void) {
    assert_int_equal(pthread_create(&the_peer.thread, NULL, serve, &the_peer), 0);
}

static void stop(void) {
    pthread_join(the_peer.thread, NULL);
    close(the_peer.listener);
}

static int file_of(size_t size) {
    static uint8_t data[300000];
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 % 251);
    int fd = memfd_create("scan", MFD_CLOEXEC);
    assert_int_equal(write(fd, data, size), size);
    return fd;
}

static void clean(void **state) {
    (void)state;
    const size_t sizes[] = {0, 1, 65535, 65536, 65537, 200000};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(sizes); i++) {
        int fd = file_of(sizes[i]);
        const off_t position = lseek(fd, 0, SEEK_CUR);
        spl_scan_verdict verdict = SPL_SCAN_INFECTED;
        char signature[128] = "untouched";
        start("stream: OK", 11);
        run();
        assert_int_equal(
            spl_clamd_scan(the_peer.name, fd, &(spl_scan_wait){10}, &verdict, signature, NULL), 0);
        stop();
        assert_int_equal(verdict, SPL_SCAN_CLEAN);
        assert_string_equal(signature, "untouched");
        assert_string_equal(the_peer.command, "zINSTREAM");
        assert_true(the_peer.ended);
        assert_int_equal(the_peer.received_size, sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(the_peer.received[k], (uint8_t)(k * 7 % 251));
        assert_int_equal(lseek(fd, 0, SEEK_CUR), position);
        close(fd);
    }
}

/* The client reports the signature that clamd names. Only "stream: OK" lets a file pass. */
static void answers(void **state) {
    (void)state;
    static const struct {
        const char *answer;
        size_t size;
        bool early;
        int status;
    } cases[] = {
#define ANSWER(text) (text), sizeof(text)
        {ANSWER("stream: Eicar-Test-Signature FOUND"), false, 0},
        {ANSWER("stream: Heuristics.Limits.Exceeded.MaxScanSize FOUND"), false, 0},
        {ANSWER("INSTREAM size limit exceeded. ERROR"), false, SPL_E_LIMIT},
        {ANSWER("INSTREAM size limit exceeded. ERROR"), true, SPL_E_LIMIT},
        {ANSWER("stream: OK"), true, SPL_E_FORMAT},
        {ANSWER("stream: OK "), false, SPL_E_FORMAT},
        {ANSWER("stream: OK\n"), false, SPL_E_FORMAT},
        {ANSWER("stream: ok"), false, SPL_E_FORMAT},
        {ANSWER("stream:OK"), false, SPL_E_FORMAT},
        {ANSWER("1: stream: OK"), false, SPL_E_FORMAT},
        {ANSWER("OK"), false, SPL_E_FORMAT},
        {ANSWER("stream: "), false, SPL_E_FORMAT},
        {ANSWER("stream:  FOUND"), false, SPL_E_FORMAT},
        {ANSWER("stream: FOUND"), false, SPL_E_FORMAT},
        {ANSWER("stream: x ERROR"), false, SPL_E_FORMAT},
        {ANSWER("stream: Can't allocate memory ERROR"), false, SPL_E_FORMAT},
        {ANSWER("UNKNOWN COMMAND"), false, SPL_E_FORMAT},
        {ANSWER("COMMAND READ TIMED OUT"), false, SPL_E_FORMAT},
        {ANSWER("stream: OK\0stream: X FOUND"), false, SPL_E_FORMAT},
        {ANSWER("stream: OK\0"), false, SPL_E_FORMAT},
        {ANSWER("stream: caf\xc3\xa9 FOUND"), false, SPL_E_FORMAT},
        {ANSWER("\0"), false, SPL_E_FORMAT},
        {"stream: OK", 10, false, SPL_E_FORMAT}, /* without the NUL */
        {"", 0, false, SPL_E_IO},
        {"", 0, true, SPL_E_IO},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        int fd = file_of(100000);
        spl_scan_verdict verdict = SPL_SCAN_CLEAN;
        char signature[128] = "";
        spl_error error = {0};
        start(cases[i].answer, cases[i].size);
        the_peer.early = cases[i].early;
        run();
        const int status =
            spl_clamd_scan(the_peer.name, fd, &(spl_scan_wait){10}, &verdict, signature, &error);
        stop();
        /* An answer that precedes the end of the stream may be lost, since the peer closes with
         * unread bytes. */
        if (status != cases[i].status && !(cases[i].early && status == SPL_E_IO))
            fail_msg("case %zu: %d %s", i, status, error.message);
        assert_int_equal(error.status, status);
        if (status == 0) {
            assert_int_equal(verdict, SPL_SCAN_INFECTED);
            assert_non_null(strstr(cases[i].answer, signature));
            assert_true(strlen(signature) > 10);
        }
        close(fd);
    }
}

static void long_answers(void **state) {
    (void)state;
    static char answer[5000];
    int fd = file_of(10);
    spl_scan_verdict verdict;
    char signature[128];
    memset(answer, 'a', sizeof(answer));
    start(answer, sizeof(answer));
    run();
    assert_int_equal(
        spl_clamd_scan(the_peer.name, fd, &(spl_scan_wait){10}, &verdict, signature, NULL),
        SPL_E_FORMAT);
    stop();

    memcpy(answer, "stream: ", 8);
    memcpy(answer + 600, " FOUND", 7);
    start(answer, 607);
    run();
    assert_int_equal(
        spl_clamd_scan(the_peer.name, fd, &(spl_scan_wait){10}, &verdict, signature, NULL), 0);
    stop();
    assert_int_equal(verdict, SPL_SCAN_INFECTED);
    assert_int_equal(strlen(signature), 127);
    close(fd);
}

/* One deadline covers the whole scan, whether the peer does not read, does not answer or does not
 * hang up. */
static void deadlines(void **state) {
    (void)state;
    static const struct {
        const char *answer;
        size_t size;
        bool early;
    } cases[] = {{"", 0, false}, {"stream: OK", 11, false}, {"", 0, true}};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        int fd = file_of(100);
        spl_scan_verdict verdict;
        char signature[128];
        spl_error error;
        start(cases[i].answer, cases[i].size);
        the_peer.early = cases[i].early;
        the_peer.hang = true;
        run();
        const double before_s = spl_now_s();
        assert_int_equal(
            spl_clamd_scan(the_peer.name, fd, &(spl_scan_wait){1}, &verdict, signature, &error),
            SPL_E_IO);
        assert_true(spl_now_s() - before_s >= 0.9);
        assert_non_null(strstr(error.message, "1 s"));
        stop();
        close(fd);
    }
    /* The peer does not accept, and the socket's buffers are smaller than the file. */
    int fd = memfd_create("scan", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 64 << 20), 0);
    spl_scan_verdict verdict;
    char signature[128];
    start("", 0);
    assert_int_equal(
        spl_clamd_scan(the_peer.name, fd, &(spl_scan_wait){1}, &verdict, signature, NULL),
        SPL_E_IO);
    close(the_peer.listener);
    close(fd);
}

static int is_canceled(void *user) {
    int *asked = user;
    return ++*asked > 2;
}

static void a_scan_can_be_canceled(void **state) {
    (void)state;
    int fd = file_of(10), asked = 0;
    spl_scan_verdict verdict;
    char signature[128];
    spl_error error;
    start("", 0);
    the_peer.hang = true;
    run();
    const spl_scan_wait wait = {600, is_canceled, &asked};
    assert_int_equal(spl_clamd_scan(the_peer.name, fd, &wait, &verdict, signature, &error),
                     SPL_E_CANCELED);
    stop();
    close(fd);
}

static void no_connection(void **state) {
    (void)state;
    int fd = file_of(10);
    spl_scan_verdict verdict;
    char signature[128], too_long[300] = "unix:/";
    memset(too_long + 6, 'a', sizeof(too_long) - 7);
    const struct {
        const char *name;
        int status;
    } cases[] = {
        {"unix:/nowhere/clamd.ctl", SPL_E_IO},
        {"unix:", SPL_E_IO},
        {"tcp:127.0.0.1:1", SPL_E_IO},
        {"tcp:127.0.0.1", SPL_E_ARGUMENT},
        {"", SPL_E_ARGUMENT},
        {"/run/clamd.ctl", SPL_E_ARGUMENT},
        {too_long, SPL_E_ARGUMENT},
    };
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        spl_error error;
        const int status =
            spl_clamd_scan(cases[i].name, fd, &(spl_scan_wait){5}, &verdict, signature, &error);
        if (status != cases[i].status)
            fail_msg("%s: %d %s", cases[i].name, status, error.message);
        assert_false(spl_clamd_alive(cases[i].name));
    }
    close(fd);
}

static void alive(void **state) {
    (void)state;
    start("PONG", 5);
    run();
    assert_true(spl_clamd_alive(the_peer.name));
    stop();
    assert_string_equal(the_peer.command, "zPING");
    start("PING", 5);
    run();
    assert_false(spl_clamd_alive(the_peer.name));
    stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean),
        cmocka_unit_test(answers),
        cmocka_unit_test(long_answers),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(a_scan_can_be_canceled),
        cmocka_unit_test(no_connection),
        cmocka_unit_test(alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
