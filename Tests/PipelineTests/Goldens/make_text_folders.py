"""Makes the folders of text models that PipelineTests read as a user's: tokenizer, settings, weights.

    python Tests/PipelineTests/Goldens/make_text_folders.py

Needs torch, transformers, tokenizers, safetensors, numpy. Random weights; golden.json in each folder holds texts
and what the reference libraries make of them: embeddings, or labels, confidences and scores.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "ModelTests" / "Goldens"))
from make_goldens import randomized  # noqa: E402

TEXTS = ["", "good", "Bad!", "a smiling cat sat on the mat", "what a bad, bad day", "it is raining 7 times",
         "the quick brown fox and the lazy dog have a good day, and then another, and one more after that",
         "x", "café 猫", "good good good"]
WORDS = "good bad a cat sat on the mat what day it is rain fox and dog have one more ##ing ##s".split()


def write(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def word_pieces(folder):
    """BERT's vocab.txt; the reference's tokenizer of it."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "!", ",", *letters, *("##" + c for c in letters), *WORDS]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    return transformers.BertTokenizerFast.from_pretrained(folder), len(pieces)


def byte_pairs(folder, with_json):
    """RoBERTa's byte pairs, in tokenizer.json or as the two older files."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=285, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"]))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    count = tokenizer.get_vocab_size()
    if with_json:
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>"), count
    model = json.loads(tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + merges + "\n", encoding="utf-8")
    return transformers.RobertaTokenizerFast.from_pretrained(folder), count


def clip_pairs(folder):
    """CLIP's two files: letters, letters that end a word, a few merges, the two special pieces."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("a", "t</w>"), ("o", "o"), ("g", "oo"), ("goo", "d</w>")]
    pieces = [*letters, *(c + "</w>" for c in letters), *(a + b for a, b in merges)]
    vocabulary = {piece: index for index, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = "".join(" ".join(pair) + "\n" for pair in merges)
    (folder / "merges.txt").write_text("#version: 0.2\n" + lines, encoding="utf-8")
    return transformers.CLIPTokenizerFast.from_pretrained(folder), len(vocabulary)


def build(folder, kind, seed, **settings):
    """Saves a random model of a class and gives it back."""
    model_class = getattr(transformers, kind)
    config = model_class.config_class(**settings)
    config._attn_implementation = "eager"
    model = randomized(model_class(config), seed)
    model.save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text())
    saved.pop("transformers_version", None)
    write(folder / "config.json", saved)
    return model


def run(model, tokenizer, text, limit):
    given = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
    given = {k: v for k, v in given.items() if k in ("input_ids", "attention_mask")}
    with torch.no_grad():
        return model(**given)


def classifier(name, limit, valences, make_tokenizer, kind, seed, multi=False, shown=None, **settings):
    """`valences` are where the labels lie between -1 and 1, `shown` their names where not the model's own."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    tokenizer, count = make_tokenizer(folder)
    more = {"problem_type": "multi_label_classification"} if multi else {}
    model = build(folder, kind, seed, vocab_size=count, **settings, **more)
    golden = {"texts": TEXTS, "labels": [], "confidences": [], "scores": []}
    for text in TEXTS:
        logits = run(model, tokenizer, text, limit).logits[0]
        p = (torch.sigmoid(logits) if multi else torch.softmax(logits, 0)).numpy()
        golden["labels"].append((shown or model.config.id2label)[int(p.argmax())])
        golden["confidences"].append(round(float(p.max()), 6))
        golden["scores"].append(round(float((p * np.array(valences)).sum() / max(1, p.sum())), 6))
    write(folder / "golden.json", golden)


def sentences(name, limit, pool, make_tokenizer, kind, seed, prompt="", **settings):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    tokenizer, count = make_tokenizer(folder)
    model = build(folder, kind, seed, vocab_size=count, **settings)
    golden = {"texts": TEXTS, "embeddings": []}
    for text in TEXTS:
        result = run(model, tokenizer, prompt + text, limit)
        golden["embeddings"].append([round(float(x), 6) for x in pool(result)])
    write(folder / "golden.json", golden)


def modules(folder, mode, normalizes):
    folder.mkdir(exist_ok=True)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")] + [("2_Normalize", "Normalize")] * normalizes
    write(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
        for i, (path, kind) in enumerate(kinds)])
    (folder / "1_Pooling").mkdir(exist_ok=True)
    write(folder / "1_Pooling" / "config.json", {
        f"pooling_mode_{m}": m == mode
        for m in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")})


def main():
    small = dict(hidden_size=16, num_attention_heads=2, intermediate_size=20, num_hidden_layers=2)
    distil = dict(dim=16, n_heads=4, hidden_dim=24, n_layers=1)
    stars = {0: "1 star", 1: "2 stars", 2: "3 stars", 3: "4 stars", 4: "5 stars"}
    classifier("classifier-stars", 20, [-1, -0.5, 0, 0.5, 1], word_pieces, "BertForSequenceClassification", 73,
               max_position_embeddings=20, num_labels=5, id2label=stars, **small)
    classifier("classifier-numbers", 30, [-1, 0, 1], lambda f: byte_pairs(f, False),
               "RobertaForSequenceClassification", 67, shown=["negative", "neutral", "positive"],
               max_position_embeddings=32, type_vocab_size=1, num_labels=3, **small)
    emotions = {0: "joy", 1: "sadness", 2: "surprise", 3: "anger", 4: "love"}
    classifier("classifier-emotions", 24, [1, -1, 0, -1, 1], word_pieces, "DistilBertForSequenceClassification", 63,
               multi=True, max_position_embeddings=24, num_labels=5, id2label=emotions, **distil)

    folder = HERE / "sentences-first"
    modules(folder, "cls_token", False)
    write(folder / "sentence_bert_config.json", {"max_seq_length": 9, "do_lower_case": False})
    write(folder / "config_sentence_transformers.json",
          {"prompts": {"query": "it is: ", "other": "x"}, "default_prompt_name": "query"})
    sentences("sentences-first", 9, lambda r: r.last_hidden_state[0, 0], word_pieces, "BertModel", 64, prompt="it is: ",
              max_position_embeddings=16, **small)
    modules(HERE / "sentences-mean", "mean_tokens", True)
    sentences("sentences-mean", 38,
              lambda r: torch.nn.functional.normalize(r.last_hidden_state[0].mean(0), dim=0),
              lambda f: byte_pairs(f, True), "XLMRobertaModel", 65, max_position_embeddings=40, type_vocab_size=1,
              **small)
    sentences("sentences-clip", 20, lambda r: r.text_embeds[0], clip_pairs, "CLIPTextModelWithProjection", 66,
              max_position_embeddings=20, projection_dim=10, hidden_act="quick_gelu",
              bos_token_id=516, eos_token_id=517, pad_token_id=517, **small)


if __name__ == "__main__":
    main()
