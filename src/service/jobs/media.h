/* SPDX-License-Identifier: MIT
 *
 * Which files are taken: extension, declared media type and content must agree, and be among
 * SPLEETER_FORMATS.
 */
#ifndef SPL_SERVICE_JOBS_MEDIA_H
#define SPL_SERVICE_JOBS_MEDIA_H

#include "app/audio/audio.h"
#include "service/core/problem.h"

/* Checks what is known before the first byte. `formats`: extensions, separated by commas. `name`
 * (its extension counts) and `type` ("audio/mpeg"; parameters don't count;
 * "application/octet-stream" says nothing) may be NULL. Problem: MEDIA_TYPE. */
SPL_WARN_UNUSED int spl_media_check_declared(const char *formats, const char *name,
                                             const char *type, spl_problem *ret_problem);

/* Makes the list of containers, for spl_decode_options, that the content of a file so declared may
 * be of. The parameters are those of spl_media_check_declared. Room for SPL_CONTAINERS_MAX_BYTES is
 * enough. */
void spl_media_containers(const char *formats, const char *name, const char *type,
                          char *ret_containers, size_t size);

/* Refuses a file whose content is of another container; `what` says what it is. Returns the status
 * of the refusal. */
int spl_media_refuse_content(const char *formats, const char *name, const char *what,
                             spl_problem *ret_problem);

/* "audio/flac" */
const char *spl_media_type_of(spl_codec codec);

#endif
