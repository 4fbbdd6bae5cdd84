"""What every stage shares: the work folder, seeds, stamps, text clean-up."""

import json
import os
import random
import re
import time
import unicodedata
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
# A trial run (train.py --quick) writes its bundle into a folder of its own and does a hundredth of the work.
TRIAL = os.environ.get("PIPIT_TRIAL_BUNDLE")
TRIAL_SHARE = 100
BUNDLE = Path(TRIAL) if TRIAL else HERE.parent
TEXTS = HERE / "texts"
SIDE = 128  # pixels of a picture's side


def add_arguments(parser):
    """Options that all stages understand."""
    parser.add_argument("--work", type=Path, default=HERE / ".cache", help="folder of what is made")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--seed", type=int, default=1)


def prepare(options):
    """Seeds everything and returns the device to run on."""
    random.seed(options.seed)
    np.random.seed(options.seed)
    torch.manual_seed(options.seed)
    options.work.mkdir(parents=True, exist_ok=True)
    if options.device != "auto":
        return torch.device(options.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def sampled(things):
    """A list, or one in a hundred of it in a trial run."""
    return things[::TRIAL_SHARE] if TRIAL else things


def share(count):
    """A count, or a hundredth of it in a trial run."""
    return max(1, count // TRIAL_SHARE) if TRIAL else count


def read_json(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_json(path, value, indent=None):
    """Writes beside the file and renames, so that a stopped run leaves no half file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, ensure_ascii=False, indent=indent) + "\n", encoding="utf-8")
    os.replace(part, path)


def save_state(path, **state):
    """Saves a checkpoint; the file is whole at any time."""
    part = Path(str(path) + ".part")
    torch.save(state, part)
    os.replace(part, path)


def normalized(text):
    """The form in which two captions count as the same: no case, punctuation or articles."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in text)
    return re.sub(r"\s+", " ", re.sub(r"\b(a|an|the)\b", " ", text)).strip()


def read_table(path):
    """Rows of a tab-separated file with a header line, as dictionaries."""
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n").rstrip("\r") for line in file if line.strip()]
    header = lines[0].split("\t")
    return [dict(zip(header, line.split("\t"))) for line in lines[1:]]


class Clock:
    """Seconds of training, counted on over a resumed run."""

    def __init__(self, spent=0.0):
        self.spent, self.started = spent, time.monotonic()

    def seconds(self):
        return self.spent + time.monotonic() - self.started
