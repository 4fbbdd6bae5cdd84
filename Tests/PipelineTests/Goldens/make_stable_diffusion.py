"""Makes small pipelines of Stable Diffusion's architecture with seeded weights, and what diffusers draws
with them.

    python Tests/PipelineTests/Goldens/make_stable_diffusion.py

Needs torch, transformers and diffusers. Each is a folder as `save_pretrained` writes it, with
golden.safetensors: `picture` uint8 [height, width, 3], and `tiny`, the same by a small decoder in `vae_tiny`.
"""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import (AutoencoderKL, AutoencoderTiny, DDIMScheduler, DPMSolverMultistepScheduler,
                       EulerDiscreteScheduler, StableDiffusionImg2ImgPipeline,
                       StableDiffusionPipeline, UNet2DConditionModel)
from PIL import Image
from safetensors.numpy import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

HERE = Path(__file__).resolve().parent
START, END = "<|startoftext|>", "<|endoftext|>"
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def tokenizer(folder):
    """Byte-level BPE of single bytes and a few merges."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {b: chr(b) for b in kept}, 0
    for byte in range(256):
        if byte not in letters:
            letters[byte], extra = chr(256 + extra), extra + 1
    alphabet = [letters[b] for b in range(256)]
    merges = ["a t</w>", "c at</w>", "t h", "th e</w>", "s e", "se a</w>"]
    words = alphabet + [c + "</w>" for c in alphabet] + [m.replace(" ", "") for m in merges]
    words += [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16,
                         pad_token=END, bos_token=START, eos_token=END, unk_token=END), len(words)


def seeded(model, seed):
    """Weights that keep signals of a useful size."""
    generator = torch.Generator().manual_seed(seed)
    for value in model.state_dict().values():
        if value.dim() > 1:
            noise = torch.randn(value.shape, generator=generator)
            value.copy_(noise * (1.4 / value[0].numel() ** 0.5))
    return model.eval()


def parts(folder, seed, scheduler, unet_settings):
    words, count = tokenizer(folder / "tokenizer")
    text = CLIPTextConfig(vocab_size=count, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                          num_attention_heads=2, max_position_embeddings=16, hidden_act="quick_gelu",
                          bos_token_id=count - 2, eos_token_id=count - 1, pad_token_id=count - 1)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=16, **unet_settings)
    vae = AutoencoderKL(
        block_out_channels=(4, 8, 8, 8), norm_num_groups=4, layers_per_block=1, latent_channels=4,
        sample_size=64, down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4)
    return dict(tokenizer=words, text_encoder=seeded(CLIPTextModel(text), seed),
                unet=seeded(unet, seed + 1), vae=seeded(vae, seed + 2), scheduler=scheduler,
                safety_checker=None, feature_extractor=None, requires_safety_checker=False)


def tiny_decoder(folder, seed):
    """Beside the pipeline's own; not of its weights, so its pictures are others."""
    settings = dict(encoder_block_out_channels=(4,) * 4, decoder_block_out_channels=(4,) * 4)
    vae = seeded(AutoencoderTiny(**settings), seed)
    vae.save_pretrained(folder / "vae_tiny")
    return vae


def case(name, seed, scheduler, call, image=None, tiny=False, **unet_settings):
    torch.manual_seed(seed)  # biases
    folder = HERE / name
    kinds = StableDiffusionPipeline, StableDiffusionImg2ImgPipeline
    pipeline = kinds[image is not None](**parts(folder, seed, scheduler, unet_settings))
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(folder)
    if image is not None:
        Image.fromarray(image).save(folder / "start.png")
        # The most probable latents, as the engine takes: no noise of the encoder's.
        with torch.no_grad():
            pixels = torch.tensor(image / 127.5 - 1).permute(2, 0, 1)[None].float()
            latents = pipeline.vae.encode(pixels).latent_dist.mode() * pipeline.vae.config.scaling_factor
        call = dict(call, image=latents)
    noise_seed = call.pop("seed")

    def draw(vae):
        pipeline.vae = vae
        generator = torch.Generator().manual_seed(noise_seed)
        with torch.no_grad():
            picture = pipeline(**call, generator=generator, output_type="np").images[0]
        return np.ascontiguousarray((picture * 255).round().astype(np.uint8))

    pictures = {"picture": draw(pipeline.vae)}
    if tiny:
        pictures["tiny"] = draw(tiny_decoder(folder, seed + 3))
    save_file(pictures, folder / "golden.safetensors")
    picture = pictures["picture"]
    print(name, picture.shape, picture.std())


def main():
    ddim = DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    case("sd-ddim", 1, ddim, dict(
        prompt="the cat", negative_prompt="a dog", num_inference_steps=8, guidance_scale=4.0, seed=3,
        width=64, height=48), attention_head_dim=2)
    turbo = EulerDiscreteScheduler(**SCHEDULE, timestep_spacing="trailing")
    case("sd-turbo", 11, turbo, dict(
        prompt="the sea", num_inference_steps=1, guidance_scale=0.0, seed=5, width=64, height=64),
        tiny=True, attention_head_dim=(2, 4), use_linear_projection=True)
    solver = DPMSolverMultistepScheduler(**SCHEDULE, steps_offset=1)
    image = np.random.default_rng(1).integers(0, 255, (64, 48, 3), np.uint8)
    case("sd-image", 21, solver, dict(
        prompt="the sea 猫", num_inference_steps=10, strength=0.6, guidance_scale=3.0, seed=7),
        image=image, attention_head_dim=2)


if __name__ == "__main__":
    main()
