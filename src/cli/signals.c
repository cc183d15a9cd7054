/* SPDX-License-Identifier: MIT
 *
 * The handler notes the signal; SA_RESETHAND gives the second one its default effect.
 */
#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;

static void note_signal(int number) {
    caught = number;
}

void cli_signals_watch(void) {
    struct sigaction note = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &note, NULL);
    sigaction(SIGTERM, &note, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
}

int cli_signals_caught(void) {
    return caught;
}
