/* SPDX-License-Identifier: MIT
 *
 * The codec helper as a child process: started, watched, ended.
 */
#ifndef SPL_AUDIO_HELPER_H
#define SPL_AUDIO_HELPER_H

#include "base/error.h"

#include <sys/types.h>

typedef struct spl_helper {
    pid_t pid; /* 0: no process behind the socket, as in tests of the protocol */
    int fd;    /* the socket */
} spl_helper;

#define SPL_HELPER_INIT                                                                            \
    { .fd = -1 }

/* Starts `spleeterd-codec MODE` with an empty environment, the socket and a duplicate of `file_fd`, nothing else.
 * The program is the one that the environment variable SPLEETER_CODEC names, or else the first there is of:
 * beside this program, ../libexec/spleeterd/ from there, the configured libexecdir. Errors: HELPER, IO. */
SPL_WARN_UNUSED int spl_helper_start(const char *mode, int file_fd, spl_helper *ret_helper,
                                     spl_error *ret_error);

/* To be called when the helper hung up or said something that it should not: ends it and tells in `ret_error` what
 * became of it. `name` is that of the media file. Returns HELPER, or LIMIT when it used up its CPU time. */
int spl_helper_fail(spl_helper *helper, const char *name, spl_error *ret_error);

/* Kills the helper if it still runs, and waits for it. Safe on an initialised or ended one. */
void spl_helper_end(spl_helper *helper);

#endif
