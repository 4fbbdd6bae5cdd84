"""The two networks of our own, as the engine knows them: tensor names are part of the format."""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

ACTIVATIONS = {"silu": F.silu, "relu": F.relu}


class ResidualBlock(nn.Module):
    def __init__(self, channels, activation):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = activation

    def forward(self, x):
        return x + self.conv2(self.activation(self.conv1(self.activation(x))))


class Level(nn.Module):
    """Residual blocks at one size, and the step to the next one."""

    def __init__(self, channels, count, activation, down=None, up=None):
        super().__init__()
        self.blocks = nn.Sequential(*[ResidualBlock(channels, activation) for _ in range(count)])
        self.down = nn.Conv2d(channels, down, 3, stride=2, padding=1) if down else None
        self.up = nn.Conv2d(channels, up, 3, padding=1) if up else None

    def forward(self, x):
        x = self.blocks(x)
        if self.down is not None:
            x = self.down(x)
        if self.up is not None:
            x = self.up(F.interpolate(x, scale_factor=2, mode="nearest"))
        return x


class Encoder(nn.Module):
    """Picture [n, 3, side, side] in -1...1 -> latents."""

    def __init__(self, config):
        super().__init__()
        widths, patch = config["block_out_channels"], config["patch_size"]
        self.activation = ACTIVATIONS[config["act_fn"]]
        self.conv_in = nn.Conv2d(config["in_channels"], widths[0], patch, stride=patch)
        self.levels = nn.ModuleList([
            Level(width, count, self.activation, down=after)
            for width, count, after in zip(widths, config["layers_per_block"], [*widths[1:], None])
        ])
        self.conv_out = nn.Conv2d(widths[-1], config["latent_channels"], 3, padding=1)

    def forward(self, x):
        x = self.conv_in(x)
        for level in self.levels:
            x = level(x)
        return self.conv_out(self.activation(x))


class Decoder(nn.Module):
    """Latents -> picture."""

    def __init__(self, config):
        super().__init__()
        widths, patch = config["block_out_channels"], config["patch_size"]
        self.activation = ACTIVATIONS[config["act_fn"]]
        self.conv_in = nn.Conv2d(config["latent_channels"], widths[-1], 3, padding=1)
        self.levels = nn.ModuleList([
            Level(width, count, self.activation, up=before)
            for width, count, before in zip(widths, config["layers_per_block"], [None, *widths])
        ])
        self.conv_out = nn.Conv2d(widths[0], config["out_channels"] * patch * patch, 3, padding=1)
        self.patch = patch

    def forward(self, z):
        x = self.conv_in(z)
        for level in reversed(self.levels):
            x = level(x)
        return F.pixel_shuffle(self.conv_out(self.activation(x)), self.patch)


class PipitAutoencoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def initialize(self):
        """Keeps the signal's size without normalization; blocks start near identity."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
                nn.init.zeros_(module.bias)
        for block in self.modules():
            if isinstance(block, ResidualBlock):
                block.conv1.weight.data.mul_(1.4)
                block.conv2.weight.data.mul_(0.3)
        self.decoder.conv_out.weight.data.mul_(0.3)
        nn.init.constant_(self.decoder.conv_out.bias, 0.7)
        return self

    def latents(self, x):
        """Picture -> latents of unit deviation, the space of the denoiser."""
        return (self.encoder(x) - self.config["shift_factor"]) * self.config["scaling_factor"]

    def picture(self, latents):
        return self.decoder(latents / self.config["scaling_factor"] + self.config["shift_factor"])


class AttentionPooling(nn.Module):
    """Token states [n, tokens, inputs] and their mask -> what learned queries find, [n, queries * channels]."""

    def __init__(self, inputs, channels, heads, count):
        super().__init__()
        self.heads = heads
        self.queries = nn.Parameter(torch.randn(count, channels))
        self.to_k = nn.Linear(inputs, channels)
        self.to_v = nn.Linear(inputs, channels)

    def answers(self, states, mask):
        n, tokens, _ = states.shape
        size = self.queries.shape[1] // self.heads
        q = self.queries.view(-1, self.heads, size)
        k = self.to_k(states).view(n, tokens, self.heads, size)
        v = self.to_v(states).view(n, tokens, self.heads, size)
        scores = torch.einsum("qhc,nthc->nhqt", q, k) / math.sqrt(size)
        scores = scores.masked_fill(mask[:, None, None, :] == 0, -math.inf)
        return torch.einsum("nhqt,nthc->nqhc", scores.softmax(-1), v).reshape(n, -1)


def mean_state(states, mask):
    """Token states [n, tokens, channels] -> their mean over the tokens of the mask, [n, channels]."""
    weight = mask[..., None].to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1)


class CaptionPooling(AttentionPooling):
    """Token states [n, tokens, channels] and their mask -> one vector of the given width."""

    def __init__(self, config):
        channels, count = config["caption_channels"], config["caption_queries"]
        super().__init__(channels, channels, config["caption_heads"], count)
        width = config["width"]
        self.fc1 = nn.Linear((count + 1) * channels, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, states, mask):
        found = torch.cat([self.answers(states, mask), mean_state(states, mask)], 1)
        return self.fc2(F.silu(self.fc1(found)))


class ConceptMemory(nn.Module):
    """A vector -> the mean of the memory's vectors, weighted by how near they are: what a Hopfield layer does
    (Ramsauer et al. 2021). The keys hold their own squared lengths in the bias and the temperature."""

    def __init__(self, width, size):
        super().__init__()
        self.keys = nn.Linear(width, size)
        self.values = nn.Linear(size, width, bias=False)

    @torch.no_grad()
    def remember(self, keys, values, temperature):
        """Near keys [size, width] its answer is their values [size, width]; a squared distance of the temperature
        costs a factor of e."""
        self.keys.weight.copy_(2 * keys / temperature)
        self.keys.bias.copy_(-keys.square().sum(1) / temperature)
        self.values.weight.copy_(values.T)

    def forward(self, x):
        return self.values(self.keys(x).softmax(1))


class TimeEmbedding(nn.Module):
    """Timestep (1000 times sigma) -> one vector of the given width."""

    def __init__(self, config):
        super().__init__()
        self.half = config["time_channels"] // 2
        self.fc1 = nn.Linear(config["time_channels"], config["width"])
        self.fc2 = nn.Linear(config["width"], config["width"])

    def forward(self, timestep):
        steps = torch.arange(self.half, dtype=torch.float32, device=timestep.device)
        angles = timestep.float()[:, None] * torch.exp(-math.log(10000) * steps / self.half)
        return self.fc2(F.silu(self.fc1(torch.cat([angles.cos(), angles.sin()], 1))))


class FlowBlock(nn.Module):
    def __init__(self, width, expansion, eps):
        super().__init__()
        self.modulation = nn.Linear(width, 3 * width)
        self.fc1 = nn.Linear(width, expansion * width)
        self.fc2 = nn.Linear(expansion * width, width)
        self.width, self.eps = width, eps

    def forward(self, x, e):
        shift, scale, gate = self.modulation(e).chunk(3, 1)
        y = F.layer_norm(x, (self.width,), eps=self.eps) * (1 + scale) + shift
        return x + gate * self.fc2(F.silu(self.fc1(y)))


class PipitFlowMLP(nn.Module):
    """Velocity of the rectified flow on the principal coordinates of the latents."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        width, count = config["width"], config["coordinates"]
        self.caption = CaptionPooling(config)
        size = config.get("memory_size", 0)
        self.memory = ConceptMemory(width, size) if size else nn.Identity()
        self.time = TimeEmbedding(config)
        self.proj_in = nn.Linear(count, width)
        self.blocks = nn.ModuleList([
            FlowBlock(width, config["expansion"], config["norm_eps"])
            for _ in range(config["num_layers"])
        ])
        self.modulation_out = nn.Linear(width, 2 * width)
        self.proj_out = nn.Linear(width, count)
        self.register_buffer("basis", torch.zeros(count, math.prod(config["latent_shape"])))
        self.register_buffer("mean", torch.zeros(math.prod(config["latent_shape"])))
        self.register_buffer("deviation", torch.ones(count))

    def initialize(self):
        """Blocks and output start at zero."""
        modulations = [block.modulation for block in self.blocks]
        for layer in [self.modulation_out, self.proj_out, *modulations]:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        return self

    def forward(self, sample, timestep, states, mask):
        e = F.silu(self.memory(self.caption(states, mask)) + self.time(timestep))
        x = self.proj_in(sample)
        for block in self.blocks:
            x = block(x, e)
        shift, scale = self.modulation_out(e).chunk(2, 1)
        x = F.layer_norm(x, (x.shape[1],), eps=self.config["norm_eps"])
        return self.proj_out(x * (1 + scale) + shift)

    def coordinates(self, latents):
        return (latents.flatten(1) - self.mean) @ self.basis.T / self.deviation

    def latents(self, coordinates):
        flat = (coordinates * self.deviation) @ self.basis + self.mean
        return flat.view(-1, *self.config["latent_shape"])


def load(kind, folder):
    """A network from a bundle folder of unquantized weights."""
    config = json.loads((Path(folder) / "config.json").read_text())
    model = kind(config)
    weights = load_file(Path(folder) / "diffusion_pytorch_model.safetensors")
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    return model.eval()
