/* SPDX-License-Identifier: MIT
 *
 * Reads and writes a network file of a model folder.
 */
#ifndef SPL_LIB_MODEL_FOLDER_NETWORK_H
#define SPL_LIB_MODEL_FOLDER_NETWORK_H

#include "base/file.h"
#include "lib/formats/safetensors.h"
#include "lib/networks/unet/network.h"

/* An open network file; `weights` point into its mapping. */
typedef struct spl_folder_network {
    char *path;
    spl_file_map map;
    spl_safetensors *file;
    spl_network_weights weights;
    uint64_t parameters;
} spl_folder_network;

/* Opens the file `name` in `folder` and checks its SHA-256, the shapes and the weights. The caller
 * owns *ret_network (spl_folder_network_close). */
SPL_WARN_UNUSED int spl_folder_network_open(const char *folder, const char *name,
                                            const char *sha256, spl_folder_network *ret_network,
                                            spl_error *ret_error);

/* Closes the file; a zeroed struct is allowed. */
void spl_folder_network_close(spl_folder_network *network);

/* Writes `weights` to the file `name` in `folder`, and sets *ret_sha256 to the SHA-256 of the
 * file. */
SPL_WARN_UNUSED int spl_folder_network_write(const char *folder, const char *name,
                                             const spl_network_weights *weights,
                                             char ret_sha256[65], spl_error *ret_error);

#endif
