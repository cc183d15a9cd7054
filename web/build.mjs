// SPDX-License-Identifier: MIT
// Bundles the page into the folder that is named: node build.mjs dist
import * as esbuild from "esbuild";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const folder = process.argv[2];
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

const common = {
    bundle: true,
    minify: true,
    format: "esm",
    target: ["chrome111", "firefox113", "safari16.4"],
    outdir: folder,
    entryNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    metafile: true,
    legalComments: "none",
    charset: "ascii",
    loader: { ".woff2": "file", ".svg": "copy" },
};

const built = (result, extension) =>
    basename(Object.keys(result.metafile.outputs).find((name) => name.endsWith(extension)));

const worklet = await esbuild.build({ ...common, entryPoints: ["src/audio/worklet.ts"] });
const page = await esbuild.build({
    ...common,
    entryPoints: ["src/page.tsx", "src/style.css", "src/icon.svg"],
    define: { WORKLET_URL: JSON.stringify("/assets/" + built(worklet, ".js")) },
});

const font = built(page, ".woff2");
const html = readFileSync("src/index.html", "utf8")
    .replace("page.js", built(page, ".js"))
    .replace("style.css", built(page, ".css"))
    .replace("icon.svg", built(page, ".svg"))
    .replace("inter.woff2", font);
writeFileSync(join(folder, "index.html"), html);

const files = readdirSync(folder).sort();
writeFileSync(
    join(folder, "meson.build"),
    `# Written by web/build.mjs.\npage_files = files(\n${files.map((name) => `  '${name}',\n`).join("")})\n`,
);
