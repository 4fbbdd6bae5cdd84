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


def case(name, kind, seed, inputs, outputs, prefix="", **settings):
    """Saves one model of class `kind` with what it makes of the inputs; `prefix` is put in front of all
    tensor names, as published checkpoints have it where transformers 5 has none."""
    model_class = getattr(transformers, kind)
    config = model_class.config_class(**settings)
    config._attn_implementation = "eager"
    model = randomized(model_class(config), seed)
    with torch.no_grad():
        result = model(**{k: torch.tensor(v) for k, v in inputs.items()}, return_dict=True)
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if prefix:
        tensors = load_file(folder / "model.safetensors")
        save_file({prefix + k: v for k, v in tensors.items()}, folder / "model.safetensors")
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


FAMILIES = {"clip": clip}

if __name__ == "__main__":
    for family in sys.argv[1:] or FAMILIES:
        FAMILIES[family]()
