// SPDX-License-Identifier: MIT
// Bundles the page into the folder that is named: node build.mjs dist
import * as esbuild from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2];
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

function bundle(entryPoints, define = {}) {
    return esbuild.build({
        entryPoints,
        define,
        bundle: true,
        minify: true,
        format: "esm",
        target: ["chrome111", "firefox113", "safari16.4"],
        outdir: folder,
        entryNames: "[name]",
        assetNames: "[name]",
        legalComments: "none",
        charset: "ascii",
        loader: { ".woff2": "file", ".svg": "copy" },
    });
}

/** Puts a hash of the content into the name of a file, and returns the name. (esbuild's own also depends on where the sources lie.) */
function stamp(name) {
    const hash = createHash("sha256").update(readFileSync(join(folder, name))).digest("hex").slice(0, 12);
    const stamped = name.replace(/\.\w+$/, (extension) => `-${hash}${extension}`);
    renameSync(join(folder, name), join(folder, stamped));
    return stamped;
}

function replaceIn(name, pairs) {
    let text = readFileSync(join(folder, name), "utf8");
    for (const [from, to] of pairs)
        text = text.replaceAll(from, to);
    writeFileSync(join(folder, name), text);
}

await bundle(["src/audio/worklet.ts"]);
const worklet = stamp("worklet.js");
await bundle(["src/page.tsx", "src/style.css", "src/icon.svg"], { WORKLET_URL: JSON.stringify(`/assets/${worklet}`) });
const font = stamp("inter-latin-wght-normal.woff2");
replaceIn("style.css", [["inter-latin-wght-normal.woff2", font]]);
writeFileSync(join(folder, "index.html"), readFileSync("src/index.html"));
replaceIn("index.html", [
    ["inter.woff2", font],
    ...["page.js", "style.css", "icon.svg"].map((name) => [name, stamp(name)]),
]);

const files = readdirSync(folder).sort();
writeFileSync(
    join(folder, "meson.build"),
    `# Written by web/build.mjs.\npage_files = files(\n${files.map((name) => `  '${name}',\n`).join("")})\n`,
);
