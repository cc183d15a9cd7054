# SPDX-License-Identifier: MIT
"""python -m finetune.train: fine-tunes four networks together; it can be stopped and resumed."""

import argparse
from concurrent.futures import ThreadPoolExecutor
import functools
import json
import math
import os
from pathlib import Path
import time

import torch

from . import examples, net
from .objective import EPS, NETS, loss, prepare, ratios_db

WARM_UP = 50
EMA_EVERY = 4


class Trainer:
    """Trains each network as a task on one thread of a pool. On cores shared with other processes,
    this is faster than threads that split a layer and wait for each other."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.out = Path(arguments.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.songs = examples.Songs(Path(arguments.songs))
        self.held_out = examples.Songs(Path(arguments.songs), held_out=True)
        base = Path(arguments.base)
        start = net.read(base / "accompaniment.safetensors")
        self.base = [net.UNet(tensors).to(memory_format=torch.channels_last)
                     for tensors in (net.read(base / "vocals.safetensors"), start)]
        self.nets = {name: net.UNet(start).to(memory_format=torch.channels_last) for name in NETS}
        self.parameters = {name: list(unet.parameters()) for name, unet in self.nets.items()}
        self.averages = {name: [values.detach().clone() for values in found] for name, found in self.parameters.items()}
        self.optimizers = {name: torch.optim.Adam(found, lr=arguments.rate, fused=True)
                           for name, found in self.parameters.items()}
        self.step = 0
        if self.checkpoint.exists():
            self.load()
        torch.set_num_threads(1)
        self.pool = ThreadPoolExecutor(arguments.threads, initializer=torch.set_num_threads, initargs=(1,))

    @property
    def checkpoint(self):
        return self.out / "checkpoint.pt"

    def load(self):
        state = torch.load(self.checkpoint)
        for name in NETS:
            self.nets[name].load_state_dict(state["nets"][name])
            self.optimizers[name].load_state_dict(state["optimizers"][name])
        self.averages = state["averages"]
        self.step = state["step"]

    def save(self):
        """Writes to a temporary file and renames it, so that the checkpoint is complete if the
        program stops."""
        aside = self.checkpoint.with_suffix(".tmp")
        with open(aside, "wb") as file:
            torch.save({"nets": {name: unet.state_dict() for name, unet in self.nets.items()}, "averages": self.averages,
                        "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
                        "step": self.step}, file)
            os.fsync(file.fileno())
        aside.rename(self.checkpoint)

    def log(self, **entry):
        with open(self.out / "log.jsonl", "a") as file:
            file.write(json.dumps({"step": self.step, **entry}) + "\n")

    def estimate(self, targets, train=False):
        """Returns each network's estimate of its stem in the mixture, and the accompaniment's share
        as 2stems separates it."""
        magnitudes = targets.magnitudes.contiguous(memory_format=torch.channels_last)
        precision = functools.partial(torch.autocast, "cpu", torch.bfloat16, enabled=self.arguments.bf16)
        with precision():
            shared = next(iter(self.nets.values())).shared(magnitudes)

        def run(unet):
            with precision(), torch.set_grad_enabled(train):
                return unet(magnitudes, shared).float()

        def run_base(unet):
            with precision(), torch.no_grad():
                return unet(magnitudes).float().square() + EPS
        base = self.pool.map(run_base, self.base)
        estimates = dict(zip(self.nets, self.pool.map(run, self.nets.values())))
        vocals, accompaniment = base
        return estimates, accompaniment / (vocals + accompaniment)

    def rate(self):
        done = min(1, self.step / self.arguments.steps)
        return self.arguments.rate * min(1, (self.step + 1) / WARM_UP) * (0.03 + 0.97 * (1 + math.cos(math.pi * done)) / 2)

    def update(self, name, estimate, gradient):
        optimizer, found = self.optimizers[name], self.parameters[name]
        for group in optimizer.param_groups:
            group["lr"] = self.rate()
        optimizer.zero_grad()
        estimate.backward(gradient)
        norm = torch.nn.utils.clip_grad_norm_(found, self.arguments.clip, foreach=True)
        optimizer.step()
        if self.step % EMA_EVERY == 0:
            # While there are few steps, the mean covers their last quarter.
            weight = max(1 - self.arguments.decay ** EMA_EVERY, EMA_EVERY / (self.step / 4 + EMA_EVERY))
            torch._foreach_lerp_(self.averages[name], [values.detach() for values in found], weight)
        return norm.item()

    def train_step(self, targets):
        estimates, share = self.estimate(targets, train=True)
        leaves = {name: estimate.detach().requires_grad_() for name, estimate in estimates.items()}
        losses = loss(ratios_db(leaves, share, targets), targets)
        sum(losses.values()).backward()
        norms = self.pool.map(lambda name: self.update(name, estimates[name], leaves[name].grad), NETS)
        norms = {name: round(norm, 2) for name, norm in zip(NETS, norms)}
        self.step += 1
        return {name: round(value.item(), 3) for name, value in losses.items()}, norms

    def swap(self):
        """Swaps the weights with their running mean."""
        for name in NETS:
            for values, average in zip(self.parameters[name], self.averages[name]):
                kept = values.detach().clone()
                values.data.copy_(average)
                average.copy_(kept)

    @torch.no_grad()
    def validate(self):
        """Returns the median SDR in dB, with the weights' running mean, over the windows of
        held-out songs in which each stem plays."""
        found = {}
        self.swap()
        for index in range(min(self.arguments.validation_songs, len(self.held_out.songs))):
            targets = prepare(examples.spectra(self.held_out.fixed(index, 512)[None]))
            for name, values in ratios_db(*self.estimate(targets), targets).items():
                found.setdefault(name, []).append(-values[targets.presence(*name.split()) > 0.5])
        self.swap()
        return {name: round(torch.cat(values).median().item(), 2) for name, values in found.items()}

    def run(self):
        arguments = self.arguments

        def load(step):
            return prepare(examples.batch(self.songs, arguments.seed, step, arguments.batch, arguments.frames))
        with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as loader:
            ready = loader.submit(load, self.step)
            begun_s = time.monotonic()
            while self.step < arguments.steps:
                targets = ready.result()
                if self.step % 50 == 0:
                    self.songs.reread()
                ready = loader.submit(load, self.step + 1)
                losses, norms = self.train_step(targets)
                self.log(loss=losses, norm=norms, rate=self.rate(), seconds=round(time.monotonic() - begun_s, 2))
                begun_s = time.monotonic()
                if self.step % arguments.save_every == 0 or self.step == arguments.steps:
                    scores = self.validate()
                    self.log(validation=scores, songs=len(self.songs.songs), cpu_s=round(time.process_time()))
                    self.save()
                    print(self.step, scores, flush=True)


def main():
    parser = argparse.ArgumentParser(prog="finetune.train", description=__doc__)
    parser.add_argument("--songs", required=True, help="folder of training songs (songs/)")
    parser.add_argument("--out", required=True, help="folder of checkpoint.pt and log.jsonl")
    parser.add_argument("--base", default="../models/spleeter-2stems", help="model that splits off the vocals, and whose "
                        "accompaniment net is the start")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=2, help="examples a step")
    parser.add_argument("--frames", type=int, default=256, help="STFT frames an example, a multiple of 64")
    parser.add_argument("--rate", type=float, default=3e-4, help="Adam's learning rate, at its highest")
    parser.add_argument("--clip", type=float, default=1.0, help="norm to which gradients are cut")
    parser.add_argument("--decay", type=float, default=0.995, help="of the running mean of the weights, a step")
    parser.add_argument("--bf16", action="store_true", help="convolve in bfloat16 (AVX-512 BF16 or AMX)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=int, default=100, help="steps between validations and checkpoints")
    parser.add_argument("--validation-songs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    Trainer(parser.parse_args()).run()


if __name__ == "__main__":
    main()
