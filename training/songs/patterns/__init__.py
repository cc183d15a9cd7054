# SPDX-License-Identifier: MIT
"""Note patterns. Bars have 16 steps; `training` and `held_out` have no pattern in common.

Drums:   x hit, X accent, g ghost note, . rest; one string per piece, for one or two bars.
Bass:    R root, 3 third, 5 fifth, 7 seventh, 8 octave, a approach to the next root, - hold, . rest.
Chords:  x short, X accented, - hold, . rest.
Arpeggio: index of the chord tone, - hold, . rest.
Melody:  x syllable or tone, - hold, . rest.
"""

from . import held_out, training

__all__ = ["held_out", "training"]
