/* SPDX-License-Identifier: MIT
 *
 * The protocol between a program and its codec helper.
 *
 * The helper inherits two descriptors: a stream socket to the program and the media file. The
 * socket carries records: a header (type, payload size in bytes) and the payload. Structs are sent
 * as they are in memory, since both ends come from the same build and run on the same machine;
 * SPL_PROTOCOL_VERSION detects a helper of another build.
 *
 *   decode   program: DECODE
 *            helper:  START, SAMPLES..., END_DECODE    or FAILURE at any point
 *   encode   program: ENCODE
 *            helper:  READY                            or FAILURE
 *            program: SAMPLES..., FINISH
 *            helper:  END_ENCODE                       or FAILURE at any point
 *
 * During encoding, the helper sends a record only when it has finished or failed. This rules out a
 * deadlock in which both sides block on sending.
 *
 * The program does not trust the helper, since a media file may have compromised it: it checks all
 * sizes, counts and texts. The program's side, in helper.h, has timeouts and cancellation.
 */
#ifndef SPL_APP_AUDIO_CODEC_PROTOCOL_H
#define SPL_APP_AUDIO_CODEC_PROTOCOL_H

#include "app/audio/audio.h"

#include <spleeter/separate.h>

#define SPL_PROTOCOL_VERSION 4

/* Descriptors of the helper. */
#define SPL_HELPER_CHANNEL_FD 3
#define SPL_HELPER_FILE_FD    4

/* Exit status of a helper that exceeded its CPU time limit. */
#define SPL_HELPER_EXIT_CPU 75

/* Largest payload of a SAMPLES record. */
#define SPL_RECORD_SAMPLES_MAX_BYTES (1u << 18)

typedef enum spl_record_type {
    SPL_RECORD_DECODE = 0x73706c00, /* spl_decode_request */
    SPL_RECORD_START,               /* spl_decode_start */
    SPL_RECORD_SAMPLES,             /* interleaved floats: one or more samples of all channels */
    SPL_RECORD_END_DECODE,          /* spl_decode_end */
    SPL_RECORD_ENCODE,              /* spl_encode_request */
    SPL_RECORD_READY,               /* no payload */
    SPL_RECORD_FINISH,              /* spl_encode_finish */
    SPL_RECORD_END_ENCODE,          /* spl_encode_end */
    SPL_RECORD_FAILURE,             /* spl_error; the message does not contain the file's name */
} spl_record_type;

typedef struct spl_record_header {
    uint32_t type;
    uint32_t size_bytes; /* of the payload */
} spl_record_header;

typedef struct spl_decode_request {
    uint32_t version;
    spl_decode_options options;
} spl_decode_request;

typedef struct spl_decode_start {
    uint32_t version;
    uint32_t without_landlock; /* 1: the kernel has none */
    spl_audio_info info;
} spl_decode_start;

typedef struct spl_decode_end {
    uint64_t samples; /* sent, per channel */
    char warning[256];
} spl_decode_end;

typedef struct spl_encode_request {
    uint32_t version;
    uint32_t seekable; /* 1: the file supports seeking; 0: it is written front to back, as a pipe */
    uint64_t end_bytes; /* no byte of the file may be written behind this; UINT64_MAX: no limit */
    spl_encode_options options;
} spl_encode_request;

typedef struct spl_encode_finish {
    uint64_t length; /* maximum number of samples in the file; UINT64_MAX: no limit */
} spl_encode_finish;

typedef struct spl_encode_end {
    uint64_t clipped;
} spl_encode_end;

/* Sends a record; called by the helper. Errors: HELPER when the other end is closed. */
SPL_WARN_UNUSED int spl_record_send(int fd, spl_record_type type, const void *payload, size_t size);

/* Receives the header of the next record. Errors: HELPER when the other end is closed. */
SPL_WARN_UNUSED int spl_record_receive_header(int fd, spl_record_header *ret_header);

/* Receives exactly `size` bytes of a payload. Errors: HELPER when the other end is closed. */
SPL_WARN_UNUSED int spl_record_receive(int fd, void *ret_payload, size_t size);

/* Checks that `start` has this build's protocol version and is within the ranges in audio.h; makes
 * its texts printable. */
SPL_WARN_UNUSED bool spl_decode_start_check(spl_decode_start *start);

/* Terminates `text` of `size` bytes and replaces bytes that are not printable ASCII by '?'. */
void spl_text_make_printable(char *text, size_t size);

#endif
