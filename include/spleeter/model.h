/* SPDX-License-Identifier: MIT
 *
 * Models: folders of network weights, and how they are found, checked, made.
 *
 * A model folder holds manifest.json (architecture, stems in order, frames,
 * bins, mask extension, licence, source, SHA-256 of each net) and one
 * safetensors file per stem's net. The format is described in docs/models.md.
 *
 * An spl_model is immutable once opened: any number of threads may separate
 * with it at the same time. It is reference-counted.
 */
#ifndef SPLEETER_MODEL_H
#define SPLEETER_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include <spleeter/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Stems a model may have at most. */
#define SPL_STEMS_MAX 16

typedef enum spl_architecture {
    SPL_ARCHITECTURE_UNET,         /* one U-Net a stem, sigmoid output (2stems, 4stems) */
    SPL_ARCHITECTURE_SOFTMAX_UNET, /* softmax over the stems' outputs (5stems) */
} spl_architecture;

typedef enum spl_activation {
    SPL_ACTIVATION_RELU,
    SPL_ACTIVATION_LEAKY_RELU, /* slope 0.2 below zero */
    SPL_ACTIVATION_ELU,
} spl_activation;

/* What happens to the bins from `bins` up to the Nyquist frequency. */
typedef enum spl_mask_extension {
    SPL_MASK_EXTENSION_ZEROS,   /* they are silent in every stem */
    SPL_MASK_EXTENSION_AVERAGE, /* they get the frame's mean mask, per channel */
} spl_mask_extension;

typedef struct spl_stem_info {
    const char *name;               /* "vocals" */
    const char *group;              /* the group whose part this is; NULL: a part of the mixture */
    const char *net;                /* file name in the model folder, "../FOLDER/NAME" in the
                                         one beside it, or the checkpoint's path */
    const char *sha256;             /* 64 hex digits, or "" for a net read from a checkpoint */
    spl_activation conv_activation; /* of the encoder */
    spl_activation deconv_activation; /* of the decoder */
    uint64_t parameters;              /* numbers in the net */
} spl_stem_info;

/* Describes a model. The mixture is split into the stems without a group and the groups, and each
 * group into its stems; every one of these has a net. Strings belong to the model and live as long
 * as it. */
typedef struct spl_model_info {
    const char *name;
    const char *path; /* the folder or configuration file that was opened */
    spl_architecture architecture;
    unsigned frames; /* T, STFT frames a segment; a multiple of 64 */
    unsigned bins;   /* F, STFT bins the nets see; a multiple of 64, at most 2048 */
    spl_mask_extension mask_extension;
    double separation_exponent; /* 2 in all official models */
    const char *licence;
    const char *source;
    unsigned stem_count;                /* at least 2 */
    unsigned group_count;               /* stems and groups together are at most SPL_STEMS_MAX */
    spl_stem_info stems[SPL_STEMS_MAX]; /* the stems in order, then the groups */
} spl_model_info;

typedef struct spl_model spl_model;

/* Opens the model at `path`: a model folder, or a Spleeter JSON configuration
 * whose "model_dir" is a model folder or one with a TensorFlow v1 checkpoint (in
 * the file's own folder, in MODEL_PATH as Spleeter has it, or in the working
 * directory). Nets of a model folder are checked against their SHA-256, tensors
 * of a checkpoint against their CRC-32C. Weights are mapped and checked; they are
 * prepared for this CPU while the caller goes on, for which spl_separate waits,
 * and then the files are closed. Until then they must not be cut short; to replace
 * them is safe.
 *
 * On success *ret_model is owned by the caller (spl_model_unref).
 * Errors: ARGUMENT, NOT_FOUND, FORMAT, CHECKSUM, UNSUPPORTED, LIMIT, PERMISSION, IO, MEMORY. */
SPL_API SPL_WARN_UNUSED int spl_model_open(const char *path, spl_model **ret_model,
                                           spl_error *ret_error);

/* Counts one more owner of `model`, and returns it. Thread-safe. */
SPL_API spl_model *spl_model_ref(spl_model *model);

/* Gives up one ownership; the last one frees. NULL is allowed. Thread-safe. */
SPL_API void spl_model_unref(spl_model *model);

/* The description of `model`; owned by it. Thread-safe. */
SPL_API const spl_model_info *spl_model_get_info(const spl_model *model);

/* Reads the whole model folder at `folder` and checks it: manifest, SHA-256 of each net, shape of
 * each tensor, finite numbers. Errors as for spl_model_open. */
SPL_API SPL_WARN_UNUSED int spl_model_verify(const char *folder, spl_error *ret_error);

typedef struct spl_model_import_options {
    const char *checkpoint; /* folder that holds `checkpoint`, *.index, *.data-*; required */
    const char *config;     /* Spleeter's JSON configuration; NULL: recognised from the number of
                               nets (2, 4 or 5: Deezer's official models) */
    const char *name;       /* name of the new model; NULL: the last part of `folder` */
    const char *licence;    /* NULL: "unknown" */
    const char *source;     /* NULL: "unknown" */
    const char *folder;     /* the model folder to make; must not exist; required */
} spl_model_import_options;

/* Makes a model folder from a TensorFlow v1 checkpoint. The CRC-32C of the index blocks and of
 * every tensor that the nets need is verified. The folder appears whole or not at all. Errors: as
 * for spl_model_open; ARGUMENT also when `folder` exists. */
SPL_API SPL_WARN_UNUSED int spl_model_import(const spl_model_import_options *options,
                                             spl_error *ret_error);

/* What a model name stands for. */
typedef struct spl_model_choice {
    char path[4096]; /* for spl_model_open */
    int as_spleeter; /* 1: exactly what Spleeter does with this name; 0: full band */
    int bandwidth;   /* an spl_bandwidth of separate.h that the name asks for */
} spl_model_choice;

/* Finds the model that `name` stands for.
 *
 * "2stems"                 full band, stems that sum to the mixture
 * "spleeter:2stems"        as Spleeter: cut at 11 kHz, the first two channels
 * "spleeter:2stems-16kHz"  as Spleeter: cut at 16 kHz
 * a path with a '/' or ending in ".json"   a model folder or Spleeter configuration, with its own
 * settings, and everything else as Spleeter does it
 *
 * `search_path` is a ':'-separated list of folders that hold model folders; NULL:
 * SPLEETER_MODEL_PATH, then $XDG_DATA_HOME/spleeterd/models, then the installed data folder.
 * "spleeter:N" is the folder "spleeter-N" (Deezer's weights) and nothing else. A plain name N is
 * the folder that the first names.json in `search_path` with an entry N says (spl_model_use), or
 * else the folder "N", or else "spleeter-N". Errors: NOT_FOUND (the message says what there is, and
 * how to get what there is not), FORMAT (a damaged names.json), ARGUMENT. */
SPL_API SPL_WARN_UNUSED int spl_model_resolve(const char *name, const char *search_path,
                                              spl_model_choice *ret_choice, spl_error *ret_error);

/* Makes a plain name mean another of the models in `search_path` (as above), by an entry in the
 * file names.json of the folder `folder`, which should be one of them. `name` is "spleeter-N" or
 * "spleeter:N", and then the plain name N means the folder "spleeter-N" from now on, or it is N,
 * which gives N back its own meaning. Folder and file are made if needed; the file appears whole or
 * not at all. Errors: ARGUMENT, NOT_FOUND, FORMAT (a damaged names.json), NO_SPACE, PERMISSION, IO,
 * MEMORY. */
SPL_API SPL_WARN_UNUSED int spl_model_use(const char *name, const char *search_path,
                                          const char *folder, spl_error *ret_error);

/* Calls `visit` with what the manifest of the model folder `folder` says: all but the activations
 * and parameters of the nets, which are not opened. *info is valid during the call. Returns its
 * answer. Errors: as for spl_model_open. */
SPL_API SPL_WARN_UNUSED int spl_model_describe(const char *folder,
                                               int (*visit)(void *user, const spl_model_info *info),
                                               void *user, spl_error *ret_error);

/* Calls `visit` with the path of every model folder in `search_path` (as above), sorted by name; of
 * several folders of one name the first counts. Stops at the first non-zero answer and returns it.
 * Folders are named, not opened. Errors: ARGUMENT, PERMISSION, IO, MEMORY. */
SPL_API SPL_WARN_UNUSED int spl_model_list(const char *search_path,
                                           int (*visit)(void *user, const char *path), void *user,
                                           spl_error *ret_error);

#ifdef __cplusplus
}
#endif

#endif
