#!/usr/bin/env python3
"""Makes full-size checkpoints of image models with seeded weights, and reference outputs, for parity.py.

    python Tests/ModelTests/parity/make_image_checkpoints.py CHECKPOINTS [NAME ...]

Needs torch, diffusers, transformers, numpy; nothing is downloaded. Without names, all are made (about 13 GB, of
which the three large denoisers are 11).
"""

import argparse
from pathlib import Path

import numpy as np
import torch

SD_LEVELS = dict(layers_per_block=2, block_out_channels=(320, 640, 1280, 1280), norm_num_groups=32)
KL = dict(latent_channels=4, layers_per_block=2, block_out_channels=(128, 256, 512, 512), norm_num_groups=32,
          sample_size=512, down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
WITH, WITHOUT = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"), ("DownBlock2D", "UpBlock2D")


def blocks(levels):
    """Block types of levels, A for those with cross-attention, the largest pictures first."""
    chosen = [WITH if level == "A" else WITHOUT for level in levels]
    return dict(down_block_types=tuple(c[0] for c in chosen), up_block_types=tuple(c[1] for c in reversed(chosen)))


# name: library, class, settings, and for denoisers the inputs' batch, height, width
MODELS = {
    "sd15-unet": ("diffusers", "UNet2DConditionModel", dict(
        SD_LEVELS, attention_head_dim=8, cross_attention_dim=768, **blocks("AAA-")), (2, 24, 32)),
    "sd21-unet": ("diffusers", "UNet2DConditionModel", dict(
        SD_LEVELS, attention_head_dim=(5, 10, 20, 20), cross_attention_dim=1024, use_linear_projection=True,
        **blocks("AAA-")), (1, 33, 24)),
    "lcm-unet": ("diffusers", "UNet2DConditionModel", dict(
        SD_LEVELS, attention_head_dim=8, cross_attention_dim=768, time_cond_proj_dim=256, **blocks("AAA-")), (1, 32, 32)),
    "tiny-sd-unet": ("diffusers", "UNet2DConditionModel", dict(
        block_out_channels=(320, 640, 1280), layers_per_block=1, mid_block_type=None, attention_head_dim=8,
        cross_attention_dim=768, **blocks("AAA")), (1, 32, 40)),
    "sdxs-unet": ("diffusers", "UNet2DConditionModel", dict(
        block_out_channels=(320, 640, 1280), layers_per_block=1, mid_block_type=None, attention_head_dim=(5, 10, 20),
        cross_attention_dim=1024, use_linear_projection=True, **blocks("-AA")), (1, 64, 64)),
    "vae": ("diffusers", "AutoencoderKL", KL, None),
    "taesd": ("diffusers", "AutoencoderTiny", {}, None),
    "resnet18": ("transformers", "ResNetForImageClassification", dict(
        hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic", num_labels=1000), None),
    "resnet50": ("transformers", "ResNetForImageClassification", dict(num_labels=1000), None),
    "mobilenet": ("transformers", "MobileNetV2ForImageClassification", dict(num_labels=1001), None),
    "vit-b16": ("transformers", "ViTForImageClassification", dict(num_labels=1000), None),
}


def references(name, model, settings, extents):
    """Variants with their inputs and outputs."""
    if "unet" in name:
        batch, height, width = extents
        inputs = {"sample": torch.randn(batch, 4, height, width), "timestep": torch.linspace(999, 1, batch),
                  "encoder_hidden_states": torch.randn(batch, 77, model.config.cross_attention_dim)}
        if "time_cond_proj_dim" in settings:
            inputs["timestep_cond"] = torch.randn(batch, settings["time_cond_proj_dim"])
        return {f"{height}x{width}": (inputs, model(**inputs).sample)}
    if name in ("vae", "taesd"):
        latent, sample = torch.randn(1, 4, 32, 24), torch.rand(1, 3, 192, 256) * 2 - 1
        code = model.encode(sample)
        code = code.latents if name == "taesd" else code.latent_dist.parameters
        return {"decoder": ({"latent_sample": latent}, model.decode(latent).sample),
                "encoder": ({"sample": sample}, code)}
    pixels = torch.randn(2, 3, 224, 224)
    return {"224": ({"pixel_values": pixels}, model(pixels).logits)}


def make(folder, name, seed):
    import diffusers
    import transformers

    library, kind, settings, extents = MODELS[name]
    torch.manual_seed(seed)
    model_class = getattr({"diffusers": diffusers, "transformers": transformers}[library], kind)
    model = model_class(**settings) if library == "diffusers" else model_class(model_class.config_class(**settings))
    model.eval()
    with torch.no_grad():
        # What initializers leave at 0 and 1 would hide mistakes.
        for tensor_name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and tensor.dim() == 1:
                noise = 0.1 * torch.randn_like(tensor)
                tensor.copy_((tensor + noise).abs() if tensor_name.endswith("running_var") else tensor + noise)
        model.save_pretrained(folder / name / "hf", max_shard_size="100GB")
        for variant, (inputs, output) in references(name, model, settings, extents).items():
            arrays = {f"in_{k}": v.numpy() for k, v in inputs.items()}
            np.savez(folder / name / f"ref-{variant}.npz", out=output.numpy(), **arrays)
    print(name, f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help=", ".join(MODELS))
    options = parser.parse_args()
    for name in options.names or MODELS:
        make(options.folder, name, list(MODELS).index(name) + 1)


if __name__ == "__main__":
    main()
