/* SPDX-License-Identifier: MIT
 *
 * Accepted media types: extension, declared type and content must agree.
 */
#include "app/audio/extensions.h"
#include "service/jobs/media.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define FORMATS "mp3,wav,flac,ogg,opus,m4a,aac,aif,aiff,wma,webm,mp4,mov,mkv"
/* All formats in the help of SPLEETER_FORMATS. */
static const char all_formats[] =
    FORMATS ","
            "3g2,3gp,ac3,adts,aifc,alac,amr,ape,asf,au,avi,awb,bwf,caf,dsf,dts,dtshd,eac3,ec3,f4a,"
            "f4v,flv,latm,loas,m2ts,m4b,m4r,m4v,mka,mlp,mp1,mp2,mpc,mpeg,mpg,mts,oga,ogv,qt,rf64,"
            "snd,spx,tak,thd,ts,tta,vob,voc,w64,wave,wmv,wv,xwma";

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

static void containers(const char *name, const char *type, const char *wanted) {
    char list[SPL_CONTAINERS_MAX_BYTES];
    spl_media_containers(FORMATS, name, type, list, sizeof(list));
    assert_string_equal(list, wanted);
}

static void content_must_be_of_the_declared_kind(void **state) {
    (void)state;
    containers("a.mp3", "audio/mpeg", "mp3");
    containers("a.FLAC", NULL, "flac");
    containers("a.wav", "application/octet-stream", "wav,w64");
    containers(NULL, "audio/ogg", "ogg");
    containers(NULL, "audio/x-ms-wma", "asf,xwma");
    containers("a.mp3", "audio/wav", "");
    containers("a.caf", NULL, ""); /* known, but not among the formats */
    containers(NULL, NULL, "wav,w64,aiff,flac,ogg,mp3,aac,loas,mov,asf,xwma,matroska");
}

/* The command accepts the same formats in folders. */
static void all_formats_of_the_command_can_be_taken(void **state) {
    (void)state;
    char list[SPL_CONTAINERS_MAX_BYTES];
    spl_media_containers(all_formats, NULL, NULL, list, sizeof(list));
    assert_true(strlen(list) < sizeof(list) - 32); /* nothing was cut off */
    for (const char *format = all_formats; *format; format += *format == ',') {
        char name[32];
        const int length = (int)strcspn(format, ",");
        snprintf(name, sizeof(name), "song.%.*s", length, format);
        format += length;
        assert_true(spl_name_is_audio(name));
        spl_media_containers(all_formats, name, NULL, list, sizeof(list));
        if (!*list)
            fail_msg("%s has no containers", name);
    }
}

static void refusals_say_what_the_content_is(void **state) {
    (void)state;
    spl_problem problem = {0};
    spl_media_refuse_content(FORMATS, "a.mp3", "a.mp3: its content is FLAC", &problem);
    assert_int_equal(problem.code, SPL_PROBLEM_MEDIA_TYPE);
    assert_non_null(strstr(problem.detail, "its content is FLAC; name the file after what it is"));
    spl_media_refuse_content(FORMATS, NULL, "the file: its content is FLAC", &problem);
    assert_non_null(strstr(problem.detail, "declared"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(declarations_agree),
        cmocka_unit_test(content_must_be_of_the_declared_kind),
        cmocka_unit_test(all_formats_of_the_command_can_be_taken),
        cmocka_unit_test(refusals_say_what_the_content_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
