/* SPDX-License-Identifier: MIT
 *
 * Measurement of this machine's peak performance.
 */
#include "base/clock.h"
#include "base/pool.h"
#include "lib/kernels/kernels.h"

#include <spleeter/spleeter.h>

enum { STEPS = 1000000, ROUNDS = 8 };

static void peak_task(void *user, size_t task, unsigned thread) {
    (void)thread;
    float *sums = user;
    sums[task] = spl_kernels_get(spl_cpu_flags())->peak(STEPS);
}

SPL_API double spl_cpu_peak_flops(unsigned threads) {
    spl_pool *pool;
    if (spl_pool_new(threads, &pool, NULL) < 0)
        return 0;
    const unsigned count = spl_pool_threads(pool);
    const double flop = 2.0 * spl_kernels_get(spl_cpu_flags())->peak_lanes * STEPS * count;
    double best = 0;
    float *sums = calloc(count, sizeof(*sums));
    for (int round = 0; sums && round < ROUNDS; round++) {
        const double start_s = spl_now_s();
        spl_pool_run(pool, count, peak_task, sums);
        best = SPL_MAX(best, flop / (spl_now_s() - start_s));
    }
    free(sums);
    spl_pool_free(pool);
    return best;
}
