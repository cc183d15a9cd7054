/* SPDX-License-Identifier: MIT
 *
 * What to separate from a song and how to write it: one structure for the command and the service.
 *
 *     arguments, form fields, queries   spl_separation_set       one text per option
 *     JSON                              spl_separation_read_json (separation_json.h)
 *     database, cache key               spl_separation_text      (separation_json.h)
 *
 * Names of stems stay texts until the model is open; spl_separation_select turns them into bits.
 */
#ifndef SPL_APP_REQUEST_SEPARATION_H
#define SPL_APP_REQUEST_SEPARATION_H

#include "app/pipeline/pipeline.h"

/* A sorted set of names. */
typedef struct spl_names {
    char **items;
    size_t count;
} spl_names;

typedef struct spl_mix {
    char *name;
    spl_names stems; /* at least one */
} spl_mix;

/* Owns its texts. Zero-initialized memory is empty, but only spl_separation_init sets defaults. */
typedef struct spl_separation {
    char *model;     /* a name, or for the command also a path; NULL: not given */
    spl_names stems; /* empty: not given */
    spl_mix *mixes;  /* in the order given; their names differ */
    size_t mix_count;
    spl_codec codec;
    bool has_bit_depth;
    spl_sample_format sample_format;
    unsigned bitrate_bps;
    bool has_bandwidth; /* otherwise the model's name decides */
    spl_bandwidth bandwidth;
    bool wiener, keep_format;
    double offset_s, duration_s; /* duration 0: to the end */
} spl_separation;

/* 16-bit WAV; 128 kbit/s for lossy codecs. */
void spl_separation_init(spl_separation *separation);
void spl_separation_free(spl_separation *separation);

/* Sets the option `key` ("bit_depth") from `text`: "vocals,drums" for stems,
 * "karaoke=drums+bass,voice=vocals" for mixes, "true" or "false" for switches. A later text
 * replaces an earlier one, but mixes are added. Errors: ARGUMENT, with a message that begins with
 * `label` as the user writes the option ("--bit-depth") or states what to give; MEMORY. */
SPL_WARN_UNUSED int spl_separation_set(spl_separation *separation, const char *key,
                                       const char *label, const char *text, spl_error *ret_error);

/* Adds the names in `list` to `names`; spaces around them are ignored. Errors: ARGUMENT (more than
 * SPL_OUTPUTS_MAX), MEMORY. */
SPL_WARN_UNUSED int spl_names_add(spl_names *names, const char *list, char separator,
                                  spl_error *ret_error);
void spl_names_free(spl_names *names);

/* Adds a mix and takes ownership of `stems`, even on failure. Errors: ARGUMENT (no name, a second
 * mix of that name, no stems, more than SPL_OUTPUTS_MAX mixes), MEMORY. */
SPL_WARN_UNUSED int spl_separation_add_mix(spl_separation *separation, const char *name,
                                           size_t length, spl_names *stems, spl_error *ret_error);

/* Checks options that depend on each other, after all are set; `label` is that of the bit depth.
 * Errors: ARGUMENT. */
SPL_WARN_UNUSED int spl_separation_check(const spl_separation *separation, const char *label,
                                         spl_error *ret_error);

/* The files to write for a song, without their paths or descriptors. Refers to the model and the
 * separation, which must outlive it. */
typedef struct spl_parts {
    spl_output outputs[SPL_OUTPUTS_MAX];
    size_t count;
} spl_parts;

/* Selects stems and mixes of `model`, stems first. Without stems, the mixes are selected, or all
 * stems if there are no mixes either. Errors: ARGUMENT (the model lacks a stem, too many parts). */
SPL_WARN_UNUSED int spl_separation_select(const spl_separation *separation,
                                          const spl_model_info *model, spl_parts *ret_parts,
                                          spl_error *ret_error);

/* Pipeline options for `separation`; `model_bandwidth` is used if none was given. All members that
 * a separation does not determine are zero. */
spl_pipeline_options spl_separation_pipeline(const spl_separation *separation,
                                             spl_bandwidth model_bandwidth);

#endif
