#!/usr/bin/env python3
"""Writes tests/data/signal/audio.{toml,npz} and tests/data/audio/wakeword.npz: what TensorFlow, librosa and TFLite Micro's front end
give.

    scripts/signal-audio-goldens.py [ZOO]       ZOO: folder of models, default $EDGERUN_ZOO

Needs numpy, tensorflow-cpu, librosa, pymicro-features and ai-edge-litert (written with 2.4.6, 2.21.0, 0.11.0, 2.0.2 and 2.3.0 on
x86-64). tests/it/signal.rs runs each recipe of `audio.toml`. `wakeword.npz` has `scores`, the int8 outputs of the streaming
wake-word model of MLPerf Tiny for each hop of the zoo's recording, its features by the reference's own definition
(mlcommons/tiny, benchmark/training/streaming_wakeword/get_dataset.py, `get_lfbe_func`), made whole as its evaluate.py does, towards
zero. They are computed in float64: in TensorFlow's float32 one of 12,440 inputs falls on the other side of a whole number, which moves the scores of
four hops by up to 6 of 256 units. And `micro_fnv64`, a hash of the micro front end's values for that recording, little-endian 16-bit numbers. The recording
and what can be heard of it stay out of the repository.
"""

import os
import sys
import wave
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import librosa
import numpy as np
import pymicro_features
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

RATE = 16000
DATA = Path(__file__).parent.parent / "tests/data"


def signal():
    """0.9 s: a rising tone over noise, silence, a falling tone, clipped noise; int16."""
    rng = np.random.default_rng(9)
    t = np.arange(int(0.3 * RATE)) / RATE
    up = 0.4 * np.sin(2 * np.pi * (100 * t + 6000 * t**2)) + 0.02 * rng.standard_normal(t.size)
    quiet = np.zeros(int(0.1 * RATE))
    down = 0.05 * np.sin(2 * np.pi * (7000 * t - 10000 * t**2)) + 0.001 * rng.standard_normal(t.size)
    loud = 0.7 * rng.standard_normal(int(0.2 * RATE))
    x = np.concatenate([up, quiet, down, loud])
    return np.clip(np.round(x * 32768), -32768, 32767).astype(np.int16)


class Cases:
    """Recipes for one signal, with what a reference makes of it."""

    def __init__(self, x):
        self.arrays = {"signal": x[:, None]}
        self.text = [f"# Written by scripts/signal-audio-goldens.py with TensorFlow {tf.__version__} and librosa {librosa.__version__}.\n"]

    def add(self, name, steps, y, absolute=None, relative=None):
        """`absolute`: of the values; `relative`: of the largest."""
        y = np.asarray(y, np.float32)
        tolerance = relative if absolute is None else absolute / float(np.abs(y).max())
        steps = ",\n  ".join(inline(step) for step in steps)
        self.text.append(
            f'\n[[case]]\nname = "{name}"\ntolerance = {tolerance:.3g}\nframes = {len(self.arrays["signal"])}\n'
            f'rate = "{RATE} Hz"\nchannels = 1\nrows = "signal"\nstep = [\n  {steps},\n]\n'
        )
        self.arrays[name] = y
        print(f"{name}: {y.shape}, {y.min()} to {y.max()}")

    def write(self):
        folder = DATA / "signal"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "audio.toml").write_text("".join(self.text))
        np.savez_compressed(folder / "audio.npz", **self.arrays)


def inline(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {inline(v)}" for key, v in value.items()) + " }"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def tensorflow_features(cases, x):
    stft = tf.signal.stft(x, 400, 160)  # periodic Hann, FFT of 512
    spectrogram = {"do": "spectrogram", "like": "tensorflow", "window": 400, "hop": 160}
    mel = {"bands": 40, "low_hz": 80.0, "high_hz": 7600.0}
    sparse = tf.signal.stft(x, 400, 1600)
    cases.add("tf_power", [spectrogram | {"hop": 1600, "of": "power"}], tf.square(tf.abs(sparse)), relative=1e-5)
    matrix = tf.signal.linear_to_mel_weight_matrix(40, 257, RATE, 80.0, 7600.0)
    mels = tf.tensordot(tf.abs(stft), matrix, 1)
    cases.add("tf_mel", [spectrogram | {"of": "magnitude", "mel": mel}], mels, relative=1e-5)
    log_mel = tf.math.log(mels + 1e-6)
    steps = [spectrogram | {"of": "magnitude", "mel": mel}, {"do": "log", "of": "natural", "offset": 1e-6}]
    cases.add("tf_log_mel", steps, log_mel, absolute=1e-3)
    mfcc = tf.signal.mfccs_from_log_mel_spectrograms(log_mel)[..., :13]
    cases.add("tf_mfcc", [*steps, {"do": "dct", "like": "tensorflow", "coefficients": 13}], mfcc, absolute=1e-3)
    odd = tf.signal.stft(x, 401, 400, fft_length=512)  # not periodic, whatever is asked for
    cases.add("tf_odd_window", [spectrogram | {"window": 401, "hop": 400, "of": "magnitude", "mel": mel}],
              tf.tensordot(tf.abs(odd), matrix, 1), relative=1e-5)


def librosa_features(cases, x):
    spectrogram = {"do": "spectrogram", "like": "librosa", "of": "power"}
    plain = librosa.feature.melspectrogram(y=x, sr=RATE, n_fft=512, win_length=400, hop_length=160, center=False, n_mels=40)
    steps = [spectrogram | {"window": 400, "fft": 512, "hop": 160, "mel": {"bands": 40, "high_hz": 8000.0}}]
    cases.add("librosa_mel", steps, plain.T, relative=1e-5)
    centred = librosa.feature.melspectrogram(y=x, sr=RATE, n_fft=1024, hop_length=512, n_mels=64)
    steps = [
        spectrogram | {"window": 1024, "hop": 512, "centre": True, "mel": {"bands": 64, "high_hz": 8000.0}},
        {"do": "log", "of": "decibel", "floor": 1e-10},
        {"do": "dynamic_range", "range": 80.0},
    ]
    decibels = librosa.power_to_db(centred)
    cases.add("librosa_log_mel", steps, decibels.T, absolute=1e-3)
    mfcc = librosa.feature.mfcc(S=decibels, n_mfcc=20)
    cases.add("librosa_mfcc", [*steps, {"do": "dct", "like": "librosa", "coefficients": 20}], mfcc.T, absolute=1e-3)
    htk = librosa.feature.melspectrogram(
        y=x, sr=RATE, n_fft=512, hop_length=256, center=False, n_mels=32, fmin=50.0, fmax=7000.0, htk=True, norm=None,
        window="hamming", power=1.0,
    )
    mel = {"bands": 32, "low_hz": 50.0, "high_hz": 7000.0, "htk": True, "same_height": True}
    steps = [spectrogram | {"window": 512, "hop": 256, "taper": "hamming", "of": "magnitude", "mel": mel}]
    cases.add("librosa_htk", steps, htk.T, relative=1e-5)


WAKE_WORD = [
    {"do": "preemphasis", "coefficient": 1 - 2**-5},
    {"do": "spectrogram", "like": "tensorflow", "window": 1024, "hop": 512, "taper": "hamming", "symmetric": True,
     "of": "power", "factor": 1 / 1024, "mel": {"bands": 40, "high_hz": 8000.0}},
    {"do": "log", "of": "decibel", "floor": 1e-30},
    {"do": "scale", "factor": 1 / 64, "offset": 52 / 64},
    {"do": "clip", "low": 0.0, "high": 1.0},
]


def wake_word(x):
    """`get_lfbe_func` of the reference at its settings: 64 ms windows, 32 ms hops, 40 bins."""
    x = tf.cast(x, tf.float32)
    x = tf.pad(x[None], [[0, 0], [1, 0]])
    x = (x[:, 1:] - (1 - 2**-5) * x[:, :-1])[0]
    stft = tf.signal.stft(x, 1024, 512, window_fn=partial(tf.signal.hamming_window, periodic=False), pad_end=False)
    power = (1 / 1024) * tf.square(tf.abs(stft))
    power = tf.clip_by_value(power, 1e-30, tf.reduce_max(power))
    matrix = tf.signal.linear_to_mel_weight_matrix(40, 513, RATE, 0.0, RATE / 2)
    log_mel = 10 * tf.math.log(tf.tensordot(power, matrix, 1)) / tf.math.log(10.0)
    return tf.clip_by_value((log_mel + 52 - 32 + 32.0) / 64.0, 0, 1).numpy()


def wake_word_exactly(x):
    """The same in NumPy's float64: what TensorFlow's float32 is a rounding of."""
    x = np.asarray(x, np.float64)
    x = np.append(x[:1], x[1:] - (1 - 2**-5) * x[:-1])
    frames = np.lib.stride_tricks.sliding_window_view(x, 1024)[::512] * np.hamming(1024)
    power = np.maximum(np.abs(np.fft.rfft(frames)) ** 2 / 1024, 1e-30)

    def mel(hz):
        return 1127 * np.log1p(hz / 700)

    bins, edges = mel(np.arange(1, 513) * RATE / 1024), np.linspace(0, mel(RATE / 2), 42)
    rising = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    matrix = np.vstack([np.zeros(40), np.maximum(0, np.minimum(rising, falling))])
    return np.clip((10 * np.log10(power @ matrix) + 52) / 64, 0, 1)


def micro(x):
    """microWakeWord's features, as the 16-bit numbers that they are before their scale of 10/256."""
    front, rows = pymicro_features.MicroFrontend(), []
    data = x.tobytes()
    while len(data) >= 320:
        result = front.process_samples(data[:320])
        data = data[2 * result.samples_read :]
        if result.features:
            rows.append(np.array(result.features, np.float64) / 0.0390625)
    rows = np.array(rows)
    assert (rows == rows.astype(np.int16)).all()
    return rows.astype(np.int16)


def scores(zoo):
    with wave.open(str(zoo / "audio/short_wav_easy10s.wav")) as file:
        x = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, file.getnchannels())[:, 0]
    features = wake_word_exactly(x / 2**15)
    theirs = wake_word(x / 2**15)
    assert np.abs(features - theirs).max() < 1e-5
    model = Interpreter(str(zoo / "mlperf-tiny/str_ww_ref_model.tflite"))
    model.allocate_tensors()
    read, write = model.get_input_details()[0], model.get_output_details()[0]
    scale, zero_point = read["quantization"]
    quantized, others = (np.array(f / scale + zero_point, dtype=np.int8) for f in (features, theirs))  # as evaluate.py does: towards zero
    print(f"of {quantized.size} inputs {(quantized != others).sum()} differ between float64 and TensorFlow's float32")
    found = []
    for hop in range(len(quantized) - 29):
        model.set_tensor(read["index"], quantized[None, hop : hop + 30, None, :])
        model.invoke()
        found.append(model.get_tensor(write["index"])[0].copy())
    values = micro(x).astype("<u2").tobytes()
    return {"scores": np.array(found), "micro_fnv64": np.frombuffer(fnv64(values).to_bytes(8, "little"), np.uint8)}


def fnv64(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & (2**64 - 1)
    return value


def main():
    zoo = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["EDGERUN_ZOO"])
    x16 = signal()
    x = (x16 / 32768).astype(np.float32)
    cases = Cases(x)
    tensorflow_features(cases, x)
    librosa_features(cases, x)
    cases.add("wake_word", WAKE_WORD, wake_word(x), absolute=1e-5)
    cases.add("micro_frontend", [{"do": "micro_frontend"}], micro(x16), absolute=0.0)
    cases.write()
    (DATA / "audio").mkdir(exist_ok=True)
    np.savez_compressed(DATA / "audio/wakeword.npz", **scores(zoo))


if __name__ == "__main__":
    main()
