# SPDX-License-Identifier: MIT
"""Our program gives Spleeter's output: at least 90 dB SNR, no sample off by more than 1e-4, and
exactly as many samples.

Spleeter's output is in data/, see README.md. There is one test for each case and way to name its
model: by Spleeter's name, by our own name for the full band, as a model folder, as a Spleeter
configuration whose model_dir is a TensorFlow checkpoint, and imported from that.
"""

import pytest

import golden

WAYS = {
    "2stems": ["name"],
    "2stems-16kHz": ["name"],
    "2stems-average": ["folder", "full-band-name"],
    "generated-4stems": ["folder"],
    "generated-5stems": ["folder"],
    "own": ["config", "imported", "folder"],
}
RUNS = [(name, way) for name, case in golden.CASES.items() for way in WAYS[case["model"]]]


@pytest.mark.parametrize("name,way", RUNS, ids=["-".join(run) for run in RUNS])
def test_same_as_spleeter(name, way, models, tmp_path):
    case = golden.CASES[name]
    measures = golden.compare(case, golden.separate(case, models(case["model"], way), str(tmp_path)))
    report = "\n".join(str(m) for m in measures)
    print(report)
    assert all(m.within_bounds() for m in measures), f"{name}, model by {way}\n{report}"
