/* SPDX-License-Identifier: MIT
 *
 * Audio in and out, as a program of this project sees it.
 *
 * Decoding, and encoding to anything but WAV, happen in the codec helper: a
 * child process in a sandbox (src/codec), one per file, that gets two
 * descriptors and nothing else. WAV is written here (wav.c).
 *
 * Helpers are children of the program, which must leave SIGCHLD and the
 * waiting for them alone. A helper ends with the thread that started it, so a
 * decoder or encoder must not outlive the thread that opened it.
 *
 * Samples are 32-bit float, interleaved; a count of samples is per channel.
 * A decoder or encoder belongs to one thread at a time; different ones are independent.
 */
#ifndef SPL_APP_AUDIO_AUDIO_H
#define SPL_APP_AUDIO_AUDIO_H

#include "base/error.h"

#define SPL_CHANNELS_MAX         64
#define SPL_CONTAINERS_MAX_BYTES 512
#define SPL_SECONDS_END          1e9 /* offsets, durations and limits are below it */

/* What a file says of the audio track that is decoded. A header may lie: only decoded samples
 * count. */
typedef struct spl_audio_info {
    char container[32];      /* "mp3", "mov,mp4,m4a,3gp,3g2,mj2" */
    char codec[32];          /* "mp3", "aac" */
    unsigned sample_rate_hz; /* of the file */
    unsigned channels;       /* of the file, 1 to SPL_CHANNELS_MAX */
    uint64_t channel_mask;   /* as in WAVEFORMATEXTENSIBLE: 1 front left, 2 right, ...; 0 unknown */
    unsigned bits_per_sample; /* of lossless formats; 0 otherwise */
    uint64_t duration_us;     /* microseconds; 0 unknown */
} spl_audio_info;

/* Asks whether to give up: several times a second while a call waits for the helper, on the thread
 * that made the call. True ends the call with CANCELED. No function: never. */
typedef struct spl_stop {
    bool (*ask)(void *user);
    void *user;
} spl_stop;

static inline bool spl_stop_asked(const spl_stop *stop) {
    return stop->ask && stop->ask(stop->user);
}

typedef enum spl_channel_policy {
    SPL_CHANNELS_STEREO_DOWNMIX, /* stereo: mono is duplicated, more are mixed down (BS.775) */
    SPL_CHANNELS_FIRST_TWO, /* stereo: mono is duplicated, of more the first two, as Spleeter */
    SPL_CHANNELS_ALL,       /* all of the file's channels, in its order */
} spl_channel_policy;

/* CPU time of a helper for spl_decode_options.probe. */
#define SPL_PROBE_CPU_S 4

typedef struct spl_decode_options {
    spl_channel_policy channels;
    unsigned track;    /* 0: the audio track that ffmpeg takes; n: the n-th audio track */
    double offset_s;   /* seconds to skip, >= 0; rounded to a sample of the output */
    double duration_s; /* seconds to give at most; 0: to the end */
    double
        limit_s; /* a file with more to decode, the skipped included, is refused (LIMIT); 0: none */
    char containers[SPL_CONTAINERS_MAX_BYTES]; /* names as libav has them, separated by commas, of
                                                  which the file must be one; "": any */
    bool probe;    /* only the beginning is wanted, to see what the file is: the helper gets little
                      memory and time (BUDGET) */
    spl_stop stop; /* of opening and reading; must stay valid as long as the decoder */
} spl_decode_options;

typedef struct spl_decoder spl_decoder;

/* Starts decoding the audio file behind the descriptor `fd` (regular; it stays the caller's; read
 * from the start, whatever its file position, which does not move) to 44,100 Hz. `name` is for
 * messages. Errors: ARGUMENT (the file is not of options->containers), FORMAT, UNSUPPORTED (no
 * audio track, unknown format), LIMIT (limit_s), BUDGET, HELPER, IO, MEMORY, CANCELED. */
SPL_WARN_UNUSED int spl_decoder_open(int fd, const char *name, const spl_decode_options *options,
                                     spl_decoder **ret_decoder, spl_error *ret_error);

/* What the file says of itself; owned by the decoder. */
const spl_audio_info *spl_decoder_info(const spl_decoder *decoder);

/* Channels of what spl_decoder_read gives: 2, or those of the file with SPL_CHANNELS_ALL. */
unsigned spl_decoder_channels(const spl_decoder *decoder);

/* Reads up to `capacity` samples; *ret_count = 0 at the end, which is reported only when the helper
 * said that it decoded everything. All samples are finite and within +-SPL_SAMPLE_MAX (else:
 * SAMPLE). A file that breaks off gives what could be decoded, as ffmpeg does. */
SPL_WARN_UNUSED int spl_decoder_read(spl_decoder *decoder, float *samples, size_t capacity,
                                     size_t *ret_count, spl_error *ret_error);

/* What did not stop decoding but should be told, such as "the file is damaged: 3 packets could not
 * be decoded" or "this kernel lacks Landlock"; "" when nothing. Complete after the end was read.
 * Owned by the decoder. */
const char *spl_decoder_warning(const spl_decoder *decoder);

/* Ends the helper and frees; NULL is allowed. */
void spl_decoder_free(spl_decoder *decoder);

typedef enum spl_codec {
    SPL_CODEC_WAV,
    SPL_CODEC_FLAC,
    SPL_CODEC_MP3,
    SPL_CODEC_OGG,  /* Vorbis */
    SPL_CODEC_OPUS, /* in Ogg, 48 kHz */
    SPL_CODEC_M4A,  /* AAC-LC in MP4 */
    SPL_CODEC_WMA,  /* WMA 2 in ASF */
    SPL_CODEC_COUNT,
} spl_codec;

/* "wav" and so on: Spleeter's name of the codec, and the file name extension. */
const char *spl_codec_name(spl_codec codec);

/* Finds the codec of that name; false when there is none. */
bool spl_codec_from_name(const char *name, spl_codec *ret_codec);

typedef enum spl_sample_format {
    SPL_SAMPLES_16,    /* signed integers; WAV and FLAC */
    SPL_SAMPLES_24,    /* signed integers; WAV and FLAC */
    SPL_SAMPLES_FLOAT, /* 32-bit IEEE 754; WAV only */
} spl_sample_format;

typedef struct spl_encode_options {
    spl_codec codec;
    spl_sample_format sample_format; /* WAV and FLAC; ignored by the others */
    unsigned bitrate_bps;            /* lossy codecs; ignored by the others */
    unsigned channels;               /* of the samples that come in, and of the file */
    uint64_t channel_mask;           /* as in spl_audio_info; 0: the usual one */
    unsigned sample_rate_hz;         /* of the file; samples come in at 44,100 Hz */
    spl_stop stop;                   /* of all calls; must stay valid as long as the encoder */
} spl_encode_options;

typedef struct spl_encoder spl_encoder;

/* Starts writing an audio file into the descriptor `fd`, at its file position; it stays the
 * caller's. It should be seekable; on a pipe, WAV, FLAC, MP3, Ogg and Opus still work (their
 * headers then cannot tell the length), M4A and WMA are refused (UNSUPPORTED). A sample rate that
 * the format lacks becomes its next higher, or its highest; a bit rate that the encoder lacks the
 * nearest it has. Channels that the format has no place for are refused (UNSUPPORTED). `name` is
 * for messages. */
SPL_WARN_UNUSED int spl_encoder_open(int fd, const char *name, const spl_encode_options *options,
                                     spl_encoder **ret_encoder, spl_error *ret_error);

/* Encodes `count` samples. Integer formats round to nearest and clip; the clipped ones are counted.
 */
SPL_WARN_UNUSED int spl_encoder_write(spl_encoder *encoder, const float *samples, size_t count,
                                      spl_error *ret_error);

/* Says how many samples the file is to have, at its own rate: the few more that resampling makes at
 * the end are left out. Before spl_encoder_finish; ignored when the file's rate is 44,100 Hz or not
 * the one that was asked for. */
void spl_encoder_set_length(spl_encoder *encoder, uint64_t samples);

/* Ends the file: everything is written to `fd` when this returns 0 (but not yet flushed to the
 * disk). */
SPL_WARN_UNUSED int spl_encoder_finish(spl_encoder *encoder, spl_error *ret_error);

/* Sample values (over all channels) outside the range of the format; complete after
 * spl_encoder_finish. */
uint64_t spl_encoder_clipped(const spl_encoder *encoder);

/* Ends the helper, if one runs, and frees; NULL is allowed. */
void spl_encoder_free(spl_encoder *encoder);

/* What is wrong with the sandbox on this kernel ("this kernel has no Landlock: ..."), or NULL.
 * Constant text. */
const char *spl_sandbox_warning(void);

/* From now on no helper starts where the kernel has no Landlock (HELPER). The environment variable
 * SPLEETER_REQUIRE_LANDLOCK does the same when it is 1. Thread-safe. */
void spl_sandbox_require_landlock(void);

/* Lets the codec helper try to break out of its sandbox in every way it knows. Errors: HELPER (one
 * of them worked, or it cannot be run), IO. */
SPL_WARN_UNUSED int spl_sandbox_check(spl_error *ret_error);

#endif
