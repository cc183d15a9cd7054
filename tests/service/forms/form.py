# SPDX-License-Identifier: MIT
"""Posts a form with requests or httpx: form.py LIBRARY URL KEY FILE."""
import importlib
import sys

library = importlib.import_module(sys.argv[1])
with open(sys.argv[4], "rb") as song:
    answer = library.post(sys.argv[2], headers={"X-API-KEY": sys.argv[3]}, files={"file": song}, data={"stems": "vocals, accompaniment"})
sys.stdout.buffer.write(answer.content)
