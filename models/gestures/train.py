"""Trains the gesture models and writes their bundles: gestures.tflite, manifest.toml, golden.npz, metrics.json.

    pip install -r models/requirements.txt
    python models/gestures/train.py            # 1.0.0 here and 1.1.0 in next/
    python models/gestures/train.py 1.1.0      # only that one

The same packages on the same kind of CPU give the same files, byte for byte.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
import bundle
from tflite import Int8Model, tensor_table, to_int8

LABELS = ["standing", "running", "walking", "badminton"]  # the archive's order
CHANNELS = [{"name": f"accel_{axis}", "unit": "m/s²"} for axis in "xyz"] + [
    {"name": f"gyro_{axis}", "unit": "rad/s"} for axis in "xyz"
]
FRAMES, RATE_HZ = 40, 10
TEST_STRIDE, TRAIN_STRIDE = 10, 2
SEED = 20240607


@dataclass
class Version:
    """What sets one version apart; everything else is the same for all."""

    folder: Path
    filters: tuple[int, int, int]  # of the three convolutions
    copies: int  # changed copies of the training windows, beside the windows themselves
    epochs: int


VERSIONS = {
    "1.0.0": Version(FOLDER, (12, 16, 24), copies=0, epochs=40),
    "1.1.0": Version(FOLDER / "next", (16, 24, 32), copies=3, epochs=30),
}

# What an MPU-6050 at ±4 g and ±2000 °/s can measure; sensitivities from its register map (RM-MPU-6000A, 4.17 and 4.19).
STANDARD_GRAVITY = 9.80665
ACCEL_LSB = STANDARD_GRAVITY / 8192  # m/s² a step
GYRO_LSB = np.pi / 180 / 16.4  # rad/s a step
LIMITS = np.array([4 * STANDARD_GRAVITY] * 3 + [np.deg2rad(2000)] * 3, np.float32)


def recordings(split):
    """`(x, y)`: x [40, 100, 6] float32 in m/s² and rad/s, y [40] class numbers."""
    x, y = [], []
    for line in (FOLDER / "data" / f"BasicMotions_{split}.ts").read_text().splitlines():
        if line and line[0] not in "#@":
            *channels, label = line.split(":")
            x.append(np.array([channel.split(",") for channel in channels], np.float32).T)
            y.append(LABELS.index(label.strip().lower()))
    return np.stack(x), np.array(y)


def windows(x, y, stride):
    """Windows of FRAMES rows that start every `stride` rows and never cross a border between recordings."""
    starts = range(0, x.shape[1] - FRAMES + 1, stride)
    cut = np.stack([x[:, start : start + FRAMES] for start in starts], axis=1)
    return cut.reshape(-1, FRAMES, x.shape[2]), np.repeat(y, len(starts))


def through_registers(x):
    """`x` as an MPU-6050 reports it: rounded to its steps, held inside its 16-bit registers."""
    lsb = np.array([ACCEL_LSB] * 3 + [GYRO_LSB] * 3)
    return (np.clip(np.rint(x / lsb), -32768, 32767) * lsb).astype(np.float32)


def augmented(x, y, copies):
    """`x` [n, 40, 6] standardised and `y` [n], followed by `copies` of them: each window up to a fifth stronger or
    weaker, with noise of a tenth of a standard deviation."""
    random = np.random.default_rng(SEED)
    found = [x]
    for _ in range(copies):
        strength = random.uniform(0.8, 1.2, (len(x), 1, 1))
        found.append((x * strength + random.normal(0, 0.1, x.shape)).astype(np.float32))
    return np.concatenate(found), np.tile(y, 1 + copies)


def network(filters):
    """[n, 40, 6] standardised rows to [n, 4] probabilities; one-dimensional convolutions over time."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input((FRAMES, len(CHANNELS))),
            layers.Reshape((1, FRAMES, len(CHANNELS))),
            layers.Conv2D(filters[0], (1, 5), strides=(1, 2), padding="same", activation="relu"),
            layers.Conv2D(filters[1], (1, 5), strides=(1, 2), padding="same", activation="relu"),
            layers.Conv2D(filters[2], (1, 3), padding="same", activation="relu"),
            layers.AveragePooling2D((1, 10)),
            layers.Flatten(),
            layers.Dense(len(LABELS), activation="softmax"),
        ]
    )


def train(x, y, version):
    """The float network fitted to standardised windows. No part of the test split is looked at."""
    tf.keras.backend.clear_session()  # the layers' names, which the .tflite file holds, count from the start again
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    x, y = augmented(x, y, version.copies)
    model = network(version.filters)
    batch = 32
    steps = version.epochs * -(-len(x) // batch)
    rate = tf.keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(tf.keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=version.epochs, batch_size=batch, verbose=0)
    return model


def golden_windows(y, found):
    """Which 24 windows to keep: of each class the three that the model is least sure of, where a wrong kernel shows
    first, and three spread over the rest."""
    chosen = []
    for label in range(len(LABELS)):
        surest_last = np.flatnonzero(y == label)
        surest_last = surest_last[np.argsort(found[surest_last].max(1), kind="stable")]
        chosen += [*surest_last[:3], *surest_last[3:][:: len(surest_last) // 3][:3]]
    return np.array(chosen)


def write(number, version):
    """Trains the version `number` and writes its bundle."""
    version.folder.mkdir(exist_ok=True)
    train_x, train_y = windows(*recordings("TRAIN"), TRAIN_STRIDE)
    test_x, test_y = windows(*recordings("TEST"), TEST_STRIDE)

    clip = {"do": "clip", "low": -LIMITS, "high": LIMITS}
    measurable = bundle.run_recipe([clip], recordings("TRAIN")[0])
    steps = [
        {"do": "missing", "policy": "hold", "max": 3},
        clip,
        bundle.standardise(measurable.reshape(-1, len(CHANNELS))),
    ]

    standardised = bundle.run_recipe(steps, train_x)
    model = train(standardised, train_y, version)
    path = version.folder / "gestures.tflite"
    path.write_bytes(to_int8(model, standardised))

    int8 = Int8Model(path)
    found = int8(bundle.run_recipe(steps, test_x))
    classes = found.argmax(1)
    metrics = bundle.classification_metrics(
        test_y,
        classes,
        LABELS,
        f"BasicMotions, the archive's test split: 40 recordings, windows of {FRAMES} rows, stride {TEST_STRIDE}; "
        "int8 model through the recipe",
    )
    at_registers = int8(bundle.run_recipe(steps, through_registers(test_x))).argmax(1)
    metrics["accuracy_register_level"] = float((at_registers == test_y).mean())
    assert metrics["accuracy"] > 0.97 and metrics["accuracy_register_level"] > 0.97, metrics
    bundle.write_metrics(version.folder, metrics)

    bundle.write_manifest(
        version.folder,
        {
            "name": "gestures",
            "version": number,
            "description": "Standing, running, walking or badminton from 4 s of a wrist's linear acceleration and "
            "angular rate.",
            "license": "Apache-2.0",
            "origin": "BasicMotions from the UEA multivariate time-series archive: a smart watch on four people, 10 Hz. "
            "The archive states no licence for the recordings.",
            "edgerun": "0.1.0",
            "model": path.name,
            "labels": LABELS,
            "input": [tensor_table(int8.input["name"], int8.input)],
            "output": [tensor_table(int8.output["name"], int8.output)],
            "preprocess": {"frames": FRAMES, "rate": f"{RATE_HZ} Hz", "channels": CHANNELS, "step": steps},
            "postprocess": {
                "kind": "classification",
                "output": int8.output["name"],
                "threshold": 0.5,
                "hysteresis": 0.1,
                "hold": 1,
                "top": 3,
            },
            "golden": {"tolerance": 0},
        },
    )

    chosen = golden_windows(test_y, found)
    bundle.write_golden(version.folder, test_x[chosen], [found[chosen]])

    float_classes = model.predict(bundle.run_recipe(steps, test_x), verbose=0).argmax(1)
    top = int8.real(found).max(1)
    print(f"{number}: {path.stat().st_size} bytes")
    print(f"accuracy on {len(test_y)} windows: float {(float_classes == test_y).mean():.4f}, ", end="")
    print(f"int8 {metrics['accuracy']:.4f}, through registers {metrics['accuracy_register_level']:.4f}")
    print(f"below 0.5: {(top < 0.5).sum()}, below 0.6: {(top < 0.6).sum()}, below 0.8: {(top < 0.8).sum()}")
    print(np.array(metrics["confusion"]))


if __name__ == "__main__":
    for number in sys.argv[1:] or VERSIONS:
        write(number, VERSIONS[number])
