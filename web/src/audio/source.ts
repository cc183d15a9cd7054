// SPDX-License-Identifier: MIT
// Sources of a stem's samples: ranges of a WAV file, also while it grows, or a whole compressed file.
import { failure, PAGE_HEADER } from "../api";
import { CHUNK_FRAMES, type Chunk } from "./mix";

export interface Source {
    readonly sampleRate: number;
    /** The chunk's samples; null: not available yet. They use the buffer `spare` if possible, which then belongs to them. */
    chunk(index: number, signal: AbortSignal, spare?: ArrayBuffer): Promise<Chunk | null>;
    /** Samples per channel; null: not known yet. */
    readonly frames: number | null;
}

const HEADER_BYTES = 512;
const UNKNOWN = 0xffffffff;

export interface WavLayout {
    format: "16" | "24" | "float";
    channels: number;
    sampleRate: number;
    dataAt: number;
    /** null: the file still grows. */
    dataBytes: number | null;
}

export function readWavHeader(header: DataView): WavLayout | null {
    const tag = (at: number) => String.fromCharCode(...[0, 1, 2, 3].map((i) => header.getUint8(at + i)));
    let channels = 0, sampleRate = 0, bits = 0, wide: number | null = null;
    for (let at = 12; at + 8 <= header.byteLength;) {
        const id = tag(at), bytes = header.getUint32(at + 4, true);
        if (id === "ds64")
            wide = Number(header.getBigUint64(at + 16, true));
        if (id === "fmt ") {
            channels = header.getUint16(at + 10, true);
            sampleRate = header.getUint32(at + 12, true);
            bits = header.getUint16(at + 22, true);
        }
        if (id === "data") {
            const rf64 = tag(0) === "RF64";
            const dataBytes = rf64 ? wide : bytes === UNKNOWN ? null : bytes;
            const format = bits === 16 ? "16" : bits === 24 ? "24" : "float";
            return { format, channels, sampleRate, dataAt: at + 8, dataBytes };
        }
        at += 8 + bytes + (bytes & 1);
    }
    return null;
}

const STORED_BYTES = { "16": 2, "24": 3, float: 4 } as const;
const SAMPLE_BYTES = { "16": 2, "24": 4, float: 4 } as const;
/** Extra bytes of a buffer, so that the end of a body of the expected size is reached before the end of the buffer. */
const SLACK_BYTES = 4;

/** The available part of bytes first to last; null: none. */
async function fetchRange(url: string, first: number, last: number, signal: AbortSignal): Promise<Response | null> {
    const answer = await fetch(url, { headers: { ...PAGE_HEADER, Range: `bytes=${first}-${last}` }, signal });
    if (answer.status === 416 || answer.status === 409)
        return null;
    if (!answer.ok)
        throw await failure(answer);
    return answer;
}

/**
 * Reads a body into `buffer` from `at` on. Returns the buffer, which is detached meanwhile, and the number of bytes read. Without reuse, browsers
 * accumulate hundreds of megabytes of garbage before they collect it.
 */
async function readInto(answer: Response, buffer: ArrayBuffer, at: number): Promise<[ArrayBuffer, number]> {
    let reader: ReadableStreamBYOBReader;
    try {
        reader = answer.body!.getReader({ mode: "byob" });
    } catch { // Safari before 26
        const bytes = new Uint8Array(await answer.arrayBuffer());
        new Uint8Array(buffer).set(bytes, at);
        return [buffer, bytes.length];
    }
    for (let count = 0;;) {
        const { value, done } = await reader.read(new Uint8Array(buffer, at + count));
        buffer = value!.buffer;
        count += value!.length;
        if (done)
            return [buffer, count];
    }
}

/** Converts 24-bit integers in the last three quarters of the samples' buffer in place. Each sample is written at or before its own bytes. */
function widen(buffer: ArrayBuffer, samples: number): Float32Array<ArrayBuffer> {
    const octets = new Uint8Array(buffer);
    const result = new Float32Array(buffer, 0, samples);
    for (let i = 0, at = samples; i < samples; i++, at += 3)
        result[i] = ((octets[at]! << 8) | (octets[at + 1]! << 16) | (octets[at + 2]! << 24)) / 2147483648;
    return result;
}

export class WavSource implements Source {
    private constructor(private readonly url: string, private layout: WavLayout) {}

    /** null: the file does not exist yet. */
    static async open(url: string, signal: AbortSignal): Promise<WavSource | null> {
        const answer = await fetchRange(url, 0, HEADER_BYTES - 1, signal);
        const layout = answer && readWavHeader(new DataView(await answer.arrayBuffer()));
        return layout && new WavSource(url, layout);
    }

    get sampleRate(): number {
        return this.layout.sampleRate;
    }

    get format(): WavLayout["format"] {
        return this.layout.format;
    }

    private get frameBytes(): number {
        return this.layout.channels * STORED_BYTES[this.layout.format];
    }

    get frames(): number | null {
        return this.layout.dataBytes === null ? null : Math.floor(this.layout.dataBytes / this.frameBytes);
    }

    /** Updates the length of the file. */
    async refresh(signal: AbortSignal): Promise<void> {
        this.layout = (await WavSource.open(this.url, signal))?.layout ?? this.layout;
    }

    async chunk(index: number, signal: AbortSignal, spare?: ArrayBuffer): Promise<Chunk | null> {
        const { dataAt, channels, format } = this.layout;
        const firstFrame = index * CHUNK_FRAMES;
        const frames = this.frames === null ? CHUNK_FRAMES : Math.min(CHUNK_FRAMES, this.frames - firstFrame);
        if (frames <= 0)
            return { data: new Int16Array(0), channels };
        const first = dataAt + firstFrame * this.frameBytes;
        const answer = await fetchRange(this.url, first, first + frames * this.frameBytes - 1, signal);
        if (!answer)
            return null;
        const room = CHUNK_FRAMES * channels * SAMPLE_BYTES[format] + SLACK_BYTES;
        const samples = frames * channels;
        const [buffer, bytes] = await readInto(answer, spare?.byteLength === room ? spare : new ArrayBuffer(room), format === "24" ? samples : 0);
        if (bytes < frames * this.frameBytes)
            return null;
        const data = format === "16" ? new Int16Array(buffer, 0, samples) : format === "24" ? widen(buffer, samples) : new Float32Array(buffer, 0, samples);
        return { data, channels };
    }
}

/** A file that can't be read in ranges: the browser decodes it, and it stays in memory as 16-bit samples. */
export class DecodedSource implements Source {
    readonly sampleRate = 44100;

    private constructor(private readonly samples: Int16Array) {}

    static async open(url: string, signal: AbortSignal): Promise<DecodedSource> {
        const answer = await fetch(url, { headers: PAGE_HEADER, signal });
        if (!answer.ok)
            throw await failure(answer);
        const decoder = new OfflineAudioContext(2, 1, 44100);
        const audio = await decoder.decodeAudioData(await answer.arrayBuffer());
        const left = audio.getChannelData(0), right = audio.getChannelData(audio.numberOfChannels - 1);
        const samples = new Int16Array(2 * audio.length);
        for (let i = 0; i < audio.length; i++) {
            samples[2 * i] = Math.max(-1, Math.min(1, left[i]!)) * 32767;
            samples[2 * i + 1] = Math.max(-1, Math.min(1, right[i]!)) * 32767;
        }
        return new DecodedSource(samples);
    }

    get frames(): number {
        return this.samples.length / 2;
    }

    async chunk(index: number, _signal: AbortSignal, spare = new ArrayBuffer(4 * CHUNK_FRAMES)): Promise<Chunk> {
        const part = this.samples.subarray(2 * index * CHUNK_FRAMES, 2 * (index + 1) * CHUNK_FRAMES);
        const data = new Int16Array(spare, 0, part.length);
        data.set(part);
        return { data, channels: 2 };
    }
}
