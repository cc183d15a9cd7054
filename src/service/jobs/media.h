/* SPDX-License-Identifier: MIT
 *
 * Accepted media types. Extension, declared media type and content must agree and be among
 * SPLEETER_FORMATS.
 */
#ifndef SPL_SERVICE_JOBS_MEDIA_H
#define SPL_SERVICE_JOBS_MEDIA_H

#include "app/audio/audio.h"
#include "service/core/problem.h"

/* Checks the declared name and type, before any content is available. `formats`: extensions,
 * separated by commas. `name` (only its extension is used) and `type` ("audio/mpeg"; parameters are
 * ignored, and "application/octet-stream" counts as no type) may be NULL. Problem: MEDIA_TYPE. */
SPL_WARN_UNUSED int spl_media_check_declared(const char *formats, const char *name,
                                             const char *type, spl_problem *ret_problem);

/* Lists the containers that the content of a file with this declaration may have, for
 * spl_decode_options. The parameters are those of spl_media_check_declared. A buffer of
 * SPL_CONTAINERS_MAX_BYTES is large enough. */
void spl_media_containers(const char *formats, const char *name, const char *type,
                          char *ret_containers, size_t size);

/* Refuses a file whose content does not match its declaration; `what` describes the content.
 * Returns the status of the refusal. */
int spl_media_refuse_content(const char *formats, const char *name, const char *what,
                             spl_problem *ret_problem);

/* "audio/flac" */
const char *spl_media_type_of(spl_codec codec);

#endif
