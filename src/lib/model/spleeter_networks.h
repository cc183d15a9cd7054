/* SPDX-License-Identifier: MIT
 *
 * The networks in a checkpoint of Spleeter.
 */
#ifndef SPL_LIB_MODEL_SPLEETER_NETWORKS_H
#define SPL_LIB_MODEL_SPLEETER_NETWORKS_H

#include "lib/formats/checkpoint.h"

/* Counts the networks in `checkpoint`. Errors: FORMAT when it holds none, or a partial one. */
SPL_WARN_UNUSED int spl_spleeter_networks_count(const spl_checkpoint *checkpoint,
                                                unsigned *ret_count, spl_error *ret_error);

/* One network of a checkpoint. */
typedef struct spl_spleeter_network {
    const spl_checkpoint *checkpoint;
    unsigned number; /* from 0, in the order of the configuration's instruments */
} spl_spleeter_network;

/* The tensors of `network`, which must outlive the source. */
spl_tensor_source spl_spleeter_network_source(const spl_spleeter_network *network);

#endif
