/* SPDX-License-Identifier: MIT
 *
 * Splits a file with any number of channels into channel pairs for the stereo separator.
 *
 * The left and right channel of one position (front, side, back, ...) form a channel pair. A
 * channel without a partner (centre, LFE) forms a pair with itself: it is fed to both sides.
 */
#ifndef SPL_APP_PIPELINE_CHANNEL_PAIRS_H
#define SPL_APP_PIPELINE_CHANNEL_PAIRS_H

#include "app/audio/audio.h"

typedef struct spl_channel_pair {
    unsigned left, right; /* channel indices in the file; equal for one without a partner */
} spl_channel_pair;

/* The number of the file's channels in a pair: 1 or 2. */
static inline unsigned spl_channel_pair_width(const spl_channel_pair *pair) {
    return pair->left == pair->right ? 1 : 2;
}

/* Writes the channel pairs of a file with `channels` channels (1 to SPL_CHANNELS_MAX) to ret_pairs,
 * in the order of their first channel, and returns their number. Each channel is in exactly one
 * pair. `channel_mask` is as in spl_audio_info. The channels of a two-channel file always form a
 * pair; of three or more channels with unknown positions, only the first two do. */
size_t spl_channel_pairs_of(unsigned channels, uint64_t channel_mask,
                            spl_channel_pair ret_pairs[SPL_CHANNELS_MAX]);

#endif
