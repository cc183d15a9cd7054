/* SPDX-License-Identifier: MIT
 *
 * A TensorFlow v1 checkpoint: tensors by name, in mapped files. Each tensor is checked against its
 * CRC-32C when it is read.
 */
#ifndef SPL_LIB_FORMATS_CHECKPOINT_H
#define SPL_LIB_FORMATS_CHECKPOINT_H

#include "lib/formats/checkpoint_index.h"

typedef struct spl_checkpoint spl_checkpoint;

/* Opens the checkpoint in `folder`: the one named by the file "checkpoint", or the only "*.index".
 * The caller owns *ret_checkpoint (spl_checkpoint_close). */
SPL_WARN_UNUSED int spl_checkpoint_open(const char *folder, spl_checkpoint **ret_checkpoint,
                                        spl_error *ret_error);

/* Unmaps and frees; NULL is allowed. */
void spl_checkpoint_close(spl_checkpoint *checkpoint);

/* Returns the common prefix of the files' paths, such as "2stems/model". */
const char *spl_checkpoint_prefix(const spl_checkpoint *checkpoint);

/* Whether the checkpoint has a tensor `name`. */
bool spl_checkpoint_has(const spl_checkpoint *checkpoint, const char *name);

/* Looks up the float tensor `name`; its data is valid as long as the checkpoint. */
SPL_WARN_UNUSED int spl_checkpoint_get(const spl_checkpoint *checkpoint, const char *name,
                                       spl_tensor *ret_tensor, spl_error *ret_error);

#endif
