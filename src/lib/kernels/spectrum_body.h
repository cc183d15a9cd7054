/* SPDX-License-Identifier: MIT
 *
 * Windows, spectra and masks of a stereo frame, as plain loops for the compiler to vectorise.
 */
#include "lib/kernels/kernels.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { N = SPL_FFT_SIZE };

static void window_stereo(const float *restrict stereo, const float *restrict window,
                          float *restrict re, float *restrict im) {
    for (unsigned n = 0; n < N; n++) {
        re[n] = stereo[2 * n] * window[n];
        im[n] = stereo[2 * n + 1] * window[n];
    }
}

static void window_add(const float *restrict re, const float *restrict im,
                       const float *restrict window, float *restrict stereo) {
    for (unsigned n = 0; n < N; n++) {
        stereo[2 * n] += re[n] * window[n];
        stereo[2 * n + 1] += im[n] * window[n];
    }
}

static void magnitude(const float *restrict re, const float *restrict im, unsigned bins,
                      float *restrict left, float *restrict right, float *restrict interleaved) {
    left[0] = fabsf(re[0]);
    right[0] = fabsf(im[0]);
    for (unsigned k = 1; k < bins; k++) {
        const float left_re = 0.5f * (re[k] + re[N - k]), left_im = 0.5f * (im[k] - im[N - k]);
        const float right_re = 0.5f * (im[k] + im[N - k]), right_im = 0.5f * (re[N - k] - re[k]);
        left[k] = sqrtf(left_re * left_re + left_im * left_im);
        right[k] = sqrtf(right_re * right_re + right_im * right_im);
    }
    for (unsigned k = 0; k < bins; k++) {
        interleaved[2 * k] = left[k];
        interleaved[2 * k + 1] = right[k];
    }
}

/* Block length, in values, at which the loops over the stems stay in the first-level cache. */
enum { BLOCK = 256 };

static void gains(float *const *values, unsigned stems, unsigned bins, float exponent, float share,
                  float epsilon) {
    for (unsigned first = 0; first < bins; first += BLOCK) {
        const unsigned count = bins - first < BLOCK ? bins - first : BLOCK;
        float sum[BLOCK] = {0};
        for (unsigned i = 0; i < stems; i++) {
            float *restrict power = values[i] + first;
            if (exponent == 2)
                for (unsigned k = 0; k < count; k++)
                    power[k] *= power[k];
            else if (exponent != 1)
                for (unsigned k = 0; k < count; k++)
                    power[k] = powf(power[k], exponent);
            for (unsigned k = 0; k < count; k++)
                sum[k] += power[k];
        }
        for (unsigned k = 0; k < count; k++)
            sum[k] = 1 / (sum[k] + epsilon);
        for (unsigned i = 0; i < stems; i++) {
            float *restrict gain = values[i] + first;
            for (unsigned k = 0; k < count; k++)
                gain[k] = (gain[k] + share) * sum[k];
        }
    }
}

/* exp(x) for x <= 0, as in Cephes' expf; exp(-87) for x below -87. */
static inline float exp_of_negative(float x) {
    x = x < -87 ? -87 : x;
    const float magic = 12582912; /* 1.5 * 2^23: adding it rounds to an integer */
    const float n = (x * 1.44269504f + magic) - magic;
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1;
    const int32_t bits = ((int32_t)n + 127) * (1 << 23);
    float power;
    memcpy(&power, &bits, sizeof(power));
    return p * power;
}

static void softmax(float *const *values, unsigned stems, size_t total, const float *magnitudes) {
    for (size_t first = 0; first < total; first += BLOCK) {
        const unsigned count = total - first < BLOCK ? (unsigned)(total - first) : BLOCK;
        float largest[BLOCK], sum[BLOCK] = {0};
        memcpy(largest, values[0] + first, count * sizeof(float));
        for (unsigned i = 1; i < stems; i++) {
            const float *logit = values[i] + first;
            for (unsigned n = 0; n < count; n++)
                largest[n] = logit[n] > largest[n] ? logit[n] : largest[n];
        }
        for (unsigned i = 0; i < stems; i++) {
            float *value = values[i] + first;
            for (unsigned n = 0; n < count; n++) {
                value[n] = exp_of_negative(value[n] - largest[n]);
                sum[n] += value[n];
            }
        }
        for (unsigned i = 0; i < stems; i++) {
            float *value = values[i] + first;
            for (unsigned n = 0; n < count; n++)
                value[n] *= magnitudes[first + n] / sum[n];
        }
    }
}

static void apply(const float *restrict re, const float *restrict im, const float *restrict left,
                  const float *restrict right, float *restrict to_re, float *restrict to_im) {
    to_re[0] = re[0] * left[0];
    to_im[0] = im[0] * right[0];
    to_re[N / 2] = re[N / 2] * left[N / 2];
    to_im[N / 2] = im[N / 2] * right[N / 2];
    for (unsigned k = 1; k < N / 2; k++) {
        const float left_re = 0.5f * left[k] * (re[k] + re[N - k]);
        const float left_im = 0.5f * left[k] * (im[k] - im[N - k]);
        const float right_re = 0.5f * right[k] * (im[k] + im[N - k]);
        const float right_im = 0.5f * right[k] * (re[N - k] - re[k]);
        to_re[k] = left_re - right_im;
        to_im[k] = left_im + right_re;
        to_re[N - k] = left_re + right_im;
        to_im[N - k] = right_re - left_im;
    }
}
