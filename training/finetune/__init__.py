# SPDX-License-Identifier: MIT
"""Fine-tunes Spleeter's U-Nets on multitrack songs, and writes model folders of them."""
