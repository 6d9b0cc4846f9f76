//! Our executor gives, byte for byte, what LiteRT with XNNPACK gives on x86-64: single operators, with
//! the borders, strides, multipliers and shapes that whole models rarely meet.

use crate::reference::assert_as_litert;

macro_rules! byte_identical {
    ($($test:ident: $name:literal;)*) => {$(
        #[test]
        fn $test() {
            let file = include_bytes!(concat!("../data/ops/", $name, ".tflite"));
            assert_as_litert(file, concat!("ops/", $name));
        }
    )*};
}

byte_identical! {
    convolutions_are_byte_identical: "conv";
    depthwise_convolutions_are_byte_identical: "depthwise";
    pools_and_means_are_byte_identical: "pools";
    additions_are_byte_identical: "add";
    fully_connected_and_softmax_are_byte_identical: "dense";
    convolutions_over_time_are_byte_identical: "series";
    real_inputs_and_outputs_are_byte_identical: "float_io";
    changes_of_quantization_are_byte_identical: "requantize";
}
