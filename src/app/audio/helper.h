/* SPDX-License-Identifier: MIT
 *
 * The codec helper as a child process: start, communication, timeouts, end.
 *
 * No call blocks indefinitely: each polls the helper's `stop` every tenth of a second, and fails
 * when the helper hangs. A failing function stores the reason in the helper; spl_helper_fail turns
 * it into an error.
 */
#ifndef SPL_APP_AUDIO_HELPER_H
#define SPL_APP_AUDIO_HELPER_H

#include "app/audio/codec_protocol.h"

#include <sys/types.h>

/* Why communication with a helper ended. */
typedef enum spl_helper_end_reason {
    SPL_HELPER_WRONG,    /* it violated the protocol */
    SPL_HELPER_HUNG_UP,  /* it closed the socket, or exited */
    SPL_HELPER_SILENT,   /* it hangs */
    SPL_HELPER_LATE,     /* `end_s` has passed */
    SPL_HELPER_BUSY,     /* it used more CPU time than `cpu_max_s`, or than one wait may take */
    SPL_HELPER_CANCELED, /* `stop` returned true */
} spl_helper_end_reason;

typedef enum spl_helper_task {
    SPL_HELPER_DECODES,
    SPL_HELPER_ENCODES,
} spl_helper_task;

typedef struct spl_helper {
    pid_t pid; /* 0: no process behind the socket, as in tests of the protocol */
    int fd;    /* the socket */
    spl_stop stop;
    double end_s; /* deadline of all calls, on the clock of spl_now_s; 0: none */
    /* Limit of its CPU time so far, and a condition for a limit of 30 s within one wait; 0: only
     * its own limits hold. */
    double cpu_max_s;
    spl_helper_end_reason reason;
} spl_helper;

#define SPL_HELPER_INIT                                                                            \
    { .fd = -1 }

/* Starts `spleeterd-codec MODE` with an empty environment, the socket and a duplicate of `file_fd`,
 * and no other descriptor but /dev/null on 0 to 2. The environment variable SPLEETER_CODEC gives
 * the path of the program. Otherwise the first match is used: beside this program, then
 * ../libexec/spleeterd/ from there, then the configured libexecdir. Errors: HELPER, IO. */
SPL_WARN_UNUSED int spl_helper_start(const char *mode, int file_fd, const spl_stop *stop,
                                     spl_helper *ret_helper, spl_error *ret_error);

/* Sends a record. On failure, the socket may still hold the helper's FAILURE record. */
SPL_WARN_UNUSED int spl_helper_send(spl_helper *helper, spl_record_type type, const void *payload,
                                    size_t size);

/* Receives the header of the next record. */
SPL_WARN_UNUSED int spl_helper_receive_header(spl_helper *helper, spl_record_header *ret_header);

/* Receives exactly `size` bytes of a payload. */
SPL_WARN_UNUSED int spl_helper_receive(spl_helper *helper, void *ret_payload, size_t size);

/* Receives the payload of a FAILURE record: its message, made printable and prefixed with "name: ",
 * into *ret_error, and its status into *ret_status. The status is ARGUMENT, FORMAT, UNSUPPORTED,
 * LIMIT, BUDGET or IO, when encoding also NO_SPACE or PERMISSION; any other counts as HELPER. False
 * when the record is malformed. */
SPL_WARN_UNUSED bool spl_helper_receive_failure(spl_helper *helper, spl_helper_task task,
                                                const spl_record_header *header, const char *name,
                                                spl_error *ret_error, int *ret_status);

/* Ends the helper after one of the functions above failed or the helper violated the protocol, and
 * reports the cause in *ret_error. `name` is the media file's. Returns HELPER, CANCELED, or BUDGET
 * when the helper exceeded its time limit. */
int spl_helper_fail(spl_helper *helper, const char *name, spl_error *ret_error);

/* Kills the helper if it still runs, and waits for it. Safe after SPL_HELPER_INIT, and to call
 * twice. */
void spl_helper_end(spl_helper *helper);

/* As spl_sandbox_check, with a limit of its time. */
SPL_WARN_UNUSED int spl_sandbox_check_within(int limit_ms, spl_error *ret_error);

#endif
