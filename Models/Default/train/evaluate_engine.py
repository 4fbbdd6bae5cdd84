"""Measures a bundle as the engine computes it, integers and all: what of the model card's numbers the arithmetic
can move. Prints them, and writes them where --out says.

    python evaluate_engine.py --pipit ../../../.build/release/pipit --bundle DIR --out numbers.json
"""

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer

import sentiment_texts
import text_sentiment
from common import BUNDLE, add_arguments, prepare, read_json, write_json
from engine import Autoencoder, Denoiser, Engine, ImageReader, TextEncoder
from evaluate import Retrieval, measured
from evaluate_image_sentiment import CLEAR, FIRST_SEED, correlation, new_captions, text_scores
from evaluate_sentiment import NEUTRAL_WITHIN, phrases_report
from image_sentiment import shrunk
from modules import PipitAutoencoder
from pictures import Pictures
from sampler import Sampler
from storage import read_component

PARTS = ("texts", "pictures", "moods")


def on_texts(engine, options):
    """Signs of the held-out texts' moods, by source, and of the short phrases."""
    rows = sentiment_texts.evaluation_phrases()
    items = [item for item in sentiment_texts.all_items(options.work)
             if item.is_held_out and item.source != "phrase"]
    found = engine.moods([row["text"] for row in rows] + [item.text for item in items])
    phrases, found = phrases_report(rows, found[: len(rows)]), found[len(rows):]
    valence = torch.tensor([item.valence for item in items])
    right = found.sign() == valence.sign()
    metrics = {"phrases": phrases, "held_out": {}}
    for source in dict.fromkeys(item.source for item in items):
        part = torch.tensor([item.source == source for item in items]) & (valence != 0)
        if part.any():
            metrics["held_out"][source] = {
                "texts": int(part.sum()), "sign_right": right[part].float().mean().item(),
                "correlation": correlation(found[part], valence[part])}
    for name, wanted in (("english", False), ("chinese", True)):
        part = torch.tensor([(not item.text.isascii()) == wanted for item in items]) & (valence != 0)
        metrics[name] = {"texts": int(part.sum()), "sign_right": right[part].float().mean().item()}
    neutral = valence == 0
    metrics["neutral_near_zero"] = (found[neutral].abs() <= NEUTRAL_WITHIN).float().mean().item()
    return metrics


def on_moods(engine, sampler, options, settings):
    """The moods of pictures that the bundle draws against those of their captions."""
    texts = new_captions(options.work, options.seed)
    pixels = sampler.pictures(texts, *settings, FIRST_SEED)
    reader = ImageReader(engine)
    logits = torch.cat([reader.logits(shrunk(part)) for part in pixels.split(128)])
    found = text_sentiment.scores(logits)
    # What captions are meant to feel does not depend on the bundle that is measured.
    wanted = text_scores(texts, options.work)
    clear = wanted.abs() > CLEAR
    return {
        "pictures": len(texts), "clear": int(clear.sum()),
        "sign_agrees_when_clear": (found.sign() == wanted.sign())[clear].float().mean().item(),
        "correlation": correlation(found, wanted),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--pipit", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    prepare(options)
    torch.set_num_threads(options.threads)
    engine = Engine(options.pipit, options.bundle, options.threads)
    index = read_json(BUNDLE / "model_index.json")
    settings = index["default_steps"], index["default_guidance"]
    tokenizer = Tokenizer.from_file(str(BUNDLE / "text_encoder/tokenizer.json"))
    scheduler = read_json(BUNDLE / "scheduler/scheduler_config.json")
    networks = Denoiser(engine), Autoencoder(engine), TextEncoder(engine)
    sampler = Sampler(*networks, tokenizer, scheduler, torch.device("cpu"))
    metrics, wanted = {}, options.only or PARTS
    if "texts" in wanted:
        metrics["texts"] = on_texts(engine, options)
        print(metrics["texts"], flush=True)
    if "moods" in wanted:
        metrics["moods"] = on_moods(engine, sampler, options, settings)
        print(metrics["moods"], flush=True)
    if "pictures" in wanted:
        # The space in which pictures are found again is that of the autoencoder in f32.
        retrieval = Retrieval(read_component(PipitAutoencoder, options.work / "vae"), Pictures(options.work))
        metrics["pictures"] = measured(
            sampler, retrieval, Pictures(options.work), *settings, options.seed)
        print(metrics["pictures"], flush=True)
    if options.out:
        write_json(options.out, metrics, indent=2)


if __name__ == "__main__":
    main()
