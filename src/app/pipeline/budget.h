/* SPDX-License-Identifier: MIT
 *
 * How many bytes a run writes: an estimate in advance, and a limit while it runs.
 *
 * What a file announces (length, sample rate, channels) is a prediction. The estimate follows it,
 * to plan. The limit counts what is written.
 */
#ifndef SPL_APP_PIPELINE_BUDGET_H
#define SPL_APP_PIPELINE_BUDGET_H

#include "app/pipeline/options.h"

/* How the outputs of a run on this input are encoded. */
spl_encode_options spl_pipeline_encoding(const spl_pipeline_options *options,
                                         const spl_audio_info *input);

/* The number of different stem sets among the outputs. A run mixes and spools each of them once. */
size_t spl_pipeline_sets(const spl_output *outputs, size_t output_count);

/* The bytes that a run on `seconds` of this input is expected to hold at most, in its outputs and
 * spools. For each second:
 *
 *     outputs   number of outputs x spl_encode_bytes_s
 *     spools    different stem sets x channels x 44,100 x 4 bytes: of all outputs with several
 *               channel pairs, else of those that wait for a helper (SPL_ENCODERS_MAX) */
uint64_t spl_pipeline_expect(const spl_pipeline_options *options, const spl_audio_info *input,
                             const spl_output *outputs, size_t output_count, double seconds);

#endif
