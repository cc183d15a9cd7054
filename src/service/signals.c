/* SPDX-License-Identifier: MIT
 *
 * SIGTERM and SIGINT are not left to their default action, which the kernel ignores for the first
 * process of a container.
 */
#include "service/signals.h"

#include "base/clock.h"
#include "service/observe/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LOG_MAX_S 1 /* for the last line of the log, which may be what hangs */

static struct {
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    unsigned stop_max_s;
    bool drains, reload;
    int ending;        /* the signal that ends the process, or 0 */
    double deadline_s; /* by spl_now_s; 0: none */
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static sigset_t watched_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

static void exit_overdue(int number) {
    (void)number;
    _exit(SPL_SIGNALS_OVERDUE_EXIT);
}

static _Noreturn void end_overdue(void) {
    const struct sigaction ends = {.sa_handler = exit_overdue};
    sigaction(SIGALRM, &ends, NULL);
    alarm(LOG_MAX_S);
    spl_log(SPL_LOG_ERROR, "service.stop_overdue", SPL_INTEGER("limit_s", watch.stop_max_s),
            SPL_TEXT("detail", "the service did not stop in time and was ended; its jobs are "
                               "queued again"));
    _exit(SPL_SIGNALS_OVERDUE_EXIT);
}

static _Noreturn void end_by(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
    _exit(128 + number); /* the first process of a container survives raise() */
}

/* Call with the lock held. */
static void set_deadline(void) {
    if (watch.deadline_s == 0)
        watch.deadline_s = spl_now_s() + watch.stop_max_s;
}

static void *receive_signals(void *user) {
    (void)user;
    const sigset_t set = watched_signals();
    const struct timespec tick = {.tv_sec = 1};
    for (;;) {
        const int number = sigtimedwait(&set, NULL, &tick);
        pthread_mutex_lock(&watch.lock);
        const bool ends = number == SIGTERM || number == SIGINT;
        if (ends && (!watch.drains || watch.ending))
            end_by(number);
        if (ends) {
            watch.ending = number;
            set_deadline();
        }
        watch.reload |= number == SIGHUP;
        pthread_cond_signal(&watch.changed);
        const double deadline_s = watch.deadline_s;
        pthread_mutex_unlock(&watch.lock);
        if (deadline_s > 0 && spl_now_s() > deadline_s)
            end_overdue();
    }
    return NULL;
}

int spl_signals_watch(unsigned stop_max_s, spl_error *ret_error) {
    const sigset_t set = watched_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    watch.stop_max_s = stop_max_s;
    pthread_t thread;
    const int failed = pthread_create(&thread, NULL, receive_signals, NULL);
    if (failed)
        return spl_fail_errno(ret_error, failed, "cannot start a thread");
    pthread_detach(thread);
    return 0;
}

void spl_signals_drain(void) {
    pthread_mutex_lock(&watch.lock);
    watch.drains = true;
    pthread_mutex_unlock(&watch.lock);
}

int spl_signals_wait(void) {
    const struct timespec until = spl_clock_in(1000);
    pthread_mutex_lock(&watch.lock);
    if (!watch.ending && !watch.reload)
        pthread_cond_clockwait(&watch.changed, &watch.lock, CLOCK_MONOTONIC, &until);
    const int number = watch.ending ? watch.ending : watch.reload ? SIGHUP : 0;
    watch.reload = false;
    pthread_mutex_unlock(&watch.lock);
    return number;
}

void spl_signals_limit_stop(void) {
    pthread_mutex_lock(&watch.lock);
    set_deadline();
    pthread_mutex_unlock(&watch.lock);
}
