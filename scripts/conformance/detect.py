"""Choosing among boxes: non-maximum suppression and the detectors' last step."""

import numpy as np
from flatbuffers import flexbuffers

from model import Q, T, const, rng_of, single

# With few scores many are equal, and the order of LiteRT's heap shows.
SCORES = {"all": lambda rng, n: rng.permutation(n) / n + 0.01, "few": lambda rng, n: rng.integers(1, 5, n) / 5}


def boxes(rng, run, shape):
    """Corners in any order, on a coarse grid: overlaps of all sizes, some boxes empty."""
    low = rng.integers(0, 24, (shape[0], 2))
    high = low + rng.integers(0 if run == 2 else 1, [12, 4, 9][run % 3], (shape[0], 2))
    flip = rng.integers(0, 2, (shape[0], 1)) == 1
    return np.where(flip, np.concatenate([high, low], 1), np.concatenate([low, high], 1)) / 8


def suppression():
    for version in ["V4", "V5"]:
        for label, draw in SCORES.items():
            for n, wanted, overlap, least, sigma in [(20, 8, 0.5, 0.0, 0.0), (33, 40, 0.3, 0.3, 0.5), (7, 1, 0.9, 0.2, 0.0), (16, 12, 0.6, 0.0, 0.2)]:
                if version == "V4" and sigma > 0.3:
                    continue
                inputs = [T("float32", [n, 4], draw=boxes), T("float32", [n], draw=lambda rng, run, shape, draw=draw: draw(rng, shape[0])),
                          const("int32", wanted), const("float32", overlap), const("float32", least)]
                outputs = [T("int32", [wanted]), T("int32", [])]
                if version == "V5":
                    inputs.append(const("float32", sigma))
                    outputs.insert(1, T("float32", [wanted]))
                name = f"NON_MAX_SUPPRESSION_{version}"
                yield single(name, "float32", inputs, outputs, (f"NonMaxSuppression{version}Options", {}), scores=label,
                             boxes=n, wanted=wanted, overlap=overlap, least=least, sigma=sigma)


def detection():
    scales = dict(y_scale=10.0, x_scale=10.0, h_scale=5.0, w_scale=5.0)
    quants = {"boxes": Q(0.07, 130), "scores": Q(1 / 256, 0), "anchors": Q(0.005, 2)}
    # Detections, classes of each, classes, the background, boxes. The fast kind leaves what it does not
    # find as it was, so there are enough boxes far from one another.
    plans = {False: [(6, 1, 5, 1, 40), (4, 3, 4, 0, 30), (1, 1, 2, 1, 20)], True: [(10, 1, 5, 1, 40), (30, 1, 3, 0, 25), (1, 1, 3, 1, 12)]}
    for kind in ["float32", "uint8"]:
        for regular, sizes in plans.items():
            for found, each, classes, background, n in sizes:
                for per_class in [None, 4] if regular else [None]:
                    side = np.arange(n)
                    anchors = np.stack([side % 6 / 6 + 0.05, side // 6 / 8 + 0.05, np.full(n, 0.2), np.full(n, 0.25)], 1)
                    encodings = T(kind, [1, n, 4])
                    scores = T(kind, [1, n, classes + background])
                    if kind == "uint8":
                        encodings.quant, scores.quant = quants["boxes"], quants["scores"]
                        encodings.draw = lambda rng, run, shape: 130 + rng.integers(-30, 30, shape)
                        scores.draw = lambda rng, run, shape: rng.integers(64, [250, 80, 200][run % 3], shape)
                        fixed = const("uint8", np.round(anchors / 0.005) + 2, quants["anchors"])
                    else:
                        encodings.draw = lambda rng, run, shape: np.round(rng.normal(0, 2, shape) * 64) / 64
                        scores.draw = lambda rng, run, shape: np.round(rng.uniform(0.25, 1, shape) * [4096, 8, 64][run % 3]) / [4096, 8, 64][run % 3]
                        fixed = const("float32", anchors)
                    options = dict(scales, max_detections=found, max_classes_per_detection=each, num_classes=classes,
                                   nms_score_threshold=0.2, nms_iou_threshold=0.6, use_regular_nms=regular)
                    if per_class:
                        options["detections_per_class"] = per_class
                    total = found * each
                    outputs = [T("float32", [1, total, 4]), T("float32", [1, total]), T("float32", [1, total]), T("float32", [1])]
                    yield single("TFLite_Detection_PostProcess", kind, [encodings, scores, fixed], outputs, tolerance="float",
                                 custom=bytes(flexbuffers.Dumps(options)), use_regular_nms="true" if regular else "false",
                                 detections=found, each=each, classes=classes, background=background, per_class=per_class or 100)


def cases():
    yield from suppression()
    yield from detection()
