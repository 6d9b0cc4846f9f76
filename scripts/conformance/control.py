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
                # The fast kind leaves what it does not find as the run before left it.
                detections = detections if regular else min(detections, 3)
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
