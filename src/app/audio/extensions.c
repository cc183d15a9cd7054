/* SPDX-License-Identifier: MIT
 *
 * The file name extensions of the formats that the codec helper demuxes (src/codec/decode.c).
 */
#include "app/audio/extensions.h"

#include <string.h>
#include <strings.h>

static const char *const extensions[] = {
    "3g2",  "3gp",  "aac",  "ac3",  "adts", "aif", "aifc", "aiff",  "alac", "amr", "ape", "asf",
    "au",   "avi",  "awb",  "bwf",  "caf",  "dsf", "dts",  "dtshd", "eac3", "ec3", "f4a", "f4v",
    "flac", "flv",  "latm", "loas", "m2ts", "m4a", "m4b",  "m4r",   "m4v",  "mka", "mkv", "mlp",
    "mov",  "mp1",  "mp2",  "mp3",  "mp4",  "mpc", "mpeg", "mpg",   "mts",  "oga", "ogg", "ogv",
    "opus", "qt",   "rf64", "snd",  "spx",  "tak", "thd",  "ts",    "tta",  "vob", "voc", "w64",
    "wav",  "wave", "webm", "wma",  "wmv",  "wv",  "xwma",
};

size_t spl_name_stem_length(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && strspn(name, ".") < (size_t)(dot - name) ? (size_t)(dot - name) : strlen(name);
}

bool spl_name_is_audio(const char *name) {
    const char *extension = name + spl_name_stem_length(name);
    if (name[0] == '.' || *extension == '\0')
        return false;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(extensions); i++) {
        if (strcasecmp(extension + 1, extensions[i]) == 0)
            return true;
    }
    return false;
}
