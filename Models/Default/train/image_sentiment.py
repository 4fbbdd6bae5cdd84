"""Trains the mood of pictures: a small residual network from scratch.

Its label for a picture is the mood of the picture's captions. It learns at the same time where the
captions lie in the text encoder's space, and which concept it sees: from the moods alone it learns
little that holds for pictures it has not seen. Both extra outputs are dropped at export.

The first stage (`places`) leaves the moods out; the second (`moods`) goes on from it, and twice more from a high rate.
In the end the mood's layer is fitted anew, to the moods of what the network believes it sees: see `fit_beliefs`.
"""

import argparse
import math
import random

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import ResNetConfig, ResNetForImageClassification

from common import BUNDLE, Clock, add_arguments, prepare, save_state, share, write_json
from pictures import Pictures, hue_turned, moved
from sentiment_states import States
from sentiment_texts import concept_valences
from text_sentiment import LABELS, judged, load_head

SIDE = 64
BATCH = 96
RATE = 2e-3
CLIPS = 0.2  # share of a batch: pictures that are no emoji
GENERATED = 0.4  # share of a batch, once there are generated pictures
WEIGHTS = {"mood": 1.5, "place": 2.0, "concept": 0.3}
STAGES = {"places": ("place", "concept"), "moods": ("mood", "place", "concept")}
# Until which step. With beliefs the correlation with people was .49, .51 and .52 after each with moods, on the unseen
# style; without them .48, .50 and .50.
CYCLES = (("places", 2520), ("moods", 6300), ("moods", 10_080), ("moods", 13_860))
BELIEFS = 220  # batches


def configuration():
    return ResNetConfig(
        num_channels=3,
        embedding_size=24,
        hidden_sizes=[24, 48, 96, 192],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        hidden_act="relu",
        downsample_in_first_stage=False,
        id2label=dict(enumerate(LABELS)),
        label2id={name: index for index, name in enumerate(LABELS)},
    )


def shrunk(pixels):
    """uint8 pictures as the network takes them: [-1, 1], resized as the preprocessor says."""
    x = F.interpolate(pixels.float(), SIDE, mode="bilinear", antialias=True)
    return x / 127.5 - 1


def probabilities(valence):
    """Negative, neutral, positive, such that positive - negative is the valence."""
    return torch.stack([(-valence).clamp(min=0), 1 - valence.abs(), valence.clamp(min=0)], -1)


class Network(torch.nn.Module):
    """The network that ships, and the two outputs that only its training needs."""

    def __init__(self, concepts, width):
        super().__init__()
        self.model = ResNetForImageClassification(configuration())
        features = self.model.config.hidden_sizes[-1]
        self.place = torch.nn.Linear(features, width)
        self.concept = torch.nn.Linear(features, concepts)

    def forward(self, x):
        features = self.model.resnet(x).pooler_output.flatten(1)
        logits = self.model.classifier(features)
        return {"mood": logits, "place": self.place(features), "concept": self.concept(features)}


# ------------------------------------------------------------------------ samples


def group_of(index, concept):
    """Whose captions a picture has, by the keys of captions.pt."""
    return ("concept", concept) if concept >= 0 else ("clip", index)


class Captions:
    """The token states of the texts of each group of pictures."""

    def __init__(self, work):
        found = torch.load(work / "captions.pt")
        self.starts, self.states = found["starts"], found["states"]
        self.all_texts = found["texts"]
        self.ids = {}
        for group, kinds in found["groups"].items():
            ids = kinds.get("name", []) + kinds.get("written", []) + kinds.get("keyword", [])[:4]
            if group[0] != "colour" and ids:
                self.ids[group] = ids

    def texts(self, group):
        return [self.states[self.starts[i] : self.starts[i + 1]].float() for i in self.ids[group]]

    def places(self):
        """Group -> its mean embedding, off the mean of all: they lie close together."""
        places = {}
        for group in self.ids:
            pooled = torch.stack([text.mean(0) for text in self.texts(group)])
            places[group] = F.normalize(pooled, dim=-1).mean(0)
        centre = torch.stack(list(places.values())).mean(0)
        return {group: F.normalize(place - centre, dim=0) for group, place in places.items()}

    def moods(self, groups, work):
        """Group -> what the text head says, over all its texts."""
        means, head = States(work), load_head()
        means.add([self.all_texts[i] for group in groups for i in self.ids[group]])
        return {group: judged(head, means, [self.all_texts[i] for i in self.ids[group]]).mean().item()
                for group in groups}


class Samples:
    """Augmented pictures with their targets, drawn by kind."""

    def __init__(self, pictures, work):
        captions = Captions(work)
        places, named = captions.places(), concept_valences(work)
        self.concept, self.pixels = pictures.concept, shrunk(pictures.pixels)
        groups = [group_of(i, c) for i, c in enumerate(self.concept.tolist())]
        known = torch.tensor([group in places for group in groups])
        nowhere = torch.zeros_like(next(iter(places.values())))
        self.place = torch.stack([places.get(group, nowhere) for group in groups])
        clips = captions.moods({g for g in groups if g[0] != "concept" and g in places}, work)
        # The concepts' moods are written down (valence.tsv); those of the clip art are the text head's.
        valences = [
            named[group[1]] if group[0] == "concept"
            else clips.get(group, 0.0)
            for group in groups
        ]
        self.mood = probabilities(torch.tensor(valences))
        self.mood_of_concept = probabilities(torch.tensor(named))
        self.emoji = (known & (self.concept >= 0)).nonzero().squeeze(1).tolist()
        self.clips = (known & (self.concept < 0)).nonzero().squeeze(1).tolist()
        self.generated = []

    def add_generated(self, made):
        """Pictures that the denoiser drew of concepts, with those concepts' targets."""
        first = torch.full((int(self.concept.max()) + 1,), -1)
        for index in reversed(self.emoji):
            first[self.concept[index]] = index
        like = first[made["concepts"]]
        self.generated = (torch.arange(len(like)) + len(self.pixels))[like >= 0].tolist()
        self.pixels = torch.cat([self.pixels, shrunk(made["pixels"])])
        self.concept = torch.cat([self.concept, made["concepts"]])
        self.place = torch.cat([self.place, self.place[like]])
        self.mood = torch.cat([self.mood, self.mood[like]])

    def batch(self):
        chosen = []
        if self.clips:
            chosen += random.choices(self.clips, k=int(BATCH * CLIPS))
        if self.generated:
            chosen += random.choices(self.generated, k=int(BATCH * GENERATED))
        chosen += random.choices(self.emoji, k=BATCH - len(chosen))
        targets = {"mood": self.mood, "place": self.place, "concept": self.concept}
        return augmented(self.pixels[chosen]), {name: t[chosen] for name, t in targets.items()}


def augmented(x):
    """What changes a picture but not what it shows."""
    count = len(x)
    x = moved(x, (0.7, 1.15), 0.25, 0.12, 0.5)
    turned = torch.rand(count) < 0.5
    x[turned] = hue_turned(x[turned], torch.empty(int(turned.sum())).normal_(0, 0.35))
    contrast = torch.empty(count, 1, 1, 1).uniform_(0.75, 1.25)
    x = (x * contrast + torch.empty(count, 3, 1, 1).uniform_(-0.15, 0.15)).clamp(-1, 1)
    blurred = torch.rand(count) < 0.3
    x[blurred] = F.avg_pool2d(F.pad(x[blurred], (1, 1, 1, 1), mode="replicate"), 3, 1)
    return x + torch.randn_like(x) * torch.empty(count, 1, 1, 1).uniform_(0, 0.08)


# ------------------------------------------------------------------------ training


def mood_loss(logits, moods):
    # Most captions are near neutral: the clear moods weigh more.
    clear = 0.3 + (moods[:, 2] - moods[:, 0]).abs()
    surprise = -(moods * logits.log_softmax(-1)).sum(-1)
    return (surprise * clear).sum() / clear.sum()


def losses(outputs, targets):
    return {
        "mood": mood_loss(outputs["mood"], targets["mood"]),
        "place": 1 - F.cosine_similarity(outputs["place"], targets["place"]).mean(),
        "concept": F.cross_entropy(
            outputs["concept"], targets["concept"], ignore_index=-1, label_smoothing=0.1
        ),
    }


class Training:
    """The network, its moving average and the optimizer; resumable."""

    def __init__(self, network, path):
        self.network, self.path, self.step, self.spent = network, path, 0, 0.0
        self.optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.02)
        averaging = torch.optim.swa_utils.get_ema_multi_avg_fn(0.995)
        self.average = torch.optim.swa_utils.AveragedModel(
            network, multi_avg_fn=averaging, use_buffers=True
        )
        if path.exists():
            saved = torch.load(path)
            self.network.load_state_dict(saved["network"])
            self.average.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step, self.spent = saved["step"], saved["spent"]

    def save(self):
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")}
        save_state(self.path, **parts, step=self.step, spent=self.spent)

    def run(self, stage, samples, first, end, device):
        """The steps of one cycle, from `first` until `end`; the rate rises and falls once in each."""
        clock = Clock(self.spent)
        self.network.train()
        while self.step < end:
            progress = (self.step - first) / (end - first)
            rate = RATE * (0.02 + 0.98 * math.cos(progress * math.pi / 2))
            for group in self.optimizer.param_groups:
                group["lr"] = rate * min(1, (self.step - first + 1) / 50)
            parts = self.learn(samples, STAGES[stage], device)
            self.step += 1
            if self.step % 100 == 0:
                shown = " ".join(f"{name} {value.item():.3f}" for name, value in parts.items())
                print(f"{stage} {clock.seconds():.0f} s step {self.step} {shown}", flush=True)
                self.spent = clock.seconds()
                self.save()
        self.spent = clock.seconds()
        self.save()

    def learn(self, samples, names, device):
        x, targets = samples.batch()
        targets = {name: value.to(device) for name, value in targets.items()}
        with torch.autocast(device.type, torch.bfloat16):
            outputs = self.network(x.to(device, memory_format=torch.channels_last))
        parts = losses({name: value.float() for name, value in outputs.items()}, targets)
        loss = sum(WEIGHTS[name] * parts[name] for name in names)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        return parts


def fit_beliefs(network, samples, device):
    """Fits the mood's layer to the concepts' moods, each as likely as the network finds the concept.

    The layer was taught to be certain of each training picture. In a style that it has not seen the network is often
    unsure what it sees, and then the mood should say less.
    """
    features, moods = [], []
    with torch.no_grad():
        for _ in range(share(BELIEFS)):
            x = samples.batch()[0].to(device)
            features.append(network.model.resnet(x).pooler_output.flatten(1))
            moods.append(network.concept(features[-1]).softmax(-1) @ samples.mood_of_concept.to(device))
    features, moods = torch.cat(features), torch.cat(moods)
    layer = network.model.classifier[1]
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=60)

    def loss():
        optimizer.zero_grad()
        value = mood_loss(layer(features), moods) + 1e-4 * layer.weight.square().sum()
        value.backward()
        return value

    print(f"beliefs {optimizer.step(loss).item():.3f} -> {loss().item():.3f}", flush=True)


def export(model):
    folder = BUNDLE / "image_sentiment"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"architectures": ["ResNetForImageClassification"], **model.config.to_diff_dict()}
    for name in ("transformers_version", "_name_or_path", "dtype", "torch_dtype"):
        settings.pop(name, None)
    write_json(folder / "config.json", settings, indent=2)
    # Running variances may be smaller than half precision can hold: statistics stay as they are.
    tensors = {
        name: (value if "running" in name else value.half()).contiguous()
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    preprocessor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": SIDE, "width": SIDE},
        "resample": 2,  # bilinear
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    write_json(folder / "preprocessor_config.json", preprocessor, indent=2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    options = parser.parse_args()
    device = prepare(options)
    pictures = Pictures(options.work)
    samples = Samples(pictures, options.work)
    samples.add_generated(torch.load(options.work / "generated.pt"))
    network = Network(len(pictures.concepts), samples.place.shape[1])
    network = network.to(device, memory_format=torch.channels_last)
    training = Training(network, options.work / "image_sentiment.pt")
    first = 0
    for stage, end in CYCLES:
        training.run(stage, samples, first, share(end), device)
        first = share(end)
    network = training.average.module.float().eval()
    fit_beliefs(network, samples, device)
    export(network.model.cpu())


if __name__ == "__main__":
    main()
