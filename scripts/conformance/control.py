<<<<<<< HEAD
"""Control flow, variables, chains of operators that belong together, detection."""

import numpy as np
from flatbuffers import flexbuffers

from conv import Layer
from model import Graph, Q, T, at, case, const, ints, quantized, rng_of
from unary import real_scale


def branches():
    """IF with both branches; the condition is an input."""
    for kind in ["float32", "int8", "int32"]:
        quant = Q(0.1, 3) if kind == "int8" else None
        condition, x, y = T("bool", [1]), T(kind, [2, 3], quant), T(kind, [2, 3], quant)
        main = Graph([condition, x], [y])
        main.op("IF", [condition, x], [y], ("IfOptions", {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}))
        graphs = [main]
        for op, table, name in [("ADD", "AddOptions", "then"), ("MUL", "MulOptions", "else")]:
            a, b = T(kind, [2, 3], quant), T(kind, [2, 3], quant)
            graph = Graph([a], [b], name)
            graph.op(op, [a, a], [b], (table, {}))
            graphs.append(graph)
        yield case("IF", kind, graphs, runs=4)
    # Two results, and a branch that only passes on.
    condition, x, y, z = T("bool", [1]), T("float32", [4]), T("float32", [4]), T("float32", [4])
    main = Graph([condition, x], [y, z])
    less = T("float32", [4])
    main.op("ABS", [x], [less], ("AbsOptions", {}))
    main.op("IF", [condition, x, less], [y, z], ("IfOptions", {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}))
    a, b, c = T("float32", [4]), T("float32", [4]), T("float32", [4])
    then = Graph([a, b], [c, b], "then")
    then.op("SUB", [a, b], [c], ("SubOptions", {}))
    a, b, c = T("float32", [4]), T("float32", [4]), T("float32", [4])
    other = Graph([a, b], [a, c], "else")
    other.op("MAXIMUM", [a, b], [c], ("MaximumMinimumOptions", {}))
    yield case("IF", "float32", [main, then, other], runs=4, results=2)


def loops():
    """WHILE: as often as an input says, and so often as a constant says."""
    for kind in ["float32", "int8", "int32"]:
        quant = Q(0.1, 3) if kind == "int8" else None
        for constant in [False, True]:
            number = const("int32", [0]) if constant else T("int32", [1], draw=lambda rng, run, shape: [[0, 3, 5][run % 3]])
            x, n, y = T(kind, [2, 3], quant), T("int32", [1]), T(kind, [2, 3], quant)
            main = Graph([x] if constant else [number, x], [n, y])
            main.op("WHILE", [number, x], [n, y], ("WhileOptions", {"condSubgraphIndex": 1, "bodySubgraphIndex": 2}))
            a, b, go = T("int32", [1]), T(kind, [2, 3], quant), T("bool", [1])
            test = Graph([a, b], [go], "cond")
            test.op("LESS", [a, ints(5)], [go], ("LessOptions", {}))
            a, b, c, d = T("int32", [1]), T(kind, [2, 3], quant), T("int32", [1]), T(kind, [2, 3], quant)
            body = Graph([a, b], [c, d], "body")
            body.op("ADD", [a, ints(1)], [c], ("AddOptions", {}))
            fixed = const(kind, 10 if kind == "int8" else 2, quant)
            body.op("ADD", [b, fixed], [d], ("AddOptions", {}))
            yield case("WHILE", kind, [main, test, body], constant=constant)


def variables():
    """A sum over the runs, in a variable that CALL_ONCE sets."""
    for kind in ["float32", "int8", "int16", "int32", "int64"]:
        quant = Q(0.1 * real_scale(kind), at(kind, 0.5)) if quantized(kind) else None
        options = ("VarHandleOptions", {"container": "", "sharedName": "sum"})
        handle, x, old, new = T("resource", []), T(kind, [1, 4], quant), T(kind, [1, 4], quant), T(kind, [1, 4], quant)
        main = Graph([x], [new])
        main.op("CALL_ONCE", [], [], ("CallOnceOptions", {"initSubgraphIndex": 1}))
        main.op("VAR_HANDLE", [], [handle], options)
        main.op("READ_VARIABLE", [handle], [old], ("ReadVariableOptions", {}))
        main.op("ADD", [old, x], [new], ("AddOptions", {}))
        main.op("ASSIGN_VARIABLE", [handle, new], [], ("AssignVariableOptions", {}))
        handle = T("resource", [])
        start = Graph([], [], "init")
        start.op("VAR_HANDLE", [], [handle], options)
        start.op("ASSIGN_VARIABLE", [handle, const(kind, [[1, 2, 3, 4]], quant)], [], ("AssignVariableOptions", {}))
        for op in ["VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"]:
            yield case(op, kind, [main, start], runs=4)
        # A window over the last runs, as streaming models keep it.
        handle, x, old, both, new, y = (T("resource", []), T(kind, [1, 1, 3], quant), T(kind, [1, 3, 3], quant), T(kind, [1, 4, 3], quant),
                                        T(kind, [1, 3, 3], quant), T(kind, [1, 4, 3], quant))
        options = ("VarHandleOptions", {"container": "", "sharedName": "window"})
        main = Graph([x], [both])
        main.op("CALL_ONCE", [], [], ("CallOnceOptions", {"initSubgraphIndex": 1}))
        main.op("VAR_HANDLE", [], [handle], options)
        main.op("READ_VARIABLE", [handle], [old], ("ReadVariableOptions", {}))
        main.op("CONCATENATION", [old, x], [both], ("ConcatenationOptions", {"axis": 1}))
        main.op("STRIDED_SLICE", [both, ints(0, -3, 0), ints(1, 4, 3), ints(1, 1, 1)], [new], ("StridedSliceOptions", {}))
        main.op("ASSIGN_VARIABLE", [handle, new], [], ("AssignVariableOptions", {}))
        handle = T("resource", [])
        start = Graph([], [], "init")
        start.op("VAR_HANDLE", [], [handle], options)
        zero = np.full([1, 3, 3], quant.zero_point if quant else 0)
        start.op("ASSIGN_VARIABLE", [handle, const(kind, zero, quant)], [], ("AssignVariableOptions", {}))
        yield case("READ_VARIABLE", kind, [main, start], runs=6, label="window")


def detection():
    """TFLite_Detection_PostProcess, fast and per class; boxes from floats and from uint8."""
    for regular in [False, True]:
        for kind in ["float32", "uint8"]:
            for classes, detections, per_class in [(3, 3, 1), (3, 2, 2), (1, 3, 1), (4, 10, 1)]:
                count = 12
                rng = rng_of("detection", regular, classes)
                options = flexbuffers.Builder()
                with options.Map():
                    options.Key("max_detections"); options.Int(detections)
                    options.Key("max_classes_per_detection"); options.Int(per_class)
                    options.Key("detections_per_class"); options.Int(3)
                    options.Key("use_regular_nms"); options.Bool(regular)
                    options.Key("nms_score_threshold"); options.Float(0.3)
                    options.Key("nms_iou_threshold"); options.Float(0.4)
                    options.Key("num_classes"); options.Int(classes)
                    for key, value in [("y_scale", 10.0), ("x_scale", 10.0), ("h_scale", 5.0), ("w_scale", 5.0)]:
                        options.Key(key); options.Float(value)
                anchors = np.concatenate([rng.uniform(0.2, 0.8, [count, 2]), rng.uniform(0.2, 0.5, [count, 2])], 1)
                anchors = np.round(anchors * 256) / 256
                if kind == "float32":
                    boxes = T(kind, [1, count, 4], draw=lambda rng, run, shape: np.round(rng.uniform(-3, 3, shape) * 64) / 64)
                    scores = T(kind, [1, count, classes + 1], draw=lambda rng, run, shape: rng.permutation(np.prod(shape)) / np.prod(shape))
                    anchors = const(kind, anchors)
                else:
                    boxes = T(kind, [1, count, 4], Q(0.05, 128), draw=lambda rng, run, shape: rng.integers(70, 180, shape))
                    scores = T(kind, [1, count, classes + 1], Q(1 / 256, 0), draw=lambda rng, run, shape: rng.permutation(np.prod(shape)) * 3)
                    anchors = const(kind, np.round(anchors * 255), Q(1 / 255, 0))
                total = detections * per_class
                outs = [T("float32", [1, total, 4]), T("float32", [1, total]), T("float32", [1, total]), T("float32", [1])]
                graph = Graph([boxes, scores], outs)
                graph.op("TFLite_Detection_PostProcess", [boxes, scores, anchors], outs, custom=bytes(options.Finish()))
                yield case("TFLite_Detection_PostProcess", kind, [graph], "float", use_regular_nms=regular, classes=classes,
                           max_classes_per_detection=per_class)


def chains():
    """What a planner may join: the bytes must stay those of the operators one by one."""
    for kind in ["float32", "int8", "int8-channel", "uint8"]:
        base = kind.split("-")[0]
        zero = Q(0.05, at(base, 0.5)) if base != "float32" else None
        # PAD before a convolution.
        layer = Layer(kind, [1, 6, 7, 3], [4, 3, 3, 3], 0, 4, 27, "pad chain")
        x = T(layer.x.type, [1, 5, 5, 3], layer.x.quant, draw=layer.x.draw)
        graph = Graph([x], [layer.out])
        graph.op("PAD", [x, const("int32", [[0, 0], [0, 1], [1, 1], [0, 0]])], [layer.x], ("PadOptions", {}))
        graph.op("CONV_2D", layer.inputs(), [layer.out], ("Conv2DOptions", {"padding": 1, "strideH": 2, "strideW": 2, "dilationHFactor": 1, "dilationWFactor": 1}))
        yield case("CONV_2D", kind, [graph], label="chain-pad")
        # A convolution, then an activation of its own, with a second reader.
        layer = Layer(kind, [1, 4, 4, 3], [4, 1, 1, 3], 0, 4, 3, "relu chain")
        layer.out.shape = [1, 4, 4, 4]
        y, z = T(base, [1, 4, 4, 4], layer.out.quant), T(base, [1, 4, 4, 4], layer.out.quant)
        graph = Graph([layer.x], [y, z])
        graph.op("CONV_2D", layer.inputs(), [layer.out], ("Conv2DOptions", {"padding": 0, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}))
        graph.op("RELU", [layer.out], [y])
        graph.op("ADD", [layer.out, y], [z], ("AddOptions", {}))
        yield case("CONV_2D", kind, [graph], label="chain-relu")
    # A float island in an integer model, and the other way round.
    for kind in ["int8", "uint8"]:
        q = Q(0.05, at(kind, 0.4))
        x, wide, root, y = T(kind, [2, 9], q), T("float32", [2, 9]), T("float32", [2, 9]), T(kind, [2, 9], Q(0.03, at(kind, 0.0)))
        graph = Graph([x], [y])
        graph.op("DEQUANTIZE", [x], [wide])
        graph.op("ABS", [wide], [root], ("AbsOptions", {}))
        graph.op("QUANTIZE", [root], [y], ("QuantizeOptions", {}))
        yield case("QUANTIZE", kind, [graph], "bytes", label="island", **{"from": "float32"})
        x, narrow, twice, y = T("float32", [2, 9]), T(kind, [2, 9], q), T(kind, [2, 9], Q(0.1, at(kind, 0.4))), T("float32", [2, 9])
        graph = Graph([x], [y])
        graph.op("QUANTIZE", [x], [narrow], ("QuantizeOptions", {}))
        graph.op("ADD", [narrow, narrow], [twice], ("AddOptions", {}))
        graph.op("DEQUANTIZE", [twice], [y])
        yield case("DEQUANTIZE", kind, [graph], label="chain-add")


def cases():
    for group in [branches, loops, variables, detection, chains]:
        yield from group()
=======
"""Branches and loops: models of several graphs."""

import numpy as np

from model import Case, Graph, Q, T, const, quantized, rng_of, case, ints

ADD = ("ADD", ("AddOptions", {}))
SUB = ("SUB", ("SubOptions", {}))
MUL = ("MUL", ("MulOptions", {}))
MAXIMUM = ("MAXIMUM", ("MaximumMinimumOptions", {}))
KINDS = ["float32", "int8", "int32"]


def tensor(kind, shape, zero=3):
    """Values that stay exact in every kind."""
    quant = Q(0.25, zero) if quantized(kind) else None
    low, high = (-40, 41) if quantized(kind) else (-9, 10)
    return T(kind, shape, quant, draw=lambda rng, run, shape: rng.integers(low, high, shape))


def some(kind, shape, *key):
    t = tensor(kind, shape)
    return const(kind, t.draw(rng_of("control", kind, *key), 0, shape), t.quant)


def body(inputs, *ops):
    """A graph from (operator, options), its inputs, its output, in order; the outputs are to be set."""
    graph = Graph(inputs)
    for (name, options), sources, result in ops:
        graph.op(name, sources, [result], options)
    return graph


def truth():
    return T("bool", [1], draw=lambda rng, run, shape: [run % 2])


def branches():
    for kind in KINDS:
        shape = [2, 3]
        # Different work on one tensor.
        condition, x, out = truth(), tensor(kind, shape), tensor(kind, shape)
        main = Graph([condition, x], [out])
        main.op("IF", [condition, x], [out], ("IfOptions", {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}))
        graphs = [main]
        for (name, options) in (ADD, MAXIMUM):
            a, y = tensor(kind, shape), tensor(kind, shape)
            graph = body([a], ((name, options), [a, some(kind, [3], name)], y))
            graph.outputs = [y]
            graphs.append(graph)
        yield case("IF", kind, graphs, label="work")
        # Two outputs: one branch hands its inputs on, the other swaps them.
        condition, x, z = truth(), tensor(kind, shape), tensor(kind, shape)
        y0, y1 = tensor(kind, shape), tensor(kind, shape)
        main = Graph([condition, x, z], [y0, y1])
        main.op("IF", [condition, x, z], [y0, y1], ("IfOptions", {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}))
        graphs = [main]
        for order in ([0, 1], [1, 0]):
            inner = [tensor(kind, shape), tensor(kind, shape)]
            graphs.append(Graph(inner, [inner[i] for i in order]))
        yield case("IF", kind, graphs, label="swap")
        # A constant result, and a branch within a branch.
        first, second, x, out = truth(), T("bool", [1], draw=lambda rng, run, shape: [run > 0]), tensor(kind, shape), tensor(kind, shape)
        main = Graph([first, second, x], [out])
        main.op("IF", [first, second, x], [out], ("IfOptions", {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}))
        inner_first, a, y = T("bool", [1]), tensor(kind, shape), tensor(kind, shape)
        then = Graph([inner_first, a], [y])
        then.op("IF", [inner_first, a], [y], ("IfOptions", {"thenSubgraphIndex": 3, "elseSubgraphIndex": 4}))
        unused, b, y = T("bool", [1]), tensor(kind, shape), tensor(kind, shape)
        otherwise = body([unused, b], (ADD, [b, b], y))
        otherwise.outputs = [y]
        c = tensor(kind, shape)
        fixed = some(kind, shape, "fixed")
        third = Graph([c], [fixed])
        third.index(fixed)
        d, y = tensor(kind, shape), tensor(kind, shape)
        fourth = body([d], (MAXIMUM, [d, some(kind, [1], "high")], y))
        fourth.outputs = [y]
        yield case("IF", kind, [main, then, otherwise, third, fourth], label="nested", runs=4)


def counted(kind, shape, rounds, name, limit, deep=False):
    """A loop of `rounds` rounds that changes a tensor; the limit is constant or handed around."""
    i, x = const("int32", [0]), tensor(kind, shape)
    n = ints(rounds) if limit == "constant" else T("int32", [1], draw=lambda rng, run, shape: [rounds + run])
    i1, x1, n1 = T("int32", [1]), tensor(kind, shape), T("int32", [1])
    main = Graph([x] if limit == "constant" else [x, n], [x1, i1])
    main.op("WHILE", [i, x, n], [i1, x1, n1], ("WhileOptions", {"condSubgraphIndex": 1, "bodySubgraphIndex": 2}))
    ci, cx, cn, less = T("int32", [1]), tensor(kind, shape), T("int32", [1]), T("bool", [1])
    decide = body([ci, cx, cn], (("LESS", ("LessOptions", {})), [ci, cn], less))
    decide.outputs = [less]
    bi, bx, bn, bi1, bx1 = T("int32", [1]), tensor(kind, shape), T("int32", [1]), T("int32", [1]), tensor(kind, shape)
    op = {"add": ADD, "maximum": MAXIMUM}[name]
    if deep:
        # Every other round is a branch of its own.
        odd, low = T("bool", [1]), T("int32", [1])
        once = Graph([bi, bx, bn])
        once.op("ADD", [bi, ints(1)], [bi1], ("AddOptions", {}))
        once.op("FLOOR_MOD", [bi, ints(2)], [low], ("FloorModOptions", {}))
        once.op("EQUAL", [low, ints(0)], [odd], ("EqualOptions", {}))
        once.op("IF", [odd, bx], [bx1], ("IfOptions", {"thenSubgraphIndex": 3, "elseSubgraphIndex": 4}))
        once.outputs = [bi1, bx1, bn]
        graphs = [main, decide, once]
        for which in (ADD, MAXIMUM):
            a, y = tensor(kind, shape), tensor(kind, shape)
            graph = body([a], (which, [a, some(kind, shape, which[0], "deep")], y))
            graph.outputs = [y]
            graphs.append(graph)
        return graphs
    once = body([bi, bx, bn], (ADD, [bi, ints(1)], bi1), (op, [bx, some(kind, shape, name)], bx1))
    once.outputs = [bi1, bx1, bn]
    return [main, decide, once]


def loops():
    for kind in KINDS:
        yield case("WHILE", kind, counted(kind, [2, 3], 3, "add", "constant"), label="constant")
        yield case("WHILE", kind, counted(kind, [4], 2, "maximum", "given"), label="given")
        yield case("WHILE", kind, counted(kind, [5], 0, "add", "constant"), label="none")
        yield case("WHILE", kind, counted(kind, [2, 2], 5, "add", "given", deep=True), label="branch")
    # A loop within a loop: (n, x) with x doubled n times, n times.
    graphs = []
    for level in range(2):
        i, n, x = const("int32", [0]), T("int32", [1], draw=lambda rng, run, shape: [run + 1]), tensor("int32", [3])
        if level == 1:
            n.draw = None
        i1, n1, x1 = T("int32", [1]), T("int32", [1]), tensor("int32", [3])
        outer = Graph([n, x] if level == 0 else [T("int32", [1]), n, x])
        options = ("WhileOptions", {"condSubgraphIndex": 1 + 2 * level, "bodySubgraphIndex": 2 + 2 * level})
        outer.op("WHILE", [i, n, x], [i1, n1, x1], options)
        if level == 0:
            outer.outputs = [x1]
        else:
            next_i = T("int32", [1])
            outer.op("ADD", [outer.inputs[0], ints(1)], [next_i], ("AddOptions", {}))
            outer.outputs = [next_i, n, x1]
        ci, cn, cx, less = T("int32", [1]), T("int32", [1]), tensor("int32", [3]), T("bool", [1])
        decide = body([ci, cn, cx], (("LESS", ("LessOptions", {})), [ci, cn], less))
        decide.outputs = [less]
        graphs += [outer, decide]
    bi, bn, bx, bi1, bx1 = T("int32", [1]), T("int32", [1]), tensor("int32", [3]), T("int32", [1]), tensor("int32", [3])
    once = body([bi, bn, bx], (ADD, [bi, ints(1)], bi1), (ADD, [bx, bx], bx1))
    once.outputs = [bi1, bn, bx1]
    main, decide, outer, inner = graphs
    yield case("WHILE", "int32", [main, decide, outer, inner, once], label="nested")


def converted():
    """What TensorFlow's converter makes of cond and while_loop."""
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([2, 4]), tf.TensorSpec([], tf.bool)])
        def cond(self, x, flag):
            return tf.cond(flag, lambda: tf.nn.relu(x) + 1.0, lambda: x * 2.0)

        @tf.function(input_signature=[tf.TensorSpec([3, 4]), tf.TensorSpec([], tf.int32)])
        def loop(self, x, n):
            weights = tf.constant(np.round(np.random.default_rng(5).normal(0, 0.4, (4, 4)), 2), tf.float32)
            _, y = tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, tf.tanh(y @ weights) + x), [0, x])
            return y

    model = Model()
    for op, function, last in [("IF", model.cond, lambda run: np.array(run % 2 == 0)),
                               ("WHILE", model.loop, lambda run: np.array(run + 1, np.int32))]:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], model)
        rng = rng_of("converted", op)
        shape = [2, 4] if op == "IF" else [3, 4]
        inputs = [[np.round(rng.normal(0, 1, shape), 2).astype(np.float32), last(run)] for run in range(3)]
        yield Case(f"{op.lower()}.float32.converted", op, "float32", "float", {}, content=converter.convert(), inputs=inputs)


def cases():
    yield from branches()
    yield from loops()
    yield from converted()
>>>>>>> docs
