/* SPDX-License-Identifier: MIT
 *
 * The manifest of a job: input, options, model, outputs, and how far the sum of the stems is from
 * the mixture.
 */
#include "service/jobs/manifest.h"
#include "service/jobs/job_json.h"
#include "service/jobs/state.h"

#include <math.h>

static json_t *describe_model(const spl_job *job, const spl_model_info *info) {
    json_t *stems = json_array();
    for (unsigned i = 0; i < info->stem_count; i++)
        json_array_append_new(stems,
                              json_pack("{s:s, s:s, s:s}", "name", info->stems[i].name, "net",
                                        info->stems[i].network, "sha256", info->stems[i].sha256));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "name", job->model, "weights", info->name,
                     "sha256", job->model_sha256, "licence", info->licence, "source", info->source,
                     "nets", stems);
}

static json_t *describe_input(const spl_job *job, const spl_pipeline_result *result) {
    const spl_audio_info *audio = &result->input;
    return json_pack(
        "{s:s, s:I, s:s, s:s, s:i, s:i, s:i, s:o, s:s?}", "sha256", job->input_sha256, "bytes",
        (json_int_t)job->input_bytes, "container", audio->container, "codec", audio->codec,
        "sample_rate_hz", (int)audio->sample_rate_hz, "channels", (int)audio->channels,
        "bits_per_sample", (int)audio->bits_per_sample, "duration_s",
        audio->duration_us ? json_real(1e-6 * (double)audio->duration_us) : json_null(), "name",
        job->input_name);
}

static json_t *describe_outputs(const spl_job_manifest_facts *facts) {
    json_t *outputs = json_array();
    for (size_t i = 0; i < facts->output_count; i++) {
        const spl_job_output *output = &facts->outputs[i];
        json_array_append_new(
            outputs, json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:o}", "name", output->name, "file",
                               output->file, "bytes", (json_int_t)output->bytes, "sha256",
                               output->sha256, "samples", (json_int_t)output->samples, "clipped",
                               (json_int_t)output->clipped, "peak_dbfs",
                               spl_json_number(output->peak_dbfs)));
    }
    return outputs;
}

static json_t *describe_timings(const spl_job_manifest_facts *facts) {
    const spl_timings *timings = facts->timings;
    return json_pack("{s:f, s:f, s:f, s:f}", "decode_s", timings->read_s, "separate_s",
                     spl_separating_s(timings), "encode_s", spl_encoding_s(timings, facts->result),
                     "total_s", facts->result->seconds);
}

int spl_job_manifest_write(const spl_job_manifest_facts *facts, char **ret_text,
                           spl_error *ret_error) {
    const spl_pipeline_result *result = facts->result;
    json_auto_t *manifest = json_pack(
        "{s:{s:s, s:s, s:s}, s:o, s:o, s:o, s:I, s:i, s:o, s:o, s:s}", "engine", "name",
        "spleeterd", "version", spl_version(), "isa", spl_cpu_isa(), "model",
        describe_model(facts->job, facts->model), "options", spl_json_load_own(facts->job->options),
        "input", describe_input(facts->job, result), "samples", (json_int_t)result->samples,
        "sample_rate_hz", SPL_SAMPLE_RATE_HZ, "outputs", describe_outputs(facts), "timings",
        describe_timings(facts), "warning", result->warning);
    if (!manifest)
        return spl_fail_memory(ret_error);
    /* As in the command: omitted if not measured, null if the residual is zero. */
    if (!isnan(result->residual_db))
        json_object_set_new(manifest, "residual_db", spl_json_number(result->residual_db));
    char *text = json_dumps(manifest, JSON_COMPACT);
    if (!text)
        return spl_fail_memory(ret_error);
    *ret_text = text;
    return 0;
}
