"""Trains the denoiser (PipitFlowMLP) on the principal coordinates of the pictures' latents."""

import argparse
import copy
import math
import random

import torch
from safetensors.torch import save_file

from captions import COLOURS, paintable
from common import Clock, add_arguments, prepare, sampled, save_state, share, write_json
from modules import PipitAutoencoder, PipitFlowMLP, load
from pictures import Pictures, painted

SHARES = {"concept": 0.62, "colour": 0.3, "clip": 0.08}
KINDS = {"name": 0.45, "written": 0.4, "keyword": 0.15}
UNCONDITIONAL = 0.1
STATE_NOISE = 0.15  # of the states' own deviation: near-by wordings become near-by conditions
WHITENING = 0.5  # 0 leaves the coordinates' own deviations, 1 makes them all alike
EMA = 0.98
AVERAGE_EVERY = 4  # steps
DECAY = 0.3  # the last part of the training, in which the rate falls to nothing
CONFIG = {
    "_class_name": "PipitFlowMLP",
    "latent_shape": [32, 8, 8],
    "coordinates": 448,
    "width": 576,
    "num_layers": 7,
    "expansion": 3,
    "caption_channels": 384,
    "caption_queries": 4,
    "caption_heads": 6,
    "time_channels": 256,
    "norm_eps": 1e-6,
}


@torch.no_grad()
def encoded(vae, batches, device):
    with torch.autocast(device.type, torch.bfloat16):
        parts = [vae.latents(x.to(device)).float().flatten(1).cpu() for x in batches]
    return torch.cat(parts)


def make_latents(options, device, colours_each=4):
    """Latents of pictures and recoloured copies, [n, 2048], and the caption group of each."""
    path = options.work / "latents.pt"
    if path.exists():
        return torch.load(path)
    pictures = Pictures(options.work)
    vae = load(PipitAutoencoder, options.work / "vae").to(device)
    everything = torch.arange(len(pictures.lines))
    latents = [encoded(vae, (pictures.batch(part) for part in everything.split(64)), device)]
    groups = [
        ("concept", line["concept"]) if line["concept"] >= 0 else ("clip", i)
        for i, line in enumerate(pictures.lines)
    ]
    chosen = random.Random(options.seed)
    painted_concepts = set(sampled(range(len(pictures.concepts))))
    wanted = [
        (i, colour)
        for i, line in enumerate(pictures.lines)
        if line["concept"] in painted_concepts and paintable(pictures.concepts[line["concept"]])
        for colour in chosen.sample(sorted(COLOURS), colours_each)
    ]
    for start in range(0, len(wanted), 64):
        part = wanted[start : start + 64]
        plain = pictures.batch(torch.tensor([i for i, _ in part]))
        hues = [COLOURS[colour][0] for _, colour in part]
        copies = torch.stack([painted(x, hue) for x, hue in zip(plain, hues)])
        is_changed = (copies - plain).abs().mean((1, 2, 3)) > 0.02
        found = encoded(vae, [copies], device)
        latents.append(found[is_changed])
        groups += [
            ("colour", pictures.lines[i]["concept"], colour)
            for (i, colour), changed in zip(part, is_changed.tolist()) if changed
        ]
    result = torch.cat(latents), groups
    torch.save(result, path)
    return result


def fit_coordinates(model, latents):
    """Principal components of the latents into the model's buffers; the share of variance kept."""
    mean = latents.mean(0)
    centred = latents - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(latents))
    count = model.config["coordinates"]
    kept = values[-count:].flip(0)
    scale = kept.sqrt() ** WHITENING
    unit = (kept / scale**2).mean().sqrt()
    model.mean.copy_(mean)
    model.basis.copy_(vectors[:, -count:].flip(1).T)
    model.deviation.copy_(scale * unit)
    return (kept.sum() / values.sum()).item()


def standardize(model, states):
    """Starts the caption layers as if the token states had zero mean and unit deviation."""
    mean, deviation = states.float().mean(0), states.float().std(0)
    channels, pooling = len(mean), model.caption
    for layer, columns in (
        (pooling.to_k, slice(0, channels)),
        (pooling.to_v, slice(0, channels)),
        (pooling.fc1, slice(-channels, None)),
    ):
        weight = layer.weight.data[:, columns] / deviation
        layer.weight.data[:, columns] = weight
        layer.bias.data -= weight @ mean


class Samples:
    """Draws coordinates with the states of a fitting caption."""

    def __init__(self, coordinates, groups, captions, noise):
        self.coordinates = coordinates
        self.states, self.starts = captions["states"], captions["starts"]
        self.empty = len(captions["texts"]) - 1
        flat, self.first, self.count = [], [], []
        for group in groups:
            ids = captions["groups"].get(group, {})
            lists = [ids.get(kind, []) for kind in KINDS]
            self.first.append([len(flat) + sum(map(len, lists[:k])) for k in range(len(lists))])
            self.count.append([len(each) for each in lists])
            flat += [i for each in lists for i in each]
        self.flat = torch.tensor(flat)
        self.first, self.count = torch.tensor(self.first), torch.tensor(self.count)
        self.kinds = (self.count > 0) * torch.tensor(list(KINDS.values()))
        kinds_of_group = torch.tensor([list(SHARES).index(group[0]) for group in groups])
        usable = self.kinds.sum(1) > 0
        self.members = [
            ((kinds_of_group == k) & usable).nonzero().squeeze(1) for k in range(len(SHARES))
        ]
        self.noise = noise * math.sqrt(3) * self.states[:10000].float().std().item()

    def drawn(self, count):
        """Indices of pictures by share."""
        sizes = [round(share * count) for share in SHARES.values()]
        parts = [m[torch.randint(len(m), (size,))] for m, size in zip(self.members, sizes)]
        return torch.cat(parts)

    def captions(self, indices):
        """One caption for each picture, sometimes none."""
        kinds = torch.multinomial(self.kinds[indices], 1)
        count = self.count[indices].gather(1, kinds)[:, 0]
        first = self.first[indices].gather(1, kinds)[:, 0]
        chosen = self.flat[first + (torch.rand(len(count)) * count).long()]
        return torch.where(torch.rand(len(count)) < UNCONDITIONAL, self.empty, chosen)

    def padded(self, captions):
        """States and mask of captions by id."""
        lengths = self.starts[captions + 1] - self.starts[captions]
        places = torch.arange(int(lengths.max()))[None]
        mask = places < lengths[:, None]
        rows = (self.starts[captions][:, None] + places).clamp(max=len(self.states) - 1)
        return self.states[rows], mask

    def batch(self, count):
        indices = self.drawn(count)
        states, mask = self.padded(self.captions(indices))
        states = states.bfloat16()
        states = states + torch.empty_like(states).uniform_(-self.noise, self.noise)
        return self.coordinates[indices], states, mask


class Trainer:
    def __init__(self, options, device):
        self.options, self.device = options, device
        latents, groups = make_latents(options, device)
        captions = torch.load(options.work / "captions.pt")
        self.model = PipitFlowMLP(dict(CONFIG)).initialize().to(device)
        kept = fit_coordinates(self.model, latents.to(device))
        print(f"{kept:.4f} of the variance kept", flush=True)
        coordinates = self.model.coordinates(latents.to(device)).cpu()
        self.samples = Samples(coordinates, groups, captions, options.state_noise)
        standardize(self.model, self.samples.states[:200000].to(device))
        print(dict(zip(SHARES, map(len, self.samples.members))), flush=True)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True,
        )
        self.step, self.spent = 0, 0.0
        self.checkpoint = options.work / "denoiser.pt"
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, map_location=device)
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.spent = state["step"], state["spent"]

    def save(self, spent):
        save_state(
            self.checkpoint, model=self.model.state_dict(), average=self.average.state_dict(),
            optimizer=self.optimizer.state_dict(), step=self.step, spent=spent,
        )
        folder = self.options.work / "denoiser"
        write_json(folder / "config.json", self.model.config, indent=2)
        weights = {name: value.contiguous() for name, value in self.average.state_dict().items()}
        save_file(weights, folder / "diffusion_pytorch_model.safetensors")

    def one_step(self, progress):
        rate = min(1, (self.step + 1) / 150, max(0.01, (1 - progress) / DECAY))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.options.rate
        target, states, mask = (x.to(self.device) for x in self.samples.batch(self.options.batch))
        sigma = torch.sigmoid(1.2 * torch.randn(len(target), 1, device=self.device))
        noise = torch.randn_like(target)
        noisy = (1 - sigma) * target + sigma * noise
        with torch.autocast(self.device.type, torch.bfloat16):
            velocity = self.model(noisy, 1000 * sigma[:, 0], states, mask)
        loss = (velocity.float() - (noise - target)).square().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        if self.step % AVERAGE_EVERY == 0:
            self.follow()
        return loss.item()

    def follow(self):
        """Moves the average towards the model."""
        decay = min(EMA, 1 - AVERAGE_EVERY / (self.step + AVERAGE_EVERY))
        average, model = list(self.average.parameters()), list(self.model.parameters())
        torch._foreach_lerp_(average, model, 1 - decay)

    def run(self):
        clock, steps = Clock(self.spent), share(self.options.steps)
        recent = []
        while self.step < steps:
            recent.append(self.one_step(self.step / steps))
            if self.step % 100 == 0:
                mean = sum(recent) / len(recent)
                print(f"{clock.seconds():.0f} s step {self.step} loss {mean:.4f}", flush=True)
                recent = []
            if self.step % 200 == 0:
                self.save(clock.seconds())
        self.save(clock.seconds())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--state-noise", type=float, default=STATE_NOISE)
    options = parser.parse_args()
    device = prepare(options)
    Trainer(options, device).run()


if __name__ == "__main__":
    main()
