#!/usr/bin/env python3
"""Prints how pipit compares with other engines on the same models in the same run.

    python3 Benchmarks/peers.py RUNNER/bench_peers.py --pipit .build/release/pipit [--int8 FOLDER] [--threads 2]

RUNNER's script times one model in several engines beside each other, each in a process of its own, and
writes its results as JSON; this one calls it model by model and prints, for each, our median, the best
peer's, their ratio and the ratio to be reached, and the same for peak memory and for the time from process
start to first result. FOLDER holds checkpoints that `pipit quantize` made, laid out like the runner's models.
"""
import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

FLOAT = ["ort", "ov-f32", "ncnn", "mnn"]
INTEGER = ["ov-i8"]
# Ours / best peer: what is to be reached, (float, integer).
GOALS = {
    "vae-dec-32": (0.75, 0.82), "taesd-dec-64": (0.75, 0.90), "unet-32": (0.70, 0.85),
    "resnet18": (0.85, 0.90), "clip-l": (0.95, 0.82), "distilbert-s128": (0.92, 0.85),
    "minilm-s128": (0.92, 0.85), "distilbert-s32": (0.85, 0.80), "minilm-s32": (0.85, 0.80),
}


def run(script, model, threads):
    """The rows of the runner's table by engine: median ms, peak MB, seconds from start to first result."""
    engines = ["pipit"] + FLOAT + (["pipit-i8"] + INTEGER if os.environ.get("PIPIT_INT8") else [])
    text = subprocess.run(
        [sys.executable, script, "--model", model, "--engines", ",".join(engines),
         "--threads", str(threads), "--rounds", "3"],
        cwd=Path(script).parent, capture_output=True, text=True).stdout
    rows = {}
    for line in text.splitlines():
        fields = line.split()
        if fields and fields[0] in engines and re.match(r"^[0-9.]+$", fields[1]):
            rows[fields[0]] = (float(fields[1]), float(fields[6]), float(fields[10]))
    return rows


def report(model, kind, ours, peers, goal):
    """One line of the table, and the same as a record."""
    best = min(peers, key=lambda name: peers[name][0])
    lean = min(row[1] for row in peers.values())
    quick = min(row[2] for row in peers.values())
    ratio = ours[0] / peers[best][0]
    mark = "yes" if ratio <= goal else "NO"
    print(f"| {model} {kind} | {ours[0]:.2f} | {peers[best][0]:.2f} ({best}) | {ratio:.2f} | {goal:.2f} {mark} "
          f"| {ours[1]:.0f} / {lean:.0f} | {ours[2]:.2f} / {quick:.2f} |", flush=True)
    return {"model": model, "kind": kind, "ours": ours, "peers": peers, "ratio": ratio, "goal": goal}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runner")
    parser.add_argument("--pipit", required=True)
    parser.add_argument("--int8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", default=",".join(GOALS))
    parser.add_argument("--json", help="also write the numbers there")
    options = parser.parse_args()
    os.environ["PIPIT"] = os.path.abspath(options.pipit)
    if options.int8:
        os.environ["PIPIT_INT8"] = os.path.abspath(options.int8)

    print("| model | ours, ms | best peer, ms | ratio | goal | peak MB, ours / leanest | start to first, s |")
    print("|---|---|---|---|---|---|---|")
    records = []
    for model in options.models.split(","):
        rows = run(options.runner, model, options.threads)
        for kind, own, names, goal in (("f32", "pipit", FLOAT, 0), ("int8", "pipit-i8", INTEGER, 1)):
            peers = {name: rows[name] for name in names if name in rows}
            if own in rows and peers:
                records.append(report(model, kind, rows[own], peers, GOALS[model][goal]))
    if options.json:
        Path(options.json).write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
