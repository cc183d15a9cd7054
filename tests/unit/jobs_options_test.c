/* SPDX-License-Identifier: MIT
 *
 * Options of jobs: parsing, the field that a refusal names, and equal canonical text for equal
 * options.
 */
#include "service/jobs/options.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

/* `text` uses ' for ". */
static json_t *json_of(const char *text) {
    SPL_CLEANUP(spl_free_p) char *quoted = strdup(text);
    for (char *c = quoted; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_error_t error;
    json_t *value = json_loads(quoted, JSON_DECODE_ANY, &error);
    if (!value)
        fail_msg("%s: %s", text, error.text);
    return value;
}

/* The canonical text, owned by the caller. */
static char *canonical(const char *text) {
    json_auto_t *object = json_of(text);
    spl_separation options;
    spl_problem problem = {0};
    if (spl_job_options_parse(object, "2stems", &options, &problem) < 0)
        fail_msg("%s: %s", text, problem.detail);
    char *result;
    spl_error error;
    assert_int_equal(spl_separation_text(&options, &result, &error), 0);
    spl_separation_free(&options);
    return result;
}

static void same(const char *first, const char *second) {
    SPL_CLEANUP(spl_free_p) char *a = canonical(first);
    SPL_CLEANUP(spl_free_p) char *b = canonical(second);
    assert_string_equal(a, b);
    SPL_CLEANUP(spl_free_p) char *again = canonical(a);
    assert_string_equal(again, a);
}

static void different(const char *first, const char *second) {
    SPL_CLEANUP(spl_free_p) char *a = canonical(first);
    SPL_CLEANUP(spl_free_p) char *b = canonical(second);
    assert_string_not_equal(a, b);
}

static void refused(const char *text, const char *field, const char *words) {
    json_auto_t *object = json_of(text);
    spl_separation options;
    spl_problem problem = {0};
    assert_true(spl_job_options_parse(object, "2stems", &options, &problem) < 0);
    assert_int_equal(problem.code, SPL_PROBLEM_INVALID);
    assert_string_equal(problem.field, field);
    if (!strstr(problem.detail, words))
        fail_msg("\"%s\" does not say \"%s\"", problem.detail, words);
}

static void has_the_defaults_of_the_command(void **state) {
    (void)state;
    SPL_CLEANUP(spl_free_p) char *text = canonical("{}");
    assert_string_equal(text, "{\"bit_depth\":\"16\",\"codec\":\"wav\",\"keep_format\":false,"
                              "\"model\":\"2stems\",\"mwf\":false,\"offset\":0.0}");
    spl_separation options;
    spl_problem problem;
    assert_int_equal(spl_job_options_parse(NULL, "4stems", &options, &problem), 0);
    assert_string_equal(options.model, "4stems");
    assert_int_equal(options.bitrate_bps, 128000);
    spl_separation_free(&options);
}

static void one_text_for_the_same_options(void **state) {
    (void)state;
    same("{'codec': 'mp3', 'bitrate': '320k'}", "{'bitrate': 320000, 'codec': 'mp3'}");
    same("{'stems': ['vocals', 'drums', 'vocals']}", "{'stems': 'drums,vocals'}");
    same("{'mixes': {'b': ['drums', 'bass'], 'a': ['vocals']}}",
         "{'mixes': 'a=vocals,b=bass+drums'}");
    same("{'stems': ['drums', 'vocals']}", "{'stems': ' drums, vocals '}");
    same("{'mixes': 'a = drums + vocals, b=bass'}", "{'mixes': 'a=drums+vocals,b=bass'}");
    same("{'mixes': {'a': 'vocals+drums'}}", "{'mixes': {'a': ['drums', 'vocals']}}");
    same("{'mwf': true, 'keep_format': false}", "{'mwf': 'true', 'keep_format': 'false'}");
    same("{'offset': 7.5, 'duration': '30'}", "{'offset': '7.5', 'duration': 30.0}");
    same("{'bit_depth': 24}", "{'bit_depth': '24'}");
    same("{'bitrate': '64k'}", "{}"); /* WAV has no bitrate */
    same("{'model': null, 'stems': null}", "{'model': '2stems'}");
    same("{'bandwidth': 'full', 'offset': 0.1}", "{'offset': '0.1', 'bandwidth': 'full'}");
}

static void another_text_for_other_options(void **state) {
    (void)state;
    different("{}", "{'model': 'spleeter:2stems'}");
    different("{}", "{'mwf': true}");
    different("{}", "{'stems': ['vocals']}");
    different("{}", "{'bit_depth': 'float'}");
    different("{}", "{'bandwidth': 'full'}");
    different("{}", "{'keep_format': true}");
    different("{}", "{'duration': 1}");
    different("{'codec': 'mp3'}", "{'codec': 'mp3', 'bitrate': '129k'}");
    different("{'mixes': 'a=vocals'}", "{'stems': 'vocals'}");
}

static void refusals_name_the_field(void **state) {
    (void)state;
    refused("[]", "options", "must be a JSON object");
    refused("{'codec': 'mp4'}", "codec", "codec mp4: give one of wav, flac");
    refused("{'codec': 7}", "codec", "codec 7:");
    refused("{'bitrate': 'fast'}", "bitrate", "bitrate fast: give bits per second");
    refused("{'bitrate': 12}", "bitrate", "from 6k to 1000k");
    refused("{'bit_depth': 32}", "bit_depth", "16, 24 or float");
    refused("{'bit_depth': '16', 'codec': 'mp3'}", "bit_depth", "is for wav and flac");
    refused("{'bit_depth': 'float', 'codec': 'flac'}", "bit_depth", "flac has 16 and 24");
    refused("{'bandwidth': '22k'}", "bandwidth", "11k, 16k or full");
    refused("{'mwf': 'yes'}", "mwf", "true or false");
    refused("{'mwf': 1}", "mwf", "true or false");
    refused("{'offset': -1}", "offset", "offset -1: give seconds");
    refused("{'offset': 1e300}", "offset", "less than 1e9");
    refused("{'offset': 'nan'}", "offset", "give seconds");
    refused("{'duration': 0}", "duration", "more than 0");
    refused("{'duration': {}}", "duration", "give seconds");
    refused("{'model': ''}", "model", "such as 2stems");
    refused("{'model': ['2stems']}", "model", "such as 2stems");
    refused("{'stems': []}", "stems", "1 to 64 names");
    refused("{'stems': [1]}", "stems", "as texts");
    refused("{'stems': {'a': 'b'}}", "stems", "array of names");
    refused("{'mixes': 'karaoke'}", "mixes", "NAME=STEM+STEM");
    refused("{'mixes': '=vocals'}", "mixes", "has no name");
    refused("{'mixes': {'../up': ['vocals']}}", "mixes", "1 to 48 letters");
    refused("{'mixes': {'.hidden': ['vocals']}}", "mixes", "1 to 48 letters");
    refused("{'mixes': 'a=vocals,a=drums'}", "mixes", "the same name");
    refused("{'mixes': {'a': []}}", "mixes", "1 to 64 names");
    refused("{'mixes': {}}", "mixes", "at least one name");
    refused("{'colour': 'red'}", "colour", "there is no such option");
}

static const spl_model_info model = {
    .name = "four",
    .stem_count = 3,
    .stems = {{.name = "vocals"}, {.name = "drums"}, {.name = "lead guitar"}},
};

/* The caller frees *ret_options, to which *ret_parts refers. */
static int select_parts(const char *text, spl_separation *ret_options, spl_parts *ret_parts,
                        spl_error *ret_error) {
    json_auto_t *object = json_of(text);
    spl_problem problem;
    assert_int_equal(spl_job_options_parse(object, "x", ret_options, &problem), 0);
    return spl_job_options_select(ret_options, &model, ret_parts, ret_error);
}

static void selects_stems_and_mixes(void **state) {
    (void)state;
    spl_parts parts;
    spl_error error;
    spl_separation options;
    assert_int_equal(select_parts("{}", &options, &parts, &error), 0);
    assert_int_equal(parts.count, 3);
    spl_separation_free(&options);

    assert_int_equal(
        select_parts("{'mixes': 'both=drums+vocals', 'stems': 'drums'}", &options, &parts, &error),
        0);
    assert_int_equal(parts.count, 2);
    assert_string_equal(parts.outputs[0].name, "drums");
    assert_int_equal(parts.outputs[0].stems, 2);
    assert_string_equal(parts.outputs[1].name, "both");
    assert_int_equal(parts.outputs[1].stems, 3);
    spl_separation_free(&options);

    assert_int_equal(select_parts("{'stems': 'kazoo'}", &options, &parts, &error), SPL_E_ARGUMENT);
    assert_non_null(strstr(error.message, "no stem \"kazoo\""));
    spl_separation_free(&options);
    assert_int_equal(
        select_parts("{'mixes': 'vocals=drums', 'stems': 'vocals'}", &options, &parts, &error),
        SPL_E_ARGUMENT);
    assert_non_null(strstr(error.message, "one name"));
    spl_separation_free(&options);
}

static void names_files_for_urls(void **state) {
    (void)state;
    char file[80];
    spl_job_file_name("vocals", SPL_CODEC_FLAC, file);
    assert_string_equal(file, "vocals.flac");
    spl_job_file_name("lead guitar/\xc3\xa4", SPL_CODEC_MP3, file);
    assert_string_equal(file, "lead_guitar___.mp3");
    char longest[201];
    memset(longest, 'x', 200);
    longest[200] = '\0';
    spl_job_file_name(longest, SPL_CODEC_OPUS, file);
    assert_int_equal(strlen(file), 75);
    assert_string_equal(file + 70, ".opus");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_defaults_of_the_command),
        cmocka_unit_test(one_text_for_the_same_options),
        cmocka_unit_test(another_text_for_other_options),
        cmocka_unit_test(refusals_name_the_field),
        cmocka_unit_test(selects_stems_and_mixes),
        cmocka_unit_test(names_files_for_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
