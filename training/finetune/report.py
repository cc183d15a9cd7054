# SPDX-License-Identifier: MIT
"""python -m finetune.report SONGS SCORES...: makes Markdown tables of scores, which are the
output of `spleeterd evaluate SONGS -p MODEL --json`."""

import argparse
import json
from pathlib import Path
from statistics import median


def style_of(songs, name):
    return json.loads((songs / name / "song.json").read_text())["style"]


def rows(songs, scores):
    """Yields for each stem its scores and the styles as (median SDR, style), worst first."""
    for stem in scores["medians"]:
        styles = {}
        for song in scores["songs"]:
            for scored in song["stems"]:
                if scored["name"] == stem["name"] and not scored["silent"]:
                    styles.setdefault(style_of(songs, song["name"]), []).append(scored["sdr"])
        medians = sorted((median(values), style) for style, values in styles.items())
        yield stem, medians


def summary(songs, scores):
    print("| stem | songs | SDR | mixture | improvement | SIR | SAR | worst style | best style |\n|---|---|---|---|---|---|---|---|---|")
    for stem, medians in rows(songs, scores):
        (worst, worst_style), (best, best_style) = medians[0], medians[-1]
        print(f"| {stem['name']} | {stem['songs']} | {stem['sdr']:.2f} | {stem['mixture_sdr']:.2f} | {stem['improvement']:.2f} | "
              f"{stem['sir']:.2f} | {stem['sar']:.2f} | {worst_style} {worst:.2f} | {best_style} {best:.2f} |")


def by_style(songs, scores):
    table = {stem["name"]: {style: value for value, style in medians} for stem, medians in rows(songs, scores)}
    styles = sorted({style for row in table.values() for style in row})
    print("| style | " + " | ".join(table) + " |\n" + "|---" * (len(table) + 1) + "|")
    for style in styles:
        print(f"| {style} | " + " | ".join(f"{row[style]:.2f}" if style in row else "" for row in table.values()) + " |")


def main():
    parser = argparse.ArgumentParser(prog="finetune.report", description=__doc__)
    parser.add_argument("songs", type=Path)
    parser.add_argument("scores", type=Path, nargs="+")
    arguments = parser.parse_args()
    for path in arguments.scores:
        scores = json.loads(path.read_text())
        print(f"\n## {scores['model']}\n")
        summary(arguments.songs, scores)
        print()
        by_style(arguments.songs, scores)


if __name__ == "__main__":
    main()
