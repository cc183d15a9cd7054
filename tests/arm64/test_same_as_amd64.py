# SPDX-License-Identifier: MIT
"""The program gives the same samples on arm64 as on amd64, up to rounding."""

import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "golden"))
import golden  # noqa: E402

DIFFERENCE_MAX = 1e-4


def test_wiener_filter(tmp_path, monkeypatch):
    """A segment of the song through 2stems and the Wiener filter."""
    case = dict(golden.CASES["frames_511"], mwf=True)
    on_arm64 = golden.separate(case, "spleeter:2stems", str(tmp_path))
    monkeypatch.setattr(golden, "PROGRAM", os.path.join(os.environ["SPLEETERD_BUILD"], "spleeterd"))
    on_amd64 = golden.separate(case, "spleeter:2stems", str(tmp_path))
    for stem in case["stems"]:
        difference = float(np.max(np.abs(on_arm64[stem] - on_amd64[stem])))
        print(f"arm64: {stem}: rms {golden.rms(on_amd64[stem]):.1e}, largest difference from amd64 {difference:.1e}")
        assert golden.rms(on_amd64[stem]) > 1e-3
        assert difference <= DIFFERENCE_MAX
