#!/usr/bin/env python3
"""Draws the same picture with diffusers and with pipit, from the same noise, and compares the pixels.

    python Tests/ModelTests/parity/picture.py PIPIT FOLDER [--size 256x256] [--steps 20] [--guidance 7.5] [--seed 1]

FOLDER is a Stable Diffusion pipeline as diffusers saves it, of f32 weights (a safety checker is left out). Prints a
table's row: the mean and the largest difference of the bytes. Ends with 1 if the mean is above 1. Needs torch,
diffusers, transformers, numpy, pillow.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import diffusers
import numpy as np
import torch
from PIL import Image
from transformers import CLIPTextModel, CLIPTokenizer


def reference(folder, options, width, height):
    scheduler = getattr(diffusers, diffusers.DDIMScheduler.load_config(folder, subfolder="scheduler")["_class_name"])
    pipeline = diffusers.StableDiffusionPipeline(
        vae=diffusers.AutoencoderKL.from_pretrained(folder, subfolder="vae"),
        text_encoder=CLIPTextModel.from_pretrained(folder, subfolder="text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer"),
        unet=diffusers.UNet2DConditionModel.from_pretrained(folder, subfolder="unet"),
        scheduler=scheduler.from_pretrained(folder, subfolder="scheduler"),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        options.prompt, negative_prompt=options.negative, width=width, height=height,
        num_inference_steps=options.steps, guidance_scale=options.guidance,
        generator=torch.Generator().manual_seed(options.seed)).images[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pipit", help="the binary")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompt", default="a house by the sea")
    parser.add_argument("--negative", default="fog")
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=7.5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for both pictures")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        own = folder / "pipit.png"
        subprocess.run(
            [options.pipit, "generate", options.prompt, "--negative", options.negative, "--model", options.folder,
             "--size", options.size, "--steps", str(options.steps), "--guidance", str(options.guidance),
             "--seed", str(options.seed), "--decoder", "full", "--no-cache", "--quiet", "-o", own],
            check=True, env=dict(os.environ))
        wanted = reference(options.folder, options, width, height)
        if options.keep:
            wanted.save(folder / "diffusers.png")
        found = np.asarray(Image.open(own).convert("RGB"), np.int32)
        difference = np.abs(found - np.asarray(wanted.convert("RGB"), np.int32))
    mean, largest, spread = difference.mean(), difference.max(), found.std()
    print(f"| {options.folder.name} | {options.size}, {options.steps} steps, guidance {options.guidance} "
          f"| mean {mean:.4f} of 255 | largest {largest} | pixels' deviation {spread:.1f} |")
    sys.exit(0 if mean <= 1 else 1)


if __name__ == "__main__":
    main()
