/* SPDX-License-Identifier: MIT
 *
 * Processes one song: decodes the file, separates and mixes it, and encodes the outputs.
 * The command and the service both use it, so that the same options give the same bytes.
 *
 * Memory does not depend on the song's length. The Wiener filter decodes the file twice. With
 * `keep_format`, a file with more than two channels is separated one channel pair at a time
 * (channel_pairs.h). The results are kept in spools, one for each different set of stems among the
 * outputs, until all pairs are done. A helper takes several MiB, so only the first SPL_ENCODERS_MAX
 * outputs that need one are encoded during the separation; the others follow from spools, one by
 * one.
 */
#ifndef SPL_APP_PIPELINE_PIPELINE_H
#define SPL_APP_PIPELINE_PIPELINE_H

#include "app/pipeline/options.h"

typedef struct spl_pipeline_result {
    spl_audio_info input;
    uint64_t samples; /* per channel, at 44,100 Hz */
    /* Per output: number of sample values outside the range of the format. */
    uint64_t clipped[SPL_OUTPUTS_MAX];
    /* Per output: largest absolute sample value; -INFINITY for silence. */
    double peak_dbfs[SPL_OUTPUTS_MAX];
    /* Energy of (mixture - sum of all stems) relative to that of the mixture, before encoding;
     * -INFINITY when equal; NAN unless every stem has an output of its own. */
    double residual_db;
    double seconds;    /* wall-clock time */
    char warning[512]; /* from the decoder or sandbox; "" when none */
} spl_pipeline_result;

/* The stage at which a run failed. */
typedef enum spl_pipeline_stage {
    SPL_STAGE_INPUT,    /* the file could not be decoded */
    SPL_STAGE_SEPARATE, /* separation itself: memory, cancellation, arguments */
    SPL_STAGE_OUTPUT,   /* an output could not be encoded or written */
} spl_pipeline_stage;

/* Starts decoding an input, so that the model can be opened at the same time. `options` are those
 * of spl_pipeline_run; the model is not used. The caller owns *ret_decoder until it is passed to
 * spl_pipeline_run. Errors: as for spl_decoder_open. */
SPL_WARN_UNUSED int spl_pipeline_start_input(int fd, const char *name,
                                             const spl_pipeline_options *options,
                                             spl_decoder **ret_decoder, spl_error *ret_error);

/* Separates the audio file behind `fd` (regular, seekable, stays the caller's) into `outputs`.
 * `name` is for messages. On failure, no partial file exists at an output's path, existing files
 * there are unchanged, and *ret_stage (may be NULL) is the stage that failed. An existing path that
 * is not a regular file fails with ARGUMENT. Errors: as for spl_decoder_open, spl_separate, the
 * encoders and the budget; FORMAT also when there are no samples; CANCELED. */
SPL_WARN_UNUSED int spl_pipeline_run(int fd, const char *name, const spl_pipeline_options *options,
                                     const spl_output *outputs, size_t output_count,
                                     spl_pipeline_result *ret_result, spl_pipeline_stage *ret_stage,
                                     spl_error *ret_error);

#endif
