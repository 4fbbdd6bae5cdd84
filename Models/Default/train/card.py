"""Gathers the measurements into metrics.json and writes their table into the model card."""

import argparse
import re

from common import BUNDLE, HERE, TRIAL, add_arguments, prepare, read_json, write_json

TRIAL_MARK = "A trial run with a hundredth of the work: nothing here is worth anything."
START, END = "<!-- metrics -->", "<!-- end of metrics -->"
SHARE, NUMBER, DECIBEL, COUNT = "{:.1%}", "{:.2f}", "{:.1f} dB", "{}"
FOLDED = "{sign_right:.1%} ± {error:.1%} of {texts}"
ROWS = [  # what, goal, form, script, path in metrics.json
    (
        "Own picture nearest of all concepts, English names",
        "60 %", SHARE, "evaluate", "pictures.names_en.top1",
    ),
    (
        "… among the 5 nearest",
        "80 %", SHARE, "evaluate", "pictures.names_en.top5",
    ),
    (
        "Own picture nearest of all concepts, Chinese names",
        "60 %", SHARE, "evaluate", "pictures.names_zh.top1",
    ),
    (
        "… among the 5 nearest",
        "80 %", SHARE, "evaluate", "pictures.names_zh.top5",
    ),
    (
        "Paraphrases that no caption holds, 100 English: among the 5 nearest",
        "50 %", SHARE, "evaluate", "pictures.paraphrases_en.top5",
    ),
    (
        "Paraphrases, 100 Chinese: among the 5 nearest",
        "50 %", SHARE, "evaluate", "pictures.paraphrases_zh.top5",
    ),
    (
        "The second, harder set (wide), 200: among the 5 nearest",
        "50 %", SHARE, "evaluate", "pictures.paraphrases-wide.top5",
    ),
    (
        "Autoencoder, held-out emoji",
        "27 dB", DECIBEL, "evaluate", "pictures.vae_held_out_psnr_db",
    ),
    (
        "Text sentiment, movie snippets held out: all",
        "84 %", SHARE, "evaluate_sentiment", "text-sentiment.held_out.movie.sign_right",
    ),
    (
        "… the clear ones",
        "84 %", SHARE, "evaluate_sentiment", "text-sentiment.held_out.movie.clear_sign_right",
    ),
    (
        "… the clear ones, each sixth held out in turn",
        "84 %", FOLDED, "evaluate_sentiment", "text-sentiment.cross_validation.movie",
    ),
    (
        "Text sentiment, product reviews held out: all",
        "89 %", SHARE, "evaluate_sentiment", "text-sentiment.held_out.products.sign_right",
    ),
    (
        "… the clear ones",
        "89 %", SHARE, "evaluate_sentiment", "text-sentiment.held_out.products.clear_sign_right",
    ),
    (
        "… the clear ones, each sixth held out in turn",
        "89 %", FOLDED, "evaluate_sentiment", "text-sentiment.cross_validation.products",
    ),
    (
        "Text sentiment, tweets held out: all",
        "95 %", SHARE, "evaluate_sentiment", "text-sentiment.held_out.tweets.sign_right",
    ),
    (
        "… the clear ones",
        "95 %", SHARE, "evaluate_sentiment", "text-sentiment.held_out.tweets.clear_sign_right",
    ),
    (
        "… the clear ones, each sixth held out in turn",
        "95 %", FOLDED, "evaluate_sentiment", "text-sentiment.cross_validation.tweets",
    ),
    (
        "Text sentiment, Chinese reviews held out",
        "85 %", SHARE, "evaluate_sentiment", "text-sentiment.held_out.chinese.sign_right",
    ),
    (
        "… each sixth held out in turn",
        "85 %", FOLDED, "evaluate_sentiment", "text-sentiment.cross_validation.chinese",
    ),
    (
        "40 short phrases with a mood: sign right",
        "85 %", COUNT, "evaluate_sentiment", "text-sentiment.phrases.all.sign_right",
    ),
    (
        "20 neutral phrases: within 0.25 of zero",
        "85 %", COUNT, "evaluate_sentiment", "text-sentiment.phrases.all.neutral_near_zero",
    ),
    (
        "Image sentiment, an unseen style against people: correlation",
        "0.5", NUMBER, "evaluate_image_sentiment", "image-sentiment.unseen_style.50_uses.correlation_with_people",
    ),
    (
        "Image sentiment, generated pictures: sign agrees in clear cases",
        "95 %", SHARE, "evaluate_image_sentiment", "image-sentiment.generated.sign_agrees_when_clear",
    ),
]


def value_at(metrics, path):
    for part in path.split("."):
        if not isinstance(metrics, dict) or part not in metrics:
            return None
        metrics = metrics[part]
    return metrics


def shown(value, form):
    if value is None:
        return "not measured"
    return form.format(**value) if isinstance(value, dict) else form.format(value)


def table(metrics):
    lines = ["| what | goal | measured | by |", "|---|---|---|---|"]
    for what, goal, form, script, path in ROWS:
        value = value_at(metrics, path)
        lines.append(f"| {what} | {goal} | {shown(value, form)} | `{script}.py` |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    options = parser.parse_args()
    prepare(options)
    metrics = {
        path.stem.removeprefix("metrics-"): read_json(path)
        for path in sorted(options.work.glob("metrics-*.json"))
    }
    card = HERE.parent / "README.md"
    text = card.read_text(encoding="utf-8")
    if TRIAL:
        metrics["trial"] = TRIAL_MARK
        text = f"**{TRIAL_MARK}**\n\n{text}"
    write_json(BUNDLE / "metrics.json", metrics, indent=2)
    block = f"{START}\n{table(metrics)}\n{END}"
    text = re.sub(f"{START}.*?{END}", lambda _: block, text, flags=re.S)
    (BUNDLE / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
