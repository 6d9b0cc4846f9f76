#!/usr/bin/env python3
"""Writes tests/data/image: a small picture as Pillow, TensorFlow and OpenCV resize it, and as files.

    scripts/image-goldens.py [ZOO]        ZOO: folder of models, default $EDGERUN_ZOO

Needs numpy, pillow, tensorflow-cpu, opencv-python-headless, ai-edge-litert, on x86-64. Made with
numpy 2.4.6, pillow 13.0.0, tensorflow-cpu 2.21.0, opencv-python-headless 5.0.0.93.
`x` is the picture, uint8 [22, 27, 3]; `METHOD_WxH` what the method makes of it at that size, uint8, or
float32 of TensorFlow. `gray` is Pillow's `L` of it. files.zip holds the picture as files of several kinds;
files.npz what Pillow reads in each, as RGB. zoo.npz holds, as MODEL/PHOTOGRAPH, the bytes that LiteRT gives for the
zoo's photographs, resized by Pillow's bilinear filter. boxes.npz: raw outputs of YOLO's shapes, and what is left of them.
"""

import io
import os
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

WIDTH, HEIGHT = 27, 22
ZOO = [
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v1_0.5_160_quant",
    "mobilenet_v2_1.0_224_quant",
    "tf2_mobilenet_v2_1.0_224_ptq",
]
SIZES = [(10, 9), (27, 9), (13, 22), (41, 30), (40, 11), (9, 11), (1, 1)]


def picture() -> np.ndarray:
    """Soft waves with noise and hard edges: every rounding occurs."""
    rng = np.random.default_rng(9)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    waves = [128 + 90 * np.sin(x / 3 + c) * np.cos(y / 4 - c) for c in range(3)]
    soft = np.stack(waves, axis=-1) + rng.normal(0, 20, (HEIGHT, WIDTH, 3))
    soft[5:9, 4:20] = [255, 0, 255]
    soft[:, 21] = rng.integers(0, 2, (HEIGHT, 3)) * 255
    return soft.clip(0, 255).astype(np.uint8)


def all_of(x: np.ndarray, size: tuple[int, int]):
    """Each method's name and what it gives."""
    width, height = size
    for name in ["box", "bilinear", "bicubic", "lanczos"]:
        how = Image.Resampling[name.upper()]
        yield f"pillow_{name}", np.asarray(Image.fromarray(x).resize(size, how))
    v1 = tf.compat.v1.image.resize_bilinear
    batch = x[None]
    yield "tensorflow_bilinear", tf.image.resize(batch, (height, width)).numpy()[0]
    yield "tensorflow_v1_bilinear", v1(batch, (height, width)).numpy()[0]
    yield "tensorflow_align_corners", v1(batch, (height, width), align_corners=True).numpy()[0]
    yield "tensorflow_area", tf.image.resize(batch, (height, width), method="area").numpy()[0]
    yield "opencv_linear", cv2.resize(x, size, interpolation=cv2.INTER_LINEAR)
    yield "opencv_area", cv2.resize(x, size, interpolation=cv2.INTER_AREA)


def files(x: np.ndarray):
    """Each file's name and its bytes."""
    image = Image.fromarray(x)
    soft = Image.fromarray(x).resize((80, 48), Image.Resampling.BICUBIC)
    alpha = image.copy()
    alpha.putalpha(image.convert("L"))
    gray16 = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    for name, picture, settings in [
        ("444.jpg", soft, {"quality": 90, "subsampling": 0}),
        ("420.jpg", soft, {"quality": 80, "subsampling": 2}),
        ("422.jpg", soft, {"quality": 80, "subsampling": 1}),
        ("progressive.jpg", soft, {"quality": 80, "progressive": True}),
        ("gray.jpg", soft.convert("L"), {"quality": 80}),
        ("rgb.png", image, {}),
        ("alpha.png", alpha, {}),
        ("palette.png", image.quantize(16), {}),
        ("gray.png", image.convert("L"), {}),
        ("gray16.png", gray16, {}),
        ("rgb.bmp", image, {}),
        ("alpha.bmp", alpha, {}),
        ("palette.bmp", image.quantize(16), {}),
    ]:
        out = io.BytesIO()
        picture.save(out, name.rsplit(".")[-1].replace("jpg", "jpeg"), **settings)
        yield name, out.getvalue()


def write_files(folder: Path, x: np.ndarray) -> None:
    """files.zip and files.npz."""
    read = {}
    with zipfile.ZipFile(folder / "files.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files(x):
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
            image = Image.open(io.BytesIO(data))
            if image.mode.startswith("I"):
                image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
            read[name] = np.asarray(image.convert("RGB"))
    np.savez_compressed(folder / "files.npz", **read)


def kept(boxes: np.ndarray, scores: np.ndarray, threshold: float, overlap: float) -> np.ndarray:
    """Class, score, left, top, right, bottom of what torchvision's `batched_nms` keeps of centre x, y, width, height, 0 to 1."""
    best = scores.argmax(axis=1)
    score = scores.max(axis=1)
    x, y, w, h = boxes.T
    corners = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
    chosen: list[int] = []
    for i in np.argsort(-score, kind="stable"):
        if score[i] < threshold:
            continue
        for j in chosen:
            if best[i] != best[j]:
                continue
            low, high = np.maximum(corners[i, :2], corners[j, :2]), np.minimum(corners[i, 2:], corners[j, 2:])
            both = np.prod(np.maximum(high - low, 0))
            if both / (w[i] * h[i] + w[j] * h[j] - both) > overlap:
                break
        else:
            chosen.append(i)
    rows = [np.concatenate([[best[i], score[i]], corners[i]]) for i in chosen]
    return np.array(rows, dtype=np.float32)


def write_boxes(folder: Path) -> None:
    """boxes.npz: outputs of YOLO's shapes for an input of 320 x 320, and what is kept of them."""
    rng = np.random.default_rng(5)
    centres = rng.uniform(0.2, 0.8, (12, 2))
    which = rng.integers(0, 12, 300)
    boxes = np.concatenate([centres[which] + rng.normal(0, 0.02, (300, 2)), rng.uniform(0.1, 0.3, (300, 2))], axis=1)
    boxes = boxes.astype(np.float32)
    scores = (rng.uniform(0, 1, (300, 4)) ** 3).astype(np.float32)
    objectness = rng.uniform(0, 1, (300, 1)).astype(np.float32)
    pixels = boxes * np.float32(320)
    np.savez_compressed(
        folder / "boxes.npz",
        v5=np.concatenate([pixels, objectness, scores], axis=1)[None],
        v5_kept=kept(boxes, scores * objectness, 0.3, 0.45),
        v8=np.concatenate([pixels, scores], axis=1).T[None].copy(),
        v8_kept=kept(boxes, scores, 0.3, 0.45),
    )


def write_zoo(folder: Path, zoo: Path) -> None:
    """zoo.npz."""
    outputs = {}
    for model in ZOO:
        interpreter = Interpreter(str(zoo / "coral" / f"{model}.tflite"), num_threads=1)
        interpreter.allocate_tensors()
        (x,), (y,) = interpreter.get_input_details(), interpreter.get_output_details()
        _, height, width, _ = x["shape"]
        for photograph in ["cat", "grace_hopper", "sunflower"]:
            image = Image.open(zoo / "coral" / f"{photograph}.bmp").convert("RGB")
            pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
            if x["dtype"] == np.int8:
                pixels = (pixels.astype(np.int16) - 128).astype(np.int8)
            interpreter.set_tensor(x["index"], pixels[None])
            interpreter.invoke()
            outputs[f"{model}/{photograph}"] = interpreter.get_tensor(y["index"])[0]
    np.savez_compressed(folder / "zoo.npz", **outputs)


def main() -> None:
    cv2.ipp.setUseIPP(False)  # OpenCV's own code: what boards run
    x = picture()
    arrays = {"x": x, "gray": np.asarray(Image.fromarray(x).convert("L"))}
    for width, height in SIZES:
        for name, y in all_of(x, (width, height)):
            arrays[f"{name}_{width}x{height}"] = np.ascontiguousarray(y)
    out = Path(__file__).parent.parent / "tests/data/image/resize.npz"
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out, **arrays)
    write_files(out.parent, x)
    write_boxes(out.parent)
    zoo = sys.argv[1] if len(sys.argv) > 1 else os.environ["EDGERUN_ZOO"]
    write_zoo(out.parent, Path(zoo))
    print(out, out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
