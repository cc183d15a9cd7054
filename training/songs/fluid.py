# SPDX-License-Identifier: MIT
"""FluidSynth as an offline library: notes in, stereo samples out. Its reverb and chorus are off,
because songs.effects provides effects."""

import ctypes
import ctypes.util

import numpy as np

from . import RATE_HZ

_LIB = ctypes.CDLL(ctypes.util.find_library("fluidsynth") or "libfluidsynth.so.3")
for _name in ("new_fluid_settings", "new_fluid_synth"):
    getattr(_LIB, _name).restype = ctypes.c_void_p
_LIB.fluid_set_log_function.restype = ctypes.c_void_p
for _level in range(5):
    _LIB.fluid_set_log_function(_level, None, None)

_SETTINGS = {
    "synth.dynamic-sample-loading": 1,
    "synth.reverb.active": 0,
    "synth.chorus.active": 0,
    "synth.polyphony": 128,
}


class Synth:
    """One soundfont with one preset on channel 0."""

    def __init__(self, font, bank, program):
        self._settings = ctypes.c_void_p(_LIB.new_fluid_settings())
        for name, value in _SETTINGS.items():
            _LIB.fluid_settings_setint(self._settings, name.encode(), value)
        _LIB.fluid_settings_setnum(self._settings, b"synth.sample-rate", ctypes.c_double(RATE_HZ))
        _LIB.fluid_settings_setnum(self._settings, b"synth.gain", ctypes.c_double(0.4))
        self._synth = ctypes.c_void_p(_LIB.new_fluid_synth(self._settings))
        font_id = _LIB.fluid_synth_sfload(self._synth, str(font).encode(), 0)
        if font_id < 0:
            raise FileNotFoundError(f"{font}: FluidSynth cannot load it; run training/setup.sh")
        if _LIB.fluid_synth_program_select(self._synth, 0, font_id, bank, program) != 0:
            self.close()
            raise KeyError(f"{font}: no preset {bank}:{program}")

    def close(self):
        _LIB.delete_fluid_synth(self._synth)
        _LIB.delete_fluid_settings(self._settings)

    def render(self, notes, length, bends=(), vibrato=0):
        """Returns samples [length, 2]. `bends` are (time_s, semitones) within +-2; `vibrato` is the
        modulation wheel, 0..127."""
        events = [(0.0, 1, "cc", 1, vibrato)]
        for note in notes:
            events.append((note.start_s, 2, "on", note.pitch, note.velocity))
            events.append((note.start_s + max(note.length_s, 0.02), 0, "off", note.pitch, 0))
        events += [(time_s, 1, "bend", int(np.clip(8192 + semitones * 4096, 0, 16383)), 0)
                   for time_s, semitones in bends]
        events.sort(key=lambda event: event[:2])
        audio = np.zeros((length, 2), np.float32)
        position = 0
        for time_s, _, kind, first, second in events:
            sample = min(int(time_s * RATE_HZ), length)
            if sample > position:
                self._write(audio[position:sample])
                position = sample
            if kind == "on":
                _LIB.fluid_synth_noteon(self._synth, 0, first, second)
            elif kind == "off":
                _LIB.fluid_synth_noteoff(self._synth, 0, first)
            elif kind == "cc":
                _LIB.fluid_synth_cc(self._synth, 0, first, second)
            else:
                _LIB.fluid_synth_pitch_bend(self._synth, 0, first)
        self._write(audio[position:])
        return audio

    def _write(self, block):
        if len(block):
            pointer = block.ctypes.data_as(ctypes.c_void_p)
            _LIB.fluid_synth_write_float(self._synth, len(block), pointer, 0, 2, pointer, 1, 2)


def render(font, program, notes, length, bank=0, bends=(), vibrato=0):
    synth = Synth(font, bank, program)
    try:
        return synth.render(notes, length, bends, vibrato)
    finally:
        synth.close()
