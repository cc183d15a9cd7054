/* SPDX-License-Identifier: MIT
 *
 * The handler records the signal; SA_RESETHAND restores the default action for the second one.
 */
#include "cli/signals.h"

#include "base/macros.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;

static void note_signal(int number) {
    caught = number;
}

void cli_signals_ignore(void) {
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
}

void cli_signals_watch(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    const struct sigaction note = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(numbers); i++) {
        struct sigaction before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &note, NULL);
    }
}

int cli_signals_caught(void) {
    return caught;
}

bool cli_signals_stop(void *user) {
    (void)user;
    return caught != 0;
}
