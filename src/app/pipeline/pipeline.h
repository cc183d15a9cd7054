/* SPDX-License-Identifier: MIT
 *
 * One song from a file to the files of its stems: decode, separate, mix, encode.
 * The command and the service both go through here, so that the same options give the same bytes.
 *
 * Memory is constant whatever the song's length. The Wiener filter decodes the file twice. With
 * `keep_format` a file of more than two channels is separated one channel pair after the other
 * (lanes.h), and what comes out waits in unlinked temporary files until all channels are there.
 */
#ifndef SPL_APP_PIPELINE_PIPELINE_H
#define SPL_APP_PIPELINE_PIPELINE_H

#include "app/audio/audio.h"

#include <spleeter/spleeter.h>

#define SPL_OUTPUTS_MAX 64

/* One file to write: a stem, or the sum of several. */
typedef struct spl_output {
    const char *name; /* of the stem or mix, for messages */
    uint64_t stems;   /* bit i: the model's i-th stem is in it; at least one */
    const char *path; /* where the file will be; its folder must exist; NULL: write to `fd` */
    int fd;           /* used when path is NULL: stays the caller's; may be a pipe */
} spl_output;

typedef struct spl_pipeline_options {
    spl_model *model;
    spl_bandwidth bandwidth;
    bool wiener;
    unsigned threads;            /* 0: all CPUs */
    spl_channel_policy channels; /* of the input: DOWNMIX or FIRST_TWO; unused with keep_format */
    double offset_s, duration_s; /* as in spl_decode_options */
    double limit_s;              /* as in spl_decode_options */
    bool keep_format;            /* outputs get the input's sample rate, channels and length */
    spl_codec codec;
    spl_sample_format sample_format;
    unsigned bitrate_bps;
    /* As in spl_separate_options; additionally called once before the first sample is decoded. A
     * file whose channel pairs are separated one by one counts each of them as a pass. May be NULL.
     */
    int (*progress)(void *user, const spl_progress *progress);
    void *progress_user;
    spl_stop stop; /* also while the run waits for a decoder or encoder: within a tenth of a second
                      or so the run is canceled */
    spl_timings *timings; /* as in spl_separate_options: decoding is in read_s, encoding in write_s;
                             may be NULL */
    const char
        *spool_folder; /* for temporary files of outputs without a path; NULL: $TMPDIR, or /tmp */
    spl_decoder *decoder; /* of spl_pipeline_start_input for this input; the run frees it; NULL: not
                             started */
} spl_pipeline_options;

typedef struct spl_pipeline_result {
    spl_audio_info input;
    uint64_t samples; /* per channel, at 44,100 Hz */
    uint64_t
        clipped[SPL_OUTPUTS_MAX]; /* per output: sample values outside the range of the format */
    double
        peak_dbfs[SPL_OUTPUTS_MAX]; /* per output: largest absolute sample; -INFINITY for silence */
    double residual_db; /* energy of (mixture - sum of all stems) over that of the mixture, before
                                            encoding; -INFINITY when equal; NAN unless every stem is
                           an output of its own */
    double seconds;     /* wall-clock time it took */
    char warning[512];  /* of the decoder or sandbox; "" when none */
} spl_pipeline_result;

/* Which side a failure is on. */
typedef enum spl_pipeline_stage {
    SPL_STAGE_INPUT,    /* the file could not be decoded */
    SPL_STAGE_SEPARATE, /* separation itself: memory, cancel, arguments */
    SPL_STAGE_OUTPUT,   /* a stem could not be encoded or written */
} spl_pipeline_stage;

/* Starts decoding an input while the model is still being opened: `options` as for
 * spl_pipeline_run, without model. The caller owns *ret_decoder until then. Errors: as for
 * spl_decoder_open. */
SPL_WARN_UNUSED int spl_pipeline_start_input(int fd, const char *name,
                                             const spl_pipeline_options *options,
                                             spl_decoder **ret_decoder, spl_error *ret_error);

/* Separates the audio file behind `fd` (regular, seekable, stays the caller's; `name` for messages)
 * into `outputs`. On failure no output with a path exists in part, those that stood there before
 * are untouched, and *ret_stage (may be NULL) says where it failed. An existing path that is not a
 * regular file is refused. Errors: as for spl_decoder_open, spl_separate and the encoders; FORMAT
 * also when there are no samples; CANCELED. */
SPL_WARN_UNUSED int spl_pipeline_run(int fd, const char *name, const spl_pipeline_options *options,
                                     const spl_output *outputs, size_t output_count,
                                     spl_pipeline_result *ret_result, spl_pipeline_stage *ret_stage,
                                     spl_error *ret_error);

#endif
