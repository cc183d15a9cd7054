/* SPDX-License-Identifier: MIT
 *
 * The null test: measures the residual, the mixture minus the sum of its stems.
 *
 * The engine outputs stems with a delay of a few segments, so the mixture is queued until they
 * arrive.
 */
#ifndef SPL_APP_PIPELINE_RESIDUAL_H
#define SPL_APP_PIPELINE_RESIDUAL_H

#include "base/error.h"

typedef struct spl_residual {
    float *queue;            /* stereo samples; those from `begin` to `end` are queued */
    size_t begin, end, size; /* in samples */
    double mixture_energy, left_energy;
} spl_residual;

/* Queues `count` stereo samples of the mixture. */
SPL_WARN_UNUSED int spl_residual_push(spl_residual *residual, const float *samples, size_t count,
                                      spl_error *ret_error);

/* Removes `count` samples from the queue, which must hold that many, and compares them with the sum
 * of `stem_count` stems, starting at sample `begin` of the stems. */
void spl_residual_compare(spl_residual *residual, const float *const *stems, size_t begin,
                          size_t count, unsigned stem_count);

/* Energy of the residual relative to that of the mixture, in dB; -INFINITY when it is 0. */
double spl_residual_db(const spl_residual *residual);

/* Empties the queue; the energies are kept. */
void spl_residual_clear(spl_residual *residual);

/* Frees the queue. */
void spl_residual_free(spl_residual *residual);

#endif
