"""Writes what the reference library (`tokenizers`) makes of the lines, for the tests to compare.

Usage:
  python make_goldens.py                    the committed lines.txt and every committed golden
  python make_goldens.py FOLDER OUTPUT      the same for a tokenizer folder that is not committed;
                                            name OUTPUT in PIPIT_TOKENIZER_GOLDENS and run the tests

A golden is a text file. Its first line is the tokenizer's folder, relative to the file or absolute.
Then comes a row for each line: a hash of its ids, and for the first lines the ids themselves. What
is asked of the library changes with the row's number; see `ask`. Ran with tokenizers 0.23.3 and,
for folders without tokenizer.json, transformers 5.23.0.
"""

import os
import sys

import golden_lines
import make_tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS_WITH_IDS = 160


def ask(tokenizer, row, text):
    """Every eighth row is truncated to 12 ids, every other eighth goes without special ids."""
    if row % 8 == 3:
        tokenizer.enable_truncation(12)
    ids = tokenizer.encode(text, add_special_tokens=row % 8 != 5).ids
    if row % 8 == 3:
        tokenizer.no_truncation()
    return ids


def digest(ids):
    """FNV-1a over whole ids, its upper half."""
    state = 0xCBF29CE484222325
    for value in ids:
        state = (state ^ value) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return "%08x" % (state >> 32)


def write_golden(tokenizer, folder, lines, path):
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(folder + "\n")
        for row, line in enumerate(lines):
            text = golden_lines.content(line).decode("utf-8", errors="replace")
            ids = ask(tokenizer, row, text)
            columns = [digest(ids)] + (
                ["%d" % value for value in ids] if row < ROWS_WITH_IDS else []
            )
            file.write(" ".join(columns) + "\n")


def write_committed(lines):
    for name in sorted(make_tokenizers.MAKERS):
        folder = os.path.join(HERE, name)
        os.makedirs(folder, exist_ok=True)
        if not os.listdir(folder):
            # A trainer's ties may fall differently in another version: what is there stays.
            make_tokenizers.MAKERS[name](folder)
        write_golden(
            make_tokenizers.load(folder), name, lines, os.path.join(HERE, name + ".golden")
        )
    bundle = "../../../Models/Default/text_encoder"
    if os.path.exists(os.path.join(HERE, bundle)):
        tokenizer = make_tokenizers.load(os.path.join(HERE, bundle))
        write_golden(tokenizer, bundle, lines, os.path.join(HERE, "default.golden"))


def main(arguments):
    lines = golden_lines.make()
    if len(arguments) == 2:
        folder, output = arguments
        os.makedirs(output, exist_ok=True)
        golden_lines.write(os.path.join(output, "lines.txt"), lines)
        name = os.path.basename(os.path.abspath(folder)) + ".golden"
        write_golden(
            make_tokenizers.load(folder), os.path.abspath(folder), lines, os.path.join(output, name)
        )
        return
    golden_lines.write(os.path.join(HERE, "lines.txt"), lines)
    write_committed(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
