/* SPDX-License-Identifier: MIT
 *
 * Recognises songs in a folder by their file name extensions.
 */
#ifndef SPL_APP_AUDIO_EXTENSIONS_H
#define SPL_APP_AUDIO_EXTENSIONS_H

#include "base/macros.h"

#include <stddef.h>

/* The length of the file name up to its last dot; the whole length if only dots precede that. */
size_t spl_name_stem_length(const char *name);

/* Whether the file `name` (without folders) may be decodable: it is not hidden, and its extension,
 * in any case, is of a supported audio or video format. */
bool spl_name_is_audio(const char *name);

#endif
