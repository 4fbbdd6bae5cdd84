"""Trains the autoencoder (PipitAutoencoder) on all pictures but the held-out emoji."""

import argparse
import copy
import math

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from common import SIDE, Clock, add_arguments, prepare, save_state, share, write_json
from modules import PipitAutoencoder
from pictures import Pictures, hue_turned, moved

EMOJI_SHARE = 0.75
NOISE = 0.1  # of the latents' unit deviation: what the decoder must bear from the denoiser
EMA = 0.995


CONFIG = {
    "_class_name": "PipitAutoencoder",
    "in_channels": 3,
    "out_channels": 3,
    "sample_size": SIDE,
    "patch_size": 4,
    "latent_channels": 32,
    "block_out_channels": [64, 128, 192],
    "layers_per_block": [2, 2, 2],
    "act_fn": "silu",
    "scaling_factor": 1.0,
    "shift_factor": 0,
}


def augmented(x):
    """Half of the batch as it is, half changed in place, size and colour."""
    half = len(x) // 2
    y = moved(x[half:], (0.7, 1.4), 0.3, 0.2, 0.5)
    y = hue_turned(y, torch.empty(len(y)).uniform_(-math.pi, math.pi))
    return torch.cat([x[:half], y])


def picture_loss(found, wanted):
    """Absolute and squared error, and absolute error of the slopes."""
    slopes = sum(
        F.l1_loss(found.diff(dim=axis), wanted.diff(dim=axis)) for axis in (2, 3)
    )
    return F.l1_loss(found, wanted) + 2 * F.mse_loss(found, wanted) + 0.5 * slopes


def latent_loss(z):
    """Keeps each channel near zero mean and unit deviation."""
    mean, deviation = z.mean((0, 2, 3)), z.std((0, 2, 3))
    return (mean**2).mean() + ((deviation - 1) ** 2).mean()


@torch.no_grad()
def held_out_psnr(model, pictures):
    indices = pictures.is_held_out.nonzero().squeeze(1)
    total = []
    for part in indices.split(32):
        x = pictures.batch(part)
        y = model.decoder(model.encoder(x)).clamp(-1, 1)
        total += (-10 * ((x - y) / 2).square().mean((1, 2, 3)).log10()).tolist()
    return sum(total) / len(total)


@torch.no_grad()
def latent_deviation(model, pictures):
    indices = pictures.is_emoji.nonzero().squeeze(1)[::7]
    parts = [model.encoder(pictures.batch(part)) for part in indices.split(32)]
    return torch.cat(parts).std().item()


def save(model, pictures, folder):
    """The bundle's form, in f32; export.py makes it smaller."""
    config = dict(model.config, scaling_factor=1 / latent_deviation(model, pictures))
    write_json(folder / "config.json", config, indent=2)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors")


class Trainer:
    def __init__(self, options, device):
        self.options, self.device = options, device
        self.pictures = Pictures(options.work)
        free = ~self.pictures.is_held_out
        self.emoji = (free & self.pictures.is_emoji).nonzero().squeeze(1)
        self.others = (free & ~self.pictures.is_emoji).nonzero().squeeze(1)
        self.model = PipitAutoencoder(dict(CONFIG)).initialize().to(device)
        self.model.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.rate, betas=(0.9, 0.99), weight_decay=0.01
        )
        self.step, self.spent = 0, 0.0
        self.checkpoint = options.work / f"{options.name}.pt"
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

    def drawn(self):
        """A batch in [-1, 1]."""
        count = self.options.batch
        emoji = int(count * EMOJI_SHARE)
        indices = torch.cat([
            self.emoji[torch.randint(len(self.emoji), (emoji,))],
            self.others[torch.randint(len(self.others), (count - emoji,))],
        ])[torch.randperm(count)]
        return augmented(self.pictures.batch(indices))

    def one_step(self, progress):
        rate = min(1, (self.step + 1) / 100) * (0.02 + 0.98 * math.cos(progress * math.pi / 2) ** 2)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.options.rate
        x = self.drawn().to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            z = self.model.encoder(x)
            y = self.model.decoder(z + NOISE * torch.randn_like(z))
        loss = picture_loss(y.float(), x) + 0.02 * latent_loss(z.float())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
        self.optimizer.step()
        self.step += 1
        decay = min(EMA, 1 - 1 / (self.step + 1))
        average, model = list(self.average.parameters()), list(self.model.parameters())
        torch._foreach_lerp_(average, model, 1 - decay)
        return loss.item()

    def run(self):
        clock = Clock(self.spent)
        steps = share(self.options.steps)
        while self.step < steps:
            loss = self.one_step(self.step / steps)
            if self.step % 500 == 0:
                self.save(clock.seconds())
                psnr = held_out_psnr(self.average, self.pictures)
                found = f"step {self.step} loss {loss:.4f} held-out {psnr:.2f} dB"
                print(f"{clock.seconds():.0f} s {found}", flush=True)
        self.save(clock.seconds())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--name", default="vae")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    options = parser.parse_args()
    trainer = Trainer(options, prepare(options))
    trainer.run()
    save(trainer.average, trainer.pictures, options.work / options.name)
    psnr = held_out_psnr(trainer.average, trainer.pictures)
    metrics = {"held_out_psnr_db": psnr, "steps": trainer.step}
    write_json(options.work / f"{options.name}.json", metrics)
    print(metrics)


if __name__ == "__main__":
    main()
