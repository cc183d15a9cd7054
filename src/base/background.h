/* SPDX-License-Identifier: MIT
 *
 * A background thread that runs one function at a time.
 */
#ifndef SPL_BASE_BACKGROUND_H
#define SPL_BASE_BACKGROUND_H

#include "base/error.h"

typedef struct spl_background spl_background;

/* Starts the thread, which is idle at first and blocks all signals. */
SPL_WARN_UNUSED int spl_background_new(spl_background **ret_background, spl_error *ret_error);

/* Ends the thread, which must be idle, and frees it; NULL is allowed. */
void spl_background_free(spl_background *background);

/* Runs run(user) on the thread, which must be idle. */
void spl_background_start(spl_background *background, void (*run)(void *user), void *user);

/* Called by the running function: makes spl_background_wait return. */
void spl_background_wake(spl_background *background);

/* Waits until the function has returned (true) or has called spl_background_wake (false). */
bool spl_background_wait(spl_background *background);

#endif
