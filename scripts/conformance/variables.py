"""Resource variables: what a session keeps from run to run. All runs of a case are on one session."""

import numpy as np

from subgraphs import body, some, tensor
from model import Case, Graph, T, case, ints, rng_of

HANDLE = {"container": "", "sharedName": "a"}


def handle(graph, name="a"):
    resource = T("resource", [])
    graph.op("VAR_HANDLE", [], [resource], ("VarHandleOptions", {"container": "", "sharedName": name}))
    return resource


def assign(graph, resource, value):
    graph.op("ASSIGN_VARIABLE", [resource, value], [], ("AssignVariableOptions", {}))


def read(graph, resource, kind, shape):
    value = tensor(kind, shape)
    graph.op("READ_VARIABLE", [resource], [value], ("ReadVariableOptions", {}))
    return value


def start(*values):
    """The graph that initialises variables a, b, …"""
    graph = Graph([], name="init")
    for name, value in zip("abc", values):
        assign(graph, handle(graph, name), value)
    return graph


def stateful(op, kind, graphs, label):
    made = case(op, kind, graphs, label=label, runs=4)
    made.stateful = True
    return made


def cases():
    for kind in ["float32", "int8", "int32"]:
        shape = [2, 3]
        # A running maximum: read, combine, assign.
        for op in ["VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"]:
            x, y = tensor(kind, shape), tensor(kind, shape)
            main = Graph([x], [y])
            main.op("CALL_ONCE", [], [], ("CallOnceOptions", {"initSubgraphIndex": 1}))
            resource = handle(main)
            before = read(main, resource, kind, shape)
            main.op("MAXIMUM", [x, before], [y], ("MaximumMinimumOptions", {}))
            assign(main, resource, y)
            graphs = [main, start(some(kind, shape, "start"))]
            if op == "READ_VARIABLE":
                # What was read before an assignment stays what it was.
                after = read(main, resource, kind, shape)
                main.outputs = [y, before, after]
            if op == "ASSIGN_VARIABLE":
                # Two variables that change places; the handle is made twice.
                other = handle(main, "b")
                assign(main, handle(main), read(main, other, kind, shape))
                assign(main, other, before)
                graphs = [main, start(some(kind, shape, "start"), some(kind, shape, "other"))]
            yield stateful(op, kind, graphs, "keep")
        # Nothing initialises it: it is assigned before it is read.
        x = tensor(kind, shape)
        main = Graph([x])
        resource = handle(main)
        assign(main, resource, x)
        main.outputs = [read(main, resource, kind, shape)]
        yield stateful("ASSIGN_VARIABLE", kind, [main], "first")
        # Read and written within a branch and a loop, by name and by a handle that is handed in.
        condition, x = T("bool", [1], draw=lambda rng, run, shape: [run % 2]), tensor(kind, shape)
        out = tensor(kind, shape)
        main = Graph([condition, x], [out])
        main.op("CALL_ONCE", [], [], ("CallOnceOptions", {"initSubgraphIndex": 3}))
        main.op("IF", [condition, handle(main), x], [out], ("IfOptions", {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}))
        given, a, y = T("resource", []), tensor(kind, shape), tensor(kind, shape)
        then = Graph([given, a], [y])
        then.op("MAXIMUM", [a, read(then, given, kind, shape)], [y], ("MaximumMinimumOptions", {}))
        assign(then, given, y)
        unused, b = T("resource", []), tensor(kind, shape)
        otherwise = Graph([unused, b])
        otherwise.outputs = [read(otherwise, handle(otherwise), kind, shape)]
        yield stateful("READ_VARIABLE", kind, [main, then, otherwise, start(some(kind, shape, "if"))], "branch")
        i, x = ints(0), tensor(kind, shape)
        i1, x1, r1 = T("int32", [1]), tensor(kind, shape), T("resource", [])
        main = Graph([x], [x1])
        main.op("CALL_ONCE", [], [], ("CallOnceOptions", {"initSubgraphIndex": 3}))
        main.op("WHILE", [i, handle(main), x], [i1, r1, x1], ("WhileOptions", {"condSubgraphIndex": 1, "bodySubgraphIndex": 2}))
        ci, cr, cx, less = T("int32", [1]), T("resource", []), tensor(kind, shape), T("bool", [1])
        decide = body([ci, cr, cx], (("LESS", ("LessOptions", {})), [ci, ints(3)], less))
        decide.outputs = [less]
        bi, br, bx, bi1, bx1 = T("int32", [1]), T("resource", []), tensor(kind, shape), T("int32", [1]), tensor(kind, shape)
        once = Graph([bi, br, bx], [bi1, br, bx1])
        once.op("ADD", [bi, ints(1)], [bi1], ("AddOptions", {}))
        once.op("MAXIMUM", [bx, read(once, br, kind, shape)], [bx1], ("MaximumMinimumOptions", {}))
        assign(once, br, bx)
        yield stateful("ASSIGN_VARIABLE", kind, [main, decide, once, start(some(kind, shape, "while"))], "loop")
    yield from converted()


def converted():
    """Streaming as TensorFlow's converter writes it: a window of frames kept in a variable."""
    import tensorflow as tf

    class Stream(tf.Module):
        def __init__(self):
            self.window = tf.Variable(tf.zeros([1, 4, 3]))
            self.mean = tf.Variable(tf.ones([3]) * 0.5)

        @tf.function(input_signature=[tf.TensorSpec([1, 1, 3])])
        def run(self, x):
            window = tf.concat([self.window[:, 1:], x], axis=1)
            self.window.assign(window)
            self.mean.assign(self.mean * 0.75 + tf.reduce_mean(x, [0, 1]) * 0.25)
            return tf.reduce_sum(window, 1) - self.mean

    model = Stream()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([model.run.get_concrete_function()], model)
    converter.experimental_enable_resource_variables = True
    content = converter.convert()
    rng = rng_of("stream")
    inputs = [[np.round(rng.normal(0, 1, [1, 1, 3]), 2).astype(np.float32)] for _ in range(6)]
    made = Case("call_once.float32.converted", "CALL_ONCE", "float32", "float", {}, content=content, inputs=inputs, runs=6)
    made.stateful = True
    yield made
