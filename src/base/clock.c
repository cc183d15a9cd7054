/* SPDX-License-Identifier: MIT
 *
 * The wall clock of this process: CLOCK_REALTIME read once, advanced by CLOCK_BOOTTIME.
 */
#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>

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

void spl_time_text(int64_t wall_ms, char ret_text[25]) {
    const time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char date[20];
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(ret_text, 25, "%s.%03uZ", date, (unsigned)(wall_ms % 1000) % 1000);
}
