#!/usr/bin/env python3
"""Makes full-size checkpoints of text models with seeded weights, and reference outputs, for parity.py.

    python Tests/ModelTests/parity/make_checkpoints.py CHECKPOINTS [NAME ...]

Needs torch, transformers, numpy; nothing is downloaded. Without names, all are made (about 4 GB).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import transformers

BASE = dict(hidden_size=768, num_attention_heads=12, intermediate_size=3072, num_hidden_layers=12)

# name: class, settings, [batch, tokens] of the inputs
MODELS = {
    # Stable Diffusion 1.x
    "clip-l": ("CLIPTextModel", dict(BASE, projection_dim=768, eos_token_id=2), (1, 77)),
    # Stable Diffusion 2.x
    "clip-h": ("CLIPTextModel", dict(hidden_size=1024, num_attention_heads=16, intermediate_size=4096,
                                     num_hidden_layers=23, hidden_act="gelu", projection_dim=512), (1, 77)),
    # SDXL's second encoder, half its depth
    "clip-g-half": ("CLIPTextModelWithProjection", dict(
        hidden_size=1280, num_attention_heads=20, intermediate_size=5120, num_hidden_layers=16, hidden_act="gelu",
        projection_dim=1280), (1, 77)),
    # all-MiniLM-L6
    "minilm": ("BertModel", dict(hidden_size=384, num_attention_heads=12, intermediate_size=1536,
                                 num_hidden_layers=6), (3, 128)),
    # bert-base-multilingual with five stars
    "bert-stars": ("BertForSequenceClassification", dict(BASE, vocab_size=105879, num_labels=5), (2, 100)),
    "distilbert-sst": ("DistilBertForSequenceClassification", dict(num_labels=2), (4, 60)),
    "roberta-tweets": ("RobertaForSequenceClassification", dict(
        BASE, vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5, num_labels=3),
        (2, 100)),
    # multilingual-e5-base
    "xlm-roberta": ("XLMRobertaModel", dict(
        BASE, vocab_size=250002, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5), (2, 200)),
    # all-mpnet-base-v2
    "mpnet": ("MPNetModel", dict(
        BASE, vocab_size=30527, max_position_embeddings=514, layer_norm_eps=1e-5), (2, 200)),
}


def inputs(config, shape, seed):
    """Ids and a mask; all texts but the first are shorter, so that there is padding."""
    random = np.random.default_rng(seed)
    batch, tokens = shape
    ids = random.integers(3, min(config.vocab_size, 49000), shape).astype(np.int64)
    lengths = np.array([tokens - row * tokens // (batch + 1) for row in range(batch)])
    mask = (np.arange(tokens) < lengths[:, None]).astype(np.int64)
    return np.where(mask == 1, ids, config.pad_token_id), mask


def make(folder, name, seed):
    kind, settings, shape = MODELS[name]
    model_class = getattr(transformers, kind)
    torch.manual_seed(seed)
    model = model_class(model_class.config_class(**settings)).eval()
    # What initializers leave at 0 and 1 would hide mistakes.
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() == 1:
                value.add_(0.1 * torch.randn_like(value))
    model.save_pretrained(folder / name / "hf", max_shard_size="900MB" if name == "xlm-roberta" else "100GB")
    ids, mask = inputs(model.config, shape, seed)
    given = {"input_ids": ids, "attention_mask": mask}
    if kind.startswith("CLIP"):
        del given["attention_mask"]
        if model.config.eos_token_id != 2:
            given["input_ids"][:, 20:] = model.config.eos_token_id
    with torch.inference_mode():
        result = model(**{k: torch.tensor(v) for k, v in given.items()}, return_dict=True)
    wanted = {"logits": result["logits"]} if "logits" in result else {
        k: result[k] for k in ("last_hidden_state", "text_embeds") if k in result}
    if kind == "CLIPTextModel":
        wanted["pooler_output"] = result.pooler_output
    np.savez(folder / name / f"ref-{shape[0]}x{shape[1]}.npz", **{f"in_{k}": v for k, v in given.items()},
             **{f"out_{k}": v.numpy() for k, v in wanted.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=[])
    options = parser.parse_args()
    for index, name in enumerate(MODELS):
        if not options.names or name in options.names:
            make(options.folder, name, 100 + index)
            print(name, flush=True)


if __name__ == "__main__":
    main()
