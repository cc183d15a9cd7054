// SPDX-License-Identifier: MIT
// The messages between player and worklet.
import type { Chunk, Gains } from "./mix";

export type ToWorklet =
    | { type: "chunk"; track: number; index: number; data: Chunk["data"]; channels: number }
    | { type: "drop"; index: number }
    | { type: "gains"; gains: Gains[] }
    | { type: "play"; on: boolean }
    | { type: "seek"; frame: number; number: number }
    | { type: "length"; frames: number }
    | { type: "loop"; range: [number, number] | null }
    | { type: "speed"; speed: number };

/** Sent about 30 times a second while it plays, and after each message that changes it. */
export interface State {
    frame: number;
    /** The number of the last seek that it includes. */
    seek: number;
    playing: boolean;
    /** It should play, but the next chunk is missing. */
    waiting: boolean;
    /** The peak of each track since the last message. */
    levels: number[];
}

export type FromWorklet = State | { spare: ArrayBuffer[] }; // buffers of dropped chunks, for reuse
