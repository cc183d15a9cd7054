/* SPDX-License-Identifier: MIT
 *
 * A list of connections under one lock, and a thread that checks it four times a second.
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

/* The header deadline of a connection in the reserve, unless the setting is shorter. */
#define RESERVE_HEADERS_S 2
/* A recognised client's connection that has waited this long for a request may be closed to make
 * room for another. */
#define IDLE_S            1

typedef enum guard_phase {
    PHASE_HEADERS,
    PHASE_BODY,
    PHASE_ANSWER,
    PHASE_CUT,    /* shut down; its thread has not ended yet */
    PHASE_LINGER, /* its thread has ended; `fd` is a duplicate */
} guard_phase;

/* The unit of the limits per address: an IPv4 address or an IPv6 /64. Compared byte by byte. */
typedef struct guard_network {
    unsigned char family; /* AF_INET also for IPv4 mapped to IPv6 */
    unsigned char bytes[8];
} guard_network;

struct spl_guarded {
    spl_guarded *previous, *next;
    spl_guard *guard;
    struct sockaddr_storage peer; /* the connected host */
    /* The network of the client whose request it carries: the peer's, or that of a proxy's
     * client. */
    guard_network network;
    char key[64];    /* of the current request; "": unknown */
    bool recognised; /* the last request had a valid credential */
    bool stream;     /* the answer is an event stream */
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
    unsigned connections; /* without the reserve */
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping;
    spl_guarded *first;
    spl_guarded **strangers; /* scratch space of find_stranger, for all live connections */
    pthread_t thread;
};

/* Counts the bytes that the client has sent or, during an answer, acknowledged, and those that wait
 * in the kernel for the service or for the client. */
static bool count_traffic(const spl_guarded *guarded, uint64_t *ret_bytes, int *ret_waiting) {
    const bool answering = guarded->phase == PHASE_ANSWER;
    const size_t needed = offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(uint64_t);
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    if (getsockopt(guarded->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 || size < needed)
        return false; /* not TCP */
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

/* Discards what the client still sends. Returns false when the client has closed the connection. */
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
    guard->strangers = calloc(connections + SPL_GUARD_RESERVE, sizeof(*guard->strangers));
    if (!guard->strangers) {
        free(guard);
        return spl_fail_memory(ret_error);
    }
    pthread_mutex_init(&guard->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&guard->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failed = pthread_create(&guard->thread, NULL, watch, guard);
    if (failed) {
        free(guard->strangers);
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
    free(guard->strangers);
    free(guard);
}

static guard_network network_of(const struct sockaddr *address) {
    guard_network network = {.family = (unsigned char)address->sa_family};
    if (address->sa_family == AF_INET) {
        memcpy(network.bytes, &((const struct sockaddr_in *)address)->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
        const bool mapped = IN6_IS_ADDR_V4MAPPED(v6);
        network.family = mapped ? AF_INET : AF_INET6;
        memcpy(network.bytes, v6->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
    }
    return network;
}

static int compare_networks(const guard_network *a, const guard_network *b) {
    return memcmp(a, b, sizeof(*a));
}

static bool is_proxy(const spl_guard *guard, const struct sockaddr *address) {
    return address->sa_family == AF_UNIX ||
           spl_cidr_contains(guard->settings->trusted_proxies, address);
}

/* Counts the connections of a client other than `self`, which may be NULL. */
static unsigned count_client(const spl_guard *guard, const guard_network *network,
                             const spl_guarded *self) {
    unsigned count = 0;
    for (const spl_guarded *other = guard->first; other; other = other->next)
        count += other != self && compare_networks(&other->network, network) == 0;
    return count;
}

bool spl_guard_admits(spl_guard *guard, const struct sockaddr *address) {
    const unsigned limit = guard->settings->connections_per_address;
    if (limit == 0 || is_proxy(guard, address))
        return true;
    const guard_network network = network_of(address);
    pthread_mutex_lock(&guard->lock);
    const unsigned count = count_client(guard, &network, NULL);
    pthread_mutex_unlock(&guard->lock);
    return count < limit;
}

/* Counts the connections, in the reserve or outside it, that are not about to end. */
static unsigned count_live(const spl_guard *guard, bool reserved) {
    unsigned count = 0;
    for (const spl_guarded *other = guard->first; other; other = other->next)
        count += other->phase < PHASE_CUT && other->reserved == reserved;
    return count;
}

/* Orders by network, then by the start of the phase, oldest first. */
static int compare_strangers(const void *left, const void *right) {
    const spl_guarded *a = *(spl_guarded *const *)left, *b = *(spl_guarded *const *)right;
    const int order = compare_networks(&a->network, &b->network);
    return order ? order
                 : (a->phase_start_s > b->phase_start_s) - (a->phase_start_s < b->phase_start_s);
}

/* Of the connections without a recognised client, in the reserve or outside it, returns the oldest
 * one of the network that has the most. NULL: there is none. */
static spl_guarded *find_stranger(const spl_guard *guard, bool reserved) {
    spl_guarded **strangers = guard->strangers, *found = NULL;
    const size_t room = guard->connections + SPL_GUARD_RESERVE;
    size_t count = 0, most = 0;
    for (spl_guarded *other = guard->first; other && count < room; other = other->next) {
        if (other->phase < PHASE_CUT && other->reserved == reserved && !other->recognised)
            strangers[count++] = other;
    }
    qsort(strangers, count, sizeof(*strangers), compare_strangers);
    for (size_t start = 0, end; start < count; start = end) {
        end = start + 1;
        while (end < count &&
               compare_networks(&strangers[start]->network, &strangers[end]->network) == 0)
            end++;
        if (end - start > most) {
            most = end - start;
            found = strangers[start];
        }
    }
    return found;
}

/* Returns the connection outside the reserve that has waited longest for a request, and since
 * before `until_s`. NULL: there is none. */
static spl_guarded *find_idlest(const spl_guard *guard, double until_s) {
    spl_guarded *found = NULL;
    for (spl_guarded *other = guard->first; other; other = other->next) {
        if (other->phase == PHASE_HEADERS && !other->reserved && other->phase_start_s < until_s) {
            until_s = other->phase_start_s;
            found = other;
        }
    }
    return found;
}

/* Makes room for one more connection. False: there is room in the reserve only. */
static bool make_place(spl_guard *guard) {
    if (count_live(guard, false) < guard->connections)
        return true;
    spl_guarded *given_up = find_stranger(guard, false);
    if (!given_up)
        given_up = find_idlest(guard, spl_now_s() - IDLE_S);
    const bool found = given_up;
    if (!found && count_live(guard, true) >= SPL_GUARD_RESERVE / 2)
        given_up = find_stranger(guard, true);
    if (given_up)
        cut(given_up);
    return found;
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
    guarded->network = network_of(address);
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
    guarded->network = network_of((const struct sockaddr *)&guarded->peer);
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
    if (!is_proxy(guard, (const struct sockaddr *)&guarded->peer) ||
        !parse_address(address, &client) || is_proxy(guard, (const struct sockaddr *)&client))
        return true;
    const guard_network network = network_of((const struct sockaddr *)&client);
    pthread_mutex_lock(&guard->lock);
    const bool admitted = limit == 0 || count_client(guard, &network, guarded) < limit;
    if (admitted)
        guarded->network = network;
    pthread_mutex_unlock(&guard->lock);
    return admitted;
}

void spl_guard_recognise(spl_guarded *guarded, bool recognised) {
    pthread_mutex_lock(&guarded->guard->lock);
    guarded->recognised = recognised;
    pthread_mutex_unlock(&guarded->guard->lock);
}

static unsigned limit_per_key(const spl_guard *guard) {
    const unsigned limit = guard->settings->connections_per_key;
    return limit == 0 ? guard->connections : SPL_MIN(limit, guard->connections / 2);
}

/* Counts the other connections whose requests use the key; `streams`: only those with event
 * streams. */
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
