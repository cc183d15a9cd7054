/* SPDX-License-Identifier: MIT
 *
 * A TensorFlow v1 checkpoint: tensors by name, from mapped files, each checked
 * against its CRC-32C when it is asked for.
 */
#ifndef SPL_LIB_FORMATS_CHECKPOINT_H
#define SPL_LIB_FORMATS_CHECKPOINT_H

#include "lib/formats/checkpoint_index.h"

typedef struct spl_checkpoint spl_checkpoint;

/* Opens the checkpoint in `folder`: the one that the file "checkpoint" names, or the only
 * "*.index". */
SPL_WARN_UNUSED int spl_checkpoint_open(const char *folder, spl_checkpoint **ret_checkpoint,
                                        spl_error *ret_error);

/* Unmaps and frees; NULL is allowed. */
void spl_checkpoint_close(spl_checkpoint *checkpoint);

/* The path that the files' names start with, such as "2stems/model". */
const char *spl_checkpoint_prefix(const spl_checkpoint *checkpoint);

/* Whether there is a tensor `name`. */
bool spl_checkpoint_has(const spl_checkpoint *checkpoint, const char *name);

/* The float tensor `name`; its data live as long as the checkpoint. */
SPL_WARN_UNUSED int spl_checkpoint_get(const spl_checkpoint *checkpoint, const char *name,
                                       spl_tensor *ret_tensor, spl_error *ret_error);

#endif
