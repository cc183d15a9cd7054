/* SPDX-License-Identifier: MIT
 *
 * The Fourier transform, and the spectra of two channels from a single transform.
 */
#include "base/macros.h"
#include "kernels_fixture.h"

#include <complex.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The error is at least 120 dB below the result for noise, a spike and a sinusoid. The inverse
 * restores the input. */
static void fft_matches_definition(void **state) {
    (void)state;
    enum { N = SPL_FFT_SIZE };
    static spl_fft_tables twiddles;
    spl_fft_tables_init(&twiddles);
    static double complex roots[N];
    for (unsigned n = 0; n < N; n++)
        roots[n] = cexp(-2 * M_PI * I * n / N);
    for (size_t t = 0; t < table_count; t++)
        for (unsigned signal = 0; signal < 3; signal++) {
            float *re = buffer_new(N), *im = buffer_new(N), *scratch = buffer_new(2 * N);
            static float in_re[N], in_im[N];
            for (unsigned n = 0; n < N; n++) {
                if (signal == 1)
                    re[n] = n == 5, im[n] = n == 4095;
                if (signal == 2)
                    re[n] = cosf(0.37f * (float)n), im[n] = 0;
                in_re[n] = re[n];
                in_im[n] = im[n];
            }
            tables[t]->fft(&twiddles, re, im, scratch);
            double error = 0, energy = 0;
            for (unsigned k = 0; k < N; k += 7) {
                double complex want = 0;
                for (unsigned n = 0; n < N; n++)
                    want += ((double)in_re[n] + I * (double)in_im[n]) * roots[k * n % N];
                const double complex difference = want - ((double)re[k] + I * (double)im[k]);
                error += creal(difference * conj(difference));
                energy += creal(want * conj(want));
            }
            assert_true(error <= energy * 1e-12);
            tables[t]->fft(&twiddles, im, re, scratch);
            for (unsigned n = 0; n < N; n++) {
                assert_true(fabsf(re[n] / N - in_re[n]) < 2e-6f);
                assert_true(fabsf(im[n] / N - in_im[n]) < 2e-6f);
            }
            buffer_free(re, N);
            buffer_free(im, N);
            buffer_free(scratch, 2 * N);
        }
}

/* A gain of 1 restores the channel, the gains of one channel do not affect the other, and
 * magnitudes are those of the two signals. */
static void spectrum_separates_channels(void **state) {
    (void)state;
    enum { N = SPL_FFT_SIZE };
    static spl_fft_tables twiddles;
    spl_fft_tables_init(&twiddles);
    for (size_t t = 0; t < table_count; t++) {
        const spl_kernels *kernels = tables[t];
        float *re = buffer_new(N), *im = buffer_new(N), *scratch = buffer_new(2 * N);
        float *left = buffer_new(SPL_BINS), *right = buffer_new(SPL_BINS), *both = buffer_new(4096);
        float *to_re = buffer_new(N), *to_im = buffer_new(N);
        static float in_left[N], in_right[N], zero[N];
        memcpy(in_left, re, sizeof(in_left));
        memcpy(in_right, im, sizeof(in_right));
        kernels->fft(&twiddles, re, im, scratch);

        kernels->magnitude(re, im, 2048, left, right, both);
        static float left_re[N], left_im[N];
        memcpy(left_re, in_left, sizeof(left_re));
        memcpy(left_im, zero, sizeof(left_im));
        kernels->fft(&twiddles, left_re, left_im, scratch);
        for (unsigned k = 0; k < 2048; k++) {
            assert_true(fabsf(left[k] - hypotf(left_re[k], left_im[k])) < 1e-4f);
            assert_true(both[2 * k] == left[k] && both[2 * k + 1] == right[k]);
        }

        for (unsigned k = 0; k < SPL_BINS; k++)
            left[k] = 1, right[k] = 0;
        kernels->apply(re, im, left, right, to_re, to_im);
        kernels->fft(&twiddles, to_im, to_re, scratch);
        for (unsigned n = 0; n < N; n++) {
            assert_true(fabsf(to_re[n] / N - in_left[n]) < 2e-6f);
            assert_true(fabsf(to_im[n] / N) < 2e-6f);
        }
        buffer_free(re, N);
        buffer_free(im, N);
        buffer_free(scratch, 2 * N);
        buffer_free(left, SPL_BINS);
        buffer_free(right, SPL_BINS);
        buffer_free(both, 4096);
        buffer_free(to_re, N);
        buffer_free(to_im, N);
    }
}

int main(void) {
    kernels_find();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fft_matches_definition),
        cmocka_unit_test(spectrum_separates_channels),
    };
    return cmocka_run_group_tests_name("fft", tests, NULL, NULL);
}
