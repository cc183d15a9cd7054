/* SPDX-License-Identifier: MIT
 *
 * The options, outputs and limits of a run (pipeline.h).
 */
#ifndef SPL_APP_PIPELINE_OPTIONS_H
#define SPL_APP_PIPELINE_OPTIONS_H

#include "app/audio/audio.h"

#include <spleeter/spleeter.h>

#define SPL_OUTPUTS_MAX 64

/* The most helpers of a run that encode at the same time. Further outputs wait in spools. */
#define SPL_ENCODERS_MAX 8

/* The most descriptors that a run opens: for each output a file that it makes itself and a spool;
 * for each helper a socket and what its start needs. */
#define SPL_RUN_DESCRIPTORS_MAX (2 * SPL_OUTPUTS_MAX + SPL_ENCODERS_MAX + 8)

/* One file to write: a stem, or the sum of several. */
typedef struct spl_output {
    const char *name; /* of the stem or mix, for messages */
    uint64_t stems;   /* bit mask of the model's stems in it; not 0 */
    const char *path; /* of the file; its folder must exist; NULL: write to `fd` */
    int fd;           /* used when path is NULL; stays the caller's; may be a pipe */
} spl_output;

/* Limits the bytes that a run writes. */
typedef struct spl_budget {
    /* Called on the thread of the run before it writes up to about `next_bytes`, and at the end.
     * `held_bytes` is the size of its outputs and spools; a file that a helper writes may grow a
     * little later. A negative status ends the run with it. NULL: no limit. */
    int (*allow)(void *user, uint64_t held_bytes, uint64_t next_bytes, spl_error *ret_error);
    void *user;
} spl_budget;

typedef struct spl_pipeline_options {
    spl_model *model;
    spl_bandwidth bandwidth;
    bool wiener;
    unsigned threads;            /* 0: all CPUs */
    spl_channel_policy channels; /* of the input: DOWNMIX or FIRST_TWO; unused with keep_format */
    double offset_s, duration_s; /* as in spl_decode_options */
    double limit_s;              /* as in spl_decode_options */
    bool keep_format;            /* outputs have the input's sample rate, channels and length */
    spl_codec codec;
    spl_sample_format sample_format;
    unsigned bitrate_bps;
    /* As in spl_separate_options; also called once before separation starts. If a file has several
     * channel pairs, the passes over all of them are counted. May be NULL. */
    spl_status (*progress)(void *user, const spl_progress *progress);
    void *progress_user;
    /* Cancels the run, within about a tenth of a second even while it waits for a decoder or
     * encoder. */
    spl_stop stop;
    spl_budget budget;
    /* As in spl_separate_options: read_s includes decoding, write_s encoding. May be NULL. */
    spl_timings *timings;
    /* For temporary files of outputs without a path. NULL: $TMPDIR, or /tmp. */
    const char *spool_folder;
    /* From spl_pipeline_start_input for this input; the run frees it. NULL: not started. */
    spl_decoder *decoder;
} spl_pipeline_options;

#endif
