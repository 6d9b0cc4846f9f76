"""Recurrent layers and SVDF: float, hybrid and integer; their state goes on from run to run."""

import numpy as np

from binary import ACTIVATION_NUMBERS
from model import Graph, Q, T, case, const, rng_of

BATCH, TIME, IN, CELLS, OUT = 2, 3, 5, 4, 3


def tame(rng, run, shape):
    bound = [1, 2, 0.5][run % 3]
    return np.round(rng.uniform(-bound, bound, shape) * 256) / 256


def weights(rng, kind, *shape):
    if kind.startswith("hybrid"):
        return const("int8", rng.integers(-127, 128, shape), Q(0.005))
    return const("float32", np.round(rng.normal(0, 0.35, shape) * 1024) / 1024)


def numbers(rng, n, spread=0.3, mean=0.0):
    return const("float32", np.round(rng.normal(mean, spread, [n]) * 256) / 256)


def state(*shape):
    return T("float32", list(shape), variable=True)


def sequence_input(time_major, time=TIME):
    return T("float32", [time, BATCH, IN] if time_major else [BATCH, time, IN], draw=tame)


def rnn():
    for kind in ["float32", "hybrid"]:
        for i, activation in enumerate(["TANH", "RELU", "NONE", "RELU6"]):
            asymmetric = kind == "hybrid" and i % 2 == 1
            more = {"asymmetric_quantize_inputs": asymmetric} if kind == "hybrid" else {}
            rng = rng_of("rnn", kind, i)
            fields = {"fusedActivationFunction": ACTIVATION_NUMBERS[activation], "asymmetricQuantizeInputs": asymmetric}
            x, y = T("float32", [BATCH, IN], draw=tame), T("float32", [BATCH, CELLS])
            graph = Graph([x], [y])
            graph.op("RNN", [x, weights(rng, kind, CELLS, IN), weights(rng, kind, CELLS, CELLS), numbers(rng, CELLS), state(BATCH, CELLS)], [y],
                     ("RNNOptions", fields))
            yield case("RNN", kind, [graph], runs=4, activation=activation, **more)
            for major in [False, True]:
                shape = [TIME, BATCH, CELLS] if major else [BATCH, TIME, CELLS]
                x, y = sequence_input(major), T("float32", shape)
                graph = Graph([x], [y])
                graph.op("UNIDIRECTIONAL_SEQUENCE_RNN", [x, weights(rng, kind, CELLS, IN), weights(rng, kind, CELLS, CELLS), numbers(rng, CELLS),
                                                         state(BATCH, CELLS)], [y], ("SequenceRNNOptions", {**fields, "timeMajor": major}))
                yield case("UNIDIRECTIONAL_SEQUENCE_RNN", kind, [graph], runs=4, activation=activation, time_major=major, **more)
                for merge in [False, True]:
                    x = sequence_input(major)
                    outs = [T("float32", shape[:2] + [2 * CELLS])] if merge else [T("float32", shape), T("float32", shape)]
                    inputs = [x]
                    for _ in range(2):
                        inputs += [weights(rng, kind, CELLS, IN), weights(rng, kind, CELLS, CELLS), numbers(rng, CELLS), state(BATCH, CELLS)]
                    graph = Graph([x], outs)
                    graph.op("BIDIRECTIONAL_SEQUENCE_RNN", [*inputs, None, None, None], outs,
                             ("BidirectionalSequenceRNNOptions", {**fields, "timeMajor": major, "mergeOutputs": merge}))
                    yield case("BIDIRECTIONAL_SEQUENCE_RNN", kind, [graph], runs=3, activation=activation, time_major=major,
                               merge_outputs=merge, **more)


# coupled input and forget gate, peephole, projection, layer normalization, clips
VARIANTS = [(False, False, False, False, 0.0, 0.0), (True, False, False, False, 0.0, 0.0), (False, True, False, False, 0.5, 0.0),
            (False, False, True, False, 0.0, 0.4), (False, False, False, True, 0.0, 0.0), (True, True, True, True, 0.6, 0.3),
            (False, True, True, True, 0.0, 0.0)]


def lstm_weights(rng, kind, coupled, peephole, projection, norm, n_in=IN):
    """Inputs 1 to 17 and 20 to 23 of an LSTM; `out` is the length of its output."""
    out = OUT if projection else CELLS
    gates = [weights(rng, kind, CELLS, n_in) for _ in range(4)]
    recurrent = [weights(rng, kind, CELLS, out) for _ in range(4)]
    peep = [weights(rng, kind, CELLS) if peephole else None for _ in range(3)]
    bias = [numbers(rng, CELLS) for _ in range(4)]
    project = [weights(rng, kind, OUT, CELLS), numbers(rng, OUT)] if projection else [None, None]
    norms = [numbers(rng, CELLS, 0.2, 1.0) if norm else None for _ in range(4)]
    if coupled:
        gates[0] = recurrent[0] = peep[0] = bias[0] = norms[0] = None
    return [*gates, *recurrent, *peep, *bias, *project], norms, out


def lstm():
    for kind in ["float32", "hybrid"]:
        for i, (coupled, peephole, projection, norm, cell_clip, proj_clip) in enumerate(VARIANTS):
            words = dict(coupled=coupled, peephole=peephole, projection=projection, layer_norm=norm, cell_clip=cell_clip, proj_clip=proj_clip)
            for asymmetric in [False, True]:
                if asymmetric and (kind == "float32" or i > 2):
                    continue
                more = {"asymmetric_quantize_inputs": asymmetric} if kind == "hybrid" else {}
                fields = {"fusedActivationFunction": 4, "cellClip": cell_clip, "projClip": proj_clip, "asymmetricQuantizeInputs": asymmetric}
                for major in [False, True]:
                    rng = rng_of("lstm", kind, i)
                    middle, norms, out = lstm_weights(rng, kind, coupled, peephole, projection, norm)
                    x, y = sequence_input(major), T("float32", [TIME, BATCH, out] if major else [BATCH, TIME, out])
                    graph = Graph([x], [y])
                    graph.op("UNIDIRECTIONAL_SEQUENCE_LSTM", [x, *middle, state(BATCH, out), state(BATCH, CELLS), *norms], [y],
                             ("UnidirectionalSequenceLSTMOptions", {**fields, "timeMajor": major}))
                    yield case("UNIDIRECTIONAL_SEQUENCE_LSTM", kind, [graph], runs=3, time_major=major, **words, **more)
                rng = rng_of("lstm step", kind, i)
                middle, norms, out = lstm_weights(rng, kind, coupled, peephole, projection, norm)
                x, y = T("float32", [BATCH, IN], draw=tame), T("float32", [BATCH, out])
                graph = Graph([x], [y])
                graph.op("LSTM", [x, *middle, state(BATCH, out), state(BATCH, CELLS), *norms], [y], ("LSTMOptions", fields))
                yield case("LSTM", kind, [graph], runs=4, **words, **more)
                if norm:
                    continue
                for merge in [False, True]:
                    major = merge
                    rng = rng_of("bidirectional", kind, i)
                    forward, _, out = lstm_weights(rng, kind, coupled, peephole, projection, False)
                    backward, _, out = lstm_weights(rng, kind, coupled, peephole, projection, False)
                    x = sequence_input(major)
                    shape = [TIME, BATCH, out] if major else [BATCH, TIME, out]
                    outs = [T("float32", shape[:2] + [2 * out])] if merge else [T("float32", shape), T("float32", shape)]
                    states = [state(BATCH, out), state(BATCH, CELLS), state(BATCH, out), state(BATCH, CELLS)]
                    graph = Graph([x], outs)
                    graph.op("BIDIRECTIONAL_SEQUENCE_LSTM", [x, *forward, *backward, *states] + [None] * 9, outs,
                             ("BidirectionalSequenceLSTMOptions", {**fields, "timeMajor": major, "mergeOutputs": merge}))
                    yield case("BIDIRECTIONAL_SEQUENCE_LSTM", kind, [graph], runs=3, time_major=major, merge_outputs=merge, **words, **more)


def integer_lstm():
    """int8 activations and weights, int16 cell state; with layer normalization the gates have scales."""
    for op, table in [("UNIDIRECTIONAL_SEQUENCE_LSTM", "UnidirectionalSequenceLSTMOptions"), ("LSTM", "LSTMOptions")]:
        for i, (coupled, peephole, projection, norm, cell_clip, proj_clip) in enumerate(VARIANTS):
            for major in [False, True] if op != "LSTM" else [False]:
                rng = rng_of("integer lstm", i)
                out = OUT if projection else CELLS
                x_q, y_q, hidden = Q(2 / 128, [3, -20, 0, 40, -128, 7, 0][i]), Q(1 / 128, [0, 5, -9, 0, 30, -3, 1][i]), Q(1 / 140, [0, 4, 0, -11, 0, 2, 9][i])
                w = lambda *shape, scale=0.008: const("int8", rng.integers(-127, 128, shape), Q(scale))
                gates, recurrent = [w(CELLS, IN) for _ in range(4)], [w(CELLS, out, scale=0.006) for _ in range(4)]
                peep = [const("int16", rng.integers(-20000, 20001, [CELLS]), Q(2.0**-15)) if peephole else None for _ in range(3)]
                bias_q = Q(2 / 128 * 0.008) if not norm else Q(2.0**-10 * 2.0**-15)
                bias = [const("int32", rng.integers(-3000, 3001, [CELLS]), bias_q) for _ in range(4)]
                project = [w(OUT, CELLS), const("int32", rng.integers(-2000, 2001, [OUT]), Q(hidden.scale * 0.008))] if projection else [None, None]
                norms = [const("int16", rng.integers(12000, 30000, [CELLS]), Q(2.0**-14)) if norm else None for _ in range(4)]
                if coupled:
                    gates[0] = recurrent[0] = peep[0] = bias[0] = norms[0] = None
                states = [T("int8", [BATCH, out], y_q, variable=True), T("int16", [BATCH, CELLS], Q(2.0**-11), variable=True)]
                between = [T("int16", [], Q([0.0003, 0.0002, 0.0004, 0.00025][g])) for g in range(4)] + [T("int8", [], hidden)]
                shape = [BATCH, IN] if op == "LSTM" else [TIME, BATCH, IN] if major else [BATCH, TIME, IN]
                x, y = T("int8", shape, x_q), T("int8", shape[:-1] + [out], y_q)
                graph = Graph([x], [y])
                fields = {"fusedActivationFunction": 4, "cellClip": cell_clip, "projClip": proj_clip}
                words = dict(coupled=coupled, peephole=peephole, projection=projection, layer_norm=norm, cell_clip=cell_clip, proj_clip=proj_clip)
                if op != "LSTM":
                    fields["timeMajor"] = words["time_major"] = major
                graph.op(op, [x, *gates, *recurrent, *peep, *bias, *project, *states, *norms], [y], (table, fields), intermediates=between)
                yield case(op, "int8", [graph], "unit", runs=4, reason="a logistic function and a hyperbolic tangent within", **words)


def svdf():
    for rank in [1, 2]:
        units, memory = 3, 4
        filters = units * rank
        for kind in ["float32", "hybrid", "int8"]:
            for i, activation in enumerate(["NONE", "RELU", "RELU6"]):
                for bias in [True, False]:
                    rng = rng_of("svdf", rank, kind, i)
                    asymmetric = kind == "hybrid" and i == 1
                    more = {"asymmetric_quantize_inputs": asymmetric} if kind == "hybrid" else {}
                    if kind == "int8":
                        if activation != "RELU":
                            # LiteRT's integer kernel knows no other.
                            continue
                        x, y = T("int8", [BATCH, IN], Q(2 / 128, 5)), T("int8", [BATCH, units], Q(0.02, -128 + 20 * rank))
                        feature = const("int8", rng.integers(-127, 128, [filters, IN]), Q(0.006))
                        time = const("int16", rng.integers(-32767, 32768, [filters, memory]), Q(1 / 32768))
                        b = const("int32", rng.integers(-30000, 30001, [units]), Q(2.0**-13 / 32768))
                        memory_state = T("int16", [BATCH, memory * filters], Q(2.0**-13), variable=True)
                    else:
                        x, y = T("float32", [BATCH, IN], draw=tame), T("float32", [BATCH, units])
                        feature, time, b = weights(rng, kind, filters, IN), weights(rng, kind, filters, memory), numbers(rng, units)
                        memory_state = state(BATCH, memory * filters)
                    graph = Graph([x], [y])
                    graph.op("SVDF", [x, feature, time, b if bias else None, memory_state], [y],
                             ("SVDFOptions", {"rank": rank, "fusedActivationFunction": ACTIVATION_NUMBERS[activation],
                                              "asymmetricQuantizeInputs": asymmetric}))
                    yield case("SVDF", kind, [graph], runs=6, rank=rank, activation=activation, bias=bias, **more)


def cases():
    for group in [rnn, lstm, integer_lstm, svdf]:
        yield from group()
