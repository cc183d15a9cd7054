/* SPDX-License-Identifier: MIT
 *
 * The signals of the service. A thread of its own receives them, so that they end the process
 * whatever the other threads do.
 */
#ifndef SPL_SERVICE_SIGNALS_H
#define SPL_SERVICE_SIGNALS_H

#include "base/error.h"

/* Exit code when the service does not stop in time. */
#define SPL_SIGNALS_OVERDUE_EXIT 7

/* Starts the thread, and blocks the signals in the caller. Call it once, before other threads
 * start. Until spl_signals_drain(), SIGTERM and SIGINT end the process at once. Then the first one
 * allows it `stop_max_s` seconds, and a second one ends it at once. */
SPL_WARN_UNUSED int spl_signals_watch(unsigned stop_max_s, spl_error *ret_error);
void spl_signals_drain(void);

/* Waits for a signal for up to a second. Returns SIGTERM, SIGINT, SIGHUP, or 0. */
int spl_signals_wait(void);

/* From now on the process has `stop_max_s` seconds to end, unless a signal has set its deadline. */
void spl_signals_limit_stop(void);

#endif
