/* SPDX-License-Identifier: MIT
 *
 * The part of the decoder that reads what the helper says, for the fuzzer.
 */
#ifndef SPL_APP_AUDIO_DECODER_H
#define SPL_APP_AUDIO_DECODER_H

#include "app/audio/audio.h"
#include "app/audio/helper.h"

/* Makes a decoder of a helper that was sent its DECODE record, and reads its START record.
 * The helper belongs to the decoder, and on failure is ended. */
SPL_WARN_UNUSED int spl_decoder_attach(spl_helper helper, const char *name,
                                       spl_channel_policy channels, spl_decoder **ret_decoder,
                                       spl_error *ret_error);

#endif
