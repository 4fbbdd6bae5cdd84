"""From texts to pictures with the networks in torch: what the engine does, for the evaluation."""

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from captions import token_states


class Sampler:
    def __init__(self, denoiser, vae, encoder, tokenizer, scheduler, device):
        self.denoiser, self.vae = denoiser.to(device), vae.to(device)
        self.encoder, self.tokenizer, self.device = encoder.to(device), tokenizer, device
        self.scheduler = FlowMatchEulerDiscreteScheduler.from_config(scheduler)

    def conditions(self, texts):
        """Padded states and mask of texts."""
        states, starts = token_states(texts, self.encoder, self.tokenizer, self.device)
        lengths = starts[1:] - starts[:-1]
        places = torch.arange(int(lengths.max()))[None]
        rows = (starts[:-1, None] + places).clamp(max=len(states) - 1)
        return states[rows].float().to(self.device), (places < lengths[:, None]).to(self.device)

    @torch.no_grad()
    def coordinates(self, texts, steps, guidance, seed):
        texts = [*texts, ""]
        states, mask = self.conditions(texts)
        count = len(texts) - 1
        generator = torch.Generator().manual_seed(seed)
        size = self.denoiser.config["coordinates"]
        x = torch.randn(count, size, generator=generator).to(self.device)
        self.scheduler.set_timesteps(steps)
        sigmas = self.scheduler.sigmas.tolist()
        empty = [count] * count
        for now, after in zip(sigmas, sigmas[1:]):
            timestep = torch.full((count,), 1000 * now, device=self.device)
            v = self.denoiser(x, timestep, states[:count], mask[:count])
            plain = self.denoiser(x, timestep, states[empty], mask[empty])
            x = x + (after - now) * (plain + guidance * (v - plain))
        return x

    @torch.no_grad()
    def pictures(self, texts, steps, guidance, seed=0, batch=256):
        """uint8 [n, 3, side, side]."""
        found = []
        for start in range(0, len(texts), batch):
            x = self.coordinates(texts[start : start + batch], steps, guidance, seed + start)
            y = self.vae.picture(self.denoiser.latents(x))
            found.append(((y.clamp(-1, 1) + 1) * 127.5).round().byte().cpu())
        return torch.cat(found)
