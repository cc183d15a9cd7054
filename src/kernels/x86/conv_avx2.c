/* SPDX-License-Identifier: MIT
 *
 * Convolution kernels for AVX2 and FMA.
 *
 * A tile of up to 6 pixels x 16 channels (or 12 x 8) stays in 12 of the 16
 * registers while the whole kernel window passes by: per step two vectors of
 * weights are loaded and each pixel's input is broadcast once.
 */
#include "kernels/conv.h"

#include "kernels/x86/avx2.h"

#define INLINE static inline __attribute__((always_inline))

INLINE __m256 activate(spl_activation activation, __m256 value) {
    const __m256 zero = _mm256_setzero_ps();
    switch (activation) {
    case SPL_ACTIVATION_RELU:
        return _mm256_max_ps(zero, value);
    case SPL_ACTIVATION_LEAKY_RELU:
        return _mm256_max_ps(_mm256_mul_ps(value, _mm256_set1_ps(0.2f)), value);
    case SPL_ACTIVATION_ELU:
        break;
    }
    __m256 below = _mm256_sub_ps(spl_exp_avx2(value), _mm256_set1_ps(1.0f));
    return _mm256_blendv_ps(below, value, _mm256_cmp_ps(value, zero, _CMP_GT_OQ));
}

INLINE void store(float *to, __m256 value, unsigned channels) {
    if (channels >= 8) {
        _mm256_storeu_ps(to, value);
        return;
    }
    float lanes[8];
    _mm256_storeu_ps(lanes, value);
    for (unsigned o = 0; o < channels; o++)
        to[o] = lanes[o];
}

/* Bias, norm and activation of the sums of one pixel. */
INLINE void finish(const spl_conv_row *row, unsigned x, const float *sums) {
    for (unsigned first = 0; first < row->channels; first += 8) {
        const unsigned channels = row->channels - first;
        __m256 value =
            _mm256_add_ps(_mm256_load_ps(sums + first), _mm256_loadu_ps(row->bias + first));
        if (row->raw)
            store(row->raw + x * row->raw_step + first, value, channels);
        if (row->finish == SPL_FINISH_NONE)
            continue;
        const __m256 scale = _mm256_loadu_ps(row->scale + first);
        const __m256 shift = _mm256_loadu_ps(row->shift + first);
        if (row->finish == SPL_FINISH_NORM_ACT)
            value = activate(row->activation, _mm256_fmadd_ps(value, scale, shift));
        else
            value = _mm256_fmadd_ps(activate(row->activation, value), scale, shift);
        store(row->out + x * row->out_step + first, value, channels);
    }
}

INLINE void tile(const spl_conv_row *row, unsigned x, const int pixels, const int vectors) {
    __m256 sum[12];
#pragma GCC unroll 12
    for (int i = 0; i < pixels * vectors; i++)
        sum[i] = _mm256_setzero_ps();

    const float *weights = row->weights;
    const ptrdiff_t step = row->step;
    for (unsigned r = 0; r < row->rows; r++) {
        const float *input = row->input + r * row->row_stride + x * step;
        for (unsigned k = 0; k < row->run; k++, input++, weights += 8 * vectors) {
            __m256 weight[2];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                weight[v] = _mm256_loadu_ps(weights + 8 * v);
#pragma GCC unroll 12
            for (int p = 0; p < pixels; p++) {
                const __m256 in = _mm256_broadcast_ss(input + p * step);
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++)
                    sum[p * vectors + v] = _mm256_fmadd_ps(in, weight[v], sum[p * vectors + v]);
            }
        }
    }

    /* Through memory, since registers cannot be indexed. */
    _Alignas(32) float sums[12 * 8];
#pragma GCC unroll 12
    for (int i = 0; i < pixels * vectors; i++)
        _mm256_store_ps(sums + 8 * i, sum[i]);
    for (int p = 0; p < pixels; p++)
        finish(row, x + (unsigned)p, sums + 8 * p * vectors);
}

static void tile_16(const spl_conv_row *row, unsigned x, unsigned pixels) {
    switch (pixels) {
    case 6:
        tile(row, x, 6, 2);
        break;
    case 5:
        tile(row, x, 5, 2);
        break;
    case 4:
        tile(row, x, 4, 2);
        break;
    case 3:
        tile(row, x, 3, 2);
        break;
    case 2:
        tile(row, x, 2, 2);
        break;
    default:
        tile(row, x, 1, 2);
    }
}

/* Tiles of nearly equal width, so that none is too narrow to hide the latency of the FMAs. */
void spl_conv_row_f32_avx2(const spl_conv_row *row) {
    unsigned x = 0;
    if (row->lanes == 8) {
        for (; x + 12 <= row->width; x += 12)
            tile(row, x, 12, 1);
        for (; x + 4 <= row->width; x += 4)
            tile(row, x, 4, 1);
        for (; x < row->width; x++)
            tile(row, x, 1, 1);
        return;
    }
    for (unsigned tiles = (row->width + 5) / 6; tiles > 0; tiles--) {
        const unsigned pixels = (row->width - x + tiles - 1) / tiles;
        tile_16(row, x, pixels);
        x += pixels;
    }
}

static __m256 mask_pixels(const spl_conv_mask_row *row, unsigned x, unsigned c) {
    __m256 logit = _mm256_set1_ps(row->bias[c]);
    for (unsigned r = 0; r < 4; r++)
        for (unsigned k = 0; k < 4; k++)
            logit =
                _mm256_fmadd_ps(_mm256_loadu_ps(row->input + 2 * r * row->row_stride + x + 2 * k),
                                _mm256_set1_ps(row->weights[(r * 4 + k) * 2 + c]), logit);
    if (!row->magnitude[c])
        return logit;
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 denominator =
        _mm256_add_ps(one, spl_exp_avx2(_mm256_sub_ps(_mm256_setzero_ps(), logit)));
    return _mm256_div_ps(_mm256_loadu_ps(row->magnitude[c] + x), denominator);
}

/* The last vector of a row is moved back to end with the row; it gives the overlapped pixels the same values. */
void spl_conv_mask_row_f32_avx2(const spl_conv_mask_row *row) {
    if (row->width < 8) {
        spl_conv_mask_row_f32_c(row);
        return;
    }
    for (unsigned c = 0; c < 2; c++) {
        for (unsigned x = 0; x < row->width; x += 8) {
            const unsigned at = x + 8 <= row->width ? x : row->width - 8;
            _mm256_storeu_ps(row->out[c] + at, mask_pixels(row, at, c));
        }
    }
}
