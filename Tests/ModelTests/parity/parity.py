#!/usr/bin/env python3
"""Compares `pipit run` with reference outputs on full-size checkpoints and prints a table.

    python Tests/ModelTests/parity/parity.py PIPIT FOLDER [ARCH ...] [--threads N] [--isa LEVEL] [--limit 1e-4]

FOLDER holds, for each architecture, ARCH/hf (the checkpoint) and ARCH/ref-VARIANT.npz: inputs `in_NAME` and the
reference's f32 output `out`, or several `out_NAME`. See README.md. Needs numpy. Ends with 1 if a relative error
(L2 norm of the difference over that of the reference) is above the limit, or if nothing was compared.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# What the references call an input, where `pipit run` calls it otherwise.
INPUT_NAMES = {"latent": "latent_sample", "context": "encoder_hidden_states", "image": "pixel_values"}

# The output that `out` is, by the architecture's name in config.json (`_class_name` or `architectures`) or, for
# models that run in two directions, by an input besides.
OUTPUT_NAMES = {
    "UNet2DConditionModel": "out_sample",
    ("AutoencoderKL", "latent_sample"): "sample",
    ("AutoencoderKL", "sample"): "latent_parameters",
    ("AutoencoderTiny", "latent_sample"): "sample",
    ("AutoencoderTiny", "sample"): "latent_parameters",
    "CLIPTextModelWithProjection": "text_embeds",
}


def output_name(architecture, inputs):
    for name in inputs:
        if (architecture, name) in OUTPUT_NAMES:
            return OUTPUT_NAMES[architecture, name]
    if architecture in OUTPUT_NAMES:
        return OUTPUT_NAMES[architecture]
    return "logits" if "Classification" in architecture else "last_hidden_state"


def architecture_of(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    return config.get("_class_name") or config["architectures"][0]


def compare(pipit, checkpoint, reference, environment, threads):
    """Rows of output name, relative error, largest absolute error; and the seconds that pipit took."""
    architecture = architecture_of(checkpoint)
    with np.load(reference) as file:
        arrays = {k: file[k] for k in file.files}
    inputs = {INPUT_NAMES.get(k[3:], k[3:]): v for k, v in arrays.items() if k.startswith("in_")}
    expected = {k[4:]: v for k, v in arrays.items() if k.startswith("out_")}
    if "out" in arrays:
        expected[output_name(architecture, inputs)] = arrays["out"]
    with tempfile.TemporaryDirectory() as folder:
        command = [pipit, "run", str(checkpoint)]
        for name, value in inputs.items():
            np.save(f"{folder}/in-{name}.npy", np.ascontiguousarray(value))
            command += ["--in", f"{name}={folder}/in-{name}.npy"]
        for name in expected:
            command += ["--out", f"{name}={folder}/out-{name}.npy"]
        if threads:
            command += ["--threads", str(threads)]
        start = time.monotonic()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        seconds = time.monotonic() - start
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip() or f"exit code {done.returncode}")
        rows = []
        for name, wanted in expected.items():
            found = np.load(f"{folder}/out-{name}.npy")
            if found.shape != wanted.shape:
                raise RuntimeError(f"{name}: shape {found.shape}, the reference has {wanted.shape}")
            difference = found.astype(np.float64) - wanted
            norm = float(np.linalg.norm(wanted.astype(np.float64)))
            relative = float(np.linalg.norm(difference)) / max(norm, 1e-30)
            rows.append((name, relative, float(np.abs(difference).max())))
        return rows, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pipit", help="the binary")
    parser.add_argument("folder", type=Path, help="the folder of checkpoints and references")
    parser.add_argument("architectures", nargs="*", help="subfolders; all that have references, if left out")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--isa", help="an instruction-set level to force")
    parser.add_argument("--limit", type=float, default=1e-4)
    options = parser.parse_args()
    environment = dict(os.environ, **({"PIPIT_ISA": options.isa} if options.isa else {}))
    names = options.architectures or sorted(p.parent.name for p in options.folder.glob("*/hf"))
    print("| checkpoint | reference | output | relative error (L2) | largest error | seconds, load included | |")
    print("|---|---|---|---|---|---|---|")
    compared = failed = 0
    for name in names:
        for reference in sorted((options.folder / name).glob("ref-*.npz")):
            try:
                rows, seconds = compare(
                    options.pipit, options.folder / name / "hf", reference, environment, options.threads)
            except (RuntimeError, OSError, KeyError, ValueError) as error:
                print(f"| {name} | {reference.stem[4:]} | {error} | | | | FAILED |", flush=True)
                failed += 1
                continue
            for output, relative, largest in rows:
                compared += 1
                # Written so that a NaN fails.
                good = relative <= options.limit
                failed += not good
                print(f"| {name} | {reference.stem[4:]} | {output} | {relative:.2e} | {largest:.2e} | {seconds:.2f} "
                      f"| {'ok' if good else 'FAILED'} |", flush=True)
    sys.exit(1 if failed or not compared else 0)


if __name__ == "__main__":
    main()
