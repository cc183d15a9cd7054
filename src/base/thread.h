/* SPDX-License-Identifier: MIT
 *
 * Threads of the library.
 */
#ifndef SPL_BASE_THREAD_H
#define SPL_BASE_THREAD_H

#include "base/error.h"

#include <pthread.h>

/* Starts run(user) on a new thread that blocks all signals, so that the handlers of the program run
 * on the program's own threads. The caller joins *ret_thread. Errors: EXHAUSTED, MEMORY. */
SPL_WARN_UNUSED int spl_thread_start(void *(*run)(void *user), void *user, pthread_t *ret_thread,
                                     spl_error *ret_error);

#endif
