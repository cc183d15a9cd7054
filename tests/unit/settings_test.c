/* SPDX-License-Identifier: MIT
 *
 * Settings: their sources, the error messages for invalid values, and that secrets are never shown.
 */
#include "service/core/settings.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

/* The environment of each test: HOME, and none of our variables. */
static int clean_environment(void **state) {
    (void)state;
    clearenv();
    setenv("HOME", "/home/somebody", 1);
    return 0;
}

#define LOAD(ret_settings, ret_error, ...)                                                         \
    load((char *[]){(char[]){"serve"}, __VA_ARGS__ __VA_OPT__(, ) NULL}, (ret_settings),           \
         (ret_error))

static int load(char **argv, spl_settings *ret_settings, spl_error *ret_error) {
    int argc = 0;
    while (argv[argc])
        argc++;
    return spl_settings_load(argc, argv, ret_settings, ret_error);
}

static void expect_refused(char **argv, const char *words) {
    spl_settings settings;
    spl_error error = {0};
    assert_int_equal(load(argv, &settings, &error), SPL_E_ARGUMENT);
    if (!strstr(error.message, words))
        fail_msg("\"%s\" does not say \"%s\"", error.message, words);
}

#define REFUSED(words, ...)                                                                        \
    expect_refused((char *[]){(char[]){"serve"}, __VA_ARGS__ __VA_OPT__(, ) NULL}, (words))

static void has_defaults(void **state) {
    (void)state;
    spl_settings settings;
    spl_error error;
    assert_int_equal(spl_settings_load(0, NULL, &settings, &error), 0);
    assert_string_equal(settings.env, "production");
    assert_string_equal(settings.bind, "127.0.0.1");
    assert_int_equal(settings.port, 8080);
    assert_string_equal(settings.data_dir, "/home/somebody/.local/share/spleeterd/service");
    assert_true(settings.max_file_size_bytes == UINT64_C(512) << 20);
    assert_true(settings.max_duration_s == 7200);
    assert_string_equal(settings.api_key, "");
    spl_settings_free(&settings);
}

static void flags_win_over_the_environment(void **state) {
    (void)state;
    setenv("SPLEETER_PORT", "1000", 1);
    setenv("SPLEETER_QUEUE", "7", 1);
    /* An empty variable counts as not set. */
    setenv("SPLEETER_MODEL", "", 1);
    spl_settings settings;
    spl_error error;
    assert_int_equal(LOAD(&settings, &error, (char[]){"--port"}, (char[]){"2000"},
                          (char[]){"--max-file-size-mb=3"}),
                     0);
    assert_int_equal(settings.port, 2000);
    assert_int_equal(settings.queue, 7);
    assert_true(settings.max_file_size_bytes == 3 << 20);
    assert_string_equal(settings.default_model, "2stems");
    spl_settings_free(&settings);
}

static void says_what_is_wrong(void **state) {
    (void)state;
    REFUSED("--port \"65536\" (flag): give a whole number from 0 to 65535",
            (char[]){"--port=65536"});
    REFUSED("--port \"\"", (char[]){"--port="});
    REFUSED("--port \" 80\"", (char[]){"--port"}, (char[]){" 80"});
    REFUSED("--port \"-1\"", (char[]){"--port"}, (char[]){"-1"});
    REFUSED("--port \"0x50\"", (char[]){"--port"}, (char[]){"0x50"});
    REFUSED("--port \"8.5\"", (char[]){"--port"}, (char[]){"8.5"});
    REFUSED("--port needs a value", (char[]){"--port"});
    REFUSED("there is no setting --prot", (char[]){"--prot=1"});
    REFUSED("there is no setting song.mp3", (char[]){"song.mp3"});
    REFUSED("--max-duration-s \"nan\"", (char[]){"--max-duration-s=nan"});
    REFUSED("--formats \"mp3,exe\" (flag): give a list out of mp3,", (char[]){"--formats=mp3,exe"});
    REFUSED("--clamd \"localhost:3310\"", (char[]){"--clamd=localhost:3310"});
    REFUSED("--bind \"localhost\"", (char[]){"--bind=localhost"});
    REFUSED("--webhook-allow \"10.0.0.0/33\" (flag): give networks",
            (char[]){"--webhook-allow=10.0.0.0/33"});
    REFUSED("--public-url", (char[]){"--public-url=https://a.example/"});
    REFUSED("--jwt-algorithm \"none\"", (char[]){"--jwt-algorithm=none"});
    REFUSED("--jwt-algorithm \"HS256\"", (char[]){"--jwt-algorithm=HS256"});
    REFUSED("--log-level \"info,error\"", (char[]){"--log-level=info,error"});
    REFUSED("control characters", (char[]){"--jwt-issuer=a\nb"});
    setenv("SPLEETER_PORT", "tcp://10.0.0.1:8080", 1);
    REFUSED("SPLEETER_PORT \"tcp://10.0.0.1:8080\" (environment): give a whole number");
}

static void checks_what_belongs_together(void **state) {
    (void)state;
    REFUSED("SPLEETER_TLS_CERTIFICATE and SPLEETER_TLS_KEY", (char[]){"--tls-key=a.pem"});
    REFUSED("give all three", (char[]){"--jwt-issuer=https://a.example"});
    REFUSED("loopback only", (char[]){"--env=development"}, (char[]){"--bind=0.0.0.0"});
    spl_settings settings;
    spl_error error;
    assert_int_equal(LOAD(&settings, &error, (char[]){"--env=development"}, (char[]){"--bind=::1"}),
                     0);
    spl_settings_free(&settings);
}

static void access_needs_authentication(void **state) {
    (void)state;
    spl_settings settings;
    spl_error error = {0};
    assert_int_equal(LOAD(&settings, &error), 0);
    assert_int_equal(spl_settings_check_access(&settings, 0, &error), SPL_E_ARGUMENT);
    assert_non_null(strstr(error.message, "SPLEETER_API_KEY"));
    assert_int_equal(spl_settings_check_access(&settings, 1, &error), 0);
    spl_settings_free(&settings);
    assert_int_equal(LOAD(&settings, &error, (char[]){"--env=development"}), 0);
    assert_int_equal(spl_settings_check_access(&settings, 0, &error), 0);
    spl_settings_free(&settings);
    assert_int_equal(LOAD(&settings, &error, (char[]){"--jwt-issuer=https://a.example"},
                          (char[]){"--jwt-audience=stems"},
                          (char[]){"--jwt-jwks-url=https://a.example/keys"}),
                     0);
    assert_int_equal(spl_settings_check_access(&settings, 0, &error), 0);
    spl_settings_free(&settings);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void secrets_come_from_files_too(void **state) {
    (void)state;
    char path[] = "/tmp/settings_test.XXXXXX";
    close(mkstemp(path));
    write_file(path, "a key of 24 characters!!\n");
    setenv("SPLEETER_API_KEY_FILE", path, 1);
    REFUSED("SPLEETER_API_KEY_FILE (file named by the environment): give 16 or more printable");
    write_file(path, "7f3k9x2mq8w5c1zv4b6n\n");
    spl_settings settings;
    spl_error error;
    assert_int_equal(LOAD(&settings, &error), 0);
    assert_string_equal(settings.api_key, "7f3k9x2mq8w5c1zv4b6n");
    spl_settings_free(&settings);

    setenv("SPLEETER_API_KEY", "an-other-key-of-24-chars", 1);
    REFUSED("are both set");
    unsetenv("SPLEETER_API_KEY");
    assert_int_equal(LOAD(&settings, &error, (char[]){"--api-key=the-flag-has-precedence"}), 0);
    assert_string_equal(settings.api_key, "the-flag-has-precedence");
    spl_settings_free(&settings);
    setenv("SPLEETER_API_KEY_FILE", "/nowhere/key", 1);
    REFUSED("cannot open /nowhere/key");
    unlink(path);
}

/* Guessable secrets are refused, generated ones are accepted. */
static void secrets_look_random(void **state) {
    (void)state;
    static const char *const guessable[] = {
        "aaaaaaaaaaaaaaaa",
        "0123456789abcdef",
        "1234567890123456",
        "abababababababab",
        "passwordpassword",
        "abcdefghijklmnopqrstuvwxyz",
        "aaaaaaaabbbbbbbbccccccccdddddddd",
        "changemechangemechangemechangeme",
    };
    static const char *const random[] = {
        "9f86d081884c7d65",
        "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0",
        "kX3-vLq_9ZbT.m2w",
        "a-key-for-tests-0123456789",
        "correct-horse-battery-staple",
    };
    spl_settings settings;
    spl_error error;
    char flag[128];
    for (size_t i = 0; i < SPL_ARRAY_SIZE(guessable); i++) {
        snprintf(flag, sizeof(flag), "--api-key=%s", guessable[i]);
        assert_int_equal(LOAD(&settings, &error, flag), SPL_E_ARGUMENT);
        assert_non_null(strstr(error.message, "openssl rand -hex 24"));
        assert_null(strstr(error.message, guessable[i]));
        snprintf(flag, sizeof(flag), "--secret=%s%s%s", guessable[i], guessable[i], guessable[i]);
        assert_int_equal(LOAD(&settings, &error, flag), SPL_E_ARGUMENT);
    }
    for (size_t i = 0; i < SPL_ARRAY_SIZE(random); i++) {
        snprintf(flag, sizeof(flag), "--api-key=%s", random[i]);
        if (LOAD(&settings, &error, flag) < 0)
            fail_msg("%s: %s", random[i], error.message);
        spl_settings_free(&settings);
    }
}

static void secrets_are_never_shown(void **state) {
    (void)state;
    setenv("SPLEETER_API_KEY", "short-secret", 1);
    spl_settings settings;
    spl_error error = {0};
    assert_int_equal(LOAD(&settings, &error), SPL_E_ARGUMENT);
    assert_null(strstr(error.message, "short-secret"));
    setenv("SPLEETER_API_KEY", "a-long-enough-secret", 1);
    setenv("SPLEETER_API_KYE", "x", 1);
    assert_int_equal(LOAD(&settings, &error), 0);
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    spl_settings_print(&settings, stream);
    fclose(stream);
    assert_null(strstr(text, "a-long-enough-secret"));
    assert_null(strstr(text, "SPLEETER_API_KYE"));
    assert_non_null(strstr(text, "environment set\n"));
    free(text);
    spl_settings_free(&settings);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(has_defaults, clean_environment),
        cmocka_unit_test_setup(flags_win_over_the_environment, clean_environment),
        cmocka_unit_test_setup(says_what_is_wrong, clean_environment),
        cmocka_unit_test_setup(checks_what_belongs_together, clean_environment),
        cmocka_unit_test_setup(access_needs_authentication, clean_environment),
        cmocka_unit_test_setup(secrets_come_from_files_too, clean_environment),
        cmocka_unit_test_setup(secrets_look_random, clean_environment),
        cmocka_unit_test_setup(secrets_are_never_shown, clean_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
