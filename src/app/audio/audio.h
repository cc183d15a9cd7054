/* SPDX-License-Identifier: MIT
 *
 * Decoding and encoding of audio files.
 *
 * The codec helper decodes all formats and encodes all but WAV at 44,100 Hz, which is written in
 * this process (wav.c). The helper is a sandboxed child process (src/codec), one per file, that
 * inherits two descriptors and nothing else.
 *
 * Helpers are children of the program, so the program must not handle SIGCHLD or wait for them.
 * The kernel kills a helper when the thread that started it exits: a decoder or encoder must not
 * outlive the thread that opened it.
 *
 * Samples are interleaved 32-bit floats; a count of samples is per channel. A decoder or encoder
 * may be used by one thread at a time; different ones are independent.
 */
#ifndef SPL_APP_AUDIO_AUDIO_H
#define SPL_APP_AUDIO_AUDIO_H

#include "base/error.h"

#define SPL_CHANNELS_MAX         64
#define SPL_CONTAINERS_MAX_BYTES 512
#define SPL_SAMPLE_RATE_MAX_HZ   768000 /* of a file */
#define SPL_SECONDS_END          1e9 /* upper bound, exclusive, of offsets, durations and limits */
#define SPL_DURATION_MAX_US      UINT64_C(1000000000000000) /* 1e9 seconds; what a header states */

/* The decoded audio track as the file's header describes it. The header may be wrong; only the
 * decoded samples are authoritative. */
typedef struct spl_audio_info {
    char container[32];      /* "mp3", "mov,mp4,m4a,3gp,3g2,mj2" */
    char codec[32];          /* "mp3", "aac" */
    unsigned sample_rate_hz; /* of the file, 1 to SPL_SAMPLE_RATE_MAX_HZ */
    unsigned channels;       /* of the file, 1 to SPL_CHANNELS_MAX */
    /* As in WAVEFORMATEXTENSIBLE: 1 front left, 2 right, ..., as many bits as channels; 0 unknown.
     */
    uint64_t channel_mask;
    unsigned bits_per_sample; /* of lossless formats; 0 otherwise */
    uint64_t duration_us;     /* up to SPL_DURATION_MAX_US; 0 unknown */
} spl_audio_info;

/* A cancellation check. It is polled several times a second while a call waits for the helper, on
 * the calling thread; true ends the call with CANCELED. NULL: never canceled. */
typedef struct spl_stop {
    bool (*requested)(void *user);
    void *user;
} spl_stop;

static inline bool spl_stop_requested(const spl_stop *stop) {
    return stop->requested && stop->requested(stop->user);
}

typedef enum spl_channel_policy {
    /* Stereo: mono is duplicated, three or more channels are mixed down (BS.775). */
    SPL_CHANNELS_STEREO_DOWNMIX,
    /* Stereo: mono is duplicated, channels after the second are dropped, as in Spleeter. */
    SPL_CHANNELS_FIRST_TWO,
    /* All of the file's channels, in its order. */
    SPL_CHANNELS_ALL,
} spl_channel_policy;

/* CPU time limit of the helper with spl_decode_options.probe. */
#define SPL_PROBE_CPU_S 4

typedef struct spl_decode_options {
    spl_channel_policy channels;
    unsigned track;    /* 0: the audio track that ffmpeg selects; n: the n-th audio track */
    double offset_s;   /* seconds to skip, >= 0; rounded to a sample of the output */
    double duration_s; /* seconds to decode at most; 0: to the end */
    /* A file with more seconds to decode, including the skipped ones, fails with LIMIT; 0: none. */
    double limit_s;
    /* The accepted container formats: libav's names, separated by commas; "": any. */
    char containers[SPL_CONTAINERS_MAX_BYTES];
    /* Only the beginning will be read, to identify the file: the helper runs with small limits on
     * memory and time (BUDGET). */
    bool probe;
    spl_stop stop; /* for opening and reading; must stay valid as long as the decoder */
} spl_decode_options;

typedef struct spl_decoder spl_decoder;

/* Starts decoding the audio file behind the descriptor `fd` to 44,100 Hz. `fd` must be a regular
 * file and stays the caller's; it is read from the start, and its file position is neither used nor
 * moved. `name` is for messages. Errors: ARGUMENT (not a regular file, not one of
 * options->containers, options out of range), FORMAT, UNSUPPORTED (no audio track, unknown format),
 * LIMIT (limit_s), BUDGET, HELPER, IO, MEMORY, CANCELED. */
SPL_WARN_UNUSED int spl_decoder_open(int fd, const char *name, const spl_decode_options *options,
                                     spl_decoder **ret_decoder, spl_error *ret_error);

/* The header's description of the audio track; owned by the decoder. */
const spl_audio_info *spl_decoder_info(const spl_decoder *decoder);

/* The number of channels that spl_decoder_read returns: 2, or the file's with SPL_CHANNELS_ALL. */
unsigned spl_decoder_channels(const spl_decoder *decoder);

/* Reads up to `capacity` samples. *ret_count is 0 at the end, which is reported only after the
 * helper confirmed that it decoded everything. All samples are finite and within +-SPL_SAMPLE_MAX
 * (else: SAMPLE). A truncated file yields what could be decoded, as with ffmpeg. */
SPL_WARN_UNUSED int spl_decoder_read(spl_decoder *decoder, float *samples, size_t capacity,
                                     size_t *ret_count, spl_error *ret_error);

/* Warnings about problems that did not stop decoding, such as "the file is damaged: 3 packets could
 * not be decoded" or that the kernel lacks Landlock; "" when there are none. Complete after the end
 * was read. Owned by the decoder. */
const char *spl_decoder_warning(const spl_decoder *decoder);

/* Ends the helper and frees the decoder; NULL is allowed. */
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

/* "wav" and so on: Spleeter's name for the codec, and the file name extension. */
const char *spl_codec_name(spl_codec codec);

/* Finds the codec with this name; false when there is none. */
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
    unsigned channels;               /* of the input samples and of the file */
    uint64_t channel_mask;           /* as in spl_audio_info; 0: the default for `channels` */
    unsigned sample_rate_hz;         /* of the file; input samples are at 44,100 Hz */
    /* The longest that the file may become; 0: any length. A helper that writes a file far beyond
     * the size of that many samples fails with IO. */
    double seconds_max;
    spl_stop stop; /* for all calls; must stay valid as long as the encoder */
} spl_encode_options;

/* The bytes of one second of a file with these options, as an upper estimate:
 *
 *     WAV, FLAC   sample rate x channels x bytes of a value (2, 3 or 4) x 1.01
 *     others      bit rate / 8 x 1.25
 *
 * A file may still be larger: an encoder that lacks the bit rate takes the nearest that it has. */
double spl_encode_bytes_s(const spl_encode_options *options);

/* Whether a helper encodes the file: all but WAV at 44,100 Hz. */
bool spl_encode_needs_helper(const spl_encode_options *options);

typedef struct spl_encoder spl_encoder;

/* Starts writing an audio file to the descriptor `fd`, at its file position; `fd` stays the
 * caller's, and `name` is for messages. `fd` should be seekable: on a pipe, WAV, FLAC, MP3, Ogg and
 * Opus work, but their headers lack the length, and M4A and WMA fail with UNSUPPORTED.
 *
 * A sample rate that the format lacks is raised to its next one, or lowered to its highest. A bit
 * rate that the encoder lacks is replaced by the nearest. A channel layout that the format cannot
 * store fails with UNSUPPORTED. */
SPL_WARN_UNUSED int spl_encoder_open(int fd, const char *name, const spl_encode_options *options,
                                     spl_encoder **ret_encoder, spl_error *ret_error);

/* Encodes `count` samples. Integer formats round to nearest, and clip and count values outside;
 * lossy formats clip and count those outside +-4. BUDGET when the helper hangs. */
SPL_WARN_UNUSED int spl_encoder_write(spl_encoder *encoder, const float *samples, size_t count,
                                      spl_error *ret_error);

/* Sets the file's length in samples at its own rate: the few excess samples that resampling makes
 * at the end are dropped. Call it before spl_encoder_finish. Ignored for a WAV file at 44,100 Hz,
 * and when the file's rate is not the requested one. */
void spl_encoder_set_length(spl_encoder *encoder, uint64_t samples);

/* Completes the file: when this returns 0, everything is written to `fd`, but not yet flushed to
 * the disk. */
SPL_WARN_UNUSED int spl_encoder_finish(spl_encoder *encoder, spl_error *ret_error);

/* The number of sample values, over all channels, outside the format's range; complete after
 * spl_encoder_finish. */
uint64_t spl_encoder_clipped(const spl_encoder *encoder);

/* The size of the file so far, including what this process still buffers. If the helper writes the
 * file, the last samples may not be counted yet. */
uint64_t spl_encoder_bytes(const spl_encoder *encoder);

/* Ends the helper, if one runs, and frees the encoder; NULL is allowed. */
void spl_encoder_free(spl_encoder *encoder);

/* A static description of what the sandbox lacks on this kernel ("this kernel has no Landlock
 * ..."), or NULL. */
const char *spl_sandbox_warning(void);

/* From now on, starting a helper fails with HELPER if the kernel has no Landlock. The environment
 * variable SPLEETER_REQUIRE_LANDLOCK=1 has the same effect. Thread-safe. */
void spl_sandbox_require_landlock(void);

/* Runs the codec helper's self-test, which tries to break out of its sandbox. Errors: HELPER (an
 * attempt succeeded, or the helper cannot be run), IO. */
SPL_WARN_UNUSED int spl_sandbox_check(spl_error *ret_error);

#endif
