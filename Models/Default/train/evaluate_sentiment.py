"""Measures the stored text head on texts it was not trained on, and the way it is trained by cross-validation.

A tenth of the texts is too little to tell two heads apart (271 clear product reviews: two points of standard
error). So six more heads are trained as the stored one is, each without another sixth of all texts, and asked
about that sixth. Writes metrics-text-sentiment.json.
"""

import argparse
import hashlib
import json
from dataclasses import astuple

import torch

from common import add_arguments, prepare, save_state, write_json
from sentiment_states import States
from sentiment_texts import FOLDS, all_items, evaluation_phrases, squashed
from text_sentiment import (MEMBERS, REPEATS, accuracy_by_source, add_training_arguments, judged, load_head,
                            settings_of, trained)

NEUTRAL_WITHIN = 0.25
CLEAR = squashed(0.5)  # a mean rating of half a point or more, of four


def phrases_report(rows, found):
    """Signs of the moods, and how near to zero the neutral ones are."""
    report = {}
    for language in ("en", "zh", "all"):
        part = [(row["sentiment"], float(score)) for row, score in zip(rows, found)
                if language in (row["lang"], "all")]
        moods = [(1 if mood == "positive" else -1, score)
                 for mood, score in part if mood != "neutral"]
        neutral = [score for mood, score in part if mood == "neutral"]
        report[language] = {
            "moods": len(moods),
            "sign_right": sum(sign * score > 0 for sign, score in moods),
            "neutral": len(neutral),
            "neutral_near_zero": sum(abs(score) <= NEUTRAL_WITHIN for score in neutral),
        }
    wrong = [{"text": row["text"], "sentiment": row["sentiment"], "score": round(float(score), 3)}
             for row, score in zip(rows, found)
             if (abs(score) > NEUTRAL_WITHIN if row["sentiment"] == "neutral"
                 else score * (1 if row["sentiment"] == "positive" else -1) <= 0)]
    return {**report, "wrong": wrong}


def with_error(items, right):
    """The share that is right and its standard error; texts of one group (one review) err together."""
    right = right.float()
    groups = {}
    for item, deviation in zip(items, (right - right.mean()).tolist()):
        groups[item.group] = groups.get(item.group, 0.0) + deviation
    error = sum(value**2 for value in groups.values()) ** 0.5 / len(items)
    return {"texts": len(items), "sign_right": round(right.mean().item(), 4), "error": round(error, 4)}


def fold_scores(fold, asked, items, states, options):
    """What a head says of the texts of a fold, which it has not seen; kept in the work folder, for a stopped run."""
    told = [[item.text, item.valence, item.fold] for item in items], [
        settings_of(options.hidden), REPEATS, [astuple(member) for member in MEMBERS], options.batch, options.rate,
        options.noise, options.decay, options.seed]
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
    path = options.work / f"text-fold-{fold}-{digest}.pt"
    if not path.exists():
        head = trained([item for item in items if item.fold != fold], states, options)
        save_state(path, scores=judged(head, states, [item.text for item in asked]))
        print(f"fold {fold}: {len(asked)} texts asked", flush=True)
    return torch.load(path)["scores"]


def cross_validated(items, states, options):
    """By source, clear texts alone: what heads say of the sixth of all texts that each has not seen."""
    asked = [item for item in items if item.fold is not None and abs(item.valence) >= CLEAR]
    score = torch.zeros(len(asked))
    for fold in range(FOLDS):
        part = [i for i, item in enumerate(asked) if item.fold == fold]
        score[part] = fold_scores(fold, [asked[i] for i in part], items, states, options)
    right = score.sign() == torch.tensor([item.valence for item in asked]).sign()
    found = {}
    for source in dict.fromkeys(item.source for item in asked):
        part = [i for i, item in enumerate(asked) if item.source == source]
        shares = [right[[i for i in part if asked[i].fold == fold]].float().mean().item()
                  for fold in range(FOLDS)]
        found[source] = with_error([asked[i] for i in part], right[part])
        found[source]["by_fold"] = [round(share, 4) for share in shares]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    add_training_arguments(parser)
    options = parser.parse_args()
    prepare(options)
    states, head = States(options.work), load_head()
    rows = evaluation_phrases()
    items = all_items(options.work)
    held_out = [item for item in items if item.is_held_out]
    states.add([row["text"] for row in rows] + [item.text for item in items])
    by_source = accuracy_by_source(head, states, held_out)
    clear = [item for item in held_out if abs(item.valence) >= CLEAR]
    for source, found in accuracy_by_source(head, states, clear).items():
        by_source[source] |= {
            "clear_texts": found["texts"], "clear_sign_right": found["sign_right"]}
    neutral = [item for item in held_out if item.source.startswith("name") and item.valence == 0]
    score = judged(head, states, [item.text for item in neutral]).abs()
    metrics = {
        "held_out": by_source,
        "cross_validation": cross_validated(items, states, options),
        "neutral_names": {
            "texts": len(neutral),
            "mean_absolute_score": round(float(score.mean()), 3),
            "near_zero": round(float((score <= NEUTRAL_WITHIN).float().mean()), 3)},
        "phrases": phrases_report(rows, judged(head, states, [row["text"] for row in rows])),
        "parameters": sum(value.numel() for value in head.parameters()),
    }
    write_json(options.work / "metrics-text-sentiment.json", metrics, indent=2)
    for name, value in metrics.items():
        print(name, value)


if __name__ == "__main__":
    main()
