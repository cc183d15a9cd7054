/* SPDX-License-Identifier: MIT
 *
 * Multichannel Wiener filter over a whole song, in two passes: wiener(v, x) of norbert 0.2.1 with
 * its defaults.
 *
 * The first estimate of stem j in channel c is gain * x, with the real gain v_j / (2^-23 + sum over
 * stems of v). For each bin, pass one sums over all frames the spatial covariance and the power of
 * each stem's first estimate. It also finds the largest |x|. Pass two filters each bin of each
 * frame with
 *
 *   y_j = p_j R_j (sum over i of p_i R_i + 2^-11.5 I)^-1 x
 *
 * where p_j is the mean power of the first estimate over the channels and R_j = covariance / (2^-23
 * + power), all computed on x divided by max(1, max |x| / 10).
 *
 * This is one EM step as in A. Nugraha, A. Liutkus, E. Vincent, "Multichannel audio source
 * separation with deep neural networks", IEEE/ACM TASLP 24(9), 2016.
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

/* One frame: its packed spectrum, and each stem's gains for the 2,049 bins of each channel. */
typedef struct spl_wiener_frame {
    const float *re, *im;
    const float *left[SPL_STEMS_MAX], *right[SPL_STEMS_MAX];
} spl_wiener_frame;

/* Pass one: adds the bins first_bin <= k < end_bin of a frame. Calls for the same bins must not run
 * concurrently and must follow the order of the frames. */
void spl_wiener_add(spl_wiener *wiener, const spl_wiener_frame *frame, unsigned first_bin,
                    unsigned end_bin);

/* Turns the sums into R_j. Called once, between the passes. */
void spl_wiener_prepare(spl_wiener *wiener);

/* Pass two: writes the packed spectrum of each stem whose ret_re is not NULL. With `conserve`, the
 * part of the mixture that the filter leaves over is distributed to the stems in proportion to
 * their gains, so they sum to the mixture. Calls for different frames may run concurrently. */
void spl_wiener_filter(const spl_wiener *wiener, const spl_wiener_frame *frame, bool conserve,
                       float *const *ret_re, float *const *ret_im);

#endif
