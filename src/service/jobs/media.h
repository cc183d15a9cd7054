/* SPDX-License-Identifier: MIT
 *
 * Which files are taken: extension, declared media type and the first bytes must agree, and be among SPLEETER_FORMATS.
 */
#ifndef SPL_SERVICE_JOBS_MEDIA_H
#define SPL_SERVICE_JOBS_MEDIA_H

#include "audio/audio.h"
#include "service/problem.h"

/* What a file is by its first bytes. */
typedef enum spl_container {
    SPL_CONTAINER_UNKNOWN,
    SPL_CONTAINER_WAV,  /* RIFF, RF64 or BW64 */
    SPL_CONTAINER_AIFF, /* AIFF or AIFF-C */
    SPL_CONTAINER_FLAC,
    SPL_CONTAINER_OGG,
    SPL_CONTAINER_MPEG, /* MPEG audio, layers 1 to 3 */
    SPL_CONTAINER_AAC,  /* ADTS or ADIF */
    SPL_CONTAINER_MP4,  /* ISO base media, QuickTime */
    SPL_CONTAINER_ASF,
    SPL_CONTAINER_MATROSKA, /* WebM too */
} spl_container;

/* By the first `size` bytes of a file, or of what follows its ID3 tag; 16 bytes are enough. */
spl_container spl_container_of(const uint8_t *bytes, size_t size);

/* Bytes of the ID3v2 tag that starts with the first `size` bytes; 0: none. */
uint64_t spl_id3_tag_bytes(const uint8_t *bytes, size_t size);

/* Checks what is known before the first byte. `formats`: extensions, separated by commas. `name` (its extension counts) and `type` ("audio/mpeg"; parameters
 * don't count; "application/octet-stream" says nothing) may be NULL. Problem: MEDIA_TYPE. */
SPL_WARN_UNUSED int spl_media_check_declared(const char *formats, const char *name,
                                             const char *type, spl_problem *ret_problem);

/* Checks the first bytes of the regular file `fd` (pread) too. Problems: MEDIA_TYPE, INTERNAL. */
SPL_WARN_UNUSED int spl_media_check_content(const char *formats, const char *name, const char *type,
                                            int fd, spl_problem *ret_problem);

/* "audio/flac" */
const char *spl_media_type_of(spl_codec codec);

#endif
