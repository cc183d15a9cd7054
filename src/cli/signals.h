/* SPDX-License-Identifier: MIT
 *
 * The first signal requests a clean stop; a second one of the same kind kills the program.
 */
#ifndef SPL_CLI_SIGNALS_H
#define SPL_CLI_SIGNALS_H

#include <stdbool.h>

/* Ignores SIGPIPE and SIGXFSZ, so that a closed pipe or a file beyond `ulimit -f` becomes an
 * ordinary write error. */
void cli_signals_ignore(void);

/* Watches for SIGINT, SIGTERM, SIGHUP and SIGQUIT, except those that are ignored (nohup). For
 * commands that poll cli_signals_caught while they work. */
void cli_signals_watch(void);

/* Returns the signal that arrived, or 0. */
int cli_signals_caught(void);

/* Returns whether a signal arrived; a callback for spl_stop.requested. */
bool cli_signals_stop(void *user);

#endif
