/* SPDX-License-Identifier: MIT
 *
 * The helper's side of the record transport, and validation of received data.
 */
#include "app/audio/codec_protocol.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static int send_all(int fd, const void *data, size_t size) {
    const char *bytes = data;
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            return SPL_E_HELPER;
        }
        bytes += sent;
        size -= (size_t)sent;
    }
    return 0;
}

int spl_record_send(int fd, spl_record_type type, const void *payload, size_t size) {
    spl_record_header header = {.type = type, .size_bytes = (uint32_t)size};
    int status = send_all(fd, &header, sizeof(header));
    return status < 0 ? status : send_all(fd, payload, size);
}

int spl_record_receive(int fd, void *ret_payload, size_t size) {
    char *bytes = ret_payload;
    while (size > 0) {
        ssize_t received = recv(fd, bytes, size, 0);
        if (received < 0 && errno == EINTR)
            continue;
        if (received <= 0)
            return SPL_E_HELPER;
        bytes += received;
        size -= (size_t)received;
    }
    return 0;
}

int spl_record_receive_header(int fd, spl_record_header *ret_header) {
    return spl_record_receive(fd, ret_header, sizeof(*ret_header));
}

void spl_text_make_printable(char *text, size_t size) {
    text[size - 1] = '\0';
    for (char *c = text; *c; c++) {
        if (*c < ' ' || *c > '~')
            *c = '?';
    }
}

bool spl_decode_start_check(spl_decode_start *start) {
    spl_audio_info *info = &start->info;
    spl_text_make_printable(info->container, sizeof(info->container));
    spl_text_make_printable(info->codec, sizeof(info->codec));
    return start->version == SPL_PROTOCOL_VERSION && start->without_landlock <= 1 &&
           info->sample_rate_hz > 0 && info->sample_rate_hz <= SPL_SAMPLE_RATE_MAX_HZ &&
           info->channels > 0 && info->channels <= SPL_CHANNELS_MAX &&
           (info->channel_mask == 0 ||
            (unsigned)__builtin_popcountll(info->channel_mask) == info->channels) &&
           info->bits_per_sample <= 64 && info->duration_us <= SPL_DURATION_MAX_US;
}
