/* SPDX-License-Identifier: MIT
 *
 * Internals of the audio module: rounding, early release of decoders and encoders, concurrent
 * decoders. tests/audio compares decoded and encoded audio with ffmpeg.
 */
#include "app/audio/audio.h"
#include "app/audio/pcm.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Rounds as the definition does, in double precision. Returns whether the value was clipped. */
static bool round_one(float sample, unsigned bits, double *ret_value) {
    double largest = ldexp(1, (int)bits - 1) - 1;
    double value = nearbyint((double)sample * (largest + 1));
    *ret_value = fmin(fmax(value, -largest - 1), largest);
    return *ret_value != value;
}

static void check_rounding(const float *samples, size_t count) {
    SPL_CLEANUP(spl_free_p) int16_t *s16 = malloc(count * sizeof(*s16));
    SPL_CLEANUP(spl_free_p) int32_t *s24 = malloc(count * sizeof(*s24));
    assert_non_null(s16);
    assert_non_null(s24);
    uint64_t clipped_16 = spl_pcm_to_s16(samples, count, s16);
    uint64_t clipped_24 = spl_pcm_to_s24(samples, count, s24);
    for (size_t i = 0; i < count; i++) {
        double value;
        clipped_16 -= round_one(samples[i], 16, &value);
        assert_int_equal(s16[i], (int)value);
        clipped_24 -= round_one(samples[i], 24, &value);
        assert_int_equal(s24[i], (int)value);
    }
    assert_int_equal(clipped_16, 0);
    assert_int_equal(clipped_24, 0);
}

static void rounding(void **state) {
    (void)state;
    enum { COUNT = 1 << 20 };
    float *samples = malloc(COUNT * sizeof(float));
    assert_non_null(samples);
    /* Every half step of 16 bits from -8 to 8 and its neighbours, then the ends of both ranges,
     * then infinity. */
    for (int i = 0; i < COUNT; i++)
        samples[i] = (float)(i - COUNT / 2) / 65536;
    check_rounding(samples, COUNT);
    for (int i = 0; i < COUNT; i++)
        samples[i] = nextafterf(samples[i], i % 2 ? -100.0f : 100.0f);
    check_rounding(samples, COUNT);
    const float ends[] = {1,
                          -1,
                          0.99999994f,
                          -0.99999994f,
                          1.0000001f,
                          -1.0000001f,
                          0.9999999f,
                          -1.00000012f,
                          32767.5f / 32768,
                          -32768.5f / 32768,
                          INFINITY,
                          -INFINITY,
                          0.0f,
                          -0.0f,
                          1e-40f,
                          3e38f,
                          -3e38f,
                          8388607.5f / 8388608};
    for (size_t count = 1; count <= SPL_ARRAY_SIZE(ends); count++)
        check_rounding(ends, count);
    free(samples);
}

/* Returns a WAV file of noise in memory, `seconds` long. */
static int noise_file(unsigned seconds) {
    const spl_encode_options options = {
        .codec = SPL_CODEC_WAV, .channels = 2, .sample_rate_hz = 44100};
    static float samples[2 * 44100];
    for (size_t i = 0; i < SPL_ARRAY_SIZE(samples); i++)
        samples[i] = (float)(i * 7919 % 10007) / 20014 - 0.25f;
    int fd = memfd_create("noise", MFD_CLOEXEC);
    spl_encoder *encoder;
    spl_error error;
    assert_int_equal(spl_encoder_open(fd, "noise", &options, &encoder, &error), 0);
    for (unsigned i = 0; i < seconds; i++)
        assert_int_equal(spl_encoder_write(encoder, samples, 44100, &error), 0);
    assert_int_equal(spl_encoder_finish(encoder, &error), 0);
    spl_encoder_free(encoder);
    return fd;
}

static unsigned open_descriptors(void) {
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* A decoder or encoder that is freed in the middle of its work ends its helper and closes its
 * descriptors. */
static void dropped_early(void **state) {
    (void)state;
    int fd = noise_file(60);
    static float samples[2 * 1000];
    const unsigned before = open_descriptors();
    for (int reads = 0; reads < 3; reads++) {
        const spl_decode_options options = {.channels = SPL_CHANNELS_STEREO_DOWNMIX};
        spl_decoder *decoder;
        spl_error error;
        assert_int_equal(spl_decoder_open(fd, "noise", &options, &decoder, &error), 0);
        for (int i = 0; i < reads; i++) {
            size_t count;
            assert_int_equal(spl_decoder_read(decoder, samples, 1000, &count, &error), 0);
            assert_true(count > 0);
        }
        spl_decoder_free(decoder);

        const spl_encode_options encode = {
            .codec = SPL_CODEC_FLAC, .channels = 2, .sample_rate_hz = 44100};
        int target = memfd_create("flac", MFD_CLOEXEC);
        spl_encoder *encoder;
        assert_int_equal(spl_encoder_open(target, "flac", &encode, &encoder, &error), 0);
        for (int i = 0; i < reads; i++)
            assert_int_equal(spl_encoder_write(encoder, samples, 1000, &error), 0);
        spl_encoder_free(encoder);
        close(target);
    }
    spl_decoder_free(NULL);
    spl_encoder_free(NULL);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    close(fd);
}

/* The helper cannot write much more than the samples need, and has ended at the end. */
static void a_file_has_an_end(void **state) {
    (void)state;
    static float samples[2 * 44100];
    uint32_t noise = 1;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(samples); i++) {
        noise = noise * 1664525 + 1013904223;
        samples[i] = (float)(int32_t)noise * 0x1p-32f;
    }
    for (int seconds = 2; seconds <= 60; seconds += 58) {
        SPL_CLEANUP(spl_close_p) int file = memfd_create("flac", MFD_CLOEXEC);
        const spl_encode_options options = {.codec = SPL_CODEC_FLAC,
                                            .sample_format = SPL_SAMPLES_24,
                                            .channels = 2,
                                            .sample_rate_hz = 44100,
                                            .seconds_max = 2};
        spl_encoder *encoder;
        spl_error error;
        assert_int_equal(spl_encoder_open(file, "flac", &options, &encoder, &error), 0);
        int status = 0;
        for (int i = 0; status == 0 && i < seconds; i++)
            status = spl_encoder_write(encoder, samples, 44100, &error);
        if (status == 0)
            status = spl_encoder_finish(encoder, &error);
        if (seconds == 2) {
            assert_int_equal(status, 0);
            assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
            assert_in_range(spl_encoder_bytes(encoder), 400000, 600000);
        } else {
            assert_int_equal(status, SPL_E_IO);
            assert_non_null(strstr(error.message, "File too large"));
        }
        spl_encoder_free(encoder);
    }
}

static uint64_t count_samples(int fd) {
    const spl_decode_options options = {.channels = SPL_CHANNELS_ALL};
    static _Thread_local float samples[2 * 5000];
    spl_decoder *decoder;
    uint64_t sum = 0;
    size_t count = 0;
    if (spl_decoder_open(fd, "noise", &options, &decoder, NULL) < 0)
        return 0;
    while (spl_decoder_read(decoder, samples, 5000, &count, NULL) == 0 && count > 0)
        sum += count;
    spl_decoder_free(decoder);
    return sum;
}

static void *count_in_thread(void *user) {
    int fd = *(int *)user;
    return (void *)(uintptr_t)count_samples(fd);
}

/* All threads decode the same descriptor: the helpers neither share nor move its position. */
static void many_at_once(void **state) {
    (void)state;
    int fd = noise_file(5);
    const off_t position = lseek(fd, 0, SEEK_CUR);
    pthread_t threads[8];
    for (size_t i = 0; i < SPL_ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_in_thread, &fd), 0);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(threads); i++) {
        void *count;
        pthread_join(threads[i], &count);
        assert_int_equal((uintptr_t)count, 5 * 44100);
    }
    assert_int_equal(lseek(fd, 0, SEEK_CUR), position);
    close(fd);
}

/* Writing to a pipe without a reader is an error. SIGPIPE keeps its disposition and is not left
 * pending. */
static void closed_pipe(void **state) {
    (void)state;
    static float samples[2 * 400000];
    const spl_codec codecs[] = {SPL_CODEC_WAV, SPL_CODEC_FLAC};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(codecs); i++) {
        const spl_encode_options options = {
            .codec = codecs[i], .channels = 2, .sample_rate_hz = 44100};
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        spl_encoder *encoder;
        spl_error error;
        assert_int_equal(spl_encoder_open(ends[1], "pipe", &options, &encoder, &error), 0);
        close(ends[0]);
        int status = spl_encoder_write(encoder, samples, 400000, &error);
        if (status == 0)
            status = spl_encoder_finish(encoder, &error);
        assert_int_equal(status, SPL_E_IO);
        assert_non_null(strstr(error.message, "Broken pipe"));
        spl_encoder_free(encoder);
        close(ends[1]);
    }
    sigset_t set;
    sigpending(&set);
    assert_int_equal(sigismember(&set, SIGPIPE), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    assert_int_equal(sigismember(&set, SIGPIPE), 0);
}

static void codec_names(void **state) {
    (void)state;
    for (int i = 0; i < SPL_CODEC_COUNT; i++) {
        spl_codec codec = SPL_CODEC_COUNT;
        assert_true(spl_codec_from_name(spl_codec_name((spl_codec)i), &codec));
        assert_int_equal(codec, i);
    }
    spl_codec codec;
    assert_false(spl_codec_from_name("aac", &codec));
    assert_false(spl_codec_from_name("", &codec));
}

static void wrong_arguments(void **state) {
    (void)state;
    int fd = noise_file(1);
    spl_decoder *decoder = NULL;
    const spl_decode_options wrong[] = {{.offset_s = -1},
                                        {.duration_s = -0.001},
                                        {.limit_s = NAN},
                                        {.offset_s = INFINITY},
                                        {.duration_s = 1e12}};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(wrong); i++)
        assert_int_equal(spl_decoder_open(fd, "noise", &wrong[i], &decoder, NULL), SPL_E_ARGUMENT);
    assert_null(decoder);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_an_end), cmocka_unit_test(rounding),
        cmocka_unit_test(dropped_early),     cmocka_unit_test(many_at_once),
        cmocka_unit_test(closed_pipe),       cmocka_unit_test(codec_names),
        cmocka_unit_test(wrong_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
