/* SPDX-License-Identifier: MIT
 *
 * Network files: safetensors with the activations in the metadata.
 *
 *   "__metadata__": {"format": "spleeterd-net",
 *                    "conv_activation": "leaky_relu" | "relu" | "elu", "deconv_activation": ...}
 */
#include "lib/model/folder_network.h"

#include "base/digest.h"
#include "lib/formats/json.h"

#include <stdio.h>
#include <string.h>

#define FORMAT_NAME       "spleeterd-net"
#define NETWORK_MAX_BYTES ((size_t)8 << 30)

static int get_activation(const spl_folder_network *network, const char *key,
                          spl_activation *ret_activation, spl_error *ret_error) {
    const char *name = spl_safetensors_metadata(network->file, key);
    if (!name || !spl_activation_from_name(name, ret_activation))
        return spl_fail(ret_error, SPL_E_FORMAT, "%s: its \"%s\" is not relu, leaky_relu or elu",
                        network->path, key);
    return 0;
}

static int check_sha256(const spl_folder_network *network, const char *sha256,
                        spl_error *ret_error) {
    char hex[65];
    int status = spl_sha256_hex(network->map.data, network->map.size_bytes, hex, ret_error);
    if (status < 0)
        return status;
    if (strcmp(hex, sha256) != 0)
        return spl_fail(ret_error, SPL_E_CHECKSUM,
                        "%s is damaged or was replaced: its SHA-256 is %s, the manifest says %s",
                        network->path, hex, sha256);
    return 0;
}

static int open_network(const char *folder, const char *name, const char *sha256,
                        spl_folder_network *network, spl_error *ret_error) {
    if (asprintf(&network->path, "%s/%s", folder, name) < 0) {
        network->path = NULL;
        return spl_fail_memory(ret_error);
    }
    int status;
    if ((status = spl_file_map_open(network->path, NETWORK_MAX_BYTES, &network->map, ret_error)) <
            0 ||
        (status = check_sha256(network, sha256, ret_error)) < 0 ||
        (status = spl_safetensors_parse(network->map.data, network->map.size_bytes, network->path,
                                        &network->file, ret_error)) < 0)
        return status;
    const char *format = spl_safetensors_metadata(network->file, "format");
    if (!format || strcmp(format, FORMAT_NAME) != 0)
        return spl_fail(ret_error, SPL_E_FORMAT, "%s: its metadata has no \"format\": \"%s\"",
                        network->path, FORMAT_NAME);
    spl_activation conv, deconv;
    if ((status = get_activation(network, "conv_activation", &conv, ret_error)) < 0 ||
        (status = get_activation(network, "deconv_activation", &deconv, ret_error)) < 0)
        return status;
    return spl_network_read(spl_safetensors_source(network->file), conv, deconv, &network->weights,
                            &network->parameters, ret_error);
}

int spl_folder_network_open(const char *folder, const char *name, const char *sha256,
                            spl_folder_network *ret_network, spl_error *ret_error) {
    spl_folder_network network = {0};
    int status = open_network(folder, name, sha256, &network, ret_error);
    if (status < 0) {
        spl_folder_network_close(&network);
        return status;
    }
    *ret_network = network;
    return 0;
}

void spl_folder_network_close(spl_folder_network *network) {
    spl_safetensors_free(network->file);
    spl_file_map_close(&network->map);
    free(network->path);
    *network = (spl_folder_network){0};
}

static int write_tensors(int fd, const char *path, const spl_network_weights *weights,
                         spl_error *ret_error) {
    SPL_CLEANUP(spl_json_free_p)
    json_t *metadata = json_pack("{s:s, s:s, s:s}", "format", FORMAT_NAME, "conv_activation",
                                 spl_activation_name(weights->conv_activation), "deconv_activation",
                                 spl_activation_name(weights->deconv_activation));
    if (!metadata)
        return spl_fail_memory(ret_error);
    spl_network_weights listed = *weights;
    spl_network_tensor tensors[SPL_NETWORK_TENSORS];
    spl_named_tensor named[SPL_NETWORK_TENSORS];
    spl_network_list_tensors(&listed, tensors);
    for (size_t i = 0; i < SPL_NETWORK_TENSORS; i++) {
        named[i].name = tensors[i].name;
        named[i].tensor = (spl_tensor){.data = *tensors[i].data, .rank = tensors[i].rank};
        memcpy(named[i].tensor.shape, tensors[i].shape, sizeof(tensors[i].shape));
    }
    return spl_safetensors_write(fd, path, metadata, named, SPL_NETWORK_TENSORS, ret_error);
}

int spl_folder_network_write(const char *folder, const char *name,
                             const spl_network_weights *weights, char ret_sha256[65],
                             spl_error *ret_error) {
    SPL_CLEANUP(spl_free_p) char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return spl_fail_memory(ret_error);
    spl_output_file output = SPL_OUTPUT_FILE_INIT;
    spl_file_map written = {0};
    int status;
    if ((status = spl_output_file_open(path, &output, ret_error)) == 0 &&
        (status = write_tensors(output.fd, path, weights, ret_error)) == 0 &&
        (status = spl_output_file_commit(&output, ret_error)) == 0 &&
        (status = spl_file_map_open(path, NETWORK_MAX_BYTES, &written, ret_error)) == 0)
        status = spl_sha256_hex(written.data, written.size_bytes, ret_sha256, ret_error);
    spl_file_map_close(&written);
    spl_output_file_discard(&output);
    return status;
}
