/* SPDX-License-Identifier: MIT
 *
 * Pairs the channels of a file by their positions in its channel mask.
 */
#include "app/pipeline/channel_pairs.h"

#include <assert.h>

/* Bits of the channel mask for the left and right channel of each position. The first 18 bits are
 * those of WAVEFORMATEXTENSIBLE; the others are FFmpeg's. */
static const struct {
    unsigned left, right;
} pairs[] = {
    {0, 1},   /* front */
    {4, 5},   /* back */
    {6, 7},   /* front, left and right of centre */
    {9, 10},  /* side */
    {12, 14}, /* top front */
    {15, 17}, /* top back */
    {29, 30}, /* stereo downmix */
    {31, 32}, /* wide */
    {33, 34}, /* surround direct */
    {36, 37}, /* top side */
    {39, 40}, /* bottom front */
};

/* The position of the right channel that belongs to the left one at `position`, or -1. */
static int partner_of(int position) {
    for (size_t i = 0; i < SPL_ARRAY_SIZE(pairs); i++) {
        if ((int)pairs[i].left == position)
            return (int)pairs[i].right;
    }
    return -1;
}

size_t spl_channel_pairs_of(unsigned channels, uint64_t channel_mask,
                            spl_channel_pair ret_pairs[SPL_CHANNELS_MAX]) {
    assert(channels >= 1 && channels <= SPL_CHANNELS_MAX);

    /* The channels of a file are in the order of the mask's bits. */
    int position[SPL_CHANNELS_MAX];
    bool known = (unsigned)__builtin_popcountll(channel_mask) == channels && channels > 2;
    for (unsigned channel = 0; channel < channels; channel++) {
        position[channel] = known ? __builtin_ctzll(channel_mask) : channel < 2 ? (int)channel : -1;
        channel_mask &= channel_mask - 1;
    }

    size_t count = 0;
    bool taken[SPL_CHANNELS_MAX] = {false};
    for (unsigned left = 0; left < channels; left++) {
        if (taken[left])
            continue;
        unsigned right = left;
        int partner = partner_of(position[left]);
        for (unsigned other = left + 1; partner >= 0 && other < channels; other++) {
            if (position[other] == partner)
                right = other;
        }
        taken[right] = true;
        ret_pairs[count++] = (spl_channel_pair){.left = left, .right = right};
    }
    return count;
}
