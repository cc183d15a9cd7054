/* SPDX-License-Identifier: MIT
 *
 * Signals ask the program to stop cleanly; a second one of the same kind kills it.
 */
#ifndef SPL_CLI_SIGNALS_H
#define SPL_CLI_SIGNALS_H

#include <stdbool.h>

/* Ignores SIGPIPE and SIGXFSZ, so that a closed pipe and a file beyond `ulimit -f` are errors of
 * write like any other. */
void cli_signals_ignore(void);

/* Watches for SIGINT, SIGTERM, SIGHUP and SIGQUIT, as far as they are not ignored (nohup). For
 * commands that ask cli_signals_caught while they work. */
void cli_signals_watch(void);

/* The signal that came, or 0. */
int cli_signals_caught(void);

/* Whether one came: spl_stop.ask. */
bool cli_signals_stop(void *user);

#endif
