/* SPDX-License-Identifier: MIT
 *
 * Multichannel Wiener filter over a whole song: norbert 0.2.1's wiener(v, x) with its defaults, in
 * two passes.
 *
 * The first estimate of stem j in channel c is gain * x, with a real gain v_j / (2^-23 + sum over
 * stems of v). Pass one sums, for each bin over all frames, the spatial covariance of each stem's
 * first estimate and its power, and finds the largest |x|. Pass two filters each bin of each frame
 * with
 *
 *   y_j = p_j R_j (sum over i of p_i R_i + 2^-11.5 I)^-1 x
 *
 * p_j being the first estimate's mean power over the channels and R_j = covariance / (2^-23 +
 * power), all of it on x divided by max(1, max |x| / 10). One EM step in the words of A. Nugraha,
 * A. Liutkus, E. Vincent, "Multichannel audio source separation with deep neural networks",
 * IEEE/ACM TASLP 24(9), 2016.
 */
#ifndef SPL_LIB_DSP_WIENER_H
#define SPL_LIB_DSP_WIENER_H

#include "base/error.h"
#include "lib/kernels/kernels.h"

#include <spleeter/model.h>

/* 2^-23: epsilon of the gains. */
#define SPL_WIENER_EPSILON 1.1920929e-7f

typedef struct spl_wiener spl_wiener;

SPL_WARN_UNUSED int spl_wiener_new(unsigned stems, spl_wiener **ret_wiener, spl_error *ret_error);

/* Frees; NULL is allowed. */
void spl_wiener_free(spl_wiener *wiener);

/* One frame: its packed spectrum, and each stem's gains for 2,049 bins of each channel. */
typedef struct spl_wiener_frame {
    const float *re, *im;
    const float *left[SPL_STEMS_MAX], *right[SPL_STEMS_MAX];
} spl_wiener_frame;

/* Pass one: adds the bins first_bin <= k < end_bin of a frame. Calls for the same bins must not
 * overlap and come in the order of the frames. */
void spl_wiener_add(spl_wiener *wiener, const spl_wiener_frame *frame, unsigned first_bin,
                    unsigned end_bin);

/* Between the passes, once: turns the sums into R_j. */
void spl_wiener_prepare(spl_wiener *wiener);

/* Pass two: writes the packed spectrum of each stem whose ret_re is not NULL. With `conserve` what
 * the filter leaves of the mixture is given back to the stems in proportion to their gains, so that
 * they sum to it. May run for many frames at once. */
void spl_wiener_filter(const spl_wiener *wiener, const spl_wiener_frame *frame, bool conserve,
                       float *const *ret_re, float *const *ret_im);

#endif
