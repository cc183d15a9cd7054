# SPDX-License-Identifier: MIT
"""Emulation says nothing about speed, so this test reads the machine code: the inner loops of the
convolutions must keep their sums in registers."""

import os
import re
import subprocess

OBJECT = os.path.join(os.environ["SPLEETERD_ARM64"], "src/lib/kernels/libkernels.a.p/isa_generic.c.o")
JUMP = re.compile(r"(?:b|b\.\w+|cbn?z\s+\w+,|tbn?z\s+\w+, #\w+,)\s+([0-9a-f]+) <")


def functions():
    """Returns {name: [(address, instruction)]} of the object file."""
    listing = subprocess.run(["aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", OBJECT],
                             check=True, capture_output=True, text=True).stdout
    found, code = {}, []
    for line in listing.splitlines():
        if head := re.match(r"[0-9a-f]+ <(.+)>:$", line):
            code = found[head[1]] = []
        elif instruction := re.match(r"\s*([0-9a-f]+):\s+(.*)", line):
            code.append((int(instruction[1], 16), instruction[2]))
    return found


def inner_loops(code):
    """Yields the instructions of each loop that contains no other loop."""
    at = {address: index for index, (address, _) in enumerate(code)}
    loops = []
    for index, (_, instruction) in enumerate(code):
        jump = JUMP.match(instruction)
        first = at.get(int(jump[1], 16)) if jump else None
        if first is not None and first <= index:
            loops.append((first, index))
    for first, last in loops:
        if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in loops):
            yield [instruction for _, instruction in code[first:last + 1]]


def count(loop, *names):
    return sum(instruction.startswith(names) for instruction in loop)


def test_sums_stay_in_registers():
    widest = set()
    for name, code in functions().items():
        for loop in inner_loops(code) if name.startswith(("conv_", "winograd_product")) else []:
            products = count(loop, "fmla")
            if products < 4 or products != count(loop, "f"):
                continue  # not the loop over a kernel window
            print(f"arm64: {name}: {products} fmla, {count(loop, 'ld')} loads, {count(loop, 'st')} stores"
                  f" of {len(loop)} instructions")
            assert count(loop, "st") == 0, "\n".join(loop)
            if products % 24 == 0 or products % 16 == 0:
                widest.add(name.split(".")[0])
    assert len(widest) == 2, f"the loops of 6 pixels or 4 tiles x 16 channels are in {widest} only"
