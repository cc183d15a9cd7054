/* SPDX-License-Identifier: MIT
 *
 * Maps the layers of networks to the variables of a Spleeter checkpoint.
 *
 * Keras numbers the layers of each kind across all networks, in the order of their creation:
 * conv2d, conv2d_1, ... Each network has 7 convolutions (six of the encoder, the mask's), 6
 * transposed convolutions, and 12 batch norms (six of the encoder, six of the decoder).
 */
#include "lib/model/spleeter_networks.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define NAME_BYTES 64

enum { CONVOLUTIONS = 7, TRANSPOSED = 6, NORMS = 12, DEPTH = 6 };

static void format_variable(char name[NAME_BYTES], const char *kind, unsigned number,
                            const char *part) {
    if (number == 0)
        snprintf(name, NAME_BYTES, "%s/%s", kind, part);
    else
        snprintf(name, NAME_BYTES, "%s_%u/%s", kind, number, part);
}

/* Translates "decoder.3.norm.gamma" of network 1 to "batch_normalization_20/gamma". */
static void translate(const char *ours, unsigned network, char name[NAME_BYTES]) {
    char layer[8], part[32];
    unsigned number;
    if (sscanf(ours, "mask.%31s", part) == 1) {
        format_variable(name, "conv2d", CONVOLUTIONS * network + 6, part);
        return;
    }
    int fields = sscanf(ours, "%7[a-z].%u.%31s", layer, &number, part);
    assert(fields == 3);
    (void)fields;
    bool decoder = strcmp(layer, "decoder") == 0;
    unsigned i = number - 1;
    if (strncmp(part, "norm.", strlen("norm.")) == 0)
        format_variable(name, "batch_normalization", NORMS * network + (decoder ? DEPTH : 0) + i,
                        part + strlen("norm."));
    else if (decoder)
        format_variable(name, "conv2d_transpose", TRANSPOSED * network + i, part);
    else
        format_variable(name, "conv2d", CONVOLUTIONS * network + i, part);
}

static int get_tensor(const void *from, const char *ours, spl_tensor *ret_tensor,
                      spl_error *ret_error) {
    const spl_spleeter_network *network = from;
    char name[NAME_BYTES];
    translate(ours, network->number, name);
    return spl_checkpoint_get(network->checkpoint, name, ret_tensor, ret_error);
}

spl_tensor_source spl_spleeter_network_source(const spl_spleeter_network *network) {
    return (spl_tensor_source){
        .from = network, .path = spl_checkpoint_prefix(network->checkpoint), .get = get_tensor};
}

int spl_spleeter_networks_count(const spl_checkpoint *checkpoint, unsigned *ret_count,
                                spl_error *ret_error) {
    unsigned convolutions = 0;
    for (;; convolutions++) {
        char name[NAME_BYTES];
        format_variable(name, "conv2d", convolutions, "kernel");
        if (!spl_checkpoint_has(checkpoint, name))
            break;
    }
    if (convolutions == 0 || convolutions % CONVOLUTIONS != 0)
        return spl_fail(
            ret_error, SPL_E_FORMAT,
            "the checkpoint %s has %u convolutions, but each of Spleeter's U-Nets has %d",
            spl_checkpoint_prefix(checkpoint), convolutions, CONVOLUTIONS);
    *ret_count = convolutions / CONVOLUTIONS;
    return 0;
}
