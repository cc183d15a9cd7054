/* SPDX-License-Identifier: MIT
 *
 * A pool of threads that run one loop at a time.
 */
#ifndef SPL_BASE_POOL_H
#define SPL_BASE_POOL_H

#include "base/error.h"

typedef struct spl_pool spl_pool;

/* CPUs this process may use at once: its affinity and the cgroup's quota, at least 1. */
unsigned spl_cpu_count(void);

/* Starts `threads` - 1 threads; the caller of spl_pool_run is one more. 0: as many as
 * spl_cpu_count. */
SPL_WARN_UNUSED int spl_pool_new(unsigned threads, spl_pool **ret_pool, spl_error *ret_error);

/* Ends the threads and frees; NULL is allowed. */
void spl_pool_free(spl_pool *pool);

unsigned spl_pool_threads(const spl_pool *pool);

/* From the next task on, lets `spared` threads rest, but never all: their CPUs are wanted for
 * something else. Any thread may call it at any time. */
void spl_pool_spare(spl_pool *pool, unsigned spared);

/* Calls run(user, task, thread) once for each task < `tasks`, fewer than 2^32, on all threads of
 * the pool, in any order; `thread` < spl_pool_threads says on which. Returns when all are done. One
 * caller at a time. */
void spl_pool_run(spl_pool *pool, size_t tasks,
                  void (*run)(void *user, size_t task, unsigned thread), void *user);

#endif
