/* SPDX-License-Identifier: MIT
 *
 * Which connections the guard closes, and how it reads those that linger. The test is the client of
 * each connection, and takes the place of libmicrohttpd.
 */
#include "service/http/connection/guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>

#include <cmocka.h>

#define CONNECTIONS 16
#define PROXY       200

static char proxies[] = "127.0.1.200";
static const spl_settings settings = {.header_timeout_s = 3600,
                                      .body_timeout_s = 3600,
                                      .connections_per_key = 4,
                                      .trusted_proxies = proxies};

static spl_guard *guard;
static int listener;
static struct sockaddr_in address = {.sin_family = AF_INET};

typedef struct connection {
    int client, server;
    spl_guarded *guarded;
} connection;

static int set_up(void **state) {
    (void)state;
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = 0;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 64), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    return spl_guard_start(&settings, CONNECTIONS, &guard, NULL);
}

static int tear_down(void **state) {
    (void)state;
    spl_guard_stop(guard);
    return close(listener);
}

/* Connects from 127.0.1.`host`. */
static connection open_from(unsigned host) {
    connection self;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000100 + host)};
    self.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(self.client, (struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(connect(self.client, (struct sockaddr *)&address, sizeof(address)), 0);
    self.server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    self.guarded = spl_guard_enter(guard, (struct sockaddr *)&from, self.server);
    assert_non_null(self.guarded);
    return self;
}

static void leave(const connection *self) {
    spl_guard_leave(guard, self->guarded);
    close(self->server);
}

/* Opens a connection whose body is refused, and ends it. */
static connection refuse_from(unsigned host) {
    connection self = open_from(host);
    spl_guard_request(self.guarded);
    spl_guard_answer(self.guarded, true);
    leave(&self);
    return self;
}

static ssize_t receive(const connection *self) {
    char byte;
    return read(self->client, &byte, 1);
}

/* Returns whether the server has closed the connection. */
static bool is_closed(const connection *self) {
    char byte;
    const ssize_t got = recvfrom(self->client, &byte, 1, MSG_DONTWAIT, NULL, NULL);
    assert_true(got == 0 || errno == EAGAIN);
    return got == 0;
}

/* Of addresses with one connection each, the one with the oldest connection loses it. */
static void strangers(void **state) {
    (void)state;
    connection opened[CONNECTIONS + 1];
    for (unsigned i = 0; i <= CONNECTIONS; i++)
        opened[i] = open_from(100 - i);
    assert_int_equal(receive(&opened[0]), 0);
    for (unsigned i = 0; i <= CONNECTIONS; i++) {
        assert_int_equal(is_closed(&opened[i]), i == 0);
        leave(&opened[i]);
        close(opened[i].client);
    }
}

static connection request_by(const char *key) {
    connection self = open_from(1);
    spl_guard_request(self.guarded);
    assert_true(spl_guard_key(self.guarded, key));
    return self;
}

/* The key with the most connections loses the one that is idle longest. Requests continue. */
static void clients(void **state) {
    (void)state;
    static const char *const keys[] = {"a", "b", "b", "b", "c", "c", "c", "c",
                                       "d", "d", "e", "e", "f", "f", "g", "g"};
    connection opened[CONNECTIONS + 1];
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        opened[i] = request_by(keys[i]);
        assert_false(spl_guard_reserved(opened[i].guarded));
        if (i != 4)
            spl_guard_idle(opened[i].guarded);
    }
    opened[CONNECTIONS] = open_from(1);
    assert_false(spl_guard_reserved(opened[CONNECTIONS].guarded));
    assert_int_equal(receive(&opened[5]), 0);
    for (unsigned i = 0; i <= CONNECTIONS; i++) {
        assert_int_equal(is_closed(&opened[i]), i == 5);
        leave(&opened[i]);
        close(opened[i].client);
    }
}

/* A key has as many requests as its limit, beside its idle connections. Beyond the limit of both
 * together, connections are closed after their answers. Links have half of it. */
static void keys(void **state) {
    (void)state;
    connection opened[9];
    for (unsigned i = 0; i < 8; i++) {
        opened[i] = request_by("key");
        assert_int_equal(spl_guard_surplus(opened[i].guarded), i >= 4);
        if (i < 4)
            spl_guard_idle(opened[i].guarded);
    }
    opened[8] = open_from(1);
    spl_guard_request(opened[8].guarded);
    assert_false(spl_guard_key(opened[8].guarded, "key"));
    for (unsigned i = 0; i < 3; i++) {
        spl_guard_request(opened[i].guarded);
        assert_int_equal(spl_guard_link(opened[i].guarded, "key"), i < 2);
        assert_false(spl_guard_surplus(opened[i].guarded));
    }
    for (unsigned i = 0; i < 9; i++) {
        leave(&opened[i]);
        close(opened[i].client);
    }
}

/* The oldest connection of the address with the most is closed first. */
static void lingering(void **state) {
    (void)state;
    static const unsigned hosts[] = {1, 2, 2, 3, 4, 5};
    connection opened[SPL_ARRAY_SIZE(hosts)];
    assert_int_equal(SPL_GUARD_LINGERING(CONNECTIONS), 4);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(hosts); i++)
        opened[i] = refuse_from(hosts[i]);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(hosts); i++) {
        assert_int_equal(is_closed(&opened[i]), i < 2);
        close(opened[i].client);
    }
}

/* Behind a trusted proxy, a connection lingers on behalf of the proxy's client. */
static void lingering_behind_a_proxy(void **state) {
    (void)state;
    connection opened[8];
    for (unsigned i = 0; i < SPL_ARRAY_SIZE(opened); i++) {
        opened[i] = open_from(PROXY);
        assert_true(spl_guard_client(opened[i].guarded, i < 1 ? "192.0.2.1" : "192.0.2.2"));
        spl_guard_request(opened[i].guarded);
        spl_guard_answer(opened[i].guarded, true);
        spl_guard_idle(opened[i].guarded);
        leave(&opened[i]);
    }
    for (unsigned i = 0; i < SPL_ARRAY_SIZE(opened); i++) {
        assert_int_equal(is_closed(&opened[i]), i >= 1 && i < 5);
        close(opened[i].client);
    }
}

/* The answer of a mark is shut down, and no later one of its connection. */
static void readers(void **state) {
    (void)state;
    connection opened[3];
    for (int i = 0; i < 3; i++) {
        opened[i] = request_by("key");
        spl_guard_reads(opened[i].guarded, &(spl_guard_reader){.job = "a", .fence = i});
    }
    spl_guard_reader *found;
    size_t count;
    assert_int_equal(spl_guard_readers(guard, &found, &count, NULL), 0);
    assert_int_equal(count, 3);
    spl_guard_idle(opened[2].guarded);
    spl_guard_request(opened[2].guarded);
    spl_guard_reads(opened[2].guarded, &(spl_guard_reader){.job = "b"});
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(found[i].job, "a");
        if (found[i].fence > 0)
            spl_guard_end_reader(guard, found[i].number);
    }
    free(found);
    assert_int_equal(receive(&opened[1]), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(is_closed(&opened[i]), i == 1);
        spl_guard_idle(opened[i].guarded);
    }
    assert_int_equal(spl_guard_readers(guard, &found, &count, NULL), 0);
    assert_int_equal(count, 0);
    free(found);
    for (int i = 0; i < 3; i++) {
        leave(&opened[i]);
        close(opened[i].client);
    }
}

static atomic_uint calls;
static atomic_bool endless; /* there is always more to receive */

ssize_t __real_recv(int fd, void *buffer, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *buffer, size_t size, int flags);

ssize_t __wrap_recv(int fd, void *buffer, size_t size, int flags) {
    atomic_fetch_add(&calls, 1);
    if (!atomic_load(&endless))
        return __real_recv(fd, buffer, size, flags);
    (void)spl_guard_busy(guard); /* needs the lock */
    return (ssize_t)size;
}

/* A connection that sends fast holds neither the lock nor the thread. */
static void floods(void **state) {
    (void)state;
    connection fast = refuse_from(1);
    atomic_store(&endless, true);
    atomic_store(&calls, 0);
    while (atomic_load(&calls) < 1)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (unsigned host = 2; host < 8; host++) {
        const connection other = refuse_from(host);
        close(other.client);
    }
    atomic_store(&endless, false);
    close(fast.client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(strangers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clients, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lingering, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lingering_behind_a_proxy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(readers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(floods, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
