/* SPDX-License-Identifier: MIT
 *
 * Writing WAV files: 16- and 24-bit integers and 32-bit float, beyond 4 GiB as RF64.
 */
#ifndef SPL_APP_AUDIO_WAV_H
#define SPL_APP_AUDIO_WAV_H

#include "app/audio/audio.h"

typedef struct spl_wav_format {
    spl_sample_format sample_format;
    unsigned channels;     /* 1 to SPL_CHANNELS_MAX */
    uint64_t channel_mask; /* as in spl_audio_info; 0: the usual one for that many channels */
    unsigned sample_rate_hz;
} spl_wav_format;

#define SPL_WAV_HEADER_MAX_BYTES 128
#define SPL_WAV_UNKNOWN_BYTES    UINT64_MAX       /* in a pipe */
#define SPL_WAV_GROWING_BYTES    (UINT64_MAX - 1) /* in a file that is not complete yet */

/* Makes the header of a file with `data_bytes` bytes of samples. For a format, all headers but that
 * in a pipe are of one size. Returns the size. */
size_t spl_wav_header(const spl_wav_format *format, uint64_t data_bytes,
                      uint8_t ret_header[SPL_WAV_HEADER_MAX_BYTES]);

typedef struct spl_wav_writer spl_wav_writer;

/* Starts a file in `fd`, which stays the caller's, at its position. The header says that the size
 * is unknown, and so the file can be played while it grows; if it is `seekable`,
 * spl_wav_writer_finish fills the size in. `name` is for messages and must outlive the writer.
 * `stop` (may be NULL) is asked in all calls while what `fd` is, such as a pipe, takes nothing:
 * CANCELED. */
SPL_WARN_UNUSED int spl_wav_writer_open(int fd, const char *name, bool seekable,
                                        const spl_wav_format *format, const spl_stop *stop,
                                        spl_wav_writer **ret_writer, spl_error *ret_error);

/* Writes `count` samples per channel. */
SPL_WARN_UNUSED int spl_wav_writer_write(spl_wav_writer *writer, const float *samples, size_t count,
                                         spl_error *ret_error);

/* Writes what is buffered and the final header. */
SPL_WARN_UNUSED int spl_wav_writer_finish(spl_wav_writer *writer, spl_error *ret_error);

/* Sample values that were outside the range of the format so far. */
uint64_t spl_wav_writer_clipped(const spl_wav_writer *writer);

void spl_wav_writer_free(spl_wav_writer *writer);

#endif
