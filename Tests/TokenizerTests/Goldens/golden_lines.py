"""The lines that the tokenizer goldens are made of, the same on every run.

A line is bytes, not always valid UTF-8. In lines.txt each is written on one line: backslash, line
ends and bytes that are no text appear as \\xNN, and a line that repeats a unit is "\\*COUNT:UNIT".
"""

import random

ENGLISH = {
    "who": "I|you|the old sailor|my sister|a tired engineer|nobody|the neighbours' cat|Dr. Müller|"
    "our team|the committee|a small robot|every child here|grandma|the two painters".split("|"),
    "does": "saw|painted|can't find|has forgotten|will rebuild|"
    "loves|didn't like|measured|is drawing|"
    "would've bought|sold|dreams of|re-reads|unscrewed|photographed|misunderstood".split("|"),
    "what": "a smiling cat|the red car|twenty-one lighthouses|an unbelievable story|some bread|"
    "a blue bicycle with 3 wheels|the year 1984|a cup of coffee|the naïve résumé|"
    "an ice cream cone|nothing at all|the world's largest pumpkin|a pair of glasses|"
    "version 2.0.1 of it|a snow-covered mountain|"
    "the self-portrait|antidisestablishmentarianism".split("|"),
    "how": "quickly|in the rain|at 7:45 pm|for $12.50|"
    "with great care|before breakfast|again and again|"
    "on a Tuesday|under the bridge|(as usual)|without a word|100% of the time|by e-mail|"
    'because it\'s late|near the café|"for fun"'.split("|"),
    "end": ".|!|?|...|!!|?!|;|, really.|, isn't it?|".split("|"),
}

CHINESE = {
    "who": "我|你们|那位老船长|他的妹妹|邻居家的猫|一个小机器人|所有的孩子|奶奶|两个画家|工程师小王|没有人".split(
        "|"
    ),
    "when": "昨天|今天早上|下雨的时候|二〇二四年|每个星期二|晚饭以前|三点半|突然|一直|在桥下".split(
        "|"
    ),
    "does": "看见了|画了|找不到|忘记了|喜欢|不喜欢|买了|正在修理|梦见|卖掉了|测量了".split("|"),
    "what": "一只微笑的猫|一辆红色的汽车|二十一座灯塔|很好吃的面包|蓝色的自行车|一杯咖啡|没有意义的故事|冰淇淋|"
    "世界上最大的南瓜|下雪的山|她的自画像|龘靐齉|3.5公斤苹果|什么东西".split("|"),
    "end": "。|！|？|……|，对吗？|～|；|".split("|"),
}

OTHER = [
    "これは猫です。とても可愛い！",
    "カタカナとひらがな、ﾊﾝｶｸも。",
    "고양이가 웃고 있어요.",
    "한글 자모 ᄒᆞᆫ글",
    "Привет, как дела? Ёжик в тумане.",
    "Γειά σου Κόσμε· ΌΣΟΣ ὈΔΥΣΣΕΎΣ",
    "שָׁלוֹם עולם",
    "مرحبا بالعالم، كَيْفَ الحال؟",
    "नमस्ते दुनिया, क्षत्रिय विद्यार्थी",
    "สวัสดีชาวโลก",
    "வணக்கம் உலகம்",
    "გამარჯობა ᲛᲡᲝᲤᲚᲘᲝ",
    "Xin chào thế giới, Việt Nam",
    "İstanbul'da ılık bir gün; IĞDIR",
    "Straße GROẞE ﬁnden ﬀ ﬃ ŉ ǰ ΐ",
    "Ægir œuvre ĳ Ǆ ǅ ǆ",
    "ℌ𝔢𝔩𝔩𝔬 𝕎𝕠𝕣𝕝𝕕 𝒷𝓎ℯ ⓗⓔⓛⓛⓞ Ｆｕｌｌ　ｗｉｄｔｈ",
    "½ + ¼ = ¾, x² ≠ x₂, № 5, ™®©, ㎏ ㍿ ㊙ ㈱ ﷺ",
    "１２３４５ ٠١٢٣ ०१२३ Ⅷ ⅷ ①②③ 〇",
    "“Curly” ‘quotes’ — dash – minus − hyphen ‐ · …",
    "«guillemets» ‹single› „low“ 「角」『二重』【黑】〈山〉",
    "a\u00a0b\u2003c\u202fd\u3000e\u1680f\u2028g\u2029h\u0085i\u000bj\u000ck",
    "zero\u200bwidth\u200cnon\u200djoin\u2060word\ufeffbom",
    "soft\u00adhyphen \u061c\u200e\u200f\u202a\u202e\u2066\u2069 marks",
    "ꦱꦸꦒꦼꦁ ꦫꦮꦸꦃ ᮞᮥᮜᮥᮔ᮪ 𑄌𑄋𑄴𑄟𑄳𑄦 𖬖𖬰𖬝𖬵",
    "ꙗ꙯ ҂ а҃ ⱁⰰ ᏣᎳᎩ ꮳꮃꭹ 𐐀𐐨 𞤀𞤢",
    "ༀམཎིཔདྨེཧཱུྃ། བོད་",
    "ភាសាខ្មែរ မြန်မာ ລາວ",
]

EMOJI = (
    "😀 😂 🥰 😡 👍 "
    "👍🏽 👩🏾‍💻 👨‍👩‍👧‍👦 🏳️‍🌈 🏴‍☠️ 🇩🇪 🇨🇳 🇺🇳🇪 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️ ❤ ☺️ ✌🏿 1️⃣ #️⃣ *⃣ 🤷‍♀️ 🧑‍🤝‍🧑 🐈‍⬛ 🐻‍❄️ "
    "❤️‍🔥 🫠 🫨 🪿 👁️‍🗨️ 🧑🏻‍🚀 ☎︎ ☎️ ⏰ ♟️ 🦾 💩 🆗 🈶 🀄 🃏 ©️ ‼️ ⁉️ ↔️"
).split(" ")

SPECIALS = [
    "</s>",
    "<s>",
    "<pad>",
    "<unk>",
    "<mask>",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[PAD]",
    "[UNK]",
    "[unused1]",
    "<|endoftext|>",
    "<|startoftext|>",
    "<0x0A>",
    "▁",
    "##",
    "##s",
    "</w>",
    "Ġ",
    "<S>",
    "[cls]",
    "< s >",
    "<|im_start|>",
    "yesterday",
    "New York",
]

ACCENTS = (
    "\u0301\u0300\u0302\u0308\u030a\u0327\u0328\u0323\u0345"
    "\u0338\u20dd\u05bc\u064b\u093c\u0e38\u3099\u1161\u11a8"
)

BLOCKS = [
    (0x20, 0x7E),
    (0xA0, 0x24F),
    (0x250, 0x36F),
    (0x370, 0x52F),
    (0x590, 0x6FF),
    (0x900, 0xDFF),
    (0xE00, 0x11FF),
    (0x1200, 0x1FFF),
    (0x2000, 0x2BFF),
    (0x2C00, 0x2FFF),
    (0x3000, 0x33FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA000, 0xABFF),
    (0xAC00, 0xD7FF),
    (0xE000, 0xE010),
    (0xF900, 0xFAFF),
    (0xFB00, 0xFFFF),
    (0x10000, 0x10FFF),
    (0x11000, 0x12FFF),
    (0x16800, 0x1B2FF),
    (0x1D000, 0x1D7FF),
    (0x1E000, 0x1EFFF),
    (0x1F000, 0x1FAFF),
    (0x20000, 0x2A6DF),
    (0x2F800, 0x2FA1F),
    (0xE0000, 0xE01FF),
    (0x10FFF0, 0x10FFFF),
]


def english(rng):
    sentence = " ".join(rng.choice(ENGLISH[part]) for part in ("who", "does", "what", "how"))
    return sentence[0].upper() + sentence[1:] + rng.choice(ENGLISH["end"])


def chinese(rng):
    return "".join(rng.choice(CHINESE[part]) for part in ("who", "when", "does", "what", "end"))


def mixed(rng):
    parts = []
    for _ in range(rng.randrange(2, 6)):
        parts.append(
            rng.choice(
                [
                    english,
                    chinese,
                    lambda r: r.choice(OTHER),
                    lambda r: r.choice(EMOJI),
                    lambda r: r.choice(SPECIALS),
                    lambda r: str(r.randrange(10 ** r.randrange(1, 9))),
                ]
            )(rng)
        )
    return rng.choice(["", " ", " ", "  ", ", "]).join(parts)


def emoji(rng):
    return rng.choice(["", " "]).join(rng.choice(EMOJI) for _ in range(rng.randrange(1, 9)))


def accented(rng):
    text = ""
    for letter in rng.choice([english(rng), rng.choice(OTHER), chinese(rng)]):
        text += letter
        while rng.random() < 0.3:
            text += rng.choice(ACCENTS)
    return text


def controls(rng):
    text = list(english(rng))
    for _ in range(rng.randrange(1, 6)):
        character = chr(
            rng.choice(
                list(range(0x20)) + list(range(0x7F, 0xA0)) + [0xFFFD, 0xFEFF, 0x200B, 0x2028]
            )
        )
        text.insert(rng.randrange(len(text) + 1), character * rng.randrange(1, 3))
    return "".join(text)


def spaces(rng):
    text = ""
    for word in english(rng).split(" "):
        text += (
            rng.choice([" ", " ", "  ", "   ", "\t", "\n", "\r\n", " \n ", "\u3000", "\u00a0", ""])
            + word
        )
    return text + rng.choice(["", " ", "\n", "   "])


def anything(rng):
    text = ""
    for _ in range(rng.randrange(1, 16)):
        first, last = rng.choice(BLOCKS)
        for _ in range(rng.randrange(1, 4)):
            code = rng.randrange(first, last + 1)
            text += chr(code) if not 0xD800 <= code <= 0xDFFF else " "
    return text


def special(rng):
    text = ""
    for _ in range(rng.randrange(1, 6)):
        text += rng.choice([" ", "", "  ", "x", "é"]) + rng.choice(SPECIALS)
        text += rng.choice(
            ["", " ", "s", ".", rng.choice(ENGLISH["what"]), rng.choice(CHINESE["what"])]
        )
    return text


def shuffled_case(rng):
    return "".join(
        letter.upper() if rng.random() < 0.5 else letter
        for letter in english(rng) + rng.choice(OTHER)
    )


def broken(rng):
    data = bytearray(mixed(rng).encode())
    for _ in range(rng.randrange(1, 6)):
        position = rng.randrange(len(data) + 1)
        action = rng.randrange(3)
        if action == 0:
            data[position:position] = bytes(
                rng.randrange(0x80, 0x100) for _ in range(rng.randrange(1, 4))
            )
        elif action == 1:
            del data[position : position + 1]
        else:
            data[position:position] = rng.choice(
                [
                    b"\xed\xa0\x80",
                    b"\xf4\x90\x80\x80",
                    b"\xc0\x80",
                    b"\xe2\x82",
                    b"\xf0\x9f\x98",
                    b"\xf0\x9f",
                    b"\xff\xfe",
                    b"\xe0\x80\x80",
                ]
            )
    return bytes(data)


def repeats(rng):
    """(count, unit) pairs: texts of about 50,000 characters, and some shorter."""
    units = [
        "a",
        "ab ",
        "the cat ",
        "猫",
        "一只猫，",
        "é",
        "e\u0301",
        "👩‍👩‍👧",
        " ",
        "\n",
        "x\u0301",
        "</s>",
        "[SEP] ",
        "ﬁ",
        "\u0301",
        "한",
        "Supercalifragilistic",
        "'s",
        "1",
        ". ",
        "ａ",
        "\x00",
        "\ufffd",
        "क्ष",
        "▁",
        "\U0001f1e9",
    ]
    pairs = [(50000 // len(unit), unit) for unit in units]
    return pairs + [(rng.randrange(2, 300), rng.choice(units)) for _ in range(60)]


def make():
    """The lines: bytes, or (count, bytes) for a repeated unit."""
    rng = random.Random(20240613)
    makers = [
        (english, 900),
        (chinese, 800),
        (mixed, 800),
        (emoji, 250),
        (accented, 500),
        (controls, 350),
        (spaces, 300),
        (anything, 700),
        (special, 350),
        (shuffled_case, 150),
        (broken, 300),
    ]
    lines = [
        "",
        " ",
        "  ",
        "\n",
        "\t \r\n",
        "\x00",
        "\u3000",
        "a",
        "A",
        "猫",
        "é",
        "e\u0301",
        "\u0301",
        "\ufffd",
        "'",
        "''s",
        "'s",
        "it's",
        "IT'S",
        "  a",
        "a  ",
        "\n\na",
        "a\u0085b",
    ]
    lines += OTHER + EMOJI + SPECIALS
    lines = [line.encode() for line in lines]
    for maker, count in makers:
        for _ in range(count):
            line = maker(rng)
            lines.append(line if isinstance(line, bytes) else line.encode())
    return lines + [(count, unit.encode()) for count, unit in repeats(rng)]


def escaped(data):
    text = data.decode("utf-8", errors="surrogateescape")
    result = ""
    for character in text:
        code = ord(character)
        if 0xDC80 <= code <= 0xDCFF:
            result += "\\x%02x" % (code - 0xDC00)
        elif character == "\\" or code < 0x20 or code in (0x7F, 0x85, 0x2028, 0x2029):
            result += "".join("\\x%02x" % byte for byte in character.encode())
        else:
            result += character
    return result


def write(path, lines):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            if isinstance(line, tuple):
                file.write("\\*%d:%s\n" % (line[0], escaped(line[1])))
            else:
                file.write(escaped(line) + "\n")


def content(line):
    return line[1] * line[0] if isinstance(line, tuple) else line
