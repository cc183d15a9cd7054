/* SPDX-License-Identifier: MIT
 *
 * The wall clock of this process: CLOCK_BOOTTIME from one reading of CLOCK_REALTIME on.
 */
#include "base/clock.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int64_t offset_ms;

static int64_t read_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void take_offset(void) {
    offset_ms = read_ms(CLOCK_REALTIME) - read_ms(CLOCK_BOOTTIME);
}

int64_t spl_wall_ms(void) {
    pthread_once(&once, take_offset);
    return read_ms(CLOCK_BOOTTIME) + offset_ms;
}
