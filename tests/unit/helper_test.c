/* SPDX-License-Identifier: MIT
 *
 * No call waits longer than its limit for a helper. The helper is a socket here, whose other end
 * does not answer.
 */
#include "app/audio/decoder.h"
#include "base/clock.h"

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
    assert_string_equal(error.message, "song.mp3: looking at the file took too long; if it plays, "
                                       "convert it to FLAC or WAV first");
}

/* Requests the stop on the second call. */
static bool ask(void *user) {
    return ++*(int *)user == 2;
}

static void it_is_canceled(void **state) {
    (void)state;
    int asked = 0;
    const spl_error error =
        fail_to_attach((spl_helper){.fd = pair[0], .stop = {.ask = ask, .user = &asked}});
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
        (spl_helper){.fd = pair[0], .stop = {.ask = ask_and_dribble, .user = &asked}});
    assert_int_equal(error.status, SPL_E_CANCELED);
}

static void it_does_not_read(void **state) {
    (void)state;
    int asked = 0;
    spl_helper helper = {.fd = pair[0], .stop = {.ask = ask, .user = &asked}};
    static const char payload[4 << 20];
    assert_int_equal(spl_helper_send(&helper, SPL_RECORD_SAMPLES, payload, sizeof(payload)),
                     SPL_E_HELPER);
    assert_int_equal(spl_helper_fail(&helper, "song.flac", NULL), SPL_E_CANCELED);
    assert_int_equal(helper.fd, -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(its_time_ends, make_pair, close_pair),
        cmocka_unit_test_setup_teardown(it_is_canceled, make_pair, close_pair),
        cmocka_unit_test_setup_teardown(it_is_canceled_while_it_dribbles, make_pair, close_pair),
        cmocka_unit_test_setup_teardown(it_does_not_read, make_pair, close_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
