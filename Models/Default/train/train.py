#!/usr/bin/env python3
"""Makes the whole bundle: every stage once, in order; a stopped run goes on where it was.

A stage that is done leaves a stamp in the work folder; delete the stamp to run it again. The seconds
that each stage took are in times.json there.

--quick tries out the recipe itself: every stage with about a hundredth of the work, in a work folder and
into a bundle of its own. What it makes is worth nothing, says so, and touches nothing of the real bundle.
"""

import argparse
import os
import subprocess
import sys
import time

from common import HERE, TRIAL_SHARE, add_arguments, prepare, read_json, write_json

# Stage, and its minutes of training where they are what ends it.
STAGES = [
    ("data", None),
    ("encoder", None),
    ("captions", None),
    ("vae", 30),
    ("denoiser", 50),
    ("wording", None),
    ("export", None),
    ("text_sentiment", None),
    ("generated", None),
    ("image_sentiment", 20),
    ("evaluate", None),
    ("evaluate_sentiment", None),
    ("evaluate_image_sentiment", None),
    ("integers", None),
    ("card", None),
]


def command_of(stage, minutes, options):
    command = [sys.executable, HERE / f"{stage}.py", "--work", options.work,
               "--device", options.device, "--seed", str(options.seed)]
    if minutes:
        command += ["--minutes", str(minutes / TRIAL_SHARE if options.quick else minutes)]
    return command


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
    for stage, minutes in STAGES:
        stamp = options.work / f"{stage}.done"
        if (options.only and stage != options.only) or (not options.only and stamp.exists()):
            continue
        print(f"== {stage}", flush=True)
        started = time.monotonic()
        subprocess.run(command_of(stage, minutes, options), check=True, env=environment)
        stamp.touch()
        spent = read_json(times) if times.exists() else {}
        write_json(times, spent | {stage: round(time.monotonic() - started, 1)}, indent=2)


if __name__ == "__main__":
    main()
