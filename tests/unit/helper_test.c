/* SPDX-License-Identifier: MIT
 *
 * No call waits longer than its limit for a helper, or takes more from it. The helper is a socket
 * here, whose other end does not answer, or this program itself with the helper's arguments.
 */
#include "app/audio/decoder.h"
#include "base/clock.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static int pair[2];

static int make_pair(void **state) {
    (void)state;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

static int close_pair(void **state) {
    (void)state;
    close(pair[1]);
    return 0;
}

static spl_error fail_to_attach(spl_helper helper) {
    spl_decoder *decoder;
    spl_error error = {0};
    const double started_s = spl_now_s();
    assert_true(spl_decoder_attach(helper, "song.mp3", SPL_CHANNELS_ALL, &decoder, &error) < 0);
    assert_true(spl_now_s() - started_s < 20);
    return error;
}

static void its_time_ends(void **state) {
    (void)state;
    const spl_error error =
        fail_to_attach((spl_helper){.fd = pair[0], .end_s = spl_now_s() + 0.05});
    assert_int_equal(error.status, SPL_E_BUDGET);
    assert_string_equal(error.message, "song.mp3: examining the file took too long; if it plays, "
                                       "convert it to FLAC or WAV first");
}

/* Has a helper claim a status, and returns what the program makes of it. */
static spl_error receive_claim(spl_helper_task task, int status) {
    const spl_error sent = {.status = (spl_status)status, .message = "bad luck\n"};
    const spl_record_header header = {.type = SPL_RECORD_FAILURE, .size_bytes = sizeof(sent)};
    assert_int_equal(write(pair[1], &sent, sizeof(sent)), sizeof(sent));
    spl_helper helper = {.fd = pair[0]};
    spl_error error = {0};
    int received = 0;
    assert_true(spl_helper_receive_failure(&helper, task, &header, "song.mp3", &error, &received));
    assert_int_equal(received, error.status);
    return error;
}

/* Its file may have compromised the helper: it cannot claim that the program or the machine is in a
 * state in which a retry costs nothing. */
static void its_status_is_about_the_file(void **state) {
    (void)state;
    static const spl_status of_file[] = {SPL_E_ARGUMENT, SPL_E_IO,     SPL_E_FORMAT,
                                         SPL_E_LIMIT,    SPL_E_BUDGET, SPL_E_UNSUPPORTED};
    for (int task = SPL_HELPER_DECODES; task <= SPL_HELPER_ENCODES; task++) {
        for (int status = 1; status >= -20; status--) {
            bool taken = task == SPL_HELPER_ENCODES &&
                         (status == SPL_E_NO_SPACE || status == SPL_E_PERMISSION);
            for (size_t i = 0; i < SPL_ARRAY_SIZE(of_file); i++)
                taken |= of_file[i] == status;
            const spl_error error = receive_claim((spl_helper_task)task, status);
            assert_int_equal(error.status, taken ? status : SPL_E_HELPER);
            assert_string_equal(error.message, taken ? "song.mp3: bad luck?"
                                                     : "song.mp3: the codec helper failed: "
                                                       "bad luck?");
        }
    }
    close(pair[0]);
}

static void its_failure_is_reported(void **state) {
    (void)state;
    const spl_error sent = {.status = SPL_E_EXHAUSTED, .message = "no process is left"};
    const spl_record_header header = {.type = SPL_RECORD_FAILURE, .size_bytes = sizeof(sent)};
    assert_int_equal(write(pair[1], &header, sizeof(header)), sizeof(header));
    assert_int_equal(write(pair[1], &sent, sizeof(sent)), sizeof(sent));
    const spl_error error = fail_to_attach((spl_helper){.fd = pair[0]});
    assert_int_equal(error.status, SPL_E_HELPER);
    assert_string_equal(error.message, "song.mp3: the codec helper failed: no process is left");
}

/* What a START record may state about a file. */
static void its_numbers_are_bounded(void **state) {
    (void)state;
    const spl_audio_info good = {.sample_rate_hz = SPL_SAMPLE_RATE_MAX_HZ,
                                 .channels = 2,
                                 .channel_mask = 3,
                                 .duration_us = SPL_DURATION_MAX_US};
    spl_decode_start start = {.version = SPL_PROTOCOL_VERSION, .info = good};
    assert_true(spl_decode_start_check(&start));
    start.info.channel_mask = 0;
    assert_true(spl_decode_start_check(&start));
    spl_audio_info bad[7];
    for (size_t i = 0; i < SPL_ARRAY_SIZE(bad); i++)
        bad[i] = good;
    bad[0].sample_rate_hz = 0;
    bad[1].sample_rate_hz++;
    bad[2].channels = 0;
    bad[3].channels = SPL_CHANNELS_MAX + 1;
    bad[4].channel_mask = 1;
    bad[5].channel_mask = 7;
    bad[6].duration_us++;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(bad); i++) {
        start.info = bad[i];
        assert_false(spl_decode_start_check(&start));
    }
}

/* Requests the stop on the second call. */
static bool ask(void *user) {
    return ++*(int *)user == 2;
}

static void it_is_canceled(void **state) {
    (void)state;
    int asked = 0;
    const spl_error error =
        fail_to_attach((spl_helper){.fd = pair[0], .stop = {.requested = ask, .user = &asked}});
    assert_int_equal(error.status, SPL_E_CANCELED);
    assert_int_equal(asked, 2);
}

/* Sends a byte on each call: a slow helper must not prevent cancellation. */
static bool ask_and_dribble(void *user) {
    int *asked = user;
    assert_int_equal(write(pair[1], "x", 1), 1);
    return ++*asked == 3;
}

static void it_is_canceled_while_it_dribbles(void **state) {
    (void)state;
    int asked = 0;
    const spl_error error = fail_to_attach(
        (spl_helper){.fd = pair[0], .stop = {.requested = ask_and_dribble, .user = &asked}});
    assert_int_equal(error.status, SPL_E_CANCELED);
}

static void it_does_not_read(void **state) {
    (void)state;
    int asked = 0;
    spl_helper helper = {.fd = pair[0], .stop = {.requested = ask, .user = &asked}};
    static const char payload[4 << 20];
    assert_int_equal(spl_helper_send(&helper, SPL_RECORD_SAMPLES, payload, sizeof(payload)),
                     SPL_E_HELPER);
    assert_int_equal(spl_helper_fail(&helper, "song.flac", NULL), SPL_E_CANCELED);
    assert_int_equal(helper.fd, -1);
}

/* ---- This program as the helper ---- */

#define POISON 0xa5

static bool is_poisoned(const void *bytes, size_t size) {
    return memchr(bytes, POISON, size) != NULL;
}

/* A decoder of music without end. */
static int decode_endlessly(void) {
    spl_record_header header;
    spl_decode_request request;
    if (spl_record_receive_header(SPL_HELPER_CHANNEL_FD, &header) < 0 ||
        header.size_bytes != sizeof(request) ||
        spl_record_receive(SPL_HELPER_CHANNEL_FD, &request, sizeof(request)) < 0 ||
        is_poisoned(&request, sizeof(request)))
        return 1;
    const spl_decode_start start = {.version = SPL_PROTOCOL_VERSION,
                                    .info = {.sample_rate_hz = 44100, .channels = 2}};
    static const float samples[2 * 11025];
    int status = spl_record_send(SPL_HELPER_CHANNEL_FD, SPL_RECORD_START, &start, sizeof(start));
    while (status == 0)
        status =
            spl_record_send(SPL_HELPER_CHANNEL_FD, SPL_RECORD_SAMPLES, samples, sizeof(samples));
    return 0;
}

/* Says that it is ready if the request is clean, and then that it clipped a lot. */
static int encode_nothing(void) {
    spl_record_header header;
    spl_encode_request request;
    if (spl_record_receive_header(SPL_HELPER_CHANNEL_FD, &header) < 0 ||
        header.size_bytes != sizeof(request) ||
        spl_record_receive(SPL_HELPER_CHANNEL_FD, &request, sizeof(request)) < 0 ||
        is_poisoned(&request, sizeof(request)))
        return 1;
    const spl_encode_end end = {.clipped = UINT64_MAX};
    spl_encode_finish finish;
    return spl_record_send(SPL_HELPER_CHANNEL_FD, SPL_RECORD_READY, NULL, 0) < 0 ||
           spl_record_receive_header(SPL_HELPER_CHANNEL_FD, &header) < 0 ||
           spl_record_receive(SPL_HELPER_CHANNEL_FD, &finish, sizeof(finish)) < 0 ||
           spl_record_send(SPL_HELPER_CHANNEL_FD, SPL_RECORD_END_ENCODE, &end, sizeof(end)) < 0;
}

static int be_helper(const char *mode) {
    if (strcmp(mode, "decode") == 0)
        return decode_endlessly();
    if (strcmp(mode, "encode") == 0)
        return encode_nothing();
    while (strcmp(mode, "burn") == 0)
        continue;
    pause();
    return 0;
}

static int become_helper(void **state) {
    (void)state;
    return setenv("SPLEETER_CODEC", "/proc/self/exe", 1);
}

static void the_length_is_limited(void **state) {
    (void)state;
    spl_error error;
    const struct { double duration_s, limit_s; } cases[] = {{2, 0}, {0, 2}, {9, 2}};
    SPL_CLEANUP(spl_close_p) int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(cases); i++) {
        spl_decode_options options;
        memset(&options, POISON, sizeof(options));
        options.channels = SPL_CHANNELS_ALL;
        options.track = 0;
        options.offset_s = 0;
        options.duration_s = cases[i].duration_s;
        options.limit_s = cases[i].limit_s;
        options.containers[0] = '\0';
        options.probe = false;
        options.stop = (spl_stop){0};
        spl_decoder *decoder;
        if (spl_decoder_open(file, "song.mp3", &options, &decoder, &error) < 0)
            fail_msg("%s", error.message);
        static float samples[2 * 4096];
        size_t count, total = 0;
        int status;
        while ((status = spl_decoder_read(decoder, samples, 4096, &count, &error)) == 0)
            total += count;
        assert_int_equal(status, SPL_E_HELPER);
        assert_string_equal(error.message, "song.mp3: the codec helper sent invalid data");
        assert_int_equal(total, 3 * 44100);
        spl_decoder_free(decoder);
    }
}

static void the_request_to_encode_is_clean(void **state) {
    (void)state;
    spl_error error;
    spl_encode_options options;
    memset(&options, POISON, sizeof(options));
    options.codec = SPL_CODEC_FLAC;
    options.sample_format = SPL_SAMPLES_16;
    options.bitrate_bps = 0;
    options.channels = 2;
    options.channel_mask = 0;
    options.sample_rate_hz = 44100;
    options.seconds_max = 0;
    options.stop = (spl_stop){0};
    SPL_CLEANUP(spl_close_p) int file = open("/dev/null", O_WRONLY | O_CLOEXEC);
    spl_encoder *encoder;
    if (spl_encoder_open(file, "song.flac", &options, &encoder, &error) < 0)
        fail_msg("%s", error.message);
    spl_encoder_free(encoder);
}

static void its_cpu_time_ends(void **state) {
    (void)state;
    spl_error error;
    spl_helper helper;
    SPL_CLEANUP(spl_close_p) int file = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_int_equal(spl_helper_start("burn", file, &(spl_stop){0}, &helper, &error), 0);
    helper.cpu_max_s = 0.05;
    spl_record_header header;
    assert_int_equal(spl_helper_receive_header(&helper, &header), SPL_E_HELPER);
    assert_int_equal(spl_helper_fail(&helper, "song.m4a", &error), SPL_E_BUDGET);
    assert_string_equal(error.message, "song.m4a: the encoder used too much CPU time and was "
                                       "stopped; choose another format");
}

/* Counts more clipped values than there are samples. */
static void its_clipped_values_are_bounded(void **state) {
    (void)state;
    spl_error error;
    const spl_encode_options options = {
        .codec = SPL_CODEC_FLAC, .channels = 2, .sample_rate_hz = 44100};
    SPL_CLEANUP(spl_close_p) int file = open("/dev/null", O_WRONLY | O_CLOEXEC);
    spl_encoder *encoder;
    assert_int_equal(spl_encoder_open(file, "song.flac", &options, &encoder, &error), 0);
    assert_int_equal(spl_encoder_finish(encoder, &error), SPL_E_HELPER);
    assert_string_equal(error.message, "song.flac: the codec helper sent invalid data");
    spl_encoder_free(encoder);
}

static void the_self_test_hangs(void **state) {
    (void)state;
    spl_error error;
    assert_int_equal(spl_sandbox_check_within(50, &error), SPL_E_HELPER);
    assert_non_null(strstr(error.message, "did not end in 0.05 s"));
}

int main(int count, char **arguments) {
    if (count > 1)
        return be_helper(arguments[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(its_time_ends, make_pair, close_pair),
        cmocka_unit_test_setup_teardown(its_status_is_about_the_file, make_pair, close_pair),
        cmocka_unit_test_setup_teardown(its_failure_is_reported, make_pair, close_pair),
        cmocka_unit_test(its_numbers_are_bounded),
        cmocka_unit_test_setup_teardown(it_is_canceled, make_pair, close_pair),
        cmocka_unit_test_setup_teardown(it_is_canceled_while_it_dribbles, make_pair, close_pair),
        cmocka_unit_test_setup_teardown(it_does_not_read, make_pair, close_pair),
        cmocka_unit_test_setup(the_length_is_limited, become_helper),
        cmocka_unit_test_setup(the_request_to_encode_is_clean, become_helper),
        cmocka_unit_test_setup(its_cpu_time_ends, become_helper),
        cmocka_unit_test_setup(its_clipped_values_are_bounded, become_helper),
        cmocka_unit_test_setup(the_self_test_hangs, become_helper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
