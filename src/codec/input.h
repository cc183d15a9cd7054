/* SPDX-License-Identifier: MIT
 *
 * The media file as libav reads it: without the tags before and behind the sound.
 */
#ifndef SPL_CODEC_INPUT_H
#define SPL_CODEC_INPUT_H

#include "base/error.h"

typedef struct spl_input {
    int fd;
    uint64_t begin, end;      /* of the part of the file that libav sees, in bytes */
    uint64_t position;        /* in the file */
    uint64_t unknown_size_at; /* the four bytes here read as 0xff: a size that wrapped; 0: none */
    uint64_t budget_bytes;    /* reading more than this fails; set it before each step */
    int read_errno;           /* of a failed read, else 0 */
} spl_input;

/* Finds the part to read of the regular file `fd`, which has `file_bytes` and stays the caller's.
 * ID3v2 tags before it, and ID3, APE and Lyrics3 tags behind it, are left out; libav would decode
 * their pictures as noise. A WAV file of over 4 GiB whose 32-bit sizes wrapped is read as far as
 * the sound goes. Errors: IO. */
SPL_WARN_UNUSED int spl_input_open(int fd, uint64_t file_bytes, spl_input *ret_input,
                                   spl_error *ret_error);

/* The bytes before the frame of an MP3 file that says how much of the sound is the encoder's; 0:
 * there is no such frame. libav looks for it in front only. */
uint64_t spl_input_mp3_junk(spl_input *input);

/* Callbacks for avio_alloc_context; `input` is a spl_input. */
int spl_input_read(void *input, uint8_t *bytes, int size);
int64_t spl_input_seek(void *input, int64_t offset, int whence);

#endif
