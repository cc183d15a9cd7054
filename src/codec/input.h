/* SPDX-License-Identifier: MIT
 *
 * The media file as libav reads it: without the tags before and after the audio.
 */
#ifndef SPL_CODEC_INPUT_H
#define SPL_CODEC_INPUT_H

#include "base/error.h"

typedef struct spl_input {
    int fd;
    uint64_t begin, end;      /* byte range of the file that libav reads */
    uint64_t position;        /* in the file */
    uint64_t unknown_size_at; /* offset of a wrapped size, read as four 0xff bytes; 0: none */
    uint64_t budget_bytes;    /* reading more than this fails; set it before each step */
    int read_errno;           /* errno of a failed read, else 0 */
} spl_input;

/* Finds the range to read of the regular file `fd`, which has `file_bytes` bytes and stays the
 * caller's. The range excludes ID3v2 tags at the start, and ID3, APE and Lyrics3 tags at the end,
 * whose pictures libav would decode as noise. A WAV file over 4 GiB whose 32-bit sizes wrapped is
 * read to the end of its samples. Errors: IO. */
SPL_WARN_UNUSED int spl_input_open(int fd, uint64_t file_bytes, spl_input *ret_input,
                                   spl_error *ret_error);

/* The number of bytes before an MP3 file's Xing or Info frame, which states the encoder delay and
 * padding; 0: no such frame. libav looks for this frame only at the start. */
uint64_t spl_input_mp3_junk(spl_input *input);

/* Callbacks for avio_alloc_context; `input` is a spl_input. */
int spl_input_read(void *opaque, uint8_t *bytes, int size);
int64_t spl_input_seek(void *opaque, int64_t offset, int whence);

#endif
