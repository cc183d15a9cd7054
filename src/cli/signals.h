/* SPDX-License-Identifier: MIT
 *
 * SIGINT and SIGTERM ask the program to stop cleanly; the second one kills it.
 */
#ifndef SPL_CLI_SIGNALS_H
#define SPL_CLI_SIGNALS_H

/* Watches for the two signals; ignores SIGPIPE, so that a closed pipe is an error like any other. */
void cli_signals_watch(void);

/* The signal that came, or 0. */
int cli_signals_caught(void);

#endif
