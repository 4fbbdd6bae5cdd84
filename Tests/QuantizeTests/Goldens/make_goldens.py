"""Makes the round trips of the tests with the library of the convention, both ways.

    make_goldens.py input                  writes input/: a small model in f32
    for scheme in w8a8 w8 w4; do pipit quantize input ours_$scheme --scheme $scheme; done
    make_goldens.py goldens ours_w8a8 ours_w8 ours_w4

The last writes ours_w8a8.safetensors and so on: what the library reads in our folders; and
theirs/: weights that the library stored, with theirs.safetensors: what it reads in those itself.
Needs torch, safetensors and compressed-tensors (0.20). check.sh does all of it elsewhere and compares.
"""

import json
import sys
from pathlib import Path

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent


def write_input():
    generator = torch.Generator().manual_seed(5)
    tensors = {
        "encoder.0.weight": torch.randn(24, 64, generator=generator) * 0.1,
        "encoder.0.bias": torch.randn(24, generator=generator),
        "encoder.1.weight": torch.randn(40, 96, generator=generator),
        "embeddings.word_embeddings.weight": torch.randn(50, 32, generator=generator),
        "embeddings.position_embeddings.weight": torch.randn(40, 32, generator=generator),
        "conv_in.weight": torch.randn(32, 4, 3, 3, generator=generator),
        "middle.conv.weight": torch.randn(16, 8, 3, 3, generator=generator),
        "classifier.weight": torch.randn(40, 32, generator=generator),
        "ids": torch.arange(7),
    }
    # Heavy tails: clipping must not be all or nothing.
    tensors["encoder.1.weight"] **= 3
    folder = HERE / "input"
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    text = '{\n  "architectures": ["Small"],\n  "dropout": 0.0,\n  "name": "x"\n}\n'
    (folder / "config.json").write_text(text, encoding="utf-8")


def scheme_of(config, module):
    for group in config.config_groups.values():
        if module in group.targets:
            return group
    return None


def read_with_library(folder):
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert settings["dropout"] == 0.0
    settings = settings["quantization_config"]
    assert settings.pop("quant_method") == "compressed-tensors"
    config = QuantizationConfig.model_validate(settings)
    stored = load_file(folder / "model.safetensors")
    modules = {name.rsplit(".weight", 1)[0] for name in stored if ".weight" in name}
    result = {}
    for module in sorted(modules):
        state = {key: stored[f"{module}.{key}"] for key in
                 ("weight", "weight_packed", "weight_scale", "weight_shape")
                 if f"{module}.{key}" in stored}
        scheme = scheme_of(config, module)
        if scheme is None:
            assert set(state) == {"weight"}, module
            continue
        if "weight" in state and state["weight"].ndim == 4:
            # The library knows matrices: the rows of a convolution are one.
            shape = state["weight"].shape
            state = {"weight": state["weight"].flatten(1), "weight_scale": state["weight_scale"].flatten(1)}
        else:
            shape = None
        # Half-precision scales would round the products.
        state["weight_scale"] = state["weight_scale"].float()
        weight = BaseCompressor.get_value_from_registry(scheme.format).decompress(state, scheme)["weight"]
        result[module + ".weight"] = (weight.reshape(shape) if shape else weight).contiguous()
    return result


def write_theirs():
    generator = torch.Generator().manual_seed(6)
    folder = HERE / "theirs"
    folder.mkdir(exist_ok=True)
    stored, expected = {}, {}
    cases = {
        "channel8": ("int-quantized", QuantizationArgs(num_bits=8, strategy="channel"), torch.float32),
        "packed8": ("pack-quantized", QuantizationArgs(num_bits=8, strategy="channel"), torch.bfloat16),
        "group4": ("pack-quantized", QuantizationArgs(num_bits=4, strategy="group", group_size=32), torch.float32),
        "channel4": ("pack-quantized", QuantizationArgs(num_bits=4, strategy="channel"), torch.float16),
    }
    for name, (form, arguments, scale_type) in cases.items():
        weight = torch.randn(6, 64, generator=generator)
        groups = 2 if arguments.group_size else 1
        limit = 2 ** (arguments.num_bits - 1) - 1
        scale = weight.reshape(6, groups, -1).abs().amax(-1) / limit
        state = {"weight": weight, "weight_scale": scale.to(scale_type).float()}
        scheme = QuantizationScheme(targets=["Linear"], weights=arguments, format=form)
        compressor = BaseCompressor.get_value_from_registry(form)
        state = compressor.compress(state, scheme)
        expected[name + ".weight"] = compressor.decompress(state, scheme)["weight"].contiguous()
        state["weight_scale"] = state["weight_scale"].to(scale_type)
        stored |= {f"{name}.{key}": value.contiguous() for key, value in state.items()}
    save_file(stored, folder / "model.safetensors")
    save_file(expected, HERE / "theirs.safetensors")


def main():
    if sys.argv[1] == "input":
        write_input()
        return
    for name in sys.argv[2:]:
        save_file(read_with_library(Path(name)), HERE / (Path(name).name + ".safetensors"))
    write_theirs()


if __name__ == "__main__":
    main()
