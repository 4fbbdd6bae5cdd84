"""Measures the stored text head on texts it was not trained on.

Writes metrics-text-sentiment.json.
"""

import argparse

import torch

from common import add_arguments, prepare, write_json
from text_sentiment import (States, accuracy_by_source, all_items, evaluation_phrases, judged,
                            load_head, squashed)

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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    options = parser.parse_args()
    prepare(options)
    states, head = States(options.work), load_head()
    rows = evaluation_phrases()
    held_out = [item for item in all_items(options.work)
                if item.is_held_out and item.source != "phrase"]
    states.add([row["text"] for row in rows] + [item.text for item in held_out])
    by_source = accuracy_by_source(head, states, held_out)
    clear = [item for item in held_out if abs(item.valence) >= CLEAR]
    for source, found in accuracy_by_source(head, states, clear).items():
        by_source[source] |= {
            "clear_texts": found["texts"], "clear_sign_right": found["sign_right"]}
    neutral = [item for item in held_out if item.source.startswith("name") and item.valence == 0]
    score = judged(head, states, [item.text for item in neutral]).abs()
    metrics = {
        "held_out": by_source,
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
    with torch.inference_mode():
        main()
