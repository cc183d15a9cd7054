/* SPDX-License-Identifier: MIT
 *
 * A pool of threads with work stealing.
 *
 * Each loop is a generation. Each thread owns a range of consecutive tasks, which is the same in
 * loops of the same length, so data that one loop leaves in a CPU's cache is there in the next. A
 * thread that finishes its range steals from the end of another's.
 *
 * Loops follow each other closely, and waking a thread takes longer than many loops. Threads
 * therefore spin briefly for the next loop before they sleep. A loop ends with its last task: it
 * does not wait for a thread without a task, which may not be scheduled because its CPU is busy.
 */
#include "base/pool.h"

#include "base/thread.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

/* The unclaimed tasks of a thread: from the low 32 bits up to the high 32 bits. */
typedef struct range {
    _Alignas(64) _Atomic uint64_t unclaimed;
} range;

struct spl_pool {
    unsigned threads;
    pthread_t *handles; /* threads - 1 of them */
    unsigned started;

    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    _Atomic uint64_t generation; /* grows with each loop */
    atomic_uint active; /* the number of threads that claim tasks: those with the lowest numbers */
    bool quit;

    /* of the generation; modified only while no task is pending */
    void (*run)(void *user, size_t task, unsigned thread);
    void *user;
    atomic_size_t undone;
    range *ranges; /* one per thread */
};

/* The cgroup v2 quota in whole CPUs, rounded up; 0 if there is none. */
static unsigned cgroup_cpus(void) {
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!file)
        return 0;
    unsigned long long quota, period;
    int fields = fscanf(file, "%llu %llu", &quota, &period);
    fclose(file);
    if (fields != 2 || period == 0)
        return 0;
    return (unsigned)SPL_MIN((quota + period - 1) / period, 4096ull);
}

unsigned spl_cpu_count(void) {
    cpu_set_t set;
    unsigned count = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        count = SPL_MAX(1u, (unsigned)CPU_COUNT(&set));
    unsigned quota = cgroup_cpus();
    return quota ? SPL_MAX(1u, SPL_MIN(count, quota)) : count;
}

enum { LOOKS = 2000 }; /* about tens of microseconds */

static void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void look_out_for_work(const spl_pool *pool, uint64_t seen) {
    for (unsigned i = 0; i < LOOKS && atomic_load(&pool->generation) == seen; i++)
        pause_briefly();
}

static void look_out_for_end(const spl_pool *pool) {
    for (unsigned i = 0; i < LOOKS && atomic_load(&pool->undone) > 0; i++)
        pause_briefly();
}

/* Claims the first or the last task of a range; returns false if it is empty. The generation cannot
 * end while a claimed task is pending. */
static bool claim(range *from, bool last, size_t *ret_task) {
    uint64_t unclaimed = atomic_load(&from->unclaimed);
    for (;;) {
        const uint32_t begin = (uint32_t)unclaimed, end = (uint32_t)(unclaimed >> 32);
        if (begin == end)
            return false;
        *ret_task = last ? end - 1 : begin;
        const uint64_t left = last ? unclaimed - (UINT64_C(1) << 32) : unclaimed + 1;
        if (atomic_compare_exchange_weak(&from->unclaimed, &unclaimed, left))
            return true;
    }
}

/* Claims a task of the thread's own range, or else steals one from another's. */
static bool find_task(spl_pool *pool, unsigned thread, size_t *ret_task) {
    if (thread >= atomic_load(&pool->active))
        return false;
    for (unsigned i = 0; i < pool->threads; i++)
        if (claim(&pool->ranges[(thread + i) % pool->threads], i > 0, ret_task))
            return true;
    return false;
}

/* Runs tasks until none is left. Returns whether this thread finished the generation's last
 * task. */
static bool take_tasks(spl_pool *pool, unsigned thread) {
    bool last = false;
    size_t task;
    while (find_task(pool, thread, &task)) {
        pool->run(pool->user, task, thread);
        last = atomic_fetch_sub(&pool->undone, 1) == 1;
    }
    return last;
}

typedef struct thread_start {
    spl_pool *pool;
    unsigned thread;
} thread_start;

static void *thread_main(void *argument) {
    thread_start start = *(thread_start *)argument;
    free(argument);
    spl_pool *pool = start.pool;
    uint64_t seen = 0;
    for (;;) {
        look_out_for_work(pool, seen);
        pthread_mutex_lock(&pool->mutex);
        while (!pool->quit && pool->generation == seen)
            pthread_cond_wait(&pool->work, &pool->mutex);
        const bool quit = pool->quit;
        seen = pool->generation;
        pthread_mutex_unlock(&pool->mutex);
        if (quit)
            return NULL;
        if (take_tasks(pool, start.thread)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

static int start_threads(spl_pool *pool, spl_error *ret_error) {
    while (pool->started < pool->threads - 1) {
        thread_start *start = malloc(sizeof(*start));
        if (!start)
            return spl_fail_memory(ret_error);
        *start = (thread_start){.pool = pool, .thread = pool->started + 1};
        const int status =
            spl_thread_start(thread_main, start, &pool->handles[pool->started], ret_error);
        if (status < 0) {
            free(start);
            return status;
        }
        pool->started++;
    }
    return 0;
}

int spl_pool_new(unsigned threads, spl_pool **ret_pool, spl_error *ret_error) {
    spl_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return spl_fail_memory(ret_error);
    pool->threads = threads ? threads : spl_cpu_count();
    atomic_store(&pool->active, pool->threads);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->handles = calloc(pool->threads, sizeof(*pool->handles));
    pool->ranges = aligned_alloc(_Alignof(range), pool->threads * sizeof(*pool->ranges));
    for (unsigned i = 0; pool->ranges && i < pool->threads; i++)
        atomic_init(&pool->ranges[i].unclaimed, 0);
    int status =
        pool->handles && pool->ranges ? start_threads(pool, ret_error) : spl_fail_memory(ret_error);
    if (status < 0) {
        spl_pool_free(pool);
        return status;
    }
    *ret_pool = pool;
    return 0;
}

void spl_pool_free(spl_pool *pool) {
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->quit = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->started; i++)
        pthread_join(pool->handles[i], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->ranges);
    free(pool->handles);
    free(pool);
}

unsigned spl_pool_threads(const spl_pool *pool) {
    return pool->threads;
}

void spl_pool_spare(spl_pool *pool, unsigned spared) {
    atomic_store(&pool->active, pool->threads - SPL_MIN(spared, pool->threads - 1));
}

void spl_pool_run(spl_pool *pool, size_t tasks,
                  void (*run)(void *user, size_t task, unsigned thread), void *user) {
    if (pool->threads == 1 || tasks == 1) {
        for (size_t task = 0; task < tasks; task++)
            run(user, task, 0);
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->run = run;
    pool->user = user;
    atomic_store(&pool->undone, tasks);
    for (unsigned i = 0; i < pool->threads; i++) {
        const uint64_t begin = tasks * i / pool->threads, end = tasks * (i + 1) / pool->threads;
        atomic_store(&pool->ranges[i].unclaimed, begin | end << 32);
    }
    pool->generation++;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);

    take_tasks(pool, 0);
    look_out_for_end(pool);

    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->undone) > 0)
        pthread_cond_wait(&pool->done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}
