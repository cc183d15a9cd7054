/* SPDX-License-Identifier: MIT */
#include "service/outbound/resolve.h"

#include "base/clock.h"
#include "base/descriptors.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define POLL_MS       50
#define ADDRESSES_MAX 16

/* A running lookup, or a finished one whose callers have not all seen its result. */
typedef struct lookup {
    struct lookup *next;
    char *host, *owner;
    unsigned callers;
    bool running;
    char *addresses; /* NULL: the host was not found */
} lookup;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list and its members */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static lookup *lookups;

static void lookup_free(lookup *one) {
    free(one->host);
    free(one->owner);
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
    drop_if_over(own);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Call with the lock held. *ret_lookup is NULL if there are too many. */
static int start_lookup(const spl_resolve *resolve, lookup **ret_lookup, spl_error *ret_error) {
    unsigned count = 0, of_owner = 0;
    for (const lookup *one = lookups; one; one = one->next) {
        count += one->running;
        of_owner += one->running && strcmp(one->owner, resolve->owner) == 0;
    }
    *ret_lookup = NULL;
    if (count >= SPL_RESOLVE_MAX || of_owner >= SPL_RESOLVE_OWNER_MAX)
        return 0;
    lookup *own = calloc(1, sizeof(*own));
    if (!own)
        return spl_fail_memory(ret_error);
    *own =
        (lookup){.host = strdup(resolve->host), .owner = strdup(resolve->owner), .running = true};
    pthread_t thread;
    const int failed =
        own->host && own->owner ? pthread_create(&thread, NULL, look_up, own) : ENOMEM;
    if (failed) {
        lookup_free(own);
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

/* Waits for a change; returns an error when the caller must not wait any longer. Call with the lock
 * held; it is released meanwhile. */
static int wait_for_change(const spl_resolve *resolve, bool started, spl_error *ret_error) {
    const struct timespec until = spl_clock_in(POLL_MS);
    pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&lock);
    const bool canceled = resolve->canceled && resolve->canceled(resolve->user);
    pthread_mutex_lock(&lock);
    if (canceled)
        return spl_fail(ret_error, SPL_E_CANCELED, "the request was canceled");
    if (spl_now_s() < resolve->deadline_s)
        return 0;
    if (started)
        return spl_fail(ret_error, SPL_E_IO, "the host's name server does not answer");
    return spl_fail(ret_error, SPL_E_EXHAUSTED, "too many names of hosts are being looked up");
}

/* Call with the lock held. The caller holds *ret_lookup on success. */
static int join_lookup(const spl_resolve *resolve, lookup **ret_lookup, spl_error *ret_error) {
    for (;;) {
        lookup *one = find_lookup(resolve->host);
        int status = one ? 0 : start_lookup(resolve, &one, ret_error);
        if (status == 0 && one) {
            one->callers++;
            *ret_lookup = one;
            return 0;
        }
        if (status == 0)
            status = wait_for_change(resolve, false, ret_error);
        if (status < 0)
            return status;
    }
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
            status = wait_for_change(resolve, true, ret_error);
        if (status == 0)
            status = take_addresses(own, ret_addresses, ret_error);
        own->callers--;
        drop_if_over(own);
    }
    pthread_mutex_unlock(&lock);
    return status;
}
