//! Operators on values small enough to compute by hand.

mod moves;
mod sets;

use std::borrow::Cow;

use super::arithmetic::{Arithmetic, Operation};
use super::batch_matmul::BatchMatMul;
use super::conv2d::Conv2d;
use super::depthwise::DepthwiseConv2d;
use super::fully_connected::FullyConnected;
use super::pad::Pad;
use super::pool::{Pool2d, PoolKind};
use super::quantize::Quantize;
use super::reduce::{Reduce, Reduction};
use super::relu::Clamp;
use super::softmax::Softmax;
use super::transpose_conv::TransposeConv;
use super::{Kind, Operator, entries};
use crate::data::{DType, Quantization, Tensor, TensorData};
use crate::engine::EngineError;
use crate::engine::native::graph::{Activation, Graph, Node, Padding, Port, Quant, Value, Window};
use crate::engine::native::limits::{Budget, Fuel};
use crate::engine::native::memory::{Arena, Place};
use crate::engine::native::pool::Crew;
use crate::engine::native::program::{self, Program};
use crate::engine::native::target::Target;

fn value(dtype: DType, shape: &[usize], scale: f32, zero_point: i32) -> Value<'static> {
    let quant = Quant::Tensor(Quantization { scale, zero_point });
    Value { dtype, shape: shape.to_vec(), quant, data: None, nibbles: false }
}

fn int8(shape: &[usize], scale: f32, zero_point: i32) -> Value<'static> {
    value(DType::I8, shape, scale, zero_point)
}

fn constant(value: Value<'static>, data: &[i8]) -> Value<'static> {
    let data = data.iter().map(|v| v.cast_unsigned()).collect();
    Value { data: Some(Cow::Owned(data)), ..value }
}

fn words(shape: &[usize], data: &[i32]) -> Value<'static> {
    let data = data.iter().flat_map(|v| v.to_le_bytes()).collect();
    let shape = shape.to_vec();
    Value {
        dtype: DType::I32,
        shape,
        quant: Quant::None,
        data: Some(Cow::Owned(data)),
        nibbles: false,
    }
}

/// A graph of one node: all of `values` but the last are its inputs, the last is its output.
fn single(op: impl Operator + 'static, values: Vec<Value<'static>>) -> Graph<'static> {
    let output = values.len() - 1;
    let free = (0..output).filter(|&id| values[id].data.is_none());
    let port = |value: usize| Port { name: value.to_string(), value };
    let node = Node {
        index: 0,
        name: "TEST",
        op: Box::new(op),
        inputs: (0..output).map(Some).collect(),
        outputs: vec![output],
        bodies: Vec::new(),
        intermediates: Vec::new(),
    };
    Graph {
        format: "TFLite",
        inputs: free.map(port).collect(),
        outputs: vec![port(output)],
        nodes: vec![node],
        values,
        states: Vec::new(),
    }
}

fn compile(
    op: impl Operator + 'static,
    values: Vec<Value<'static>>,
) -> Result<Program, EngineError> {
    program::compile(&mut single(op, values), Target::plain(&Budget::default()))
}

/// Runs one node on `inputs` as they lie in the arena.
fn run(op: impl Operator + 'static, values: Vec<Value<'static>>, inputs: &[&[i8]]) -> Vec<i8> {
    let program = compile(op, values).unwrap();
    let mut arena = Arena::new(program.arena_bytes).unwrap();
    for (span, input) in program.inputs.iter().zip(inputs) {
        arena.bytes_mut()[span.clone()].copy_from_slice(bytemuck::cast_slice(input));
    }
    program.run(&[], arena.bytes_mut(), &Fuel::new(), &Crew::ALONE);
    let bytes = match &program.outputs[0] {
        Place::Arena(span) => &arena.bytes()[span.clone()],
        Place::Constant(span) => &program.constants.bytes()[span.clone()],
        Place::Input(_) => panic!("not given"),
    };
    bytemuck::cast_slice(bytes).to_vec()
}

fn window(padding: Padding) -> Window {
    Window { padding, stride: [1, 1], dilation: [1, 1] }
}

#[test]
fn convolution_sees_real_zeros_outside_the_input() {
    let op = Conv2d { window: window(Padding::Same), activation: Activation::None };
    let values = vec![
        int8(&[1, 2, 2, 1], 1.0, 10),
        constant(int8(&[1, 2, 2, 1], 1.0, 0), &[1, 2, 3, 4]),
        words(&[1], &[51]),
        int8(&[1, 2, 2, 1], 1.0, -1),
    ];
    // Real inputs 1 2 / 3 4; the window's border is below and to the right.
    let sums = [1 + 4 + 9 + 16, 2 + 12, 3 + 8, 4];
    assert_eq!(run(op, values, &[&[11, 12, 13, 14]]), sums.map(|sum: i8| sum + 50));
}

#[test]
fn convolution_of_uint8_subtracts_both_zero_points() {
    let op = Conv2d { window: window(Padding::Valid), activation: Activation::None };
    let values = vec![
        value(DType::U8, &[1, 1, 1, 2], 0.5, 128),
        constant(value(DType::U8, &[1, 1, 1, 2], 0.5, 100), &[103, 98]),
        words(&[1], &[0]),
        value(DType::U8, &[1, 1, 1, 1], 0.25, 0),
    ];
    // (4 * 3 - 1 * -2) * 0.5 * 0.5 / 0.25 = 14, which lies in the arena as 14 - 128 = -114.
    assert_eq!(run(op, values, &[&[4, -1]]), [-114]);
}

#[test]
fn groups_see_their_own_channels_only() {
    let op = Conv2d { window: window(Padding::Same), activation: Activation::None };
    let values = vec![
        int8(&[1, 1, 2, 2], 1.0, 1),
        constant(int8(&[2, 1, 2, 1], 1.0, 0), &[1, 2, 3, 4]),
        words(&[2], &[0, 1]),
        int8(&[1, 1, 2, 2], 1.0, 0),
    ];
    // Real inputs (1, 10) then (2, 20); the window's border is to the right.
    assert_eq!(run(op, values, &[&[2, 11, 3, 21]]), [1 + 4, 30 + 80 + 1, 2, 61]);
}

#[test]
fn transposed_convolution_spreads_pixels_and_adds_where_they_meet() {
    let valid = Window { stride: [1, 2], ..window(Padding::Valid) };
    let op = TransposeConv { window: valid, activation: Activation::None, sized: true };
    let values = vec![
        words(&[4], &[1, 1, 6, 1]),
        constant(int8(&[1, 1, 3, 1], 1.0, 0), &[1, 2, 3]),
        int8(&[1, 1, 2, 1], 1.0, -1),
        words(&[1], &[10]),
        int8(&[1, 1, 6, 1], 1.0, 0),
    ];
    // Real inputs 4 and 5, two columns apart; nothing reaches the last column.
    let sums = [4, 8, 12 + 5, 10, 15, 0];
    assert_eq!(run(op, values, &[&[3, 4]]), sums.map(|sum: i8| sum + 10));
}

#[test]
fn hostile_transposed_convolutions_are_refused() {
    let op = |stride| {
        let window = Window { stride, ..window(Padding::Same) };
        TransposeConv { window, activation: Activation::None, sized: true }
    };
    let values = |shape: [i32; 4]| {
        vec![
            words(&[4], &shape),
            constant(int8(&[1, 1, 3, 1], 1.0, 0), &[1, 2, 3]),
            int8(&[1, 1, 2, 1], 1.0, 0),
            int8(&[1, 1, 2, 1], 1.0, 0),
        ]
    };
    for shape in [[1, 1, 0, 1], [1, -1, 2, 1], [2, 1, 2, 1], [1, 1, 2, 3]] {
        let error = compile(op([1, 1]), values(shape)).unwrap_err();
        assert!(error.to_string().contains("output ["), "{error}");
    }
    let error = compile(op([1 << 20; 2]), values([1, 10_000, 10_000, 1])).unwrap_err();
    assert!(matches!(error, EngineError::TooLarge { .. }), "{error}");
}

#[test]
fn weights_without_elements_are_refused() {
    let refused = |error: Result<Program, EngineError>| {
        let error = error.unwrap_err();
        assert!(matches!(error, EngineError::Malformed { .. }), "{error}");
    };
    let empty = |shape: &[usize]| constant(int8(shape, 1.0, 0), &[]);
    for weights in [[0, 2], [2, 0], [0, 0]] {
        let op =
            FullyConnected { activation: Activation::None, keep_dims: false, asymmetric: false };
        refused(compile(op, vec![int8(&[1, 2], 1.0, 0), empty(&weights), int8(&[1, 2], 1.0, 0)]));
        let op = BatchMatMul { adjoint: [false, false] };
        refused(compile(op, vec![int8(&[1, 2], 1.0, 0), empty(&weights), int8(&[1, 2], 1.0, 0)]));
    }
    let image = || int8(&[1, 2, 2, 2], 1.0, 0);
    for weights in [[0, 1, 1, 2], [2, 0, 1, 2], [2, 1, 0, 2], [2, 1, 1, 0], [0, 0, 0, 0]] {
        let op = Conv2d { window: window(Padding::Same), activation: Activation::None };
        refused(compile(op, vec![image(), empty(&weights), image()]));
        let op = TransposeConv {
            window: window(Padding::Same),
            activation: Activation::None,
            sized: true,
        };
        refused(compile(op, vec![words(&[4], &[1, 2, 2, 2]), empty(&weights), image(), image()]));
    }
    for weights in [[1, 1, 1, 0], [1, 0, 1, 2], [0, 1, 1, 2]] {
        let op = DepthwiseConv2d { window: window(Padding::Same), activation: Activation::None };
        refused(compile(op, vec![image(), empty(&weights), image()]));
    }
}

#[test]
fn products_of_matrices_turn_and_repeat_them() {
    let values = || {
        let (a, b) = (int8(&[2, 1, 2], 1.0, 1), int8(&[2, 1], 1.0, 2));
        vec![a, b, int8(&[2, 1, 1], 1.0, 0)]
    };
    // Real rows (1, 2) and (3, 4) by the column (5, 6).
    let op = BatchMatMul { adjoint: [false, false] };
    assert_eq!(run(op, values(), &[&[2, 3, 4, 5], &[7, 8]]), [17, 39]);
    let values = vec![int8(&[2, 2], 1.0, 0), int8(&[1, 2], 1.0, 0), int8(&[2, 1], 1.0, 0)];
    // Columns (1, 3) and (2, 4) by the row (5, 6).
    let op = BatchMatMul { adjoint: [true, true] };
    assert_eq!(run(op, values, &[&[1, 2, 3, 4], &[5, 6]]), [23, 34]);
    let values = vec![int8(&[2, 3], 1.0, 0), int8(&[2, 3], 1.0, 0), int8(&[2, 3], 1.0, 0)];
    assert!(compile(BatchMatMul { adjoint: [false, false] }, values).is_err());
}

#[test]
fn each_filter_has_its_own_scale() {
    let weights = Value {
        quant: Quant::Channels { axis: 0, scales: vec![1.0, 0.25] },
        ..constant(int8(&[2, 2], 1.0, 0), &[1, 1, 4, 8])
    };
    let values = vec![int8(&[1, 2], 1.0, 0), weights, words(&[2], &[0, 4]), int8(&[1, 2], 1.0, 0)];
    let op = FullyConnected { activation: Activation::None, keep_dims: false, asymmetric: false };
    assert_eq!(run(op, values, &[&[2, 3]]), [5, 9]);
}

#[test]
fn depthwise_channels_do_not_mix_and_may_have_several_filters() {
    let op = DepthwiseConv2d { window: window(Padding::Valid), activation: Activation::Relu };
    let values = vec![
        int8(&[1, 1, 2, 2], 1.0, 1),
        constant(int8(&[1, 1, 2, 4], 1.0, 0), &[1, 2, 3, -4, 5, 6, 7, 8]),
        words(&[4], &[0, 0, 0, 0]),
        int8(&[1, 1, 1, 4], 1.0, 0),
    ];
    // Real inputs (1, 2) then (3, -1): channel 0 makes outputs 0 and 1, channel 1 the others.
    assert_eq!(run(op, values, &[&[2, 3, 4, 0]]), [1 + 15, 2 + 18, 0, 0]);
}

#[test]
fn pools_leave_out_what_lies_outside() {
    let values = || vec![int8(&[1, 2, 2, 1], 1.0, 0), int8(&[1, 2, 2, 1], 1.0, 0)];
    let (kernel, window) = ([2, 2], window(Padding::Same));
    let average = Pool2d { kind: PoolKind::Average, kernel, window, activation: Activation::None };
    assert_eq!(run(average, values(), &[&[1, 2, 3, 5]]), [3, 4, 4, 5]);
    let max = Pool2d { kind: PoolKind::Max, kernel, window, activation: Activation::None };
    assert_eq!(run(max, values(), &[&[-1, -2, -3, -5]]), [-1, -2, -3, -5]);
}

#[test]
fn a_mean_keeps_the_other_axes() {
    let values = || vec![int8(&[1, 2, 3], 0.5, 2), words(&[1], &[-2]), int8(&[1, 3], 0.25, 0)];
    let mean = |keep_dims| Reduce { reduction: Reduction::Mean, keep_dims };
    assert_eq!(run(mean(false), values(), &[&[2, 3, 4, 4, 5, 6]]), [2, 4, 6]);
    let values = vec![int8(&[1, 2, 3], 0.5, 2), words(&[2], &[1, 2]), int8(&[1, 1, 1], 0.5, 0)];
    assert_eq!(run(mean(true), values, &[&[2, 3, 4, 5, 6, 7]]), [2]);
}

#[test]
fn an_added_row_repeats() {
    let row = constant(int8(&[2], 1.0, 0), &[10, 20]);
    let values = vec![int8(&[2, 2], 1.0, 0), row, int8(&[2, 2], 1.0, 1)];
    let op = Arithmetic { operation: Operation::Add, activation: Activation::None, shifts: true };
    assert_eq!(run(op, values, &[&[1, 2, 3, 4]]), [12, 23, 14, 25]);
}

#[test]
fn padding_is_real_zero() {
    let values = vec![int8(&[1, 2], 1.0, 7), words(&[2, 2], &[1, 0, 0, 2]), int8(&[2, 4], 1.0, 7)];
    assert_eq!(run(Pad, values, &[&[1, 2]]), [7, 7, 7, 7, 1, 2, 7, 7]);
}

#[test]
fn softmax_of_equal_logits_shares_equally() {
    let values = vec![int8(&[1, 4], 0.1, 0), int8(&[1, 4], 1.0 / 256.0, -128)];
    assert_eq!(run(Softmax { beta: 1.0 }, values, &[&[3, 3, 3, 3]]), [-64; 4]);
}

#[test]
fn a_node_that_breaks_its_rules_is_named() {
    let wrong = |values| {
        compile(
            FullyConnected { activation: Activation::None, keep_dims: false, asymmetric: false },
            values,
        )
    };
    let weights = || constant(int8(&[2, 2], 1.0, 0), &[1, 1, 4, 8]);
    let x = || int8(&[1, 2], 1.0, 0);
    let error = wrong(vec![int8(&[1, 3], 1.0, 0), weights(), words(&[2], &[0, 4]), x()]);
    assert!(error.unwrap_err().to_string().contains("node 0 (TEST): weights [2, 2] for [1, 3]"));
    let error = wrong(vec![x(), weights(), words(&[3], &[0; 3]), x()]).unwrap_err();
    assert!(error.to_string().contains("3 biases for 2 filters"), "{error}");
    let no_bias = vec![int8(&[1, 1, 1, 2], 1.0, 0), int8(&[1, 1, 1, 2], 1.0, 0), words(&[1], &[0])];
    let op = Conv2d { window: window(Padding::Valid), activation: Activation::None };
    let y = int8(&[1, 1, 1, 1], 1.0, 0);
    let error = compile(op, no_bias.into_iter().chain([y]).collect()).unwrap_err();
    assert!(error.to_string().contains("weights that are not constant"), "{error}");
}

#[test]
fn more_work_than_the_limit_is_refused() {
    let kernel = [512, 512];
    let op = Pool2d {
        kind: PoolKind::Max,
        kernel,
        window: window(Padding::Same),
        activation: Activation::None,
    };
    let values = vec![int8(&[1, 512, 512, 64], 1.0, 0), int8(&[1, 512, 512, 64], 1.0, 0)];
    let error = compile(op, values).unwrap_err();
    assert!(matches!(error, EngineError::Unsupported { .. }), "{error}");
}

#[test]
fn nodes_with_constant_inputs_are_run_at_load() {
    let a = constant(int8(&[2], 1.0, 0), &[1, 2]);
    let values = vec![a, constant(int8(&[1], 1.0, 0), &[10]), int8(&[2], 1.0, 0)];
    let op = Arithmetic { operation: Operation::Add, activation: Activation::None, shifts: true };
    let program = compile(op, values).unwrap();
    assert!(program.steps.is_empty());
    let Place::Constant(span) = program.outputs[0].clone() else { panic!("not a constant") };
    assert_eq!(program.constants.bytes()[span], [11, 12]);
}

#[test]
fn the_op_table_has_each_operator_once() {
    let names: Vec<_> = entries().map(|entry| entry.name).collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "an operator is listed twice");
    for entry in entries() {
        assert!(!entry.kinds.is_empty(), "{}", entry.name);
        assert!(entry.kinds.iter().all(|kind: &Kind| !kind.as_str().is_empty()));
    }
}

#[test]
fn quantized_integers_of_32_bits_are_taken_where_they_are_meant() {
    let wide = || value(DType::I32, &[4], 0.5, 0);
    let real = Value { quant: Quant::None, ..value(DType::F32, &[4], 1.0, 0) };
    let clamp = compile(Clamp { low: 0.0, high: 6.0 }, vec![wide(), wide()]).unwrap_err();
    assert!(clamp.to_string().contains("quantized int32"), "{clamp}");
    let quantize = compile(Quantize, vec![real, wide()]).unwrap_err();
    assert!(quantize.to_string().contains("quantized int32"), "{quantize}");
    assert!(compile(Quantize, vec![wide(), int8(&[4], 1.0, 0)]).is_ok());
}

#[test]
fn inputs_are_read_where_the_caller_has_them() {
    let budget = Budget::default();
    let quantize = |from: Value<'static>| {
        let mut graph = single(Quantize, vec![from, int8(&[4], 0.5, 1)]);
        program::compile(&mut graph, Target { given: true, ..Target::plain(&budget) }).unwrap()
    };
    let real = Value { quant: Quant::None, ..value(DType::F32, &[4], 1.0, 0) };
    let program = quantize(real);
    assert!(program.inputs[0].is_empty());
    let given = [Tensor::new(vec![4], TensorData::F32(vec![0.0, 1.0, -1.0, 1e9])).unwrap()];
    let mut arena = Arena::new(program.arena_bytes).unwrap();
    program.run(&given, arena.bytes_mut(), &Fuel::new(), &Crew::ALONE);
    let Place::Arena(span) = program.outputs[0].clone() else { panic!("not computed") };
    assert_eq!(bytemuck::cast_slice::<u8, i8>(&arena.bytes()[span]), [1, 3, -1, 127]);
    // In the arena these lie otherwise.
    assert_eq!(quantize(value(DType::U8, &[4], 1.0, 0)).inputs[0].len(), 4);
}
