"""A bundle's networks as the engine computes them: stand-ins for the torch ones, each call of which runs
`pipit run`. For the evaluation of bundles of integers, whose arithmetic torch does not have."""

import json
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from safetensors.torch import load_file


class Engine:
    def __init__(self, pipit, bundle, threads=1):
        self.pipit, self.bundle, self.threads = str(pipit), Path(bundle), str(threads)
        self.folder = tempfile.TemporaryDirectory()

    def run(self, component, output, **inputs):
        """One output of a component; inputs are floats, or integers as int64."""
        work = Path(self.folder.name)
        arguments = []
        for name, value in inputs.items():
            array = value.numpy()
            kind = np.float32 if np.issubdtype(array.dtype, np.floating) else np.int64
            np.save(work / f"{name}.npy", np.ascontiguousarray(array, kind))
            arguments += ["--in", f"{name}={work / name}.npy"]
        found = work / "found.npy"
        command = [self.pipit, "run", str(self.bundle / component), *arguments,
                   "--out", f"{output}={found}", "--threads", self.threads]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return torch.from_numpy(np.load(found))

    def moods(self, texts):
        """Scores of texts by `pipit sentiment`, -1 ... 1."""
        lines = Path(self.folder.name) / "texts.txt"
        lines.write_text("".join(" ".join(text.split()) + "\n" for text in texts), encoding="utf-8")
        command = [self.pipit, "sentiment", "--file", str(lines), "--model", str(self.bundle),
                   "--json", "--threads", self.threads]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return torch.tensor([json.loads(line)["score"] for line in found.splitlines()])


class Network:
    """What the code for torch networks asks of one."""

    def __init__(self, engine, component):
        self.engine, self.component = engine, component
        settings = engine.bundle / component / "config.json"
        self.config = json.loads(settings.read_text(encoding="utf-8"))

    def to(self, _):
        return self


class TextEncoder(Network):
    def __init__(self, engine):
        super().__init__(engine, "text_encoder")
        self.config = SimpleNamespace(**self.config)

    def __call__(self, tokens, attention_mask):
        states = self.engine.run(self.component, "last_hidden_state", input_ids=tokens,
                                 attention_mask=attention_mask.long())
        return SimpleNamespace(last_hidden_state=states)


class Denoiser(Network):
    def __init__(self, engine):
        super().__init__(engine, "denoiser")
        stored = load_file(engine.bundle / "denoiser/diffusion_pytorch_model.safetensors")
        self.parts = [stored[name].float() for name in ("basis", "mean", "deviation")]

    def __call__(self, sample, timestep, states, mask):
        return self.engine.run(self.component, "out_sample", sample=sample, timestep=timestep,
                               encoder_hidden_states=states, encoder_attention_mask=mask.long())

    def latents(self, coordinates):
        basis, mean, deviation = self.parts
        return ((coordinates * deviation) @ basis + mean).view(-1, *self.config["latent_shape"])


class Autoencoder(Network):
    def __init__(self, engine):
        super().__init__(engine, "vae")

    def picture(self, latents):
        latents = latents / self.config["scaling_factor"] + self.config["shift_factor"]
        return self.engine.run(self.component, "sample", latent_sample=latents)


class ImageReader(Network):
    def __init__(self, engine):
        super().__init__(engine, "image_sentiment")

    def logits(self, pixels):
        return self.engine.run(self.component, "logits", pixel_values=pixels)
