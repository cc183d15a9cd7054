/* SPDX-License-Identifier: MIT */
#include "app/pipeline/budget.h"

#include "app/pipeline/channel_pairs.h"

/* Of each output, for headers and tables. */
#define FILE_EXTRA_BYTES 16384

spl_encode_options spl_pipeline_encoding(const spl_pipeline_options *options,
                                         const spl_audio_info *input) {
    const double duration_s = options->duration_s, limit_s = options->limit_s;
    const bool shorter = duration_s > 0 && (limit_s <= 0 || duration_s < limit_s);
    return (spl_encode_options){
        .codec = options->codec,
        .sample_format = options->sample_format,
        .bitrate_bps = options->bitrate_bps,
        .channels = options->keep_format ? input->channels : 2,
        .channel_mask = options->keep_format ? input->channel_mask : 0,
        .sample_rate_hz = options->keep_format ? input->sample_rate_hz : SPL_SAMPLE_RATE_HZ,
        .seconds_max = shorter ? duration_s : limit_s,
        .stop = options->stop,
    };
}

size_t spl_pipeline_sets(const spl_output *outputs, size_t output_count) {
    size_t sets = 0;
    for (size_t i = 0; i < output_count; i++) {
        size_t equal = 0;
        while (outputs[equal].stems != outputs[i].stems)
            equal++;
        sets += equal == i;
    }
    return sets;
}

uint64_t spl_pipeline_expect(const spl_pipeline_options *options, const spl_audio_info *input,
                             const spl_output *outputs, size_t output_count, double seconds) {
    const spl_encode_options encode = spl_pipeline_encoding(options, input);
    double bytes_s = (double)output_count * spl_encode_bytes_s(&encode);
    spl_channel_pair pairs[SPL_CHANNELS_MAX];
    size_t spools = 0;
    if (options->keep_format &&
        spl_channel_pairs_of(input->channels, input->channel_mask, pairs) > 1)
        spools = spl_pipeline_sets(outputs, output_count);
    else if (spl_encode_needs_helper(&encode) && output_count > SPL_ENCODERS_MAX)
        spools = spl_pipeline_sets(outputs + SPL_ENCODERS_MAX, output_count - SPL_ENCODERS_MAX);
    bytes_s += (double)spools * encode.channels * SPL_SAMPLE_RATE_HZ * sizeof(float);
    return (uint64_t)(seconds * bytes_s) + output_count * FILE_EXTRA_BYTES;
}
