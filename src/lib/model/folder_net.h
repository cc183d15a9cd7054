/* SPDX-License-Identifier: MIT
 *
 * One net file of a model folder, read and written.
 */
#ifndef SPL_LIB_MODEL_FOLDER_NET_H
#define SPL_LIB_MODEL_FOLDER_NET_H

#include "base/file.h"
#include "lib/formats/safetensors.h"
#include "lib/networks/unet/net.h"

/* A net file that is open; `weights` point into it. */
typedef struct spl_folder_net {
    char *path;
    spl_file_map map;
    spl_safetensors *file;
    spl_net_weights weights;
    uint64_t parameters;
} spl_folder_net;

/* Opens the file `name` in `folder` and checks its SHA-256, its shapes and its numbers. The caller
 * owns *ret_net (spl_folder_net_close). */
SPL_WARN_UNUSED int spl_folder_net_open(const char *folder, const char *name, const char *sha256,
                                        spl_folder_net *ret_net, spl_error *ret_error);

/* Closes; a zeroed net is allowed. */
void spl_folder_net_close(spl_folder_net *net);

/* Writes `weights` to the file `name` in `folder`, and sets the SHA-256 of the file. */
SPL_WARN_UNUSED int spl_folder_net_write(const char *folder, const char *name,
                                         const spl_net_weights *weights, char ret_sha256[65],
                                         spl_error *ret_error);

#endif
