# SPDX-License-Identifier: MIT
"""python -m songs train|validation --out FOLDER [--first N] [--count N]: renders missing songs."""

import argparse
import time

from . import song


def main():
    parser = argparse.ArgumentParser(prog="songs", description="Renders multitrack songs; those already there are kept.")
    parser.add_argument("split", choices=("train", "validation"))
    parser.add_argument("--out", required=True, help="folder that gets SPLIT/NNNNN/{vocals,drums,bass,piano,other}.flac")
    parser.add_argument("--first", type=int, default=0, help="first song")
    parser.add_argument("--count", type=int, default=None, help="number of songs (training 400, validation all)")
    arguments = parser.parse_args()
    fixed = arguments.split == "validation"
    count = arguments.count or (song.VALIDATION_SONGS if fixed else 400)
    for index in range(arguments.first, arguments.first + count):
        if song.folder(arguments.out, arguments.split, index).exists():
            continue
        begun_s = time.monotonic()
        about = song.write(arguments.out, arguments.split, index)
        print(f"{arguments.split} {index:05d}  {about['style']:12} {about['tempo_bpm']:6.1f} bpm  "
              f"{' '.join(f'{name} {level:.1f}' for name, level in about['rms_db'].items())} dB  "
              f"({time.monotonic() - begun_s:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
