// SPDX-License-Identifier: MIT
// The peaks of a stem from the service: an overview that grows with the stem, and finer tiles for the visible part.
import { signal } from "@preact/signals";
import { failure } from "./api";

export const OVERVIEW_SAMPLES = 1024;
const TILE_SAMPLES = 64;
const TILE_PEAKS = 4096;
const TILES_KEPT = 48;
const HEADER_BYTES = 24;
const FACTOR = 4; // from one level to the next

async function fetchPeaks(url: string, samples: number, first: number, count: number, abort: AbortSignal): Promise<Int8Array> {
    const answer = await fetch(`${url}/peaks?samples_per_peak=${samples}&first=${first}&count=${count}`, { signal: abort });
    if (answer.status === 409)
        return new Int8Array(0);
    if (!answer.ok)
        throw await failure(answer);
    return new Int8Array(await answer.arrayBuffer(), HEADER_BYTES);
}

/** Pairs of minimum and maximum. */
function coarser(peaks: Int8Array): Int8Array {
    const count = Math.ceil(peaks.length / 2 / FACTOR);
    const result = new Int8Array(2 * count);
    for (let i = 0; i < count; i++) {
        let least = 127, most = -128;
        for (let j = 2 * FACTOR * i; j < Math.min(peaks.length, 2 * FACTOR * (i + 1)); j += 2) {
            least = Math.min(least, peaks[j]!);
            most = Math.max(most, peaks[j + 1]!);
        }
        result[2 * i] = least;
        result[2 * i + 1] = most;
    }
    return result;
}

export class Peaks {
    /** Increases when there is more to draw. */
    readonly version = signal(0);
    private levels: Int8Array[] = [new Int8Array(0)];
    private readonly tiles = new Map<number, Int8Array | null>(); // null: being fetched

    constructor(private readonly url: string, private readonly abort: AbortSignal) {}

    /** Frames that the overview shows. */
    get frames(): number {
        return (this.levels[0]!.length / 2) * OVERVIEW_SAMPLES;
    }

    /** Fetches the peaks of what was added to the stem. */
    async grow(): Promise<void> {
        const old = this.levels[0]!;
        const more = await fetchPeaks(this.url, OVERVIEW_SAMPLES, old.length / 2, 1 << 20, this.abort);
        if (more.length === 0)
            return;
        const all = new Int8Array(old.length + more.length);
        all.set(old);
        all.set(more, old.length);
        this.levels = [all];
        while (this.levels.at(-1)!.length > 2048)
            this.levels.push(coarser(this.levels.at(-1)!));
        this.version.value++;
    }

    /** The finest level of which a column of `framesPerPixel` covers only a few peaks. */
    level(framesPerPixel: number): { peaks: Int8Array; samples: number } {
        let i = 0;
        while (i + 1 < this.levels.length && OVERVIEW_SAMPLES * FACTOR ** (i + 1) <= framesPerPixel)
            i++;
        return { peaks: this.levels[i]!, samples: OVERVIEW_SAMPLES * FACTOR ** i };
    }

    static readonly tileFrames = TILE_SAMPLES * TILE_PEAKS;
    static readonly tileSamples = TILE_SAMPLES;

    /** A fine tile; null while it is being fetched. */
    tile(index: number): Int8Array | null {
        const found = this.tiles.get(index);
        if (found !== undefined) {
            this.tiles.delete(index);
            this.tiles.set(index, found); // moves it to the end: least recently used tiles are dropped first
            return found;
        }
        this.tiles.set(index, null);
        void this.fetchTile(index);
        if (this.tiles.size > TILES_KEPT)
            this.tiles.delete(this.tiles.keys().next().value!);
        return null;
    }

    private async fetchTile(index: number): Promise<void> {
        try {
            const peaks = await fetchPeaks(this.url, TILE_SAMPLES, index * TILE_PEAKS, TILE_PEAKS, this.abort);
            if (peaks.length < 2 * TILE_PEAKS && this.frames > (index + 1) * Peaks.tileFrames)
                this.tiles.delete(index);
            else
                this.tiles.set(index, peaks);
            this.version.value++;
        } catch {
            this.tiles.delete(index);
        }
    }
}
