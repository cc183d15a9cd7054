// SPDX-License-Identifier: MIT
// The player on the audio clock. All stems are read by one counter of frames, so they can't start apart or drift: when
// a chunk of one of them is missing, all wait.
import { addFrames, CHUNK_FRAMES, type Chunk, type Gains } from "./mix";
import type { FromWorklet, State, ToWorklet } from "./messages";
import { Stretch } from "./stretch";

declare const sampleRate: number;
declare class AudioWorkletProcessor {
    readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: unknown): void;

const BLOCK = 128;
const FADE_FRAMES = 512; // at start, pause and seek, against clicks
const SILENT: Gains = [0, 0];

class StemsProcessor extends AudioWorkletProcessor {
    private readonly chunks: Map<number, Chunk>[];
    private readonly gains: Gains[];
    private readonly targets: Gains[];
    private readonly levels: number[];
    private readonly left = new Float32Array(BLOCK);
    private readonly right = new Float32Array(BLOCK);
    private readonly stretch = new Stretch();
    private frame = 0;
    private seek = 0;
    private length = 0;
    private loop: [number, number] | null = null;
    private speed = 1;
    private playing = false;
    private waiting = false;
    private fade = 0; // 0 to 1
    private ending = false; // fades out, then pauses
    private sinceReport = 0;

    constructor(options: { processorOptions: { tracks: number } }) {
        super();
        const each = <T,>(make: () => T) => Array.from({ length: options.processorOptions.tracks }, make);
        this.chunks = each(() => new Map());
        this.gains = each(() => SILENT);
        this.targets = each(() => SILENT);
        this.levels = each(() => 0);
        this.port.onmessage = (event: MessageEvent<ToWorklet>) => this.take(event.data);
    }

    private take(message: ToWorklet): void {
        switch (message.type) {
            case "chunk":
                this.chunks[message.track]!.set(message.index, message);
                break;
            case "drop": {
                const dropped = this.chunks.flatMap((map) => map.get(message.index)?.data.buffer ?? []);
                this.chunks.forEach((map) => map.delete(message.index));
                this.port.postMessage({ spare: dropped } satisfies FromWorklet, dropped);
                break;
            }
            case "gains":
                message.gains.forEach((gains, track) => {
                    this.targets[track] = gains;
                    if (!this.playing)
                        this.gains[track] = gains;
                });
                break;
            case "play":
                this.ending = this.playing && !message.on;
                if (message.on && !this.playing)
                    this.fade = 0;
                this.playing ||= message.on;
                this.report();
                break;
            case "seek":
                this.frame = message.frame;
                this.seek = message.number;
                this.fade = 0;
                this.stretch.reset();
                this.report();
                break;
            case "length":
                this.length = message.frames;
                break;
            case "loop":
                this.loop = message.range;
                break;
            case "speed":
                this.speed = message.speed;
                this.stretch.reset();
                break;
        }
    }

    private report(): void {
        const state: State = {
            frame: this.frame, seek: this.seek, playing: this.playing && !this.ending, waiting: this.waiting, levels: this.levels.slice(),
        };
        this.levels.fill(0);
        this.sinceReport = 0;
        this.port.postMessage(state);
    }

    private ready(): boolean {
        const index = Math.floor(this.frame / CHUNK_FRAMES);
        return this.chunks.every((map) => map.has(index));
    }

    /** Mixes up to a block of the next frames into left and right and advances. Returns their number; 0: none are available. */
    private mix(): number {
        const { left, right } = this;
        left.fill(0);
        right.fill(0);
        if (this.loop && this.frame >= this.loop[1])
            this.frame = this.loop[0];
        let done = 0;
        while (done < BLOCK) {
            const end = this.loop && this.frame < this.loop[1] ? Math.min(this.loop[1], this.length) : this.length;
            if (this.frame >= end) {
                if (!this.loop)
                    break;
                this.frame = this.loop[0];
            }
            if (!this.ready())
                break;
            const at = this.frame % CHUNK_FRAMES;
            const count = Math.min(BLOCK - done, CHUNK_FRAMES - at, end - this.frame);
            if (count <= 0)
                break;
            this.addTracks(done, at, count);
            this.frame += count;
            done += count;
        }
        return done;
    }

    private addTracks(into: number, at: number, count: number): void {
        const index = Math.floor(this.frame / CHUNK_FRAMES);
        this.chunks.forEach((map, track) => {
            const chunk = map.get(index)!;
            const from = this.gains[track]!, target = this.targets[track]!;
            const near = (a: number, b: number) => (Math.abs(b - a) < 1e-4 ? b : a + (b - a) * 0.25);
            const to: Gains = [near(from[0], target[0]), near(from[1], target[1])];
            const there = Math.min(count, chunk.data.length / chunk.channels - at);
            if (there > 0 && (from[0] || from[1] || to[0] || to[1])) {
                addFrames(this.left, this.right, into, chunk, at, there, from, to);
                const sample = Math.abs(chunk.data[at * chunk.channels]!) / (chunk.data instanceof Int16Array ? 32768 : 1);
                this.levels[track] = Math.max(this.levels[track]!, sample * Math.max(to[0], to[1]));
            }
            this.gains[track] = to;
        });
    }

    /** The same, through the stretcher. */
    private mixStretched(left: Float32Array, right: Float32Array): number {
        while (this.stretch.count < BLOCK && !this.stretch.step(this.speed)) {
            const count = this.mix();
            if (count === 0)
                break;
            this.stretch.push(this.left.subarray(0, count), this.right.subarray(0, count));
        }
        const count = Math.min(BLOCK, this.stretch.count);
        left.set(this.stretch.left.subarray(0, count));
        right.set(this.stretch.right.subarray(0, count));
        this.stretch.shift(count);
        return count;
    }

    process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
        const [left, right] = outputs[0] as [Float32Array, Float32Array];
        if (this.playing) {
            const plain = this.speed === 1;
            const count = plain ? this.mix() : this.mixStretched(left, right);
            if (plain) {
                left.set(this.left);
                right.set(this.right);
            }
            const ended = count < BLOCK && !this.loop && this.frame >= this.length;
            this.waiting = count < BLOCK && !ended;
            const step = (this.ending ? -1 : 1) / FADE_FRAMES;
            for (let i = 0; (this.fade < 1 || this.ending) && i < BLOCK; i++) {
                this.fade = Math.max(0, Math.min(1, this.fade + step));
                left[i]! *= this.fade;
                right[i]! *= this.fade;
            }
            if (ended || (this.ending && this.fade === 0)) {
                this.playing = this.ending = false;
                if (ended)
                    this.frame = this.length;
                this.report();
            }
        }
        this.sinceReport += BLOCK;
        if (this.playing && this.sinceReport > sampleRate / 30)
            this.report();
        return true;
    }
}

registerProcessor("stems", StemsProcessor);
