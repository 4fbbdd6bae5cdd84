"""Makes the small goldens of image models with diffusers and transformers: random weights, odd sizes.

    python Tests/ModelTests/Goldens/make_image_goldens.py [NAME ...]

Needs torch, diffusers, transformers, safetensors, numpy. The folders look as those of make_goldens.py:
config.json, model.safetensors, golden.safetensors with `in.NAME` and `out.NAME`. Without names, all are made.
"""

import json
import sys

import torch
from safetensors.numpy import save_file

from make_goldens import HERE, randomized, save_golden


def case(name, config, tensors, inputs, outputs):
    """Writes one case; tensors are torch tensors by name."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file({k: v.numpy() for k, v in tensors.items()}, folder / "model.safetensors")
    save_golden(folder / "golden.safetensors", {k: v.numpy() for k, v in inputs.items()},
                {k: v.numpy() for k, v in outputs.items()})


def settings(model):
    """The settings that diffusers saves, without where it saved them."""
    return {k: v for k, v in json.loads(model.to_json_string()).items()
            if not k.startswith("_") or k == "_class_name"}


def part(tensors, *prefixes):
    return {k: v for k, v in tensors.items() if k.startswith(prefixes)}


def tiny(name, seed, latent_size, sample_size, rename=None, **config):
    from diffusers import AutoencoderTiny

    model = randomized(AutoencoderTiny(**config), seed)
    tensors = model.state_dict()
    latent = 3 * torch.randn(2, model.config.latent_channels, *latent_size)
    sample = torch.rand(1, model.config.in_channels, *sample_size) * 2 - 1
    with torch.no_grad():
        picture, code = model.decode(latent).sample, model.encode(sample).latents
    decoder, encoder = part(tensors, "decoder"), part(tensors, "encoder")
    if rename:
        # The names of the original repository: one file a direction; its decoder counts the clamp.
        decoder = {rename(k, "decoder", 1): v for k, v in decoder.items()}
        encoder = {rename(k, "encoder", 0): v for k, v in encoder.items()}
    case(name + "-decoder", settings(model), decoder, {"latent_sample": latent}, {"sample": picture})
    case(name + "-encoder", settings(model), encoder, {"sample": sample}, {"latent_parameters": code})


def original(key, direction, offset):
    index, rest = key.removeprefix(f"{direction}.layers.").split(".", 1)
    return f"{int(index) + offset}.{rest}"


def tiny_with_pool(name, seed):
    """A decoder with a pool branch, which diffusers does not have: written out here."""
    from diffusers import AutoencoderTiny

    config = dict(latent_channels=5, decoder_block_out_channels=[8, 8], num_decoder_blocks=[2, 1],
                  encoder_block_out_channels=[8, 8], num_encoder_blocks=[0, 0])
    model = randomized(AutoencoderTiny(**config), seed)
    layers = model.decoder.layers
    pools = {}
    for index in (2, 3):
        pool = torch.nn.Sequential(torch.nn.Conv2d(8, 32, 1, bias=False), torch.nn.GroupNorm(4, 32),
                                   torch.nn.ReLU(), torch.nn.Conv2d(32, 8, 1, bias=False))
        pools[index] = randomized(pool, seed + index)
    latent = torch.randn(1, 5, 5, 4)
    with torch.no_grad():
        x = torch.tanh(latent / 3) * 3
        for index, layer in enumerate(layers):
            x = layer(x + pools[index](x) if index in pools else x)
    tensors = {original(k, "decoder", 1): v for k, v in part(model.state_dict(), "decoder").items()}
    for index, pool in pools.items():
        tensors |= {f"{index + 1}.pool.{k}": v for k, v in pool.state_dict().items()}
    case(name + "-decoder", settings(model), tensors, {"latent_sample": latent}, {"sample": x * 2 - 1})


def taesd():
    tiny("taesd-1", 31, (3, 5), (13, 22), encoder_block_out_channels=[6, 6, 6],
         decoder_block_out_channels=[10, 10, 10], num_encoder_blocks=[1, 0, 2], num_decoder_blocks=[2, 1, 0])
    tiny("taesd-2", 32, (4, 2), (9, 8), latent_channels=7, in_channels=4, out_channels=2, act_fn="silu",
         encoder_block_out_channels=[5], decoder_block_out_channels=[9, 9], num_encoder_blocks=[2],
         num_decoder_blocks=[1, 1], upsampling_scaling_factor=4)
    tiny("taesd-3", 33, (2, 7), (24, 16), rename=original, latent_channels=3, act_fn="gelu",
         encoder_block_out_channels=[8, 8], decoder_block_out_channels=[7, 7], num_encoder_blocks=[1, 1],
         num_decoder_blocks=[1, 2])
    tiny_with_pool("taesd-4", 34)


def kl(name, seed, latent_size, old_names=False, **config):
    from diffusers import AutoencoderKL

    model = randomized(AutoencoderKL(**config), seed)
    factor = 1 << (len(config["block_out_channels"]) - 1)
    latent = torch.randn(2, model.config.latent_channels, *latent_size)
    sample = torch.rand(1, model.config.in_channels, latent_size[0] * factor, latent_size[1] * factor) * 2 - 1
    with torch.no_grad():
        picture, code = model.decode(latent).sample, model.encode(sample).latent_dist.parameters
    tensors = model.state_dict()
    if old_names:
        for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            tensors = {k.replace(f".{new}.", f".{old}."): v for k, v in tensors.items()}
    case(name + "-decoder", settings(model), part(tensors, "decoder", "post_quant"), {"latent_sample": latent},
         {"sample": picture})
    case(name + "-encoder", settings(model), part(tensors, "encoder", "quant"), {"sample": sample},
         {"latent_parameters": code})


def levels(count):
    return dict(down_block_types=["DownEncoderBlock2D"] * count, up_block_types=["UpDecoderBlock2D"] * count)


def vae():
    kl("kl-1", 41, (3, 5), block_out_channels=[6, 9], layers_per_block=1, norm_num_groups=3, sample_size=16,
       **levels(2))
    kl("kl-2", 42, (4, 3), old_names=True, block_out_channels=[8, 4, 12], layers_per_block=1, norm_num_groups=4,
       latent_channels=3, sample_size=16, act_fn="gelu", **levels(3))
    kl("kl-3", 43, (5, 6), block_out_channels=[10], layers_per_block=2, norm_num_groups=5, latent_channels=6,
       in_channels=1, out_channels=2, sample_size=16, use_quant_conv=False, use_post_quant_conv=False,
       mid_block_add_attention=False, scaling_factor=1.5, shift_factor=0.1, **levels(1))


def unet_case(name, seed, size, tokens=5, steps=(981.0, 21.0), guidance=False, **config):
    from diffusers import UNet2DConditionModel

    # Stored in half precision, as most are.
    model = randomized(UNet2DConditionModel(**config), seed).half().float()
    batch, context = 2, model.config.cross_attention_dim
    inputs = {"sample": torch.randn(batch, model.config.in_channels, *size), "timestep": torch.tensor(steps),
              "encoder_hidden_states": torch.randn(batch, tokens, context)}
    if guidance:
        inputs["timestep_cond"] = torch.randn(batch, config["time_cond_proj_dim"])
    with torch.no_grad():
        out = model(**inputs).sample
    tensors = {k: v.half() for k, v in model.state_dict().items()}
    case(name, settings(model), tensors, inputs, {"out_sample": out})


def blocks(down, up):
    """Block types, A for those with cross-attention."""
    return dict(down_block_types=["CrossAttnDownBlock2D" if c == "A" else "DownBlock2D" for c in down],
                up_block_types=["CrossAttnUpBlock2D" if c == "A" else "UpBlock2D" for c in up])


def unet():
    # As Stable Diffusion 1.x: convolutions around the transformers, one number of heads. An odd size.
    unet_case("unet-1", 51, (5, 7), sample_size=8, block_out_channels=[8, 12], layers_per_block=1, norm_num_groups=4,
              attention_head_dim=2, cross_attention_dim=10, **blocks("A-", "-A"))
    # As 2.x: linear projections, heads for each level. One step for the whole batch.
    unet_case("unet-2", 52, (4, 8), tokens=3, steps=(500.0,), sample_size=[4, 8], block_out_channels=[6, 9, 12],
              layers_per_block=1, norm_num_groups=3, attention_head_dim=[1, 3, 2], cross_attention_dim=7,
              use_linear_projection=True, in_channels=5, out_channels=3, act_fn="silu", flip_sin_to_cos=False,
              freq_shift=1, downsample_padding=0, **blocks("A--", "-AA"))
    # As LCM: an embedding of the guidance; two layers in each transformer.
    unet_case("unet-3", 53, (3, 4), steps=(999.0, 259.0), guidance=True, sample_size=4, block_out_channels=[8, 8],
              layers_per_block=[1, 2], transformer_layers_per_block=[2, 1], norm_num_groups=2, attention_head_dim=4,
              cross_attention_dim=6, time_cond_proj_dim=5, **blocks("AA", "AA"))
    # As BK-SDM and SDXS: no middle, no attention in the first level.
    unet_case("unet-4", 54, (6, 4), sample_size=6, block_out_channels=[10, 15], layers_per_block=1, norm_num_groups=5,
              attention_head_dim=[5, 3], cross_attention_dim=9, mid_block_type=None, time_embedding_dim=14,
              use_linear_projection=True, **blocks("-A", "A-"))
    unet_case("unet-5", 55, (7, 3), tokens=1, sample_size=4, block_out_channels=[8], layers_per_block=1,
              norm_num_groups=8, attention_head_dim=1, cross_attention_dim=4, mid_block_type="UNetMidBlock2D",
              conv_in_kernel=5, conv_out_kernel=1, act_fn="gelu", **blocks("A", "A"))


if __name__ == "__main__":
    for make in [globals()[name] for name in sys.argv[1:]] or [taesd, vae, unet]:
        make()
