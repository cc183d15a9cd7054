/* SPDX-License-Identifier: MIT
 *
 * The table of formats: extension, the containers (libav's names) of such files, and the media
 * types that clients send for them. The codec helper detects the container of a file from its
 * content, as it does for the command.
 */
#include "service/jobs/media.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef struct media_format {
    const char *extension;
    const char *containers; /* separated by commas */
    const char *types;      /* separated by spaces */
} media_format;

#define WAV_TYPES  "audio/wav audio/x-wav audio/wave audio/vnd.wave audio/x-pn-wav audio/vnd.wav"
#define AIFF_TYPES "audio/aiff audio/x-aiff audio/aif audio/aifc"
#define OGG_TYPES                                                                                  \
    "audio/ogg application/ogg video/ogg audio/vorbis audio/x-vorbis+ogg audio/opus "              \
    "audio/x-opus+ogg audio/x-flac+ogg audio/x-speex+ogg audio/speex audio/x-speex"
#define MPEG_TYPES                                                                                 \
    "audio/mpeg audio/mp3 audio/x-mp3 audio/mpeg3 audio/x-mpeg-3 audio/mp2 audio/x-mp2 "           \
    "audio/mp1 audio/x-mp1"
#define AAC_TYPES  "audio/aac audio/x-aac audio/aacp audio/x-hx-aac-adts audio/vnd.dlna.adts"
#define LATM_TYPES "audio/mp4a-latm audio/x-loas audio/usac " AAC_TYPES
#define MP4_TYPES                                                                                  \
    "audio/mp4 video/mp4 application/mp4 audio/x-m4a audio/m4a audio/x-m4b audio/x-m4r "           \
    "video/x-m4v video/quicktime audio/alac audio/x-alac"
#define GPP_TYPES      "audio/3gpp video/3gpp audio/3gpp2 video/3gpp2 " MP4_TYPES
#define ASF_TYPES      "audio/x-ms-wma video/x-ms-wmv video/x-ms-asf application/vnd.ms-asf"
#define MATROSKA_TYPES "video/x-matroska video/matroska audio/x-matroska audio/matroska"
#define WEBM_TYPES     "video/webm audio/webm"

#define AC3_TYPES "audio/ac3 audio/x-ac3 audio/vnd.dolby.dd-raw audio/eac3 audio/vnd.dolby.dd-plus"

#define DTS_TYPES "audio/vnd.dts audio/vnd.dts.hd audio/dts audio/x-dts"
#define MLP_TYPES "audio/vnd.dolby.mlp audio/mlp audio/truehd audio/x-truehd"
#define AMR_TYPES "audio/amr audio/amr-wb audio/amr-nb audio/3gpp"
#define PS_TYPES  "video/mpeg video/mp2p video/dvd"
#define TS_TYPES  "video/mp2t video/vnd.dlna.mpeg-tts"
#define FLV_TYPES "video/x-flv video/flv"
#define APE_TYPES "audio/ape audio/x-ape audio/x-monkeys-audio audio/vnd.monkeys-audio"
#define MPC_TYPES "audio/musepack audio/x-musepack audio/mpc audio/x-mpc"

static const media_format table[] = {
    {"wav", "wav,w64", WAV_TYPES},
    {"wave", "wav,w64", WAV_TYPES},
    {"bwf", "wav,w64", WAV_TYPES},
    {"rf64", "wav", WAV_TYPES},
    {"w64", "w64", "audio/w64 audio/x-w64 " WAV_TYPES},
    {"aif", "aiff", AIFF_TYPES},
    {"aiff", "aiff", AIFF_TYPES},
    {"aifc", "aiff", AIFF_TYPES},
    {"caf", "caf", "audio/caf audio/x-caf"},
    {"au", "au", "audio/basic audio/au audio/x-au"},
    {"snd", "au", "audio/basic audio/au audio/x-au"},
    {"voc", "voc", "audio/voc audio/x-voc"},
    {"flac", "flac", "audio/flac audio/x-flac"},
    {"wv", "wv", "audio/wavpack audio/x-wavpack"},
    {"tta", "tta", "audio/tta audio/x-tta"},
    {"tak", "tak", "audio/tak audio/x-tak"},
    {"ape", "ape", APE_TYPES},
    {"mpc", "mpc,mpc8", MPC_TYPES},
    {"dsf", "dsf", "audio/dsf audio/x-dsf audio/dsd audio/x-dsd"},
    {"ogg", "ogg", OGG_TYPES},
    {"oga", "ogg", OGG_TYPES},
    {"ogv", "ogg", OGG_TYPES},
    {"opus", "ogg", OGG_TYPES},
    {"spx", "ogg", OGG_TYPES},
    {"mp1", "mp3", MPEG_TYPES},
    {"mp2", "mp3", MPEG_TYPES},
    {"mp3", "mp3", MPEG_TYPES},
    {"aac", "aac,loas", AAC_TYPES},
    {"adts", "aac", AAC_TYPES},
    {"latm", "loas", LATM_TYPES},
    {"loas", "loas", LATM_TYPES},
    {"m4a", "mov", MP4_TYPES},
    {"m4b", "mov", MP4_TYPES},
    {"m4r", "mov", MP4_TYPES},
    {"m4v", "mov", MP4_TYPES},
    {"mp4", "mov", MP4_TYPES},
    {"alac", "mov", MP4_TYPES},
    {"mov", "mov", MP4_TYPES},
    {"qt", "mov", MP4_TYPES},
    {"f4a", "mov", MP4_TYPES " " FLV_TYPES},
    {"f4v", "mov", MP4_TYPES " " FLV_TYPES},
    {"3gp", "mov,amr", GPP_TYPES},
    {"3g2", "mov", GPP_TYPES},
    {"amr", "amr,amrnb,amrwb", AMR_TYPES},
    {"awb", "amr,amrnb,amrwb", AMR_TYPES},
    {"wma", "asf,xwma", ASF_TYPES},
    {"wmv", "asf", ASF_TYPES},
    {"asf", "asf", ASF_TYPES},
    {"xwma", "xwma", "audio/xwma audio/x-xwma audio/x-ms-wma"},
    {"webm", "matroska", WEBM_TYPES " " MATROSKA_TYPES},
    {"mka", "matroska", MATROSKA_TYPES " " WEBM_TYPES},
    {"mkv", "matroska", MATROSKA_TYPES " " WEBM_TYPES},
    {"ac3", "ac3,eac3", AC3_TYPES},
    {"eac3", "ac3,eac3", AC3_TYPES},
    {"ec3", "ac3,eac3", AC3_TYPES},
    {"dts", "dts,dtshd", DTS_TYPES},
    {"dtshd", "dts,dtshd", DTS_TYPES},
    {"mlp", "mlp,truehd", MLP_TYPES},
    {"thd", "mlp,truehd", MLP_TYPES},
    {"mpg", "mpeg", PS_TYPES},
    {"mpeg", "mpeg", PS_TYPES},
    {"vob", "mpeg", PS_TYPES},
    {"ts", "mpegts", TS_TYPES},
    {"mts", "mpegts", TS_TYPES},
    {"m2ts", "mpegts", TS_TYPES},
    {"avi", "avi", "video/x-msvideo video/avi video/vnd.avi video/msvideo"},
    {"flv", "flv", FLV_TYPES},
};

/* Whether `list`, separated by `separator`, contains the `length` bytes of `item`, ignoring
 * case. */
static bool lists(const char *list, char separator, const char *item, size_t length) {
    const char around[] = {separator, ' ', '\0'};
    while (*list) {
        list += strspn(list, around);
        size_t item_length = strcspn(list, around);
        if (item_length == length && length > 0 && strncasecmp(list, item, length) == 0)
            return true;
        list += item_length;
    }
    return false;
}

/* A client's declaration of a file. */
typedef struct declaration {
    const char *formats;
    const char *extension; /* NULL: the file has no name */
    const char *type;
    size_t type_length; /* 0: no type was declared */
} declaration;

static declaration declare(const char *formats, const char *name, const char *type) {
    declaration said = {.formats = formats, .type = type ? type : ""};
    if (name) {
        const char *dot = strrchr(name, '.');
        said.extension = dot ? dot + 1 : "";
    }
    said.type += strspn(said.type, " \t");
    said.type_length = strcspn(said.type, "; \t");
    if (lists("application/octet-stream binary/octet-stream", ' ', said.type, said.type_length))
        said.type_length = 0;
    return said;
}

static bool agrees(const declaration *said, const media_format *format) {
    return lists(said->formats, ',', format->extension, strlen(format->extension)) &&
           (!said->extension || strcasecmp(said->extension, format->extension) == 0) &&
           (said->type_length == 0 || lists(format->types, ' ', said->type, said->type_length));
}

static bool known_extension(const declaration *said) {
    const declaration untyped = {.formats = said->formats, .extension = said->extension};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++) {
        if (agrees(&untyped, &table[i]))
            return true;
    }
    return false;
}

static int refuse_declared(const declaration *said, spl_problem *ret_problem) {
    if (said->extension && !known_extension(said))
        return spl_refuse_about(ret_problem, SPL_PROBLEM_MEDIA_TYPE, "file", "SPLEETER_FORMATS",
                                "files named *.%.20s are not accepted; these are: %.300s",
                                said->extension, said->formats);
    if (said->extension)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_MEDIA_TYPE, "file", NULL,
                                "the declared type %.*s does not fit a file named *.%.20s",
                                (int)SPL_MIN(said->type_length, (size_t)100), said->type,
                                said->extension);
    return spl_refuse_about(ret_problem, SPL_PROBLEM_MEDIA_TYPE, "file", "SPLEETER_FORMATS",
                            "the type %.*s is not accepted; these formats are: %.300s",
                            (int)SPL_MIN(said->type_length, (size_t)100), said->type,
                            said->formats);
}

int spl_media_check_declared(const char *formats, const char *name, const char *type,
                             spl_problem *ret_problem) {
    declaration said = declare(formats, name, type);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++) {
        if (agrees(&said, &table[i]))
            return 0;
    }
    return refuse_declared(&said, ret_problem);
}

static void add_container(const char *container, size_t length, char *list, size_t size) {
    const size_t used = strlen(list);
    if (!lists(list, ',', container, length) && used + length + 2 <= size)
        snprintf(list + used, size - used, "%s%.*s", used > 0 ? "," : "", (int)length, container);
}

void spl_media_containers(const char *formats, const char *name, const char *type,
                          char *ret_containers, size_t size) {
    declaration said = declare(formats, name, type);
    ret_containers[0] = '\0';
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++) {
        const char *container = table[i].containers;
        for (size_t length; agrees(&said, &table[i]) && *container; container += length) {
            container += strspn(container, ",");
            length = strcspn(container, ",");
            add_container(container, length, ret_containers, size);
        }
    }
}

int spl_media_refuse_content(const char *formats, const char *name, const char *what,
                             spl_problem *ret_problem) {
    declaration said = declare(formats, name, NULL);
    if (said.extension)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_MEDIA_TYPE, "file", NULL,
                                "%.400s; name the file after what it is instead of *.%.20s, or "
                                "convert it to FLAC, WAV or MP3 first",
                                what, said.extension);
    return spl_refuse_about(ret_problem, SPL_PROBLEM_MEDIA_TYPE, "file", "SPLEETER_FORMATS",
                            "%.400s; it must be what it is declared to be, and of the formats "
                            "%.300s",
                            what, said.formats);
}

const char *spl_media_type_of(spl_codec codec) {
    static const char *const types[SPL_CODEC_COUNT] = {
        [SPL_CODEC_WAV] = "audio/wav",      [SPL_CODEC_FLAC] = "audio/flac",
        [SPL_CODEC_MP3] = "audio/mpeg",     [SPL_CODEC_OGG] = "audio/ogg",
        [SPL_CODEC_OPUS] = "audio/ogg",     [SPL_CODEC_M4A] = "audio/mp4",
        [SPL_CODEC_WMA] = "audio/x-ms-wma",
    };
    return types[codec];
}
