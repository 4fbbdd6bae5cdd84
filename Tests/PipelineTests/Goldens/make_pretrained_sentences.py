"""Makes the embeddings that PretrainedSentenceTests compares with, of trained sentence encoders:

    python Tests/PipelineTests/Goldens/make_pretrained_sentences.py FOLDER

FOLDER holds models as they are published, one a subfolder (all-MiniLM-L6-v2, ...); the tests find them there through
PIPIT_PRETRAINED. For each with `modules.json`, pretrained-NAME.safetensors gets the embeddings [100, width] in f16
of the lines of pretrained-sentences.txt, as transformers computes them in f32. Needs torch, transformers, numpy,
safetensors.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoModel, AutoTokenizer

HERE = Path(__file__).resolve().parent


def embeddings(folder, lines):
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
    limit = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    normalizes = any("Normalize" in module["type"] for module in json.loads((folder / "modules.json").read_text()))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for line in lines:
        inputs = tokenizer(line, return_tensors="pt", truncation=True, max_length=limit)
        with torch.no_grad():
            states = model(**inputs).last_hidden_state[0]
        row = states[0] if pooling.get("pooling_mode_cls_token") else states.mean(0)
        rows.append((row / row.norm() if normalizes else row).numpy())
    return np.stack(rows)


def main():
    lines = (HERE / "pretrained-sentences.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 100
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        if (folder / "modules.json").exists():
            rows = embeddings(folder, lines).astype(np.float16)
            save_file({"embeddings": rows}, HERE / f"pretrained-{folder.name}.safetensors")
            print(folder.name, rows.shape)


if __name__ == "__main__":
    main()
