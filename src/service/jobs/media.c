/* SPDX-License-Identifier: MIT
 *
 * The table of formats: extension, what its files start with, and the media types that clients send for it. Decoding does not
 * rely on it (the helper looks at the bytes itself); it keeps out what is not what it says.
 */
#include "service/jobs/media.h"

#include <string.h>
#include <strings.h>

/* An ID3 tag is followed by another one seldom; more than a few are a trick. */
#define TAGS_MAX   4
#define HEAD_BYTES 16

typedef struct media_format {
    const char *extension;
    spl_container container;
    const char *types; /* separated by spaces */
} media_format;

static const media_format table[] = {
    {"wav", SPL_CONTAINER_WAV,
     "audio/wav audio/x-wav audio/wave audio/vnd.wave audio/x-pn-wav audio/vnd.wav"},
    {"rf64", SPL_CONTAINER_WAV, "audio/wav audio/x-wav audio/wave audio/vnd.wave"},
    {"aif", SPL_CONTAINER_AIFF, "audio/aiff audio/x-aiff audio/aif"},
    {"aiff", SPL_CONTAINER_AIFF, "audio/aiff audio/x-aiff audio/aif"},
    {"aifc", SPL_CONTAINER_AIFF, "audio/aiff audio/x-aiff audio/aifc"},
    {"flac", SPL_CONTAINER_FLAC, "audio/flac audio/x-flac"},
    {"ogg", SPL_CONTAINER_OGG, "audio/ogg application/ogg audio/vorbis audio/x-vorbis+ogg"},
    {"oga", SPL_CONTAINER_OGG, "audio/ogg application/ogg audio/x-flac+ogg"},
    {"opus", SPL_CONTAINER_OGG, "audio/opus audio/ogg application/ogg audio/x-opus+ogg"},
    {"mp2", SPL_CONTAINER_MPEG, "audio/mpeg audio/mp2 audio/x-mp2"},
    {"mp3", SPL_CONTAINER_MPEG, "audio/mpeg audio/mp3 audio/x-mp3 audio/mpeg3 audio/x-mpeg-3"},
    {"aac", SPL_CONTAINER_AAC, "audio/aac audio/x-aac audio/aacp audio/x-hx-aac-adts"},
    {"m4a", SPL_CONTAINER_MP4, "audio/mp4 audio/x-m4a audio/m4a video/mp4"},
    {"m4b", SPL_CONTAINER_MP4, "audio/mp4 audio/x-m4b audio/x-m4a"},
    {"mp4", SPL_CONTAINER_MP4, "video/mp4 audio/mp4 application/mp4"},
    {"mov", SPL_CONTAINER_MP4, "video/quicktime"},
    {"wma", SPL_CONTAINER_ASF, "audio/x-ms-wma video/x-ms-asf application/vnd.ms-asf"},
    {"asf", SPL_CONTAINER_ASF, "video/x-ms-asf application/vnd.ms-asf"},
    {"webm", SPL_CONTAINER_MATROSKA, "video/webm audio/webm"},
    {"mka", SPL_CONTAINER_MATROSKA, "audio/x-matroska audio/matroska"},
    {"mkv", SPL_CONTAINER_MATROSKA,
     "video/x-matroska video/matroska audio/x-matroska audio/matroska"},
};

/* ---------------------------------------------------------------- first bytes ---- */

static bool has(const uint8_t *bytes, size_t size, size_t at, const char *tag, size_t length) {
    return size >= at + length && memcmp(bytes + at, tag, length) == 0;
}

uint64_t spl_id3_tag_bytes(const uint8_t *bytes, size_t size) {
    if (size < 10 || !has(bytes, size, 0, "ID3", 3) || bytes[3] == 0xff || bytes[4] == 0xff ||
        ((bytes[6] | bytes[7] | bytes[8] | bytes[9]) & 0x80))
        return 0;
    const unsigned has_footer = bytes[5] & 0x10;
    uint64_t content =
        (uint64_t)bytes[6] << 21 | (uint64_t)bytes[7] << 14 | (uint64_t)bytes[8] << 7 | bytes[9];
    return 10 + content + (has_footer ? 10 : 0);
}

/* A frame header of MPEG audio or ADTS: twelve bits of sync, or eleven for MPEG 2.5. */
static spl_container container_of_frame(const uint8_t *bytes, size_t size) {
    if (size < 4 || bytes[0] != 0xff || (bytes[1] & 0xe0) != 0xe0)
        return SPL_CONTAINER_UNKNOWN;
    const unsigned version = bytes[1] >> 3 & 3, layer = bytes[1] >> 1 & 3;
    if ((bytes[1] & 0xf6) == 0xf0) {
        const unsigned adts_rate = bytes[2] >> 2 & 15;
        return adts_rate < 13 ? SPL_CONTAINER_AAC : SPL_CONTAINER_UNKNOWN;
    }
    const unsigned bitrate = bytes[2] >> 4, rate = bytes[2] >> 2 & 3;
    if (version == 1 || layer == 0 || bitrate == 15 || rate == 3)
        return SPL_CONTAINER_UNKNOWN;
    return SPL_CONTAINER_MPEG;
}

spl_container spl_container_of(const uint8_t *bytes, size_t size) {
    if ((has(bytes, size, 0, "RIFF", 4) || has(bytes, size, 0, "RF64", 4) ||
         has(bytes, size, 0, "BW64", 4)) &&
        has(bytes, size, 8, "WAVE", 4))
        return SPL_CONTAINER_WAV;
    if (has(bytes, size, 0, "FORM", 4) &&
        (has(bytes, size, 8, "AIFF", 4) || has(bytes, size, 8, "AIFC", 4)))
        return SPL_CONTAINER_AIFF;
    if (has(bytes, size, 0, "fLaC", 4))
        return SPL_CONTAINER_FLAC;
    if (has(bytes, size, 0, "OggS", 4))
        return SPL_CONTAINER_OGG;
    if (has(bytes, size, 0, "ADIF", 4))
        return SPL_CONTAINER_AAC;
    if (has(bytes, size, 4, "ftyp", 4) || has(bytes, size, 4, "moov", 4) ||
        has(bytes, size, 4, "mdat", 4) || has(bytes, size, 4, "wide", 4) ||
        has(bytes, size, 4, "free", 4) || has(bytes, size, 4, "skip", 4))
        return SPL_CONTAINER_MP4;
    if (has(bytes, size, 0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", 16))
        return SPL_CONTAINER_ASF;
    if (has(bytes, size, 0, "\x1a\x45\xdf\xa3", 4))
        return SPL_CONTAINER_MATROSKA;
    return container_of_frame(bytes, size);
}

static int read_container(int fd, spl_container *ret_container) {
    uint64_t offset = 0;
    for (int tags = 0; tags <= TAGS_MAX; tags++) {
        uint8_t head[HEAD_BYTES];
        ssize_t got = pread(fd, head, sizeof(head), (off_t)offset);
        if (got < 0)
            return SPL_E_IO;
        uint64_t tag = spl_id3_tag_bytes(head, (size_t)got);
        if (tag == 0) {
            *ret_container = spl_container_of(head, (size_t)got);
            return 0;
        }
        offset += tag;
    }
    *ret_container = SPL_CONTAINER_UNKNOWN;
    return 0;
}

/* ------------------------------------------------------------------ agreement ---- */

/* Whether `list`, whose items `separator` separates, has the `length` bytes of `item`, in any case. */
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

/* What a client says of a file. */
typedef struct declaration {
    const char *formats;
    const char *extension; /* NULL: the file has no name */
    const char *type;
    size_t type_length; /* 0: it says nothing of the type */
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
                                "files named *.%.20s are not taken; there are: %.300s",
                                said->extension, said->formats);
    if (said->extension)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_MEDIA_TYPE, "file", NULL,
                                "the declared type %.*s does not fit a file named *.%.20s",
                                (int)SPL_MIN(said->type_length, (size_t)100), said->type,
                                said->extension);
    return spl_refuse_about(ret_problem, SPL_PROBLEM_MEDIA_TYPE, "file", "SPLEETER_FORMATS",
                            "the type %.*s is not taken; taken are files of the formats %.300s",
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

int spl_media_check_content(const char *formats, const char *name, const char *type, int fd,
                            spl_problem *ret_problem) {
    spl_container container;
    if (read_container(fd, &container) < 0)
        return spl_refuse_error(ret_problem, &(spl_error){.status = SPL_E_IO});
    declaration said = declare(formats, name, type);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(table); i++) {
        if (agrees(&said, &table[i]) && table[i].container == container)
            return 0;
    }
    if (said.extension)
        return spl_refuse_about(ret_problem, SPL_PROBLEM_MEDIA_TYPE, "file", NULL,
                                "the file does not start as *.%.20s files do; name it after what "
                                "it is, or convert it to FLAC, WAV or MP3 first",
                                said.extension);
    return spl_refuse_about(ret_problem, SPL_PROBLEM_MEDIA_TYPE, "file", "SPLEETER_FORMATS",
                            "the content is not what it is declared to be, or of none of the "
                            "formats %.300s",
                            said.formats);
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
