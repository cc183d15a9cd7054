/* SPDX-License-Identifier: MIT */
#include "service/outbound/resolve.h"

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/turns.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define POLL_MS       50
#define ADDRESSES_MAX 16

/* A running lookup, or a finished one whose callers have not all seen its result. */
typedef struct lookup {
    struct lookup *next;
    char *host;
    int slot; /* of the key's turn; -1: the service's own */
    unsigned callers;
    bool running;
    char *addresses; /* NULL: the host was not found */
} lookup;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list and its members */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static lookup *lookups;

static spl_turns turns;
static pthread_once_t turns_once = PTHREAD_ONCE_INIT;

static void init_turns(void) {
    spl_turns_init(&turns, SPL_RESOLVE_MAX, SPL_RESOLVE_OWNER_MAX);
}

static void end_turn(int slot) {
    if (slot >= 0)
        spl_turns_end(&turns, (unsigned)slot);
}

static void lookup_free(lookup *one) {
    free(one->host);
    free(one->addresses);
    free(one);
}

/* Call with the lock held. */
static void drop_if_over(lookup *one) {
    if (one->running || one->callers > 0)
        return;
    lookup **link = &lookups;
    while (*link != one)
        link = &(*link)->next;
    *link = one->next;
    lookup_free(one);
}

/* "ADDRESS,[ADDRESS]", owned by the caller; NULL when memory runs out. */
static char *list_addresses(const struct addrinfo *found) {
    char *list = NULL;
    size_t size = 0;
    FILE *text = open_memstream(&list, &size);
    if (!text)
        return NULL;
    for (unsigned i = 0; found && i < ADDRESSES_MAX; i++, found = found->ai_next) {
        char address[NI_MAXHOST];
        if (getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof(address), NULL, 0,
                        NI_NUMERICHOST) != 0 ||
            strchr(address, '%')) /* a link-local address, which is not public */
            continue;
        fprintf(text, found->ai_family == AF_INET6 ? "%s[%s]" : "%s%s", ftell(text) ? "," : "",
                address);
    }
    if (fclose(text) != 0) {
        free(list);
        return NULL;
    }
    return list;
}

static void *look_up(void *user) {
    lookup *own = user;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char *addresses = NULL;
    if (getaddrinfo(own->host, NULL, &hints, &found) == 0) {
        addresses = list_addresses(found);
        freeaddrinfo(found);
    }
    pthread_mutex_lock(&lock);
    own->addresses = addresses;
    own->running = false;
    end_turn(own->slot);
    drop_if_over(own);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Call with the lock held. Takes over the turn. */
static int start_lookup(const char *host, int slot, lookup **ret_lookup, spl_error *ret_error) {
    lookup *own = calloc(1, sizeof(*own));
    pthread_t thread;
    int failed = ENOMEM;
    if (own)
        *own = (lookup){.host = strdup(host), .slot = slot, .running = true};
    if (own && own->host)
        failed = pthread_create(&thread, NULL, look_up, own);
    if (failed) {
        if (own)
            lookup_free(own);
        end_turn(slot);
        return spl_fail_errno(ret_error, failed, "cannot start a thread");
    }
    pthread_detach(thread);
    own->next = lookups;
    lookups = own;
    *ret_lookup = own;
    return 0;
}

/* Call with the lock held. */
static lookup *find_lookup(const char *host) {
    lookup *one = lookups;
    while (one && (!one->running || strcmp(one->host, host) != 0))
        one = one->next;
    return one;
}

static int fail_canceled(spl_error *ret_error) {
    return spl_fail(ret_error, SPL_E_CANCELED, "the request was canceled");
}

/* Waits for the key's turn. The service itself needs none: *ret_slot is -1. */
static int take_turn(const spl_resolve *resolve, int *ret_slot, spl_error *ret_error) {
    const double left_s = fmax(resolve->deadline_s - spl_now_s(), 0);
    const spl_turn_wait wait = {
        .key = resolve->owner,
        .ms = (unsigned)fmin(1e3 * left_s, UINT_MAX),
        .canceled = resolve->canceled,
        .user = resolve->user,
    };
    unsigned slot;
    *ret_slot = -1;
    if (!*resolve->owner)
        return 0;
    pthread_once(&turns_once, init_turns);
    const int status = spl_turns_take(&turns, &wait, &slot);
    if (status == SPL_E_CANCELED)
        return fail_canceled(ret_error);
    if (status < 0)
        return spl_fail(ret_error, SPL_E_EXHAUSTED, "too many names of hosts are being looked up");
    *ret_slot = (int)slot;
    return 0;
}

/* Waits for a change; returns an error when the caller must not wait any longer. Call with the lock
 * held; it is released meanwhile. */
static int wait_for_change(const spl_resolve *resolve, spl_error *ret_error) {
    const struct timespec until = spl_clock_in(POLL_MS);
    pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&lock);
    const bool canceled = resolve->canceled && resolve->canceled(resolve->user);
    pthread_mutex_lock(&lock);
    if (canceled)
        return fail_canceled(ret_error);
    if (spl_now_s() < resolve->deadline_s)
        return 0;
    return spl_fail(ret_error, SPL_E_IO, "the host's name server does not answer");
}

/* Call with the lock held; it is released while the key waits for its turn. The caller holds
 * *ret_lookup on success. */
static int join_lookup(const spl_resolve *resolve, lookup **ret_lookup, spl_error *ret_error) {
    lookup *one = find_lookup(resolve->host);
    if (!one) {
        int slot;
        pthread_mutex_unlock(&lock);
        int status = take_turn(resolve, &slot, ret_error);
        pthread_mutex_lock(&lock);
        if (status < 0)
            return status;
        one = find_lookup(resolve->host); /* another caller may have started it meanwhile */
        if (one)
            end_turn(slot);
        else
            status = start_lookup(resolve->host, slot, &one, ret_error);
        if (status < 0)
            return status;
    }
    one->callers++;
    *ret_lookup = one;
    return 0;
}

static int take_addresses(const lookup *over, char **ret_addresses, spl_error *ret_error) {
    const bool found = over->addresses && *over->addresses;
    if (!found && spl_descriptors_left() == 0) /* getaddrinfo does not say so */
        return spl_fail_errno(ret_error, EMFILE, "couldn't look up the host's name");
    if (!found)
        return spl_fail(ret_error, SPL_E_IO, "couldn't resolve host name");
    char *copy = strdup(over->addresses);
    if (!copy)
        return spl_fail_memory(ret_error);
    *ret_addresses = copy;
    return 0;
}

int spl_resolve_host(const spl_resolve *resolve, char **ret_addresses, spl_error *ret_error) {
    lookup *own = NULL;
    pthread_mutex_lock(&lock);
    int status = join_lookup(resolve, &own, ret_error);
    if (status == 0) {
        while (status == 0 && own->running)
            status = wait_for_change(resolve, ret_error);
        if (status == 0)
            status = take_addresses(own, ret_addresses, ret_error);
        own->callers--;
        drop_if_over(own);
    }
    pthread_mutex_unlock(&lock);
    return status;
}
