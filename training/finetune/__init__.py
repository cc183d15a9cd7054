# SPDX-License-Identifier: MIT
"""Fine-tunes Spleeter's U-Nets on multitrack songs and writes the results as model folders."""
