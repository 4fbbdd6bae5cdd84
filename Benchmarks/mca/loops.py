#!/usr/bin/env python3
"""Cycles of the NEON kernels' inner loops on paper, against the least that their multiply-adds take.

    python3 Benchmarks/mca/loops.py [--check] [FILE.c ...]

Compiles the files (default: all products) for ARM64 with Debian's clang, finds the loops that are
one basic block and hold at least eight multiply-adds, and asks LLVM's machine code analyzer for cycles per
iteration. The minimum is the analyzer's own figure for the loop's multiply-adds alone, each on registers that
nothing else writes: what the core's multipliers need. No cache misses, no branches missed: it is not a clock.

Cores: neoverse-n1 stands for Cortex-A76 (Pi 5), which LLVM has no model of; cortex-a72 is Pi 4's; cortex-a55
stands for Cortex-A53 (Pi Zero 2 W): LLVM's model of that retires in order and so lets a load wait for all
multiply-adds before it. But the model of A55 starts two vector multiply-adds a cycle and vector loads beside
them, which A53 does not: against one multiply-add a cycle it says little. So A53 is also played through by the
rules that ncnn's authors measured on it (`in_order_cycles`).

With --check the exit status tells whether the best loop of a full tile (40 multiply-adds or more) reaches 90 %
on A76 and A72, for f32 and sdot, and for f32 80 % by A55's model and by A53's rules, for integers without dot
products by the latter: a core runs the loop that is written for it. Half precision counts on A76
and A55, which have it.
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
#: LLVM's model, the core it is asked for, and the least share of the minimum.
CORES = [("neoverse-n1", "A76", 0.9), ("cortex-a72", "A72", 0.9), ("cortex-a55", "A55", 0.8), (None, "A53", 0.8)]
#: Multiply-adds of one instruction, by mnemonic and arrangement of the result.
PRODUCTS = {
    ("fmla", "4s"): 4, ("fmla", "8h"): 8, ("sdot", "4s"): 16, ("smmla", "4s"): 32,
    ("smlal", "4s"): 4, ("smlal2", "4s"): 4, ("smlal", "8h"): 8, ("smlal2", "8h"): 8,
    ("smull", "8h"): 8, ("smull2", "8h"): 8,
}
ATTRIBUTES = "+dotprod,+fullfp16,+i8mm"
ITERATIONS = 100
#: Multiply-add instructions from which on a loop is that of a full register tile.
FULL_TILE = 40


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


def operands(line):
    """(kind, registers written, registers read, registers of an accumulator) of an instruction."""
    name, _, rest = line.partition("\t") if "\t" in line else line.partition(" ")
    found = ["v" + r[1:] if r[0] in "hsdqv" else r for r in re.findall(r"\b[xwhsdqv]\d+\b", rest)]
    if products(line) or name == "sadalp":
        return "multiply", found[:1], found[1:], found[:1]
    if name in ("ldr", "ldp", "ldur"):
        pair = name == "ldp"
        width = re.match(r"\s*([xwhsdq])", rest).group(1).replace("h", "s")
        return "load " + ("x" if width in "xw" else width) + ("x2" if pair else ""), found[:1 + pair], found[1 + pair:], []
    if name in ("mov", "ins") and re.match(r"\s*v", rest):
        return "insert", found[:1], found, []
    return ("branch" if name.startswith("b") else "integer"), found[:1], found[1:], []


def in_order_cycles(body):
    """Cycles per iteration on Cortex-A53 by these rules: two instructions a cycle in order; of vector
    instructions one, but an insertion beside the load of a half; a load of a half is not beside a
    multiply-add nor four cycles after one; one of 128 bits takes two cycles. Latencies: loads 3 (to vectors
    4), insertions 3, multiply-adds 8, 4 to the next sum; all else 1."""
    ready, sums, multiplied = {}, {}, set()
    time, started = 0, []           # what has started in this cycle
    ends = []
    for _ in range(20):
        for line in body:
            kind, written, read, accumulators = operands(line)
            is_vector_load = kind.startswith("load") and not kind.startswith("load x")
            begin = max([time] + [ready.get(r, 0) for r in read] + [sums.get(r, 0) for r in accumulators])
            while True:
                if begin > time:
                    time, started = begin, []
                vectors = [k for k in started if k in ("multiply", "insert") or k[:6] in ("load d", "load q", "load s")]
                is_vector = is_vector_load or kind in ("multiply", "insert")
                fits = len(started) < 2 and not any("load q" in k for k in started)
                fits &= not (kind.startswith("load") and any(k.startswith("load") for k in started))
                fits &= not (is_vector and vectors) or {kind, *vectors} == {"insert", "load d"}
                fits &= not (kind.startswith("load q") and started)
                if fits and not (is_vector_load and time - 4 in multiplied):
                    break
                begin = time + 1
            started.append(kind)
            if kind == "multiply":
                multiplied.add(time)
            latency = {"multiply": 8, "insert": 3, "load x": 3}.get(kind, 4 if kind.startswith("load") else 1)
            for register in written:
                ready[register] = time + latency
                sums[register] = time + 4
            if kind.startswith("load q"):
                time, started = time + (4 if kind.endswith("x2") else 2), []
        ends.append(time)
    return (ends[-1] - ends[9]) / (len(ends) - 10)


def least_cycles(core, body):
    """What the multiply-adds of a loop take if nothing else is done."""
    if core in (None, "cortex-a55"):
        return sum(1 for line in body if products(line) or line.startswith("sadalp"))
    return cycles(core, alone(body))


def kinds_of(body):
    """How often each mnemonic occurs."""
    return collections.Counter(line.split()[0] for line in body)


def report(path):
    """Prints a line for each distinct loop; returns the best share per core of full tiles' loops."""
    seen = collections.OrderedDict()
    for function, body in loops(assembly(path)):
        count = sum(1 for line in body if products(line))
        if count >= 8:
            kinds = kinds_of(body)
            seen.setdefault((count, tuple(sorted(kinds.items()))), (function, body))
    best = {}
    for key, (function, body) in sorted(seen.items(), key=lambda item: -item[0][0]):
        made = sum(products(line) for line in body)
        cells, kinds = [], kinds_of(body)
        for core, short, _ in CORES:
            minimum = least_cycles(core, body)
            found = max(cycles(core, body) if core else in_order_cycles(body), minimum)
            has_halves = short in ("A76", "A55") or not any(".8h" in line for line in body if products(line))
            gated = (kinds["fmla"] if has_halves else 0) + (kinds["sdot"] if short in ("A76", "A72") else 0)
            if short == "A53":
                gated += kinds["smull"] + kinds["smlal2"] + kinds["sadalp"]
            if gated >= FULL_TILE:
                best[short] = max(best.get(short, 0), minimum / found)
            cells.append("%s %6.2f / %6.2f = %3.0f %%" % (short, found, minimum, 100 * minimum / found))
        print("%-22s %-20s %4d instr. %5d mul-adds %.3f each | %s" % (
            os.path.basename(path), function[:20], len(body), made, len(body) / made,
            " | ".join(cells)), flush=True)
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()
    folders = [os.path.join(ROOT, "Sources", "CKernels", level) for level in ("neon", "dotprod", "i8mm", "asimdhp")]
    good = True
    for path in arguments.files or sorted(sum((glob.glob(f + "/gemm*.c") for f in folders), [])):
        best = report(os.path.abspath(path))
        for _, short, least in CORES:
            if best.get(short, 1) < least:
                print("%s: less than %.0f %% on %s" % (os.path.basename(path), 100 * least, short))
                good = False
    sys.exit(0 if good or not arguments.check else 1)


if __name__ == "__main__":
    main()
