/* SPDX-License-Identifier: MIT
 *
 * Writes WAV files of 16- or 24-bit integers or 32-bit floats; files beyond 4 GiB are RF64.
 */
#ifndef SPL_APP_AUDIO_WAV_H
#define SPL_APP_AUDIO_WAV_H

#include "app/audio/audio.h"

typedef struct spl_wav_format {
    spl_sample_format sample_format;
    unsigned channels;     /* 1 to SPL_CHANNELS_MAX */
    uint64_t channel_mask; /* as in spl_audio_info; 0: the default for `channels` */
    unsigned sample_rate_hz;
} spl_wav_format;

#define SPL_WAV_HEADER_MAX_BYTES 128
#define SPL_WAV_UNKNOWN_BYTES    UINT64_MAX       /* in a pipe */
#define SPL_WAV_GROWING_BYTES    (UINT64_MAX - 1) /* in a file that is not complete yet */

/* Writes the header of a file with `data_bytes` bytes of samples, and returns its size. For a given
 * format, all headers but that for a pipe have the same size. */
size_t spl_wav_header(const spl_wav_format *format, uint64_t data_bytes,
                      uint8_t ret_header[SPL_WAV_HEADER_MAX_BYTES]);

typedef struct spl_wav_writer spl_wav_writer;

/* Starts a file at the position of `fd`, which stays the caller's. The header states an unknown
 * size, so that the file can be played while it grows; spl_wav_writer_finish fills in the size if
 * `fd` is `seekable`. `name` is for messages and must outlive the writer. `stop` (may be NULL) is
 * polled in all calls while an `fd` that is not seekable, such as a pipe, blocks: CANCELED. */
SPL_WARN_UNUSED int spl_wav_writer_open(int fd, const char *name, bool seekable,
                                        const spl_wav_format *format, const spl_stop *stop,
                                        spl_wav_writer **ret_writer, spl_error *ret_error);

/* Writes `count` samples per channel. */
SPL_WARN_UNUSED int spl_wav_writer_write(spl_wav_writer *writer, const float *samples, size_t count,
                                         spl_error *ret_error);

/* Writes the buffered samples and, if the file is seekable, the final header. */
SPL_WARN_UNUSED int spl_wav_writer_finish(spl_wav_writer *writer, spl_error *ret_error);

/* The number of sample values so far that were outside the format's range. */
uint64_t spl_wav_writer_clipped(const spl_wav_writer *writer);

/* The size of the file so far, including what is still buffered. */
uint64_t spl_wav_writer_bytes(const spl_wav_writer *writer);

void spl_wav_writer_free(spl_wav_writer *writer);

#endif
