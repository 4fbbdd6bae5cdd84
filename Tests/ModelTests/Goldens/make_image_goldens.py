"""Makes the small goldens of image models with diffusers and transformers: random weights, odd sizes.

    python Tests/ModelTests/Goldens/make_image_goldens.py [NAME ...]

Needs torch, diffusers, transformers, safetensors, numpy. The folders look as those of make_goldens.py:
config.json, model.safetensors, golden.safetensors with `in.NAME` and `out.NAME`. Without names, all are made but
`pretrained`, which needs weights that are not here.
"""

import json
import re
import sys

import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file

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


LABELS = {0: "negative", 1: "neutral", 2: "positive"}


def classifier(name, kind, seed, size, rename=None, timm=None, **config):
    """A classifier of transformers; `rename` gives its tensors the names of another library, `timm` the folder
    that library's settings."""
    import transformers

    model_class = getattr(transformers, kind)
    model = randomized(model_class(model_class.config_class(id2label=LABELS, **config)), seed).half().float()
    folder = HERE / name
    model.save_pretrained(folder)
    tensors = {k: v.half() for k, v in load_file(folder / "model.safetensors").items() if "num_batches" not in k}
    if rename:
        tensors = {rename(k): v for k, v in tensors.items()}
    saved = json.loads((folder / "config.json").read_text())
    for key in ("transformers_version", "label2id", "initializer_range", "dtype"):
        saved.pop(key, None)
    pixels = torch.randn(2, model.config.num_channels, *size)
    with torch.no_grad():
        logits = model(pixels).logits
    case(name, timm or saved, tensors, {"pixel_values": pixels}, {"logits": logits})


def resnet_torchvision(key):
    key = key.replace("classifier.1", "fc").replace("resnet.embedder.embedder.convolution", "conv1")
    key = key.replace("resnet.embedder.embedder.normalization", "bn1")
    match = re.fullmatch(r"resnet\.encoder\.stages\.(\d+)\.layers\.(\d+)\.(.*)", key)
    if not match:
        return key
    stage, block, rest = int(match[1]) + 1, match[2], match[3]
    rest = rest.replace("shortcut.convolution", "downsample.0").replace("shortcut.normalization", "downsample.1")
    rest = re.sub(r"layer\.(\d+)\.convolution", lambda m: f"conv{int(m[1]) + 1}", rest)
    rest = re.sub(r"layer\.(\d+)\.normalization", lambda m: f"bn{int(m[1]) + 1}", rest)
    return f"layer{stage}.{block}.{rest}"


def resnets():
    common = dict(embedding_size=6, hidden_act="relu")
    classifier("resnet-4", "ResNetForImageClassification", 61, (33, 47), rename=resnet_torchvision,
               hidden_sizes=[6, 10], depths=[2, 1], layer_type="basic", **common)
    classifier("resnet-5", "ResNetForImageClassification", 62, (40, 32), rename=resnet_torchvision,
               hidden_sizes=[12, 20], depths=[1, 2], layer_type="bottleneck", **common)
    classifier("resnet-6", "ResNetForImageClassification", 63, (30, 37), num_channels=2,
               hidden_sizes=[8, 12, 16], depths=[1, 1, 1], layer_type="bottleneck", **common)


def mobilenet_names(parts, block, stem, last, classifier_name):
    """A renaming to another library's names: `parts` of a block, `stem` likewise."""
    def rename(key):
        if key.startswith("classifier"):
            return key.replace("classifier", classifier_name)
        match = re.fullmatch(r"mobilenet_v2\.(?:layer\.(\d+)|(\w+?))(?:\.(\w+))?\.(convolution|normalization)\.(.*)", key)
        index, root, part, kind, rest = match.groups()
        which = 0 if kind == "convolution" else 1
        if index is not None:
            return f"{block(int(index))}.{parts[part][which]}.{rest}"
        names = last if root == "conv_1x1" else stem[part]
        return f"{names[which]}.{rest}"
    return rename


def timm_block(index):
    for stage, count in enumerate([2, 3, 4, 3, 3, 1]):
        if index < count:
            return f"blocks.{stage + 1}.{index}"
        index -= count


def mobilenets():
    torchvision = mobilenet_names(
        {"expand_1x1": ("conv.0.0", "conv.0.1"), "conv_3x3": ("conv.1.0", "conv.1.1"), "reduce_1x1": ("conv.2", "conv.3")},
        lambda i: f"features.{i + 2}",
        {"first_conv": ("features.0.0", "features.0.1"), "conv_3x3": ("features.1.conv.0.0", "features.1.conv.0.1"),
         "reduce_1x1": ("features.1.conv.1", "features.1.conv.2")}, ("features.18.0", "features.18.1"), "classifier.1")
    timm = mobilenet_names(
        {"expand_1x1": ("conv_pw", "bn1"), "conv_3x3": ("conv_dw", "bn2"), "reduce_1x1": ("conv_pwl", "bn3")}, timm_block,
        {"first_conv": ("conv_stem", "bn1"), "conv_3x3": ("blocks.0.0.conv_dw", "blocks.0.0.bn1"),
         "reduce_1x1": ("blocks.0.0.conv_pw", "blocks.0.0.bn2")}, ("conv_head", "bn2"), "classifier")
    kind = "MobileNetV2ForImageClassification"
    common = dict(depth_multiplier=0.05, finegrained_output=False, min_depth=3, depth_divisible_by=3)
    classifier("mobilenet-1", kind, 64, (37, 50), **common)
    classifier("mobilenet-2", kind, 65, (64, 48), output_stride=8, first_layer_is_expansion=False,
               expand_ratio=3.0, hidden_act="relu", **common)
    own = dict(tf_padding=False, layer_norm_eps=1e-5, **common)
    classifier("mobilenet-3", kind, 66, (45, 40), rename=torchvision, **own)
    classifier("mobilenet-4", kind, 67, (32, 39), rename=timm, output_stride=16, **own)


def vits():
    kind = "ViTForImageClassification"
    classifier("vit-1", kind, 68, (24, 24), hidden_size=18, num_hidden_layers=2, num_attention_heads=3,
               intermediate_size=25, image_size=24, patch_size=8)
    classifier("vit-2", kind, 69, (15, 25), hidden_size=16, num_hidden_layers=1, num_attention_heads=1,
               intermediate_size=10, image_size=[15, 25], patch_size=5, num_channels=2, qkv_bias=False, hidden_act="relu")
    classifier("vit-3", kind, 70, (13, 13), hidden_size=12, num_hidden_layers=3, num_attention_heads=6,
               intermediate_size=48, image_size=13, patch_size=4, layer_norm_eps=1e-6)


def processing():
    """What Pillow and the image processors of transformers make of pictures of noise and of edges."""
    import numpy as np
    from PIL import Image
    from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
    from transformers.models.mobilenet_v2.image_processing_pil_mobilenet_v2 import MobileNetV2ImageProcessorPil
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    random = np.random.default_rng(72)
    picture = random.integers(0, 256, (21, 34, 3), dtype=np.uint8)
    picture[5:12, 8:30] = picture[5:12, 8:30] // 128 * 255
    tensors = {"picture": picture}
    for resample in range(4):
        for size in ((9, 11), (50, 13), (34, 40)):
            resized = Image.fromarray(picture).resize(size, resample)
            tensors[f"resized.{resample}.{size[0]}x{size[1]}"] = np.asarray(resized)
    statistics = dict(image_mean=[0.48, 0.45, 0.4], image_std=[0.22, 0.23, 0.25])
    processors = {
        "vit": (ViTImageProcessorPil, dict(size={"height": 12, "width": 17}, resample=3)),
        "mobilenet": (MobileNetV2ImageProcessorPil,
                      dict(size={"shortest_edge": 16}, resample=2, crop_size={"height": 11, "width": 14})),
        "wide": (MobileNetV2ImageProcessorPil,
                 dict(size={"shortest_edge": 13}, resample=1, crop_size={"height": 16, "width": 12})),
        "convnext": (ConvNextImageProcessorPil, dict(size={"shortest_edge": 14}, crop_pct=0.875, resample=3)),
    }
    folder = HERE.parents[1] / "PipelineTests" / "Goldens"
    settings = {}
    for name, (kind, config) in processors.items():
        processor = kind(**config, **statistics)
        tensors["pixels." + name] = processor(Image.fromarray(picture), return_tensors="np")["pixel_values"][0]
        saved = json.loads(processor.to_json_string())
        saved["image_processor_type"] = kind.__name__.removesuffix("Pil")
        settings[name] = saved
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, folder / "processing.safetensors")
    (folder / "processing.json").write_text(json.dumps(settings, indent=1) + "\n")


def pretrained():
    """Goldens of real weights that are not here: $PIPIT_PRETRAINED/taef2, the files taef2_decoder and taef2_encoder
    of github.com/madebyollin/taesd, called decoder.safetensors and encoder.safetensors."""
    import os
    from pathlib import Path

    import torch.nn.functional as F

    folder = Path(os.environ["PIPIT_PRETRAINED"]) / "taef2"
    torch.manual_seed(71)

    def run(x, tensors, enlarge):
        """A sequence told from its tensors' names: blocks, convolutions, and between them enlargements."""
        def conv(x, name, **how):
            return F.conv2d(x, tensors[name + ".weight"], tensors.get(name + ".bias"), **how)

        indices = sorted({int(k.split(".")[0]) for k in tensors})
        for index in indices:
            if f"{index}.conv.0.weight" in tensors:
                if f"{index}.pool.0.weight" in tensors:
                    y = F.group_norm(conv(x, f"{index}.pool.0"), 4, tensors[f"{index}.pool.1.weight"],
                                     tensors[f"{index}.pool.1.bias"])
                    x = x + conv(F.relu(y), f"{index}.pool.3")
                y = F.relu(conv(x, f"{index}.conv.0", padding=1))
                y = F.relu(conv(y, f"{index}.conv.2", padding=1))
                x = F.relu(x + conv(y, f"{index}.conv.4", padding=1))
            elif f"{index}.bias" in tensors:
                x = conv(x, f"{index}", padding=1)
                x = F.relu(x) if enlarge and index == indices[0] else x
            elif enlarge:
                x = conv(F.interpolate(x, scale_factor=2), f"{index}", padding=1)
            else:
                x = conv(x, f"{index}", padding=1, stride=2)
        return x

    decoder, encoder = ({k: v.float() for k, v in load_file(folder / f"{name}.safetensors").items()}
                        for name in ("decoder", "encoder"))
    latent = torch.randn(1, 32, 3, 4)
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 48), indexing="ij")
    sample = torch.stack([rows, columns, torch.sin(6 * rows * columns)])[None]
    with torch.no_grad():
        picture = run(torch.tanh(latent / 3) * 3, decoder, True) * 2 - 1
        code = run((sample + 1) / 2, encoder, False)
    save_golden(HERE / "taef2-decoder.safetensors", {"latent_sample": latent.numpy()}, {"sample": picture.numpy()})
    save_golden(HERE / "taef2-encoder.safetensors", {"sample": sample.numpy()}, {"latent_parameters": code.numpy()})


if __name__ == "__main__":
    for make in [globals()[name] for name in sys.argv[1:]] or [taesd, vae, unet, resnets, mobilenets, vits, processing]:
        make()
