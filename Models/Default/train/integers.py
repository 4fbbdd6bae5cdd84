"""Makes integers of the networks of convolutions, by `pipit quantize` with numbers from drawings: the autoencoder
and the mood of pictures.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from common import BUNDLE, add_arguments, prepare
from pictures import Pictures

PARTS = ("vae", "image_sentiment")
EVERY = 53  # of the pictures, of all sources


def draw(work, folder):
    """Pictures that the calibration sees."""
    pixels = Pictures(work).pixels[::EVERY]
    for index, picture in enumerate(pixels.permute(0, 2, 3, 1).numpy()):
        Image.fromarray(picture).save(folder / f"{index:03}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--pipit", default=shutil.which("pipit"), help="the program")
    options = parser.parse_args()
    prepare(options)
    if not options.pipit:
        print("pipit is not on the path (or say --pipit FILE): both stay f16")
        return
    with tempfile.TemporaryDirectory() as work:
        pictures, target = Path(work) / "pictures", Path(work) / "integers"
        pictures.mkdir()
        draw(options.work, pictures)
        for part in PARTS:
            subprocess.run([options.pipit, "quantize", BUNDLE / part, target, "--quiet",
                            "--calibrate", pictures], check=True)
            shutil.rmtree(BUNDLE / part)
            shutil.move(target, BUNDLE / part)


if __name__ == "__main__":
    main()
