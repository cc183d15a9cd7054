# SPDX-License-Identifier: MIT
"""Multitrack songs for training and validation: composed, played and mixed from a seed."""

RATE_HZ = 44100
STEMS = ("vocals", "drums", "bass", "piano", "other")
