/* SPDX-License-Identifier: MIT
 *
 * Convolution rows, and the finishing of sums.
 *
 * A tile of a few pixels x 16 channels stays in registers for the whole kernel window. Each step
 * loads the weights of 16 channels and broadcasts one input value of each pixel.
 */
#include "lib/kernels/kernels.h"
#include "lib/kernels/vector.h"

/* The number of pixels in a tile of 16 channels. 16 pixels fill 16 of 32 AVX-512 registers, 6 fill
 * 12 of 16 AVX or 24 of 32 NEON registers, 2 fill 8 of 16 SSE registers. */
#if defined(__AVX512F__)
enum { TILE_PIXELS = 16 };
#elif defined(__AVX2__) || defined(__aarch64__)
enum { TILE_PIXELS = 6 };
#else
enum { TILE_PIXELS = 2 };
#endif

enum { TILE_CHANNELS = 16, TILE_VECTORS = TILE_PIXELS * TILE_CHANNELS / LANES };

INLINE vec activate(spl_activation activation, vec value) {
    const vec zero = vec_splat(0);
    switch (activation) {
    case SPL_ACTIVATION_RELU:
        return vec_max(zero, value);
    case SPL_ACTIVATION_LEAKY_RELU:
        return vec_max(value * 0.2f, value);
    case SPL_ACTIVATION_ELU:
        break;
    }
    return vec_max(zero, value) + (vec_exp(vec_min(zero, value)) - 1.0f);
}

/* Calls function(..., order, activation) with both as constants, so that each of the seven
 * combinations is compiled separately. */
#define WITH_CONSTANT_FINISH(finish, function, ...)                                                \
    do {                                                                                           \
        if ((finish)->order == SPL_FINISH_RAW)                                                     \
            function(__VA_ARGS__, SPL_FINISH_RAW, SPL_ACTIVATION_RELU);                            \
        else if ((finish)->order == SPL_FINISH_NORM_ACT)                                           \
            WITH_CONSTANT_ACTIVATION(finish, function, __VA_ARGS__, SPL_FINISH_NORM_ACT);          \
        else                                                                                       \
            WITH_CONSTANT_ACTIVATION(finish, function, __VA_ARGS__, SPL_FINISH_ACT_NORM);          \
    } while (0)

#define WITH_CONSTANT_ACTIVATION(finish, function, ...)                                            \
    do {                                                                                           \
        if ((finish)->activation == SPL_ACTIVATION_RELU)                                           \
            function(__VA_ARGS__, SPL_ACTIVATION_RELU);                                            \
        else if ((finish)->activation == SPL_ACTIVATION_LEAKY_RELU)                                \
            function(__VA_ARGS__, SPL_ACTIVATION_LEAKY_RELU);                                      \
        else                                                                                       \
            function(__VA_ARGS__, SPL_ACTIVATION_ELU);                                             \
    } while (0)

INLINE void store_channels(float *to, vec value, unsigned channels) {
    for (unsigned o = 0; o < channels; o++)
        to[o] = value[o];
}

/* The finishing parameters of one vector of channels. */
typedef struct finish_channels {
    vec bias, scale, shift;
} finish_channels;

INLINE finish_channels finish_channels_at(const spl_finish *finish, unsigned first) {
    if (finish->order == SPL_FINISH_RAW)
        return (finish_channels){.bias = vec_load(finish->bias + first)};
    return (finish_channels){vec_load(finish->bias + first), vec_load(finish->scale + first),
                             vec_load(finish->shift + first)};
}

/* Finishes at most LANES channels of one pixel, from channel `first` on. raw_at and out_at are the
 * pixel's offsets from pixel 0, in floats.
 *
 * Raw values are read much later, so they bypass the caches. The caller should store all vectors of
 * a pixel consecutively, to write whole cache lines. */
INLINE void finish_vector(const spl_finish *finish, const finish_channels *by, unsigned first,
                          unsigned channels, vec sum, ptrdiff_t raw_at, ptrdiff_t out_at,
                          const spl_finish_order order, const spl_activation activation) {
    vec value = sum + by->bias;
    if (finish->raw && channels < LANES)
        store_channels(finish->raw + raw_at + first, value, channels);
    else if (finish->raw)
        vec_stream(finish->raw + raw_at + first, value);
    if (order == SPL_FINISH_RAW)
        return;
    if (order == SPL_FINISH_NORM_ACT)
        value = activate(activation, value * by->scale + by->shift);
    else
        value = activate(activation, value) * by->scale + by->shift;
    if (channels >= LANES)
        vec_store(finish->out + out_at + first, value);
    else
        store_channels(finish->out + out_at + first, value, channels);
}

INLINE void conv_sums(const spl_conv_row *row, unsigned x, const unsigned pixels,
                      const ptrdiff_t step, float *ret_sums) {
    enum { VECTORS = TILE_CHANNELS / LANES };
    vec sum[TILE_VECTORS];
#pragma GCC unroll 24
    for (unsigned i = 0; i < pixels * VECTORS; i++)
        sum[i] = vec_splat(0);

    const float *weights = row->weights;
    for (unsigned r = 0; r < row->rows; r++) {
        const float *input = row->input + r * row->row_stride + x * step;
        for (unsigned k = 0; k < row->run; k++, input++, weights += TILE_CHANNELS) {
            vec weight[VECTORS];
#pragma GCC unroll 4
            for (unsigned v = 0; v < VECTORS; v++)
                weight[v] = vec_load(weights + LANES * v);
#pragma GCC unroll 16
            for (unsigned p = 0; p < pixels; p++) {
                const vec in = vec_splat(input[p * step]);
#pragma GCC unroll 4
                for (unsigned v = 0; v < VECTORS; v++)
                    sum[p * VECTORS + v] += in * weight[v];
            }
        }
    }
#pragma GCC unroll 24
    for (unsigned i = 0; i < pixels * VECTORS; i++)
        vec_store(ret_sums + LANES * i, sum[i]);
}

/* Separate functions where compilers would otherwise spill the sums because of the inlined code
 * after them. */
#if defined(__AVX2__)
#define SUMS_FUNCTION INLINE
#else
#define SUMS_FUNCTION static __attribute__((noinline))
#endif

SUMS_FUNCTION void conv_sums_of(const spl_conv_row *row, unsigned x, const unsigned pixels,
                                float *ret_sums) {
    /* The first layer of a network gets constant strides, which frees registers on x86. On arm64
     * the compiler would spill sums. */
    enum { FIRST_STEP = 4 };
    if (LANES >= 8 && pixels == TILE_PIXELS && row->step == FIRST_STEP)
        conv_sums(row, x, TILE_PIXELS, FIRST_STEP, ret_sums);
    else if (pixels == TILE_PIXELS)
        conv_sums(row, x, TILE_PIXELS, row->step, ret_sums);
    else if (pixels == 2)
        conv_sums(row, x, 2, row->step, ret_sums);
    else
        conv_sums(row, x, 1, row->step, ret_sums);
}

INLINE void conv_tile(const spl_conv_row *row, unsigned x, const unsigned pixels,
                      const spl_finish_order order, const spl_activation activation) {
    const spl_finish *finish = &row->finish;
    float sums[TILE_PIXELS * TILE_CHANNELS];
    conv_sums_of(row, x, pixels, sums);
#pragma GCC unroll 16
    for (unsigned p = 0; p < pixels; p++)
#pragma GCC unroll 4
        for (unsigned first = 0; first < finish->channels; first += LANES) {
            const finish_channels by = finish_channels_at(finish, first);
            finish_vector(finish, &by, first, finish->channels - first,
                          vec_load(sums + TILE_CHANNELS * p + first),
                          (ptrdiff_t)(x + p) * finish->raw_step,
                          (ptrdiff_t)(x + p) * finish->out_step, order, activation);
        }
}

INLINE void conv_row_as(const spl_conv_row *row, const spl_finish_order order,
                        const spl_activation activation) {
    unsigned x = 0;
    for (; x + TILE_PIXELS <= row->width; x += TILE_PIXELS)
        conv_tile(row, x, TILE_PIXELS, order, activation);
    for (; x + 2 <= row->width; x += 2)
        conv_tile(row, x, 2, order, activation);
    if (x < row->width)
        conv_tile(row, x, 1, order, activation);
}

static void conv_row(const spl_conv_row *row) {
    WITH_CONSTANT_FINISH(&row->finish, conv_row_as, row);
}

/* The number of independent multiply-add chains: enough to keep all units busy, few enough to stay
 * in registers. */
#if defined(__aarch64__)
enum { CHAINS = 24 };
#else
enum { CHAINS = 12 };
#endif

static float peak(unsigned steps) {
    vec chain[CHAINS];
    for (unsigned c = 0; c < CHAINS; c++)
        chain[c] = vec_splat((float)c);
    const vec factor = vec_splat(0.5f);
    for (unsigned i = 0; i < steps; i++) {
#pragma GCC unroll 24
        for (unsigned c = 0; c < CHAINS; c++)
            chain[c] = chain[c] * factor + factor;
    }
    vec sum = chain[0];
    for (unsigned c = 1; c < CHAINS; c++)
        sum += chain[c];
    return sum[0];
}
