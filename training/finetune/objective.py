# SPDX-License-Identifier: MIT
"""The objective of training: the error of the masked stems in dB relative to each stem, per window
of time."""

from dataclasses import dataclass

import torch

from .examples import STEMS

NETS = ("drums", "bass", "piano", "other")
# For each model, the networks that share the accompaniment's part of the mixture, and the stems
# that each of them sums.
SPLITS = {
    "4stems": {"drums": ("drums",), "bass": ("bass",), "other": ("piano", "other")},
    "5stems": {"drums": ("drums",), "bass": ("bass",), "piano": ("piano",), "other": ("other",)},
}
WINDOW = 32  # frames; 0.74 s
FLOOR = 0.01  # share of the mixture's energy, added to both energies of a ratio
# Share of the mixture's energy below which a stem has little weight.
QUIET = 0.03
EPS = 1e-6


def windows(energies):
    """Sums energies [batch, 2, frames, bins] over each window: [batch, windows]."""
    return energies.sum(-1).unflatten(-1, (-1, WINDOW)).sum((1, 3))


@dataclass
class Targets:
    """Precomputed tensors of a batch of mixtures, and of its sums of stems in SPLITS."""
    magnitudes: torch.Tensor  # [batch, 2, frames, bins]
    floor: torch.Tensor       # [batch, windows]: added to energies
    products: dict            # [batch, 2, frames, bins] by parts: Re(mixture* x stem)
    energies: dict            # [batch, windows] by parts: energy of the stem

    def presence(self, split, net):
        """Returns weights [batch, windows]: from 0, where the network's stem is silent, to nearly
        1, where it is loud."""
        energy = self.energies[SPLITS[split][net]]
        return energy / (energy + self.floor * (QUIET / FLOOR))


@torch.no_grad()
def prepare(stems):
    """Computes the Targets of spectra [batch, stems, 2, frames, bins]."""
    parts = dict(zip(STEMS, stems.unbind(1)))
    mixture = sum(parts.values())
    magnitudes = mixture.abs()
    targets = Targets(magnitudes, FLOOR * windows(magnitudes.square()) + EPS, {}, {})
    for names in {names for split in SPLITS.values() for names in split.values()}:
        stem = torch.view_as_real(sum(parts[name] for name in names))
        targets.products[names] = (torch.view_as_real(mixture) * stem).sum(-1)
        targets.energies[names] = windows(stem.square().sum(-1))
    return targets


def loss(ratios, targets):
    """Returns {"split net": scalar}: means of the ratios, weighted mostly where the stem plays."""
    return {name: (values * (0.15 + 0.85 * targets.presence(*name.split()))).mean() for name, values in ratios.items()}


def ratios_db(estimates, share, targets):
    """Returns {"split net": [batch, windows]}: the ratio of the error's energy to the stem's, both
    with the floor added, in dB. `share` [batch, 2, frames, bins] is the accompaniment's mask, which
    the networks' masks split further."""
    squares = {name: estimate.square() + EPS for name, estimate in estimates.items()}
    power = (targets.magnitudes * share).square()
    products = {parts: 2 * share * product for parts, product in targets.products.items()}
    found = {}
    for split, names in SPLITS.items():
        scale = 1 / sum(squares[name] for name in names)
        for name, parts in names.items():
            mask, energy = squares[name] * scale, targets.energies[parts]
            # |mask share mixture - stem|^2, where `energy` is the windowed |stem|^2.
            error = (windows(mask * (mask * power - products[parts])) + energy).clamp(min=0)
            found[f"{split} {name}"] = 10 * torch.log10((error + targets.floor) / (energy + targets.floor))
    return found
