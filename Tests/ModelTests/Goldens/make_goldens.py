"""Makes the goldens of ModelTests and PipelineTests with the reference libraries.

    python Tests/ModelTests/Goldens/make_goldens.py            small random models, all architectures
    python Tests/ModelTests/Goldens/make_goldens.py --bundle   the default bundle's weights

Needs torch, transformers, safetensors, numpy (Models/Default/train/requirements.txt). Each small case is a
folder: config.json, model.safetensors, golden.safetensors with `in.NAME` and `out.NAME`. A bundle golden is
one file, bundle-COMPONENT.safetensors.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BUNDLE = ROOT / "Models" / "Default"
sys.path.insert(0, str(BUNDLE / "train"))

LABELS = {"0": "negative", "1": "neutral", "2": "positive"}


def randomized(model, seed):
    """Weights of a useful size everywhere, norms and running statistics near their usual values."""
    torch.manual_seed(seed)
    for name, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        if name.endswith(("running_var", "deviation")):
            value.copy_(torch.rand_like(value) + 0.5)
        elif value.dim() == 1 and name.endswith("weight"):
            value.copy_(1 + 0.2 * torch.randn_like(value))
        elif value.dim() <= 1:
            value.copy_(0.1 * torch.randn_like(value))
        else:
            value.copy_(torch.randn_like(value) / value[0].numel() ** 0.5)
    return model.eval()


def save_case(name, config, model, inputs, outputs):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    state = {k: v.numpy() for k, v in model.state_dict().items() if "num_batches" not in k
             and "position_ids" not in k}
    save_file(state, folder / "model.safetensors")
    save_golden(folder / "golden.safetensors", inputs, outputs)


def save_golden(path, inputs, outputs):
    tensors = {"in." + k: np.ascontiguousarray(v) for k, v in inputs.items()}
    tensors |= {"out." + k: np.ascontiguousarray(v) for k, v in outputs.items()}
    save_file(tensors, path)


def ids(batch, tokens, vocabulary, lengths, seed):
    generator = np.random.default_rng(seed)
    mask = np.zeros((batch, tokens), np.int64)
    for row, length in enumerate(lengths):
        mask[row, :length] = 1
    return generator.integers(0, vocabulary, (batch, tokens)), mask


def bert(name, seed, batch, tokens, lengths, types=False, **settings):
    from transformers import BertConfig, BertModel

    config = dict(vocab_size=61, max_position_embeddings=40, type_vocab_size=2, hidden_act="gelu",
                  layer_norm_eps=1e-12, position_embedding_type="absolute", **settings)
    model = randomized(BertModel(BertConfig(**config), add_pooling_layer=False), seed)
    tokens_in, mask = ids(batch, tokens, 61, lengths, seed)
    inputs = {"input_ids": tokens_in, "attention_mask": mask}
    if types:
        inputs["token_type_ids"] = (np.arange(batch * tokens).reshape(batch, tokens) % 3 == 0).astype(np.int64)
    with torch.no_grad():
        out = model(**{k: torch.tensor(v) for k, v in inputs.items()}).last_hidden_state.numpy()
    save_case(name, {"architectures": ["BertModel"], **config}, model, inputs, {"last_hidden_state": out})


def head(name, seed, lengths, layers, **settings):
    from text_sentiment import TextSentimentHead

    config = dict(encoder_layers=layers, num_labels=3, id2label=LABELS, **settings)
    model = randomized(TextSentimentHead(config), seed)
    inputs = layer_states(lengths, len(layers) * config["hidden_size"])
    save_case(name, {"architectures": ["TextSentimentHead"], **config}, model, inputs, judged(model, inputs))


def layer_states(lengths, width):
    """States of texts of these lengths, and their mask."""
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    states = torch.randn(*mask.shape, width)
    return {"layer_states": states.numpy(), "attention_mask": mask.long().numpy()}


@torch.no_grad()
def judged(head, inputs):
    return {"logits": head(*(torch.from_numpy(value) for value in inputs.values())).numpy()}


def resnet(name, seed, size, **settings):
    from transformers import ResNetConfig, ResNetForImageClassification

    model = randomized(ResNetForImageClassification(ResNetConfig(num_labels=3, **settings)), seed)
    pixels = torch.randn(2, 3, *size)
    with torch.no_grad():
        out = model(pixels).logits.numpy()
    config = {"architectures": ["ResNetForImageClassification"], "id2label": LABELS, **settings}
    save_case(name, config, model, {"pixel_values": pixels.numpy()}, {"logits": out})


def flow(name, seed, batch, tokens, lengths, **settings):
    from modules import PipitFlowMLP

    config = {"_class_name": "PipitFlowMLP", "norm_eps": 1e-6, **settings}
    model = randomized(PipitFlowMLP(config), seed)
    states = torch.randn(batch, tokens, config["caption_channels"])
    _, mask = ids(batch, tokens, 9, lengths, seed)
    sample, time = torch.randn(batch, config["coordinates"]), torch.rand(batch) * 1000
    with torch.no_grad():
        out = model(sample, time, states, torch.tensor(mask)).numpy()
    save_case(name, config, model, {
        "sample": sample.numpy(), "timestep": time.numpy(), "encoder_hidden_states": states.numpy(),
        "encoder_attention_mask": mask}, {"out_sample": out})


def autoencoder(name, seed, latent_size, **settings):
    from modules import PipitAutoencoder

    config = {"_class_name": "PipitAutoencoder", "in_channels": 3, "out_channels": 3,
              "scaling_factor": 0.7, "shift_factor": 0, **settings}
    model = randomized(PipitAutoencoder(config), seed)
    height, width = latent_size
    factor = config["patch_size"] << (len(config["block_out_channels"]) - 1)
    latent = torch.randn(2, config["latent_channels"], height, width)
    sample = torch.randn(1, 3, height * factor, width * factor)
    with torch.no_grad():
        picture, code = model.decoder(latent).numpy(), model.encoder(sample).numpy()
    save_case(name + "-decoder", config, model, {"latent_sample": latent.numpy()}, {"sample": picture})
    save_case(name + "-encoder", config, model, {"sample": sample.numpy()}, {"latent_parameters": code})


def small():
    bert("bert-1", 1, 2, 9, [9, 5], hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40)
    bert("bert-2", 2, 1, 17, [17], True, hidden_size=20, num_hidden_layers=1, num_attention_heads=1, intermediate_size=33)
    bert("bert-3", 3, 3, 5, [1, 5, 2], hidden_size=32, num_hidden_layers=3, num_attention_heads=8, intermediate_size=16)
    head("head-1", 4, [5, 3], [0], hidden_size=24, pooling_channels=8, pooling_heads=2, classifier_hidden_size=10)
    head("head-2", 5, [1], [3, 1], hidden_size=18, pooling_channels=15, pooling_heads=3, classifier_hidden_size=18)
    head("head-3", 6, [2, 19, 7], [12, 10, 8, 6], hidden_size=7, pooling_channels=24, pooling_heads=1,
         classifier_hidden_size=33)
    resnet("resnet-1", 7, (40, 33), embedding_size=10, hidden_sizes=[10, 14, 18], depths=[1, 2, 1],
           layer_type="basic", hidden_act="relu", downsample_in_first_stage=False)
    resnet("resnet-2", 8, (32, 32), embedding_size=8, hidden_sizes=[16, 24], depths=[2, 1],
           layer_type="bottleneck", hidden_act="relu", downsample_in_first_stage=True)
    resnet("resnet-3", 9, (35, 50), embedding_size=7, hidden_sizes=[8, 16], depths=[1, 1],
           layer_type="bottleneck", hidden_act="gelu", downsample_in_first_stage=False, downsample_in_bottleneck=True)
    flow("flow-1", 10, 2, 8, [8, 3], latent_shape=[4, 3, 3], coordinates=20, width=24, num_layers=2, expansion=3,
         caption_channels=12, caption_queries=2, caption_heads=3, time_channels=10)
    flow("flow-2", 11, 1, 5, [1], latent_shape=[2, 2, 5], coordinates=7, width=17, num_layers=1, expansion=1,
         caption_channels=8, caption_queries=1, caption_heads=1, time_channels=6)
    flow("flow-3", 12, 3, 32, [32, 9, 2], memory_size=13, latent_shape=[3, 4, 4], coordinates=33, width=31, num_layers=3, expansion=2,
         caption_channels=16, caption_queries=4, caption_heads=2, time_channels=16)
    autoencoder("vae-1", 13, (3, 4), sample_size=16, patch_size=2, latent_channels=5, block_out_channels=[6, 10],
                layers_per_block=[1, 2], act_fn="silu")
    autoencoder("vae-2", 14, (2, 2), sample_size=16, patch_size=4, latent_channels=4, block_out_channels=[9],
                layers_per_block=[1], act_fn="relu")
    autoencoder("vae-3", 15, (1, 3), sample_size=8, patch_size=1, latent_channels=7, block_out_channels=[4, 6, 8],
                layers_per_block=[0, 1, 1], act_fn="silu")


# ------------------------------------------------------------------------ the bundle


def stored(folder):
    """The tensors of a component as f32, compressed ones expanded: our reading of the convention, which
    Models/Default/train/storage.py writes and the compressed-tensors library reads."""
    tensors = load_file(next((BUNDLE / folder).glob("*.safetensors")))
    state = {}
    for name, value in tensors.items():
        if name.endswith("_packed"):
            base = name[: -len("_packed")]
            shifts = np.arange(0, 32, 4, dtype=np.uint32)
            nibbles = (value.view(np.uint32)[..., None] >> shifts & 15).reshape(value.shape[0], -1)
            scale = tensors[base + "_scale"].astype(np.float32)
            group = nibbles.shape[1] // scale.shape[1]
            state[base] = (nibbles.astype(np.float32) - 8) * np.repeat(scale, group, 1)
        elif name.endswith(("input_scale", "input_zero_point")):
            continue  # of inputs, which are floats here
        elif value.dtype == np.int8:
            scale = tensors[name + "_scale"].astype(np.float32)
            state[name] = value.astype(np.float32) * scale.reshape(-1, *[1] * (value.ndim - 1))
        elif not name.endswith(("_scale", "_shape")):
            state[name] = value.astype(np.float32)
    return {k: torch.tensor(v) for k, v in state.items()}


def settings(folder):
    config = json.loads((BUNDLE / folder / "config.json").read_text())
    config.pop("quantization_config", None)
    return config


def load(model, folder):
    missing, unexpected = model.load_state_dict(stored(folder), strict=False)
    missing = [m for m in missing if "num_batches" not in m and "position_ids" not in m]
    assert not missing and not unexpected, (folder, missing, unexpected)
    return model.float().eval()


SENTENCES = ["a smiling cat", "一只微笑的猫在阳光下睡觉", "I did not like this film, but the music was lovely!"]


def bundle():
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel, ResNetConfig, ResNetForImageClassification

    from modules import PipitAutoencoder, PipitFlowMLP

    torch.manual_seed(99)
    config = settings("text_encoder")
    config.pop("architectures"), config.pop("model_type")
    encoder = load(BertModel(BertConfig(**config), add_pooling_layer=False), "text_encoder")
    tokenizer = Tokenizer.from_file(str(BUNDLE / "text_encoder" / "tokenizer.json"))
    tokenizer.no_padding(), tokenizer.no_truncation()

    def states(texts, tokens):
        rows = [tokenizer.encode("query: " + text).ids for text in texts]
        numbers, mask = np.ones((len(rows), tokens), np.int64), np.zeros((len(rows), tokens), np.int64)
        for index, row in enumerate(rows):
            numbers[index, : len(row)], mask[index, : len(row)] = row, 1
        with torch.no_grad():
            hidden = encoder(torch.tensor(numbers), torch.tensor(mask)).last_hidden_state
        return numbers, mask, hidden

    numbers, mask, hidden = states(SENTENCES, 24)
    save_golden(HERE / "bundle-text_encoder.safetensors",
                {"input_ids": numbers, "attention_mask": mask}, {"last_hidden_state": hidden.numpy()})

    vae = load(PipitAutoencoder(settings("vae")), "vae")
    latent, picture = torch.randn(1, 32, 8, 8), torch.tanh(torch.randn(1, 3, 128, 128))
    with torch.no_grad():
        decoded, encoded = vae.decoder(latent), vae.encoder(picture)
    save_golden(HERE / "bundle-vae-decoder.safetensors", {"latent_sample": latent.numpy()}, {"sample": decoded.numpy()})
    save_golden(HERE / "bundle-vae-encoder.safetensors", {"sample": picture.numpy()}, {"latent_parameters": encoded.numpy()})

    if (BUNDLE / "text_sentiment").exists():
        from text_sentiment import load_head

        head = load_head(BUNDLE / "text_sentiment")
        inputs = layer_states([9, 4, 6], head.pooling.to_k.in_features)
        save_golden(HERE / "bundle-text_sentiment.safetensors", inputs, judged(head, inputs))

    if (BUNDLE / "image_sentiment").exists():
        config = settings("image_sentiment")
        keys = ("num_channels", "embedding_size", "hidden_sizes", "depths", "layer_type", "hidden_act",
                "downsample_in_first_stage", "downsample_in_bottleneck")
        net = ResNetForImageClassification(ResNetConfig(num_labels=3, **{k: config[k] for k in keys if k in config}))
        net = load(net, "image_sentiment")
        pixels = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            logits = net(pixels).logits.numpy()
        save_golden(HERE / "bundle-image_sentiment.safetensors", {"pixel_values": pixels.numpy()}, {"logits": logits})

    if (BUNDLE / "denoiser").exists():
        denoiser = load(PipitFlowMLP(settings("denoiser")), "denoiser")
        chain(denoiser, vae, *states(["", "a smiling cat"], 32)[1:])


def chain(denoiser, vae, mask, hidden):
    """One step of the denoiser, and a whole picture from given noise: steps, guidance and levels as in
    the bundle's settings."""
    index = json.loads((BUNDLE / "model_index.json").read_text())
    mask = torch.tensor(mask)
    z = torch.randn(1, denoiser.config["coordinates"])
    time = torch.full((2,), 640.0)
    with torch.no_grad():
        out = denoiser(z.repeat(2, 1), time, hidden, mask)
    save_golden(HERE / "bundle-denoiser.safetensors", {
        "sample": z.repeat(2, 1).numpy(), "timestep": time.numpy(), "encoder_hidden_states": hidden.numpy(),
        "encoder_attention_mask": mask.numpy()}, {"out_sample": out.numpy()})
    steps, guidance = index["default_steps"], index["default_guidance"]
    scheduler = json.loads((BUNDLE / "scheduler" / "scheduler_config.json").read_text())
    try:
        from diffusers import FlowMatchEulerDiscreteScheduler

        levels = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=scheduler["shift"])
        levels.set_timesteps(steps)
        sigmas = levels.sigmas.tolist()
    except ImportError:
        from sampler import sigmas as own

        sigmas = own(steps, scheduler)
    x = z.clone()
    with torch.no_grad():
        for level, following in zip(sigmas, sigmas[1:]):
            v = denoiser(x.repeat(2, 1), torch.full((2,), 1000 * level), hidden, mask)
            x = x + (following - level) * (v[:1] + guidance * (v[1:] - v[:1]))
        latents = (x * denoiser.deviation) @ denoiser.basis + denoiser.mean
        config = vae.config
        picture = vae.decoder(
            latents.view(1, *denoiser.config["latent_shape"]) / config["scaling_factor"] + config["shift_factor"])
    pixels = ((picture.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)[0].permute(1, 2, 0)
    save_file({"noise": z.numpy(), "pixels": pixels.contiguous().numpy()},
              ROOT / "Tests" / "PipelineTests" / "Goldens" / "chain.safetensors",
              {"prompt": "a smiling cat", "steps": str(steps), "guidance": str(guidance)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", action="store_true")
    bundle() if parser.parse_args().bundle else small()
