"""Measures the pictures of the bundle as it is stored, and draws the grid of the model card."""

import argparse

import numpy as np
import torch
from PIL import Image

from common import (BUNDLE, TEXTS, add_arguments, prepare, read_json, read_table, sampled,
                    write_json)
from encoder import load_encoder
from modules import PipitAutoencoder, PipitFlowMLP
from pictures import Pictures
from sampler import Sampler
from storage import read_component
from vae import held_out_psnr


@torch.no_grad()
def latents(vae, pixels):
    """Latents of uint8 pictures."""
    parts = [vae.latents(x.float() / 127.5 - 1).flatten(1) for x in pixels.split(128)]
    return torch.cat(parts)


class Retrieval:
    """Where a concept ranks among all by the distance of its nearest reference picture."""

    def __init__(self, vae, pictures):
        self.vae = vae
        drawn = pictures.is_emoji.nonzero().squeeze(1)
        self.concept = pictures.concept[drawn]
        self.references = latents(vae, pictures.pixels[drawn])
        self.count = len(pictures.concepts)

    def ranks(self, found, wanted):
        """0 where the wanted concept is the nearest."""
        distances = torch.cdist(latents(self.vae, found), self.references)
        nearest = torch.full((len(found), self.count), float("inf"))
        nearest.scatter_reduce_(1, self.concept.expand(len(found), -1), distances, "amin")
        own = nearest.gather(1, wanted[:, None])
        return (nearest < own).sum(1)


def shares(ranks):
    return {"top1": (ranks < 1).float().mean().item(), "top5": (ranks < 5).float().mean().item()}


def tiled(pictures, columns):
    """One picture of many, rows from the top."""
    count, _, side, _ = pictures.shape
    rows = -(-count // columns)
    sheet = np.full((rows * side, columns * side, 3), 255, np.uint8)
    for i, picture in enumerate(pictures.permute(0, 2, 3, 1).numpy()):
        y, x = divmod(i, columns)
        sheet[y * side : (y + 1) * side, x * side : (x + 1) * side] = picture
    return Image.fromarray(sheet)


def measured(sampler, retrieval, pictures, steps, guidance, seed):
    concepts = pictures.concepts
    asked = sampled(range(len(concepts)))
    result = {"steps": steps, "guidance": guidance}
    for language in ("en", "zh"):
        found = sampler.pictures([concepts[i][language] for i in asked], steps, guidance, seed)
        result[f"names_{language}"] = shares(retrieval.ranks(found, torch.tensor(asked)))
    index = {c["emoji"]: i for i, c in enumerate(concepts)}
    for name in ("paraphrases", "paraphrases-wide"):
        rows = sampled(read_table(TEXTS / f"eval-{name}.tsv"))
        found = sampler.pictures([row["text"] for row in rows], steps, guidance, seed)
        ranks = retrieval.ranks(found, torch.tensor([index[row["emoji"]] for row in rows]))
        for language in ("en", "zh"):
            chosen = torch.tensor([row["lang"] == language for row in rows])
            result[f"{name}_{language}"] = shares(ranks[chosen])
        result[name] = shares(ranks)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--bundle", default=BUNDLE, help="the bundle, or a folder of f32 parts")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--grids", action="store_true", help="the grids only")
    options = parser.parse_args()
    device = prepare(options)
    index = read_json(BUNDLE / "model_index.json")
    steps = options.steps or index["default_steps"]
    guidance = options.guidance or index["default_guidance"]
    pictures = Pictures(options.work)
    vae = read_component(PipitAutoencoder, f"{options.bundle}/vae")
    denoiser = read_component(PipitFlowMLP, f"{options.bundle}/denoiser")
    encoder, tokenizer = load_encoder(options.work)
    scheduler = read_json(BUNDLE / "scheduler/scheduler_config.json")
    sampler = Sampler(denoiser, vae, encoder, tokenizer, scheduler, device)
    for name, columns in (("grid", 6), ("eval-combinations", 6)):
        texts = [row["text"] for row in read_table(TEXTS / f"{name}.tsv")]
        sheet = tiled(sampler.pictures(texts, steps, guidance, options.seed), columns)
        sheet.save(options.work / f"{name}.png", optimize=True)
    if options.grids:
        return
    metrics = measured(sampler, Retrieval(vae, pictures), pictures, steps, guidance, options.seed)
    metrics["vae_held_out_psnr_db"] = held_out_psnr(vae, pictures)
    write_json(options.work / "metrics-pictures.json", metrics, indent=2)
    print(metrics)


if __name__ == "__main__":
    main()
