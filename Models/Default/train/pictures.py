"""The packed pictures as tensors, and what is done to them on the fly."""

import colorsys
import math

import numpy as np
import torch
import torch.nn.functional as F

from common import read_json

HELD_OUT_EVERY = 20  # of the concepts, in both styles, never shown to the autoencoder


class Pictures:
    """All pictures of the work folder; channels first, values 0...255."""

    def __init__(self, work):
        pixels = np.load(work / "pictures.npy")
        self.pixels = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        self.lines = read_json(work / "pictures.json")
        self.concepts = read_json(work / "concepts.json")
        self.concept = torch.tensor([line["concept"] for line in self.lines])
        self.is_emoji = self.concept >= 0
        self.is_held_out = self.is_emoji & (self.concept % HELD_OUT_EVERY == HELD_OUT_EVERY - 1)

    def batch(self, indices):
        """Pictures in [-1, 1]."""
        return self.pixels[indices].float() / 127.5 - 1


def moved(x, scale, angle, shift, mirrored):
    """Each picture scaled, turned, shifted and mirrored; what comes in from outside is white."""
    count = len(x)
    zoom = torch.empty(count).uniform_(*scale)
    turn = torch.empty(count).uniform_(-angle, angle)
    side = torch.where(torch.rand(count) < mirrored, -1.0, 1.0)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = side * turn.cos() / zoom
    matrix[:, 0, 1] = -turn.sin() / zoom
    matrix[:, 1, 0] = side * turn.sin() / zoom
    matrix[:, 1, 1] = turn.cos() / zoom
    matrix[:, :, 2] = torch.empty(count, 2).uniform_(-shift, shift)
    grid = F.affine_grid(matrix.to(x), list(x.shape), align_corners=False)
    return 1 + F.grid_sample(x - 1, grid, align_corners=False)


def hue_turned(x, angles):
    """Each picture's colours turned by an angle about the axis of greys."""
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    third = torch.full((3, 3), 1 / 3)
    skew = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    matrix = cos * torch.eye(3) + (1 - cos) * third + sin * skew
    return torch.einsum("nij,njhw->nihw", matrix.to(x), x).clamp(-1, 1)


def painted(x, hue, saturation=0.75):
    """The picture with every coloured part in one hue (0...1), light and dark as they were."""
    rgb = (x.permute(1, 2, 0) + 1) / 2
    top, bottom = rgb.max(-1).values, rgb.min(-1).values
    light = (top + bottom) / 2
    colourful = ((top - bottom) / 0.35).clamp(0, 1)
    base = torch.tensor(colorsys.hls_to_rgb(hue, 0.5, saturation)).to(x)
    light = light[..., None]
    tinted = torch.where(light < 0.5, 2 * light * base, 1 - 2 * (1 - light) * (1 - base))
    mixed = rgb + colourful[..., None] * (tinted - rgb)
    return (mixed * 2 - 1).permute(2, 0, 1)
