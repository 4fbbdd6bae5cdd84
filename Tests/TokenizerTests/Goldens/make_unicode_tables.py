"""Writes Sources/Tokenizers/Unicode/*Data.swift.

The tables say what the reference library (`tokenizers`) itself does with each code point, found by
asking it: its parts were built against different versions of Unicode, some of them old, and ids
must equal its ids. Grapheme classes, which it does not show, come from the `regex` package; the
goldens then check them against the library.

Usage: python make_unicode_tables.py ROOT_OF_THE_REPOSITORY   (needs: tokenizers, regex)
"""

import sys
import unicodedata

import regex
import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
HANGUL = range(0xAC00, 0xAC00 + 11172)


def number(value):
    """Five bits a character, lowest first; 32 is added where more follow."""
    text = ""
    while value >= 32:
        text += ALPHABET[32 + value % 32]
        value //= 32
    return text + ALPHABET[value]


def ranges(values):
    """Sorted code points as [first, last] ranges."""
    found = []
    for value in values:
        if found and found[-1][1] == value - 1:
            found[-1][1] = value
        else:
            found.append([value, value])
    return found


def code_set(contains):
    """A set of code points: for each range the gap before it and its length less one."""
    text, end = "", 0
    for first, last in ranges([c for c in CODE_POINTS if contains(chr(c))]):
        text += number(first - end) + number(last - first)
        end = last + 1
    return text


def code_classes(class_of):
    """Ranges as in `code_set`, each followed by its class; class 0 is left out."""
    text, end, run = "", 0, None

    def flush():
        nonlocal text, end
        if run:
            text += number(run[0] - end) + number(run[1] - run[0]) + number(run[2])
            end = run[1] + 1

    for c in CODE_POINTS:
        value = class_of(chr(c))
        if run and run[1] == c - 1 and run[2] == value:
            run[1] = c
        elif value:
            flush()
            run = [c, c, value]
    flush()
    return text


def mappings(pairs):
    """(code point, scalars) pairs in order. Each entry: gap, then 2 * count, then the scalars; or,
    for a run of code points that map to one scalar each in step: gap, 2 * length + 1, first scalar.
    """
    text, end, index = "", 0, 0
    while index < len(pairs):
        code, target = pairs[index]
        length = 1
        while (
            len(target) == 1
            and index + length < len(pairs)
            and pairs[index + length] == (code + length, [target[0] + length])
        ):
            length += 1
        text += number(code - end)
        if length > 1:
            text += number(2 * length + 1) + number(target[0])
        else:
            text += number(2 * len(target)) + "".join(number(scalar) for scalar in target)
        end = code + length
        index += length
    return text


def swift(summary, entries):
    """A Swift file of string constants, at most 100 columns wide."""
    lines = [
        "// Made by Tests/TokenizerTests/Goldens/make_unicode_tables.py with tokenizers "
        + tokenizers.__version__
        + ".",
        "",
        summary,
    ]
    for name, comment, text in entries:
        lines += ["", "  /// " + comment, '  static let %s: StaticString = """' % name]
        width = 94
        chunks = [text[i : i + width] for i in range(0, len(text), width)]
        lines += ["    " + chunk + ("\\" if chunk is not chunks[-1] else "") for chunk in chunks]
        lines += ['    """']
    return "\n".join(lines + ["}", ""])


def spreads(pre_tokenizer, around):
    """Whether a pre-tokenizer makes `count` pieces of a code point between two others."""
    return lambda c, count: len(pre_tokenizer.pre_tokenize_str(around + c + around)) == count


def sets():
    split = lambda pattern: spreads(pre_tokenizers.Split(Regex(pattern), "isolated"), "!")
    letter, numeral = split(r"\p{L}"), split(r"\p{N}")
    numeric = spreads(pre_tokenizers.Digits(True), "!")
    punctuation = spreads(pre_tokenizers.BertPreTokenizer(), "a")
    word = spreads(pre_tokenizers.Whitespace(), "a")
    clean = normalizers.BertNormalizer(True, False, False, False)
    strip = normalizers.BertNormalizer(False, False, True, False)
    marks = normalizers.StripAccents()
    return [
        ("letters", "`\\p{L}` of its regular expressions.", code_set(lambda c: letter(c, 3))),
        ("numbers", "`\\p{N}` of its regular expressions.", code_set(lambda c: numeral(c, 3))),
        ("numerics", "What `Digits` splits at.", code_set(lambda c: numeric(c, 3))),
        ("words", "`\\w` of its regular expressions.", code_set(lambda c: word(c, 1))),
        (
            "punctuation",
            "What `BertPreTokenizer` and `Punctuation` split at.",
            code_set(lambda c: punctuation(c, 3)),
        ),
        (
            "controls",
            "What the cleaning of `BertNormalizer` removes.",
            code_set(lambda c: clean.normalize_str(c) == ""),
        ),
        (
            "nonspacingMarks",
            "What the accent stripping of `BertNormalizer` removes.",
            code_set(lambda c: strip.normalize_str(c) == ""),
        ),
        (
            "combiningMarks",
            "What `StripAccents` removes.",
            code_set(lambda c: marks.normalize_str(c) == ""),
        ),
    ]


def grapheme_classes():
    """The order of the classes is that of `GraphemeClass`."""
    names = [
        "CR",
        "LF",
        "Control",
        "Extend",
        "ZWJ",
        "Regional_Indicator",
        "Prepend",
        "SpacingMark",
        "L",
        "V",
        "T",
    ]
    patterns = [regex.compile(r"\p{GCB=%s}" % name) for name in names]
    pictographic = regex.compile(r"\p{Extended_Pictographic}")
    consonant = regex.compile(r"\p{InCB=Consonant}")
    linker = regex.compile(r"\p{InCB=Linker}")
    conjunct_extend = regex.compile(r"\p{InCB=Extend}")

    def class_of(c):
        found = next((i + 1 for i, p in enumerate(patterns) if p.match(c)), 0)
        if linker.match(c):
            assert found in (0, 4)
            return 14 if found else 16
        if consonant.match(c):
            assert found == 0
            return 13
        if pictographic.match(c):
            assert found == 0
            return 12
        if found == 4 and not conjunct_extend.match(c):
            return 15
        return found

    return code_classes(class_of)


def normalization():
    forms = {name: getattr(normalizers, name)() for name in ("NFC", "NFD", "NFKD")}
    canonical, compatible, composed = [], [], []
    for c in CODE_POINTS:
        if c in HANGUL:
            continue
        nfd = forms["NFD"].normalize_str(chr(c))
        nfkd = forms["NFKD"].normalize_str(chr(c))
        if nfd != chr(c):
            canonical.append((c, [ord(x) for x in nfd]))
            if forms["NFC"].normalize_str(chr(c)) != chr(c):
                composed.append(c)
        if nfkd != nfd:
            compatible.append((c, [ord(x) for x in nfkd]))

    def combining_class(c):
        """Python's class, if the library's Unicode is new enough to know the mark at all."""
        value = unicodedata.combining(c)
        if value == 0:
            return 0
        probe = "\u0345" if value != 240 else "\u0338"
        later, earlier = (probe, c) if value < 240 else (c, probe)
        known = forms["NFD"].normalize_str("a" + later + earlier) != "a" + later + earlier
        return value if known else 0

    excluded = set(composed)
    return [
        ("canonical", "Full canonical decompositions, Hangul left out.", mappings(canonical)),
        (
            "compatible",
            "Full compatibility decompositions where they differ from those.",
            mappings(compatible),
        ),
        (
            "excluded",
            "Code points with a decomposition that are never composed.",
            code_set(lambda c: ord(c) in excluded),
        ),
        ("combiningClasses", "Canonical combining classes.", code_classes(combining_class)),
    ]


def lowercase():
    lower = normalizers.Lowercase()
    pairs = [(c, [ord(x) for x in lower.normalize_str(chr(c))]) for c in CODE_POINTS]
    return mappings([(c, target) for c, target in pairs if target != [c]])


def main(root):
    folder = root + "/Sources/Tokenizers/Unicode/"
    with open(folder + "UnicodeSetData.swift", "w", encoding="utf-8") as file:
        file.write(
            swift(
                "/// Code points as the reference library sees them, packed; see `PackedNumbers`.\n"
                "enum UnicodeSetData {",
                sets()
                + [
                    (
                        "graphemeClasses",
                        "Classes for grapheme clusters; see `GraphemeClass`.",
                        grapheme_classes(),
                    ),
                    ("lowercase", "Lower-case mappings.", lowercase()),
                ],
            )
        )
    with open(folder + "UnicodeNormalizationData.swift", "w", encoding="utf-8") as file:
        file.write(
            swift(
                "/// Decompositions of the reference library, packed; see `PackedNumbers`.\n"
                "enum UnicodeNormalizationData {",
                normalization(),
            )
        )


if __name__ == "__main__":
    main(sys.argv[1])
