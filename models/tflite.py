"""What training scripts of int8 .tflite models share: writing the file, and running it as its users do."""

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import bundle


def to_int8(model, x):
    """The .tflite file of a Keras `model`: weights, activations, input and output int8, batch 1, ranges from `x` [n, …], what
    the model takes."""
    serve = tf.compat.v1.wrap_function(
        lambda x: tf.identity(model(x, training=False), name="y"),
        [tf.TensorSpec([1, *x.shape[1:]], tf.float32, name="x")],
    ).prune("x:0", "y:0")  # a tf.function would call its output Identity
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([each[None]] for each in x)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


class Int8Model:
    """The .tflite file in LiteRT as its users run it: XNNPACK where it takes the op, one thread."""

    def __init__(self, path):
        self.interpreter = Interpreter(model_path=str(path), num_threads=1)
        self.interpreter.allocate_tensors()
        (self.input,) = self.interpreter.get_input_details()
        (self.output,) = self.interpreter.get_output_details()

    def __call__(self, x):
        """Real inputs [n, …] through the model: int8 [n, …]."""
        found = []
        for tensor in bundle.quantize_i8(x, *self.input["quantization"]):
            self.interpreter.set_tensor(self.input["index"], tensor[None])
            self.interpreter.invoke()
            found.append(self.interpreter.get_tensor(self.output["index"])[0])
        return np.stack(found)

    def real(self, y):
        """Outputs dequantized, float32."""
        scale, zero_point = self.output["quantization"]
        return (y.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def tensor_table(name, detail):
    """A tensor's entry in the manifest."""
    scale, zero_point = detail["quantization"]
    return {
        "name": name,
        "dtype": np.dtype(detail["dtype"]).name,
        "shape": detail["shape"].tolist(),
        "quantization": {"scale": np.float32(scale), "zero_point": zero_point},
    }
