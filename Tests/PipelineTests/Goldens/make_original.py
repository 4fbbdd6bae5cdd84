"""Makes single-file checkpoints in Stable Diffusion's original layout from the small pipelines beside it
(make_stable_diffusion.py), and what diffusers draws with the weights as they are stored there.

    python Tests/PipelineTests/Goldens/make_original.py

original-1.safetensors: sd-ddim in the layout of 1.x, f16; original-2.safetensors: sd-turbo in that of 2.x
(OpenCLIP's text encoder, stacked projections), bf16. golden-original.safetensors: `1` and `2`, uint8
[height, width, 3]. original-shapes.json: names and shapes of full-size checkpoints of both, without weights.

The names are written here by hand; diffusers' own readers turn them back, which is checked.
"""

import json
import re
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.loaders import single_file_utils as reference
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

HERE = Path(__file__).resolve().parent
RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
          "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
OPENCLIP = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
            "self_attn.out_proj": "attn.out_proj"}


def unet_name(name, layers, attention_up):
    ends = {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
            "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2"}
    stem, kind = name.rsplit(".", 1)
    if stem in ends:
        return f"{ends[stem]}.{kind}"
    if match := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)\.(\w+)$", name):
        what, index, rest, kind = match.groups()
        if what == "attentions":
            return f"middle_block.1.{rest}.{kind}"
        return f"middle_block.{2 * int(index)}.{RESNET[rest]}.{kind}"
    side, level, what, index, rest, kind = re.match(
        r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.+)\.(\w+)$", name).groups()
    level, index = int(level), int(index)
    block = level * (layers + 1) + (side == "down")
    place = "input_blocks" if side == "down" else "output_blocks"
    if what == "resnets":
        return f"{place}.{block + index}.0.{RESNET[rest]}.{kind}"
    if what == "attentions":
        return f"{place}.{block + index}.1.{rest}.{kind}"
    if what == "downsamplers":
        return f"{place}.{block + layers}.0.op.{kind}"
    return f"{place}.{block + layers}.{2 if attention_up[level] else 1}.conv.{kind}"


def vae_name(name, levels):
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = name.replace("mid_block.attentions.0.group_norm", "mid.attn_1.norm")
    name = re.sub(r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1", name)
    name = name.replace("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out")
    name = re.sub(r"up_blocks\.(\d)", lambda m: f"up.{levels - 1 - int(m[1])}", name)
    name = name.replace("down_blocks", "down").replace("resnets", "block")
    return name.replace("downsamplers.0", "downsample").replace("upsamplers.0", "upsample")


def text_tensors(state, is_openclip):
    """`state` with the names of transformers, without "text_model."."""
    state = {k.removeprefix("text_model."): v for k, v in state.items() if "position_ids" not in k}
    if not is_openclip:
        return {"cond_stage_model.transformer.text_model." + k: v for k, v in state.items()}
    out, prefix = {}, "cond_stage_model.model."
    layers = 1 + max(int(k.split(".")[2]) for k in state if k.startswith("encoder.layers."))
    for name, value in state.items():
        if match := re.match(r"encoder\.layers\.(\d+)\.(.+)\.(\w+)$", name):
            layer, what, kind = match.groups()
            if what.startswith("self_attn.") and what[-6] in "qkv":
                continue
            out[f"{prefix}transformer.resblocks.{layer}.{OPENCLIP[what]}.{kind}"] = value
    for layer in range(layers):
        for kind in ("weight", "bias"):
            parts = [state[f"encoder.layers.{layer}.self_attn.{x}_proj.{kind}"] for x in "qkv"]
            out[f"{prefix}transformer.resblocks.{layer}.attn.in_proj_{kind}"] = torch.cat(parts)
    # The last layer, which Stable Diffusion 2.x does not use.
    for name in [k for k in out if f".resblocks.{layers - 1}." in k]:
        out[name.replace(f".{layers - 1}.", f".{layers}.")] = torch.zeros_like(out[name])
    out[prefix + "token_embedding.weight"] = state["embeddings.token_embedding.weight"]
    out[prefix + "positional_embedding"] = state["embeddings.position_embedding.weight"]
    for kind in ("weight", "bias"):
        out[f"{prefix}ln_final.{kind}"] = state[f"final_layer_norm.{kind}"]
    return out


def convert(unet, vae, text, is_openclip):
    layers = unet.config.layers_per_block
    up = ["CrossAttn" in name for name in unet.config.up_block_types]
    levels = len(vae.config.block_out_channels)
    out = {"model.diffusion_model." + unet_name(k, layers, up): v for k, v in unet.state_dict().items()}
    for name, value in vae.state_dict().items():
        # Attention was written with 1x1 convolutions.
        isAttention = "mid_block.attentions" in name and value.dim() == 2
        out["first_stage_model." + vae_name(name, levels)] = value[:, :, None, None] if isAttention else value
    out.update(text_tensors(text.state_dict(), is_openclip))
    check(out, unet, vae)
    return {k: v.contiguous().clone() for k, v in out.items()}


def check(tensors, unet, vae):
    """diffusers' readers turn the names back into its own."""
    for model, back in ((unet, reference.convert_ldm_unet_checkpoint), (vae, reference.convert_ldm_vae_checkpoint)):
        found = back(dict(tensors), dict(model.config))
        assert set(found) == set(model.state_dict()), set(found) ^ set(model.state_dict())
        for name, value in model.state_dict().items():
            assert torch.equal(found[name].reshape(value.shape), value), name


def golden(name, folder, kind, call, is_openclip):
    pipeline = StableDiffusionPipeline.from_pretrained(HERE / folder, safety_checker=None,
                                                       requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    parts = pipeline.unet, pipeline.vae, pipeline.text_encoder
    for part in parts:
        part.to(kind).to(torch.float32)
    if not is_openclip:  # where the file's own schedule is asked for, DPM++ 2M; here the folder's
        assert isinstance(pipeline.scheduler, DDIMScheduler)
    tensors = convert(*parts, is_openclip)
    stored = {k: v.to(kind) for k, v in tensors.items()}
    save_file(stored, HERE / f"{name}.safetensors",
              metadata={"modelspec.prediction_type": "epsilon"} if is_openclip else None)
    generator = torch.Generator().manual_seed(call.pop("seed"))
    with torch.no_grad():
        picture = pipeline(**call, generator=generator, output_type="np").images[0]
    return np.ascontiguousarray((picture * 255).round().astype(np.uint8))


def full_size(is_openclip):
    """Shapes of Stable Diffusion 1.5 and 2.1."""
    with torch.device("meta"):
        text = dict(hidden_size=1024, intermediate_size=4096, num_attention_heads=16, num_hidden_layers=23,
                    hidden_act="gelu") if is_openclip else dict(
                        hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12)
        unet = dict(cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20],
                    use_linear_projection=True) if is_openclip else dict(
                        cross_attention_dim=768, attention_head_dim=8)
        parts = (UNet2DConditionModel(sample_size=64, **unet),
                 AutoencoderKL(block_out_channels=[128, 256, 512, 512], layers_per_block=2, latent_channels=4,
                               down_block_types=["DownEncoderBlock2D"] * 4,
                               up_block_types=["UpDecoderBlock2D"] * 4),
                 CLIPTextModel(CLIPTextConfig(vocab_size=49408, max_position_embeddings=77, **text)))
    layers, up = 2, ["CrossAttn" in name for name in parts[0].config.up_block_types]
    out = {"model.diffusion_model." + unet_name(k, layers, up): v for k, v in parts[0].state_dict().items()}
    out.update({"first_stage_model." + vae_name(k, 4): v for k, v in parts[1].state_dict().items()})
    out.update(text_tensors(parts[2].state_dict(), is_openclip))
    return {name: list(value.shape) for name, value in sorted(out.items())}


def main():
    pictures = {
        "1": golden("original-1", "sd-ddim", torch.float16, dict(
            prompt="the cat", negative_prompt="a dog", num_inference_steps=8, guidance_scale=4.0, seed=3,
            width=64, height=48), is_openclip=False),
        "2": golden("original-2", "sd-turbo", torch.bfloat16, dict(
            prompt="the sea", num_inference_steps=1, guidance_scale=0.0, seed=5, width=64, height=64),
            is_openclip=True)}
    save_arrays(pictures, HERE / "golden-original.safetensors")
    shapes = {"1": full_size(False), "2": full_size(True)}
    (HERE / "original-shapes.json").write_text(json.dumps(shapes, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
