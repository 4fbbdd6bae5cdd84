#!/usr/bin/env python3
"""Makes the whole bundle: every stage once, in order; a stopped run goes on where it was.

A stage that is done leaves a stamp in the work folder; delete the stamp to run it again.
"""

import argparse
import subprocess
import sys

from common import HERE, add_arguments, prepare

# Stage, and what it is told besides the work folder: minutes of training, most of all.
STAGES = [
    ("data", ""),
    ("encoder", ""),
    ("captions", ""),
    ("vae", "--minutes 30"),
    ("denoiser", "--minutes 50"),
    ("wording", ""),
    ("export", ""),
    ("text_sentiment", ""),
    ("generated", ""),
    ("image_sentiment", "--minutes 20"),
    ("evaluate", ""),
    ("evaluate_sentiment", ""),
    ("evaluate_image_sentiment", ""),
    ("card", ""),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--only", help="run this stage alone, stamp or not")
    options = parser.parse_args()
    prepare(options)
    for stage, settings in STAGES:
        stamp = options.work / f"{stage}.done"
        if (options.only and stage != options.only) or (not options.only and stamp.exists()):
            continue
        print(f"== {stage}", flush=True)
        command = [sys.executable, HERE / f"{stage}.py", "--work", options.work,
                   "--device", options.device, "--seed", str(options.seed), *settings.split()]
        subprocess.run(command, check=True)
        stamp.touch()


if __name__ == "__main__":
    main()
