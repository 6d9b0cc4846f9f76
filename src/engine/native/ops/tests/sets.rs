//! Every instruction set gives the bytes of the plain kernels, whatever the shapes.

use proptest::prelude::*;

use super::super::binary::Binary;
use super::super::quantize::Dequantize;
use super::super::relu::{Leaky, Prelu};
use super::super::resize::{Bilinear, Corners};
use super::super::softmax::LogSoftmax;
use super::super::transpose::Transpose;
use super::super::unary::Unary;
use super::*;
use crate::engine::native::kernels::Isa;
use crate::engine::native::pool::Turns;
use crate::engine::native::pool::tests::POOL;
use crate::engine::threads::{ALONE, Threads};

/// Xorshift, by George Marsaglia.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn activation(&mut self) -> Activation {
        self.of(&[Activation::None, Activation::Relu, Activation::ReluN1To1, Activation::Relu6])
    }

    /// Up to four axes, the last at times longer than any vector.
    fn shape(&mut self) -> Vec<usize> {
        let mut shape: Vec<usize> = (0..self.below(4)).map(|_| 1 + self.below(5)).collect();
        shape.push(1 + self.of(&[3, 40, 150]).min(1 + self.below(150)));
        shape
    }

    /// NHWC.
    fn image(&mut self) -> Vec<usize> {
        let channels = self.of(&[1, 3, 6, 8, 17, 32, 45, 70, 200]);
        vec![1 + self.below(2), 1 + self.below(9), 1 + self.below(9), channels]
    }

    /// Some axes of `shape` only one long, or missing at the front.
    fn repeated(&mut self, shape: &[usize]) -> Vec<usize> {
        let missing = self.of(&[0, 0, self.0 as usize % (shape.len() + 1)]);
        let mask = self.of(&[0, 0, usize::MAX, self.0 as usize]);
        let axes = shape.iter().enumerate().skip(missing);
        axes.map(|(axis, &len)| if mask >> axis & 1 == 1 { 1 } else { len }).collect()
    }

    fn value(&mut self, dtype: DType, shape: &[usize]) -> Value<'static> {
        if dtype == DType::F32 {
            return Value { quant: Quant::None, ..value(dtype, shape, 1.0, 0) };
        }
        let zero_point = self.below(256) as i32 - if dtype == DType::U8 { 0 } else { 128 };
        value(dtype, shape, self.of(&[0.05, 0.003, 0.7, 1.0]), zero_point)
    }

    /// What may lie in the arena as `value`; all floats but those that are no numbers.
    fn fill(&mut self, dtype: DType, bytes: &mut [u8]) {
        if dtype == DType::F32 {
            for float in bytes.as_chunks_mut::<4>().0 {
                let some =
                    (self.below(1 << 20) as f32 / 65536.0 - 8.0) * self.of(&[1.0, 1.0, 12.0]);
                let specials = [some, some, some, some, 0.0, -0.0, 1e-30, 0.5, -1.5, 3e38];
                *float = self.of(&specials).to_ne_bytes();
            }
            return;
        }
        bytes.fill_with(|| (self.next() >> 5) as u8);
    }
}

/// Another value like `x`.
fn twin(x: &Value<'static>) -> Value<'static> {
    Value { shape: x.shape.clone(), quant: x.quant.clone(), data: None, ..*x }
}

/// Runs the node that `node` makes on each instruction set of this machine, alone and on three threads.
fn same<O: Operator + 'static>(seed: u64, node: impl Fn(&mut Random) -> (O, Vec<Value<'static>>)) {
    let mut expected: Option<Vec<u8>> = None;
    let shared = Threads::exactly(3).sharing_all();
    let all = Isa::available().flat_map(|isa| [(isa, &ALONE), (isa, &shared)]);
    for (isa, threads) in all {
        let mut random = Random(seed | 1);
        let (op, values) = node(&mut random);
        let what = format!("{op:?} of {values:?} on {isa:?}, {threads:?}");
        let budget = Budget::default();
        let types: Vec<_> = values.iter().filter(|v| v.data.is_none()).map(|v| v.dtype).collect();
        let mut graph = single(op, values);
        let program =
            program::compile(&mut graph, Target { budget: &budget, isa, threads, given: false });
        // What the operator refuses, like scales too far apart, it refuses for all sets.
        let Ok(program) = program else { return assert!(expected.is_none(), "{what}") };
        let mut arena = Arena::new(program.arena_bytes).unwrap();
        for (span, dtype) in program.inputs.iter().zip(types) {
            random.fill(dtype, &mut arena.bytes_mut()[span.clone()]);
        }
        let mut turns = Turns::new(3);
        let crew = POOL.begin(&mut turns, &[]);
        program.run(&[], arena.bytes_mut(), &Fuel::new(), &crew);
        let Place::Arena(span) = program.outputs[0].clone() else { return };
        let y = &arena.bytes()[span];
        match &expected {
            None => expected = Some(y.to_vec()),
            Some(expected) => assert!(expected == y, "{what}: {expected:?} {y:?}"),
        }
    }
}

const BYTES: &[DType] = &[DType::I8, DType::U8];
const TYPES: &[DType] = &[DType::I8, DType::U8, DType::F32];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arithmetic_is_the_same(seed: u64) {
        same(seed, |random| {
            let (dtype, shape) = (random.of(TYPES), random.shape());
            let operation = random.of(&[Operation::Add, Operation::Subtract, Operation::Multiply, Operation::Divide]);
            let op = Arithmetic { operation, activation: random.activation(), shifts: true };
            let mut shapes = [random.repeated(&shape), shape.clone()];
            if random.below(2) == 1 {
                shapes.reverse();
            }
            let values = [&shapes[0], &shapes[1], &shape].map(|shape| random.value(dtype, shape));
            (op, Vec::from(values))
        });
    }

    #[test]
    fn functions_of_two_elements_are_the_same(seed: u64) {
        same(seed, |random| {
            let (dtype, shape) = (random.of(TYPES), random.shape());
            let op = random.of(&[Binary::Minimum, Binary::Maximum, Binary::SquaredDifference]);
            let values = [random.repeated(&shape), shape.clone(), shape];
            (op, Vec::from(values.map(|shape| random.value(dtype, &shape))))
        });
    }

    #[test]
    fn functions_of_one_element_are_the_same(seed: u64) {
        same(seed, |random| {
            let (dtype, shape) = (random.of(TYPES), random.shape());
            let op = random.of(&[
                Unary::Abs, Unary::Neg, Unary::Exp, Unary::Sqrt, Unary::Rsqrt, Unary::Square, Unary::Ceil,
                Unary::Floor, Unary::Round, Unary::Elu, Unary::GeluTanh, Unary::HardSwish,
                Unary::Logistic, Unary::Tanh,
            ]);
            (op, vec![random.value(dtype, &shape), random.value(dtype, &shape)])
        });
    }

    #[test]
    fn rectifiers_are_the_same(seed: u64) {
        let values = |random: &mut Random, inputs: usize| {
            let (dtype, shape) = (random.of(TYPES), random.shape());
            let shapes = [shape.clone(), random.repeated(&shape), shape];
            let shapes = shapes.iter().skip(2 - inputs);
            shapes.map(|shape| random.value(dtype, shape)).collect::<Vec<_>>()
        };
        same(seed, |random| {
            let shape = random.shape();
            let dtype = random.of(TYPES);
            let low = random.of(&[0.0, -1.0]);
            let values = vec![random.value(dtype, &shape), random.value(dtype, &shape)];
            (Clamp { low, high: random.of(&[1.0, 6.0, f32::INFINITY]) }, values)
        });
        same(seed, |random| {
            let shape = random.shape();
            let dtype = random.of(TYPES);
            let values = vec![random.value(dtype, &shape), random.value(dtype, &shape)];
            (Leaky { alpha: random.of(&[0.1, -0.3]) }, values)
        });
        same(seed, |random| (Prelu, values(random, 2)));
    }

    #[test]
    fn pools_are_the_same(seed: u64) {
        same(seed, |random| {
            let (dtype, shape) = (random.of(TYPES), random.image());
            let padding = random.of(&[Padding::Same, Padding::Valid]);
            let stride = [1 + random.below(3), 1 + random.below(3)];
            let some = [1 + random.below(shape[1]), 1 + random.below(shape[2])];
            let op = Pool2d {
                kind: random.of(&[PoolKind::Average, PoolKind::Max]),
                kernel: random.of(&[some, some, [shape[1], shape[2]]]),
                window: Window { padding, stride, dilation: [1, 1] },
                activation: random.activation(),
            };
            let x = random.value(dtype, &shape);
            (op, vec![twin(&x), x])
        });
    }

    #[test]
    fn reductions_are_the_same(seed: u64) {
        same(seed, |random| {
            let (dtype, shape) = (random.of(TYPES), random.shape());
            let mask = random.next() as usize;
            let axes: Vec<i32> =
                (0..shape.len()).filter(|axis| mask >> axis & 1 == 1).map(|axis| axis as i32).collect();
            let reduction = random.of(&[Reduction::Mean, Reduction::Sum, Reduction::Min, Reduction::Max]);
            let x = random.value(dtype, &shape);
            let mut y = random.value(dtype, &shape);
            if matches!(reduction, Reduction::Min | Reduction::Max) {
                y.quant = x.quant.clone();
            }
            (Reduce { reduction, keep_dims: true }, vec![x, words(&[axes.len()], &axes), y])
        });
    }

    #[test]
    fn softmax_is_the_same(seed: u64) {
        let values = |random: &mut Random| {
            let (dtype, mut shape) = (random.of(TYPES), random.shape());
            *shape.last_mut().unwrap() += random.of(&[0, 0, 200]);
            let y = match dtype {
                DType::F32 => random.value(dtype, &shape),
                _ => value(dtype, &shape, 1.0 / 256.0, if dtype == DType::U8 { 0 } else { -128 }),
            };
            vec![random.value(dtype, &shape), y]
        };
        same(seed, |random| (Softmax { beta: random.of(&[1.0, 0.5]) }, values(random)));
        same(seed, |random| (LogSoftmax, values(random)));
    }

    #[test]
    fn changes_of_quantization_are_the_same(seed: u64) {
        same(seed, |random| {
            let (from, to, shape) = (random.of(TYPES), random.of(BYTES), random.shape());
            (Quantize, vec![random.value(from, &shape), random.value(to, &shape)])
        });
        same(seed, |random| {
            let (from, shape) = (random.of(BYTES), random.shape());
            (Dequantize, vec![random.value(from, &shape), random.value(DType::F32, &shape)])
        });
    }

    #[test]
    fn resized_images_are_the_same(seed: u64) {
        same(seed, |random| {
            let (dtype, shape) = (random.of(TYPES), random.image());
            let corners = random.of(&[[false, false], [true, false], [false, true]]);
            let size = [1 + random.below(12) as i32, 1 + random.below(12) as i32];
            let x = random.value(dtype, &shape);
            let op = Bilinear { corners: Corners { align: corners[0], half: corners[1] } };
            (op, vec![twin(&x), words(&[2], &size), x])
        });
    }

    #[test]
    fn transposed_tensors_are_the_same(seed: u64) {
        same(seed, |random| {
            let (dtype, shape) = (random.of(TYPES), random.shape());
            let mut order: Vec<i32> = (0..shape.len() as i32).collect();
            for last in (1..order.len()).rev() {
                order.swap(last, random.below(last + 1));
            }
            let x = random.value(dtype, &shape);
            (Transpose, vec![twin(&x), words(&[order.len()], &order), x])
        });
    }
}
