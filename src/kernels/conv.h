/* SPDX-License-Identifier: MIT
 *
 * Convolution kernels.
 *
 * Every convolution of the U-Net is brought to one form, a row of output
 * pixels at a time. Tensors are [row][column][channel] with a zero border, so
 * that the columns of a kernel and the input channels of each are one
 * contiguous run of floats:
 *
 *   sum[x][o] = bias[o] + sum over r < rows, k < run of
 *               input[r * row_stride + x * step + k] * weights[r][k][o]
 *
 * A 5x5 convolution of stride 2 has 5 rows, runs of 5 * channels, and a step of
 * 2 * channels. A 5x5 transposed convolution of stride 2 is four of them, one
 * per parity of the output row and column, with 2 or 3 rows and columns.
 *
 * The order of the additions does not depend on where a pixel stands in the
 * row, so a row may be cut anywhere and still give the same bytes.
 */
#ifndef SPL_KERNELS_CONV_H
#define SPL_KERNELS_CONV_H

#include <stddef.h>

#include <spleeter/model.h>

/* Output channels a panel of weights holds at most. */
#define SPL_CONV_PANEL 16

/* What is done to a sum; the norm is value * scale[o] + shift[o]. */
typedef enum spl_conv_finish {
    SPL_FINISH_NONE,     /* only `raw` is written */
    SPL_FINISH_NORM_ACT, /* out = activation(norm(sum)): the encoder */
    SPL_FINISH_ACT_NORM, /* out = norm(activation(sum)): the decoder */
} spl_conv_finish;

typedef struct spl_conv_row {
    const float *input;
    ptrdiff_t row_stride; /* floats between the rows of the kernel */
    unsigned rows, run;   /* size of the kernel: rows, and floats of each */
    ptrdiff_t step;       /* floats of input between output pixels */
    unsigned width;       /* output pixels */
    const float *weights; /* [rows][run][lanes] */
    unsigned lanes;       /* of the weights: 8 or 16; lanes >= channels, spare ones hold zeros */
    unsigned channels;    /* output channels that are stored */
    const float *bias, *scale, *shift; /* [lanes] each; scale and shift unused with FINISH_NONE */
    spl_conv_finish finish;
    spl_activation activation;
    float *raw;         /* pixel 0 of the sums; NULL: not stored */
    ptrdiff_t raw_step; /* floats between output pixels */
    float *out;         /* pixel 0 of the finished values; unused with FINISH_NONE */
    ptrdiff_t out_step;
} spl_conv_row;

/* The mask layer: 4x4, dilation 2, from one channel to left and right.
 *
 *   logit[c][x] = bias[c] + sum over r, k < 4 of input[2 * r * row_stride + x + 2 * k] * weights[r][k][c]
 *   out[c][x]   = magnitude ? magnitude[c][x] / (1 + exp(-logit)) : logit
 */
typedef struct spl_conv_mask_row {
    const float *input; /* has at least width + 6 floats in each row */
    ptrdiff_t row_stride;
    unsigned width;
    const float *weights;      /* [4][4][2] */
    const float *bias;         /* [2] */
    const float *magnitude[2]; /* both NULL: logits are wanted */
    float *out[2];
} spl_conv_mask_row;

typedef struct spl_conv_kernels {
    void (*row)(const spl_conv_row *row);
    void (*mask_row)(const spl_conv_mask_row *row);
} spl_conv_kernels;

/* Fills in the best kernels for `cpu_flags` (see cpu.h). */
void spl_conv_kernels_init(spl_conv_kernels *kernels, unsigned cpu_flags);

void spl_conv_row_f32_c(const spl_conv_row *row);
void spl_conv_mask_row_f32_c(const spl_conv_mask_row *row);

#if defined(__x86_64__)
void spl_conv_row_f32_avx2(const spl_conv_row *row);
void spl_conv_mask_row_f32_avx2(const spl_conv_mask_row *row);
#endif

#endif
