/* SPDX-License-Identifier: MIT
 *
 * The kernels: what each computes, and the table that holds those of one instruction set.
 *
 * Each kernel is written once, in vectors as long as a register (vector.h), in a *_body.h
 * file. A file for each instruction set includes all bodies and is compiled with its
 * flags: isa_generic.c for whatever the compiler's baseline is (SSE2 on amd64, NEON on arm64),
 * isa_avx2.c for AVX2 with FMA, isa_avx512.c for AVX-512. kernels.c picks at run time. A result
 * depends on the instruction set in its last digits, never on where in a row or a buffer a value
 * stands.
 *
 * Buffers need no alignment. Kernels read and write what their contract says, not a byte more.
 */
#ifndef SPL_LIB_KERNELS_KERNELS_H
#define SPL_LIB_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include <spleeter/model.h>

/* ---- Convolution ----
 *
 * Every convolution of the U-Net is brought to one form, a row of output
 * pixels at a time. Tensors are [row][column][channel] with a zero border, so
 * that the columns of a kernel and the input channels of each are one
 * contiguous run of floats:
 *
 *   sum[x][o] = sum over r < rows, k < run of input[r * row_stride + x * step + k] *
 * weights[r][k][o]
 *
 * A 5x5 convolution of stride 2 has 5 rows, runs of 5 * channels, and a step of
 * 2 * channels. A 5x5 transposed convolution of stride 2 is four of them, one
 * for each parity of the output row and column, with 2 or 3 rows and columns.
 */

/* Output channels that a panel of weights holds. */
#define SPL_PANEL 16

/* What is done to each sum: sum + bias[o] is the raw value; the norm is value * scale[o] +
 * shift[o]. */
typedef enum spl_finish_order {
    SPL_FINISH_RAW,      /* only the raw value is wanted; scale, shift and activation are unused */
    SPL_FINISH_NORM_ACT, /* activation(norm(raw)): the encoder */
    SPL_FINISH_ACT_NORM, /* norm(activation(raw)): the decoder */
} spl_finish_order;

/* Channels are counted from the pointers; bias, scale and shift can be read up to the next multiple
 * of 16. */
typedef struct spl_finish {
    spl_finish_order order;
    spl_activation activation;
    const float *bias, *scale, *shift;
    unsigned channels;  /* that are stored */
    float *raw;         /* raw value of pixel 0; NULL: not stored */
    ptrdiff_t raw_step; /* floats between pixels */
    float *out;         /* finished value of pixel 0; unused with SPL_FINISH_RAW */
    ptrdiff_t out_step;
} spl_finish;

typedef struct spl_conv_row {
    const float *input;
    ptrdiff_t row_stride; /* floats between the rows of the kernel */
    unsigned rows, run;   /* size of the kernel: rows, and floats of each */
    ptrdiff_t step;       /* floats of input between output pixels */
    unsigned width;       /* output pixels */
    const float *weights; /* [rows][run][16]; spare lanes hold zeros */
    spl_finish finish;    /* up to 16 channels */
} spl_conv_row;

/* A transposed 5x5 convolution of stride 2 to one channel, two output rows at a time, with pixels
 * in the lanes: from rows [channel][x], x from -1 to `width`. */
#define SPL_SINGLE_TAPS 25
typedef struct spl_single_row {
    const float *input[3]; /* pixel 0 of channel 0 in the rows above, at and below */
    ptrdiff_t channel_step;
    unsigned channels, width; /* width: a multiple of 32 */
    const float *weights;     /* [channels][25]: for each row and column of the input, those of the
                                 output that it reaches */
    const float *ahead;       /* [width][channels] that is fetched ahead meanwhile, not used */
    spl_activation activation;
    float bias, scale, shift; /* out = activation(sum + bias) * scale + shift */
    float *out[2];            /* 2 * width each */
} spl_single_row;

/* The mask layer: 4x4, dilation 2, from one channel to left and right.
 *
 *   logit[c][x] = bias[c] + sum over r, k < 4 of input[2 * r * row_stride + x + 2 * k] *
 * weights[r][k][c] out[c][x]   = magnitude[c] ? magnitude[c][x] / (1 + exp(-logit)) : logit */
typedef struct spl_mask_row {
    const float *input; /* width + 6 floats in each row */
    ptrdiff_t row_stride;
    unsigned width;            /* at least 16 */
    const float *weights;      /* [4][4][2] */
    const float *bias;         /* [2] */
    const float *magnitude[2]; /* both NULL: logits are wanted */
    float *out[2];
} spl_mask_row;

/* ---- Winograd's F(4x4, 3x3) ----
 *
 * A 3x3 convolution on tiles of 4x4 outputs takes 36 multiplications for each pair of channels
 * instead of 144: tiles of 6x6 inputs and the kernels are transformed to 36 points, multiplied
 * point by point, summed over the input channels, and transformed back. After A. Lavin and S. Gray,
 * "Fast algorithms for convolutional neural networks", CVPR 2016; with the points 0, +-5/8, +-3/2
 * and infinity, the error is that of a direct convolution in single precision.
 *
 * Point 6 i + j is row point i, column point j. A kernel of 2 taps is one of 3 whose last is zero,
 * and its products at infinity (5) vanish: `rows` or `columns` = 5 leave them out.
 *
 * Tiles go through the stages in groups. Inputs at a point are
 * [channel / 16][tile of the group][16], outputs [tile of the group][16]. */
#define SPL_WINOGRAD_TILE   4
#define SPL_WINOGRAD_SIDE   6
#define SPL_WINOGRAD_POINTS 36
#define SPL_WINOGRAD_DEEP   16
#define SPL_WINOGRAD_GROUP  8

/* The points of one row of the kernels from some input channels to 16 output channels. */
typedef struct spl_winograd_weights {
    unsigned row;                   /* of points: 0 to 5; 5 only with 3 tap rows */
    unsigned tap_rows, tap_columns; /* of the kernels: 2 or 3 each */
    unsigned channels;
    const float *taps; /* [channels][tap_rows][tap_columns][16] */
    float *points;     /* [channels][16] at column 0 */
    size_t point_step; /* floats to those at each column before infinity */
    float *last;       /* [channels][16] at column infinity; unused with 2 tap columns */
} spl_winograd_weights;

typedef struct spl_winograd_input {
    unsigned tiles; /* that are there: 1 to 8; points of others stay as they are */
    const float *pixels[SPL_WINOGRAD_GROUP]; /* each tile's first pixel */
    ptrdiff_t ahead;                 /* floats to the pixels that are fetched ahead meanwhile */
    ptrdiff_t row_step, column_step; /* floats between its pixels */
    unsigned channels;               /* a multiple of 16, contiguous */
    unsigned rows, columns;          /* points wanted each way: 5 or 6 */
    float *points;                   /* of the group at point 0 */
    ptrdiff_t point_step;            /* floats between points */
} spl_winograd_input;

/* At each of some points, for each panel and group: output[tile][o] = (add ? output[tile][o] : 0) +
 * sum over r < rows, k < run of input[r][k / 16][tile][k % 16] * weights[r][k][o], in that order,
 * so that a sum in parts is the same. */
typedef struct spl_winograd_product {
    unsigned points, groups, rows, run; /* run: a multiple of 16 */
    unsigned panels;                    /* of 16 output channels: 1 or 2 */
    const float *input;
    size_t input_step;              /* floats from one point to the next */
    ptrdiff_t group_step, row_step; /* floats from one group, and one r, to the next */
    const float *weights;           /* [rows][run][16] */
    size_t weights_step, weights_panel_step;
    const float
        *ahead; /* [ahead_points][rows][run][16] that is fetched ahead meanwhile, not used */
    size_t ahead_panel_step;
    unsigned ahead_points; /* at most `points` have any effect */
    bool ahead_far;        /* into the second cache only */
    bool add;
    float *output; /* [groups][8][16] */
    size_t output_step, output_panel_step;
} spl_winograd_product;

/* Tiles side by side. */
typedef struct spl_winograd_output {
    unsigned tiles;
    const float *points; /* [tile][16] at point 0 */
    ptrdiff_t point_step;
    unsigned rows, columns; /* points that are there each way: 5 or 6; others are zero */
    unsigned height, width; /* of all tiles together that is stored; the last tile may be cut off */
    spl_finish finish;      /* 16 channels; of the first pixel, steps to the next column */
    ptrdiff_t raw_row_step, out_row_step; /* floats between rows of pixels */
} spl_winograd_output;

/* ---- Transform and spectrum of a stereo frame ----
 *
 * A packed spectrum Z (re[4096], im[4096]) is the FFT of left + i right. The spectra of the two
 * real signals come out of it as L[k] = (Z[k] + conj Z[N - k]) / 2,   R[k] = (Z[k] - conj Z[N - k])
 * / 2i and go back in as Z[k] = L[k] + i R[k], Z[N - k] = conj L[k] + i conj R[k]. Bins k run from
 * 0 to 2,048. */
#define SPL_FFT_SIZE 4096
#define SPL_BINS     (SPL_FFT_SIZE / 2 + 1)

/* Twiddle factors exp(-2 pi i p k / n), k = 1 to 7, of the passes over n = 4096, 512 and 64 points.
 * Immutable after spl_fft_tables_init. */
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

    /* `steps` multiply-adds in each of `peak_lanes` independent lanes: the peak that the others are
     * measured against. Returns a number that depends on all of them. */
    float (*peak)(unsigned steps);
    unsigned peak_lanes;

    /* X[k] = sum over n of (re[n] + i im[n]) exp(-2 pi i k n / 4096), in place. With re and im
     * exchanged it is the inverse, times 4096. `scratch` holds 2 * 4096 floats. */
    void (*fft)(const spl_fft_tables *tables, float *re, float *im, float *scratch);

    /* re[n] = stereo[2 n] * window[n], im[n] = stereo[2 n + 1] * window[n]; n < 4096 */
    void (*window)(const float *stereo, const float *window, float *re, float *im);

    /* stereo[2 n] += re[n] * window[n], stereo[2 n + 1] += im[n] * window[n]; n < 4096 */
    void (*window_add)(const float *re, const float *im, const float *window, float *stereo);

    /* |L[k]| and |R[k]| of the first `bins` <= 2048 bins: apart, and interleaved */
    void (*magnitude)(const float *re, const float *im, unsigned bins, float *left, float *right,
                      float *interleaved);

    /* In place, k < bins: values[i][k] = (v_i^exponent + share) / (sum over j of v_j^exponent +
     * epsilon), v_i = values[i][k] >= 0 */
    void (*gains)(float *const *values, unsigned stems, unsigned bins, float exponent, float share,
                  float epsilon);

    /* In place, n < count: values[i][n] = magnitudes[n] * exp(v_i) / sum over j of exp(v_j), v_i =
     * values[i][n] */
    void (*softmax)(float *const *values, unsigned stems, size_t count, const float *magnitudes);

    /* The packed spectrum with L[k] * left[k] and R[k] * right[k]; gains have 2,049 bins. */
    void (*apply)(const float *re, const float *im, const float *left, const float *right,
                  float *ret_re, float *ret_im);
} spl_kernels;

/* Instruction sets beyond the baseline. */
enum {
    SPL_CPU_AVX2 = 1 << 0,   /* AVX2 and FMA, with the operating system saving their registers */
    SPL_CPU_AVX512 = 1 << 1, /* x86-64-v4: AVX-512 F, BW, CD, DQ and VL, the same */
};

/* Those this CPU has; SPLEETER_CPU in the environment, "generic" or "avx2", forbids those beyond
 * it. */
unsigned spl_cpu_flags(void);

/* The best kernels for `cpu_flags`; constant. */
const spl_kernels *spl_kernels_get(unsigned cpu_flags);

extern const spl_kernels spl_kernels_generic;
#if defined(__x86_64__)
extern const spl_kernels spl_kernels_avx2, spl_kernels_avx512;
#endif

#endif
