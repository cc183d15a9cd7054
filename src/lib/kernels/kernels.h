/* SPDX-License-Identifier: MIT
 *
 * The kernels: the contract of each, and the table that holds those of one instruction set.
 *
 * Each kernel is written once, in a *_body.h file, with vectors as long as a register (vector.h).
 * One file per instruction set includes all bodies and is compiled with the flags of that set:
 * isa_generic.c for the compiler's baseline (SSE2 on amd64, NEON on arm64), isa_avx2.c for AVX2
 * with FMA, isa_avx512.c for AVX-512. kernels.c selects one at run time. The last digits of a
 * result depend on the instruction set, but never on the position of a value in a row or buffer.
 *
 * Buffers need no alignment. Kernels read and write only what their contract says, not a byte more.
 */
#ifndef SPL_LIB_KERNELS_KERNELS_H
#define SPL_LIB_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include <spleeter/model.h>

/* ---- Convolution ----
 *
 * Every convolution of the U-Net is reduced to one form, which computes a row of output pixels.
 * Tensors are [row][column][channel] with a zero border, so the columns of a kernel and the input
 * channels of each column are one contiguous run of floats:
 *
 *   sum[x][o] = sum over r < rows, k < run of
 *               input[r * row_stride + x * step + k] * weights[r][k][o]
 *
 * A 5x5 convolution of stride 2 has 5 rows, runs of 5 * channels, and a step of 2 * channels. A 5x5
 * transposed convolution of stride 2 is four of these, one for each parity of the output row and
 * column, with 2 or 3 rows and columns. */

/* The number of output channels in a panel of weights. */
#define SPL_PANEL 16

/* How each sum is finished: the raw value is sum + bias[o]; the norm is value * scale[o] +
 * shift[o]. */
typedef enum spl_finish_order {
    SPL_FINISH_RAW,      /* raw value only; scale, shift and activation are unused */
    SPL_FINISH_NORM_ACT, /* activation(norm(raw)): the encoder */
    SPL_FINISH_ACT_NORM, /* norm(activation(raw)): the decoder */
} spl_finish_order;

/* Channel 0 is where the pointers point. bias, scale and shift are readable up to the next multiple
 * of 16. */
typedef struct spl_finish {
    spl_finish_order order;
    spl_activation activation;
    const float *bias, *scale, *shift;
    unsigned channels;  /* number of channels stored */
    float *raw;         /* raw value of pixel 0; NULL: not stored */
    ptrdiff_t raw_step; /* floats between pixels */
    float *out;         /* finished value of pixel 0; unused with SPL_FINISH_RAW */
    ptrdiff_t out_step;
} spl_finish;

typedef struct spl_conv_row {
    const float *input;
    ptrdiff_t row_stride; /* floats between input rows of the kernel */
    unsigned rows, run;   /* kernel size: rows, and floats per row */
    ptrdiff_t step;       /* input floats between output pixels */
    unsigned width;       /* output pixels */
    const float *weights; /* [rows][run][16]; unused output channels hold zeros */
    spl_finish finish;    /* up to 16 channels */
} spl_conv_row;

/* A transposed 5x5 convolution of stride 2 to one channel, two output rows at a time, with pixels
 * in the lanes. Input rows are [channel][x], x from -1 to `width`. */
#define SPL_SINGLE_TAPS 25
typedef struct spl_single_row {
    const float *input[3]; /* pixel 0 of channel 0 in the rows above, at and below */
    ptrdiff_t channel_step;
    unsigned channels, width; /* width: a multiple of 32 */
    /* [channels][25]: for each row and column of the input, the taps to the outputs that it
     * reaches. */
    const float *weights;
    /* Data to prefetch: [width][channels] floats. */
    const float *ahead;
    spl_activation activation;
    float bias, scale, shift; /* out = activation(sum + bias) * scale + shift */
    float *out[2];            /* 2 * width each */
} spl_single_row;

/* The mask layer: 4x4, dilation 2, from one channel to left and right.
 *
 *   logit[c][x] = bias[c] + sum over r, k < 4 of
 *                 input[2 * r * row_stride + x + 2 * k] * weights[r][k][c]
 *   out[c][x]   = magnitude[c] ? magnitude[c][x] / (1 + exp(-logit)) : logit */
typedef struct spl_mask_row {
    const float *input; /* width + 6 floats per row */
    ptrdiff_t row_stride;
    unsigned width;            /* at least 16 */
    const float *weights;      /* [4][4][2] */
    const float *bias;         /* [2] */
    const float *magnitude[2]; /* both NULL: output logits */
    float *out[2];
} spl_mask_row;

/* ---- Winograd's F(4x4, 3x3) ----
 *
 * A 3x3 convolution on tiles of 4x4 outputs takes 36 multiplications for each pair of channels
 * instead of 144. Tiles of 6x6 inputs and the weights are transformed to 6x6 elements, multiplied
 * element by element, summed over the input channels, and transformed back. After A. Lavin and S.
 * Gray, "Fast algorithms for convolutional neural networks", CVPR 2016. With the interpolation
 * points 0, +-5/8, +-3/2 and infinity, the error is that of a direct convolution in single
 * precision.
 *
 * Element 6 i + j of a transformed tile is row i, column j. A kernel with 2 taps is treated as one
 * with 3 whose last is zero. Its products in row or column 5 (infinity) vanish, and `rows` or
 * `columns` = 5 omits them.
 *
 * Tiles pass through the stages in groups. For each element, the layouts are
 *
 *   transformed input   [channel / 16][tile of the group][16]
 *   product             [tile of the group][16] */
#define SPL_WINOGRAD_TILE     4
#define SPL_WINOGRAD_SIDE     6
#define SPL_WINOGRAD_ELEMENTS 36
#define SPL_WINOGRAD_DEEP     16
#define SPL_WINOGRAD_GROUP    8

/* Computes one row of the transformed weights, from some input channels to 16 output channels. */
typedef struct spl_winograd_weights {
    /* Row of the transformed weights: 0 to 5; 5 only with 3 tap rows. */
    unsigned row;
    unsigned tap_rows, tap_columns; /* size of the untransformed kernel: 2 or 3 each */
    unsigned channels;
    const float *taps;   /* [channels][tap_rows][tap_columns][16] */
    float *transformed;  /* [channels][16] for column 0 */
    size_t element_step; /* floats between the columns 0 to 4 */
    /* [channels][16] for column 5 (infinity); unused with 2 tap columns. */
    float *last;
} spl_winograd_weights;

typedef struct spl_winograd_input {
    /* Number of tiles present: 1 to 8. The transformed tiles of the others are not written. */
    unsigned tiles;
    const float *pixels[SPL_WINOGRAD_GROUP]; /* first pixel of each tile */
    /* Offset in floats of the pixels to prefetch. */
    ptrdiff_t ahead;
    ptrdiff_t row_step, column_step; /* floats between pixels of a tile */
    unsigned channels;               /* a multiple of 16, contiguous */
    /* Rows and columns of the transformed tile to compute: 5 or 6. */
    unsigned rows, columns;
    float *transformed; /* transformed tiles of the group, element 0 */
    /* Floats between elements. */
    ptrdiff_t element_step;
} spl_winograd_input;

/* For each of `elements` elements, each panel and each group:
 *
 *   output[tile][o] = (add ? output[tile][o] : 0) +
 *                     sum over r < rows, k < run of
 *                     input[r][k / 16][tile][k % 16] * weights[r][k][o]
 *
 * Terms are added in that order, so a sum computed in parts gives the same result. */
typedef struct spl_winograd_product {
    unsigned elements, groups, rows, run; /* run: a multiple of 16 */
    unsigned panels;                      /* panels of 16 output channels: 1 or 2 */
    const float *input;
    size_t input_step;              /* floats between elements */
    ptrdiff_t group_step, row_step; /* floats between groups, and between values of r */
    const float *weights;           /* [rows][run][16] */
    size_t weights_step, weights_panel_step;
    /* Data to prefetch: [ahead_elements][rows][run][16] floats. */
    const float *ahead;
    size_t ahead_panel_step;
    unsigned ahead_elements; /* values above `elements` act like `elements` */
    bool ahead_far;          /* prefetch into the second-level cache only */
    bool add;
    float *output; /* [groups][8][16] */
    size_t output_step, output_panel_step;
} spl_winograd_product;

/* The inverse transform of adjacent tiles in a row. */
typedef struct spl_winograd_output {
    unsigned tiles;
    const float *products; /* [tile][16], element 0 */
    ptrdiff_t element_step;
    /* Rows and columns of elements present: 5 or 6; others count as zero. */
    unsigned rows, columns;
    /* Size in pixels of all tiles together; it may cut off the last tile. */
    unsigned height, width;
    /* For 16 channels, starting at the first pixel; steps are to the next column. */
    spl_finish finish;
    ptrdiff_t raw_row_step, out_row_step; /* floats between rows of pixels */
} spl_winograd_output;

/* ---- Transform and spectrum of a stereo frame ----
 *
 * A packed spectrum Z (re[4096], im[4096]) is the FFT of left + i right. The spectra of the two
 * real signals are
 *
 *   L[k] = (Z[k] + conj Z[N - k]) / 2     R[k] = (Z[k] - conj Z[N - k]) / 2i
 *
 * and pack again as
 *
 *   Z[k] = L[k] + i R[k]                  Z[N - k] = conj L[k] + i conj R[k]
 *
 * Bins k run from 0 to 2,048. */
#define SPL_FFT_SIZE 4096
#define SPL_BINS     (SPL_FFT_SIZE / 2 + 1)

/* The twiddle factors exp(-2 pi i p k / n), k = 1 to 7, of the passes over n = 4096, 512 and 64
 * points. Immutable after spl_fft_tables_init. */
typedef struct spl_fft_tables {
    float re[7][512 + 64 + 8];
    float im[7][512 + 64 + 8];
} spl_fft_tables;

void spl_fft_tables_init(spl_fft_tables *ret_tables);

/* ---- The table ---- */

typedef struct spl_kernels {
    const char *isa; /* "generic", "avx2" or "avx512" */

    void (*conv_row)(const spl_conv_row *row);
    void (*single_row)(const spl_single_row *row);

    /* to[c * step + x] = pixels[x * pixel_step + c], x < width, c < channels */
    void (*transpose)(const float *pixels, ptrdiff_t pixel_step, unsigned width, unsigned channels,
                      float *to, ptrdiff_t step);
    void (*mask_row)(const spl_mask_row *row);
    void (*winograd_weights)(const spl_winograd_weights *weights);
    void (*winograd_input)(const spl_winograd_input *input);
    void (*winograd_product)(const spl_winograd_product *product);
    void (*winograd_output)(const spl_winograd_output *output);

    /* Executes `steps` multiply-adds in each of `peak_lanes` independent lanes, to measure the peak
     * rate of this CPU. Returns a number that depends on all of them. */
    float (*peak)(unsigned steps);
    unsigned peak_lanes;

    /* X[k] = sum over n of (re[n] + i im[n]) exp(-2 pi i k n / 4096), in place. Swapping re and im
     * gives the inverse times 4096. `scratch` holds 2 * 4096 floats. */
    void (*fft)(const spl_fft_tables *tables, float *re, float *im, float *scratch);

    /* re[n] = stereo[2 n] * window[n], im[n] = stereo[2 n + 1] * window[n]; n < 4096 */
    void (*window)(const float *stereo, const float *window, float *re, float *im);

    /* stereo[2 n] += re[n] * window[n], stereo[2 n + 1] += im[n] * window[n]; n < 4096 */
    void (*window_add)(const float *re, const float *im, const float *window, float *stereo);

    /* The magnitudes |L[k]| and |R[k]| of the first `bins` <= 2048 bins, as separate arrays and
     * interleaved. */
    void (*magnitude)(const float *re, const float *im, unsigned bins, float *left, float *right,
                      float *interleaved);

    /* In place, for k < bins and v_i = values[i][k] >= 0:
     *   values[i][k] = (v_i^exponent + share) / (sum over j of v_j^exponent + epsilon) */
    void (*gains)(float *const *values, unsigned stems, unsigned bins, float exponent, float share,
                  float epsilon);

    /* In place, for n < count and v_i = values[i][n]:
     *   values[i][n] = magnitudes[n] * exp(v_i) / sum over j of exp(v_j) */
    void (*softmax)(float *const *values, unsigned stems, size_t count, const float *magnitudes);

    /* The packed spectrum of L[k] * left[k] and R[k] * right[k]. The gains have 2,049 bins. */
    void (*apply)(const float *re, const float *im, const float *left, const float *right,
                  float *ret_re, float *ret_im);
} spl_kernels;

/* Instruction sets beyond the baseline. */
enum {
    SPL_CPU_AVX2 = 1 << 0,   /* AVX2 and FMA, with OS support for their registers */
    SPL_CPU_AVX512 = 1 << 1, /* x86-64-v4: AVX-512 F, BW, CD, DQ and VL, likewise */
};

/* Returns the instruction sets of this CPU. SPLEETER_CPU=generic or SPLEETER_CPU=avx2 in the
 * environment excludes those beyond it. */
unsigned spl_cpu_flags(void);

/* Returns the best kernels for `cpu_flags`, with static lifetime. */
const spl_kernels *spl_kernels_get(unsigned cpu_flags);

extern const spl_kernels spl_kernels_generic;
#if defined(__x86_64__)
extern const spl_kernels spl_kernels_avx2, spl_kernels_avx512;
#endif

#endif
