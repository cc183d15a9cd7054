/* SPDX-License-Identifier: MIT
 *
 * libav helpers shared by decoding and encoding.
 */
#ifndef SPL_CODEC_LIBAV_H
#define SPL_CODEC_LIBAV_H

#include "base/error.h"

#include <libavutil/channel_layout.h>

/* Suppresses libav's log output and records its last error for messages. `mib`: the memory limit
 * that spl_libav_fail reports. */
void spl_libav_start(unsigned mib);

/* Reports libav's error `code` as "<format>: <libav's last logged error, or the code's text>".
 * Returns `otherwise`, or BUDGET when memory ran out. */
int spl_libav_fail(spl_error *error, int code, spl_status otherwise, const char *format, ...)
    SPL_PRINTF(4, 5);

/* The layout as a WAVEFORMATEXTENSIBLE channel mask, or 0 when it has none. */
uint64_t spl_libav_wave_mask(const AVChannelLayout *layout);

#endif
