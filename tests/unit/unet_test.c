/* SPDX-License-Identifier: MIT
 *
 * The U-Net against its definition: plain loops in double precision. Transposed convolutions
 * scatter their inputs, as in the definition.
 */
#include "lib/networks/unet/unet.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DEPTH = SPL_UNET_DEPTH, FRAMES = 64, BINS = 128 };

static uint32_t random_state = 7;

static float uniform(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / (float)(1 << 23) - 1.0f;
}

static float *random_floats(size_t count, float scale, float offset) {
    float *values = malloc(count * sizeof(float));
    assert_non_null(values);
    for (size_t i = 0; i < count; i++)
        values[i] = offset + scale * uniform();
    return values;
}

static spl_layer_weights random_layer(unsigned taps, unsigned in, unsigned out, bool norm) {
    spl_layer_weights layer = {
        .kernel = random_floats((size_t)taps * in * out, 3 / sqrtf((float)(taps * in)), 0),
        .bias = random_floats(out, 0.3f, 0),
    };
    if (norm)
        layer.norm = (spl_norm_weights){
            .gamma = random_floats(out, 0.4f, 1),
            .beta = random_floats(out, 0.3f, 0),
            .mean = random_floats(out, 0.3f, 0),
            .variance = random_floats(out, 0.4f, 1),
        };
    return layer;
}

static void free_layer(spl_layer_weights *layer) {
    const float *const all[] = {layer->kernel,    layer->bias,      layer->norm.gamma,
                                layer->norm.beta, layer->norm.mean, layer->norm.variance};
    for (size_t i = 0; i < SPL_ARRAY_SIZE(all); i++)
        free((void *)(uintptr_t)all[i]);
}

/* A tensor [rows][columns][channels] in double precision. */
typedef struct tensor {
    int rows, columns, channels;
    double *at;
} tensor;

static tensor tensor_new(int rows, int columns, int channels) {
    tensor t = {rows, columns, channels, calloc((size_t)rows * columns * channels, sizeof(double))};
    assert_non_null(t.at);
    return t;
}

static double *element(const tensor *t, int y, int x, int c) {
    return &t->at[((size_t)y * t->columns + x) * t->channels + c];
}

static double activate(spl_activation activation, double value) {
    if (value > 0)
        return value;
    return activation == SPL_ACTIVATION_RELU  ? 0
           : activation == SPL_ACTIVATION_ELU ? expm1(value)
                                              : 0.2 * value;
}

static double normalise(const spl_norm_weights *norm, int c, double value) {
    return (double)norm->gamma[c] * (value - (double)norm->mean[c]) /
               sqrt((double)norm->variance[c] + 1e-3) +
           (double)norm->beta[c];
}

static tensor convolve(const tensor *in, const spl_layer_weights *layer, int out_channels, int size,
                       int stride, int dilation, int before) {
    tensor out = tensor_new(in->rows / stride, in->columns / stride, out_channels);
    for (int y = 0; y < out.rows; y++)
        for (int x = 0; x < out.columns; x++)
            for (int o = 0; o < out_channels; o++) {
                double sum = (double)layer->bias[o];
                for (int r = 0; r < size; r++)
                    for (int k = 0; k < size; k++) {
                        const int iy = y * stride + r * dilation - before;
                        const int ix = x * stride + k * dilation - before;
                        if (iy < 0 || ix < 0 || iy >= in->rows || ix >= in->columns)
                            continue;
                        for (int c = 0; c < in->channels; c++)
                            sum += *element(in, iy, ix, c) *
                                   (double)layer
                                       ->kernel[((r * size + k) * in->channels + c) * out_channels +
                                                o];
                    }
                *element(&out, y, x, o) = sum;
            }
    return out;
}

static tensor convolve_transposed(const tensor *in, const spl_layer_weights *layer,
                                  int out_channels) {
    tensor out = tensor_new(2 * in->rows, 2 * in->columns, out_channels);
    for (int y = 0; y < in->rows; y++)
        for (int x = 0; x < in->columns; x++)
            for (int r = 0; r < 5; r++)
                for (int k = 0; k < 5; k++) {
                    const int oy = 2 * y + r - 1, ox = 2 * x + k - 1;
                    if (oy < 0 || ox < 0 || oy >= out.rows || ox >= out.columns)
                        continue;
                    for (int o = 0; o < out_channels; o++)
                        for (int c = 0; c < in->channels; c++)
                            *element(&out, oy, ox, o) +=
                                *element(in, y, x, c) *
                                (double)layer
                                    ->kernel[((r * 5 + k) * out_channels + o) * in->channels + c];
                }
    for (size_t i = 0; i < (size_t)out.rows * out.columns * out.channels; i++)
        out.at[i] += (double)layer->bias[i % (size_t)out_channels];
    return out;
}

static tensor concatenate(const tensor *a, const tensor *b) {
    tensor out = tensor_new(a->rows, a->columns, a->channels + b->channels);
    for (int y = 0; y < out.rows; y++)
        for (int x = 0; x < out.columns; x++)
            for (int c = 0; c < out.channels; c++)
                *element(&out, y, x, c) =
                    c < a->channels ? *element(a, y, x, c) : *element(b, y, x, c - a->channels);
    return out;
}

/* Returns the logits [FRAMES][BINS][2]. */
static tensor reference(const spl_network_weights *net, const tensor *magnitudes) {
    tensor skips[DEPTH], in = tensor_new(magnitudes->rows, magnitudes->columns, 2);
    memcpy(in.at, magnitudes->at, (size_t)FRAMES * BINS * 2 * sizeof(double));
    for (int i = 0; i < DEPTH; i++) {
        skips[i] = convolve(&in, &net->encoder[i], (int)net->filters[i], 5, 2, 1, 1);
        free(in.at);
        in = tensor_new(skips[i].rows, skips[i].columns, skips[i].channels);
        for (size_t n = 0; n < (size_t)in.rows * in.columns * in.channels; n++)
            in.at[n] = i == DEPTH - 1
                           ? skips[i].at[n]
                           : activate(net->conv_activation,
                                      normalise(&net->encoder[i].norm, (int)(n % net->filters[i]),
                                                skips[i].at[n]));
    }
    for (int i = 0; i < DEPTH; i++) {
        const int channels = i < DEPTH - 1 ? (int)net->filters[DEPTH - 2 - i] : 1;
        tensor up = convolve_transposed(&in, &net->decoder[i], channels);
        for (size_t n = 0; n < (size_t)up.rows * up.columns * channels; n++)
            up.at[n] = normalise(&net->decoder[i].norm, (int)(n % (size_t)channels),
                                 activate(net->deconv_activation, up.at[n]));
        free(in.at);
        if (i == DEPTH - 1) {
            in = up;
            break;
        }
        in = concatenate(&skips[DEPTH - 2 - i], &up);
        free(up.at);
    }
    tensor logits = convolve(&in, &net->mask, 2, 4, 1, 2, 3);
    free(in.at);
    for (int i = 0; i < DEPTH; i++)
        free(skips[i].at);
    return logits;
}

static bool never(void *user) {
    (void)user;
    return false;
}

static bool always(void *user) {
    (void)user;
    return true;
}

static spl_network_weights random_net(const unsigned filters[DEPTH], spl_activation conv_activation,
                                      spl_activation deconv_activation) {
    spl_network_weights net = {.conv_activation = conv_activation,
                               .deconv_activation = deconv_activation};
    memcpy(net.filters, filters, sizeof(net.filters));
    for (unsigned i = 0; i < DEPTH; i++) {
        net.encoder[i] = random_layer(25, i ? filters[i - 1] : 2, filters[i], i < DEPTH - 1);
        net.decoder[i] = random_layer(25, i ? 2 * filters[DEPTH - 1 - i] : filters[DEPTH - 1],
                                      i < DEPTH - 1 ? filters[DEPTH - 2 - i] : 1, true);
    }
    net.mask = random_layer(16, 1, 2, false);
    return net;
}

static void free_net(spl_network_weights *net) {
    for (unsigned i = 0; i < DEPTH; i++) {
        free_layer(&net->encoder[i]);
        free_layer(&net->decoder[i]);
    }
    free_layer(&net->mask);
}

static void check_net(const unsigned filters[DEPTH], spl_activation conv_activation,
                      spl_activation deconv_activation, unsigned threads) {
    spl_network_weights net = random_net(filters, conv_activation, deconv_activation);
    spl_unet *unet = NULL;
    spl_unet_workspace *workspace = NULL;
    spl_pool *pool = NULL;
    spl_timings timings = {0};
    assert_int_equal(spl_unet_new(&net, &unet, NULL), 0);
    for (unsigned part = 0; part < SPL_UNET_PARTS; part++)
        spl_unet_prepare(unet, &net, part);
    assert_int_equal(spl_unet_workspace_new(unet, FRAMES, BINS, threads, &workspace, NULL), 0);
    assert_int_equal(spl_pool_new(threads, &pool, NULL), 0);

    tensor magnitudes = tensor_new(FRAMES, BINS, 2);
    static float planar[FRAMES * 2 * BINS], logits[FRAMES * 2 * BINS], masked[FRAMES * 2 * BINS];
    for (int t = 0; t < FRAMES; t++)
        for (int f = 0; f < BINS; f++)
            for (int c = 0; c < 2; c++) {
                const float value = fabsf(uniform());
                *element(&magnitudes, t, f, c) = (double)value;
                planar[(t * 2 + c) * BINS + f] = value;
                spl_unet_workspace_input(workspace, (unsigned)t)[2 * f + c] = value;
            }
    tensor want = reference(&net, &magnitudes);

    spl_unet_job job = {.workspace = workspace,
                        .pool = pool,
                        .frames = FRAMES,
                        .estimates = logits,
                        .timings = &timings,
                        .canceled = always};
    assert_int_equal(spl_unet_run(unet, &job), SPL_E_CANCELED);
    job.canceled = never;
    assert_int_equal(spl_unet_run(unet, &job), 0);
    job.magnitudes = planar;
    job.estimates = masked;
    assert_int_equal(spl_unet_run(unet, &job), 0);
    job.magnitudes = NULL;
    double error = 0, energy = 0, largest = 0;
    for (int t = 0; t < FRAMES; t++)
        for (int f = 0; f < BINS; f++)
            for (int c = 0; c < 2; c++) {
                const int at = (t * 2 + c) * BINS + f;
                const double logit = *element(&want, t, f, c);
                error += (logit - (double)logits[at]) * (logit - (double)logits[at]);
                energy += logit * logit;
                const double mask = (double)planar[at] / (1 + exp(-logit));
                largest = fmax(largest, fabs(mask - (double)masked[at]));
            }
    print_message("logits: %.1f dB, masked: largest error %.1e\n", 10 * log10(energy / error),
                  largest);
    assert_true(error < energy * 1e-11);
    assert_true(largest < 1e-4);

    /* The first frames alone, after a loud segment, give the same result up to rounding. */
    for (int t = 0; t < FRAMES; t++)
        for (int i = 0; i < 2 * BINS; i++)
            spl_unet_workspace_input(workspace, (unsigned)t)[i] *= 1000;
    assert_int_equal(spl_unet_run(unet, &job), 0);
    for (int t = 0; t < FRAMES; t++)
        for (int f = 0; f < BINS; f++)
            for (int c = 0; c < 2; c++)
                spl_unet_workspace_input(workspace, (unsigned)t)[2 * f + c] =
                    (float)*element(&magnitudes, t, f, c);
    for (unsigned wanted = 1; wanted < FRAMES; wanted += 9) {
        memset(masked, 0, sizeof(masked));
        job.frames = wanted;
        assert_int_equal(spl_unet_run(unet, &job), 0);
        for (unsigned n = 0; n < wanted * 2 * BINS; n++)
            assert_true(fabsf(masked[n] - logits[n]) <= 2e-5f * (1 + fabsf(logits[n])));
    }

    free(want.at);
    free(magnitudes.at);
    spl_pool_free(pool);
    spl_unet_workspace_free(workspace);
    spl_unet_free(unet);
    free_net(&net);
}

static void net_follows_its_definition(void **state) {
    (void)state;
    const unsigned multiples[DEPTH] = {16, 16, 32, 48, 128, 48}, odd[DEPTH] = {3, 5, 17, 9, 20, 31};
    for (int conv = 0; conv < 3; conv++)
        for (int deconv = 0; deconv < 3; deconv++)
            check_net(conv == deconv ? odd : multiples, (spl_activation)conv,
                      (spl_activation)deconv, 1 + (unsigned)conv);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(net_follows_its_definition)};
    return cmocka_run_group_tests_name("unet", tests, NULL, NULL);
}
