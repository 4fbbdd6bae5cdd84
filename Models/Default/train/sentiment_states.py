"""The states that the mood of texts is read from: those of every token after several of the encoder's layers,
computed once and kept on disk in half precision."""

from functools import cached_property

import numpy as np
import torch

from common import read_json, write_json

TOKENS_MAX = 128
ENCODER_LAYERS = [6, 8, 10, 12]
PREFIX = "query: "


class Spread:
    """Centre and deviation of what a layer reads. The states of all tokens, and the means of all texts, lie close
    together: training wants them spread out."""

    def __init__(self, values):
        self.center, self.deviation = values.float().mean(0), values.float().std(0)

    def apply(self, values):
        return ((values.float() - self.center) / self.deviation).bfloat16()

    @torch.no_grad()
    def fold(self, layer):
        """Makes the first inputs of a trained layer the plain values again."""
        weight = layer.weight[:, :len(self.center)]
        weight /= self.deviation
        layer.bias -= weight @ self.center


class States:
    """sentiment-states.f16 holds [tokens of all texts, layers * 384]; sentiment-states.json where each text's
    begin and how many they are."""

    WIDTH = 384 * len(ENCODER_LAYERS)

    def __init__(self, work):
        self.data, self.index = work / "sentiment-states.f16", work / "sentiment-states.json"
        self.work = work
        self.places = read_json(self.index) if self.index.exists() else {}
        self.values = None

    @torch.no_grad()
    def add(self, texts, batch_tokens=8192):
        missing = [text for text in dict.fromkeys(texts) if text not in self.places]
        if missing:
            self.encode(missing, batch_tokens)
        # Mapped as a private copy since torch asks for memory that may be written to; nothing is.
        self.values = torch.from_numpy(np.memmap(self.data, np.float16, "c").reshape(-1, self.WIDTH))
        self.__dict__.pop("spread", None)  # of fewer texts

    def encode(self, texts, batch_tokens):
        from encoder import load_encoder

        encoder, tokenizer = load_encoder(self.work)
        ids = [e.ids for e in tokenizer.encode_batch([PREFIX + text for text in texts])]
        ids = [i if len(i) <= TOKENS_MAX else [*i[:TOKENS_MAX - 1], i[-1]] for i in ids]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        print(f"{len(texts)} texts, {sum(map(len, ids))} tokens to encode", flush=True)
        # What a stopped run wrote behind the last text of the index is written anew.
        end = max((first + count for first, count in self.places.values()), default=0)
        with open(self.data, "r+b" if self.data.exists() else "wb") as file, torch.autocast("cpu", torch.bfloat16):
            file.seek(2 * self.WIDTH * end)
            while order:
                # As many of the shortest as fit once padded to the longest among them.
                count = 1
                while count < len(order) and (count + 1) * len(ids[order[count]]) <= batch_tokens:
                    count += 1
                part, order = order[:count], order[count:]
                file.write(self.encoded(encoder, [ids[i] for i in part]).numpy().tobytes())
                for i in part:
                    self.places[texts[i]] = [end, len(ids[i])]
                    end += len(ids[i])
        write_json(self.index, self.places)

    @staticmethod
    def encoded(encoder, ids):
        """The states of all tokens of some texts, one text behind the other."""
        lengths = torch.tensor([len(i) for i in ids])
        tokens = torch.ones(len(ids), int(lengths.max()), dtype=torch.long)
        for row, i in enumerate(ids):
            tokens[row, :len(i)] = torch.tensor(i)
        mask = torch.arange(tokens.shape[1])[None] < lengths[:, None]
        found = encoder(tokens, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        return torch.cat([found[layer].float() for layer in ENCODER_LAYERS], 2)[mask].half()

    def spans(self, texts):
        """Where each text's states begin, and how many they are."""
        return torch.tensor([self.places[text] for text in texts]).unbind(1)

    def padded(self, first, count):
        """States [texts, tokens, layers * 384] in f32 of texts given by their spans, and their mask."""
        places = torch.arange(int(count.max()))[None]
        mask = places < count[:, None]
        return self.values[(first[:, None] + places).clamp(max=len(self.values) - 1)].float(), mask

    @cached_property
    def spread(self):
        """How the states of all tokens are spread out, and they so, in memory, in bf16: 3 KB a token."""
        by = Spread(self.values[::61])
        values = torch.empty(self.values.shape, dtype=torch.bfloat16)
        for part, target in zip(self.values.split(65536), values.split(65536)):
            target.copy_(by.apply(part))
        return by, values
