/* SPDX-License-Identifier: MIT
 *
 * The codec helper as a child process: started, talked to, watched, ended.
 *
 * No call waits without end: each asks the helper's `stop` every tenth of a second, and gives up on
 * a helper that hangs. A function that fails leaves the reason in the helper, and spl_helper_fail
 * turns it into an error.
 */
#ifndef SPL_APP_AUDIO_HELPER_H
#define SPL_APP_AUDIO_HELPER_H

#include "app/audio/codec_protocol.h"

#include <sys/types.h>

/* Why nothing more comes from a helper. */
typedef enum spl_helper_end_reason {
    SPL_HELPER_WRONG,    /* it said something that it should not */
    SPL_HELPER_HUNG_UP,  /* it closed the socket, or ended */
    SPL_HELPER_SILENT,   /* it hangs */
    SPL_HELPER_LATE,     /* its time is over */
    SPL_HELPER_CANCELED, /* `stop` said so */
} spl_helper_end_reason;

typedef struct spl_helper {
    pid_t pid; /* 0: no process behind the socket, as in tests of the protocol */
    int fd;    /* the socket */
    spl_stop stop;
    double end_s; /* by spl_now_s: until when calls wait; 0: no end */
    spl_helper_end_reason reason;
} spl_helper;

#define SPL_HELPER_INIT                                                                            \
    { .fd = -1 }

/* Starts `spleeterd-codec MODE` with an empty environment, the socket and a duplicate of `file_fd`,
 * nothing else. The program is the one that the environment variable SPLEETER_CODEC names, or else
 * the first there is of: beside this program, ../libexec/spleeterd/ from there, the configured
 * libexecdir. Errors: HELPER, IO. */
SPL_WARN_UNUSED int spl_helper_start(const char *mode, int file_fd, const spl_stop *stop,
                                     spl_helper *ret_helper, spl_error *ret_error);

/* Sends a record. On failure the helper may still have said why (its FAILURE record). */
SPL_WARN_UNUSED int spl_helper_send(spl_helper *helper, spl_record_type type, const void *payload,
                                    size_t size);

/* Receives the header of the next record. */
SPL_WARN_UNUSED int spl_helper_receive_header(spl_helper *helper, spl_record_header *ret_header);

/* Receives exactly `size` bytes of a payload. */
SPL_WARN_UNUSED int spl_helper_receive(spl_helper *helper, void *ret_payload, size_t size);

/* Receives the payload of a FAILURE record into *ret_error, with the message made printable and put
 * behind "name: ", and its status into *ret_status. False when the record is not what it should be.
 */
SPL_WARN_UNUSED bool spl_helper_receive_failure(spl_helper *helper, const spl_record_header *header,
                                                const char *name, spl_error *ret_error,
                                                int *ret_status);

/* To be called when one of these failed or the helper said something that it should not: ends it
 * and tells in `ret_error` what became of it. `name` is that of the media file. Returns HELPER,
 * CANCELED, or BUDGET when it used up its time. */
int spl_helper_fail(spl_helper *helper, const char *name, spl_error *ret_error);

/* Kills the helper if it still runs, and waits for it. Safe on an initialised or ended one. */
void spl_helper_end(spl_helper *helper);

#endif
