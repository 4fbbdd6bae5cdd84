#!/usr/bin/env python3
"""Cycles of the NEON kernels' inner loops on paper, against the least that their multiply-adds take.

    python3 Benchmarks/mca/loops.py [--least SHARE] [FILE.c ...]

Compiles the files (default: Sources/CKernels/neon*/*.c) for ARM64 with Debian's clang, finds the loops that are
one basic block and hold at least eight multiply-adds, and asks LLVM's machine code analyzer for cycles per
iteration. The minimum is the analyzer's own figure for the loop's multiply-adds alone, each on registers that
nothing else writes: what the core's multipliers need. No cache misses, no branches missed: it is not a clock.

Cores: neoverse-n1 stands for Cortex-A76 (Pi 5), which LLVM has no model of; cortex-a72 is Pi 4's; cortex-a53
is Pi Zero 2 W's, for which cortex-a55's more careful model is shown too (it takes two vector multiply-adds a
cycle, which neither core does: its shares are too low). With --least the exit status tells whether the
loops of full register tiles reach that share of the minimum on A76 and A72.
"""
import argparse
import collections
import glob
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ARM64 = os.path.join(ROOT, ".ci", "arm64")
CORES = [("neoverse-n1", "A76"), ("cortex-a72", "A72"), ("cortex-a53", "A53"), ("cortex-a55", "A55")]
#: Multiply-adds of one instruction, by mnemonic and arrangement of the result.
PRODUCTS = {
    ("fmla", "4s"): 4, ("fmla", "8h"): 8, ("sdot", "4s"): 16, ("smmla", "4s"): 32,
    ("smlal", "4s"): 4, ("smlal2", "4s"): 4, ("smlal", "8h"): 8, ("smlal2", "8h"): 8,
    ("smull", "8h"): 8, ("smull2", "8h"): 8,
}
ATTRIBUTES = "+dotprod,+fullfp16,+i8mm"
ITERATIONS = 100


def products(line):
    """Multiply-adds that an instruction makes."""
    match = re.match(r"(\w+)\s+v\d+\.(\w+)", line)
    return PRODUCTS.get((match.group(1), match.group(2)), 0) if match else 0


def assembly(path):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.s")
        subprocess.run(
            [ARM64, "clang", "-w", "-O2", "-std=c17", "-S", "-I", "Sources/CKernels/include",
             os.path.relpath(path, ROOT), "-o", out], cwd=ROOT, check=True)
        with open(out) as file:
            return file.read()


def loops(text):
    """(function, instructions) of each loop that is one basic block."""
    function, label, body = "", None, []
    for line in text.splitlines():
        line = line.split("//")[0].strip()
        name = re.match(r"([\w.$]+):", line)
        if name:
            if not name.group(1).startswith("."):
                function = name.group(1)
            label, body = name.group(1), []
        elif line and not line.startswith("."):
            body.append(line)
            if label and re.match(r"(b\.?\w+|cbn?z|tbn?z)\b", line) and line.endswith(label):
                yield function, body
                label = None


def cycles(core, body):
    """Cycles per iteration in a long run."""
    result = subprocess.run(
        [ARM64, "mca", "-mcpu=" + core, "-mattr=" + ATTRIBUTES, "-iterations=%d" % ITERATIONS,
         "-instruction-info=false", "-resource-pressure=false", "-"],
        cwd=ROOT, input="\n".join(body) + "\n", capture_output=True, text=True, check=True)
    return int(re.search(r"Total Cycles:\s+(\d+)", result.stdout).group(1)) / ITERATIONS


def alone(body):
    """The multiply-adds of a loop on operands that nothing writes, each with sums of its own."""
    result = []
    for index, line in enumerate(line for line in body if products(line)):
        operands = line.split(None, 1)
        target, rest = operands[1].split(",", 1)
        arrangement = target.split(".")[1]
        rest = re.sub(r"v\d+", "v31" if "[" not in rest else "v15", rest)
        result.append("%s v%d.%s,%s" % (operands[0], index % 12, arrangement, rest))
    return result


def report(path):
    """Prints a line for each distinct loop; returns the least share per core of the widest loops."""
    seen = collections.OrderedDict()
    for function, body in loops(assembly(path)):
        count = sum(1 for line in body if products(line))
        if count >= 8:
            kinds = collections.Counter(line.split()[0] for line in body)
            seen.setdefault((count, tuple(sorted(kinds.items()))), (function, body))
    widest = max((key[0] for key in seen), default=0)
    least = {core: 1.0 for core, _ in CORES}
    for key, (function, body) in sorted(seen.items(), key=lambda item: -item[0][0]):
        made = sum(products(line) for line in body)
        cells = []
        for core, short in CORES:
            found, minimum = cycles(core, body), cycles(core, alone(body))
            share = minimum / found
            if key[0] == widest:
                least[core] = min(least[core], share)
            cells.append("%s %6.2f / %6.2f = %3.0f %%" % (short, found, minimum, 100 * share))
        print("%-22s %-20s %4d instr. %5d mul-adds %.3f each | %s" % (
            os.path.basename(path), function[:20], len(body), made, len(body) / made,
            " | ".join(cells)), flush=True)
    return least


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--least", type=float, default=0)
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()
    pattern = os.path.join(ROOT, "Sources", "CKernels", "neon*", "*.c")
    good = True
    for path in arguments.files or sorted(glob.glob(pattern)):
        least = report(os.path.abspath(path))
        good &= all(least[core] >= arguments.least for core in ("neoverse-n1", "cortex-a72"))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
