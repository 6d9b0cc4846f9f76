//! Operators that move data: places computed at run time, and arguments from a hostile file.

use super::super::blocks::{Batch, Depth};
use super::super::broadcast_args::BroadcastArgs;
use super::super::diagonal::Diagonal;
use super::super::gather::{Embedding, Gather};
use super::super::gather_nd::{GatherNd, ScatterNd, SparseToDense};
use super::super::join::{Concatenation, Pack};
use super::super::known::Known;
use super::super::pad::MirrorPad;
use super::super::repeat::Repeat;
use super::super::reshape::Reshape;
use super::super::reverse::{Reverse, ReverseSequence};
use super::super::slice::{Slice, Update};
use super::super::split::Split;
use super::super::strided_slice::StridedSlice;
use super::super::transpose::Transpose;
use super::*;

/// `int32` or `int8` without a scale, to be given at run time.
fn free(dtype: DType, shape: &[usize]) -> Value<'static> {
    Value { dtype, shape: shape.to_vec(), quant: Quant::None, data: None, nibbles: false }
}

/// Runs one node whose inputs are bytes as they lie in the arena.
fn run_bytes(
    op: impl Operator + 'static,
    values: Vec<Value<'static>>,
    inputs: &[&[u8]],
) -> Vec<u8> {
    let inputs: Vec<&[i8]> = inputs.iter().map(|bytes| bytemuck::cast_slice(bytes)).collect();
    bytemuck::cast_slice(&run(op, values, &inputs)).to_vec()
}

fn places(places: &[i32]) -> Vec<u8> {
    places.iter().flat_map(|place| place.to_le_bytes()).collect()
}

#[test]
fn a_place_that_is_not_there_gives_real_zero() {
    let x = || int8(&[3, 2], 1.0, 5);
    let rows = vec![x(), free(DType::I32, &[4]), int8(&[4, 2], 1.0, 5)];
    let wanted = places(&[2, -1, 3, i32::MIN]);
    let found = run_bytes(Gather { axis: 0, batch: 0 }, rows, &[b"abcdef", &wanted]);
    assert_eq!(found, b"ef\x05\x05\x05\x05\x05\x05");
    let cells = vec![x(), free(DType::I32, &[2, 2]), int8(&[2], 1.0, 5)];
    let found = run_bytes(GatherNd, cells, &[b"abcdef", &places(&[1, 1, i32::MAX, 0])]);
    assert_eq!(found, b"d\x05");
    let table = Value { data: Some(Cow::Borrowed(b"abcdef")), ..x() };
    let rows = vec![free(DType::I32, &[2]), table, int8(&[2, 2], 1.0, 5)];
    assert_eq!(run_bytes(Embedding, rows, &[&places(&[0, 9])]), b"ab\x05\x05");
}

#[test]
fn what_would_be_written_outside_is_left_out() {
    let scattered = vec![
        free(DType::I32, &[2, 1]),
        free(DType::I8, &[2]),
        words(&[1], &[3]),
        free(DType::I8, &[3]),
    ];
    let found = run_bytes(ScatterNd, scattered, &[&places(&[2, 3]), b"ab"]);
    assert_eq!(found, b"\0\0a");
    let sparse = vec![
        free(DType::I32, &[2]),
        words(&[1], &[3]),
        free(DType::I8, &[]),
        free(DType::I8, &[]),
        free(DType::I8, &[3]),
    ];
    let found = run_bytes(SparseToDense, sparse, &[&places(&[1, -1]), b"x", b"."]);
    assert_eq!(found, b".x.");
}

#[test]
fn boxes_and_lengths_are_brought_inside() {
    let begin = places(&[7, -7]);
    let cut = vec![
        free(DType::I8, &[3, 3]),
        free(DType::I32, &[2]),
        words(&[2], &[2, 2]),
        free(DType::I8, &[2, 2]),
    ];
    assert_eq!(run_bytes(Slice, cut, &[b"abcdefghi", &begin]), b"degh");
    let written = vec![
        free(DType::I8, &[3, 3]),
        free(DType::I8, &[2, 2]),
        free(DType::I32, &[2]),
        free(DType::I8, &[3, 3]),
    ];
    assert_eq!(run_bytes(Update, written, &[b"abcdefghi", b"wxyz", &begin]), b"abcwxfyzi");
    let turned = vec![free(DType::I8, &[2, 3]), free(DType::I32, &[2]), free(DType::I8, &[2, 3])];
    let op = ReverseSequence { sequence: 1, batch: 0 };
    assert_eq!(run_bytes(op, turned, &[b"abcdef", &places(&[9, -1])]), b"cbadef");
}

#[test]
fn a_shape_is_known_though_its_tensor_is_not() {
    let values = vec![free(DType::F32, &[2, 7]), free(DType::I32, &[2])];
    let program = compile(Known::Shape, values).unwrap();
    assert!(program.steps.is_empty());
    assert!(matches!(program.outputs[0], Place::Constant(_)));
}

#[test]
fn what_moves_nothing_costs_nothing() {
    let values = || {
        vec![free(DType::F32, &[1, 5, 3]), words(&[3], &[1, 0, 2]), free(DType::F32, &[5, 1, 3])]
    };
    assert!(compile(Transpose, values()).unwrap().steps.is_empty());
    let op = Concatenation { axis: 0, activation: Activation::None };
    let one = vec![free(DType::I8, &[2, 2]), free(DType::I8, &[2, 2])];
    assert!(compile(op, one).unwrap().steps.is_empty());
}

#[test]
fn another_scale_is_refused_where_litert_refuses() {
    let values = vec![int8(&[2, 3], 1.0, 0), words(&[2], &[1, 0]), int8(&[3, 2], 0.5, 0)];
    let error = compile(Transpose, values).unwrap_err();
    assert!(matches!(error, EngineError::Unsupported { .. }), "{error}");
}

/// Numbers that come out the same every time.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: usize) -> usize {
        // Knuth's MMIX generator; its low bits are poor.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    /// Mostly a small one.
    fn number(&mut self) -> i64 {
        const FAR: [i64; 6] = [i64::MIN, i64::MAX, i32::MIN as i64, i32::MAX as i64, 1 << 20, -9];
        match self.below(30) {
            0 => FAR[self.below(FAR.len())],
            1..6 => self.below(7) as i64 - 2,
            _ => self.below(3) as i64,
        }
    }

    fn shape(&mut self) -> Vec<usize> {
        let rank = self.below(5);
        (0..rank).map(|_| if self.below(30) == 0 { 0 } else { 1 + self.below(4) }).collect()
    }

    fn value(&mut self) -> Value<'static> {
        let dtype =
            [DType::I8, DType::U8, DType::I16, DType::I32, DType::I64, DType::F32, DType::Bool]
                [self.below(7)];
        let shape = self.shape();
        let numbers = matches!(dtype, DType::I32 | DType::I64) && self.below(4) > 0;
        if numbers || shape.contains(&0) {
            return self.numbers(shape.len());
        }
        let quant = match (dtype, self.below(2)) {
            (DType::I8 | DType::U8, 0) => Quant::Tensor(Quantization { scale: 0.5, zero_point: 3 }),
            _ => Quant::None,
        };
        Value { dtype, shape, quant, data: None, nibbles: false }
    }

    /// A constant list or matrix of integers, often one for each of `rank` axes.
    fn numbers(&mut self, rank: usize) -> Value<'static> {
        let mut shape = vec![if self.below(3) > 0 { rank } else { self.below(5) }];
        match self.below(4) {
            0 => shape.clear(),
            1 => shape.push(2),
            _ => {}
        }
        let count = shape.iter().product::<usize>();
        let wide = self.below(2) == 0;
        let data = (0..count).flat_map(|_| {
            let number = self.number().to_le_bytes();
            number[..if wide { 8 } else { 4 }].to_vec()
        });
        let data = Some(Cow::Owned(data.collect()));
        let dtype = if wide { DType::I64 } else { DType::I32 };
        Value { dtype, shape, quant: Quant::None, data, nibbles: false }
    }

    fn op(&mut self) -> Box<dyn Operator> {
        let (axis, other) = (self.number(), self.number());
        let mut mask = || if self.below(2) == 0 { 0 } else { self.below(32) as u32 };
        let [begin, end, ellipsis, new_axis, shrink] = std::array::from_fn(|_| mask());
        let offset = mask() > 9;
        let slice = StridedSlice { begin, end, ellipsis, new_axis, shrink, offset };
        let block = 1 + self.below(3);
        match self.below(31) {
            0 => Box::new(Depth { block, deepen: true }),
            1 => Box::new(Depth { block, deepen: false }),
            2 => Box::new(Batch { split: true }),
            3 => Box::new(Batch { split: false }),
            4 => Box::new(Diagonal::Alone),
            5 => Box::new(Diagonal::Over),
            6 => Box::new(Embedding),
            7 => Box::new(Gather { axis, batch: other }),
            8 => Box::new(GatherNd),
            9 => Box::new(ScatterNd),
            10 => Box::new(SparseToDense),
            11 => Box::new(Concatenation { axis, activation: Activation::None }),
            12 => Box::new(Pack { axis }),
            13 => Box::new(Known::Range),
            14 => Box::new(BroadcastArgs),
            15 => Box::new(Known::Where),
            16 => Box::new(MirrorPad { edge: block > 1 }),
            17 => Box::new(Pad),
            18 => Box::new(Repeat::Tile),
            19 => Box::new(Repeat::BroadcastTo),
            20 => Box::new(Repeat::Fill),
            21 => Box::new(Reshape::To { shape: vec![axis, other] }),
            22 => Box::new(Reverse),
            23 => Box::new(ReverseSequence { sequence: axis, batch: other }),
            24 => Box::new(Slice),
            25 => Box::new(Update),
            26 => Box::new(Split::Evenly),
            27 => Box::new(Split::Sizes),
            28 => Box::new(Split::Unpack { axis }),
            29 => Box::new(slice),
            _ => Box::new(Transpose),
        }
    }
}

#[test]
fn no_arguments_make_an_operator_panic() {
    let mut draws = Draws(1);
    let mut ran = 0;
    for _ in 0..150_000 {
        let count = 1 + draws.below(4);
        let mut values: Vec<_> = (0..count).map(|_| draws.value()).collect();
        if draws.below(2) == 0 {
            values.truncate(1);
            let rank = values[0].shape.len();
            values.extend((0..draws.below(4)).map(|_| draws.numbers(rank)));
        }
        let alike = values.iter().find(|value| value.data.is_none());
        let (dtype, quant) =
            alike.map_or((DType::I32, Quant::None), |x| (x.dtype, x.quant.clone()));
        let output =
            || Value { dtype, shape: Vec::new(), quant: quant.clone(), data: None, nibbles: false };
        values.push(output());
        let mut graph = single(Transpose, values);
        graph.nodes[0].op = draws.op();
        for _ in 0..draws.below(4).saturating_sub(1) {
            graph.values.push(output());
            let value = graph.values.len() - 1;
            graph.nodes[0].outputs.push(value);
            graph.outputs.push(Port { name: value.to_string(), value });
        }
        let Ok(program) = program::compile(&mut graph, Target::plain(&Budget::default())) else {
            continue;
        };
        let mut arena = Arena::new(program.arena_bytes).unwrap();
        for byte in arena.bytes_mut() {
            *byte = if draws.below(2) == 0 { draws.below(4) as u8 } else { draws.below(256) as u8 };
        }
        program.run(&[], arena.bytes_mut(), &Fuel::new(), &Crew::ALONE);
        ran += 1;
    }
    assert!(ran > 5_000, "only {ran} of them compiled");
}
