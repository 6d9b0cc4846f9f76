"""LSTM, plain recurrent layers and SVDF. States are kept from run to run: all runs are on one session."""

import numpy as np

from model import Case, Graph, Q, T, case, const, rng_of

ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3, "TANH": 4}


def tame(rng, run, shape):
    """The second run is of zeros, which LiteRT's hybrid kernels treat apart."""
    values = rng.normal(0, [0.7, 0, 1.5][run % 3], shape)
    return np.round(values * 256) / 256


class Weights:
    """Constants of a layer of one kind."""

    def __init__(self, kind, *key):
        self.kind, self.rng = kind, rng_of("recurrent", kind, *key)

    def matrix(self, rows, columns):
        real = self.rng.normal(0, 0.6 / np.sqrt(columns) * 2, (rows, columns))
        if self.kind == "float32":
            return const("float32", np.round(real * 1024) / 1024)
        scale = float(np.float32(np.abs(real).max() / 127))
        return const("int8", np.clip(np.round(real / scale), -127, 127), Q(scale, 0))

    def reals(self, n, mean=0.0, spread=0.3):
        return const("float32", np.round(self.rng.normal(mean, spread, n) * 1024) / 1024)

    def bias(self, n, scale, mean=0.0):
        """In steps of a product; a real one where the layer computes in reals."""
        if self.kind != "int8":
            return self.reals(n, mean)
        return const("int32", np.round(self.rng.normal(mean, 0.3, n) / scale), Q(scale, 0))

    def vector(self, n, mean=0.0):
        """Of peepholes and normalizations: 16 bits in integer layers."""
        real = self.rng.normal(mean, 0.3, n)
        if self.kind == "float32":
            return const("float32", np.round(real * 1024) / 1024)
        bits, type = (127, "int8") if self.kind == "hybrid" else (32767, "int16")
        scale = float(np.float32(np.abs(real).max() / bits))
        return const(type, np.round(real / scale), Q(scale, 0))


def lstm(op, kind, label, n, cells, outputs, batch=1, time=3, activation="TANH", cifg=False, peephole=False, projection=False,
         projection_bias=True, layer_norm=False, time_major=False, asymmetric=False, cell_clip=0.0, projection_clip=0.0):
    w = Weights(kind, op, label)
    integer = kind == "int8"
    x_quant, state_quant, hidden = (Q(0.03, 11), Q(0.0078125, -3), Q(0.006, 5)) if integer else (None, None, None)
    if integer and not projection:
        hidden = state_quant
    shape = [batch, n] if op == "LSTM" else [time, batch, n] if time_major else [batch, time, n]
    x = T("int8", shape, x_quant) if integer else T("float32", shape, draw=tame)
    gates = [None if cifg and gate == 0 else gate for gate in range(4)]
    inner = [w.matrix(cells, n) if gate is not None else None for gate in gates]
    recurrent = [w.matrix(cells, outputs) if gate is not None else None for gate in gates]
    peepholes = [w.vector(cells) if peephole and not (cifg and place == 0) else None for place in range(3)]
    norms = []
    for gate in gates:
        if layer_norm and gate is not None:
            norms.append(w.vector(cells, 0.9) if integer else w.reals(cells, 0.9))
        else:
            norms.append(None)
    middle = [T("int16", [1], Q(0.0005, 0)) for _ in range(4)] if layer_norm else [T("int16", [1], Q(0.001, 0)) for _ in range(4)]
    biases = []
    for i, gate in enumerate(gates):
        if gate is None:
            biases.append(None)
            continue
        scale = 1.0
        if integer:
            scale = norms[i].quant.scale / 1024 if layer_norm else inner[i].quant.scale * x_quant.scale
        biases.append(w.bias(cells, scale, 0.5 if i == 1 else 0.0))
    weights = bias = None
    if projection:
        weights = w.matrix(outputs, cells)
        if projection_bias:
            bias = w.bias(outputs, weights.quant.scale * hidden.scale if integer else 1.0)
    output_state = T("int8" if integer else "float32", [batch, outputs], state_quant, variable=True)
    cell_state = T("int16" if integer else "float32", [batch, cells], Q(2.0**-11, 0) if integer else None, variable=True)
    inputs = [x, *inner, *recurrent, *peepholes, *biases, weights, bias, output_state, cell_state]
    if layer_norm or op != "LSTM":
        inputs += norms
    y = T("int8" if integer else "float32", [*shape[:-1], outputs], state_quant)
    options = {"fusedActivationFunction": ACTIVATIONS[activation], "cellClip": cell_clip, "projClip": projection_clip,
               "asymmetricQuantizeInputs": asymmetric}
    if op != "LSTM":
        options["timeMajor"] = time_major
    graph = Graph([x], [y])
    middle = [*middle, T("int8", [1], hidden)] if integer else []
    graph.op(op, inputs, [y], ("LSTMOptions" if op == "LSTM" else "UnidirectionalSequenceLSTMOptions", options), None, middle)
    made = case(op, kind, [graph], label=label, runs=4, activation=activation, cifg=cifg, peephole=peephole,
                projection=projection, layer_norm=layer_norm)
    made.stateful = True
    return made


VARIANTS = [
    ("plain", dict(n=5, cells=4, outputs=4)),
    ("wide", dict(n=19, cells=21, outputs=21, batch=2)),
    ("major", dict(n=6, cells=7, outputs=7, batch=3, time=2, time_major=True)),
    ("cifg", dict(n=4, cells=8, outputs=8, cifg=True)),
    ("peephole", dict(n=5, cells=6, outputs=6, batch=2, peephole=True)),
    ("peephole-wide", dict(n=5, cells=18, outputs=18, peephole=True, cifg=True)),
    ("projection", dict(n=5, cells=9, outputs=3, batch=2, projection=True)),
    ("projection-wide", dict(n=17, cells=20, outputs=16, projection=True, projection_bias=False, projection_clip=0.3)),
    ("norm", dict(n=5, cells=6, outputs=6, layer_norm=True)),
    ("norm-wide", dict(n=18, cells=34, outputs=34, batch=2, layer_norm=True, cifg=True, time_major=True)),
    ("all", dict(n=7, cells=10, outputs=5, batch=1, peephole=True, projection=True, layer_norm=True, cell_clip=0.5)),
    ("clip", dict(n=4, cells=5, outputs=5, cell_clip=0.2)),
]


def lstms():
    for kind in ["float32", "hybrid", "int8"]:
        for label, more in VARIANTS:
            yield lstm("UNIDIRECTIONAL_SEQUENCE_LSTM", kind, label, **more)
            if not more.get("time_major"):
                yield lstm("LSTM", kind, label, **more)
        # NONE multiplies by what LiteRT's scratch happens to hold.
        for activation in ["RELU", "RELU_N1_TO_1", "RELU6"]:
            for op in ["UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM"]:
                yield lstm(op, kind, "activation", n=4, cells=5, outputs=5, activation=activation, cell_clip=2.0)
        if kind == "int8":
            # Not even read.
            yield lstm("LSTM", kind, "activation", n=4, cells=5, outputs=5, activation="NONE")
        if kind == "hybrid":
            for label in ["plain", "wide", "projection", "all"]:
                for op in ["UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM"]:
                    made = lstm(op, kind, f"asymmetric-{label}", asymmetric=True, **dict(VARIANTS)[label])
                    yield made


def bidirectional_lstm(kind, label, n, cells, outputs, batch=1, time=3, activation="TANH", cifg=False, peephole=False,
                       projection=False, merge=False, time_major=True, auxiliary=None, asymmetric=False):
    w = Weights(kind, "both", label)
    shape = [time, batch, n] if time_major else [batch, time, n]
    x, other = T("float32", shape, draw=tame), T("float32", shape, draw=tame)
    gates = [None if cifg and gate == 0 else gate for gate in range(4)]
    inputs, states, extra = [x], [], []
    for side in range(2):
        c, o = cells[side], outputs[side]
        inputs += [w.matrix(c, n) if gate is not None else None for gate in gates]
        inputs += [w.matrix(c, o) if gate is not None else None for gate in gates]
        inputs += [w.vector(c) if peephole and not (cifg and place == 0) else None for place in range(3)]
        inputs += [w.reals(c, 0.5 if gate == 1 else 0.0) if gate is not None else None for gate in gates]
        inputs += [w.matrix(o, c), w.reals(o)] if projection else [None, None]
        states += [T("float32", [batch, o], variable=True), T("float32", [batch, c], variable=True)]
        extra += [w.matrix(c, n) if auxiliary == "weighed" and gate is not None else None for gate in gates]
    inputs += [*states, other if auxiliary else None, *extra]
    widths = [sum(outputs)] if merge else outputs
    results = [T("float32", [*shape[:-1], width]) for width in widths]
    graph = Graph([x, other] if auxiliary else [x], results)
    options = {"fusedActivationFunction": ACTIVATIONS[activation], "mergeOutputs": merge, "timeMajor": time_major,
               "asymmetricQuantizeInputs": asymmetric}
    graph.op("BIDIRECTIONAL_SEQUENCE_LSTM", inputs, results, ("BidirectionalSequenceLSTMOptions", options))
    made = case("BIDIRECTIONAL_SEQUENCE_LSTM", kind, [graph], label=label, runs=4, activation=activation, cifg=cifg,
                peephole=peephole, projection=projection)
    made.stateful = True
    return made


def bidirectional_lstms():
    for kind in ["float32", "hybrid"]:
        yield bidirectional_lstm(kind, "plain", 5, [6, 6], [6, 6])
        yield bidirectional_lstm(kind, "batch", 5, [7, 7], [7, 7], batch=2, time_major=False)
        yield bidirectional_lstm(kind, "merge", 5, [6, 6], [6, 6], batch=3, merge=True)
        yield bidirectional_lstm(kind, "merge-batch", 5, [6, 6], [6, 6], merge=True, time_major=False)
        yield bidirectional_lstm(kind, "cifg", 17, [18, 18], [18, 18], cifg=True, batch=2)
        yield bidirectional_lstm(kind, "peephole", 6, [5, 5], [5, 5], peephole=True)
        yield bidirectional_lstm(kind, "projection", 6, [9, 9], [4, 4], projection=True, merge=True)
        yield bidirectional_lstm(kind, "weighed", 6, [7, 7], [7, 7], auxiliary="weighed", batch=2)
        yield bidirectional_lstm(kind, "weighed-merge", 6, [7, 7], [7, 7], auxiliary="weighed", merge=True, time_major=False)
        yield bidirectional_lstm(kind, "apart", 6, [7, 7], [7, 7], auxiliary="apart")
        for activation in ["RELU", "RELU_N1_TO_1", "RELU6"]:
            yield bidirectional_lstm(kind, "activation", 4, [5, 5], [5, 5], activation=activation)
    yield bidirectional_lstm("hybrid", "asymmetric", 5, [6, 6], [6, 6], batch=2, asymmetric=True)


def plain():
    """RNN in one direction or both."""
    for kind in ["float32", "hybrid"]:
        for op in ["RNN", "UNIDIRECTIONAL_SEQUENCE_RNN"]:
            for i, activation in enumerate(ACTIVATIONS):
                for asymmetric in [False, True] if kind == "hybrid" and i == 4 else [False]:
                    batch, n, units, time, major = [(1, 4, 5, 3, False), (2, 17, 6, 2, True), (3, 5, 18, 4, False), (2, 6, 3, 2, True), (1, 8, 9, 5, False)][i]
                    w = Weights(kind, op, activation)
                    shape = [batch, n] if op == "RNN" else [time, batch, n] if major else [batch, time, n]
                    x, y = T("float32", shape, draw=tame), T("float32", [*shape[:-1], units])
                    state = T("float32", [batch, units], variable=True)
                    options = {"fusedActivationFunction": ACTIVATIONS[activation], "asymmetricQuantizeInputs": asymmetric}
                    attributes = {"activation": activation}
                    if op != "RNN":
                        options["timeMajor"] = attributes["time_major"] = major
                    if asymmetric:
                        attributes["asymmetric"] = True
                    graph = Graph([x], [y])
                    graph.op(op, [x, w.matrix(units, n), w.matrix(units, units), w.reals(units), state], [y],
                             ("RNNOptions" if op == "RNN" else "SequenceRNNOptions", options))
                    made = case(op, kind, [graph], runs=4, **attributes)
                    made.stateful = True
                    yield made
        both = [("TANH", False, True, None), ("RELU", True, True, None), ("NONE", False, False, None), ("RELU6", True, False, None),
                ("RELU_N1_TO_1", False, True, "weighed"), ("TANH", True, True, "weighed"), ("TANH", False, True, "apart"),
                ("TANH", False, False, "apart")]
        for i, (activation, merge, major, auxiliary) in enumerate(both):
            w = Weights(kind, "both", i)
            batch, time, n, units = 2, 3, 5, [6, 4]
            shape = [time, batch, n] if major else [batch, time, n]
            x, other = T("float32", shape, draw=tame), T("float32", shape, draw=tame)
            inputs = [x]
            for side in range(2):
                inputs += [w.matrix(units[side], n), w.matrix(units[side], units[side]), w.reals(units[side]),
                           T("float32", [batch, units[side]], variable=True)]
            inputs.append(other if auxiliary else None)
            inputs += [w.matrix(count, n) if auxiliary == "weighed" else None for count in units]
            results = [T("float32", [*shape[:-1], width]) for width in ([sum(units)] if merge else units)]
            graph = Graph([x, other] if auxiliary else [x], results)
            options = {"fusedActivationFunction": ACTIVATIONS[activation], "timeMajor": major, "mergeOutputs": merge}
            graph.op("BIDIRECTIONAL_SEQUENCE_RNN", inputs, results, ("BidirectionalSequenceRNNOptions", options))
            made = case("BIDIRECTIONAL_SEQUENCE_RNN", kind, [graph], label=f"{i}", runs=4, activation=activation,
                        merge_outputs=merge, time_major=major, auxiliary=auxiliary or "none")
            made.stateful = True
            yield made


def svdf():
    sizes = [(1, 5, 4, 3, 1), (2, 17, 8, 10, 2), (3, 8, 6, 2, 2), (2, 4, 18, 5, 1), (1, 9, 4, 1, 2)]
    for kind in ["float32", "hybrid", "int8"]:
        sizes_of = sizes + sizes[1:] if kind == "int8" else sizes
        activations = ["RELU", "NONE", "TANH", "RELU6", "RELU_N1_TO_1"] + ["RELU"] * 4
        for i, (activation, (batch, n, filters, steps, rank)) in enumerate(zip(activations, sizes_of)):
            for bias in [True, False] if i < 2 else [True]:
                for asymmetric in [False, True] if kind == "hybrid" and bias else [False]:
                    w = Weights(kind, "svdf", i)
                    units = filters // rank
                    features, time = w.matrix(filters, n), w.vector(filters * steps)
                    time.data, time.shape = time.data.reshape(filters, steps), [filters, steps]
                    if kind == "int8":
                        x, y = T("int8", [batch, n], Q(0.05, 7)), T("int8", [batch, units], Q(0.03, -128 if i == 0 else -11))
                        state = T("int16", [batch, filters * steps], Q(0.0004, 0), variable=True)
                        constant = w.bias(units, state.quant.scale * time.quant.scale)
                    else:
                        x, y = T("float32", [batch, n], draw=tame), T("float32", [batch, units])
                        state = T("float32", [batch, filters * steps], variable=True)
                        constant = w.reals(units)
                    graph = Graph([x], [y])
                    options = {"rank": rank, "fusedActivationFunction": ACTIVATIONS[activation], "asymmetricQuantizeInputs": asymmetric}
                    graph.op("SVDF", [x, features, time, constant if bias else None, state], [y], ("SVDFOptions", options))
                    made = case("SVDF", kind, [graph], label=f"{i}", runs=5, activation=activation, rank=rank, bias=bias, asymmetric=asymmetric)
                    made.stateful = True
                    yield made


def converted():
    """Keras layers as TensorFlow's converter writes them: loops that fill a list row by row."""
    import tensorflow as tf

    def layers():
        yield "lstm", [1, 6, 5], [tf.keras.layers.LSTM(8, return_sequences=True)]
        yield "last", [1, 4, 6], [tf.keras.layers.LSTM(7), tf.keras.layers.Dense(3)]
        yield "both", [1, 4, 6], [tf.keras.layers.Bidirectional(tf.keras.layers.LSTM(5, return_sequences=True))]
        yield "gru", [1, 5, 4], [tf.keras.layers.GRU(6, return_sequences=True), tf.keras.layers.GRU(3)]
        yield "rnn", [1, 5, 4], [tf.keras.layers.SimpleRNN(6, return_sequences=True)]
    for label, shape, stack in layers():
        tf.keras.utils.set_random_seed(7)
        model = tf.keras.Sequential([tf.keras.Input(shape[1:], batch_size=1), *stack])
        rng = rng_of("keras", label)
        for kind in ["float32", "hybrid", "float16"]:
            converter = tf.lite.TFLiteConverter.from_keras_model(model)
            if kind != "float32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if kind == "float16":
                converter.target_spec.supported_types = [tf.float16]
            content = converter.convert()
            inputs = [[np.round(rng.normal(0, 1, shape), 3).astype(np.float32)] for _ in range(3)]
            tolerance = "hybrid" if kind == "hybrid" else "float"
            made = Case(f"while.{kind}.keras-{label}", "WHILE", kind, tolerance, {},
                        content=content, inputs=inputs)
            made.stateful = True
            yield made


def cases():
    yield from lstms()
    yield from bidirectional_lstms()
    yield from plain()
    yield from svdf()
    yield from converted()
