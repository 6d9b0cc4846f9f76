"""Makes the small models of tests/data/engines and what the reference runtimes give for them.

    python3 scripts/engine-models.py

Needs tensorflow, ai-edge-litert, onnx and onnxruntime (models/requirements.txt). Each model's
`NAME.npz` holds `x` [n, …] and `y` [n, …], by onnxruntime or LiteRT.
"""

import pathlib

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper, numpy_helper

OUT = pathlib.Path(__file__).parent.parent / "tests/data/engines"
RNG = np.random.default_rng(3)


def weights(name, *shape):
    return numpy_helper.from_array(RNG.normal(0, 0.4, shape).astype(np.float32), name)


def graph(nodes, inputs, outputs, constants=(), opset=13, ml=None, shapes=()):
    made = helper.make_graph(nodes, "test", inputs, outputs, list(constants), value_info=list(shapes))
    opsets = [helper.make_opsetid("", opset)]
    if ml:
        opsets.append(helper.make_opsetid("ai.onnx.ml", ml))
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def floats(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def conv():
    """A small network with a free batch, named in the middle, too."""
    nodes = [
        helper.make_node("Conv", ["image", "w0", "b0"], ["c"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w1", "b1"], ["logits"], name="last", transB=1),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    constants = [weights("w0", 4, 2, 3, 3), weights("b0", 4), weights("w1", 3, 4), weights("b1", 3)]
    return graph(nodes, [floats("image", "N", 2, 6, 5)], [floats("scores", "N", 3)], constants,
                 shapes=[floats("c", "N", 4, 6, 5)])


def two_inputs():
    """Float and integer inputs, float, integer and boolean outputs."""
    integers = [helper.make_tensor_value_info(n, TensorProto.INT64, [3]) for n in ("b", "twice")]
    nodes = [
        helper.make_node("Cast", ["b"], ["bf"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["a", "bf"], ["sum"]),
        helper.make_node("Add", ["b", "b"], ["twice"]),
        helper.make_node("Greater", ["a", "bf"], ["above"]),
    ]
    above = helper.make_tensor_value_info("above", TensorProto.BOOL, [3])
    return graph(nodes, [floats("a", 3), integers[0]], [floats("sum", 3), integers[1], above])


def qdq():
    one = [numpy_helper.from_array(np.float32(0.1), "s"), numpy_helper.from_array(np.int8(0), "z")]
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "z"], ["q"], name="quantize_r"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    return graph(nodes, [floats("x", 1, 4)], [floats("y", 1, 4)], one)


def vectorizer():
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("DictVectorizer", ["r"], ["y"], name="vectorize", domain="ai.onnx.ml", string_vocabulary=["a"]),
    ]
    return graph(nodes, [floats("x", 1, 4)], [floats("y", 1, 4)], ml=1)


def misfit():
    """Every operator is known, but the shapes do not fit in the second one."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["y"], name="multiply"),
    ]
    return graph(nodes, [floats("x", 1, 4)], [floats("y", 1, 2)], [weights("w", 5, 2)])


def free_length():
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    return graph(nodes, [floats("x", "N", "length", 4)], [floats("y", "N", "length", 4)])


def no_bias():
    """The converter leaves a bias of zeros out: the operator's last input is -1."""
    tf.keras.utils.set_random_seed(3)
    model = tf.keras.Sequential([tf.keras.Input((4,), batch_size=1), tf.keras.layers.Dense(2)])
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def mean():
    model = tf.keras.Sequential([tf.keras.Input((3, 2), batch_size=1), tf.keras.layers.GlobalAveragePooling1D()])
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def float_tflite():
    tf.keras.utils.set_random_seed(3)
    bias = tf.keras.initializers.RandomNormal(stddev=0.5)
    model = tf.keras.Sequential([
        tf.keras.Input((6, 5, 2), batch_size=1),
        tf.keras.layers.Conv2D(4, 3, padding="same", activation="relu", bias_initializer=bias),
        tf.keras.layers.DepthwiseConv2D(3, bias_initializer=bias),
        tf.keras.layers.MaxPooling2D(2),
        tf.keras.layers.Flatten(),
        tf.keras.layers.Dense(3, activation="sigmoid", bias_initializer=bias),
    ])
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def open_batch():
    x = tf.keras.layers.Input((6, 4))
    y = tf.keras.layers.Conv1D(5, 3, activation="relu")(x)
    y = tf.keras.layers.Dense(3)(tf.keras.layers.GlobalAveragePooling1D()(y))
    model = tf.keras.Model(x, y)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([RNG.normal(size=(1, 6, 4)).astype(np.float32)] for _ in range(20))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for make in (conv, two_inputs, qdq, vectorizer, misfit, free_length):
        onnx.save(make(), OUT / f"{make.__name__}.onnx")
    x = RNG.normal(size=(8, 2, 6, 5)).astype(np.float32)
    session = onnxruntime.InferenceSession(OUT / "conv.onnx", providers=["CPUExecutionProvider"])
    np.savez(OUT / "conv.npz", x=x, y=np.concatenate([session.run(None, {"image": row[None]})[0] for row in x]))

    (OUT / "no_bias.tflite").write_bytes(no_bias())
    (OUT / "mean.tflite").write_bytes(mean())
    (OUT / "float.tflite").write_bytes(float_tflite())
    (OUT / "open_batch.tflite").write_bytes(open_batch())
    interpreter = Interpreter(str(OUT / "float.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    x = RNG.normal(size=(8, 6, 5, 2)).astype(np.float32)
    y = []
    for row in x:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row[None])
        interpreter.invoke()
        y.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.savez(OUT / "float.npz", x=x, y=np.concatenate(y))


if __name__ == "__main__":
    main()
