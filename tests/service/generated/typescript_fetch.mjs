// SPDX-License-Identifier: MIT

// Separates a song: URL KEY SONG. Writes the vocals to standard output.
import { readFile } from "node:fs/promises";
import { separate } from "./typescript_fetch.ts";

const [url, key, path] = process.argv.slice(2);
const stem = await separate(url, key, new File([await readFile(path)], "song.wav", { type: "audio/wav" }));
process.stdout.write(new Uint8Array(await stem.arrayBuffer()));
