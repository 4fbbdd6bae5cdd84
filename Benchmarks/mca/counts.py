#!/usr/bin/env python3
"""Executed ARM64 instructions per multiply-add of whole layers, and whether they keep within bounds.

    python3 Benchmarks/mca/counts.py [CPU]

Runs the C kernels under emulation (CPU: cortex-a76 unless given), once and not at all, and divides the
difference by the multiply-adds of the layer's definition. Gathering, transforms and the quantization of a
matrix's rows are included; weights are packed when a model is loaded, which is not. Exact: the same on every
run and machine.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ARM64 = os.path.join(ROOT, ".ci", "arm64")
#: Kind, extents (rows, columns, depth; or side, input and output channels), most instructions per product:
#: a little above what was counted last, so that a kernel that grows is noticed.
CASES = [
    ("gemm", (512, 512, 512), 0.31),
    ("gemm", (128, 768, 768), 0.31),
    ("gemm", (77, 768, 3072), 0.31),
    ("gemm-f16", (77, 768, 3072), 0.34),
    ("gemm-f16", (1, 1024, 1024), 1.30),
    ("gemm-halves", (512, 512, 512), 0.171),
    ("gemm-halves", (128, 768, 768), 0.171),
    ("gemm-halves", (77, 768, 3072), 0.171),
    ("direct", (32, 128, 128), 0.31),
    ("halves", (32, 128, 128), 0.171),
    ("halves", (64, 64, 64), 0.18),
    ("winograd", (64, 128, 128), 0.090),
    ("winograd6", (64, 128, 128), 0.077),
    ("winograd", (32, 256, 256), 0.082),
    ("winograd", (7, 512, 512), 0.15),
    ("winograd", (14, 256, 256), 0.102),
    ("enlarged", (32, 128, 128), 0.064),
    ("halved", (56, 64, 128), 0.25),
    ("first", (224, 3, 64), 0.20),
    ("i8", (128, 2304, 768), 0.085),
    ("i8", (128, 768, 768), 0.085),
    ("i8", (128, 768, 3072), 0.085),
    ("i8", (512, 512, 512), 0.085),
    ("i8-direct", (32, 128, 128), 0.085),
]


def products(kind, extents):
    a, b, c = extents
    if kind in ("gemm", "gemm-f16", "gemm-halves", "i8"):
        return a * b * c
    if kind == "first":
        return 49 * a * a // 4 * b * c
    if kind == "halved":
        return 9 * a * a // 4 * b * c
    return 9 * a * a * b * c * (4 if kind == "enlarged" else 1)


def executed(cpu, program, kind, runs, extents):
    result = subprocess.run(
        [ARM64, "count", cpu, program, kind, str(runs)] + [str(n) for n in extents],
        cwd=ROOT, capture_output=True, text=True, check=True)
    return int(re.search(r"(\d+) instructions", result.stderr).group(1))


def main():
    cpu = sys.argv[1] if len(sys.argv) > 1 else "cortex-a76"
    good = True
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "count")
        sources = glob.glob(os.path.join(ROOT, "Sources/CKernels/**/*.c"), recursive=True)
        subprocess.run(
            [ARM64, "clang", "-w", "-O2", "-std=c17", "-I", "Sources/CKernels/include"] + sorted(sources)
            + ["Benchmarks/mca/count.c", "-lm", "-lpthread", "-o", program], cwd=ROOT, check=True)
        for kind, extents, bound in CASES:
            count = executed(cpu, program, kind, 1, extents) - executed(cpu, program, kind, 0, extents)
            share = count / products(kind, extents)
            good &= share <= bound
            print("%-11s %-15s %12d instructions, %.4f a multiply-add, bound %.3f%s" % (
                kind, "x".join(map(str, extents)), count, share, bound,
                "" if share <= bound else "  EXCEEDED"), flush=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
