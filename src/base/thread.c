/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include <signal.h>

int spl_thread_start(void *(*run)(void *user), void *user, pthread_t *ret_thread,
                     spl_error *ret_error) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(ret_thread, NULL, run, user);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? spl_fail_errno(ret_error, failed, "cannot start a thread") : 0;
}
