"""How weights lie in the bundle: the compressed-tensors convention, written and read."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

GROUP = 32


def quantized_groups(weight):
    """4-bit integers -8...7 and f16 scales, a scale each 32 columns, of least squared error."""
    groups = weight.float().view(weight.shape[0], -1, GROUP)
    largest = groups.abs().amax(-1, keepdim=True).clamp(min=1e-8)
    best, best_error = None, None
    for divisor in np.linspace(5.0, 8.5, 15):
        scale = (largest / divisor).half().float().clamp(min=6e-8)
        values = (groups / scale).round().clamp(-8, 7)
        error = ((values * scale - groups) ** 2).sum(-1, keepdim=True)
        if best is None:
            best, best_error = [scale, values], error
        else:
            better = error < best_error
            best = [torch.where(better, new, old) for new, old in zip((scale, values), best)]
            best_error = torch.minimum(error, best_error)
    return best[1].view_as(weight).to(torch.int8), best[0][..., 0].half()


def packed(values):
    """Eight 4-bit values in an int32, the first one lowest, each 8 added."""
    nibbles = (values.numpy().astype(np.int64) + 8).reshape(values.shape[0], -1, 8)
    words = (nibbles << (4 * np.arange(8))).sum(-1).astype(np.uint32)
    return torch.from_numpy(words.view(np.int32))


def unpacked(words):
    words = words.numpy().view(np.uint32)[..., None]
    nibbles = (words >> (4 * np.arange(8, dtype=np.uint32))) & 15
    return torch.from_numpy(nibbles.astype(np.int8).reshape(words.shape[0], -1) - 8)


def quantization_config(bits, ignored):
    weights = {"num_bits": bits, "type": "int", "symmetric": True, "dynamic": False}
    weights |= {"strategy": "group", "group_size": GROUP} if bits == 4 else {"strategy": "channel"}
    form = "pack-quantized" if bits == 4 else "int-quantized"
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None,
             "output_activations": None, "format": form}
    return {"quant_method": "compressed-tensors", "format": form,
            "quantization_status": "compressed", "config_groups": {"group_0": group},
            "ignore": ignored, "kv_cache_scheme": None}


def quantized(weights, names, bits):
    """The tensors that replace the named matrices; all others in f16, vectors in f32."""
    stored = {}
    for name, value in weights.items():
        if name not in names:
            stored[name] = value.half() if value.ndim > 1 else value.float()
        elif bits == 4:
            values, scale = quantized_groups(value)
            stored[name + "_packed"], stored[name + "_scale"] = packed(values), scale
            stored[name + "_shape"] = torch.tensor(value.shape, dtype=torch.int64)
        else:
            scale = (value.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127).half()
            stored[name] = (value / scale.float()).round().clamp(-127, 127).to(torch.int8)
            stored[name + "_scale"] = scale
    return {name: value.contiguous() for name, value in stored.items()}


def expanded(stored):
    """The f32 tensors of a stored component."""
    found = {}
    for name, value in stored.items():
        if name.endswith(("_scale", "_shape", "input_zero_point")):
            continue
        if name.endswith("_packed"):
            name = name.removesuffix("_packed")
            scale = stored[name + "_scale"].float().repeat_interleave(GROUP, 1)
            found[name] = unpacked(value).float() * scale
        elif value.dtype == torch.int8:
            scale = stored[name + "_scale"].float()
            found[name] = value.float() * scale.view(-1, *[1] * (value.ndim - 1))
        else:
            found[name] = value.float()
    return found


def write_component(folder, config, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def read_component(kind, folder):
    """A network of ours with the weights as they are stored."""
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = kind(config)
    model.load_state_dict(expanded(load_file(folder / "diffusion_pytorch_model.safetensors")))
    return model.eval().requires_grad_(False)
