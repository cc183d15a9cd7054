// SPDX-License-Identifier: MIT
// Changes the speed of a stereo signal and keeps its pitch: WSOLA (Verhelst and Roelands, 1993). Sequences of the
// input are joined where they fit best.

const SEQUENCE = 3528; // 80 ms at 44.1 kHz
const SEEK = 882; // 20 ms: the range of the search for the best fit
const OVERLAP = 441; // 10 ms
const CAPACITY = 32768;

export class Stretch {
    readonly left = new Float32Array(CAPACITY);
    readonly right = new Float32Array(CAPACITY);
    private inLeft = new Float32Array(CAPACITY);
    private inRight = new Float32Array(CAPACITY);
    private tailLeft = new Float32Array(OVERLAP);
    private tailRight = new Float32Array(OVERLAP);
    private inCount = 0;
    private fraction = 0;
    private fresh = true;
    /** Frames of output, at the start of left and right. */
    count = 0;

    reset(): void {
        this.inCount = this.count = this.fraction = 0;
        this.fresh = true;
    }

    /** Frames of input not used yet. */
    get waiting(): number {
        return this.inCount;
    }

    push(left: Float32Array, right: Float32Array): void {
        this.inLeft.set(left, this.inCount);
        this.inRight.set(right, this.inCount);
        this.inCount += left.length;
    }

    /** Makes output of the input. Returns whether there was enough input. */
    step(speed: number): boolean {
        const advance = SEQUENCE - OVERLAP;
        const skip = speed * advance + this.fraction;
        if (this.inCount < Math.max(SEEK + SEQUENCE, Math.ceil(skip)) || this.count + advance > CAPACITY)
            return false;
        const start = this.fresh ? 0 : this.bestOffset();
        for (let i = 0; i < OVERLAP; i++) {
            const weight = this.fresh ? 1 : i / OVERLAP;
            this.left[this.count + i] = this.inLeft[start + i]! * weight + this.tailLeft[i]! * (1 - weight);
            this.right[this.count + i] = this.inRight[start + i]! * weight + this.tailRight[i]! * (1 - weight);
        }
        this.left.set(this.inLeft.subarray(start + OVERLAP, start + advance), this.count + OVERLAP);
        this.right.set(this.inRight.subarray(start + OVERLAP, start + advance), this.count + OVERLAP);
        this.count += advance;
        this.tailLeft.set(this.inLeft.subarray(start + advance, start + SEQUENCE));
        this.tailRight.set(this.inRight.subarray(start + advance, start + SEQUENCE));
        const whole = Math.floor(skip);
        this.fraction = skip - whole;
        this.inLeft.copyWithin(0, whole, this.inCount);
        this.inRight.copyWithin(0, whole, this.inCount);
        this.inCount -= whole;
        this.fresh = false;
        return true;
    }

    /** Removes output. */
    shift(frames: number): void {
        this.left.copyWithin(0, frames, this.count);
        this.right.copyWithin(0, frames, this.count);
        this.count -= frames;
    }

    private bestOffset(): number {
        let best = 0, bestFit = -Infinity;
        for (let offset = 0; offset < SEEK; offset += 2) {
            let product = 0, energy = 1e-9;
            for (let i = 0; i < OVERLAP; i += 2) {
                const sample = this.inLeft[offset + i]! + this.inRight[offset + i]!;
                product += sample * (this.tailLeft[i]! + this.tailRight[i]!);
                energy += sample * sample;
            }
            const fit = product / Math.sqrt(energy);
            if (fit > bestFit) {
                bestFit = fit;
                best = offset;
            }
        }
        return best;
    }
}
