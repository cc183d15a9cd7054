/* SPDX-License-Identifier: MIT
 *
 * Functions that all files of this module use: failures, pauses, turns.
 */
#include "service/jobs/state.h"

#include "base/clock.h"

#include <sys/random.h>

#define TURN_RETRY_AFTER_S 10

void spl_jobs_log_failure(spl_log_level level, const char *event, const spl_error *error) {
    spl_log(level, event, SPL_TEXT("status", spl_status_text(error->status)),
            SPL_TEXT("error", error->message));
}

int spl_jobs_refuse_failure(spl_problem *ret_problem, const char *event, const spl_error *error) {
    spl_jobs_log_failure(error->status == SPL_E_CANCELED ? SPL_LOG_INFO : SPL_LOG_ERROR, event,
                         error);
    return spl_refuse_error(ret_problem, error);
}

int64_t spl_backoff_ms(int64_t base_ms, unsigned attempt, int64_t most_ms) {
    int64_t wait_ms = base_ms;
    for (unsigned i = 0; i < attempt && wait_ms < most_ms; i++)
        wait_ms *= 2;
    wait_ms = SPL_MIN(wait_ms, most_ms);
    uint32_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return wait_ms;
    const int64_t half_ms = wait_ms / 2;
    return half_ms + (int64_t)((double)(wait_ms - half_ms) * random / UINT32_MAX);
}

void spl_jobs_pause(spl_jobs *jobs, unsigned ms) {
    const struct timespec deadline = spl_clock_in(ms);
    pthread_mutex_lock(&jobs->lock);
    int failed = 0;
    while (!failed && !atomic_load(&jobs->draining))
        failed = pthread_cond_timedwait(&jobs->changed, &jobs->lock, &deadline);
    pthread_mutex_unlock(&jobs->lock);
}

int spl_jobs_take_turn(spl_jobs *jobs, spl_turn_kind kind, const spl_turn_wait *wait,
                       unsigned *ret_slot, spl_problem *ret_problem) {
    int status = spl_turns_take(&jobs->turns[kind], wait, ret_slot);
    if (status == 0)
        return 0;
    if (status == SPL_E_CANCELED && atomic_load(&jobs->draining))
        return spl_refuse_draining(ret_problem);
    if (status == SPL_E_CANCELED)
        return spl_refuse_disconnected(ret_problem);
    status = spl_refuse(ret_problem, SPL_PROBLEM_UNAVAILABLE,
                        "too many requests of this kind are in progress; try again later");
    ret_problem->retry_after_s = TURN_RETRY_AFTER_S;
    return status;
}

void spl_jobs_end_turn(spl_jobs *jobs, spl_turn_kind kind, unsigned slot) {
    spl_turns_end(&jobs->turns[kind], slot);
}
