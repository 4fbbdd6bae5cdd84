"""Writes the trained autoencoder and denoiser into the bundle, and its index."""

import argparse

import torch

from common import BUNDLE, add_arguments, prepare, write_json
from modules import PipitAutoencoder, PipitFlowMLP
from storage import quantization_config, quantized, read_component, write_component

STEPS = 20
GUIDANCE = 2.5
SCHEDULER = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "shift": 1.0,
    "use_dynamic_shifting": False,
}


def export_autoencoder(work):
    model = read_component(PipitAutoencoder, work / "vae")
    tensors = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    write_component(BUNDLE / "vae", model.config, tensors)


def export_denoiser(work, bits):
    model = read_component(PipitFlowMLP, work / "denoiser")
    weights = model.state_dict()
    linear = [name for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    names = {f"{name}.weight" for name in linear}
    config = dict(model.config, quantization_config=quantization_config(bits, []))
    write_component(BUNDLE / "denoiser", config, quantized(weights, names, bits))


def export_index():
    write_json(BUNDLE / "scheduler/scheduler_config.json", SCHEDULER, indent=2)
    index = {
        "_class_name": "PipitPipeline",
        "text_encoder": ["transformers", "BertModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "denoiser": ["pipit", "PipitFlowMLP"],
        "vae": ["pipit", "PipitAutoencoder"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_sentiment": ["pipit", "TextSentimentHead"],
        "image_sentiment": ["transformers", "ResNetForImageClassification"],
        "default_steps": STEPS,
        "default_guidance": GUIDANCE,
    }
    write_json(BUNDLE / "model_index.json", index, indent=2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--only", choices=["vae", "denoiser"])
    parser.add_argument("--bits", type=int, choices=[4, 8], default=4, help="of the denoiser")
    options = parser.parse_args()
    prepare(options)
    if options.only != "denoiser":
        export_autoencoder(options.work)
    if options.only != "vae":
        export_denoiser(options.work, options.bits)
    export_index()


if __name__ == "__main__":
    main()
