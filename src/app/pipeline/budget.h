/* SPDX-License-Identifier: MIT
 *
 * The expected size of what a run writes, for planning.
 *
 * It follows from what the input's header announces (length, sample rate, channels), which may be
 * wrong. The limit of a run, spl_budget, counts what is written.
 */
#ifndef SPL_APP_PIPELINE_BUDGET_H
#define SPL_APP_PIPELINE_BUDGET_H

#include "app/pipeline/options.h"

/* How the outputs of a run on this input are encoded. */
spl_encode_options spl_pipeline_encoding(const spl_pipeline_options *options,
                                         const spl_audio_info *input);

/* The number of different stem sets among the outputs. A run mixes and spools each of them once. */
size_t spl_pipeline_sets(const spl_output *outputs, size_t output_count);

/* The most bytes that the outputs and spools of a run on `seconds` of this input are expected to
 * hold at a time. For each second:
 *
 *     outputs   number of outputs x spl_encode_bytes_s
 *     spools    different stem sets x channels x 44,100 x 4 bytes: of all outputs with several
 *               channel pairs, else of those that wait for a helper (SPL_ENCODERS_MAX) */
uint64_t spl_pipeline_expect(const spl_pipeline_options *options, const spl_audio_info *input,
                             const spl_output *outputs, size_t output_count, double seconds);

#endif
