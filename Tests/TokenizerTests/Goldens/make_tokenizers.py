"""Small tokenizers for the goldens, trained on sentences of our own: one for each published family,
and some that hold the less usual components. Each maker fills a folder."""

import json
import os
import random

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

import golden_lines

CLIP_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def corpus():
    rng = random.Random(7)
    lines = [golden_lines.english(rng) for _ in range(3000)] + [
        golden_lines.chinese(rng) for _ in range(1500)
    ]
    return lines + golden_lines.OTHER * 2 + golden_lines.EMOJI


def train(tokenizer, trainer):
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def save(tokenizer, folder, edit=None):
    data = json.loads(tokenizer.to_str())
    if edit:
        edit(data)
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8", newline="\n") as file:
        json.dump(data, file, ensure_ascii=False, separators=(",", ":"))


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n") as file:
        json.dump(value, file, ensure_ascii=False, separators=(",", ":"))


def trained_word_piece(lowercase):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return train(
        tokenizer,
        trainers.WordPieceTrainer(
            vocab_size=1500,
            special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
            show_progress=False,
        ),
    )


def bert(folder):
    tokenizer = trained_word_piece(True)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    save(tokenizer, folder)


def bert_without_json(folder):
    """Cased, so the normalizer's switches come from tokenizer_config.json."""
    vocabulary = trained_word_piece(False).get_vocab()
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8", newline="\n") as file:
        for piece in sorted(vocabulary, key=vocabulary.get):
            file.write(piece + "\n")
    write_json(
        folder,
        "tokenizer_config.json",
        {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "model_max_length": 512},
    )


def trained_clip():
    tokenizer = Tokenizer(
        models.BPE(
            unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix=""
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CLIP_PATTERN), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    train(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=1400,
            end_of_word_suffix="</w>",
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<|startoftext|>", "<|endoftext|>"],
            show_progress=False,
        ),
    )
    return tokenizer


def with_whole_alphabet(vocabulary):
    """The trainer knows only letters seen at the end of a word; CLIP's vocabulary has all."""
    for letter in sorted(pre_tokenizers.ByteLevel.alphabet()):
        for piece in (letter, letter + "</w>"):
            vocabulary.setdefault(piece, len(vocabulary))
    return vocabulary


def clip(folder):
    def edit(data):
        data["model"]["vocab"] = with_whole_alphabet(data["model"]["vocab"])
        # As the first versions of the format had them.
        data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]

    tokenizer = trained_clip()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", 1), ("<|startoftext|>", 0), trim_offsets=False, add_prefix_space=False
    )
    save(tokenizer, folder, edit)


def clip_without_json(folder):
    model = json.loads(trained_clip().to_str())["model"]
    write_json(folder, "vocab.json", with_whole_alphabet(model["vocab"]))
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8", newline="\n") as file:
        file.write("#version: 0.2\n")
        for pair in model["merges"]:
            file.write(" ".join(pair) + "\n")
    write_json(
        folder,
        "tokenizer_config.json",
        {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": 77,
            "pad_token": "<|endoftext|>",
            "bos_token": {
                "__type": "AddedToken",
                "content": "<|startoftext|>",
                "lstrip": False,
                "normalized": True,
                "rstrip": False,
                "single_word": False,
            },
            "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
        },
    )


def roberta(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    train(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=1400,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
            show_progress=False,
        ),
    )
    tokenizer.add_special_tokens(
        [AddedToken("<mask>", lstrip=True, special=True, normalized=False)]
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    save(tokenizer, folder)


def roberta_without_json(folder):
    """Only the two files, as older checkpoints have them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    train(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=900,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
            show_progress=False,
        ),
    )
    model = json.loads(tokenizer.to_str())["model"]
    write_json(folder, "vocab.json", model["vocab"])
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8", newline="\n") as file:
        file.write("#version: 0.2\n")
        for pair in model["merges"]:
            file.write(" ".join(pair) + "\n")


def unigram(folder):
    """Byte fallback, Metaspace that marks the first word, normalizers that remove the start."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Nmt(),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(left=True, right=True),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    train(
        tokenizer,
        trainers.UnigramTrainer(
            vocab_size=900,
            unk_token="<unk>",
            special_tokens=["<pad>", "<unk>", "</s>"],
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)]
    )

    def edit(data):
        data["model"]["vocab"] += [["<0x%02X>" % byte, -20.0] for byte in range(256)]
        data["model"]["byte_fallback"] = True

    save(tokenizer, folder, edit)


def odd_pairs(folder):
    """Byte pairs over characters: unknown ones, fused; some bytes spelled out; odd added tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Prepend("▁"),
            normalizers.Replace(" ", "▁"),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("-", "merged_with_previous"),
            pre_tokenizers.Split(Regex(" {2,}"), "merged_with_next"),
            pre_tokenizers.Digits(individual_digits=False),
            pre_tokenizers.Punctuation("contiguous"),
        ]
    )
    train(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=700,
            limit_alphabet=90,
            special_tokens=["<unk>", "<s>", "</s>"],
            show_progress=False,
        ),
    )
    tokenizer.add_tokens(
        [
            AddedToken("yesterday", single_word=True),
            AddedToken("New York", lstrip=True, rstrip=True, normalized=True),
            AddedToken("##", rstrip=True, normalized=False),
            AddedToken("猫", single_word=True, normalized=False),
            AddedToken("▁the", normalized=False),
            AddedToken("café", normalized=True),
        ]
    )

    def edit(data):
        vocabulary = data["model"]["vocab"]
        for byte in list(range(0x20, 0x80)) + list(range(0xE4, 0xE9)) + list(range(0x80, 0xB0)):
            vocabulary["<0x%02X>" % byte] = len(vocabulary)
        top = len(vocabulary)
        for token in data["added_tokens"]:
            if token["content"] not in vocabulary:
                token["id"] = top
                top += 1

    save(tokenizer, folder, edit)


def odd_words(folder):
    """WordPiece with the pre-tokenizers that no published family above uses."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=12))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFD(),
            normalizers.Strip(left=False, right=True),
            normalizers.Replace("’", "'"),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.CharDelimiterSplit(","),
            pre_tokenizers.Whitespace(),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split("e", "contiguous"),
            pre_tokenizers.Punctuation("merged_with_next"),
        ]
    )
    train(
        tokenizer,
        trainers.WordPieceTrainer(
            vocab_size=700,
            limit_alphabet=200,
            special_tokens=["[UNK]", "[PAD]"],
            show_progress=False,
        ),
    )
    tokenizer.add_special_tokens(["[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(
                single="[CLS] [MASK] $0 [SEP]",
                pair="[CLS] $A [SEP] $B [SEP]",
                special_tokens=[
                    ("[CLS]", tokenizer.token_to_id("[CLS]")),
                    ("[SEP]", tokenizer.token_to_id("[SEP]")),
                    ("[MASK]", tokenizer.token_to_id("[MASK]")),
                ],
            ),
        ]
    )
    save(tokenizer, folder)


MAKERS = {
    maker.__name__: maker
    for maker in (
        bert,
        bert_without_json,
        clip,
        clip_without_json,
        roberta,
        roberta_without_json,
        unigram,
        odd_pairs,
        odd_words,
    )
}


def load(folder):
    """The reference's tokenizer of a folder; without tokenizer.json, that of `transformers`."""
    path = os.path.join(folder, "tokenizer.json")
    if os.path.exists(path):
        return Tokenizer.from_file(path)
    from transformers import BertTokenizerFast, CLIPTokenizerFast, RobertaTokenizerFast

    if os.path.exists(os.path.join(folder, "vocab.txt")):
        kind = BertTokenizerFast
    else:
        with open(os.path.join(folder, "vocab.json"), encoding="utf-8") as file:
            kind = RobertaTokenizerFast if "<s>" in json.load(file) else CLIPTokenizerFast
    return kind.from_pretrained(folder).backend_tokenizer
