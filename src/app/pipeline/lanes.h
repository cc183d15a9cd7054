/* SPDX-License-Identifier: MIT
 *
 * Splits a file with any number of channels into channel pairs for the stereo separator.
 *
 * The left and right channel of one position (front, side, back, ...) form a channel pair. A
 * channel without a partner (centre, LFE) forms a pair with itself: it is fed to both sides.
 */
#ifndef SPL_APP_PIPELINE_LANES_H
#define SPL_APP_PIPELINE_LANES_H

#include "app/audio/audio.h"

typedef struct spl_lane {
    unsigned left, right; /* channel indices in the file; equal for one without a partner */
} spl_lane;

/* The number of the file's channels in a pair: 1 or 2. */
static inline unsigned spl_lane_width(const spl_lane *lane) {
    return lane->left == lane->right ? 1 : 2;
}

/* Writes the channel pairs of a file with `channels` channels (1 to SPL_CHANNELS_MAX) to ret_lanes,
 * in the order of their first channel, and returns their number. Each channel is in exactly one
 * pair. `channel_mask` is as in spl_audio_info. The channels of a two-channel file always form a
 * pair; of three or more channels with unknown positions, only the first two do. */
size_t spl_lanes_of(unsigned channels, uint64_t channel_mask, spl_lane ret_lanes[SPL_CHANNELS_MAX]);

#endif
