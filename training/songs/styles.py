# SPDX-License-Identifier: MIT
"""Musical styles: tempo, feel, harmony and instruments."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    tempo_bpm: tuple
    harmony: tuple  # keys of patterns' PROGRESSIONS
    piano: tuple  # keys of patterns' CHORDS, or "arpeggio"
    others: tuple  # names of instruments.ROLES
    comping: tuple  # keys of patterns' CHORDS for the other instruments
    basses: tuple  # names of instruments.BASSES
    swing: float = 0.0  # delay of the offbeats, as used by Composer.at
    electronic: bool = False
    pump: float = 0.0  # probability that the kick ducks bass and other


STYLES = {
    "rock": Style((98, 168), ("major", "minor", "power"), ("rhythm", "sustained"),
                  ("drive_guitar", "drive_guitar", "clean_guitar", "organ", "lead_guitar"), ("rhythm", "chug", "sustained"),
                  ("electric", "electric", "driven")),
    "pop": Style((84, 132), ("major", "minor"), ("rhythm", "sustained", "arpeggio", "offbeat"),
                 ("clean_guitar", "acoustic_guitar", "pad", "strings", "arpeggio", "lead", "mallet"), ("rhythm", "sustained", "stabs"),
                 ("electric", "synth", "electric"), pump=0.15),
    "house": Style((118, 130), ("minor", "major"), ("stabs", "offbeat", "sustained"),
                   ("pad", "arpeggio", "lead", "brass", "strings", "stab"), ("stabs", "offbeat"), ("synth", "synth", "sampled_synth"),
                   electronic=True, pump=0.7),
    "hip-hop": Style((72, 104), ("minor", "major", "jazz"), ("sustained", "stabs", "arpeggio"),
                     ("pad", "arpeggio", "strings", "mallet", "brass", "wind", "clean_guitar"), ("stabs", "sustained"),
                     ("sub", "synth", "electric"), swing=0.18, electronic=True, pump=0.2),
    "jazz": Style((96, 190), ("jazz",), ("swing", "swing", "sustained"), ("sax", "jazz_guitar", "wind", "brass", "vibraphone"), ("swing",),
                  ("upright", "upright", "electric"), swing=0.6),
    "funk": Style((92, 120), ("minor", "jazz"), ("stabs", "rhythm"), ("clean_guitar", "brass", "organ", "clavinet", "sax", "lead"),
                  ("stabs", "rhythm"), ("slap", "electric", "synth"), swing=0.08),
    "reggae": Style((66, 92), ("minor", "major"), ("offbeat",), ("clean_guitar", "organ", "brass", "lead"), ("offbeat",),
                    ("electric", "sub"), swing=0.15),
    "metal": Style((110, 190), ("power",), ("sustained", "arpeggio"), ("high_gain_guitar", "high_gain_guitar", "lead_guitar", "strings", "pad"),
                   ("chug",), ("driven", "driven", "electric")),
    "ballad": Style((58, 84), ("major", "minor"), ("sustained", "arpeggio", "rhythm"),
                    ("acoustic_guitar", "strings", "pad", "wind", "clean_guitar", "plucked"), ("sustained", "rhythm"),
                    ("electric", "upright", "electric")),
    "latin": Style((88, 128), ("minor", "major", "jazz"), ("montuno", "stabs"), ("acoustic_guitar", "brass", "wind", "accordion", "steel_drum"),
                   ("stabs", "rhythm", "montuno"), ("upright", "electric")),
    "drum'n'bass": Style((164, 176), ("minor",), ("sustained", "stabs"), ("pad", "arpeggio", "lead", "strings", "stab"),
                         ("sustained", "stabs"), ("synth", "sub", "sampled_synth"), electronic=True, pump=0.25),
    "country": Style((92, 144), ("major",), ("rhythm", "offbeat"), ("acoustic_guitar", "clean_guitar", "plucked", "fiddle", "steel_guitar"),
                     ("rhythm", "offbeat"), ("electric", "upright")),
    "disco": Style((108, 124), ("minor", "jazz", "major"), ("rhythm", "stabs"), ("clean_guitar", "strings", "brass", "arpeggio", "lead"),
                   ("stabs", "rhythm"), ("electric", "slap", "synth"), pump=0.2),
    "synthwave": Style((84, 118), ("minor", "major"), ("sustained", "arpeggio"), ("arpeggio", "pad", "lead", "stab", "high_gain_guitar"),
                       ("stabs", "sustained"), ("synth", "synth"), electronic=True, pump=0.4),
}
