/* SPDX-License-Identifier: MIT
 *
 * A thread beside the caller's that runs one function at a time.
 */
#ifndef SPL_BASE_BACKGROUND_H
#define SPL_BASE_BACKGROUND_H

#include "base/error.h"

typedef struct spl_background spl_background;

/* Starts the thread, idle. It takes no signals. */
SPL_WARN_UNUSED int spl_background_new(spl_background **ret_background, spl_error *ret_error);

/* Ends the thread, which must be idle, and frees; NULL is allowed. */
void spl_background_free(spl_background *background);

/* Lets the idle thread call run(user). */
void spl_background_start(spl_background *background, void (*run)(void *user), void *user);

/* From the function that runs: lets spl_background_wait return. */
void spl_background_wake(spl_background *background);

/* Waits for the function to return (true), or to wake the caller (false). */
bool spl_background_wait(spl_background *background);

#endif
