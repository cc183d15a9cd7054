/* SPDX-License-Identifier: MIT
 *
 * Fuzzes safetensors files with arbitrary bytes. The parameters of an accepted network fit in the
 * file.
 */
#include "lib/formats/safetensors.h"
#include "lib/networks/unet/network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    spl_safetensors *file;
    if (spl_safetensors_parse(data, size, "input", &file, NULL) < 0)
        return 0;
    spl_network_weights weights;
    uint64_t parameters;
    int status = spl_network_read(spl_safetensors_source(file), SPL_ACTIVATION_RELU,
                                  SPL_ACTIVATION_ELU, &weights, &parameters, NULL);
    if (status == 0 && parameters > size / sizeof(uint16_t))
        __builtin_trap();
    spl_safetensors_free(file);
    return 0;
}
