// SPDX-License-Identifier: MIT
// One open song: its job's progress, its player, its peaks, and the visible part.
import { batch, computed, effect, signal, type ReadonlySignal } from "@preact/signals";
import { api, Failure, type Job, type Output } from "./api";
import { Player, Track } from "./audio/player";
import { DecodedSource, WavSource } from "./audio/source";
import { Peaks } from "./peaks";
import { isActive, putJob } from "./state";

const POLL_MS = 700;
/** The most seconds of all tracks together that are kept in memory (170 MB). */
const DECODED_MAX_S = 1000;
const USUAL_RATE = 44100;

export type Obstacle = "tooLongToPlay" | "cannotDecode";

export class Mixer {
    readonly peaks: Peaks[];
    /** The stems are complete, and their lengths are known. */
    readonly complete = signal(false);
    readonly obstacle = signal<Obstacle | null>(null);
    readonly viewStart = signal(0);
    /** 0: the whole song fits. */
    readonly zoom = signal(0);
    readonly laneWidth = signal(800);
    readonly framesPerPixel: ReadonlySignal<number>;
    private readonly unsubscribe: () => void;

    constructor(readonly tracks: Track[], readonly player: Player) {
        this.peaks = tracks.map((track) => new Peaks(track.url, player.signal));
        this.framesPerPixel = computed(() => Math.max(16, player.length.value / this.laneWidth.value / 2 ** this.zoom.value));
        this.unsubscribe = effect(() => {
            tracks.forEach((track) => [track.volume.value, track.pan.value, track.muted.value, track.soloed.value]);
            player.applyGains();
        });
    }

    close(): void {
        this.unsubscribe();
        this.player.close();
    }

    get viewFrames(): number {
        return this.framesPerPixel.value * this.laneWidth.value;
    }

    scrollTo(frame: number): void {
        this.viewStart.value = Math.max(0, Math.min(frame, this.player.length.value - this.viewFrames));
    }

    /** Zooms by steps around a frame that keeps its position. */
    zoomBy(steps: number, around = this.player.position.value): void {
        const share = (around - this.viewStart.value) / this.viewFrames;
        const most = Math.log2(Math.max(1, this.player.length.value / this.laneWidth.value / 16));
        batch(() => {
            this.zoom.value = Math.max(0, Math.min(most, this.zoom.value + steps));
            this.scrollTo(around - Math.max(0, Math.min(1, share)) * this.viewFrames);
        });
    }

    preset(audible: (name: string) => boolean): void {
        batch(() => {
            for (const track of this.tracks) {
                track.soloed.value = false;
                track.muted.value = !audible(track.name);
            }
        });
    }
}

/** The outputs that are tracks: the stems, or the mixes if there are no stems. */
export function trackOutputs(job: Job): Output[] {
    const mixes = job.options?.mixes ?? {};
    const stems = job.outputs.filter((output) => !(output.name in mixes));
    return stems.length > 0 ? stems : job.outputs;
}

/** The expected length of the stems in seconds. */
function expectedSeconds(job: Job): number {
    const rest = (job.input.duration_s ?? 0) - (job.options?.offset ?? 0);
    return Math.max(0, job.options?.duration ? Math.min(rest, job.options.duration) : rest);
}

export class Song {
    readonly job = signal<Job | null>(null);
    readonly mixer = signal<Mixer | null>(null);
    readonly failed = signal<unknown>(null);
    private events: EventSource | null = null;
    private timer = 0;
    private closed = false;

    constructor(readonly id: string) {
        void this.load();
    }

    close(): void {
        this.closed = true;
        this.events?.close();
        clearTimeout(this.timer);
        this.mixer.value?.close();
    }

    async load(): Promise<void> {
        this.failed.value = null;
        try {
            this.take(await api.job(this.id));
        } catch (error) {
            this.failed.value = error;
        }
    }

    take(job: Job): void {
        if (this.closed)
            return;
        this.job.value = job;
        putJob(job);
        if (isActive(job))
            this.followEvents();
        this.updateMixer(job);
    }

    private followEvents(): void {
        if (this.events)
            return;
        this.events = new EventSource(`/v1/jobs/${this.id}/events`);
        this.events.addEventListener("job", (event: MessageEvent<string>) => {
            const job = JSON.parse(event.data) as Job;
            if (!isActive(job))
                this.events?.close();
            this.take(job);
        });
        this.events.onerror = () => {
            // The browser reconnects, unless the response was not a stream.
            if (this.events?.readyState === EventSource.CLOSED && !this.closed) {
                this.events = null;
                this.timer = setTimeout(() => void this.load(), 2000);
            }
        };
    }

    private updateMixer(job: Job): void {
        const outputs = trackOutputs(job);
        const playable = (job.status === "running" || job.status === "succeeded") && outputs.length > 0;
        const names = (files: { file: string }[]) => files.map((each) => each.file).join(" ");
        const old = this.mixer.value;
        if (old && (!playable || names(old.tracks) !== names(outputs))) {
            old.close();
            this.mixer.value = null;
        }
        if (playable && !this.mixer.value)
            this.openMixer(job, outputs);
    }

    private openMixer(job: Job, outputs: Output[]): void {
        const url = (output: Output) => `/v1/jobs/${job.id}/stems/${encodeURIComponent(output.file)}`;
        const tracks = outputs.map((output) => new Track(output.name, output.file, url(output)));
        const player = new Player(tracks, USUAL_RATE, Math.round(expectedSeconds(job) * USUAL_RATE));
        const mixer = new Mixer(tracks, player);
        this.mixer.value = mixer;
        void this.openSources(mixer);
        void this.watch(mixer);
    }

    /** Fetches new peaks until the job is done. */
    private async watch(mixer: Mixer): Promise<void> {
        const wav = mixer.tracks.every((track) => track.file.endsWith(".wav"));
        while (!mixer.player.signal.aborted) {
            const done = !isActive(this.job.value!);
            try {
                if (wav || done)
                    await Promise.all(mixer.peaks.map((peaks) => peaks.grow()));
                if (wav && !done)
                    mixer.player.setAvailable(Math.min(...mixer.peaks.map((peaks) => peaks.frames)));
                this.failed.value = null;
            } catch (error) {
                if (mixer.player.signal.aborted)
                    return;
                this.failed.value = error;
                if (error instanceof Failure && error.code !== "network" && done)
                    return;
            }
            if (done) {
                await this.complete(mixer);
                return;
            }
            await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        }
    }

    private async openSources(mixer: Mixer): Promise<void> {
        const { tracks, player } = mixer;
        const wav = tracks.every((track) => track.file.endsWith(".wav"));
        try {
            while (wav && !player.signal.aborted && tracks.some((track) => !track.source)) {
                if (player.available.value === 0 && isActive(this.job.value!)) {
                    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
                    continue;
                }
                for (const track of tracks)
                    track.source ??= await WavSource.open(track.url, player.signal);
            }
            const rate = tracks[0]!.source?.sampleRate;
            if (rate && rate !== player.sampleRate) {
                player.sampleRate = rate;
                player.setLength(Math.round(expectedSeconds(this.job.value!) * rate));
            }
            if (!isActive(this.job.value!))
                await this.complete(mixer);
        } catch (error) {
            if (!player.signal.aborted)
                player.problem.value = error;
        }
    }

    /** Called when the job is done: lengths are known, and compressed files can be decoded. */
    private async complete(mixer: Mixer): Promise<void> {
        const { tracks, player } = mixer;
        try {
            for (const track of tracks) {
                if (track.source instanceof WavSource)
                    await track.source.refresh(player.signal);
            }
            const seconds = expectedSeconds(this.job.value!) * tracks.length;
            const compressed = tracks.some((track) => !track.file.endsWith(".wav"));
            if (compressed && seconds > DECODED_MAX_S) {
                mixer.obstacle.value = "tooLongToPlay";
            } else if (compressed) {
                for (const track of tracks)
                    track.source ??= await DecodedSource.open(track.url, player.signal);
            }
            const frames = Math.max(...tracks.map((track) => track.source?.frames ?? 0));
            if (frames > 0) {
                player.setLength(frames);
                player.setAvailable(frames);
                mixer.complete.value = true;
            }
        } catch (error) {
            if (error instanceof DOMException && error.name === "EncodingError")
                mixer.obstacle.value = "cannotDecode";
            else if (!player.signal.aborted)
                player.problem.value = error;
        }
    }
}
