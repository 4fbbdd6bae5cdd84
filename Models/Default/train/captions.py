"""The captions of all pictures, and their token states by the frozen text encoder.

Writes captions.pt: for each group of pictures that share captions the ids of its captions by
kind, and the states of all captions one after the other.
"""

import argparse
import random
import re

import torch

from common import TEXTS, add_arguments, normalized, prepare, read_table, sampled
from pictures import Pictures

TOKENS_MAX = 32
PREFIX = "query: "
COLOURS = {  # hue, English, Chinese
    "red": (0.0, "红色"),
    "orange": (0.075, "橙色"),
    "yellow": (0.145, "黄色"),
    "green": (0.33, "绿色"),
    "blue": (0.6, "蓝色"),
    "purple": (0.77, "紫色"),
    "pink": (0.92, "粉色"),
}
COLOUR_WORDS = re.compile(
    r"\b(red|orange|yellow|green|blue|purple|pink|brown|black|white|colou?red|skin)\b"
)
PLAIN_CLASSES = ("button", "keycap", "arrow", "o’clock", "thirty", "symbol", "square", "circle")


def with_article(name):
    return ("an " if name[:1].lower() in "aeiou" else "a ") + name


def spoken(name):
    """A CLDR name as people would say it: "man: red hair" is a man with red hair, "kiss: man, man" a
    kiss of man and man."""
    head, colon, tail = name.partition(":")
    if not colon or head == "keycap":
        return name
    tail = tail.strip()
    if head in ("man", "woman", "person"):
        return f"{tail} {head}" if tail == "bald" else f"{head} with {tail}"
    return f"{head} of {tail.replace(', ', ' and ')}"


def english_forms(name):
    """A name as people would write it."""
    return [spoken(name), with_article(spoken(name))]


def held_out_texts():
    """What the evaluation asks for may be no caption."""
    found = set()
    for path in sorted(TEXTS.glob("eval-*.tsv")):
        for row in read_table(path):
            found.add(normalized(row.get("text") or row.get("prompt") or ""))
    return found - {""}


def written_captions(concepts):
    """The project's own paraphrases, by concept."""
    index = {concept["emoji"].replace("\ufe0f", ""): i for i, concept in enumerate(concepts)}
    found = {}
    for path in sorted(TEXTS.glob("captions-*.tsv")):
        for row in read_table(path):
            concept = index.get(row["emoji"].replace("\ufe0f", ""))
            if concept is not None and row.get("text"):
                found.setdefault(concept, []).append(row["text"])
    return found


def paintable(concept):
    """Recoloured copies of it make sense to a reader."""
    name = concept["en"].lower()
    return not COLOUR_WORDS.search(name) and not any(word in name for word in PLAIN_CLASSES)


def colour_captions(concept, colour):
    name, chinese = concept["en"], concept["zh"]
    word = COLOURS[colour][1]
    english = f"{colour} {name}"
    return [english, with_article(english), f"{word}的{chinese}", f"一个{word}的{chinese}"]


def painted_captions(written, concept, colour):
    """One of the concept's written captions with a colour: a combination in other words. Which one, and in
    what form, differs from colour to colour."""
    turn = list(COLOURS).index(colour)
    if not written:
        return []
    text = written[(concept + turn * 3) % len(written)]
    if not text.isascii():
        return [f"{COLOURS[colour][1]}的{text}"]
    bare = re.sub(r"^(a|an|the) ", "", text)
    return [f"{colour} {bare}" if (concept + turn) % 2 else f"{text}, painted {colour}"]


class CaptionTable:
    """Unique texts, and for each group of pictures its captions by kind."""

    def __init__(self, forbidden):
        self.forbidden, self.ids, self.groups = forbidden, {}, {}

    def add(self, group, kind, texts):
        for text in texts:
            text = text.strip()
            if text and normalized(text) not in self.forbidden:
                index = self.ids.setdefault(text, len(self.ids))
                ids = self.groups.setdefault(group, {}).setdefault(kind, [])
                if index not in ids:
                    ids.append(index)


def caption_table(pictures):
    """Groups: ("concept", i), ("colour", i, name), ("clip", picture)."""
    table = CaptionTable(held_out_texts())
    written = written_captions(pictures.concepts)
    painted = set(sampled(range(len(pictures.concepts))))
    for i, concept in enumerate(pictures.concepts):
        group = ("concept", i)
        table.add(group, "name", english_forms(concept["en"]) + [concept["zh"]])
        table.add(group, "written", sampled(written.get(i, [])))
        table.add(group, "keyword", sampled(concept["keywords_en"] + concept["keywords_zh"]))
        if paintable(concept) and i in painted:
            for colour in COLOURS:
                table.add(("colour", i, colour), "name", colour_captions(concept, colour))
                wordings = painted_captions(written.get(i, []), i, colour)
                table.add(("colour", i, colour), "written", wordings)
    for i, line in enumerate(pictures.lines):
        if line["source"] == "openclipart":
            words = [word for word in line["keywords"] if len(word) > 2]
            title = re.sub(r"[_\d]+", " ", line["title"])
            table.add(("clip", i), "name", [title])
            table.add(("clip", i), "keyword", [" ".join(words[:4])])
    return table


@torch.no_grad()
def token_states(texts, encoder, tokenizer, device, batch=256):
    """Ragged states: [all tokens, 384] in half precision and the start of each text in it."""
    ids = [e.ids for e in tokenizer.encode_batch([PREFIX + text for text in texts])]
    ids = [i if len(i) <= TOKENS_MAX else [*i[: TOKENS_MAX - 1], i[-1]] for i in ids]
    lengths = torch.tensor([len(i) for i in ids])
    starts = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
    states = torch.empty(starts[-1], encoder.config.hidden_size, dtype=torch.float16)
    order = lengths.argsort()
    for part in order.split(batch):
        width = int(lengths[part].max())
        tokens = torch.ones(len(part), width, dtype=torch.long)
        for row, index in enumerate(part.tolist()):
            tokens[row, : lengths[index]] = torch.tensor(ids[index])
        mask = torch.arange(width)[None] < lengths[part, None]
        with torch.autocast(device.type, torch.bfloat16):
            out = encoder(tokens.to(device), attention_mask=mask.to(device)).last_hidden_state
        out = out.cpu().half()
        for row, index in enumerate(part.tolist()):
            states[starts[index] : starts[index + 1]] = out[row, : lengths[index]]
    return states, starts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    options = parser.parse_args()
    device = prepare(options)
    from encoder import load_encoder  # needs transformers, which the rest of this file does not

    table = caption_table(Pictures(options.work))
    encoder, tokenizer = load_encoder(options.work)
    texts = [*table.ids, ""]
    random.seed(options.seed)
    states, starts = token_states(texts, encoder.to(device).eval(), tokenizer, device)
    torch.save(
        {"texts": texts, "groups": table.groups, "states": states, "starts": starts},
        options.work / "captions.pt",
    )
    print(f"{len(texts)} captions of {len(table.groups)} groups, {len(states)} tokens")


if __name__ == "__main__":
    main()
