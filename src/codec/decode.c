/* SPDX-License-Identifier: MIT
 *
 * Decodes one audio track of the media file to 44,100 Hz float.
 *
 * The result is that of `ffmpeg -i FILE -ar 44100 -f f32le`. The same track is chosen, libavcodec
 * drops the samples that a format declares as encoder delay or padding, and libswresample converts
 * with its defaults. Timestamps matter only for the offset (-ss) and for a track that starts late.
 *
 * Only the demuxers and decoders listed below are used. The demuxer is chosen by content. Demuxers
 * that open other files are not listed, and opening a file is denied anyway.
 */
#include "codec/codec.h"

#include "codec/input.h"
#include "codec/libav.h"
#include "codec/sandbox.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>
#include <libavutil/intreadwrite.h>
#include <libavutil/mathematics.h>
#include <libswresample/swresample.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char demuxers[] =
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,loas,matroska,"
    "mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,ogg,tak,truehd,tta,voc,w64,wav,wv,xwma";

static const char decoders[] =
    "aac,aac_latm,ac3,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_swf,adpcm_yamaha,alac,amrnb,"
    "amrwb,ape,dca,dsd_lsbf,dsd_lsbf_planar,dsd_msbf,dsd_msbf_planar,eac3,flac,gsm,gsm_ms,mlp,"
    "mp1,mp1float,mp2,mp2float,mp3,mp3float,mp4als,mpc7,mpc8,nellymoser,opus,pcm_alaw,"
    "pcm_bluray,pcm_dvd,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,"
    "pcm_s16be_planar,pcm_s16le,pcm_s16le_planar,pcm_s24be,pcm_s24le,pcm_s24le_planar,"
    "pcm_s32be,pcm_s32le,pcm_s32le_planar,pcm_s64be,pcm_s64le,pcm_s8,pcm_s8_planar,pcm_u16be,"
    "pcm_u16le,pcm_u8,speex,tak,truehd,tta,vorbis,wavpack,wmalossless,wmapro,wmav1,wmav2,"
    "wmavoice";

enum {
    SAMPLE_RATE_MIN_HZ = 1000,
    READ_BYTES = 1 << 16,
    OPEN_MAX_BYTES = 1 << 28,   /* read before the first packet */
    LEAD_MAX_S = 3600,          /* silence before a track that starts late */
    SILENT_MAX_BYTES = 1 << 26, /* read for one packet of a file with a single track */
};

typedef struct decode {
    spl_decode_options options;

    spl_input input;
    AVIOContext *io;
    AVFormatContext *container;
    AVStream *track;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;

    /* The converter from frames with these parameters to `out_layout`. */
    SwrContext *swr;
    int in_format, in_rate_hz;
    AVChannelLayout in_layout, out_layout;
    float *converted;
    unsigned converted_bytes;

    /* In samples per channel at 44,100 Hz. UINT64_MAX in `remaining` or `limit`: none. */
    uint64_t decoded, skip, remaining, limit, sent;
    bool started;            /* the first frame was received */
    uint64_t lead;           /* delay in samples of the track after the other tracks' start */
    int64_t others_start_us; /* INT64_MAX: unknown, or there are no other tracks */
    unsigned channels;       /* of the samples sent */
    size_t used;             /* values in `out` */
    float out[SPL_RECORD_SAMPLES_MAX_BYTES / sizeof(float)];

    unsigned bad_packets;
    bool read_failed;
} decode;

static int refuse_open(AVFormatContext *container, AVIOContext **ret_io, const char *url, int flags,
                       AVDictionary **options) {
    (void)container, (void)ret_io, (void)url, (void)flags, (void)options;
    return AVERROR(EACCES);
}

/* The `wanted`-th audio track. 0 selects as ffmpeg does: prefer tracks with packets, among these
 * the ones marked as default, among these the one with the most channels. */
static AVStream *choose_track(const AVFormatContext *container, unsigned wanted) {
    AVStream *best = NULL;
    int64_t best_score = -1;
    unsigned number = 0;
    for (unsigned i = 0; i < container->nb_streams; i++) {
        AVStream *stream = container->streams[i];
        if (stream->codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
            continue;
        if (++number == wanted)
            return stream;
        int64_t score = stream->codecpar->ch_layout.nb_channels;
        if (stream->event_flags & AVSTREAM_EVENT_FLAG_NEW_PACKETS)
            score += 100000000;
        if (stream->disposition & AV_DISPOSITION_DEFAULT)
            score += 5000000;
        if (score > best_score) {
            best = stream;
            best_score = score;
        }
    }
    return wanted == 0 ? best : NULL;
}

static int open_container(decode *d, spl_error *ret_error) {
    uint8_t *buffer = av_malloc(READ_BYTES);
    d->io =
        avio_alloc_context(buffer, READ_BYTES, 0, &d->input, spl_input_read, NULL, spl_input_seek);
    d->container = avformat_alloc_context();
    if (!buffer || !d->io || !d->container)
        return spl_fail_memory(ret_error);

    d->input.budget_bytes = OPEN_MAX_BYTES;
    const AVInputFormat *format = NULL;
    int code = av_probe_input_buffer2(d->io, &format, "", NULL, 0, 0);
    if (d->input.read_errno)
        return spl_fail_errno(ret_error, d->input.read_errno, "the file cannot be read");
    const char *accepted = d->options.containers;
    if (*accepted && (code < 0 || av_match_list(format->name, accepted, ',') <= 0))
        return spl_fail(ret_error, SPL_E_ARGUMENT, "its content is %s",
                        code < 0 ? "of no known audio format" : format->long_name);
    if (code < 0)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "not a known audio format; convert it to FLAC, WAV or MP3 first");
    if (av_match_list(format->name, demuxers, ',') <= 0)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "the format %s (%s) is not accepted; convert it to FLAC, WAV or MP3 first",
                        format->name, format->long_name);

    d->container->pb = d->io;
    d->container->io_open = refuse_open;
    d->container->format_whitelist = av_strdup(demuxers);
    d->container->codec_whitelist = av_strdup(decoders);
    d->container->protocol_whitelist = av_strdup("");
    AVDictionary *options = NULL;
    av_dict_set(&options, "enable_drefs", "0", 0);
    if (strcmp(format->name, "mp3") == 0)
        av_dict_set_int(&options, "skip_initial_bytes", (int64_t)spl_input_mp3_junk(&d->input), 0);
    code = avformat_open_input(&d->container, "", format, &options);
    av_dict_free(&options);
    if (code >= 0)
        code = avformat_find_stream_info(d->container, NULL);
    if (code < 0)
        return spl_libav_fail(ret_error, code, SPL_E_FORMAT,
                              "the file is damaged or incomplete (%s)", format->name);
    return 0;
}

static int open_codec(decode *d, spl_error *ret_error) {
    const unsigned wanted = d->options.track;
    d->track = choose_track(d->container, wanted);
    if (!d->track && wanted > 1)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED, "the file has no audio track number %u",
                        wanted);
    if (!d->track)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED, "the file has no audio track");

    const AVCodecParameters *parameters = d->track->codecpar;
    const AVCodec *codec = avcodec_find_decoder(parameters->codec_id);
    if (!codec || !av_match_name(codec->name, decoders))
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "its audio codec %s is not supported; convert it to FLAC, WAV or MP3 first",
                        avcodec_get_name(parameters->codec_id));
    if (parameters->ch_layout.nb_channels < 1 ||
        parameters->ch_layout.nb_channels > SPL_CHANNELS_MAX)
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "it has %d channels; files of 1 to %d can be decoded, so mix it down first",
                        parameters->ch_layout.nb_channels, SPL_CHANNELS_MAX);
    if (parameters->sample_rate < SAMPLE_RATE_MIN_HZ ||
        parameters->sample_rate > SPL_SAMPLE_RATE_MAX_HZ)
        return spl_fail(
            ret_error, SPL_E_UNSUPPORTED,
            "its sample rate is %d Hz; %d to %d Hz can be decoded. If the rate is wrong, "
            "the file is damaged",
            parameters->sample_rate, SAMPLE_RATE_MIN_HZ, SPL_SAMPLE_RATE_MAX_HZ);

    d->codec = avcodec_alloc_context3(codec);
    d->packet = av_packet_alloc();
    d->frame = av_frame_alloc();
    if (!d->codec || !d->packet || !d->frame)
        return spl_fail_memory(ret_error);
    int code = avcodec_parameters_to_context(d->codec, parameters);
    d->codec->pkt_timebase = d->track->time_base;
    d->codec->thread_count = 1;
    if (code >= 0)
        code = avcodec_open2(d->codec, codec, NULL);
    return code < 0 ? spl_libav_fail(ret_error, code, SPL_E_FORMAT, "the %s track is damaged",
                                     codec->name)
                    : 0;
}

/* Whether the stream is audio or video, other than a cover picture. */
static bool plays(const AVStream *stream) {
    const enum AVMediaType type = stream->codecpar->codec_type;
    return (type == AVMEDIA_TYPE_AUDIO || type == AVMEDIA_TYPE_VIDEO) &&
           !(stream->disposition & AV_DISPOSITION_ATTACHED_PIC);
}

/* The end of the track in microseconds from Matroska's DURATION tag; 0: no tag. */
static int64_t tagged_duration_us(const decode *d) {
    const AVDictionaryEntry *tag = av_dict_get(d->track->metadata, "DURATION", NULL, 0);
    unsigned hours, minutes;
    double seconds;
    if (!tag || sscanf(tag->value, "%4u:%2u:%12lf", &hours, &minutes, &seconds) != 3 ||
        !(seconds >= 0 && seconds < 60))
        return 0;
    return (int64_t)((hours * 3600.0 + minutes * 60.0 + seconds) * AV_TIME_BASE);
}

/* The length that the container states, in microseconds; 0: none. `guesses` accepts estimates: from
 * the bit rate, or the container's length, which may be that of a longer track. */
static uint64_t stated_duration_us(const decode *d, bool guesses) {
    if (!guesses && d->container->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE)
        return 0;
    unsigned playing = 0;
    for (unsigned i = 0; i < d->container->nb_streams; i++)
        playing += plays(d->container->streams[i]);
    int64_t duration = tagged_duration_us(d);
    if (duration == 0 && (guesses || playing == 1))
        duration = d->container->duration;
    if (d->track->duration != AV_NOPTS_VALUE)
        duration = av_rescale_q(d->track->duration, d->track->time_base, AV_TIME_BASE_Q);
    return duration > 0 ? SPL_MIN((uint64_t)duration, SPL_DURATION_MAX_US) : 0;
}

/* Copies a layout; one without positions becomes the default layout for its number of channels, as
 * in ffmpeg. */
static int copy_layout(AVChannelLayout *target, const AVChannelLayout *layout) {
    if (layout->order != AV_CHANNEL_ORDER_UNSPEC)
        return av_channel_layout_copy(target, layout);
    av_channel_layout_uninit(target);
    av_channel_layout_default(target, layout->nb_channels);
    return 0;
}

static void prepare_output(decode *d) {
    const AVChannelLayout stereo = AV_CHANNEL_LAYOUT_STEREO;
    const AVChannelLayout *layout = &d->track->codecpar->ch_layout;
    const bool mix = d->options.channels == SPL_CHANNELS_STEREO_DOWNMIX && layout->nb_channels > 2;
    copy_layout(&d->out_layout, mix ? &stereo : layout);
    d->channels = d->options.channels == SPL_CHANNELS_ALL ? (unsigned)layout->nb_channels : 2;

    const AVRational rate = {1, SPL_SAMPLE_RATE_HZ};
    int64_t duration = av_rescale_q(llrint(d->options.duration_s * 1e6), AV_TIME_BASE_Q, rate);
    d->remaining =
        d->options.duration_s > 0 ? SPL_MAX((uint64_t)duration, UINT64_C(1)) : UINT64_MAX;
    d->limit = d->options.limit_s > 0 ? (uint64_t)ceil(d->options.limit_s * SPL_SAMPLE_RATE_HZ)
                                      : UINT64_MAX;
}

static int fail_limit(const decode *d, const char *how, spl_error *ret_error) {
    return spl_fail(ret_error, SPL_E_LIMIT, "%s than the allowed %g seconds", how,
                    d->options.limit_s);
}

static int send_start(const decode *d, bool without_landlock, spl_error *ret_error) {
    const AVCodecParameters *parameters = d->track->codecpar;
    const AVCodecDescriptor *descriptor = avcodec_descriptor_get(parameters->codec_id);
    const int bits = parameters->bits_per_raw_sample > 0 ? parameters->bits_per_raw_sample
                                                         : parameters->bits_per_coded_sample;
    const bool lossless = descriptor && descriptor->props & AV_CODEC_PROP_LOSSLESS;
    AVChannelLayout layout = {0};
    copy_layout(&layout, &parameters->ch_layout);

    spl_decode_start start = {.version = SPL_PROTOCOL_VERSION,
                              .without_landlock = without_landlock};
    start.info = (spl_audio_info){
        .sample_rate_hz = (unsigned)parameters->sample_rate,
        .channels = (unsigned)parameters->ch_layout.nb_channels,
        .channel_mask = spl_libav_wave_mask(&layout),
        .bits_per_sample = lossless && bits > 0 && bits <= 64 ? (unsigned)bits : 0,
        .duration_us = stated_duration_us(d, true),
    };
    snprintf(start.info.container, sizeof(start.info.container), "%s", d->container->iformat->name);
    snprintf(start.info.codec, sizeof(start.info.codec), "%s",
             avcodec_get_name(parameters->codec_id));
    av_channel_layout_uninit(&layout);

    const uint64_t stated_us = stated_duration_us(d, false);
    const double wanted_s =
        d->options.duration_s > 0 ? d->options.offset_s + d->options.duration_s : INFINITY;
    if (d->options.limit_s > 0 && SPL_MIN((double)stated_us / 1e6, wanted_s) > d->options.limit_s)
        return fail_limit(d, "the file says that it is longer", ret_error);
    return spl_record_send(SPL_HELPER_CHANNEL_FD, SPL_RECORD_START, &start, sizeof(start));
}

static int send_samples(decode *d) {
    if (d->used == 0)
        return 0;
    int status =
        spl_record_send(SPL_HELPER_CHANNEL_FD, SPL_RECORD_SAMPLES, d->out, d->used * sizeof(float));
    d->sent += d->used / d->channels;
    d->used = 0;
    return status;
}

/* Copies the channels to send: all, or the first two. Mono is duplicated. */
static void choose_channels(const decode *d, const float *samples, size_t count, float *to) {
    const size_t in_channels = (size_t)d->out_layout.nb_channels;
    if (d->channels == in_channels) {
        memcpy(to, samples, count * in_channels * sizeof(float));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        to[2 * i] = samples[i * in_channels];
        to[2 * i + 1] = samples[i * in_channels + (in_channels > 1)];
    }
}

/* Counts and trims `count` converted samples, selects channels, and sends them. */
static int deliver(decode *d, const float *samples, size_t count, spl_error *ret_error) {
    const size_t in_channels = (size_t)d->out_layout.nb_channels;
    d->decoded += count;

    const size_t skipped = (size_t)SPL_MIN((uint64_t)count, d->skip);
    d->skip -= skipped;
    samples += skipped * in_channels;
    count = (size_t)SPL_MIN((uint64_t)(count - skipped), d->remaining);
    if (d->remaining != UINT64_MAX)
        d->remaining -= count;
    if (d->decoded > d->limit && (d->remaining > 0 || d->options.duration_s <= 0))
        return fail_limit(d, "the file is longer", ret_error);

    while (count > 0) {
        const size_t some = SPL_MIN(count, (SPL_ARRAY_SIZE(d->out) - d->used) / d->channels);
        choose_channels(d, samples, some, d->out + d->used);
        samples += some * in_channels;
        count -= some;
        d->used += some * d->channels;
        if (d->used + d->channels > SPL_ARRAY_SIZE(d->out)) {
            int status = send_samples(d);
            if (status < 0)
                return status;
        }
    }
    return 0;
}

/* Converts a frame, or drains the converter (NULL). */
static int convert(decode *d, const AVFrame *frame, spl_error *ret_error) {
    int count = frame ? frame->nb_samples : 0;
    const int capacity = swr_get_out_samples(d->swr, count);
    size_t bytes = 0;
    int code = AVERROR(ENOMEM);
    if (capacity >= 0 &&
        spl_mul_size((size_t)capacity + 1, (size_t)d->out_layout.nb_channels * 4, &bytes) &&
        bytes <= INT32_MAX) {
        av_fast_malloc(&d->converted, &d->converted_bytes, bytes);
        uint8_t *to[] = {(uint8_t *)d->converted};
        const uint8_t **from = frame ? (const uint8_t **)(uintptr_t)frame->extended_data : NULL;
        if (d->converted)
            code = swr_convert(d->swr, to, capacity + 1, from, count);
    }
    if (code < 0)
        return spl_libav_fail(ret_error, code, SPL_E_FORMAT, "samples cannot be converted");
    return deliver(d, d->converted, (size_t)code, ret_error);
}

static int flush_converter(decode *d, spl_error *ret_error) {
    int status = d->swr ? convert(d, NULL, ret_error) : 0;
    swr_free(&d->swr);
    return status;
}

/* Creates a converter for frames with the parameters of `frame`. */
static int start_converter(decode *d, const AVFrame *frame, spl_error *ret_error) {
    if (frame->sample_rate < SAMPLE_RATE_MIN_HZ || frame->sample_rate > SPL_SAMPLE_RATE_MAX_HZ ||
        frame->ch_layout.nb_channels < 1 || frame->ch_layout.nb_channels > SPL_CHANNELS_MAX)
        return spl_fail(ret_error, SPL_E_FORMAT,
                        "the file changes to %d Hz and %d channels after %.3f s; it is damaged",
                        frame->sample_rate, frame->ch_layout.nb_channels,
                        (double)d->decoded / SPL_SAMPLE_RATE_HZ);
    d->in_format = frame->format;
    d->in_rate_hz = frame->sample_rate;
    int code = av_channel_layout_copy(&d->in_layout, &frame->ch_layout);
    AVChannelLayout layout = {0};
    if (code >= 0)
        code = copy_layout(&layout, &frame->ch_layout);
    if (code >= 0)
        code = swr_alloc_set_opts2(&d->swr, &d->out_layout, AV_SAMPLE_FMT_FLT, SPL_SAMPLE_RATE_HZ,
                                   &layout, frame->format, frame->sample_rate, 0, NULL);
    av_channel_layout_uninit(&layout);
    if (code >= 0)
        code = swr_init(d->swr);
    if (code < 0 && code != AVERROR(ENOMEM))
        return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                        "%d channels without usual positions cannot be mixed down to %d; keep "
                        "them all with the option keep-format",
                        frame->ch_layout.nb_channels, d->out_layout.nb_channels);
    return code < 0 ? spl_libav_fail(ret_error, code, SPL_E_LIMIT, "the converter") : 0;
}

/* The time in samples from `start_us` to the current frame. */
static int64_t samples_after(const decode *d, int64_t start_us) {
    const AVRational rate = {1, SPL_SAMPLE_RATE_HZ};
    const int64_t start = av_rescale_q(start_us, AV_TIME_BASE_Q, d->track->time_base);
    return av_rescale_q(d->frame->best_effort_timestamp - start, d->track->time_base, rate);
}

/* The presentation time in microseconds of the packet's first sample or picture, after the samples
 * that a decoder drops at the start; INT64_MAX: unknown. */
static int64_t shown_us(const AVStream *stream, const AVPacket *packet) {
    const int64_t time = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
    const int rate_hz = stream->codecpar->sample_rate;
    if (time == AV_NOPTS_VALUE)
        return INT64_MAX;
    size_t size;
    const uint8_t *stated = av_packet_get_side_data(packet, AV_PKT_DATA_SKIP_SAMPLES, &size);
    const int64_t skip =
        stated && size >= 4 ? (int64_t)AV_RL32(stated) : stream->codecpar->initial_padding;
    const int64_t skip_us = rate_hz > 0 ? av_rescale(skip, AV_TIME_BASE, rate_hz) : 0;
    return av_rescale_q(time, stream->time_base, AV_TIME_BASE_Q) + skip_us;
}

/* Records the time of another track's packet that precedes the first frame. The packets are needed
 * because libav does not report the start of video for which it has no decoder; containers
 * interleave their tracks by time. */
static void note_start(decode *d) {
    const AVStream *stream = d->container->streams[d->packet->stream_index];
    if (plays(stream))
        d->others_start_us = SPL_MIN(d->others_start_us, shown_us(stream, d->packet));
}

static void discard_other_tracks(const decode *d) {
    for (unsigned i = 0; i < d->container->nb_streams; i++) {
        if (d->container->streams[i] != d->track)
            d->container->streams[i]->discard = AVDISCARD_ALL;
    }
}

static int deliver_silence(decode *d, uint64_t count, spl_error *ret_error) {
    static const float silence[4096];
    const uint64_t part = SPL_ARRAY_SIZE(silence) / (size_t)d->out_layout.nb_channels;
    int status = 0;
    while (status == 0 && count > 0 && d->remaining > 0) {
        const size_t some = (size_t)SPL_MIN(count, part);
        status = deliver(d, silence, some, ret_error);
        count -= some;
    }
    return status;
}

/* Inserts silence before a track that starts later than the other tracks, so that the stems stay
 * in sync with the picture. The offset then counts from the start of the silence, and otherwise
 * from the file's start time, as in ffmpeg. */
static int start_track(decode *d, spl_error *ret_error) {
    const AVRational rate = {1, SPL_SAMPLE_RATE_HZ};
    int64_t start = 0;
    d->started = true;
    discard_other_tracks(d);
    if (d->frame->best_effort_timestamp != AV_NOPTS_VALUE) {
        const int64_t file_start_us = d->container->start_time;
        start = samples_after(d, file_start_us != AV_NOPTS_VALUE ? file_start_us : 0);
        if (d->others_start_us < INT64_MAX)
            d->lead = (uint64_t)SPL_MAX(samples_after(d, d->others_start_us), 0);
    }
    const bool silence = d->lead > 0 && d->lead <= (uint64_t)LEAD_MAX_S * SPL_SAMPLE_RATE_HZ;
    int64_t offset = av_rescale_q(llrint(d->options.offset_s * 1e6), AV_TIME_BASE_Q, rate);
    if (!silence)
        offset -= start;
    d->skip = d->options.offset_s > 0 && offset > 0 ? (uint64_t)offset : 0;
    return silence ? deliver_silence(d, d->lead, ret_error) : 0;
}

static int take_frame(decode *d, spl_error *ret_error) {
    const AVFrame *frame = d->frame;
    int status = d->started ? 0 : start_track(d, ret_error);
    if (status < 0)
        return status;
    if (!d->swr || frame->format != d->in_format || frame->sample_rate != d->in_rate_hz ||
        av_channel_layout_compare(&frame->ch_layout, &d->in_layout) != 0) {
        status = flush_converter(d, ret_error);
        if (status == 0)
            status = start_converter(d, frame, ret_error);
    }
    return status == 0 ? convert(d, frame, ret_error) : status;
}

/* Decodes a packet, or drains the decoder (NULL). Packets that cannot be decoded are counted and
 * skipped. */
static int decode_packet(decode *d, const AVPacket *packet, spl_error *ret_error) {
    int code = avcodec_send_packet(d->codec, packet);
    while (code >= 0 && d->remaining > 0) {
        code = avcodec_receive_frame(d->codec, d->frame);
        if (code < 0)
            break;
        int status = take_frame(d, ret_error);
        av_frame_unref(d->frame);
        if (status < 0)
            return status;
    }
    if (code == AVERROR(ENOMEM))
        return spl_libav_fail(ret_error, code, SPL_E_FORMAT, "a packet cannot be decoded");
    if (code < 0 && code != AVERROR(EAGAIN) && code != AVERROR_EOF)
        d->bad_packets++;
    return 0;
}

static int decode_all(decode *d, spl_error *ret_error) {
    int status = 0;
    while (status == 0 && d->remaining > 0) {
        d->input.budget_bytes = d->container->nb_streams == 1 ? SILENT_MAX_BYTES : UINT64_MAX;
        int code = av_read_frame(d->container, d->packet);
        if (code == AVERROR(EAGAIN))
            continue;
        if (code == AVERROR(ENOMEM))
            return spl_libav_fail(ret_error, code, SPL_E_FORMAT, "the file cannot be read");
        if (d->input.read_errno)
            return spl_fail_errno(ret_error, d->input.read_errno, "the file cannot be read");
        if (code < 0) {
            d->read_failed = code != AVERROR_EOF;
            break;
        }
        if (d->packet->stream_index == d->track->index)
            status = decode_packet(d, d->packet, ret_error);
        else if (!d->started)
            note_start(d);
        av_packet_unref(d->packet);
    }
    if (status == 0)
        status = decode_packet(d, NULL, ret_error);
    if (status == 0)
        status = flush_converter(d, ret_error);
    if (status == 0)
        status = send_samples(d);
    if (status == 0 && d->decoded == 0)
        status =
            spl_fail(ret_error, SPL_E_FORMAT,
                     "nothing could be decoded from its %s track; the file is empty or damaged",
                     avcodec_get_name(d->track->codecpar->codec_id));
    return status;
}

/* Appends a warning, truncated to the remaining space. */
static void warn(spl_decode_end *end, const char *format, ...) {
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const size_t length = strlen(end->warning);
    snprintf(end->warning + length, sizeof(end->warning) - length, "%s%s", length > 0 ? "; " : "",
             text);
}

static int send_end(const decode *d) {
    const double decoded_s = (double)d->decoded / SPL_SAMPLE_RATE_HZ;
    const double stated_s = (double)stated_duration_us(d, false) / 1e6;
    const double lead_s = (double)d->lead / SPL_SAMPLE_RATE_HZ;

    spl_decode_end end = {.samples = d->sent};
    if (d->bad_packets > 0)
        warn(&end, "the file is damaged: %u packet%s could not be decoded", d->bad_packets,
             SPL_PLURAL(d->bad_packets));
    if (d->remaining > 0 && decoded_s < 0.99 * stated_s - 0.5)
        warn(&end, "the file says that it has %.1f s, but ends after %.1f s", stated_s, decoded_s);
    else if (d->read_failed)
        warn(&end, "the file is damaged after %.1f s", decoded_s);
    if (lead_s > LEAD_MAX_S)
        warn(&end, "the sound starts %.0f s after the picture; that is left out", lead_s);
    return spl_record_send(SPL_HELPER_CHANNEL_FD, SPL_RECORD_END_DECODE, &end, sizeof(end));
}

/* The CPU time is ample for the slowest decoders, which run at about 15 times real time. */
static spl_sandbox_budget budget_of(const spl_decode_options *options) {
    if (options->probe)
        return (spl_sandbox_budget){.memory_mib = SPL_SANDBOX_PROBE_MEMORY_MIB,
                                    .cpu_s = SPL_PROBE_CPU_S};
    const double longest_s = 6 * 3600;
    const double by_limit_s = 60 + options->limit_s / 5;
    return (spl_sandbox_budget){
        .memory_mib = SPL_SANDBOX_MEMORY_MIB,
        .cpu_s = (unsigned)(options->limit_s > 0 ? SPL_MIN(by_limit_s, longest_s) : longest_s),
    };
}

int spl_codec_decode(const spl_decode_request *request, spl_error *ret_error) {
    struct stat file;
    if (fstat(SPL_HELPER_FILE_FD, &file) < 0)
        return spl_fail_errno(ret_error, errno, "the file cannot be read");
    const spl_sandbox_budget budget = budget_of(&request->options);
    spl_libav_start(budget.memory_mib);
    bool without_landlock;
    int status = spl_sandbox_enter(SPL_SANDBOX_DECODE, &budget, &without_landlock, ret_error);
    if (status < 0)
        return status;

    static decode d;
    d.options = request->options;
    status = spl_input_open(SPL_HELPER_FILE_FD, (uint64_t)file.st_size, &d.input, ret_error);
    if (status == 0)
        status = open_container(&d, ret_error);
    if (status == 0)
        status = open_codec(&d, ret_error);
    if (status < 0)
        return status;
    prepare_output(&d);
    d.others_start_us = INT64_MAX;
    status = send_start(&d, without_landlock, ret_error);
    if (status == 0)
        status = decode_all(&d, ret_error);
    if (status == 0)
        status = send_end(&d);
    return status;
}
