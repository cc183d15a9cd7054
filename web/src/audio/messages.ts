// SPDX-License-Identifier: MIT
// What player and worklet say to each other.
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

/** Comes about 30 times a second while it plays, and after each message that changes it. */
export interface State {
    frame: number;
    /** Of the last seek that it follows. */
    seek: number;
    playing: boolean;
    /** It plays, but the chunk that is needed is not there. */
    waiting: boolean;
    /** The greatest sample of each track since the last message. */
    levels: number[];
}

export type FromWorklet = State | { spare: ArrayBuffer[] }; // of chunks that were dropped, for the next ones
