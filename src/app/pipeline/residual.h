/* SPDX-License-Identifier: MIT
 *
 * The null test: what is left of a mixture when the sum of its stems is taken away.
 *
 * Stems leave the engine later than their mixture went in, so the mixture waits
 * in a queue. The queue is as long as the engine's delay, a few segments.
 */
#ifndef SPL_APP_PIPELINE_RESIDUAL_H
#define SPL_APP_PIPELINE_RESIDUAL_H

#include "base/error.h"

typedef struct spl_residual {
    float *queue;            /* stereo samples; those from `begin` to `end` wait for their stems */
    size_t begin, end, size; /* in samples */
    double mixture_energy, left_energy;
} spl_residual;

/* Queues `count` stereo samples of the mixture. */
SPL_WARN_UNUSED int spl_residual_push(spl_residual *residual, const float *samples, size_t count,
                                      spl_error *ret_error);

/* Compares the next `count` samples of the queue, which must be there, with the sum of `stem_count`
 * stems from sample `begin` on. */
void spl_residual_compare(spl_residual *residual, const float *const *stems, size_t begin,
                          size_t count, unsigned stem_count);

/* Energy of what is left over that of the mixture, in dB; -INFINITY when nothing is left. */
double spl_residual_db(const spl_residual *residual);

/* Drops what waits in the queue. */
void spl_residual_clear(spl_residual *residual);

/* Frees the queue. */
void spl_residual_free(spl_residual *residual);

#endif
