// SPDX-License-Identifier: MIT
// How stems become one signal: the same code plays (worklet.ts) and exports (export.ts).

/** Samples per channel of a chunk: what is fetched, kept and dropped at once. */
export const CHUNK_FRAMES = 131072;

/** Interleaved samples of a stem: 16-bit integers, or floats from -1 to 1. */
export interface Chunk {
    data: Int16Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
    channels: number;
}

/** What a stem is multiplied with, left and right. */
export type Gains = readonly [number, number];

/** Volume and balance as gains. In the middle both are the volume, so that stems as they come sum to the mixture. */
export function toGains(volume: number, pan: number): Gains {
    return [volume * Math.min(1, 1 - pan), volume * Math.min(1, 1 + pan)];
}

/**
 * Adds `count` frames of `chunk`, from its frame `at` on, to left and right from index `into` on; gains move in a
 * straight line from `from` to `to`. Of more than two channels, the first two count.
 */
export function addFrames(
    left: Float32Array, right: Float32Array, into: number,
    chunk: Chunk, at: number, count: number, from: Gains, to: Gains,
): void {
    const { data, channels } = chunk;
    const scale = data instanceof Int16Array ? 1 / 32768 : 1;
    const second = channels > 1 ? 1 : 0;
    let gainLeft = from[0] * scale, gainRight = from[1] * scale;
    const stepLeft = (to[0] * scale - gainLeft) / count, stepRight = (to[1] * scale - gainRight) / count;
    for (let i = 0, sample = at * channels; i < count; i++, sample += channels) {
        left[into + i]! += data[sample]! * gainLeft;
        right[into + i]! += data[sample + second]! * gainRight;
        gainLeft += stepLeft;
        gainRight += stepRight;
    }
}
