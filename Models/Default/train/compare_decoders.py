"""Compares two bundles' autoencoders and moods of pictures, as the engine computes them, on the same latents: the
numbers of the model card's section on integers.

    python compare_decoders.py --pipit ../../../.build/release/pipit --other DIR_OF_THE_F16_BUNDLE
"""

import argparse
import random
from pathlib import Path

import torch

import text_sentiment
from common import BUNDLE, TEXTS, add_arguments, prepare, read_json, read_table
from encoder import load_encoder
from engine import Autoencoder, Engine, ImageReader
from evaluate import Retrieval, shares
from image_sentiment import shrunk
from modules import PipitAutoencoder, PipitFlowMLP
from pictures import Pictures
from sampler import Sampler
from storage import read_component

NAMES = {"en": 400, "zh": 200}
BATCH = 50


def prompts(concepts, seed):
    """Sets of texts and the concepts that they name."""
    own = random.Random(seed).sample(range(len(concepts)), max(NAMES.values()))
    for language, count in NAMES.items():
        yield f"names_{language}", [concepts[i][language] for i in own[:count]], own[:count]
    index = {concept["emoji"]: i for i, concept in enumerate(concepts)}
    for name in ("paraphrases", "paraphrases-wide"):
        rows = read_table(TEXTS / f"eval-{name}.tsv")
        yield name, [row["text"] for row in rows], [index[row["emoji"]] for row in rows]


def drawn(decoder, latents):
    parts = [decoder.picture(part).clamp(-1, 1) for part in latents.split(BATCH)]
    return ((torch.cat(parts) + 1) * 127.5).round().byte()


def decibels(squares):
    return (10 * torch.log10(255**2 / squares)).item()


def moods(engine, pictures):
    reader = ImageReader(engine)
    parts = [reader.logits(shrunk(part)) for part in pictures.split(BATCH)]
    return text_sentiment.scores(torch.cat(parts))


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--pipit", type=Path, required=True)
    parser.add_argument("--other", type=Path, required=True)
    options = parser.parse_args()
    prepare(options)
    index = read_json(BUNDLE / "model_index.json")
    settings = index["default_steps"], index["default_guidance"]
    denoiser = read_component(PipitFlowMLP, BUNDLE / "denoiser")
    vae = read_component(PipitAutoencoder, options.work / "vae")
    scheduler = read_json(BUNDLE / "scheduler/scheduler_config.json")
    sampler = Sampler(denoiser, vae, *load_encoder(options.work), scheduler, torch.device("cpu"))
    pictures = Pictures(options.work)
    retrieval = Retrieval(vae, pictures)
    engines = [Engine(options.pipit, bundle, 2) for bundle in (options.other, BUNDLE)]
    everything = [[], []]
    for name, texts, wanted in prompts(pictures.concepts, options.seed):
        latents = torch.cat([
            denoiser.latents(sampler.coordinates(texts[i : i + 200], *settings, options.seed + i))
            for i in range(0, len(texts), 200)])
        both = [drawn(Autoencoder(engine), latents) for engine in engines]
        squares = ((both[0].float() - both[1].float()) ** 2).flatten(1).mean(1)
        found = [shares(retrieval.ranks(part, torch.tensor(wanted))) for part in both]
        print(name, len(texts), "dB", decibels(squares.mean()), decibels(squares.max()), *found, flush=True)
        for all_of, part in zip(everything, both):
            all_of.append(part)
    other, own = [moods(engine, torch.cat(part)) for engine, part in zip(engines, everything)]
    same = other.sign() == own.sign()
    print("moods", len(own), "sign", same.float().mean().item(), "clear",
          same[other.abs() > 0.3].float().mean().item(), "difference", (other - own).abs().mean().item())


if __name__ == "__main__":
    main()
