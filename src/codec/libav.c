/* SPDX-License-Identifier: MIT
 *
 * Error reporting and channel layouts of libav.
 */
#include "codec/libav.h"

#include <libavutil/error.h>
#include <libavutil/log.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char last_error[160];
static unsigned memory_mib;

static void keep_error(void *context, int level, const char *format, va_list arguments) {
    (void)context;
    if (level > AV_LOG_ERROR)
        return;
    vsnprintf(last_error, sizeof(last_error), format, arguments);
    last_error[strcspn(last_error, "\n")] = '\0';
    size_t length = strlen(last_error);
    if (length > 0 && last_error[length - 1] == '.')
        last_error[length - 1] = '\0';
}

void spl_libav_start(unsigned mib) {
    memory_mib = mib;
    av_log_set_callback(keep_error);
}

int spl_libav_fail(spl_error *error, int code, spl_status otherwise, const char *format, ...) {
    if (code == AVERROR(ENOMEM))
        return spl_fail(
            error, SPL_E_BUDGET,
            "more than the allowed %u MiB of memory would be needed; if the file plays, "
            "convert it to FLAC or WAV first",
            memory_mib);
    char what[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);

    char text[AV_ERROR_MAX_STRING_SIZE];
    av_strerror(code, text, sizeof(text));
    return spl_fail(error, otherwise, "%s: %s", what, last_error[0] ? last_error : text);
}

uint64_t spl_libav_wave_mask(const AVChannelLayout *layout) {
    const uint64_t wave_bits = (1u << 18) - 1;
    bool native = layout->order == AV_CHANNEL_ORDER_NATIVE;
    return native && !(layout->u.mask & ~wave_bits) ? layout->u.mask : 0;
}
