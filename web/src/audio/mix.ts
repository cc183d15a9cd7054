// SPDX-License-Identifier: MIT
// Mixes stems. Playback (worklet.ts) and export (export.ts) use the same code.

/** Samples per channel of a chunk, the unit that is fetched, kept and dropped. */
export const CHUNK_FRAMES = 131072;

/** Interleaved samples of a stem: 16-bit integers, or floats from -1 to 1. */
export interface Chunk {
    data: Int16Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
    channels: number;
}

/** The gains of a stem, left and right. */
export type Gains = readonly [number, number];

/** Volume and balance as gains. At the center both equal the volume, so that unchanged stems sum to the mixture. */
export function toGains(volume: number, pan: number): Gains {
    return [volume * Math.min(1, 1 - pan), volume * Math.min(1, 1 + pan)];
}

/**
 * Adds `count` frames of `chunk`, from its frame `at` on, to left and right from index `into` on; gains change
 * linearly from `from` to `to`. Only the first two channels are used.
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
