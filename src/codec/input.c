/* SPDX-License-Identifier: MIT
 *
 * Finds tags at both ends of a media file, and the true end of a WAV file over 4 GiB.
 *
 * Files that libav reads correctly decode to the same result. All sizes come from the file and are
 * checked against its length.
 */
#include "codec/input.h"

#include <errno.h>
#include <libavformat/avio.h>
#include <libavutil/error.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TAGS_MAX = 16, /* per end; further tags are left to libav */
    WAV_CHUNKS_MAX = 1000,
    WAV_ZEROS_BYTES = 64, /* kept, because libav does not recognise a shorter file as WAV */
    JUNK_MAX_BYTES = 1 << 16,
    LYRICS3_V1_MAX_BYTES = 5100 + 11 + 9,
};

/* Reads `size` bytes, or fewer at the end of the range or on an error. */
static size_t read_at(spl_input *input, uint64_t at, void *ret_bytes, size_t size) {
    const uint64_t left = at < input->end ? input->end - at : 0;
    ssize_t count;
    do {
        count = pread(input->fd, ret_bytes, (size_t)SPL_MIN((uint64_t)size, left), (off_t)at);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        input->read_errno = errno;
    return count < 0 ? 0 : (size_t)count;
}

/* Whether `text`, of at most 16 bytes, is at offset `at`. */
static bool has(spl_input *input, uint64_t at, const char *text) {
    char bytes[16];
    const size_t length = strlen(text);
    return read_at(input, at, bytes, length) == length && memcmp(bytes, text, length) == 0;
}

static uint32_t little_endian(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* The tag size from an ID3v2 header or footer, including both; 0: not such a header or footer. */
static uint64_t id3v2_bytes(const uint8_t header[10], const char *magic) {
    if (memcmp(header, magic, 3) != 0 || header[3] == 0xff || header[4] == 0xff ||
        ((header[6] | header[7] | header[8] | header[9]) & 0x80))
        return 0;
    const unsigned has_footer = header[5] & 0x10;
    return (uint64_t)(header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]) + 10 +
           (has_footer ? 10 : 0);
}

static void skip_front_tags(spl_input *input) {
    for (int i = 0; i < TAGS_MAX; i++) {
        uint8_t header[10];
        if (read_at(input, input->begin, header, sizeof(header)) < sizeof(header))
            return;
        const uint64_t bytes = id3v2_bytes(header, "ID3");
        if (bytes == 0 || bytes >= input->end - input->begin)
            return;
        input->begin += bytes;
    }
}

/* The following return the size of the tag that ends at `end`, or 0. */

/* Text with control characters is rejected, so that audio data is not taken for a tag. */
static uint64_t id3v1_bytes(spl_input *input, uint64_t end) {
    uint8_t tag[128];
    if (end < sizeof(tag) || !has(input, end - sizeof(tag), "TAG") ||
        read_at(input, end - sizeof(tag), tag, sizeof(tag)) < sizeof(tag))
        return 0;
    for (size_t i = 3; i < 125; i++) {
        if (tag[i] > 0 && tag[i] < ' ' && tag[i] != '\n' && tag[i] != '\r' && tag[i] != '\t')
            return 0;
    }
    const bool enhanced = end >= 128 + 227 && has(input, end - 128 - 227, "TAG+");
    return sizeof(tag) + (enhanced ? 227 : 0);
}

static uint64_t ape_bytes(spl_input *input, uint64_t end) {
    uint8_t footer[32];
    if (end < sizeof(footer) || !has(input, end - sizeof(footer), "APETAGEX") ||
        read_at(input, end - sizeof(footer), footer, sizeof(footer)) < sizeof(footer))
        return 0;
    const uint64_t bytes = little_endian(footer + 12);
    if (bytes < sizeof(footer) || bytes > end)
        return 0;
    const bool has_header = end >= bytes + 32 && has(input, end - bytes - 32, "APETAGEX");
    return bytes + (has_header ? 32 : 0);
}

static uint64_t lyrics3_bytes(spl_input *input, uint64_t end) {
    char digits[7] = "";
    if (end >= 15 && has(input, end - 9, "LYRICS200") && read_at(input, end - 15, digits, 6) == 6 &&
        strspn(digits, "0123456789") == 6) {
        const uint64_t bytes = strtoull(digits, NULL, 10) + 15;
        return end >= bytes && has(input, end - bytes, "LYRICSBEGIN") ? bytes : 0;
    }
    if (end < 20 || !has(input, end - 9, "LYRICSEND"))
        return 0;
    static char text[LYRICS3_V1_MAX_BYTES];
    const uint64_t at = end > sizeof(text) ? end - sizeof(text) : 0;
    const size_t count = read_at(input, at, text, sizeof(text));
    const char *begin = memmem(text, count, "LYRICSBEGIN", 11);
    return begin ? end - at - (uint64_t)(begin - text) : 0;
}

static uint64_t appended_id3v2_bytes(spl_input *input, uint64_t end) {
    uint8_t footer[10];
    if (end < sizeof(footer) ||
        read_at(input, end - sizeof(footer), footer, sizeof(footer)) < sizeof(footer))
        return 0;
    const uint64_t bytes = id3v2_bytes(footer, "3DI");
    return bytes > 0 && end >= bytes && has(input, end - bytes, "ID3") ? bytes : 0;
}

static void skip_back_tags(spl_input *input) {
    static uint64_t (*const kinds[])(spl_input *, uint64_t) = {id3v1_bytes, ape_bytes,
                                                               lyrics3_bytes, appended_id3v2_bytes};
    uint64_t bytes = 1;
    for (int tags = 0; tags < TAGS_MAX && bytes > 0; tags++) {
        bytes = 0;
        for (size_t i = 0; i < SPL_ARRAY_SIZE(kinds) && bytes == 0; i++)
            bytes = kinds[i](input, input->end);
        if (bytes >= input->end - input->begin)
            return;
        input->end -= bytes;
    }
}

/* Returns the true size of the "data" chunk at `data` that states `bytes`; 0: up to the end. RIFF
 * sizes have 32 bits: programs that write more than 4 GiB leave the size modulo 2^32, and libav
 * would stop there. */
static uint64_t unwrap_data(spl_input *input, uint64_t data, uint64_t bytes) {
    const uint64_t wrap = UINT64_C(1) << 32;
    if (bytes == 0 || bytes == UINT32_MAX)
        return 0;
    if (data + bytes + wrap > input->end)
        return bytes;
    input->unknown_size_at = data - 4;
    bytes += (input->end - data - bytes) / wrap * wrap;
    input->end = data + bytes;
    return bytes;
}

/* Ends the range where zeros follow the chunks of a WAV file, since libav would parse every eight
 * of them as a chunk. Also corrects a wrapped size of the "data" chunk. */
static void trim_wav(spl_input *input) {
    const bool riff = has(input, input->begin, "RIFF");
    if ((!riff && !has(input, input->begin, "RF64") && !has(input, input->begin, "BW64")) ||
        !has(input, input->begin + 8, "WAVE"))
        return;
    uint64_t at = input->begin + 12, long_bytes = 0;
    uint8_t header[24];
    for (int i = 0; i < WAV_CHUNKS_MAX; i++) {
        const size_t count = read_at(input, at, header, sizeof(header));
        if (count < 8)
            return;
        uint64_t bytes = little_endian(header + 4);
        if (memcmp(header, "\0\0\0\0\0\0\0\0", 8) == 0)
            input->end = SPL_MIN(input->end, at + WAV_ZEROS_BYTES);
        if (memcmp(header, "ds64", 4) == 0 && count == sizeof(header))
            long_bytes = little_endian(header + 16) | (uint64_t)little_endian(header + 20) << 32;
        if (memcmp(header, "data", 4) == 0)
            bytes = riff ? unwrap_data(input, at + 8, bytes) : long_bytes;
        if (memcmp(header, "data", 4) == 0 && bytes == 0)
            return;
        if (bytes > input->end)
            return;
        at += 8 + bytes + (bytes & 1);
    }
}

int spl_input_open(int fd, uint64_t file_bytes, spl_input *ret_input, spl_error *ret_error) {
    spl_input input = {.fd = fd, .end = file_bytes};
    skip_front_tags(&input);
    skip_back_tags(&input);
    trim_wav(&input);
    if (input.read_errno)
        return spl_fail_errno(ret_error, input.read_errno, "the file cannot be read");
    input.position = input.begin;
    *ret_input = input;
    return 0;
}

uint64_t spl_input_mp3_junk(spl_input *input) {
    static const uint8_t name_at[] = {36, 21, 13}; /* depends on MPEG version and channels */
    static uint8_t bytes[JUNK_MAX_BYTES];
    const size_t count = read_at(input, input->begin, bytes, sizeof(bytes));
    for (size_t at = 0; at + 40 <= count; at++) {
        if (bytes[at] != 0xff || (bytes[at + 1] & 0xe0) != 0xe0)
            continue;
        for (size_t i = 0; i < SPL_ARRAY_SIZE(name_at); i++) {
            const uint8_t *name = bytes + at + name_at[i];
            if (memcmp(name, "Xing", 4) == 0 || memcmp(name, "Info", 4) == 0)
                return at;
        }
    }
    return 0;
}

static void hide_wrapped_size(const spl_input *input, uint8_t *bytes, size_t count) {
    for (uint64_t at = input->unknown_size_at; at < input->unknown_size_at + 4; at++) {
        if (at >= input->position && at - input->position < count)
            bytes[at - input->position] = 0xff;
    }
}

int spl_input_read(void *opaque, uint8_t *bytes, int size) {
    spl_input *input = opaque;
    const size_t count = read_at(input, input->position, bytes, (size_t)size);
    if (input->read_errno)
        return AVERROR(EIO);
    if (count > input->budget_bytes)
        return AVERROR_INVALIDDATA;
    input->budget_bytes -= count;
    if (input->unknown_size_at)
        hide_wrapped_size(input, bytes, count);
    input->position += count;
    return count == 0 ? AVERROR_EOF : (int)count;
}

int64_t spl_input_seek(void *opaque, int64_t offset, int whence) {
    spl_input *input = opaque;
    if (whence == AVSEEK_SIZE)
        return (int64_t)(input->end - input->begin);
    if (whence == SEEK_CUR)
        offset += (int64_t)(input->position - input->begin);
    else if (whence == SEEK_END)
        offset += (int64_t)(input->end - input->begin);
    if (offset < 0 || offset > INT64_MAX - (int64_t)input->begin)
        return AVERROR(EINVAL);
    input->position = input->begin + (uint64_t)offset;
    return offset;
}
