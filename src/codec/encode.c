/* SPDX-License-Identifier: MIT
 *
 * Encodes the samples received at 44,100 Hz to the file.
 *
 *   samples -> libswresample (rate, format) -> FIFO -> frames -> encoder -> muxer -> file
 *
 * pcm.c rounds to integers, so that FLAC and WAV hold the same values. WAV is encoded here only if
 * it must be resampled, with the writer that the programs use (wav.c). Encoders and muxers run in
 * "bitexact" mode, without timestamps, versions or random numbers: the same samples give the same
 * bytes.
 */
#include "codec/codec.h"

#include "app/audio/pcm.h"
#include "app/audio/wav.h"
#include "codec/libav.h"
#include "codec/sandbox.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/audio_fifo.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
#include <string.h>

enum {
    WRITE_BYTES = 1 << 18,
    FRAME_SAMPLES = 4096, /* for encoders that accept frames of any size */
    CPU_SECONDS = 6 * 3600,
    BITRATE_TRIES = 50, /* steps of 1.1: down to about 1/100 and up to about 100 times */
};

static const int mp3_rates_hz[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 0};
static const int opus_rates_hz[] = {48000, 0};
static const int aac_rates_hz[] = {7350,  8000,  11025, 12000, 16000, 22050, 24000,
                                   32000, 44100, 48000, 64000, 88200, 96000, 0};

/* The channel layouts that Xiph's formats define. FLAC can store others too. */
static const uint64_t xiph_layouts[] = {
    AV_CH_LAYOUT_MONO,    AV_CH_LAYOUT_STEREO,       AV_CH_LAYOUT_SURROUND,
    AV_CH_LAYOUT_QUAD,    AV_CH_LAYOUT_5POINT0_BACK, AV_CH_LAYOUT_5POINT1_BACK,
    AV_CH_LAYOUT_6POINT1, AV_CH_LAYOUT_7POINT1,      0,
};
/* AAC can store others, but libav does not read them back. */
static const uint64_t aac_layouts[] = {
    AV_CH_LAYOUT_MONO,         AV_CH_LAYOUT_STEREO,  AV_CH_LAYOUT_2POINT1,
    AV_CH_LAYOUT_SURROUND,     AV_CH_LAYOUT_2_1,     AV_CH_LAYOUT_4POINT0,
    AV_CH_LAYOUT_QUAD,         AV_CH_LAYOUT_2_2,     AV_CH_LAYOUT_5POINT0_BACK,
    AV_CH_LAYOUT_5POINT1_BACK, AV_CH_LAYOUT_7POINT1, 0,
};

static const struct target {
    const char *encoder, *muxer;
    enum AVSampleFormat format; /* of libswresample's output */
    bool needs_seeking;
    int rate_min_hz, rate_max_hz;
    const int *rates_hz;     /* allowed rates, ascending, 0 at the end; NULL: any in the range */
    const uint64_t *layouts; /* preferred layouts, 0 at the end; NULL: no preference */
    bool other_layouts;      /* other layouts can be stored too */
} targets[SPL_CODEC_COUNT] = {
    [SPL_CODEC_WAV] = {NULL, NULL, AV_SAMPLE_FMT_FLT, false, 1000, 768000, NULL, NULL, true},
    [SPL_CODEC_FLAC] = {"flac", "flac", AV_SAMPLE_FMT_FLT, false, 1000, 655340, NULL, xiph_layouts,
                        true},
    [SPL_CODEC_MP3] = {"libmp3lame", "mp3", AV_SAMPLE_FMT_FLTP, false, 8000, 48000, mp3_rates_hz,
                       NULL, true},
    [SPL_CODEC_OGG] = {"libvorbis", "ogg", AV_SAMPLE_FMT_FLTP, false, 8000, 48000, NULL,
                       xiph_layouts, false},
    [SPL_CODEC_OPUS] = {"libopus", "ogg", AV_SAMPLE_FMT_FLT, false, 48000, 48000, opus_rates_hz,
                        xiph_layouts, false},
    [SPL_CODEC_M4A] = {"aac", "ipod", AV_SAMPLE_FMT_FLTP, true, 7350, 96000, aac_rates_hz,
                       aac_layouts, false},
    [SPL_CODEC_WMA] = {"wmav2", "asf", AV_SAMPLE_FMT_FLTP, true, 8000, 48000, NULL, NULL, true},
};

typedef struct encode {
    const struct target *target;
    spl_encode_options options;
    bool seekable;
    int rate_hz; /* of the file */
    uint64_t clipped;
    int64_t taken, length; /* samples taken from the FIFO, and their maximum */

    SwrContext *swr;
    AVAudioFifo *fifo;   /* samples in the target's format and at the file's rate */
    AVFrame *resampled;  /* buffer between `swr` and `fifo` */
    spl_wav_writer *wav; /* WAV only; all other formats use the following */

    off_t file_start;
    int write_errno;
    AVIOContext *io;
    AVFormatContext *container;
    AVStream *track;
    AVCodecContext *codec;
    AVFrame *frame;
    AVPacket *packet;
    int64_t next_pts;
} encode;

#if LIBAVFORMAT_VERSION_MAJOR >= 61
static int write_file(void *opaque, const uint8_t *bytes, int size)
#else
static int write_file(void *opaque, uint8_t *bytes, int size)
#endif
{
    encode *e = opaque;
    for (int done = 0; done < size;) {
        ssize_t written = write(SPL_HELPER_FILE_FD, bytes + done, (size_t)(size - done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            e->write_errno = errno;
            return AVERROR(errno);
        }
        done += (int)written;
    }
    return size;
}

static int64_t seek_file(void *opaque, int64_t offset, int whence) {
    const encode *e = opaque;
    if (whence != SEEK_SET)
        return AVERROR(EINVAL);
    off_t at = lseek(SPL_HELPER_FILE_FD, e->file_start + offset, SEEK_SET);
    return at < 0 ? AVERROR(errno) : at - e->file_start;
}

static int fail(const encode *e, int code, const char *what, spl_error *ret_error) {
    if (e->write_errno)
        return spl_fail_errno(ret_error, e->write_errno, "the file cannot be written");
    return spl_libav_fail(ret_error, code, SPL_E_UNSUPPORTED, "%s", what);
}

/* The wanted rate if the format has it, else its next higher rate, else its highest. */
static int choose_rate(spl_codec codec, unsigned wanted_hz) {
    const struct target *target = &targets[codec];
    const int wanted = (int)SPL_MAX(SPL_MIN(wanted_hz, (unsigned)target->rate_max_hz),
                                    (unsigned)target->rate_min_hz);
    for (const int *rate = target->rates_hz; rate && *rate > 0; rate++) {
        if (*rate >= wanted)
            return *rate;
    }
    /* FLAC stores high rates in units of 10 Hz. */
    return codec == SPL_CODEC_FLAC && wanted >= UINT16_MAX ? (wanted + 9) / 10 * 10 : wanted;
}

static bool is_preferred(const struct target *target, uint64_t mask) {
    const uint64_t *layout = target->layouts;
    while (layout && *layout && *layout != mask)
        layout++;
    return layout && *layout;
}

static int fail_layout(const AVChannelLayout *layout, spl_error *ret_error) {
    char name[64];
    av_channel_layout_describe(layout, name, sizeof(name));
    return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                    "this format has no place for the channels %s; choose wav or flac", name);
}

/* Chooses the layout of the channel mask, or the default layout without a mask. Where the format
 * has only the back variant of a layout with a side pair, or the reverse, the pair is renamed: for
 * example the 5.1 of AC-3. */
static int choose_layout(const encode *e, AVChannelLayout *ret_layout, spl_error *ret_error) {
    const uint64_t side = AV_CH_SIDE_LEFT | AV_CH_SIDE_RIGHT;
    const uint64_t back = AV_CH_BACK_LEFT | AV_CH_BACK_RIGHT;
    uint64_t mask = e->options.channel_mask;
    if (mask == 0) {
        av_channel_layout_default(ret_layout, (int)e->options.channels);
        if (ret_layout->order != AV_CHANNEL_ORDER_NATIVE)
            return 0;
        mask = ret_layout->u.mask;
    }
    /* A back centre channel prevents renaming, since it lies between the two. */
    const uint64_t pair = mask & (side | back | AV_CH_BACK_CENTER);
    const uint64_t renamed = pair == side || pair == back ? mask ^ side ^ back : mask;
    const bool rename = !is_preferred(e->target, mask) && is_preferred(e->target, renamed);
    int code = av_channel_layout_from_mask(ret_layout, rename ? renamed : mask);
    if (code < 0)
        return spl_libav_fail(ret_error, code, SPL_E_ARGUMENT, "channel mask");
    if (!e->target->other_layouts && !rename && !is_preferred(e->target, mask))
        return fail_layout(ret_layout, ret_error);
    return 0;
}

static int start_resampler(encode *e, AVChannelLayout *layout, spl_error *ret_error) {
    const int channels = (int)e->options.channels;
    e->fifo = av_audio_fifo_alloc(e->target->format, channels, FRAME_SAMPLES);
    e->resampled = av_frame_alloc();
    if (!e->fifo || !e->resampled)
        return spl_fail_memory(ret_error);
    int code = swr_alloc_set_opts2(&e->swr, layout, e->target->format, e->rate_hz, layout,
                                   AV_SAMPLE_FMT_FLT, SPL_SAMPLE_RATE_HZ, 0, NULL);
    if (code >= 0)
        code = swr_init(e->swr);
    return code < 0 ? fail(e, code, "resampling", ret_error) : 0;
}

/* Opus files order channels as Vorbis does. Returns libav's channel for each of these positions, or
 * NULL where libav reorders correctly: it passes 5.0 and 6.1 to libopus in a wrong order. */
static const uint8_t *opus_order(const encode *e) {
    static const uint8_t order_5_0[] = {0, 2, 1, 3, 4}, order_6_1[] = {0, 2, 1, 5, 6, 4, 3};
    if (e->options.codec != SPL_CODEC_OPUS)
        return NULL;
    return e->options.channels == 5 ? order_5_0 : e->options.channels == 7 ? order_6_1 : NULL;
}

/* Opens the encoder in e->codec with this bit rate. Returns libav's status code. */
static int open_encoder(encode *e, const AVCodec *codec, const AVChannelLayout *layout,
                        int64_t bitrate_bps) {
    const bool flac = e->options.codec == SPL_CODEC_FLAC;
    const bool deep = e->options.sample_format == SPL_SAMPLES_24;
    avcodec_free_context(&e->codec);
    e->codec = avcodec_alloc_context3(codec);
    if (!e->codec)
        return AVERROR(ENOMEM);
    e->codec->sample_rate = e->rate_hz;
    e->codec->time_base = (AVRational){1, e->rate_hz};
    e->codec->sample_fmt = e->target->format;
    if (flac)
        e->codec->sample_fmt = deep ? AV_SAMPLE_FMT_S32 : AV_SAMPLE_FMT_S16;
    if (flac && deep)
        e->codec->bits_per_raw_sample = 24;
    if (!flac)
        e->codec->bit_rate = bitrate_bps;
    e->codec->flags |= AV_CODEC_FLAG_BITEXACT;
    if (e->container->oformat->flags & AVFMT_GLOBALHEADER)
        e->codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    e->codec->thread_count = 1;
    int code = av_channel_layout_copy(&e->codec->ch_layout, layout);
    if (code >= 0 && opus_order(e)) /* one stream per channel, in libav's order */
        code = av_opt_set_int(e->codec->priv_data, "mapping_family", 255, 0);
    return code < 0 ? code : avcodec_open2(e->codec, codec, NULL);
}

/* Opens the encoder with the requested bit rate, or the nearest that it supports for this sample
 * rate and layout. */
static int open_with_nearest_bitrate(encode *e, const AVCodec *codec,
                                     const AVChannelLayout *layout) {
    const double wanted = e->options.bitrate_bps;
    double lower = wanted, higher = wanted;
    int code = open_encoder(e, codec, layout, (int64_t)wanted);
    for (int i = 0; code == AVERROR(EINVAL) && i < BITRATE_TRIES; i++) {
        lower /= 1.1;
        higher *= 1.1;
        code = open_encoder(e, codec, layout, (int64_t)lower);
        if (code == AVERROR(EINVAL))
            code = open_encoder(e, codec, layout, (int64_t)higher);
    }
    return code;
}

/* Assigns the streams of an Opus file to positions (RFC 7845, 5.1.1.2): mapping family, number of
 * streams, number of coupled streams, and the stream of each position. */
static int set_opus_positions(const encode *e, spl_error *ret_error) {
    const uint8_t *order = opus_order(e);
    const uint8_t channels = (uint8_t)e->options.channels;
    const size_t at = 18;
    if (!order)
        return 0;
    if ((size_t)e->codec->extradata_size != at + 3 + channels)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED, "libopus made a header of an unknown form");
    uint8_t *header = e->codec->extradata + at;
    header[0] = 1;
    header[1] = channels;
    header[2] = 0;
    memcpy(header + 3, order, channels);
    return 0;
}

static int start_encoder(encode *e, const AVChannelLayout *layout, spl_error *ret_error) {
    const AVCodec *codec = avcodec_find_encoder_by_name(e->target->encoder);
    if (!codec)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "libavcodec on this machine has no encoder %s", e->target->encoder);
    e->frame = av_frame_alloc();
    e->packet = av_packet_alloc();
    if (!e->frame || !e->packet)
        return spl_fail_memory(ret_error);
    const int code = open_with_nearest_bitrate(e, codec, layout);
    if (code < 0)
        return spl_libav_fail(ret_error, code, SPL_E_UNSUPPORTED,
                              "%s does not take %u channel%s at %d Hz with %u bit/s", codec->name,
                              e->options.channels, SPL_PLURAL(e->options.channels), e->rate_hz,
                              e->options.bitrate_bps);
    return set_opus_positions(e, ret_error);
}

static int start_muxer(encode *e, const AVChannelLayout *layout, spl_error *ret_error) {
    e->file_start = e->seekable ? lseek(SPL_HELPER_FILE_FD, 0, SEEK_CUR) : 0;
    uint8_t *buffer = av_malloc(WRITE_BYTES);
    e->io = avio_alloc_context(buffer, WRITE_BYTES, 1, e, NULL, write_file,
                               e->seekable ? seek_file : NULL);
    avformat_alloc_output_context2(&e->container, NULL, e->target->muxer, NULL);
    if (!buffer || !e->io || !e->container)
        return spl_fail_memory(ret_error);
    e->container->pb = e->io;
    e->container->flags |= AVFMT_FLAG_BITEXACT;

    int status = start_encoder(e, layout, ret_error);
    if (status < 0)
        return status;
    e->track = avformat_new_stream(e->container, NULL);
    if (!e->track)
        return spl_fail_memory(ret_error);
    e->track->time_base = e->codec->time_base;
    int code = avcodec_parameters_from_context(e->track->codecpar, e->codec);
    AVDictionary *options = NULL;
    /* Makes the edit list state the length to the sample. */
    if (e->options.codec == SPL_CODEC_M4A)
        av_dict_set_int(&options, "movie_timescale", e->rate_hz, 0);
    if (code >= 0)
        code = avformat_write_header(e->container, &options);
    av_dict_free(&options);
    return code < 0 ? fail(e, code, "starting the file", ret_error) : 0;
}

/* WMA decoders drop the first two frames, the delay of Microsoft's encoder. libavcodec's encoder
 * has a delay of one frame, so a frame of silence is prepended to preserve the first frame. */
static int pad_wma(encode *e, spl_error *ret_error) {
    static float silence[2048];
    void *planes[] = {silence, silence};
    const int count = SPL_MIN(e->codec->frame_size, (int)SPL_ARRAY_SIZE(silence));
    e->taken = -count; /* the silence does not count towards the length */
    int code = av_audio_fifo_write(e->fifo, planes, count);
    return code < 0 ? fail(e, code, "encoding", ret_error) : 0;
}

static int start(encode *e, spl_error *ret_error) {
    const spl_wav_format wav = {
        .sample_format = e->options.sample_format,
        .channels = e->options.channels,
        .channel_mask = e->options.channel_mask,
        .sample_rate_hz = (unsigned)e->rate_hz,
    };
    AVChannelLayout layout = {0};
    int status = choose_layout(e, &layout, ret_error);
    if (status == 0)
        status = start_resampler(e, &layout, ret_error);
    if (status == 0 && e->options.codec == SPL_CODEC_WAV)
        status = spl_wav_writer_open(SPL_HELPER_FILE_FD, "the file", e->seekable, &wav, NULL,
                                     &e->wav, ret_error);
    else if (status == 0)
        status = start_muxer(e, &layout, ret_error);
    if (status == 0 && e->options.codec == SPL_CODEC_WMA)
        status = pad_wma(e, ret_error);
    av_channel_layout_uninit(&layout);
    return status;
}

/* Encodes a frame, or drains the encoder (NULL), and writes the packets. */
static int encode_frame(encode *e, const AVFrame *frame, spl_error *ret_error) {
    int code = avcodec_send_frame(e->codec, frame);
    while (code >= 0) {
        code = avcodec_receive_packet(e->codec, e->packet);
        if (code < 0)
            break;
        av_packet_rescale_ts(e->packet, e->codec->time_base, e->track->time_base);
        code = av_write_frame(e->container, e->packet);
        av_packet_unref(e->packet);
        if (code >= 0)
            code = e->io->error;
    }
    return code < 0 && code != AVERROR(EAGAIN) && code != AVERROR_EOF
               ? fail(e, code, "encoding", ret_error)
               : 0;
}

/* The samples in the FIFO that belong to the file. */
static int available_samples(const encode *e) {
    return (int)SPL_MIN((int64_t)av_audio_fifo_size(e->fifo), SPL_MAX(e->length - e->taken, 0));
}

/* Moves `count` samples from the FIFO to the frame, in the encoder's format. */
static int fill_frame(encode *e, int count) {
    AVFrame *frame = e->frame;
    av_frame_unref(frame);
    frame->format = e->codec->sample_fmt;
    frame->sample_rate = e->rate_hz;
    frame->nb_samples = count;
    frame->pts = e->next_pts;
    e->next_pts += count;
    e->taken += count;
    int code = av_channel_layout_copy(&frame->ch_layout, &e->codec->ch_layout);
    if (code >= 0)
        code = av_frame_get_buffer(frame, 0);
    if (code < 0)
        return code;
    if (e->options.codec != SPL_CODEC_FLAC)
        return av_audio_fifo_read(e->fifo, (void **)frame->extended_data, count);

    static float samples[8 * 65536];
    const size_t values = (size_t)count * e->options.channels;
    code = av_audio_fifo_read(e->fifo, (void *[]){samples}, count);
    if (frame->format == AV_SAMPLE_FMT_S16) {
        e->clipped += spl_pcm_to_s16(samples, values, (int16_t *)(void *)frame->data[0]);
    } else {
        int32_t *pcm = (int32_t *)(void *)frame->data[0];
        e->clipped += spl_pcm_to_s24(samples, values, pcm);
        for (size_t i = 0; i < values; i++)
            pcm[i] *= 256; /* libavcodec expects the 24 bits in the upper bytes */
    }
    return code;
}

/* Encodes the samples in the FIFO: only whole frames, unless it is the end. */
static int drain_fifo(encode *e, bool end, spl_error *ret_error) {
    if (e->wav) {
        float samples[FRAME_SAMPLES];
        const int part = FRAME_SAMPLES / (int)e->options.channels;
        int count, status = 0;
        while (status == 0 && (count = SPL_MIN(available_samples(e), part)) > 0) {
            av_audio_fifo_read(e->fifo, (void *[]){samples}, count);
            e->taken += count;
            status = spl_wav_writer_write(e->wav, samples, (size_t)count, ret_error);
        }
        return status;
    }
    const int frame_samples = e->codec->frame_size > 0 ? e->codec->frame_size : FRAME_SAMPLES;
    int available;
    while ((available = available_samples(e)) >= frame_samples || (end && available > 0)) {
        int code = fill_frame(e, SPL_MIN(available, frame_samples));
        int status =
            code < 0 ? fail(e, code, "encoding", ret_error) : encode_frame(e, e->frame, ret_error);
        if (status < 0)
            return status;
    }
    return 0;
}

/* Resamples `count` samples, or drains the resampler (NULL), and encodes the complete frames. */
static int take_samples(encode *e, const float *samples, int count, spl_error *ret_error) {
    AVFrame *resampled = e->resampled;
    av_frame_unref(resampled);
    resampled->format = e->target->format;
    resampled->sample_rate = e->rate_hz;
    resampled->nb_samples = swr_get_out_samples(e->swr, count) + 1;
    resampled->ch_layout.order = AV_CHANNEL_ORDER_UNSPEC;
    resampled->ch_layout.nb_channels = (int)e->options.channels;
    int code = av_frame_get_buffer(resampled, 0);
    if (code >= 0) {
        const uint8_t *from[] = {(const uint8_t *)samples};
        code = swr_convert(e->swr, resampled->extended_data, resampled->nb_samples,
                           samples ? from : NULL, count);
    }
    if (code >= 0)
        code = av_audio_fifo_write(e->fifo, (void **)resampled->extended_data, code);
    return code < 0 ? fail(e, code, "resampling", ret_error) : drain_fifo(e, !samples, ret_error);
}

static int finish_muxed(encode *e, spl_error *ret_error) {
    int status = encode_frame(e, NULL, ret_error);
    if (status < 0)
        return status;
    int code = av_write_trailer(e->container);
    avio_flush(e->io);
    if (code >= 0)
        code = e->io->error;
    return code < 0 ? fail(e, code, "ending the file", ret_error) : 0;
}

static int finish(encode *e, uint64_t length, spl_error *ret_error) {
    if (e->rate_hz == (int)e->options.sample_rate_hz && length < INT64_MAX)
        e->length = (int64_t)length;
    int status = take_samples(e, NULL, 0, ret_error);
    if (status == 0)
        status = e->wav ? spl_wav_writer_finish(e->wav, ret_error) : finish_muxed(e, ret_error);
    if (status < 0)
        return status;
    const spl_encode_end end = {.clipped = e->wav ? spl_wav_writer_clipped(e->wav) : e->clipped};
    return spl_record_send(SPL_HELPER_CHANNEL_FD, SPL_RECORD_END_ENCODE, &end, sizeof(end));
}

static int encode_all(encode *e, spl_error *ret_error) {
    static float samples[SPL_RECORD_SAMPLES_MAX_BYTES / sizeof(float)];
    const size_t sample_bytes = e->options.channels * sizeof(float);
    for (;;) {
        spl_record_header header;
        int status = spl_record_receive_header(SPL_HELPER_CHANNEL_FD, &header);
        if (status < 0)
            return status;
        spl_encode_finish end;
        if (header.type == SPL_RECORD_FINISH && header.size_bytes == sizeof(end)) {
            status = spl_record_receive(SPL_HELPER_CHANNEL_FD, &end, sizeof(end));
            return status < 0 ? status : finish(e, end.length, ret_error);
        }
        if (header.type != SPL_RECORD_SAMPLES || header.size_bytes > sizeof(samples) ||
            header.size_bytes % sample_bytes != 0)
            return spl_fail(ret_error, SPL_E_HELPER, "the codec helper was sent a wrong record");
        status = spl_record_receive(SPL_HELPER_CHANNEL_FD, samples, header.size_bytes);
        if (status == 0)
            status = take_samples(e, samples, (int)(header.size_bytes / sample_bytes), ret_error);
        if (status < 0)
            return status;
    }
}

int spl_codec_encode(const spl_encode_request *request, spl_error *ret_error) {
    const spl_sandbox_budget budget = {.memory_mib = SPL_SANDBOX_MEMORY_MIB,
                                       .cpu_s = CPU_SECONDS,
                                       .file_bytes = request->end_bytes};
    spl_libav_start(budget.memory_mib);
    bool without_landlock;
    int status = spl_sandbox_enter(SPL_SANDBOX_ENCODE, &budget, &without_landlock, ret_error);
    if (status < 0)
        return status;

    static encode e;
    e.options = request->options;
    e.target = &targets[e.options.codec];
    e.seekable = request->seekable;
    e.length = INT64_MAX / 2; /* no limit; half the maximum, to subtract without overflow */
    e.rate_hz = choose_rate(e.options.codec, e.options.sample_rate_hz);
    if (e.target->needs_seeking && !e.seekable)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "this format cannot be written to a pipe; write it to a file");
    status = start(&e, ret_error);
    if (status == 0)
        status = spl_record_send(SPL_HELPER_CHANNEL_FD, SPL_RECORD_READY, NULL, 0);
    if (status == 0)
        status = encode_all(&e, ret_error);
    return status;
}
