#!/usr/bin/env python3
"""Makes the whole bundle: every stage once, in order; a stopped run goes on where it was.

A stage that is done leaves a stamp in the work folder; delete the stamp to run it again. The seconds
that each stage took are in times.json there. What ends a training is its number of steps, so a busy machine
takes longer for the same weights.

--quick tries out the recipe itself: every stage with about a hundredth of the work, in a work folder and
into a bundle of its own. What it makes is worth nothing, says so, and touches nothing of the real bundle.
"""

import argparse
import os
import subprocess
import sys
import time

from common import HERE, add_arguments, prepare, read_json, write_json

STAGES = [
    "data", "encoder", "captions", "vae", "denoiser", "wording", "export", "text_sentiment", "generated",
    "image_sentiment", "evaluate", "evaluate_sentiment", "evaluate_image_sentiment", "integers", "card",
]


def command_of(stage, options):
    return [sys.executable, HERE / f"{stage}.py", "--work", options.work,
            "--device", options.device, "--seed", str(options.seed)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--only", help="run this stage alone, stamp or not")
    parser.add_argument("--quick", action="store_true", help="try the recipe out: a hundredth of the work")
    options = parser.parse_args()
    if options.quick:
        options.work = options.work / "quick"
    options.work = options.work.resolve()
    prepare(options)
    environment = {name: value for name, value in os.environ.items() if name != "PIPIT_TRIAL_BUNDLE"}
    if options.quick:
        environment["PIPIT_TRIAL_BUNDLE"] = str(options.work / "bundle")
    times = options.work / "times.json"
    for stage in STAGES:
        stamp = options.work / f"{stage}.done"
        if (options.only and stage != options.only) or (not options.only and stamp.exists()):
            continue
        print(f"== {stage}", flush=True)
        started = time.monotonic()
        subprocess.run(command_of(stage, options), check=True, env=environment)
        stamp.touch()
        spent = read_json(times) if times.exists() else {}
        write_json(times, spent | {stage: round(time.monotonic() - started, 1)}, indent=2)


if __name__ == "__main__":
    main()
