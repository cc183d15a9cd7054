#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes golden.json: museval's scores for the cases of cases.py, second by second, and SI-SDR by
its formula.

    pip install -r requirements.txt
    python make_golden.py > golden.json
"""

import json
import sys

import museval
import numpy as np

import cases


def si_sdr(truth, estimate):
    """Le Roux et al., ICASSP 2019, equation 3, with both channels as one vector."""
    truth, estimate = truth.astype(np.float64).ravel(), estimate.astype(np.float64).ravel()
    target = truth * (truth @ estimate) / (truth @ truth)
    return 10 * np.log10((target @ target) / np.sum((target - estimate) ** 2))


def evaluate(case):
    names = list(case["truth"])
    truth = np.stack([case["truth"][name] for name in names]).astype(np.float64)
    estimates = np.stack([case["estimates"][name] for name in names]).astype(np.float64)
    sdr, isr, sir, sar = museval.evaluate(truth, estimates)
    if estimates.shape[1] < truth.shape[1]:
        estimates = np.pad(estimates, [(0, 0), (0, truth.shape[1] - estimates.shape[1]), (0, 0)])
    scores = {}
    for i, name in enumerate(names):
        windows = []
        for w in range(sdr.shape[1]):
            part = slice(w * cases.RATE, (w + 1) * cases.RATE)
            numbers = {"sdr": sdr[i, w], "isr": isr[i, w], "sir": sir[i, w], "sar": sar[i, w]}
            if not np.isnan(sdr[i, w]):
                with np.errstate(divide="ignore"):
                    numbers["si_sdr"] = si_sdr(truth[i, part], estimates[i, part])
            windows.append({key: float(value) if np.isfinite(value) else None for key, value in numbers.items()})
        scores[name] = windows
    return scores


if __name__ == "__main__":
    json.dump({case["name"]: evaluate(case) for case in cases.all_cases()}, sys.stdout, indent=1)
    print()
