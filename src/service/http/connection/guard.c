/* SPDX-License-Identifier: MIT
 *
 * A list of connections under one lock, and the thread that looks at it four times a second.
 */
#include "service/http/connection/guard.h"

#include "base/clock.h"
#include "service/observe/metrics.h"
#include "service/outbound/address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define TICK_MS       250
#define RATE_WINDOW_S 10
#define LINGER_S      5

/* A connection of the reserve has no longer for its headers. */
#define RESERVE_HEADERS_S 2
/* A connection that has waited for a request for so long is closed when another one needs its
 * place, and at once when half of the reserve is in use. */
#define IDLE_S            1

typedef enum guard_phase {
    PHASE_HEADERS,
    PHASE_BODY,
    PHASE_ANSWER,
    PHASE_CUT,    /* shut down, until its thread notices */
    PHASE_LINGER, /* its thread has ended; `fd` is a duplicate */
} guard_phase;

struct spl_guarded {
    spl_guarded *previous, *next;
    spl_guard *guard;
    struct sockaddr_storage peer; /* who is connected */
    struct sockaddr_storage
        address;  /* whose request it carries: the peer's, or of the client behind a proxy */
    char key[64]; /* whose request it carries; "" not known */
    bool stream;  /* its answer is a stream of events */
    bool reserved;
    int fd;
    guard_phase phase;
    double phase_start_s;
    bool refused;      /* a body was left unread */
    double deadline_s; /* 0: none */
    double window_start_s;
    uint64_t window_start_bytes;
};

struct spl_guard {
    const spl_settings *settings;
    unsigned connections; /* beside the reserve */
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping;
    spl_guarded *first;
    pthread_t thread;
};

/* Bytes that the client has sent, or taken, and those that wait in the kernel for the service, or
 * for the client. */
static bool count_traffic(const spl_guarded *guarded, uint64_t *ret_bytes, int *ret_waiting) {
    const bool answering = guarded->phase == PHASE_ANSWER;
    const size_t needed = offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(uint64_t);
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    if (getsockopt(guarded->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 || size < needed)
        return false; /* no TCP */
    *ret_bytes = answering ? info.tcpi_bytes_acked : info.tcpi_bytes_received;
    return ioctl(guarded->fd, answering ? SIOCOUTQ : SIOCINQ, ret_waiting) == 0;
}

static bool is_slow(spl_guarded *guarded, double now_s) {
    uint64_t bytes;
    int waiting;
    if ((guarded->phase != PHASE_BODY && guarded->phase != PHASE_ANSWER) ||
        !count_traffic(guarded, &bytes, &waiting))
        return false;
    const bool clients_turn = guarded->phase == PHASE_ANSWER ? waiting > 0 : waiting == 0;
    if (clients_turn && guarded->window_start_s > 0) {
        if (now_s - guarded->window_start_s < RATE_WINDOW_S)
            return false;
        const uint64_t rate = guarded->guard->settings->min_rate_bytes_s;
        if (bytes - guarded->window_start_bytes < rate * RATE_WINDOW_S)
            return true;
    }
    guarded->window_start_s = now_s;
    guarded->window_start_bytes = bytes;
    return false;
}

static void enter_phase(spl_guarded *guarded, guard_phase phase, unsigned deadline_s) {
    guarded->phase = phase;
    guarded->phase_start_s = spl_now_s();
    guarded->deadline_s = deadline_s ? spl_now_s() + deadline_s : 0;
    guarded->window_start_s = 0;
}

static void forget(spl_guarded *guarded) {
    if (guarded->previous)
        guarded->previous->next = guarded->next;
    else
        guarded->guard->first = guarded->next;
    if (guarded->next)
        guarded->next->previous = guarded->previous;
    if (guarded->phase == PHASE_LINGER)
        close(guarded->fd);
    free(guarded);
}

/* Throws away what a client still sends. False when it has ended. */
static bool drain(int fd) {
    ssize_t got;
    do
        got = recv(fd, NULL, (size_t)1 << 20, MSG_TRUNC | MSG_DONTWAIT);
    while (got > 0);
    return got < 0;
}

static void cut(spl_guarded *guarded) {
    shutdown(guarded->fd, SHUT_RDWR);
    enter_phase(guarded, PHASE_CUT, 0);
    spl_metrics_count(SPL_COUNTER_CONNECTIONS_CUT, 1);
}

static void look_at(spl_guarded *guarded, double now_s) {
    const bool late = guarded->deadline_s > 0 && now_s > guarded->deadline_s;
    if (guarded->phase == PHASE_LINGER) {
        if (late || !drain(guarded->fd))
            forget(guarded);
    } else if (late || is_slow(guarded, now_s)) {
        cut(guarded);
    }
}

static void *watch(void *user) {
    spl_guard *guard = user;
    pthread_mutex_lock(&guard->lock);
    while (!guard->stopping) {
        struct timespec tick;
        clock_gettime(CLOCK_MONOTONIC, &tick);
        tick.tv_nsec += TICK_MS * 1000000L;
        tick.tv_sec += tick.tv_nsec / 1000000000L;
        tick.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&guard->stop, &guard->lock, &tick);
        const double now_s = spl_now_s();
        for (spl_guarded *guarded = guard->first, *next; guarded; guarded = next) {
            next = guarded->next;
            look_at(guarded, now_s);
        }
    }
    pthread_mutex_unlock(&guard->lock);
    return NULL;
}

int spl_guard_start(const spl_settings *settings, unsigned connections, spl_guard **ret_guard,
                    spl_error *ret_error) {
    spl_guard *guard = calloc(1, sizeof(*guard));
    if (!guard)
        return spl_fail_memory(ret_error);
    guard->settings = settings;
    guard->connections = connections;
    pthread_mutex_init(&guard->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&guard->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failed = pthread_create(&guard->thread, NULL, watch, guard);
    if (failed) {
        free(guard);
        return spl_fail_errno(ret_error, failed, "cannot start the thread that guards connections");
    }
    *ret_guard = guard;
    return 0;
}

void spl_guard_stop(spl_guard *guard) {
    pthread_mutex_lock(&guard->lock);
    guard->stopping = true;
    pthread_cond_signal(&guard->stop);
    pthread_mutex_unlock(&guard->lock);
    pthread_join(guard->thread, NULL);
    while (guard->first)
        forget(guard->first);
    pthread_cond_destroy(&guard->stop);
    pthread_mutex_destroy(&guard->lock);
    free(guard);
}

static bool same_client(const struct sockaddr_storage *a, const struct sockaddr *b) {
    if (a->ss_family != b->sa_family)
        return false;
    if (b->sa_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    if (b->sa_family != AF_INET6)
        return true;
    const struct in6_addr *left = &((const struct sockaddr_in6 *)a)->sin6_addr;
    const struct in6_addr *right = &((const struct sockaddr_in6 *)b)->sin6_addr;
    return memcmp(left, right, IN6_IS_ADDR_V4MAPPED(left) ? 16 : 8) == 0;
}

static bool is_proxy(const spl_guard *guard, const struct sockaddr *address) {
    return address->sa_family == AF_UNIX ||
           spl_cidr_contains(guard->settings->trusted_proxies, address);
}

/* Connections other than `self` (may be NULL) of a client. */
static unsigned count_client(const spl_guard *guard, const struct sockaddr *address,
                             const spl_guarded *self) {
    unsigned count = 0;
    for (const spl_guarded *other = guard->first; other; other = other->next)
        count += other != self && same_client(&other->address, address);
    return count;
}

bool spl_guard_admits(spl_guard *guard, const struct sockaddr *address) {
    const unsigned limit = guard->settings->connections_per_address;
    if (limit == 0 || is_proxy(guard, address))
        return true;
    pthread_mutex_lock(&guard->lock);
    const unsigned count = count_client(guard, address, NULL);
    pthread_mutex_unlock(&guard->lock);
    return count < limit;
}

/* Connections that are not about to end. */
static unsigned count_live(const spl_guard *guard) {
    unsigned count = 0;
    for (const spl_guarded *other = guard->first; other; other = other->next)
        count += other->phase < PHASE_CUT;
    return count;
}

/* The connection that has waited longest for a request, since before `until_s`; NULL: none. */
static spl_guarded *find_idlest(const spl_guard *guard, double until_s) {
    spl_guarded *found = NULL;
    for (spl_guarded *other = guard->first; other; other = other->next) {
        if (other->phase == PHASE_HEADERS && other->phase_start_s < until_s) {
            until_s = other->phase_start_s;
            found = other;
        }
    }
    return found;
}

/* Makes a place for one more connection. False: there is one in the reserve only. */
static bool make_place(spl_guard *guard) {
    const unsigned count = count_live(guard);
    if (count < guard->connections)
        return true;
    const bool urgent = count >= guard->connections + SPL_GUARD_RESERVE / 2;
    spl_guarded *idlest = find_idlest(guard, spl_now_s() - (urgent ? 0 : IDLE_S));
    if (idlest)
        cut(idlest);
    return idlest && count == guard->connections;
}

spl_guarded *spl_guard_enter(spl_guard *guard, const struct sockaddr *address, int fd) {
    spl_guarded *guarded = calloc(1, sizeof(*guarded));
    if (!guarded)
        return NULL;
    guarded->guard = guard;
    guarded->fd = fd;
    memcpy(&guarded->peer, address,
           address->sa_family == AF_INET    ? sizeof(struct sockaddr_in)
           : address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                            : sizeof(sa_family_t));
    guarded->address = guarded->peer;
    pthread_mutex_lock(&guard->lock);
    guarded->reserved = !make_place(guard);
    enter_phase(guarded, PHASE_HEADERS,
                guarded->reserved ? SPL_MIN(guard->settings->header_timeout_s, RESERVE_HEADERS_S)
                                  : guard->settings->header_timeout_s);
    guarded->next = guard->first;
    if (guard->first)
        guard->first->previous = guarded;
    guard->first = guarded;
    pthread_mutex_unlock(&guard->lock);
    return guarded;
}

void spl_guard_leave(spl_guard *guard, spl_guarded *guarded) {
    pthread_mutex_lock(&guard->lock);
    int duplicate = guarded->refused && guarded->phase != PHASE_CUT
                        ? fcntl(guarded->fd, F_DUPFD_CLOEXEC, 0)
                        : -1;
    if (duplicate >= 0) {
        guarded->fd = duplicate;
        enter_phase(guarded, PHASE_LINGER, LINGER_S);
    } else {
        forget(guarded);
    }
    pthread_mutex_unlock(&guard->lock);
}

static void change_phase(spl_guarded *guarded, guard_phase phase, unsigned deadline_s) {
    pthread_mutex_lock(&guarded->guard->lock);
    if (guarded->phase != PHASE_CUT)
        enter_phase(guarded, phase, deadline_s);
    pthread_mutex_unlock(&guarded->guard->lock);
}

void spl_guard_request(spl_guarded *guarded, bool has_body) {
    if (has_body)
        change_phase(guarded, PHASE_BODY, guarded->guard->settings->body_timeout_s);
    else
        change_phase(guarded, PHASE_ANSWER, 0);
}

void spl_guard_answer(spl_guarded *guarded, bool refused) {
    guarded->refused = refused;
    change_phase(guarded, PHASE_ANSWER, 0);
}

void spl_guard_idle(spl_guarded *guarded) {
    pthread_mutex_lock(&guarded->guard->lock);
    guarded->address = guarded->peer;
    guarded->key[0] = '\0';
    guarded->stream = false;
    pthread_mutex_unlock(&guarded->guard->lock);
    change_phase(guarded, PHASE_HEADERS, guarded->guard->settings->header_timeout_s);
}

bool spl_guard_reserved(const spl_guarded *guarded) {
    return guarded->reserved;
}

static bool parse_address(const char *text, struct sockaddr_storage *ret_address) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    *ret_address = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        memcpy(ret_address, &v4, sizeof(v4));
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        memcpy(ret_address, &v6, sizeof(v6));
    else
        return false;
    return true;
}

bool spl_guard_client(spl_guarded *guarded, const char *address) {
    spl_guard *guard = guarded->guard;
    const unsigned limit = guard->settings->connections_per_address;
    struct sockaddr_storage client;
    if (limit == 0 || !is_proxy(guard, (const struct sockaddr *)&guarded->peer) ||
        !parse_address(address, &client) || is_proxy(guard, (const struct sockaddr *)&client))
        return true;
    pthread_mutex_lock(&guard->lock);
    const bool admitted = count_client(guard, (const struct sockaddr *)&client, guarded) < limit;
    if (admitted)
        guarded->address = client;
    pthread_mutex_unlock(&guard->lock);
    return admitted;
}

static unsigned limit_per_key(const spl_guard *guard) {
    const unsigned limit = guard->settings->connections_per_key;
    return limit == 0 ? guard->connections : SPL_MIN(limit, guard->connections / 2);
}

/* Other connections whose requests are of the key. */
static unsigned count_key(const spl_guarded *guarded, const char *key, bool streams) {
    unsigned count = 0;
    for (const spl_guarded *other = guarded->guard->first; other; other = other->next)
        count += other != guarded && (!streams || other->stream) && strcmp(other->key, key) == 0;
    return count;
}

bool spl_guard_key(spl_guarded *guarded, const char *key) {
    spl_guard *guard = guarded->guard;
    pthread_mutex_lock(&guard->lock);
    const bool admitted = count_key(guarded, key, false) < limit_per_key(guard);
    if (admitted)
        snprintf(guarded->key, sizeof(guarded->key), "%s", key);
    pthread_mutex_unlock(&guard->lock);
    return admitted;
}

bool spl_guard_stream(spl_guarded *guarded) {
    spl_guard *guard = guarded->guard;
    pthread_mutex_lock(&guard->lock);
    guarded->stream = count_key(guarded, guarded->key, true) < (limit_per_key(guard) + 1) / 2;
    const bool admitted = guarded->stream;
    pthread_mutex_unlock(&guard->lock);
    return admitted;
}

unsigned spl_guard_busy(spl_guard *guard) {
    unsigned busy = 0;
    pthread_mutex_lock(&guard->lock);
    for (const spl_guarded *guarded = guard->first; guarded; guarded = guarded->next)
        busy += guarded->phase == PHASE_BODY || guarded->phase == PHASE_ANSWER;
    pthread_mutex_unlock(&guard->lock);
    return busy;
}
