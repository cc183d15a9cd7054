// SPDX-License-Identifier: MIT
// Plays the stems of one song: sends the worklet the chunks around the playhead, and reports its state to the page.
import { computed, signal, type ReadonlySignal } from "@preact/signals";
import type { FromWorklet, State, ToWorklet } from "./messages";
import { CHUNK_FRAMES, toGains, type Gains } from "./mix";
import type { Source } from "./source";

declare const WORKLET_URL: string;

const CHUNKS_AHEAD = 2; // 6 s
const RETRY_MS = 700; // before the next request for more of a growing stem
const AT_ONCE = 5; // requests; browsers allow six, and events need one

export class Track {
    readonly volume = signal(1);
    readonly pan = signal(0);
    readonly muted = signal(false);
    readonly soloed = signal(false);
    readonly level = signal(0);
    source: Source | null = null;

    constructor(readonly name: string, readonly file: string, readonly url: string) {}
}

export class Player {
    readonly playing = signal(false);
    readonly waiting = signal(false);
    /** Frames. */
    readonly position = signal(0);
    readonly length = signal(0);
    /** The part that all growing stems have so far. */
    readonly available = signal(0);
    readonly loop = signal<[number, number] | null>(null);
    readonly looping = signal(false);
    readonly speed = signal(1);
    readonly volume = signal(1);
    readonly problem = signal<unknown>(null);
    readonly seconds: ReadonlySignal<number> = computed(() => this.position.value / this.sampleRate);

    private context: AudioContext | null = null;
    private node: AudioWorkletNode | null = null;
    private output: GainNode | null = null;
    private starting: Promise<void> | null = null;
    private readonly stopper = new AbortController();
    private held: Set<number>[]; // chunks that the worklet has, by track
    private readonly spare: ArrayBuffer[] = [];
    private pending = new Set<string>();
    private seeks = 0;

    constructor(readonly tracks: Track[], public sampleRate: number, length: number) {
        this.length.value = length;
        this.held = tracks.map(() => new Set());
    }

    close(): void {
        this.stopper.abort();
        void this.context?.close();
        this.context = null;
        this.node = null;
    }

    get signal(): AbortSignal {
        return this.stopper.signal;
    }

    /** The gain of each track. A soloed track silences the others. */
    gains(): Gains[] {
        const solo = this.tracks.some((track) => track.soloed.value);
        return this.tracks.map((track) => {
            const audible = solo ? track.soloed.value : !track.muted.value;
            return audible ? toGains(track.volume.value, track.pan.value) : [0, 0];
        });
    }

    /** The first call must come from a user's action, or browsers play no sound. */
    private start(): Promise<void> {
        this.starting ??= (async () => {
            const context = new AudioContext({ sampleRate: this.sampleRate, latencyHint: "interactive" });
            this.context = context;
            await context.audioWorklet.addModule(WORKLET_URL);
            if (this.signal.aborted)
                return;
            const node = new AudioWorkletNode(context, "stems", {
                numberOfInputs: 0, outputChannelCount: [2], processorOptions: { tracks: this.tracks.length },
            });
            node.port.onmessage = (event: MessageEvent<FromWorklet>) => {
                if ("spare" in event.data)
                    this.spare.push(...event.data.spare);
                else
                    this.take(event.data);
            };
            this.output = context.createGain();
            node.connect(this.output).connect(context.destination);
            this.node = node;
            this.send({ type: "length", frames: this.length.value });
            this.send({ type: "gains", gains: this.gains() });
            this.send({ type: "seek", frame: this.position.value, number: this.seeks });
            this.send({ type: "speed", speed: this.speed.value });
            this.sendLoop();
            this.output.gain.value = this.volume.value;
        })();
        return this.starting;
    }

    private send(message: ToWorklet, transfer: Transferable[] = []): void {
        this.node?.port.postMessage(message, transfer);
    }

    private take(state: State): void {
        if (state.seek === this.seeks) // otherwise it precedes the last seek
            this.position.value = state.frame;
        this.playing.value = state.playing;
        this.waiting.value = state.waiting && state.playing;
        state.levels.forEach((level, i) => {
            const meter = this.tracks[i]!.level;
            meter.value = state.playing ? Math.max(level, meter.peek() * 0.8) : 0;
        });
        this.feed();
    }

    async play(): Promise<void> {
        try {
            await this.start();
            await this.context?.resume();
        } catch (error) {
            this.starting = null;
            this.problem.value = error;
            return;
        }
        if (this.position.value >= this.length.value)
            this.seek(0);
        this.send({ type: "play", on: true });
        this.feed();
    }

    pause(): void {
        this.send({ type: "play", on: false });
    }

    toggle(): void {
        if (this.playing.value)
            this.pause();
        else
            void this.play();
    }

    seek(frame: number): void {
        frame = Math.round(Math.max(0, Math.min(frame, this.length.value)));
        this.position.value = frame;
        this.send({ type: "seek", frame, number: ++this.seeks });
        this.feed();
    }

    skip(seconds: number): void {
        this.seek(this.position.value + seconds * this.sampleRate);
    }

    setLength(frames: number): void {
        this.length.value = frames;
        this.send({ type: "length", frames });
    }

    setAvailable(frames: number): void {
        this.available.value = frames;
        this.feed();
    }

    setSpeed(speed: number): void {
        this.speed.value = speed;
        this.send({ type: "speed", speed });
    }

    setVolume(volume: number): void {
        this.volume.value = volume;
        this.output?.gain.setTargetAtTime(volume, this.context!.currentTime, 0.01);
    }

    applyGains(): void {
        this.send({ type: "gains", gains: this.gains() });
    }

    setLoop(range: [number, number] | null, on = range !== null): void {
        this.loop.value = range && [Math.round(range[0]), Math.round(range[1])];
        this.looping.value = on;
        this.sendLoop();
        this.feed();
    }

    private sendLoop(): void {
        this.send({ type: "loop", range: this.looping.value ? this.loop.value : null });
    }

    /** The chunks that are needed, the most urgent first. */
    private wanted(): number[] {
        const last = Math.floor(Math.max(0, this.length.value - 1) / CHUNK_FRAMES);
        const now = Math.min(last, Math.floor(this.position.value / CHUNK_FRAMES));
        const list: number[] = [];
        for (let index = now; index <= Math.min(last, now + CHUNKS_AHEAD); index++)
            list.push(index);
        if (this.looping.value && this.loop.value) {
            const start = Math.floor(this.loop.value[0] / CHUNK_FRAMES);
            list.push(...[start, start + 1].filter((index) => index <= last && !list.includes(index)));
        }
        return list;
    }

    private isThere(index: number): boolean {
        return Math.min((index + 1) * CHUNK_FRAMES, this.length.value) <= this.available.value;
    }

    /** Drops chunks far from the playhead and fetches near ones. */
    private feed(): void {
        if (!this.node || this.signal.aborted)
            return;
        const wanted = this.wanted();
        const near = new Set(wanted).add(wanted[0]! - 1);
        const far = new Set(this.held.flatMap((set) => [...set].filter((index) => !near.has(index))));
        for (const index of far) {
            this.send({ type: "drop", index });
            this.held.forEach((set) => set.delete(index));
        }
        for (const index of wanted) {
            for (let track = 0; track < this.tracks.length; track++) {
                if (this.pending.size >= AT_ONCE)
                    return;
                if (!this.held[track]!.has(index) && this.isThere(index))
                    void this.fetch(track, index);
            }
        }
    }

    private async fetch(track: number, index: number): Promise<void> {
        const name = `${track} ${index}`;
        const source = this.tracks[track]!.source;
        if (this.pending.has(name))
            return;
        this.pending.add(name);
        let got = false;
        try {
            const chunk = await source?.chunk(index, this.signal, this.spare.pop());
            if (chunk && !this.signal.aborted) {
                got = true;
                this.held[track]!.add(index);
                this.send({ type: "chunk", track, index, ...chunk }, [chunk.data.buffer]);
            }
            this.problem.value = null;
        } catch (error) {
            if (!this.signal.aborted)
                this.problem.value = error;
        }
        if (got) {
            this.pending.delete(name);
            this.feed();
        } else if (!this.signal.aborted) {
            // The name stays pending meanwhile, so that not every report requests it again.
            setTimeout(() => {
                this.pending.delete(name);
                this.feed();
            }, RETRY_MS);
        }
    }
}
