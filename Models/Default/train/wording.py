"""Teaches the denoiser's caption layers other wordings, with everything else as it is.

The denoiser learns pictures from names, and learns names by heart: "frozen treat in a cone" is no name.
Here the caption layers are trained on, cheaply and without pictures: whatever caption a picture has is to
give the vector that its name gave (the teacher), and to lie nearer to it than to any other name's; with a
colour, nearer than to the same thing plain or in another colour. Noise on the token states and left out tokens
keep the layers from learning captions by heart as well.

A new wording's vector still falls beside its name's, and the rest of the denoiser draws blots from there. So a
memory of all the names' vectors stands between: what lies near one of them becomes that one.
"""

import argparse
import collections
import copy
import hashlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from captions import COLOURS
from common import Clock, add_arguments, prepare, share, write_json
from denoiser import CONFIG
from modules import PipitFlowMLP

SHARES = {"concept": 0.57, "colour": 0.34, "clip": 0.06, "empty": 0.03}
KINDS = {"name": 0.25, "written": 0.55, "keyword": 0.2}
TEMPERATURE = 0.1
CALM = 0.5  # of the noise where a colour is told: it hangs on one word
MEMORY_TEMPERATURE = 0.015
MEMORY_ROUND = 64  # entries: whole groups of 32 for 4-bit storage
PARTS = 4  # a batch is computed by length, in so many parts
HELD_OUT = 26  # of 256 written captions, with --check


class Captions:
    """States of all captions, and which group of pictures each belongs to."""

    def __init__(self, saved):
        self.states, self.starts = saved["states"], saved["starts"]
        self.groups = [(key, ids) for key, ids in saved["groups"].items() if ids.get("name")]
        self.texts = saved["texts"]
        # No caption at all: guidance measures from there, so that vector stays where it was.
        self.groups.append((("empty",), {"name": [len(self.texts) - 1]}))
        counts = collections.Counter(key[0] for key, _ in self.groups)
        captions, owners, weights = [], [], []
        for owner, (key, ids) in enumerate(self.groups):
            present = {kind: ids[kind] for kind in KINDS if ids.get(kind)}
            whole = sum(KINDS[kind] for kind in present)
            for kind, own in present.items():
                captions += own
                owners += [owner] * len(own)
                weights += [KINDS[kind] / whole / len(own) * SHARES[key[0]] / counts[key[0]]] * len(own)
        self.captions, self.owners = torch.tensor(captions), torch.tensor(owners)
        self.weights = torch.tensor(weights)

    def lengths(self, captions):
        return self.starts[captions + 1] - self.starts[captions]

    def padded(self, captions):
        """States and mask of captions by id."""
        lengths = self.lengths(captions)
        places = torch.arange(int(lengths.max()))[None]
        rows = (self.starts[captions][:, None] + places).clamp(max=len(self.states) - 1)
        return self.states[rows].bfloat16(), places < lengths[:, None]

    def hold_out(self):
        """Takes some written captions of concepts out of the training; returns them and their owners."""
        written = {i for key, ids in self.groups if key[0] == "concept"
                   for i in ids.get("written", [])}
        is_concept = [key[0] == "concept" for key, _ in self.groups]
        is_held = torch.tensor([
            is_concept[owner] and caption in written
            and hashlib.sha256(self.texts[caption].encode()).digest()[0] < HELD_OUT
            for caption, owner in zip(self.captions.tolist(), self.owners.tolist())])
        held = self.captions[is_held], self.owners[is_held]
        self.captions, self.owners = self.captions[~is_held], self.owners[~is_held]
        self.weights = self.weights[~is_held]
        return held


class Trainer:
    def __init__(self, options, device):
        self.options, self.device = options, device
        self.captions = Captions(torch.load(options.work / "captions.pt"))
        self.held = self.captions.hold_out() if options.check else None
        # As the denoiser's own training left it, so that this stage can be run again.
        self.saved = torch.load(options.work / "denoiser.pt", map_location=device)["average"]
        teacher = PipitFlowMLP(dict(CONFIG))
        teacher.load_state_dict(self.saved)
        teacher = teacher.to(device).caption
        # The names' vectors are the teacher's for good, whatever is trained here later.
        self.targets = self.named_targets(teacher)
        self.scale = (self.targets - self.targets.mean(0)).square().mean().sqrt()
        kinds = [key[0] for key, _ in self.captions.groups]
        self.concepts = torch.tensor([i for i, kind in enumerate(kinds) if kind == "concept"])
        self.place = torch.full((len(kinds),), -1)
        self.place[self.concepts] = torch.arange(len(self.concepts))
        self.is_painted = torch.tensor([kind == "colour" for kind in kinds])
        self.siblings = self.painted_siblings()
        self.model = copy.deepcopy(teacher).requires_grad_(True).train()
        self.average = copy.deepcopy(teacher).requires_grad_(False)
        self.deviation = self.captions.states[:200_000].float().std(0).to(device)

    @torch.no_grad()
    def vectors(self, layers, captions):
        parts = []
        for part in captions.split(1024):
            states, mask = self.captions.padded(part)
            parts.append(layers(states.float().to(self.device), mask.to(self.device)))
        return torch.cat(parts)

    def named_targets(self, teacher):
        names = [torch.tensor(ids["name"]) for _, ids in self.captions.groups]
        found = self.vectors(teacher, torch.cat(names))
        return torch.stack([part.mean(0) for part in found.split([len(n) for n in names])])

    def painted_siblings(self):
        """For each group that is painted: the groups of the same thing in every colour, -1 where there is none."""
        index = {key: i for i, (key, _) in enumerate(self.captions.groups)}
        return torch.tensor([
            [index.get((*key[:2], colour), -1) if key[0] == "colour" else -1 for colour in COLOURS]
            for key, _ in self.captions.groups])

    def noisy(self, drawn):
        """States with noise and a mask that leaves tokens out."""
        options, owners = self.options, self.captions.owners[drawn]
        states, mask = (x.to(self.device) for x in self.captions.padded(self.captions.captions[drawn]))
        calm = torch.where(self.is_painted[owners], CALM, 1.0).to(self.device)[:, None]
        spread = torch.empty_like(states).uniform_(-1.732, 1.732) * self.deviation.to(states.dtype)
        strength = options.noise * calm * torch.rand(len(drawn), 1, device=self.device) * 2
        left_out = torch.rand(mask.shape, device=self.device) < options.drop * calm * 2 * torch.rand(
            len(drawn), 1, device=self.device)
        left_out[:, 0] = False
        return states + strength.to(states.dtype)[..., None] * spread, mask & ~left_out

    def loss(self):
        drawn = torch.multinomial(self.captions.weights, self.options.batch, replacement=True)
        # Captions of like length together: most are far shorter than the longest.
        drawn = drawn[self.captions.lengths(self.captions.captions[drawn]).argsort()]
        with torch.autocast(self.device.type, torch.bfloat16):
            found = torch.cat([self.model(*self.noisy(part)) for part in drawn.chunk(PARTS)]).float()
        owners = self.captions.owners[drawn]
        near = (found - self.targets[owners]).square().mean() / self.scale**2
        return near + self.confusion(found, owners)

    def confusion(self, found, owners):
        """How far a vector is from being nearest to its own name's, among all plain ones and, where it is
        painted, the same thing's in the other colours."""
        names = self.targets[self.concepts]
        unit = TEMPERATURE * self.scale**2 * names.shape[1]
        scores = -torch.cdist(found, names).square() / unit
        siblings = self.siblings[owners]
        painted = self.targets[siblings.clamp(min=0).flatten()].view(*siblings.shape, -1)
        colours = -(found[:, None] - painted).square().sum(-1) / unit
        scores = torch.cat([scores, colours.masked_fill(siblings.to(self.device) < 0, -1e4)], 1)
        own = torch.where(siblings == owners[:, None], 1, 0).argmax(1) + len(names)
        own = torch.where(self.is_painted[owners], own, self.place[owners])
        chosen = own >= 0
        return F.cross_entropy(scores[chosen], own[chosen].to(self.device))

    def run(self):
        options, clock, recent = self.options, Clock(), []
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=options.rate, weight_decay=0.05)
        steps = share(options.steps)
        for step in range(steps):
            fall = min(1, (step + 1) / 100, max(0.02, 2 * (1 - step / steps)))
            for group in optimizer.param_groups:
                group["lr"] = options.rate * fall
            loss = self.loss()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()),
                                 1 - min(0.99, step / (step + 10)))
            recent.append(loss.item())
            if step % 250 == 249:
                print(f"{clock.seconds():.0f} s step {step + 1} loss {sum(recent) / len(recent):.3f}"
                      f" {self.checked()}", flush=True)
                recent = []
        self.save()

    def checked(self):
        """How often the nearest name is a held-out caption's own, and is among the five nearest."""
        if self.held is None:
            return ""
        captions, owners = self.held
        distances = torch.cdist(self.vectors(self.average, captions), self.targets[self.concepts])
        own = distances.gather(1, self.place[owners][:, None].to(self.device))
        ranks = (distances < own).sum(1)
        return f"held out {(ranks < 1).float().mean():.3f} {(ranks < 5).float().mean():.3f}"

    def save(self):
        """The denoiser with the new caption layers and the memory behind them."""
        if self.options.check:
            return
        kinds = [key[0] for key, _ in self.captions.groups]
        kept = torch.tensor([i for i, kind in enumerate(kinds) if kind != "clip"])
        # The last one, which is no caption at all, fills up the round number: each time it counts as often.
        count = -(-len(kept) // MEMORY_ROUND) * MEMORY_ROUND
        kept = torch.cat([kept, kept[-1:].repeat(count - len(kept))])
        values = self.targets[kept].cpu()
        # Half way between the aim and what the layers do give for the name, which is seldom quite the same.
        keys = (values + self.named_targets(self.average)[kept].cpu()) / 2
        network = PipitFlowMLP(dict(CONFIG, memory_size=count))
        network.load_state_dict(self.saved, strict=False)
        network.caption.load_state_dict(self.average.state_dict())
        unit = self.scale.item() ** 2 * values.shape[1]
        network.memory.remember(keys, values, MEMORY_TEMPERATURE * unit)
        folder = self.options.work / "denoiser"
        write_json(folder / "config.json", network.config, indent=2)
        weights = {name: value.contiguous() for name, value in network.state_dict().items()}
        save_file(weights, folder / "diffusion_pytorch_model.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=640)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--noise", type=float, default=0.5, help="deviation, of the states' own")
    parser.add_argument("--drop", type=float, default=0.15, help="share of tokens left out")
    parser.add_argument("--check", action="store_true", help="hold captions out, save nothing")
    options = parser.parse_args()
    Trainer(options, prepare(options)).run()


if __name__ == "__main__":
    main()
