/* SPDX-License-Identifier: MIT
 *
 * Reads the weights of one network from named tensors and checks each shape.
 *
 * The result does not depend on the source of the tensors, a safetensors file or a TensorFlow
 * checkpoint.
 */
#include "lib/networks/unet/network.h"

#include <stdio.h>
#include <string.h>

static const char *const activation_names[] = {
    [SPL_ACTIVATION_RELU] = "relu",
    [SPL_ACTIVATION_LEAKY_RELU] = "leaky_relu",
    [SPL_ACTIVATION_ELU] = "elu",
};

const char *spl_activation_name(spl_activation activation) {
    return activation_names[activation];
}

bool spl_activation_from_name(const char *name, spl_activation *ret_activation) {
    for (size_t i = 0; i < SPL_ARRAY_SIZE(activation_names); i++) {
        if (strcmp(name, activation_names[i]) == 0) {
            *ret_activation = (spl_activation)i;
            return true;
        }
    }
    return false;
}

/* Appends one layer's tensors to the list at *next. The kernel is [size, size, a, b]. */
static void list_layer(spl_network_tensor **next, const char *layer, spl_layer_weights *weights,
                       size_t size, size_t a, size_t b, size_t channels, bool has_norm) {
    const struct {
        const char *name;
        const float **data;
    } vectors[] = {
        {"bias", &weights->bias},
        {"norm.gamma", &weights->norm.gamma},
        {"norm.beta", &weights->norm.beta},
        {"norm.moving_mean", &weights->norm.mean},
        {"norm.moving_variance", &weights->norm.variance},
    };
    spl_network_tensor *kernel = (*next)++;
    *kernel =
        (spl_network_tensor){.data = &weights->kernel, .rank = 4, .shape = {size, size, a, b}};
    snprintf(kernel->name, sizeof(kernel->name), "%s.kernel", layer);
    for (size_t i = 0; i < (has_norm ? SPL_ARRAY_SIZE(vectors) : 1); i++) {
        spl_network_tensor *vector = (*next)++;
        *vector = (spl_network_tensor){.data = vectors[i].data, .rank = 1, .shape = {channels}};
        snprintf(vector->name, sizeof(vector->name), "%s.%s", layer, vectors[i].name);
    }
}

void spl_network_list_tensors(spl_network_weights *weights,
                              spl_network_tensor ret_tensors[SPL_NETWORK_TENSORS]) {
    const unsigned *n = weights->filters;
    spl_network_tensor *next = ret_tensors;
    char layer[16];
    for (unsigned i = 0; i < SPL_UNET_DEPTH; i++) {
        snprintf(layer, sizeof(layer), "encoder.%u", i + 1);
        list_layer(&next, layer, &weights->encoder[i], 5, i ? n[i - 1] : 2, n[i], n[i], i < 5);
    }
    for (unsigned i = 0; i < SPL_UNET_DEPTH; i++) {
        size_t out = i < 5 ? n[4 - i] : 1;
        size_t in = i ? (size_t)2 * n[5 - i] : n[5];
        snprintf(layer, sizeof(layer), "decoder.%u", i + 1);
        list_layer(&next, layer, &weights->decoder[i], 5, out, in, out, true);
    }
    list_layer(&next, "mask", &weights->mask, 4, 1, 2, 2, false);
}

static int read_filters(spl_tensor_source source, unsigned filters[SPL_UNET_DEPTH],
                        spl_error *ret_error) {
    for (unsigned i = 0; i < SPL_UNET_DEPTH; i++) {
        char name[32];
        spl_tensor kernel;
        snprintf(name, sizeof(name), "encoder.%u.kernel", i + 1);
        int status = source.get(source.from, name, &kernel, ret_error);
        if (status < 0)
            return status;
        if (kernel.rank != 4 || kernel.shape[3] < 1 || kernel.shape[3] > SPL_UNET_FILTERS_MAX)
            return spl_fail(ret_error, SPL_E_FORMAT,
                            "%s: tensor %s is not a convolution of 1 to %d filters", source.path,
                            name, SPL_UNET_FILTERS_MAX);
        filters[i] = (unsigned)kernel.shape[3];
    }
    return 0;
}

static void format_shape(unsigned rank, const size_t *shape, char text[100]) {
    int length = snprintf(text, 100, "[");
    for (unsigned i = 0; i < rank; i++)
        length += snprintf(text + length, (size_t)(100 - length), i ? ", %zu" : "%zu", shape[i]);
    snprintf(text + length, (size_t)(100 - length), "]");
}

static bool none_negative(const float *data, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (data[i] < 0)
            return false;
    }
    return true;
}

static int read_tensor(spl_tensor_source source, spl_network_tensor *wanted, spl_error *ret_error) {
    spl_tensor tensor;
    int status = source.get(source.from, wanted->name, &tensor, ret_error);
    if (status < 0)
        return status;
    size_t shape_bytes = wanted->rank * sizeof(wanted->shape[0]);
    if (tensor.rank != wanted->rank || memcmp(tensor.shape, wanted->shape, shape_bytes) != 0) {
        char found_text[100], wanted_text[100];
        format_shape(tensor.rank, tensor.shape, found_text);
        format_shape(wanted->rank, wanted->shape, wanted_text);
        return spl_fail(ret_error, SPL_E_FORMAT, "%s: tensor %s has the shape %s, not %s",
                        source.path, wanted->name, found_text, wanted_text);
    }
    size_t bytes = 0;
    spl_tensor_bytes(tensor.rank, tensor.shape, &bytes);
    size_t count = bytes / sizeof(float);
    if (!spl_all_finite(tensor.data, count))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s: tensor %s has numbers that are not finite",
                        source.path, wanted->name);
    if (strstr(wanted->name, "variance") && !none_negative(tensor.data, count))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s: tensor %s has negative variances",
                        source.path, wanted->name);
    *wanted->data = tensor.data;
    return 0;
}

int spl_network_read(spl_tensor_source source, spl_activation conv_activation,
                     spl_activation deconv_activation, spl_network_weights *ret_weights,
                     uint64_t *ret_parameters, spl_error *ret_error) {
    spl_network_weights weights = {
        .conv_activation = conv_activation,
        .deconv_activation = deconv_activation,
    };
    int status = read_filters(source, weights.filters, ret_error);
    if (status < 0)
        return status;
    spl_network_tensor tensors[SPL_NETWORK_TENSORS];
    spl_network_list_tensors(&weights, tensors);
    uint64_t bytes_total = 0;
    for (size_t i = 0; i < SPL_NETWORK_TENSORS; i++) {
        status = read_tensor(source, &tensors[i], ret_error);
        if (status < 0)
            return status;
        size_t bytes = 0;
        spl_tensor_bytes(tensors[i].rank, tensors[i].shape, &bytes);
        bytes_total += bytes;
    }
    *ret_weights = weights;
    *ret_parameters = bytes_total / sizeof(float);
    return 0;
}

int spl_network_check_filters(const spl_network_weights *weights, const char *path,
                              const unsigned filters[SPL_UNET_DEPTH], const char *authority,
                              spl_error *ret_error) {
    for (unsigned i = 0; i < SPL_UNET_DEPTH; i++) {
        if (weights->filters[i] != filters[i])
            return spl_fail(ret_error, SPL_E_FORMAT,
                            "%s: convolution %u has %u filters, but in %s it has %u", path, i + 1,
                            weights->filters[i], authority, filters[i]);
    }
    return 0;
}
