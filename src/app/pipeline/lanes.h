/* SPDX-License-Identifier: MIT
 *
 * Lanes: how a file of any number of channels goes through a separator that knows stereo only.
 *
 * A lane is one stereo stream made of one or two of the file's channels. Left
 * and right of one position (front, side, back, ...) belong together; a channel
 * without a partner (centre, LFE) is a lane of its own and is fed to both sides.
 */
#ifndef SPL_APP_PIPELINE_LANES_H
#define SPL_APP_PIPELINE_LANES_H

#include "app/audio/audio.h"

typedef struct spl_lane {
    unsigned left, right; /* channels of the file; equal for a channel without a partner */
} spl_lane;

/* Channels of the file that a lane stands for: 1 or 2. */
static inline unsigned spl_lane_width(const spl_lane *lane) {
    return lane->left == lane->right ? 1 : 2;
}

/* Writes the lanes of a file with `channels` channels (1 to SPL_CHANNELS_MAX) to ret_lanes, in the
 * order of their first channel, and returns their number; each channel is in exactly one lane.
 * `channel_mask` is as in spl_audio_info. Two channels are always a pair; of more without a known
 * position only the first two are. */
size_t spl_lanes_of(unsigned channels, uint64_t channel_mask, spl_lane ret_lanes[SPL_CHANNELS_MAX]);

#endif
