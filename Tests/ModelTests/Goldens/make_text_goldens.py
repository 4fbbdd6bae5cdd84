"""Makes the small goldens of text models with transformers: random weights, odd sizes.

    python Tests/ModelTests/Goldens/make_text_goldens.py [NAME ...]

Needs torch, transformers, safetensors, numpy. The folders look as those of make_goldens.py: config.json,
model.safetensors, golden.safetensors with `in.NAME` and `out.NAME`. Without names, all are made.
"""

import json
import sys

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file

from make_goldens import HERE, randomized, save_golden


def texts(seed, lengths, tokens, vocabulary, padding):
    """Ids of texts of these lengths, filled up with padding (which no text holds), and their mask."""
    random = np.random.default_rng(seed)
    usable = [i for i in range(vocabulary) if i != padding]
    ids = random.choice(usable, (len(lengths), tokens)).astype(np.int64)
    mask = (np.arange(tokens) < np.array(lengths)[:, None]).astype(np.int64)
    return np.where(mask == 1, ids, padding), mask


def case(name, kind, seed, inputs, outputs, prefix="", rename=str, **settings):
    """Saves one model of class `kind` with what it makes of the inputs; `prefix` is put in front of all
    tensor names, as published checkpoints have it where transformers 5 has none; `rename` changes them."""
    model_class = getattr(transformers, kind)
    config = model_class.config_class(**settings)
    config._attn_implementation = "eager"
    model = randomized(model_class(config), seed)
    with torch.no_grad():
        result = model(**{k: torch.tensor(v) for k, v in inputs.items()}, return_dict=True)
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tensors = load_file(folder / "model.safetensors")
    save_file({prefix + rename(k): v for k, v in tensors.items()}, folder / "model.safetensors")
    saved = json.loads((folder / "config.json").read_text())
    saved.pop("transformers_version", None)
    (folder / "config.json").write_text(json.dumps(saved, indent=1) + "\n")
    save_golden(folder / "golden.safetensors", inputs, {k: result[k].numpy() for k in outputs})


def clip():
    ids, mask = texts(21, [9, 6], 9, 49, 48)
    ids[0, 8], ids[1, 5] = 47, 47
    ids[1, 7] = 47  # a second end: the first counts
    common = dict(bos_token_id=0, pad_token_id=48, vocab_size=50, projection_dim=24)
    case("clip-1", "CLIPTextModel", 21, {"input_ids": ids}, ["last_hidden_state", "pooler_output"],
         hidden_size=24, num_attention_heads=3, intermediate_size=40, num_hidden_layers=2,
         max_position_embeddings=11, hidden_act="quick_gelu", eos_token_id=47, **common)

    # eos_token_id 2: the largest id ends a text, the first of several.
    ids, mask = texts(22, [11, 4, 7], 11, 37, 1)
    ids[0, 3] = ids[0, 8] = 36
    case("clip-2", "CLIPTextModel", 22, {"input_ids": ids, "attention_mask": mask},
         ["last_hidden_state", "pooler_output"], "text_model.",
         hidden_size=20, num_attention_heads=1, intermediate_size=33, num_hidden_layers=1, vocab_size=37,
         max_position_embeddings=11, hidden_act="gelu", eos_token_id=2, bos_token_id=0, pad_token_id=1)

    # A text without an end: its first token stands for it.
    ids, mask = texts(23, [5, 3], 5, 40, 0)
    ids[ids == 39] = 5
    ids[1, 2] = 39
    case("clip-3", "CLIPTextModelWithProjection", 23, {"input_ids": ids}, ["last_hidden_state", "text_embeds"],
         hidden_size=32, num_attention_heads=8, intermediate_size=16, num_hidden_layers=3,
         max_position_embeddings=7, hidden_act="gelu", eos_token_id=39, bos_token_id=1, pad_token_id=0,
         vocab_size=40, projection_dim=10)


LABELS = {0: "negative", 1: "neutral", 2: "positive"}


def old_names(name):
    """The names that TensorFlow's checkpoints had for a layer norm, as the first published BERTs have them."""
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def bert():
    ids, mask = texts(31, [8, 3], 8, 41, 0)
    case("bertcls-1", "BertForSequenceClassification", 31, {"input_ids": ids, "attention_mask": mask}, ["logits"],
         hidden_size=24, num_attention_heads=3, intermediate_size=40, num_hidden_layers=2, vocab_size=41,
         max_position_embeddings=12, num_labels=3, id2label=LABELS)
    ids, mask = texts(32, [5], 5, 30, 0)
    types = np.array([[0, 0, 1, 1, 1]])
    case("bertcls-2", "BertForSequenceClassification", 32, {"input_ids": ids, "token_type_ids": types}, ["logits"],
         rename=old_names, hidden_size=18, num_attention_heads=2, intermediate_size=29, num_hidden_layers=1,
         vocab_size=30, max_position_embeddings=5, type_vocab_size=2, num_labels=5, hidden_act="gelu_new")
    ids, mask = texts(33, [1, 7, 4], 7, 50, 0)
    case("bertcls-3", "BertForSequenceClassification", 33, {"input_ids": ids, "attention_mask": mask}, ["logits"],
         hidden_size=20, num_attention_heads=5, intermediate_size=64, num_hidden_layers=3, vocab_size=50,
         max_position_embeddings=9, type_vocab_size=1, num_labels=2, hidden_act="relu", layer_norm_eps=1e-5)


def distilbert():
    ids, mask = texts(41, [9, 5], 9, 40, 0)
    given = {"input_ids": ids, "attention_mask": mask}
    case("distilbert-1", "DistilBertModel", 41, given, ["last_hidden_state"], dim=24, n_heads=3, hidden_dim=40,
         n_layers=2, vocab_size=40, max_position_embeddings=10)
    ids, mask = texts(42, [6], 6, 33, 0)
    case("distilbert-2", "DistilBertModel", 42, {"input_ids": ids}, ["last_hidden_state"], "distilbert.", dim=20,
         n_heads=1, hidden_dim=33, n_layers=1, vocab_size=33, max_position_embeddings=6, activation="relu")
    ids, mask = texts(43, [3, 1, 4], 4, 50, 0)
    given = {"input_ids": ids, "attention_mask": mask}
    case("distilbert-3", "DistilBertModel", 43, given, ["last_hidden_state"], dim=32, n_heads=8, hidden_dim=16,
         n_layers=3, vocab_size=50, max_position_embeddings=7, sinusoidal_pos_embds=True)
    ids, mask = texts(44, [7, 2], 7, 40, 0)
    given = {"input_ids": ids, "attention_mask": mask}
    for number, (dim, heads, inner, layers, labels) in enumerate(
            [(24, 2, 30, 2, 2), (18, 3, 41, 1, 5), (16, 4, 20, 3, 3)], 1):
        case(f"distilbertcls-{number}", "DistilBertForSequenceClassification", 44 + number, given, ["logits"], dim=dim,
             n_heads=heads, hidden_dim=inner, n_layers=layers, vocab_size=40, max_position_embeddings=8,
             num_labels=labels)


def roberta():
    # Padding inside a text: positions are counted by ids, whatever the mask.
    ids, mask = texts(51, [9, 5], 9, 40, 1)
    ids[0, 4] = 1
    case("roberta-1", "RobertaModel", 51, {"input_ids": ids, "attention_mask": mask}, ["last_hidden_state"],
         hidden_size=24, num_attention_heads=3, intermediate_size=40, num_hidden_layers=2, vocab_size=40,
         max_position_embeddings=11, type_vocab_size=1, layer_norm_eps=1e-5)
    ids, mask = texts(52, [6, 4], 6, 33, 3)
    case("roberta-2", "RobertaModel", 52, {"input_ids": ids}, ["last_hidden_state"], "roberta.",
         hidden_size=20, num_attention_heads=1, intermediate_size=33, num_hidden_layers=1, vocab_size=33,
         max_position_embeddings=10, type_vocab_size=2, pad_token_id=3, hidden_act="gelu_new")
    ids, mask = texts(53, [5, 2, 1], 5, 50, 0)
    types = (np.arange(15).reshape(3, 5) % 2).astype(np.int64)
    case("roberta-3", "XLMRobertaModel", 53, {"input_ids": ids, "attention_mask": mask, "token_type_ids": types},
         ["last_hidden_state"], hidden_size=32, num_attention_heads=8, intermediate_size=16, num_hidden_layers=3,
         vocab_size=50, max_position_embeddings=9, type_vocab_size=2, pad_token_id=0)
    ids, mask = texts(54, [7, 2], 7, 40, 1)
    given = {"input_ids": ids, "attention_mask": mask}
    for number, kind, width, heads, inner, layers, labels in [
            (1, "RobertaForSequenceClassification", 24, 2, 30, 2, 3),
            (2, "XLMRobertaForSequenceClassification", 18, 3, 41, 1, 5),
            (3, "RobertaForSequenceClassification", 16, 4, 20, 3, 2)]:
        case(f"robertacls-{number}", kind, 54 + number, given, ["logits"], hidden_size=width,
             num_attention_heads=heads, intermediate_size=inner, num_hidden_layers=layers, vocab_size=40,
             max_position_embeddings=10, type_vocab_size=1, num_labels=labels)


def mpnet():
    # Longer than the first distances that share a bucket, and than the last.
    ids, mask = texts(61, [50, 23], 50, 40, 1)
    ids[0, 4] = 1
    case("mpnet-1", "MPNetModel", 61, {"input_ids": ids, "attention_mask": mask}, ["last_hidden_state"],
         hidden_size=24, num_attention_heads=3, intermediate_size=40, num_hidden_layers=2, vocab_size=40,
         max_position_embeddings=52, layer_norm_eps=1e-5)
    ids, mask = texts(62, [140], 140, 33, 1)
    case("mpnet-2", "MPNetModel", 62, {"input_ids": ids}, ["last_hidden_state"], "mpnet.",
         hidden_size=20, num_attention_heads=1, intermediate_size=33, num_hidden_layers=1, vocab_size=33,
         max_position_embeddings=150, hidden_act="gelu_new")
    ids, mask = texts(63, [5, 2, 1], 5, 50, 1)
    case("mpnet-3", "MPNetModel", 63, {"input_ids": ids, "attention_mask": mask}, ["last_hidden_state"],
         hidden_size=32, num_attention_heads=8, intermediate_size=16, num_hidden_layers=3, vocab_size=50,
         max_position_embeddings=9, hidden_act="relu")
    ids, mask = texts(64, [9, 4], 9, 40, 1)
    case("mpnetcls-1", "MPNetForSequenceClassification", 64, {"input_ids": ids, "attention_mask": mask}, ["logits"],
         hidden_size=18, num_attention_heads=2, intermediate_size=30, num_hidden_layers=2, vocab_size=40,
         max_position_embeddings=12, num_labels=3, id2label=LABELS)


FAMILIES = {"clip": clip, "bert": bert, "distilbert": distilbert, "roberta": roberta, "mpnet": mpnet}

if __name__ == "__main__":
    for family in sys.argv[1:] or FAMILIES:
        FAMILIES[family]()
