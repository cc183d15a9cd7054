/* SPDX-License-Identifier: MIT
 *
 * What a program and its codec helper say to each other.
 *
 * The helper inherits two descriptors: a stream socket to the program and the
 * media file. Over the socket go records: a header (type, size of the payload
 * in bytes) and the payload. Structs travel as they lie in memory, for both
 * ends are of one build on one machine; SPL_PROTOCOL_VERSION catches a helper
 * of another build.
 *
 *   decode   program: DECODE
 *            helper:  START, SAMPLES..., END_DECODE    or FAILURE at any point
 *   encode   program: ENCODE
 *            helper:  READY                            or FAILURE
 *            program: SAMPLES..., FINISH
 *            helper:  END_ENCODE                       or FAILURE at any point
 *
 * While it encodes, the helper only speaks when it is done or has failed, so
 * the two never wait for each other.
 *
 * The program believes nothing that the helper says: sizes, counts and texts
 * are checked, for the helper may have been taken over by a media file. The
 * program's side is in helper.h, for it never waits without end.
 */
#ifndef SPL_APP_AUDIO_CODEC_PROTOCOL_H
#define SPL_APP_AUDIO_CODEC_PROTOCOL_H

#include "app/audio/audio.h"

#define SPL_PROTOCOL_VERSION 3
#define SPL_SAMPLE_RATE_HZ   44100

/* Descriptors of the helper. */
#define SPL_HELPER_CHANNEL_FD 3
#define SPL_HELPER_FILE_FD    4

/* Exit status of a helper that has used up its CPU time. */
#define SPL_HELPER_EXIT_CPU 75

/* Largest payload of a SAMPLES record. */
#define SPL_RECORD_SAMPLES_MAX_BYTES (1u << 18)

typedef enum spl_record_type {
    SPL_RECORD_DECODE = 0x73706c00, /* spl_decode_request */
    SPL_RECORD_START,               /* spl_decode_start */
    SPL_RECORD_SAMPLES,    /* float samples, interleaved; a whole number per channel, not 0 */
    SPL_RECORD_END_DECODE, /* spl_decode_end */
    SPL_RECORD_ENCODE,     /* spl_encode_request */
    SPL_RECORD_READY,      /* nothing */
    SPL_RECORD_FINISH,     /* spl_encode_finish */
    SPL_RECORD_END_ENCODE, /* spl_encode_end */
    SPL_RECORD_FAILURE,    /* spl_error; its message has no name of the file */
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
    uint32_t seekable; /* 1: the file is written by seeking; 0: from front to end, as a pipe */
    spl_encode_options options;
} spl_encode_request;

typedef struct spl_encode_finish {
    uint64_t length; /* samples of the file at most; UINT64_MAX: all there are */
} spl_encode_finish;

typedef struct spl_encode_end {
    uint64_t clipped;
} spl_encode_end;

/* Of the helper: sends a record. Errors: HELPER when the other end is gone. */
SPL_WARN_UNUSED int spl_record_send(int fd, spl_record_type type, const void *payload, size_t size);

/* Receives the header of the next record. Errors: HELPER when the other end is gone. */
SPL_WARN_UNUSED int spl_record_receive_header(int fd, spl_record_header *ret_header);

/* Receives exactly `size` bytes of a payload. Errors: HELPER when the other end is gone. */
SPL_WARN_UNUSED int spl_record_receive(int fd, void *ret_payload, size_t size);

/* Whether `start` is of this build and in the ranges that audio.h promises; makes its texts
 * printable. */
SPL_WARN_UNUSED bool spl_decode_start_check(spl_decode_start *start);

/* Ends `text` of `size` bytes with a NUL and replaces what is not printable ASCII by '?'. */
void spl_text_make_printable(char *text, size_t size);

#endif
