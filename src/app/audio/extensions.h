/* SPDX-License-Identifier: MIT
 *
 * Which files of a folder are taken for songs: by the extensions of their names.
 */
#ifndef SPL_APP_AUDIO_EXTENSIONS_H
#define SPL_APP_AUDIO_EXTENSIONS_H

#include "base/macros.h"

#include <stddef.h>

/* The length of the file name `name` before its last dot; all of it when nothing is before the dot
 * but dots. */
size_t spl_name_stem_length(const char *name);

/* Whether a file named `name` (without folders) is worth a try: its extension, whatever the case,
 * is one of audio or video that can be decoded, and it is not hidden. */
bool spl_name_is_audio(const char *name);

#endif
