"""Draws two pictures of every concept with the trained denoiser, for the training of image_sentiment.

Writes generated.pt. The evaluation draws its own, from other seeds and other captions.
"""

import argparse

import torch

from common import BUNDLE, add_arguments, prepare, read_json, sampled
from encoder import load_encoder
from modules import PipitAutoencoder, PipitFlowMLP
from pictures import Pictures
from sampler import Sampler
from storage import read_component

FIRST_SEED = 10_000
LANGUAGES = ("en", "zh")


def make_sampler(work, device):
    """The sampler over the networks of the work folder, before they are quantized."""
    denoiser = read_component(PipitFlowMLP, work / "denoiser")
    vae = read_component(PipitAutoencoder, work / "vae")
    scheduler = read_json(BUNDLE / "scheduler/scheduler_config.json")
    return Sampler(denoiser, vae, *load_encoder(work), scheduler, device)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    options = parser.parse_args()
    device = prepare(options)
    settings = read_json(BUNDLE / "model_index.json")
    steps, guidance = settings["default_steps"], settings["default_guidance"]
    concepts = Pictures(options.work).concepts
    sampler = make_sampler(options.work, device)
    drawn = sampled(range(len(concepts)))
    made = []
    for turn, language in enumerate(LANGUAGES):
        texts = [concepts[index][language] for index in drawn]
        seed = FIRST_SEED + turn * len(texts)
        with torch.autocast(device.type, torch.bfloat16):
            made.append(sampler.pictures(texts, steps, guidance, seed))
    torch.save(
        {"pixels": torch.cat(made), "concepts": torch.tensor(drawn).repeat(len(made))},
        options.work / "generated.pt",
    )
    print(f"{sum(len(part) for part in made)} pictures")


if __name__ == "__main__":
    main()
