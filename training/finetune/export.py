# SPDX-License-Identifier: MIT
"""python -m finetune.export CHECKPOINT MODELS: writes the model folders 4stems and 5stems from a
training checkpoint."""

import argparse
import hashlib
import json
import os
from pathlib import Path

import torch

from . import net

BASE = "spleeter-2stems"
GROUP = "accompaniment"
# The stems after the vocals and their network files. Files in the other folder are written first.
MODELS = {
    "4stems": {"drums": "drums.safetensors", "bass": "bass.safetensors", "other": "other.safetensors"},
    "5stems": {"piano": "piano.safetensors", "drums": "../4stems/drums.safetensors", "bass": "../4stems/bass.safetensors",
               "other": "../4stems/other.safetensors"},
}


def averages(path, start):
    """Returns ({network: tensors}, steps): the running means of the weights in the checkpoint at
    `path`. `start` has the tensors of the starting network."""
    state = torch.load(path)
    found = {}
    for name, tensors in state["nets"].items():
        unet = net.UNet(start)
        unet.load_state_dict(tensors)
        for values, average in zip(unet.parameters(), state["averages"][name]):
            values.data.copy_(average)
        found[name] = unet.tensors()
    return found, state["step"]


def write(path, content):
    aside = path.with_name("." + path.name)
    with open(aside, "wb") as file:
        file.write(content)
        os.fsync(file.fileno())
    aside.rename(path)


def export(nets, steps, models, kind="F16"):
    """Writes the model folders into `models`, which must contain spleeter-2stems."""
    base = json.loads((models / BASE / "manifest.json").read_text())
    entries = {stem["name"]: {**stem, "net": f"../{BASE}/{stem['net']}"} for stem in base["stems"]}
    for model, stems in MODELS.items():
        folder = models / model
        folder.mkdir(exist_ok=True)
        listed = [entries["vocals"]]
        for stem, file in stems.items():
            path = folder / file
            if not file.startswith("../"):
                write(path, net.encode(nets[stem], kind))
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            listed.append({"name": stem, "net": file, "sha256": digest, "group": GROUP})
        manifest = {**base, "name": model, "stems": listed, "groups": [entries[GROUP]],
                    "licence": "MIT (the nets of 2stems: as in spleeter-2stems)",
                    "source": f"spleeterd's own (training/), {steps} steps from the accompaniment net of spleeter-2stems"}
        write(folder / "manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())


def main():
    parser = argparse.ArgumentParser(prog="finetune.export", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("models", type=Path, help="folder that has spleeter-2stems and gets 4stems and 5stems")
    parser.add_argument("--float32", action="store_true", help="twice the size, to measure what half precision costs")
    arguments = parser.parse_args()
    nets, steps = averages(arguments.checkpoint, net.read(arguments.models / BASE / "accompaniment.safetensors"))
    export(nets, steps, arguments.models, "F32" if arguments.float32 else "F16")


if __name__ == "__main__":
    main()
