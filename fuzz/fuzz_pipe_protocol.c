/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the program's side of the protocol with its helper, against a helper that a media file has
 * compromised. The first byte selects the channel policy; the rest is what the helper sends. A
 * START record at its beginning gets the current version, so that the corpus does not age.
 */
#include "app/audio/decoder.h"

#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 1 << 16)
        return 0;
    SPL_CLEANUP(spl_free_p) uint8_t *sent = malloc(size);
    if (!sent)
        return 0;
    memcpy(sent, data, size);
    const uint32_t type = SPL_RECORD_START, version = SPL_PROTOCOL_VERSION;
    if (size > 13 && memcmp(sent + 1, &type, sizeof(type)) == 0)
        memcpy(sent + 9, &version, sizeof(version));
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return 0;
    if (send(pair[1], sent + 1, size - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        shutdown(pair[1], SHUT_WR);
    close(pair[1]);

    static float samples[SPL_CHANNELS_MAX * 64];
    const spl_channel_policy policies[] = {SPL_CHANNELS_STEREO_DOWNMIX, SPL_CHANNELS_FIRST_TWO,
                                           SPL_CHANNELS_ALL};
    const spl_helper helper = {.fd = pair[0]};
    spl_decoder *decoder;
    spl_error error = {0};
    int status = spl_decoder_attach(helper, "song.mp3", policies[data[0] % 3], &decoder, &error);
    if (status < 0) {
        if (error.status != status || !error.message[0])
            __builtin_trap();
        return 0;
    }
    const spl_audio_info *info = spl_decoder_info(decoder);
    if (info->sample_rate_hz == 0 || info->channels == 0 || info->channels > SPL_CHANNELS_MAX)
        __builtin_trap();
    size_t count;
    do {
        count = 0;
        status = spl_decoder_read(decoder, samples, 64, &count, &error);
        if (status == 0 ? count > 64 : error.status != status)
            __builtin_trap();
    } while (status == 0 && count > 0);
    spl_decoder_free(decoder);
    return 0;
}
