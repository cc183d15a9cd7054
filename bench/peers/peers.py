# SPDX-License-Identifier: MIT
"""The programs in the comparison. Each peer has a command, and functions that read its time and its
samples.

`all_peers` is the registry. A peer of kind "song" separates a whole song; its time is that of its
process, from start to end. A peer of kind "network" runs one stem's network on one segment; its
command prints the time.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@dataclass
class Setup:
    """Paths that run.py has prepared."""

    work: Path
    spleeterd: Path
    codec: Path
    spleeter_python: Path
    python: Path
    song: Path
    # Seconds for which a network is timed in each run.
    net_s: float

    @property
    def native_4stems(self):
        return self.work / "native" / "generated-4stems"

    @property
    def checkpoints(self):
        return self.work / "checkpoints"

    @property
    def onnx(self):
        return self.work / "onnx"

    @property
    def outputs(self):
        return self.work / "outputs"


@dataclass
class Peer:
    name: str  # name in results.json
    # Name of the program in the table, without a version.
    program: str
    # Package whose version is reported; None for our program.
    package: str | None
    kind: str  # "song" or "network"
    stems: int
    command: list
    environment: dict = field(default_factory=dict)
    # Reads milliseconds from the output of a network's command.
    read_ms: Callable[[str], float] | None = None
    # The command that writes the samples unrounded, and the function that reads them: {stem:
    # [samples, 2]}, or {"y": [512, 1024, 2]}.
    exact_command: list | None = None
    read_exact: Callable[[], dict] | None = None
    mode: str = ""


def read_npys(folder, names):
    return {name: np.load(folder / f"{name}.npy") for name in names}


def read_wavs(folder, names):
    """Reads through ffmpeg, which keeps the samples of float WAV unchanged."""
    stems = {}
    for name in names:
        raw = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", folder / f"{name}.wav", "-f", "f32le", "-"],
                             check=True, stdout=subprocess.PIPE).stdout
        stems[name] = np.frombuffer(raw, "<f4").reshape(-1, 2)
    return stems


STEMS = {2: ("vocals", "accompaniment"), 4: ("vocals", "drums", "bass", "other")}


def ours(setup, stems):
    model = "spleeter:2stems" if stems == 2 else setup.native_4stems
    output = setup.outputs / f"spleeterd-{stems}stems"
    command = [setup.spleeterd, "separate", "-p", model, "--bandwidth", "11k", "-f", "{instrument}.{codec}", "-o", output]
    return Peer(f"spleeterd-{stems}stems", "spleeterd", None, "song", stems, [*command, setup.song],
                our_environment(setup), exact_command=[*command, "--bit-depth", "float", setup.song],
                read_exact=lambda: read_wavs(output, STEMS[stems]))


def our_environment(setup):
    return {"SPLEETER_CODEC": str(setup.codec), "SPLEETER_MODEL_PATH": str(ROOT / "models")}


def our_network(setup):
    """A synthetic song of whole segments, because a partial segment would cost less."""
    samples = 20 * 512 * 1024 - 4096
    command = [setup.spleeterd, "bench", "--json", "-p", "spleeter:2stems", "--bandwidth", "11k", "-d", samples / 44100]
    return Peer("spleeterd-network", "spleeterd", None, "network", 1, command, our_environment(setup),
                read_ms=lambda output: json.loads(output)["net_ms"])


def spleeter(setup, stems):
    output = setup.outputs / f"spleeter-{stems}stems"
    return Peer(f"spleeter-{stems}stems", "Spleeter (TensorFlow)", "spleeter", "song", stems,
                [setup.spleeter_python.parent / "spleeter", "separate", "-p", f"spleeter:{stems}stems", "-o", output,
                 setup.song],
                {"MODEL_PATH": str(setup.checkpoints), "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"})


def sherpa_onnx(setup):
    output = setup.outputs / "sherpa-onnx"
    command = [setup.python, HERE / "sherpa_song.py", setup.onnx / "sherpa-vocals.onnx",
               setup.onnx / "sherpa-accompaniment.onnx", setup.song, output]
    return Peer("sherpa-onnx-2stems", "sherpa-onnx", "sherpa-onnx", "song", 2, command, exact_command=[*command, "npy"],
                read_exact=lambda: read_npys(output, STEMS[2]))


def runtime(setup, package, program, mode):
    model = setup.onnx / ("vocals.mnn" if package == "mnn" else "vocals.onnx")
    y = setup.outputs / f"{package}-{mode}.npy"
    command = [setup.python, HERE / "net_worker.py", package, mode, model, setup.work / "net" / "x.npy"]
    return Peer(f"{package}-{mode}", program, package, "network", 1, [*command, setup.net_s],
                read_ms=lambda output: json.loads(output.splitlines()[-1])["ms"],
                exact_command=[*command, "0.1", y], read_exact=lambda: {"y": np.load(y)}, mode=mode)


def all_peers(setup):
    """Lists our program first in each group of compared peers."""
    return [
        ours(setup, 2), spleeter(setup, 2), sherpa_onnx(setup), ours(setup, 4), spleeter(setup, 4), our_network(setup),
        *(runtime(setup, package, program, mode)
          for package, program in (("openvino", "OpenVINO"), ("onnxruntime", "onnxruntime"), ("mnn", "MNN"))
          for mode in ("latency", "throughput")),
    ]


# ----------------------------------------------------------------- preparation ----


def make_song(path, seconds):
    """Decodes the bundled song, loops it and encodes it again, so that the joins have no gap."""
    decoded = path.with_suffix(".wav")
    ffmpeg = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
    subprocess.run([*ffmpeg, "-i", ROOT / "examples" / "audio_example.mp3", decoded], check=True)
    subprocess.run([*ffmpeg, "-stream_loop", "-1", "-i", decoded, "-t", str(seconds), "-map_metadata", "-1",
                    "-b:a", "192k", path], check=True)
    decoded.unlink()


def make_models(setup, checkpoint):
    """Writes the weights in each program's format. The weights of the 4 stems are generated,
    because they do not affect the time."""
    import formula

    from unet_onnx import write_unet

    native_2stems = ROOT / "models" / "spleeter-2stems"
    if not setup.native_4stems.exists():
        formula.write_model_folder(formula.MODELS["generated-4stems"], "generated-4stems", setup.native_4stems)
    for native, name in ((native_2stems, "2stems"), (setup.native_4stems, "4stems")):
        folder = setup.checkpoints / name
        if folder.exists():
            continue
        if checkpoint and name == "2stems":
            shutil.copytree(checkpoint, folder)
            (folder / ".probe").write_text("OK")  # marks a complete download for Spleeter
        else:
            subprocess.run([setup.spleeter_python, HERE / "spleeter_side.py", "checkpoint", native, folder], check=True)
    setup.onnx.mkdir(exist_ok=True)
    write_unet(native_2stems / "vocals.safetensors", setup.onnx / "vocals.onnx")
    for stem in STEMS[2]:
        write_unet(native_2stems / f"{stem}.safetensors", setup.onnx / f"sherpa-{stem}.onnx", "sherpa")
    # The command mnnconvert is avoided: it installs a package with whatever `pip` is on the path,
    # and sends statistics.
    subprocess.run([setup.python, "-c", "import sys, _tools; _tools.mnnconvert(sys.argv)", "-f", "ONNX", "--modelFile",
                    setup.onnx / "vocals.onnx", "--MNNModel", setup.onnx / "vocals.mnn"],
                   check=True, stdout=subprocess.DEVNULL)


def make_references(setup):
    """Spleeter's own results: {name: array} for "y" and (stems, name) for stems."""
    net = setup.work / "net"
    environment = {"MODEL_PATH": str(setup.checkpoints)}
    side = [setup.spleeter_python, HERE / "spleeter_side.py"]
    references = {}
    for stems, names in STEMS.items():
        folder = setup.work / f"reference-{stems}stems"
        folder.mkdir(exist_ok=True)
        subprocess.run([*side, "stems", f"spleeter:{stems}stems", setup.song, folder], check=True,
                       env={**os.environ, **environment})
        references |= {(stems, name): array for name, array in read_npys(folder, names).items()}
    net.mkdir(exist_ok=True)
    subprocess.run([*side, "net", setup.checkpoints / "2stems", setup.song, "0", net], check=True)
    references[(1, "y")] = np.load(net / "y.npy")
    return references
