/* SPDX-License-Identifier: MIT
 *
 * The mixture's queue is one buffer. When its end is reached, the queued samples move to the front,
 * and the buffer at least doubles if that is not enough.
 */
#include "app/pipeline/residual.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static int make_room(spl_residual *residual, size_t count, spl_error *ret_error) {
    size_t waiting = residual->end - residual->begin;
    size_t needed;
    if (!spl_add_size(waiting, count, &needed))
        return spl_fail_memory(ret_error);
    if (needed > residual->size) {
        size_t size = SPL_MAX(2 * residual->size, needed);
        float *larger = reallocarray(residual->queue, size, 2 * sizeof(float));
        if (!larger)
            return spl_fail_memory(ret_error);
        residual->queue = larger;
        residual->size = size;
    }
    if (waiting > 0)
        memmove(residual->queue, residual->queue + 2 * residual->begin,
                waiting * 2 * sizeof(float));
    residual->begin = 0;
    residual->end = waiting;
    return 0;
}

int spl_residual_push(spl_residual *residual, const float *samples, size_t count,
                      spl_error *ret_error) {
    if (count > residual->size - residual->end) {
        int status = make_room(residual, count, ret_error);
        if (status < 0)
            return status;
    }
    if (count > 0)
        memcpy(residual->queue + 2 * residual->end, samples, count * 2 * sizeof(float));
    residual->end += count;
    return 0;
}

void spl_residual_compare(spl_residual *residual, const float *const *stems, size_t begin,
                          size_t count, unsigned stem_count) {
    assert(count <= residual->end - residual->begin);
    enum { LANES = 8 }; /* independent partial sums, so that compilers can vectorise */
    const float *mixture = residual->queue + 2 * residual->begin;
    double left_energy[LANES] = {0}, mixture_energy[LANES] = {0};
    for (size_t i = 0; i < 2 * count; i += LANES) {
        const size_t lanes = SPL_MIN(2 * count - i, (size_t)LANES);
        double left[LANES];
        for (size_t n = 0; n < lanes; n++) {
            left[n] = mixture[i + n];
            mixture_energy[n] += left[n] * left[n];
        }
        for (unsigned stem = 0; stem < stem_count; stem++)
            for (size_t n = 0; n < lanes; n++)
                left[n] -= stems[stem][2 * begin + i + n];
        for (size_t n = 0; n < lanes; n++)
            left_energy[n] += left[n] * left[n];
    }
    for (unsigned n = 0; n < LANES; n++) {
        residual->left_energy += left_energy[n];
        residual->mixture_energy += mixture_energy[n];
    }
    residual->begin += count;
}

double spl_residual_db(const spl_residual *residual) {
    if (residual->left_energy == 0)
        return -INFINITY;
    return 10 * log10(residual->left_energy / residual->mixture_energy);
}

void spl_residual_clear(spl_residual *residual) {
    residual->begin = residual->end = 0;
}

void spl_residual_free(spl_residual *residual) {
    free(residual->queue);
    *residual = (spl_residual){0};
}
