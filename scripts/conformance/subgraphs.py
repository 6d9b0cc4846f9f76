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
