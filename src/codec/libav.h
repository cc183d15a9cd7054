/* SPDX-License-Identifier: MIT
 *
 * What decoding and encoding share in their use of libav.
 */
#ifndef SPL_CODEC_LIBAV_H
#define SPL_CODEC_LIBAV_H

#include "base/error.h"

#include <libavutil/channel_layout.h>

/* Keeps what libav logs to itself; its last error becomes part of messages. `mib`: what there is of
 * memory, for spl_libav_fail. */
void spl_libav_start(unsigned mib);

/* Says "...: what libav said" for its error code `code`. Returns `otherwise`, or BUDGET when there
 * was not enough memory. */
int spl_libav_fail(spl_error *error, int code, spl_status otherwise, const char *format, ...)
    SPL_PRINTF(4, 5);

/* The layout's channels as bits of WAVEFORMATEXTENSIBLE, or 0 when they have none. */
uint64_t spl_libav_wave_mask(const AVChannelLayout *layout);

#endif
