/* SPDX-License-Identifier: MIT
 *
 * A list of connections under one lock, and a thread that checks it four times a second.
 */
#include "service/http/connection/guard.h"

#include "base/clock.h"
#include "service/observe/metrics.h"
#include "service/outbound/address.h"

#include <arpa/inet.h>
#include <errno.h>
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
/* While there are fewer connections without a holder, outside the reserve, than this share of all,
 * an idle one with a holder is closed first. New connections then have time to send a request. */
#define NEWCOMERS_SHARE   4

/* Of lingering connections, in one pass of the thread: all together about, and each at least. */
#define DISCARD_PASS_BYTES ((size_t)64 << 20)
#define DISCARD_MIN_BYTES  ((size_t)64 << 10)

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
    /* Whose valid credential the last request had: a key, or the links to a key's jobs. "": it had
     * none. An idle connection keeps its holder. */
    char holder[80];
    bool surplus; /* its holder has as many others as it may keep */
    bool stream;  /* the answer is an event stream */
    bool reserved;
    int fd;
    guard_phase phase;
    double phase_start_s;
    bool refused;      /* a body was left unread */
    double deadline_s; /* 0: none */
    double window_start_s;
    uint64_t window_start_bytes;
    spl_guard_reader reader; /* number 0: the answer sends no file of a job */
};

struct spl_guard {
    const spl_settings *settings;
    unsigned connections; /* without the reserve */
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping;
    spl_guarded *first;
    spl_guarded *discarding; /* the lingering one that the thread reads without the lock */
    spl_guarded **group;     /* scratch space of find_surplus, for all live connections */
    uint64_t last_reader;    /* the number of the last mark */
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

/* Discards up to `size` bytes of what the client still sends. Returns false when the client has
 * closed the connection. Releases the lock meanwhile, and `discarding` keeps the connection. */
static bool discard(spl_guarded *guarded, size_t size) {
    spl_guard *guard = guarded->guard;
    guard->discarding = guarded;
    pthread_mutex_unlock(&guard->lock);
    const ssize_t got = recv(guarded->fd, NULL, size, MSG_TRUNC | MSG_DONTWAIT);
    const bool open = got > 0 || (got < 0 && errno == EAGAIN);
    pthread_mutex_lock(&guard->lock);
    guard->discarding = NULL;
    return open;
}

static void shut_down(spl_guarded *guarded) {
    shutdown(guarded->fd, SHUT_RDWR);
    if (guarded->phase == PHASE_HEADERS)
        guarded->holder[0] = '\0'; /* its thread ends at once */
    enter_phase(guarded, PHASE_CUT, 0);
}

static void cut(spl_guarded *guarded) {
    shut_down(guarded);
    spl_metrics_count(SPL_COUNTER_CONNECTIONS_CUT, 1);
}

/* The kinds of connections that may be closed to make room for others. */
typedef enum guard_kind {
    KIND_STRANGER, /* outside the reserve, without a holder */
    KIND_CLIENT,   /* outside the reserve, with a holder */
    KIND_RESERVED,
    KIND_LINGERING,
} guard_kind;

static bool is_kind(const spl_guarded *guarded, guard_kind kind) {
    if (kind == KIND_LINGERING)
        return guarded->phase == PHASE_LINGER;
    return guarded->phase < PHASE_CUT && kind == (guarded->reserved    ? KIND_RESERVED
                                                  : guarded->holder[0] ? KIND_CLIENT
                                                                       : KIND_STRANGER);
}

static unsigned count_kind(const spl_guard *guard, guard_kind kind) {
    unsigned count = 0;
    for (const spl_guarded *other = guard->first; other; other = other->next)
        count += is_kind(other, kind);
    return count;
}

/* Checks all connections and reads what lingering ones still receive. */
static void pass(spl_guard *guard) {
    const double now_s = spl_now_s();
    const unsigned lingering = count_kind(guard, KIND_LINGERING);
    const size_t size = SPL_MAX(DISCARD_PASS_BYTES / SPL_MAX(lingering, 1u), DISCARD_MIN_BYTES);
    for (spl_guarded *guarded = guard->first, *next; guarded; guarded = next) {
        const bool late = guarded->deadline_s > 0 && now_s > guarded->deadline_s;
        const bool lingers = guarded->phase == PHASE_LINGER;
        const bool over = late || (lingers ? !discard(guarded, size) : is_slow(guarded, now_s));
        next = guarded->next; /* after discard, which lets others change the list */
        if (over && lingers)
            forget(guarded);
        else if (over)
            cut(guarded);
    }
}

static void *watch(void *user) {
    spl_guard *guard = user;
    pthread_mutex_lock(&guard->lock);
    while (!guard->stopping) {
        const struct timespec tick = spl_clock_in(TICK_MS);
        pthread_cond_timedwait(&guard->stop, &guard->lock, &tick);
        pass(guard);
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
    guard->group = calloc(connections + SPL_GUARD_RESERVE, sizeof(*guard->group));
    if (!guard->group) {
        free(guard);
        return spl_fail_memory(ret_error);
    }
    pthread_mutex_init(&guard->lock, NULL);
    spl_clock_cond_init(&guard->stop);
    int failed = pthread_create(&guard->thread, NULL, watch, guard);
    if (failed) {
        free(guard->group);
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
    free(guard->group);
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

/* Compares those for whom the connections count: their holders or, without, their networks. */
static int compare_owners(const spl_guarded *a, const spl_guarded *b) {
    const int order = strcmp(a->holder, b->holder);
    return order || a->holder[0] ? order : compare_networks(&a->network, &b->network);
}

/* Orders by owner; of one owner, idle connections come first, and then the oldest. */
static int compare_in_group(const void *left, const void *right) {
    const spl_guarded *a = *(spl_guarded *const *)left, *b = *(spl_guarded *const *)right;
    const int order = compare_owners(a, b);
    if (order || a->phase != b->phase)
        return order ? order : (int)a->phase - (int)b->phase;
    return (a->phase_start_s > b->phase_start_s) - (a->phase_start_s < b->phase_start_s);
}

/* Returns the connection to close of this kind: that of the owner who has the most of them, and of
 * equal owners the oldest. Requests with a holder are not interrupted. NULL: there is none. */
static spl_guarded *find_surplus(const spl_guard *guard, guard_kind kind) {
    spl_guarded **group = guard->group, *found = NULL;
    const size_t room = guard->connections + SPL_GUARD_RESERVE;
    size_t count = 0, most = 0;
    for (spl_guarded *other = guard->first; other && count < room; other = other->next) {
        if (is_kind(other, kind) && other != guard->discarding)
            group[count++] = other;
    }
    qsort(group, count, sizeof(*group), compare_in_group);
    for (size_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && compare_owners(group[start], group[end]) == 0;)
            end++;
        if (kind == KIND_CLIENT && group[start]->phase != PHASE_HEADERS)
            continue;
        if (end - start > most ||
            (end - start == most && group[start]->phase_start_s < found->phase_start_s)) {
            most = end - start;
            found = group[start];
        }
    }
    return found;
}

/* Makes room for one more connection. False: there is room in the reserve only. */
static bool make_place(spl_guard *guard) {
    const unsigned strangers = count_kind(guard, KIND_STRANGER);
    if (strangers + count_kind(guard, KIND_CLIENT) < guard->connections)
        return true;
    spl_guarded *given_up = NULL;
    if (strangers < guard->connections / NEWCOMERS_SHARE)
        given_up = find_surplus(guard, KIND_CLIENT);
    if (!given_up)
        given_up = find_surplus(guard, KIND_STRANGER);
    if (!given_up)
        given_up = find_surplus(guard, KIND_CLIENT);
    const bool found = given_up;
    if (!found && count_kind(guard, KIND_RESERVED) >= SPL_GUARD_RESERVE / 2)
        given_up = find_surplus(guard, KIND_RESERVED);
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

/* Makes room for one more lingering connection. */
static bool make_lingering_place(spl_guard *guard) {
    if (count_kind(guard, KIND_LINGERING) < SPL_GUARD_LINGERING(guard->connections))
        return true;
    spl_guarded *given_up = find_surplus(guard, KIND_LINGERING);
    if (given_up)
        forget(given_up);
    return given_up;
}

void spl_guard_leave(spl_guard *guard, spl_guarded *guarded) {
    pthread_mutex_lock(&guard->lock);
    const bool lingers =
        guarded->refused && guarded->phase != PHASE_CUT && make_lingering_place(guard);
    const int duplicate = lingers ? fcntl(guarded->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (duplicate >= 0) {
        guarded->fd = duplicate;
        guarded->holder[0] = '\0';
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

void spl_guard_request(spl_guarded *guarded) {
    pthread_mutex_lock(&guarded->guard->lock);
    guarded->holder[0] = '\0';
    guarded->surplus = false;
    if (guarded->phase != PHASE_CUT)
        enter_phase(guarded, PHASE_ANSWER, 0);
    pthread_mutex_unlock(&guarded->guard->lock);
}

void spl_guard_body(spl_guarded *guarded) {
    change_phase(guarded, PHASE_BODY, guarded->guard->settings->body_timeout_s);
}

void spl_guard_answer(spl_guarded *guarded, bool refused) {
    guarded->refused = refused;
    change_phase(guarded, PHASE_ANSWER, 0);
}

void spl_guard_idle(spl_guarded *guarded) {
    pthread_mutex_lock(&guarded->guard->lock);
    if (!guarded->refused) /* or else it will linger, on behalf of the same client */
        guarded->network = network_of((const struct sockaddr *)&guarded->peer);
    guarded->stream = false;
    guarded->reader.number = 0;
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

static unsigned limit_per_key(const spl_guard *guard) {
    const unsigned limit = guard->settings->connections_per_key;
    return limit == 0 ? guard->connections : SPL_MIN(limit, guard->connections / 2);
}

static unsigned half(unsigned limit) {
    return (limit + 1) / 2;
}

typedef struct guard_holding {
    unsigned all, busy, streams;
} guard_holding;

/* Counts the connections of a holder other than `self`. */
static guard_holding count_holding(const spl_guarded *self, const char *holder) {
    guard_holding holding = {0};
    for (const spl_guarded *other = self->guard->first; other; other = other->next) {
        if (other == self || strcmp(other->holder, holder) != 0)
            continue;
        holding.all++;
        holding.busy += other->phase != PHASE_HEADERS;
        holding.streams += other->stream;
    }
    return holding;
}

static bool hold(spl_guarded *guarded, const char *holder, unsigned limit) {
    pthread_mutex_lock(&guarded->guard->lock);
    const guard_holding holding = count_holding(guarded, holder);
    const bool admitted = holding.busy < limit;
    if (admitted) {
        snprintf(guarded->holder, sizeof(guarded->holder), "%s", holder);
        guarded->surplus = holding.all >= limit;
    }
    pthread_mutex_unlock(&guarded->guard->lock);
    return admitted;
}

bool spl_guard_key(spl_guarded *guarded, const char *key) {
    return hold(guarded, key, limit_per_key(guarded->guard));
}

bool spl_guard_link(spl_guarded *guarded, const char *owner) {
    char holder[sizeof(guarded->holder)];
    snprintf(holder, sizeof(holder), "links of %s", owner);
    return hold(guarded, holder, half(limit_per_key(guarded->guard)));
}

bool spl_guard_stream(spl_guarded *guarded) {
    spl_guard *guard = guarded->guard;
    pthread_mutex_lock(&guard->lock);
    const guard_holding holding = count_holding(guarded, guarded->holder);
    const bool admitted = holding.streams < half(limit_per_key(guard));
    guarded->stream = admitted;
    pthread_mutex_unlock(&guard->lock);
    return admitted;
}

bool spl_guard_surplus(const spl_guarded *guarded) {
    return guarded->surplus;
}

void spl_guard_reads(spl_guarded *guarded, const spl_guard_reader *reader) {
    pthread_mutex_lock(&guarded->guard->lock);
    guarded->reader = *reader;
    guarded->reader.number = ++guarded->guard->last_reader;
    pthread_mutex_unlock(&guarded->guard->lock);
}

int spl_guard_readers(spl_guard *guard, spl_guard_reader **ret_readers, size_t *ret_count,
                      spl_error *ret_error) {
    size_t count = 0;
    pthread_mutex_lock(&guard->lock);
    for (const spl_guarded *guarded = guard->first; guarded; guarded = guarded->next)
        count += guarded->reader.number > 0;
    spl_guard_reader *readers = calloc(SPL_MAX(count, (size_t)1), sizeof(*readers));
    size_t copied = 0;
    for (const spl_guarded *guarded = guard->first; readers && guarded; guarded = guarded->next) {
        if (guarded->reader.number > 0)
            readers[copied++] = guarded->reader;
    }
    pthread_mutex_unlock(&guard->lock);
    if (!readers)
        return spl_fail_memory(ret_error);
    *ret_readers = readers;
    *ret_count = count;
    return 0;
}

void spl_guard_end_reader(spl_guard *guard, uint64_t number) {
    pthread_mutex_lock(&guard->lock);
    for (spl_guarded *guarded = guard->first; guarded; guarded = guarded->next) {
        if (guarded->reader.number == number && guarded->phase < PHASE_CUT)
            shut_down(guarded);
    }
    pthread_mutex_unlock(&guard->lock);
}

unsigned spl_guard_busy(spl_guard *guard) {
    unsigned busy = 0;
    pthread_mutex_lock(&guard->lock);
    for (const spl_guarded *guarded = guard->first; guarded; guarded = guarded->next)
        busy += guarded->phase == PHASE_BODY || guarded->phase == PHASE_ANSWER;
    pthread_mutex_unlock(&guard->lock);
    return busy;
}
