/* SPDX-License-Identifier: MIT
 *
 * The generic cell rate algorithm (ITU-T I.371) stores one number per name: the time at which all
 * its requests are available again. A request moves this time forward by the time that one request
 * takes to become available, and is refused when the result would be more than a minute ahead.
 *
 * The table is divided into sets of eight slots. A name's set and tag come from SHA-256 with a
 * random salt, so that clients cannot choose names that collide. A new name replaces the slot of
 * its set with the earliest such time.
 */
#include "service/auth/rate.h"

#include <math.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SET_SIZE  8
#define NAME_SIZE 256 /* longer names are cut */
#define WINDOW_S  60.0

typedef struct slot {
    uint64_t tag;
    double full_s;
} slot;

struct spl_rate_table {
    pthread_mutex_t lock;
    uint8_t salt[16];
    size_t set_count;
    slot slots[];
};

int spl_rate_table_new(size_t capacity, spl_rate_table **ret_table, spl_error *ret_error) {
    const size_t set_count = SPL_MAX((capacity + SET_SIZE - 1) / SET_SIZE, 1);
    spl_rate_table *table = calloc(1, sizeof(*table) + set_count * SET_SIZE * sizeof(slot));
    if (!table)
        return spl_fail_memory(ret_error);
    table->set_count = set_count;
    pthread_mutex_init(&table->lock, NULL);
    if (RAND_bytes(table->salt, sizeof(table->salt)) != 1) {
        spl_rate_table_free(table);
        return spl_fail(ret_error, SPL_E_IO, "OpenSSL has no random bytes");
    }
    *ret_table = table;
    return 0;
}

void spl_rate_table_free(spl_rate_table *table) {
    if (!table)
        return;
    pthread_mutex_destroy(&table->lock);
    free(table);
}

/* Returns the slot of `name`. When there is none, replaces the oldest slot of the set. */
static slot *find_slot(spl_rate_table *table, const char *name) {
    char salted[sizeof(table->salt) + NAME_SIZE];
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint64_t numbers[2];
    memcpy(salted, table->salt, sizeof(table->salt));
    const int length =
        snprintf(salted + sizeof(table->salt), sizeof(salted) - sizeof(table->salt), "%s", name);
    SHA256((unsigned char *)salted, sizeof(table->salt) + SPL_MIN((size_t)length, NAME_SIZE - 1),
           digest);
    memcpy(numbers, digest, sizeof(numbers));

    slot *set = &table->slots[numbers[0] % table->set_count * SET_SIZE];
    slot *oldest = set;
    for (slot *s = set; s < set + SET_SIZE; s++) {
        if (s->tag == numbers[1])
            return s;
        if (s->full_s < oldest->full_s)
            oldest = s;
    }
    *oldest = (slot){.tag = numbers[1]};
    return oldest;
}

bool spl_rate_take(spl_rate_table *table, const char *name, unsigned per_minute, double now_s,
                   spl_rate *ret_rate, unsigned *ret_wait_s) {
    const double one_s = WINDOW_S / SPL_MAX(per_minute, 1u);
    pthread_mutex_lock(&table->lock);
    slot *own = find_slot(table, name);
    double full_s = fmax(own->full_s, now_s);
    const double wait_s = full_s + one_s - (now_s + WINDOW_S);
    const bool granted = wait_s <= 1e-6;
    if (granted)
        own->full_s = full_s += one_s;
    pthread_mutex_unlock(&table->lock);

    *ret_wait_s = granted ? 0 : (unsigned)ceil(wait_s);
    *ret_rate = (spl_rate){
        .limit = per_minute,
        .remaining = (unsigned)fmax((now_s + WINDOW_S - full_s) / one_s + 1e-6, 0),
        .reset_s = (unsigned)ceil(full_s - now_s),
    };
    return granted;
}
