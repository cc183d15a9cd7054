/* SPDX-License-Identifier: MIT
 *
 * Models: folders of network weights, and the functions that find, check and import them.
 *
 * A model folder holds manifest.json (architecture, stems in order, frames, bins, mask extension,
 * licence, source, SHA-256 of each network) and one safetensors file for each network. The format
 * is described in docs/models.md.
 *
 * An spl_model is immutable once opened, and any number of threads may separate with it at the same
 * time. It is reference-counted.
 */
#ifndef SPLEETER_MODEL_H
#define SPLEETER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spleeter/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The maximum number of stems and groups in a model, part of the layout of spl_model_info. */
#define SPL_STEMS_MAX 16

typedef enum spl_architecture {
    SPL_ARCHITECTURE_UNET,         /* one U-Net per stem, sigmoid output (2stems, 4stems) */
    SPL_ARCHITECTURE_SOFTMAX_UNET, /* softmax over the outputs of all stems (5stems) */
} spl_architecture;

typedef enum spl_activation {
    SPL_ACTIVATION_RELU,
    SPL_ACTIVATION_LEAKY_RELU, /* slope 0.2 below zero */
    SPL_ACTIVATION_ELU,
} spl_activation;

/* How the bins from `bins` up to the Nyquist frequency are masked. */
typedef enum spl_mask_extension {
    SPL_MASK_EXTENSION_ZEROS,   /* silent in every stem */
    SPL_MASK_EXTENSION_AVERAGE, /* masked with the mean of the frame's mask, per channel */
} spl_mask_extension;

/* The bandwidth of the stems. */
typedef enum spl_bandwidth {
    SPL_BANDWIDTH_MODEL, /* bins and mask extension from the model's manifest */
    SPL_BANDWIDTH_11K,   /* F = 1024, silence above 11 kHz: Spleeter's 2stems, 4stems, 5stems */
    SPL_BANDWIDTH_16K,   /* F = 1536, silence above 16 kHz: Spleeter's *-16kHz */
    SPL_BANDWIDTH_FULL,  /* F = 1536, the mean mask above 16 kHz; all stems sum to the mixture */
} spl_bandwidth;

typedef struct spl_stem_info {
    const char *name; /* "vocals" */
    /* The group that this stem is part of; NULL for a part of the mixture. */
    const char *group;
    /* A file name in the model folder, "../FOLDER/NAME" for a file in a sibling folder, or the path
     * of the checkpoint. */
    const char *network;
    /* 64 hex digits, or "" for a network from a checkpoint. */
    const char *sha256;
    spl_activation conv_activation;   /* of the encoder */
    spl_activation deconv_activation; /* of the decoder */
    uint64_t parameters;              /* number of weights in the network */
    uint64_t reserved[4];
} spl_stem_info;

/* Describes a model. The mixture is split into the groups and the stems without a group, and each
 * group into its stems. Each of these has a network. Strings belong to the model and live as long
 * as it does. */
typedef struct spl_model_info {
    const char *name;
    const char *path; /* the folder or configuration file that was opened */
    spl_architecture architecture;
    unsigned frames; /* T, STFT frames per segment; a multiple of 64 */
    unsigned bins;   /* F, STFT bins that the networks process; a multiple of 64, at most 2048 */
    spl_mask_extension mask_extension;
    double separation_exponent; /* 2 in all official models */
    const char *licence;
    const char *source;
    unsigned stem_count;  /* at least 2 */
    unsigned group_count; /* stems and groups together are at most SPL_STEMS_MAX */
    uint64_t reserved[8];
    spl_stem_info stems[SPL_STEMS_MAX]; /* the stems in order, then the groups */
} spl_model_info;

typedef struct spl_model spl_model;

/* Opens the model at `path`: a model folder, or a Spleeter JSON configuration. The "model_dir" of a
 * configuration names a model folder or the folder of a TensorFlow v1 checkpoint. It is looked up
 * in the configuration's own folder, in MODEL_PATH as in Spleeter, and in the working directory. A
 * name without '/' may also mean an installed model with Deezer's weights.
 *
 * The networks of a model folder are checked against their SHA-256, the tensors of a checkpoint
 * against their CRC-32C.
 *
 * Weights are mapped and checked before this function returns. A background thread then converts
 * them for this CPU and spl_separate waits for it. The files stay mapped until that wait or until
 * the model is freed. While they are mapped they must not be truncated; replacing them is safe.
 *
 * On success the caller owns *ret_model (spl_model_unref). Errors: ARGUMENT, NOT_FOUND, FORMAT,
 * CHECKSUM, UNSUPPORTED, LIMIT, PERMISSION, IO, EXHAUSTED, MEMORY. */
SPL_API SPL_WARN_UNUSED spl_status spl_model_open(const char *path, spl_model **ret_model,
                                                  spl_error *ret_error);

/* Adds a reference to `model` and returns it. Thread-safe. */
SPL_API spl_model *spl_model_ref(spl_model *model);

/* Drops a reference; the last one frees the model. NULL is allowed. Thread-safe. */
SPL_API void spl_model_unref(spl_model *model);

/* Returns the description of `model`, which owns it. Thread-safe. */
SPL_API const spl_model_info *spl_model_get_info(const spl_model *model);

/* Reads the whole model folder `folder` and checks the manifest, the SHA-256 of each network, the
 * shape of each tensor, and that all weights are finite. Errors: as for spl_model_open. */
SPL_API SPL_WARN_UNUSED spl_status spl_model_verify(const char *folder, spl_error *ret_error);

typedef struct spl_model_import_options {
    const char *checkpoint; /* folder that holds `checkpoint`, *.index, *.data-*; required */
    /* Spleeter's JSON configuration. NULL: one of Deezer's official models, identified by the
     * number of networks (2, 4 or 5). */
    const char *config;
    const char *name;    /* name of the new model; NULL: the last component of `folder` */
    const char *licence; /* NULL: "unknown" */
    const char *source;  /* NULL: "unknown" */
    const char *folder;  /* the model folder to create; must not exist; required */
    uint64_t reserved[8];
} spl_model_import_options;

/* Creates a model folder from a TensorFlow v1 checkpoint. Verifies the CRC-32C of the index blocks
 * and of every tensor that the networks need. The folder appears complete or not at all. Errors: as
 * for spl_model_open, and EXISTS (`folder` exists), NO_SPACE. */
SPL_API SPL_WARN_UNUSED spl_status spl_model_import(const spl_model_import_options *options,
                                                    spl_error *ret_error);

/* The model that a name resolves to. */
typedef struct spl_model_choice {
    char path[4096];         /* for spl_model_open */
    spl_bandwidth bandwidth; /* for spl_separate_options */
    bool as_spleeter;        /* true: same processing as Spleeter for this name; false: full band */
    uint64_t reserved[8];
} spl_model_choice;

/* Resolves a model name. `name` has one of these forms:
 *
 * "2stems"                 full band; the stems sum to the mixture
 * "spleeter:2stems"        as Spleeter: cut at 11 kHz, the first two channels
 * "spleeter:2stems-16kHz"  as Spleeter: cut at 16 kHz
 * a path                   (with a '/' or ending in ".json") a model folder or a Spleeter
 *                          configuration, with its own settings; everything else as in Spleeter
 *
 * `search_path` is a ':'-separated list of folders that hold model folders. NULL means
 * SPLEETER_MODEL_PATH, then $XDG_DATA_HOME/spleeterd/models, then the installed data folder.
 *
 * "spleeter:N" is the folder "spleeter-N" (Deezer's weights) and nothing else. A plain name N is
 * the folder given by the first names.json in `search_path` that has an entry N (see
 * spl_model_use). Without such an entry it is the folder "N", or else "spleeter-N".
 *
 * Errors: NOT_FOUND (the message lists the installed models and how to get others), FORMAT (a
 * damaged names.json), ARGUMENT, PERMISSION, IO, EXHAUSTED, MEMORY. */
SPL_API SPL_WARN_UNUSED spl_status spl_model_resolve(const char *name, const char *search_path,
                                                     spl_model_choice *ret_choice,
                                                     spl_error *ret_error);

/* Changes the model that a plain name resolves to, by an entry in names.json of the folder
 * `folder`, which should be one of `search_path` (as above). If `name` is "spleeter-N" or
 * "spleeter:N", the plain name N resolves to the folder "spleeter-N" from now on. If `name` is N,
 * its entry is removed.
 *
 * Creates the folder and the file if needed, and replaces the file atomically. Errors: ARGUMENT,
 * NOT_FOUND, FORMAT (a damaged names.json), LIMIT (too many entries in it), EXISTS, NO_SPACE,
 * PERMISSION, IO, EXHAUSTED, MEMORY. */
SPL_API SPL_WARN_UNUSED spl_status spl_model_use(const char *name, const char *search_path,
                                                 const char *folder, spl_error *ret_error);

/* Reads the manifest in the model folder `folder`. Activations and parameter counts are 0, because
 * the networks are not opened. The caller owns *ret_info (spl_model_info_free). Errors: as for
 * spl_model_open. */
SPL_API SPL_WARN_UNUSED spl_status spl_model_describe(const char *folder, spl_model_info **ret_info,
                                                      spl_error *ret_error);

/* Frees the result of spl_model_describe; NULL is allowed. */
SPL_API void spl_model_info_free(spl_model_info *info);

/* Calls `visit` with the path of every model folder in `search_path` (as above), sorted by name. If
 * several folders have the same name, only the first in the search path counts. A negative
 * result of `visit` ends the listing and is returned; a positive one ends it with ARGUMENT. Does
 * not open the folders. Errors: ARGUMENT, PERMISSION, IO, EXHAUSTED, MEMORY. */
SPL_API SPL_WARN_UNUSED spl_status spl_model_list(const char *search_path,
                                                  spl_status (*visit)(void *user, const char *path),
                                                  void *user, spl_error *ret_error);

#ifdef __cplusplus
}
#endif

#endif
