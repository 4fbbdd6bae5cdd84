"""Prints what int8 costs and gains, model by model: the table of Quantize/README.md.

    python Quantize/evaluate.py --pipit .build/release/pipit [--pretrained DIR] [--minilm DIR] [--peers DIR]
        [--pictures DIR] [--texts FILE] [--models NAME,NAME]

Every model is taken as f32 (a bundle of integers is expanded first), quantized by `pipit quantize` with numbers
from built-in texts and pictures, and compared on others: --texts (one a line), --pictures (a folder of natural
PNGs; halves of each are not used for calibration), or the built-in ones. --pretrained holds taef2 (see
Tests/ModelTests/PretrainedTests.swift), --minilm all-MiniLM-L6-v2, --peers `NAME/hf` folders with seeded weights.
What is not given is left out. Needs numpy, Pillow and safetensors.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent
PEERS = ["minilm", "distilbert", "clip-l", "resnet18", "taesd-dec", "vae-dec", "unet"]


def run(options, *arguments):
    command = [str(options.pipit), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def quantize(options, source, name, *more):
    """The report of quantizing a folder."""
    target, page = options.work / (name + "-int8"), options.work / (name + ".html")
    run(options, "quantize", source, target, "--force", "--quiet", "--report", page,
        "--threads", options.threads, *more)
    return json.loads(page.with_suffix(".json").read_text())


def show(name, report):
    ratio = report["bytes_after"] / report["bytes_before"]
    time = report["quantized_ms"] / report["float_ms"]
    for measure in report["measurements"]:
        part = f" {measure['part']}" if measure["part"] else ""
        print(f"| {name}{part} | {measure['name']} ({measure['count']}) | {measure['value']:.5g} |")
    print(f"| {name} | file size, time of f32's | {ratio:.3f}, {time:.2f} |", flush=True)


def expanded(source, target):
    """A copy of a model's folder with f32 weights."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("train"))
    for file in target.rglob("*.safetensors"):
        tensors, dense = load_file(file), {}
        for name, tensor in tensors.items():
            base = name.rsplit("_", 1)[0]
            if name.endswith((".input_scale", ".input_zero_point")):
                continue
            if name.endswith(("_scale", "_shape")) and (base in tensors or base + "_packed" in tensors):
                continue
            if name.endswith("_packed"):
                # Eight 4-bit numbers plus 8 a word, the first in the lowest bits.
                nibbles = (tensor.view(np.uint32)[..., None] >> np.arange(0, 32, 4, dtype=np.uint32)) & 15
                scale = tensors[base + "_scale"].astype(np.float32)
                values = nibbles.reshape(*scale.shape, -1).astype(np.float32) - 8
                dense[base] = (values * scale[..., None]).reshape(len(tensor), -1)
                continue
            scale = tensors.get(name + "_scale")
            if tensor.dtype == np.int8 and scale is not None:
                rows = (len(tensor),) + (1,) * (tensor.ndim - 1)
                tensor = tensor.astype(np.float32) * scale.astype(np.float32).reshape(rows)
            dense[name] = tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor
        save_file(dense, file)
        settings = file.parent / "config.json"
        values = json.loads(settings.read_text())
        if values.pop("quantization_config", None):
            settings.write_text(json.dumps(values, indent=2) + "\n")


def bundle(options):
    folder = options.work / "default"
    expanded(ROOT / "Models/Default", folder)
    texts = ["--evaluate", options.texts] if options.texts else []
    show("default bundle", quantize(options, folder, "default", *texts))
    show("default VAE", quantize(options, folder / "vae", "default-vae"))


def minilm(options):
    texts = ["--evaluate", options.texts] if options.texts else []
    show("all-MiniLM-L6-v2", quantize(options, options.minilm, "all-minilm", *texts))


def parts(picture, side):
    """Non-overlapping squares of a picture, [-1, 1], channels first."""
    height, width, _ = picture.shape
    for top in range(0, height - side + 1, side):
        for left in range(0, width - side + 1, side):
            part = picture[top:top + side, left:left + side].astype(np.float32)
            yield np.ascontiguousarray(part.transpose(2, 0, 1)[None] / 127.5 - 1)


def taef2(options):
    from PIL import Image

    folders = {}
    for direction in ("encoder", "decoder"):
        folders[direction] = folder = options.work / f"taef2-{direction}"
        folder.mkdir()
        file = options.pretrained / "taef2" / f"{direction}.safetensors"
        shutil.copy(file, folder / "diffusion_pytorch_model.safetensors")
        settings = {"_class_name": "AutoencoderTiny", "latent_channels": 32}
        (folder / "config.json").write_text(json.dumps(settings))
    calibration, evaluation = options.work / "calibration", options.work / "evaluation"
    for folder in (calibration, evaluation):
        folder.mkdir()
    index = 0
    for file in sorted(options.pictures.glob("*.png")):
        for part in parts(np.asarray(Image.open(file).convert("RGB")), 256):
            sample = options.work / "sample.npy"
            np.save(sample, part)
            place = (calibration, evaluation)[index % 2] / f"{index:04}.npy"
            run(options, "run", folders["encoder"], "--in", f"sample={sample}",
                "--out", f"latent_parameters={place}")
            index += 1
    show("taef2 decoder", quantize(options, folders["decoder"], "taef2", "--calibrate", calibration,
                                   "--evaluate", evaluation))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pipit", type=Path, default=ROOT / ".build/release/pipit")
    parser.add_argument("--threads", type=int, default=2)
    for name in ("pretrained", "minilm", "peers", "pictures", "texts"):
        parser.add_argument("--" + name, type=Path)
    parser.add_argument("--models", default="", help="names of peers' models; all if left out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        options.work = Path(work)
        print("| model | measure (of) | value |\n|---|---|---|")
        bundle(options)
        if options.minilm:
            minilm(options)
        if options.pretrained and options.pictures:
            taef2(options)
        wanted = options.models.split(",") if options.models else PEERS
        for name in PEERS if options.peers else []:
            folder = options.peers / name / "hf"
            if name in wanted and folder.exists():
                show(f"{name} (seeded)", quantize(options, folder, name))


if __name__ == "__main__":
    main()
