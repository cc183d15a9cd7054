/* SPDX-License-Identifier: MIT
 *
 * The part of the decoder that reads the helper's records, exposed for the fuzzer.
 */
#ifndef SPL_APP_AUDIO_DECODER_H
#define SPL_APP_AUDIO_DECODER_H

#include "app/audio/audio.h"
#include "app/audio/helper.h"

/* Creates a decoder for a helper that was sent its DECODE record, and reads the START record. Takes
 * ownership of the helper and ends it on failure. */
SPL_WARN_UNUSED int spl_decoder_attach(spl_helper helper, const char *name,
                                       spl_channel_policy channels, spl_decoder **ret_decoder,
                                       spl_error *ret_error);

#endif
