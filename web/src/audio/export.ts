// SPDX-License-Identifier: MIT
// Writes the audible mix to a WAV file, one chunk of all stems at a time, so that memory does not grow with the song.
import { addFrames, CHUNK_FRAMES, type Gains } from "./mix";
import type { Source } from "./source";

export type MixFormat = "16" | "24" | "float";

export interface MixResult {
    file: Blob;
    /** The number of clipped sample values. */
    clipped: number;
}

const BYTES = { "16": 2, "24": 3, float: 4 } as const;

function header(format: MixFormat, sampleRate: number, dataBytes: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(44);
    const view = new DataView(bytes.buffer);
    const tag = (at: number, text: string) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
    const frame = 2 * BYTES[format];
    tag(0, "RIFF");
    view.setUint32(4, 36 + dataBytes, true);
    tag(8, "WAVEfmt ");
    view.setUint32(16, 16, true);
    view.setUint16(20, format === "float" ? 3 : 1, true);
    view.setUint16(22, 2, true);
    view.setUint32(24, sampleRate, true);
    view.setUint32(28, sampleRate * frame, true);
    view.setUint16(32, frame, true);
    view.setUint16(34, 8 * BYTES[format], true);
    tag(36, "data");
    view.setUint32(40, dataBytes, true);
    return bytes;
}

class Encoder {
    clipped = 0;

    private readonly bytes: Uint8Array<ArrayBuffer>;

    constructor(private readonly format: MixFormat) {
        this.bytes = new Uint8Array(CHUNK_FRAMES * 2 * BYTES[format]);
    }

    private integer(value: number, full: number): number {
        const rounded = Math.round(value * full);
        if (rounded >= -full && rounded < full)
            return rounded;
        this.clipped++;
        return Math.max(-full, Math.min(full - 1, rounded));
    }

    /** The bytes are valid until the next call. */
    encode(left: Float32Array, right: Float32Array, count: number): Uint8Array<ArrayBuffer> {
        const size = BYTES[this.format];
        const view = new DataView(this.bytes.buffer);
        for (let i = 0, at = 0; i < 2 * count; i++, at += size) {
            const value = (i % 2 ? right : left)[i >> 1]!;
            if (this.format === "float") {
                view.setFloat32(at, value, true);
            } else if (this.format === "16") {
                view.setInt16(at, this.integer(value, 32768), true);
            } else {
                const sample = this.integer(value, 8388608);
                view.setUint16(at, sample & 0xffff, true);
                view.setInt8(at + 2, sample >> 16);
            }
        }
        return this.bytes.subarray(0, count * 2 * size);
    }
}

/** Mixes frames `first` to `end` of the sources. `progress` receives values from 0 to 1. */
export async function exportMix(
    sources: Source[], gains: Gains[], first: number, end: number, format: MixFormat,
    signal: AbortSignal, progress: (done: number) => void,
): Promise<MixResult> {
    const encoder = new Encoder(format);
    const parts: Blob[] = [];
    let spare: ArrayBuffer | undefined;
    const left = new Float32Array(CHUNK_FRAMES), right = new Float32Array(CHUNK_FRAMES);
    for (let frame = first; frame < end;) {
        const index = Math.floor(frame / CHUNK_FRAMES), at = frame % CHUNK_FRAMES;
        const count = Math.min(CHUNK_FRAMES - at, end - frame);
        left.fill(0);
        right.fill(0);
        for (let track = 0; track < sources.length; track++) {
            const gain = gains[track]!;
            if (gain[0] === 0 && gain[1] === 0)
                continue;
            const chunk = await sources[track]!.chunk(index, signal, spare);
            if (!chunk)
                throw new Error("A stem is not complete");
            spare = chunk.data.buffer;
            const there = Math.min(count, chunk.data.length / chunk.channels - at);
            if (there > 0)
                addFrames(left, right, 0, chunk, at, there, gain, gain);
        }
        parts.push(new Blob([encoder.encode(left, right, count)]));
        frame += count;
        progress((frame - first) / (end - first));
    }
    const rate = sources[0]!.sampleRate;
    const head = header(format, rate, (end - first) * 2 * BYTES[format]);
    return { file: new Blob([head, ...parts], { type: "audio/wav" }), clipped: encoder.clipped };
}
