/* SPDX-License-Identifier: MIT
 *
 * Which files are taken: extension, declared type and first bytes must agree.
 */
#include "pipeline/spool.h"
#include "service/jobs/media.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

#define FORMATS "mp3,wav,flac,ogg,opus,m4a,aac,aif,aiff,wma,webm,mp4,mov,mkv"

#define WAV  "RIFF\x24\x08\0\0WAVEfmt "
#define FLAC "fLaC\0\0\0\x22\x10\0\x10\0\0\0\x0e\0"
#define MP3  "\xff\xfb\x90\x64\0\0\0\0\0\0\0\0\0\0\0\0"
#define ADTS "\xff\xf1\x50\x80\x03\x9f\xfc\0\0\0\0\0\0\0\0\0"
#define ASF  "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"

static spl_container container_of(const char *bytes) {
    return spl_container_of((const uint8_t *)bytes, 16);
}

static void knows_first_bytes(void **state) {
    (void)state;
    assert_int_equal(container_of(WAV), SPL_CONTAINER_WAV);
    assert_int_equal(container_of("RF64\xff\xff\xff\xffWAVEds64"), SPL_CONTAINER_WAV);
    assert_int_equal(container_of("RIFF\x24\x08\0\0AVI LIST"), SPL_CONTAINER_UNKNOWN);
    assert_int_equal(container_of("FORM\0\0\x10\0AIFFCOMM"), SPL_CONTAINER_AIFF);
    assert_int_equal(container_of("FORM\0\0\x10\0AIFCFVER"), SPL_CONTAINER_AIFF);
    assert_int_equal(container_of(FLAC), SPL_CONTAINER_FLAC);
    assert_int_equal(container_of("OggS\0\2\0\0\0\0\0\0\0\0\0\0"), SPL_CONTAINER_OGG);
    assert_int_equal(container_of(MP3), SPL_CONTAINER_MPEG);
    assert_int_equal(container_of("\xff\xe3\x18\xc4\0\0\0\0\0\0\0\0\0\0\0\0"), SPL_CONTAINER_MPEG);
    assert_int_equal(container_of(ADTS), SPL_CONTAINER_AAC);
    assert_int_equal(container_of("\0\0\0\x20"
                                  "ftypM4A \0\0\0\0"),
                     SPL_CONTAINER_MP4);
    assert_int_equal(container_of(ASF), SPL_CONTAINER_ASF);
    assert_int_equal(container_of("\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x86\x81\x01"),
                     SPL_CONTAINER_MATROSKA);
    assert_int_equal(
        container_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        SPL_CONTAINER_UNKNOWN);
    assert_int_equal(container_of("#EXTM3U\nhttp://h"), SPL_CONTAINER_UNKNOWN);
    assert_int_equal(spl_container_of((const uint8_t *)"RIFF", 4), SPL_CONTAINER_UNKNOWN);
    assert_int_equal(spl_container_of(NULL, 0), SPL_CONTAINER_UNKNOWN);
}

static void measures_tags(void **state) {
    (void)state;
    assert_int_equal(spl_id3_tag_bytes((const uint8_t *)"ID3\4\0\0\0\0\2\1", 10), 10 + 257);
    assert_int_equal(spl_id3_tag_bytes((const uint8_t *)"ID3\4\0\x10\0\0\0\1", 10), 10 + 1 + 10);
    assert_int_equal(spl_id3_tag_bytes((const uint8_t *)"ID3\4\0\0\x80\0\0\1", 10), 0);
    assert_int_equal(spl_id3_tag_bytes((const uint8_t *)"ID3\4\0\0\0\0\2", 9), 0);
    assert_int_equal(spl_id3_tag_bytes((const uint8_t *)"RIFF\0\0\0\0\0\0", 10), 0);
}

static void declared(const char *name, const char *type, bool good) {
    spl_problem problem = {0};
    int status = spl_media_check_declared(FORMATS, name, type, &problem);
    if ((status == 0) != good)
        fail_msg("%s as %s: %s", name, type, problem.detail);
    if (!good)
        assert_int_equal(problem.code, SPL_PROBLEM_MEDIA_TYPE);
}

static void declarations_agree(void **state) {
    (void)state;
    declared("song.mp3", "audio/mpeg", true);
    declared("SONG.MP3", "Audio/MPEG; charset=binary", true);
    declared("song.mp3", NULL, true);
    declared("song.mp3", "", true);
    declared("song.mp3", "application/octet-stream", true);
    declared(NULL, "audio/x-wav", true);
    declared(NULL, NULL, true);
    declared("song.mp3", "audio/wav", false);
    declared("song.mp3", "text/html", false);
    declared("song.exe", NULL, false);
    declared("song", NULL, false);
    declared("song.", NULL, false);
    declared("song.mp3.exe", "audio/mpeg", false);
    declared("song.mp2", NULL, false); /* known, but not among the formats */
    declared(NULL, "text/plain", false);
}

static void content(const char *name, const char *type, const char *head, size_t size, bool good) {
    spl_error error;
    spl_problem problem = {0};
    SPL_CLEANUP(spl_close_p) int fd = -1;
    assert_int_equal(spl_spool_open("/tmp", &fd, &error), 0);
    assert_int_equal(write(fd, head, size), size);
    int status = spl_media_check_content(FORMATS, name, type, fd, &problem);
    if ((status == 0) != good)
        fail_msg("%s as %s: %s", name, type, problem.detail);
    if (!good)
        assert_int_equal(problem.code, SPL_PROBLEM_MEDIA_TYPE);
}

static void content_agrees(void **state) {
    (void)state;
    content("a.wav", "audio/wav", WAV, 16, true);
    content("a.flac", NULL, FLAC, 16, true);
    content("a.mp3", NULL, WAV, 16, false);
    content("a.wav", NULL, MP3, 16, false);
    content("a.aac", NULL, ADTS, 16, true);
    content("a.mp3", NULL, ADTS, 16, false);
    content("a.wma", NULL, ASF, 16, true);
    content(NULL, NULL, FLAC, 16, true);
    content(NULL, "audio/flac", FLAC, 16, true);
    content(NULL, "audio/flac", MP3, 16, false);
    content(NULL, NULL, "MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0", 16, false);
    content("a.wav", NULL, "", 0, false);
    content("a.mp3", NULL, "ID3\4\0\0\0\0\0\1x" MP3, 27, true);
    content("a.flac", NULL, "ID3\4\0\0\0\0\0\1x" FLAC, 27, true);
    content("a.mp3", NULL, "ID3\4\0\0\0\0\0\1x" WAV, 27, false);
    content("a.mp3", NULL, "ID3\4\0\0\x7f\x7f\x7f\x7f" MP3, 26,
            false); /* the tag is all there is */
    content(
        "a.mp3", NULL,
        "ID3\4\0\0\0\0\0\0ID3\4\0\0\0\0\0\0ID3\4\0\0\0\0\0\0ID3\4\0\0\0\0\0\0ID3\4\0\0\0\0\0\0" MP3,
        66, false); /* a chain of tags */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_first_bytes),
        cmocka_unit_test(measures_tags),
        cmocka_unit_test(declarations_agree),
        cmocka_unit_test(content_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
