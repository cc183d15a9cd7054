/* SPDX-License-Identifier: MIT
 *
 * The Wiener filter, in double precision, because the 2x2 matrices are nearly singular if the
 * channels are nearly equal.
 */
#include "lib/dsp/wiener.h"

#include <complex.h>
#include <math.h>
#include <string.h>

/* A Hermitian 2x2 matrix: [[ll, lr], [conj lr, rr]]. */
struct covariance {
    double ll, rr;
    double complex lr;
};

struct spl_wiener {
    unsigned stems;
    double scale_squared; /* the square of the factor that scales x */
    float largest[SPL_BINS];
    struct covariance *covariance; /* [stems][bins] */
    double *power;                 /* [stems][bins] */
};

int spl_wiener_new(unsigned stems, spl_wiener **ret_wiener, spl_error *ret_error) {
    spl_wiener *wiener = calloc(1, sizeof(*wiener));
    if (!wiener)
        return spl_fail_memory(ret_error);
    wiener->stems = stems;
    wiener->covariance = calloc((size_t)stems * SPL_BINS, sizeof(*wiener->covariance));
    wiener->power = calloc((size_t)stems * SPL_BINS, sizeof(*wiener->power));
    if (!wiener->covariance || !wiener->power) {
        spl_wiener_free(wiener);
        return spl_fail_memory(ret_error);
    }
    *ret_wiener = wiener;
    return 0;
}

void spl_wiener_free(spl_wiener *wiener) {
    if (!wiener)
        return;
    free(wiener->covariance);
    free(wiener->power);
    free(wiener);
}

static double squared(double complex value) {
    return creal(value) * creal(value) + cimag(value) * cimag(value);
}

/* The left and right channel of bin k. */
static void unpack(const spl_wiener_frame *frame, unsigned k, double complex *ret_left,
                   double complex *ret_right) {
    const unsigned mirror = (SPL_FFT_SIZE - k) % SPL_FFT_SIZE;
    const double re = (double)frame->re[k], im = (double)frame->im[k];
    const double mirror_re = (double)frame->re[mirror], mirror_im = (double)frame->im[mirror];
    *ret_left = (re + mirror_re) / 2 + (im - mirror_im) / 2 * I;
    *ret_right = (im + mirror_im) / 2 + (mirror_re - re) / 2 * I;
}

static void pack(double complex left, double complex right, unsigned k, float *re, float *im) {
    const bool real = k == 0 || k == SPL_FFT_SIZE / 2;
    if (real) {
        re[k] = (float)creal(left);
        im[k] = (float)creal(right);
        return;
    }
    re[k] = (float)(creal(left) - cimag(right));
    im[k] = (float)(cimag(left) + creal(right));
    re[SPL_FFT_SIZE - k] = (float)(creal(left) + cimag(right));
    im[SPL_FFT_SIZE - k] = (float)(creal(right) - cimag(left));
}

void spl_wiener_add(spl_wiener *wiener, const spl_wiener_frame *frame, unsigned first_bin,
                    unsigned end_bin) {
    for (unsigned k = first_bin; k < end_bin; k++) {
        double complex left, right;
        unpack(frame, k, &left, &right);
        const double ll = squared(left), rr = squared(right);
        const double complex lr = left * conj(right);
        wiener->largest[k] = fmaxf(wiener->largest[k], (float)sqrt(fmax(ll, rr)));
        for (unsigned j = 0; j < wiener->stems; j++) {
            const double gain_left = (double)frame->left[j][k];
            const double gain_right = (double)frame->right[j][k];
            struct covariance *sum = &wiener->covariance[j * SPL_BINS + k];
            sum->ll += gain_left * gain_left * ll;
            sum->rr += gain_right * gain_right * rr;
            sum->lr += gain_left * gain_right * lr;
            wiener->power[j * SPL_BINS + k] +=
                (gain_left * gain_left * ll + gain_right * gain_right * rr) / 2;
        }
    }
}

void spl_wiener_prepare(spl_wiener *wiener) {
    float largest = 0;
    for (unsigned k = 0; k < SPL_BINS; k++)
        largest = fmaxf(largest, wiener->largest[k]);
    const double scale = 1 / fmax(1, (double)largest / 10);
    wiener->scale_squared = scale * scale;
    for (size_t i = 0; i < (size_t)wiener->stems * SPL_BINS; i++) {
        struct covariance *matrix = &wiener->covariance[i];
        const double factor = wiener->scale_squared / ((double)SPL_WIENER_EPSILON +
                                                       wiener->power[i] * wiener->scale_squared);
        matrix->ll *= factor;
        matrix->rr *= factor;
        matrix->lr *= factor;
    }
}

/* One bin: the mixture, and the stems' powers and shares. */
struct bin {
    double complex left, right;
    double power[SPL_STEMS_MAX];
    double complex stem_left[SPL_STEMS_MAX], stem_right[SPL_STEMS_MAX];
};

/* Sets the powers of the stems and returns the regularized covariance of the mixture. */
static inline struct covariance mix_bin(const spl_wiener *wiener, const spl_wiener_frame *frame,
                                        unsigned k, struct bin *bin) {
    const double regularization = sqrt((double)SPL_WIENER_EPSILON);
    const double ll = squared(bin->left) * wiener->scale_squared;
    const double rr = squared(bin->right) * wiener->scale_squared;
    struct covariance mix = {.ll = regularization, .rr = regularization};
    for (unsigned j = 0; j < wiener->stems; j++) {
        const double gain_left = (double)frame->left[j][k];
        const double gain_right = (double)frame->right[j][k];
        const struct covariance *matrix = &wiener->covariance[j * SPL_BINS + k];
        const double power = (gain_left * gain_left * ll + gain_right * gain_right * rr) / 2;
        bin->power[j] = power;
        mix.ll += power * matrix->ll;
        mix.rr += power * matrix->rr;
        mix.lr += power * matrix->lr;
    }
    return mix;
}

/* Sets the shares of the stems: power * covariance * mix^-1 (left, right). */
static inline void share_bin(const spl_wiener *wiener, const struct covariance *mix, unsigned k,
                             struct bin *bin) {
    const double determinant = mix->ll * mix->rr - squared(mix->lr);
    const double complex white_left = (mix->rr * bin->left - mix->lr * bin->right) / determinant;
    const double complex white_right =
        (mix->ll * bin->right - conj(mix->lr) * bin->left) / determinant;
    for (unsigned j = 0; j < wiener->stems; j++) {
        const struct covariance *matrix = &wiener->covariance[j * SPL_BINS + k];
        bin->stem_left[j] = bin->power[j] * (matrix->ll * white_left + matrix->lr * white_right);
        bin->stem_right[j] =
            bin->power[j] * (conj(matrix->lr) * white_left + matrix->rr * white_right);
    }
}

/* Distributes what the shares leave of the mixture in proportion to the gains, which need not sum
 * to 1. */
static inline void conserve_bin(unsigned stems, const spl_wiener_frame *frame, unsigned k,
                                struct bin *bin) {
    double complex rest_left = bin->left, rest_right = bin->right;
    double gains_left = 0, gains_right = 0;
    for (unsigned j = 0; j < stems; j++) {
        rest_left -= bin->stem_left[j];
        rest_right -= bin->stem_right[j];
        gains_left += (double)frame->left[j][k];
        gains_right += (double)frame->right[j][k];
    }
    for (unsigned j = 0; j < stems; j++) {
        bin->stem_left[j] += rest_left * ((double)frame->left[j][k] + (1 - gains_left) / stems);
        bin->stem_right[j] += rest_right * ((double)frame->right[j][k] + (1 - gains_right) / stems);
    }
}

void spl_wiener_filter(const spl_wiener *wiener, const spl_wiener_frame *frame, bool conserve,
                       float *const *ret_re, float *const *ret_im) {
    for (unsigned k = 0; k < SPL_BINS; k++) {
        struct bin bin;
        unpack(frame, k, &bin.left, &bin.right);
        const struct covariance mix = mix_bin(wiener, frame, k, &bin);
        share_bin(wiener, &mix, k, &bin);
        if (conserve)
            conserve_bin(wiener->stems, frame, k, &bin);
        for (unsigned j = 0; j < wiener->stems; j++)
            if (ret_re[j])
                pack(bin.stem_left[j], bin.stem_right[j], k, ret_re[j], ret_im[j]);
    }
}
