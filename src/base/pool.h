/* SPDX-License-Identifier: MIT
 *
 * A pool of threads that run one parallel loop at a time.
 */
#ifndef SPL_BASE_POOL_H
#define SPL_BASE_POOL_H

#include "base/error.h"

typedef struct spl_pool spl_pool;

/* The number of CPUs that this process may use, from its affinity and the cgroup's quota; at least
 * 1. */
unsigned spl_cpu_count(void);

/* Starts `threads` - 1 threads; the caller of spl_pool_run is one more. 0: spl_cpu_count
 * threads. */
SPL_WARN_UNUSED int spl_pool_new(unsigned threads, spl_pool **ret_pool, spl_error *ret_error);

/* Ends the threads and frees the pool; NULL is allowed. */
void spl_pool_free(spl_pool *pool);

unsigned spl_pool_threads(const spl_pool *pool);

/* From the next task on, leaves `spared` threads idle to free their CPUs for other work. At least
 * one thread keeps running. Any thread may call it at any time. */
void spl_pool_spare(spl_pool *pool, unsigned spared);

/* Calls run(user, task, thread) once for each task < `tasks`, which is below 2^32, on all threads
 * of the pool, in any order. `thread` < spl_pool_threads is the number of the calling thread.
 * Returns when all tasks are done. Only one caller at a time. */
void spl_pool_run(spl_pool *pool, size_t tasks,
                  void (*run)(void *user, size_t task, unsigned thread), void *user);

#endif
