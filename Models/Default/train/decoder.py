"""Goes on with the decoder alone, on latents as the denoiser makes them.

Those lie in the span of the principal coordinates and are a little off. The encoder stays as it
is, and with it the space of the denoiser.
"""

import argparse
import math

import torch

from common import Clock, add_arguments, prepare, write_json
from denoiser import CONFIG, fit_coordinates, make_latents
from modules import PipitAutoencoder, PipitFlowMLP, load
from pictures import Pictures, hue_turned
from storage import write_component
from vae import EMOJI_SHARE, held_out_psnr, picture_loss

PLAIN_SHARE = 0.25  # of the latents stays as the encoder made them
NOISE_MAX = 0.3  # of the coordinates' unit deviation


class Trainer:
    def __init__(self, options, device):
        self.options, self.device = options, device
        self.pictures = Pictures(options.work)
        free = ~self.pictures.is_held_out
        self.emoji = (free & self.pictures.is_emoji).nonzero().squeeze(1)
        self.others = (free & ~self.pictures.is_emoji).nonzero().squeeze(1)
        self.model = load(PipitAutoencoder, options.work / "vae").to(device)
        self.model.encoder.requires_grad_(False)
        self.space = PipitFlowMLP(dict(CONFIG)).to(device)
        fit_coordinates(self.space, make_latents(options, device)[0].to(device))
        self.optimizer = torch.optim.AdamW(
            self.model.decoder.parameters(), lr=options.rate, betas=(0.9, 0.99), weight_decay=0.01
        )

    def drawn(self):
        """A batch in [-1, 1], a third of it with other colours."""
        emoji = int(self.options.batch * EMOJI_SHARE)
        others = self.options.batch - emoji
        indices = torch.cat([
            self.emoji[torch.randint(len(self.emoji), (emoji,))],
            self.others[torch.randint(len(self.others), (others,))],
        ])
        x = self.pictures.batch(indices[torch.randperm(len(indices))])
        third = len(x) // 3
        angles = torch.empty(third).uniform_(-math.pi, math.pi)
        return torch.cat([hue_turned(x[:third], angles), x[third:]])

    def disturbed(self, latents):
        """Latents through the coordinates, each with its own amount of noise."""
        coordinates = self.space.coordinates(latents)
        amount = NOISE_MAX * torch.rand(len(latents), 1, device=self.device)
        found = self.space.latents(coordinates + amount * torch.randn_like(coordinates))
        plain = torch.rand(len(latents), 1, 1, 1, device=self.device) < PLAIN_SHARE
        return torch.where(plain, latents, found)

    def one_step(self, step, progress):
        rate = min(1, (step + 1) / 50) * (0.02 + 0.98 * math.cos(progress * math.pi / 2) ** 2)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.options.rate
        x = self.drawn().to(self.device)
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16):
            latents = self.model.latents(x)
        disturbed = self.disturbed(latents.float())
        with torch.autocast(self.device.type, torch.bfloat16):
            y = self.model.picture(disturbed)
        loss = picture_loss(y.float(), x)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.decoder.parameters(), 0.5)
        self.optimizer.step()
        return loss.item()

    def run(self):
        clock, budget, step, recent = Clock(), self.options.minutes * 60, 0, []
        while clock.seconds() < budget:
            recent.append(self.one_step(step, clock.seconds() / budget))
            step += 1
            if step % 100 == 0:
                mean, recent = sum(recent) / len(recent), []
                print(f"{clock.seconds():.0f} s step {step} loss {mean:.4f}", flush=True)
        return step


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=5e-4)
    options = parser.parse_args()
    trainer = Trainer(options, prepare(options))
    steps = trainer.run()
    psnr = held_out_psnr(trainer.model, trainer.pictures)
    weights = {name: value.contiguous() for name, value in trainer.model.state_dict().items()}
    write_component(options.work / "vae-final", trainer.model.config, weights)
    write_json(options.work / "decoder.json", {"held_out_psnr_db": psnr, "steps": steps})
    print(f"{steps} steps, {psnr:.2f} dB held out")


if __name__ == "__main__":
    main()
