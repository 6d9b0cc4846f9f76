#!/usr/bin/env python3
"""Writes tests/data/zoo/NAME.npz: what LiteRT gives for seeded inputs of each zoo model.

    scripts/zoo-goldens.py [ZOO]        ZOO: folder of models, default $EDGERUN_ZOO

Needs numpy, pillow and ai-edge-litert, on x86-64: elsewhere LiteRT rounds uint8 and softmax
differently. Inputs are not stored: tests/it/zoo.rs makes the same ones. Each file holds `y_0`
[100, ...] and `inputs_fnv64` [100], a hash of each input's bytes that tells whether both made the
same. `images.json` says which class each image model gives to each photograph, resized by Pillow's
bilinear filter.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

MODELS = {
    "ad01_int8": "mlperf-tiny/ad01_int8.tflite",
    "kws_ref_model": "mlperf-tiny/kws_ref_model.tflite",
    "pretrainedResnet_quant": "mlperf-tiny/pretrainedResnet_quant.tflite",
    "pretrainedResnet_large_int8": "mlperf-tiny/pretrainedResnet_large_int8.tflite",
    "str_ww_ref_model": "mlperf-tiny/str_ww_ref_model.tflite",
    "vww_96_int8": "mlperf-tiny/vww_96_int8.tflite",
    "ad01_fp32": "mlperf-tiny/ad01_fp32.tflite",
    "kws_ref_model_float32": "mlperf-tiny/kws_ref_model_float32.tflite",
    "pretrainedResnet": "mlperf-tiny/pretrainedResnet.tflite",
    "pretrainedResnet_large_float": "mlperf-tiny/pretrainedResnet_large_float.tflite",
    "vww_96_float": "mlperf-tiny/vww_96_float.tflite",
    "mobilenet_v1_0.25_128_quant": "coral/mobilenet_v1_0.25_128_quant.tflite",
    "mobilenet_v1_0.5_160_quant": "coral/mobilenet_v1_0.5_160_quant.tflite",
    "mobilenet_v2_1.0_224_quant": "coral/mobilenet_v2_1.0_224_quant.tflite",
    "tf2_mobilenet_v2_1.0_224_ptq": "coral/tf2_mobilenet_v2_1.0_224_ptq.tflite",
}
INPUTS = 100
IMAGES = ["cat", "grace_hopper", "sunflower"]


def splitmix64(seed: int, count: int) -> np.ndarray:
    """`count` 64-bit values of SplitMix64 from `seed`."""
    with np.errstate(over="ignore"):
        step = np.uint64(0x9E3779B97F4A7C15)
        z = np.uint64(seed) + step * np.arange(1, count + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def make_input(index: int, count: int) -> np.ndarray:
    """Input `index` as `count` bytes: noise around 128 where it is even, fainter every time up to a
    16th; a walk with small steps where it is odd."""
    noise = splitmix64(index, count)
    if index % 2 == 0:
        faint = index // 2 % 5
        return ((noise >> np.uint64(56 + faint)) + np.uint64(128 - (128 >> faint))).astype(np.uint8)
    steps = ((noise >> np.uint64(32)) % np.uint64(9)).astype(np.int64) - 4
    folded = np.mod(np.cumsum(steps) + 128, 510)
    return np.where(folded > 255, 510 - folded, folded).astype(np.uint8)


def fnv64(data: np.ndarray) -> int:
    """FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in data.tobytes():
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


def main() -> None:
    zoo = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["EDGERUN_ZOO"])
    out = Path(__file__).parent.parent / "tests" / "data" / "zoo"
    out.mkdir(parents=True, exist_ok=True)
    for name, path in MODELS.items():
        interpreter = Interpreter(str(zoo / path), num_threads=1)
        interpreter.allocate_tensors()
        (x,) = interpreter.get_input_details()
        (y,) = interpreter.get_output_details()
        outputs, hashes = [], []
        for index in range(INPUTS):
            data = make_input(index, int(np.prod(x["shape"])))
            hashes.append(fnv64(data))
            if x["dtype"] == np.float32:
                data = data.view(np.int8).astype(np.float32) / np.float32(40)
            interpreter.set_tensor(x["index"], data.view(x["dtype"]).reshape(x["shape"]))
            interpreter.invoke()
            outputs.append(interpreter.get_tensor(y["index"])[0])
        # int64 like every array that edgerun reads; the bits are the hash's.
        hashes = np.array(hashes, dtype=np.uint64).view(np.int64)
        np.savez_compressed(out / f"{name}.npz", y_0=np.stack(outputs), inputs_fnv64=hashes)
        print(f"{name}: {np.stack(outputs).shape}")
    classes = {}
    for name in (name for name in MODELS if "mobilenet" in name):
        interpreter = Interpreter(str(zoo / MODELS[name]), num_threads=1)
        interpreter.allocate_tensors()
        (x,), (y,) = interpreter.get_input_details(), interpreter.get_output_details()
        _, height, width, _ = x["shape"]
        for image in IMAGES:
            pixels = Image.open(zoo / "coral" / f"{image}.bmp").convert("RGB")
            pixels = np.asarray(pixels.resize((width, height), Image.Resampling.BILINEAR))
            if x["dtype"] == np.int8:
                pixels = (pixels.astype(np.int16) - 128).astype(np.int8)
            interpreter.set_tensor(x["index"], pixels[None])
            interpreter.invoke()
            classes.setdefault(name, {})[image] = int(interpreter.get_tensor(y["index"]).argmax())
    (out / "images.json").write_text(json.dumps(classes, indent=1) + "\n")


if __name__ == "__main__":
    main()
