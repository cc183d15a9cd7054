// SPDX-License-Identifier: MIT

// Posts a form with fetch: form.mjs URL KEY FILE.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";

const [url, key, path] = process.argv.slice(2);
const form = new FormData();
form.set("file", new Blob([await readFile(path)], { type: "audio/wav" }), basename(path));
form.set("stems", "vocals, accompaniment");
const answer = await fetch(url, { method: "POST", headers: { "X-API-KEY": key }, body: form });
console.log(await answer.text());
