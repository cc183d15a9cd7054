# SPDX-License-Identifier: MIT
"""Training examples: crops of songs, optionally remixed, as spectra."""

import json

import numpy as np
import scipy.signal
import soundfile
import torch

STEMS = ("vocals", "drums", "bass", "piano", "other")
FRAME, HOP, BINS = 4096, 1024, 1024
# One of this many songs is excluded from training and used for validation.
HELD_OUT_OF = 25
LEVEL_DB = -20.0
# Pitch changes of about -2 to +2 semitones: source samples per output sample, as up / down of
# scipy.signal.resample_poly.
PITCHES = ((9, 8), (17, 16), (16, 17), (8, 9))


class Songs:
    """The songs in `folder`: the training songs, or the validation songs with `held_out`. reread()
    adds songs rendered since."""

    def __init__(self, folder, held_out=False):
        self.folder, self.held_out = folder, held_out
        self.reread()

    def reread(self):
        self.songs = []
        for path in sorted(self.folder.glob("[0-9]*")):
            if path.suffix or (int(path.name) % HELD_OUT_OF == 0) != self.held_out:
                continue
            about = json.loads((path / "song.json").read_text())
            self.songs.append((path, about["rms_db"], round(about["seconds"] * 44100)))
        self.having = {stem: [song for song in self.songs if stem in song[1]] for stem in STEMS}
        if not self.songs:
            raise FileNotFoundError(f"{self.folder}: no songs")

    def crop(self, song, stem, begin, length):
        """Returns samples [2, length]; silence if the stem is absent."""
        path, levels, _ = song
        if stem not in levels:
            return np.zeros((2, length), np.float32)
        return soundfile.read(path / f"{stem}.flac", start=begin, frames=length, dtype="float32", always_2d=True)[0].T

    def draw(self, rng, frames):
        """Draws one example's stems [stems, 2, samples]: either one song or a mix of stems from
        several."""
        length = (frames - 1) * HOP + FRAME
        remix = rng.random() < 0.4
        up, down = PITCHES[rng.integers(len(PITCHES))] if rng.random() < 0.25 else (1, 1)
        source = length * down // up + 1 if up != down else length
        song = self.songs[rng.integers(len(self.songs))]
        begin = int(rng.integers(max(1, song[2] - source)))
        level = rng.random() < 0.7
        stems = np.zeros((len(STEMS), 2, length), np.float32)
        for stem, out in zip(STEMS, stems):
            if remix:
                if not self.having[stem] or rng.random() > (0.5 if stem == "vocals" else 0.92):
                    continue
                song = self.having[stem][rng.integers(len(self.having[stem]))]
                begin = int(rng.integers(max(1, song[2] - source)))
            audio = self.crop(song, stem, begin, source)
            if up != down:
                audio = scipy.signal.resample_poly(audio, up, down, axis=1).astype(np.float32)
            gain_db = np.clip(rng.normal(0, 2.5), -6, 6)
            if (remix or level) and stem in song[1]:
                gain_db += LEVEL_DB - song[1][stem]
            if remix and rng.random() < 0.5:
                audio = audio[::-1]
            part = audio[:, :length]
            out[:, :part.shape[1]] = part * 10 ** (gain_db / 20)
        if not remix and rng.random() < 0.5:
            stems = stems[:, ::-1]
        peak = np.abs(stems.sum(0)).max()
        return np.ascontiguousarray(stems * 10 ** (rng.uniform(-8, -0.1) / 20) / max(peak, 1e-3))

    def fixed(self, index, frames):
        """Returns the stems [stems, 2, samples] of the middle of held-out song `index`."""
        song = self.songs[index]
        length = (frames - 1) * HOP + FRAME
        return np.stack([self.crop(song, stem, (song[2] - length) // 2, length) for stem in STEMS])


def stft(samples):
    """Returns complex [..., frames, FRAME / 2 + 1] of a tensor [..., samples], computed as
    spleeterd does."""
    return torch.fft.rfft(samples.unfold(-1, FRAME, HOP) * torch.hann_window(FRAME))


def spectra(stems):
    """Returns complex [..., 2, frames, bins] of samples [..., 2, samples]."""
    return stft(torch.from_numpy(stems))[..., :BINS].contiguous()


def colour(rng):
    """Returns the gains [bins] of a random smooth equaliser, within some dB over the octaves."""
    octaves = np.log2(np.maximum(np.arange(BINS), 1)) / np.log2(BINS)
    curve_db = sum(rng.normal(0, 2) * np.cos(np.pi * (k * octaves + rng.uniform(0, 2))) for k in range(1, 5))
    return 10 ** (curve_db / 20)


def batch(songs, seed, step, size, frames):
    """Returns spectra [size, stems, 2, frames, bins] for a step, half of the stems equalised. The
    result is the same for the same songs, seed and step."""
    rng = np.random.default_rng([seed, step])
    stems = spectra(np.stack([songs.draw(rng, frames) for _ in range(size)]))
    gains = np.stack([colour(rng) if rng.random() < 0.5 else np.ones(BINS) for _ in range(size * len(STEMS))])
    return stems * torch.from_numpy(gains.astype(np.float32)).reshape(size, len(STEMS), 1, 1, BINS)
