/* SPDX-License-Identifier: MIT
 *
 * Convolution kernels: the choice, and the reference in plain C.
 */
#include "kernels/conv.h"

#include "kernels/cpu.h"

#include <math.h>

void spl_conv_kernels_init(spl_conv_kernels *kernels, unsigned cpu_flags) {
    kernels->row = spl_conv_row_f32_c;
    kernels->mask_row = spl_conv_mask_row_f32_c;
#if defined(__x86_64__)
    if (cpu_flags & SPL_CPU_AVX2) {
        kernels->row = spl_conv_row_f32_avx2;
        kernels->mask_row = spl_conv_mask_row_f32_avx2;
    }
#else
    (void)cpu_flags;
#endif
}

static float activate(spl_activation activation, float value) {
    if (value > 0)
        return value;
    switch (activation) {
    case SPL_ACTIVATION_RELU:
        return value == value ? 0 : value;
    case SPL_ACTIVATION_LEAKY_RELU:
        return 0.2f * value;
    case SPL_ACTIVATION_ELU:
        return expm1f(value);
    }
    return value;
}

void spl_conv_row_f32_c(const spl_conv_row *row) {
    for (unsigned x = 0; x < row->width; x++) {
        float sum[SPL_CONV_PANEL];
        const float *weights = row->weights;
        for (unsigned o = 0; o < row->lanes; o++)
            sum[o] = 0;
        for (unsigned r = 0; r < row->rows; r++) {
            const float *input = row->input + r * row->row_stride + x * row->step;
            for (unsigned k = 0; k < row->run; k++, weights += row->lanes)
                for (unsigned o = 0; o < row->lanes; o++)
                    sum[o] += input[k] * weights[o];
        }
        for (unsigned o = 0; o < row->channels; o++) {
            float value = sum[o] + row->bias[o];
            if (row->raw)
                row->raw[x * row->raw_step + o] = value;
            if (row->finish == SPL_FINISH_NORM_ACT)
                row->out[x * row->out_step + o] =
                    activate(row->activation, value * row->scale[o] + row->shift[o]);
            else if (row->finish == SPL_FINISH_ACT_NORM)
                row->out[x * row->out_step + o] =
                    activate(row->activation, value) * row->scale[o] + row->shift[o];
        }
    }
}

void spl_conv_mask_row_f32_c(const spl_conv_mask_row *row) {
    for (unsigned c = 0; c < 2; c++) {
        for (unsigned x = 0; x < row->width; x++) {
            float logit = row->bias[c];
            for (unsigned r = 0; r < 4; r++)
                for (unsigned k = 0; k < 4; k++)
                    logit += row->input[2 * r * row->row_stride + x + 2 * k] *
                             row->weights[(r * 4 + k) * 2 + c];
            row->out[c][x] = row->magnitude[c] ? row->magnitude[c][x] / (1 + expf(-logit)) : logit;
        }
    }
}
