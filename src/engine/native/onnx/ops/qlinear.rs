//! Sums and products of two quantized tensors.

use super::walk::{Walk, broadcast_shape};
use super::{Compiled, Kernel, Memory, Operator, Params, Refusal, Site, Step, malformed};
use crate::engine::native::graph::Shape;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum QLinearKind {
    Add,
    Mul,
}

/// Which side onnxruntime holds still in its innermost loop: it folds that side's term first, and
/// the last bit depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Scalar {
    Neither,
    First,
    Second,
}

/// Element-wise with broadcasting, 8 bits in and out.
#[derive(Debug)]
pub(in super::super) struct QLinear {
    pub(in super::super) kind: QLinearKind,
    pub(in super::super) a: Params,
    pub(in super::super) b: Params,
    pub(in super::super) y: Params,
    pub(in super::super) scalar: Scalar,
}

impl Operator for QLinear {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (a, b) = (site.input(0)?, site.input(1)?);
        Ok(vec![broadcast_shape(&[&a.shape, &b.shape])?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
        let typed = [(a, self.a), (b, self.b), (y, self.y)];
        if typed
            .iter()
            .any(|(value, params)| value.bytes() != value.elements() || !params.is_eight())
        {
            return Err(malformed(format!("{} and {} to {}", a.dtype, b.dtype, y.dtype)));
        }
        let walk = Walk::broadcast(&y.shape, [&a.shape, &b.shape]);
        let (a, b, c) = (self.a, self.b, self.y);
        let elements = y.elements();
        let step = match self.kind {
            QLinearKind::Mul => {
                let ratio = a.scale * b.scale / c.scale;
                Step::new(MulKernel { a, b, c, ratio, walk }, elements)
            }
            QLinearKind::Add => {
                // Swapped where the first side is the one that is held still.
                let swap = self.scalar == Scalar::First;
                let (first, second) = if swap { (b, a) } else { (a, b) };
                let (r1, r2) = (first.scale / c.scale, second.scale / c.scale);
                let fixed = r1.mul_add(first.zero as f32, r2 * second.zero as f32);
                let fixed = c.zero as f32 - fixed;
                Step::new(AddKernel { a, b, c, ratios: [r1, r2], fixed, swap, walk }, elements)
            }
        };
        Ok(Step { reads: vec![0, 1], ..step }.into())
    }
}

/// `round(a · A/C + (b · B/C + (zc - A/C · za - B/C · zb)))` in `f32`, products and sums rounded together.
/// Found in onnxruntime's AVX2 kernel, which every x86-64 machine of the last ten years runs.
#[derive(Debug)]
struct AddKernel {
    a: Params,
    b: Params,
    c: Params,
    ratios: [f32; 2],
    fixed: f32,
    swap: bool,
    walk: Walk<2>,
}

impl Kernel for AddKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (a, b, y) = memory.binary::<i8, i8>();
        let [r1, r2] = self.ratios;
        let (low, high) = (f32::from(i16::MIN), f32::from(i16::MAX));
        self.walk.elements(|n, [i, j]| {
            let (first, second) = (self.a.raw(a[i]) as f32, self.b.raw(b[j]) as f32);
            let (first, second) = if self.swap { (second, first) } else { (first, second) };
            let sum = first.mul_add(r1, second.mul_add(r2, self.fixed));
            y[n] = self.c.saturate(sum.round_ties_even().clamp(low, high) as i32);
        });
    }
}

/// `round((a - za)(b - zb) · AB/C + zc)` in `f32`.
#[derive(Debug)]
struct MulKernel {
    a: Params,
    b: Params,
    c: Params,
    ratio: f32,
    walk: Walk<2>,
}

impl Kernel for MulKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (a, b, y) = memory.binary::<i8, i8>();
        let (za, zb, zc) = (self.a.arena_zero(), self.b.arena_zero(), self.c.zero as f32);
        let (low, high) = (f32::from(i16::MIN), f32::from(i16::MAX));
        self.walk.elements(|n, [i, j]| {
            let product = (i32::from(a[i]) - za) * (i32::from(b[j]) - zb);
            let sum = product as f32 * self.ratio + zc;
            y[n] = self.c.saturate(sum.round_ties_even().clamp(low, high) as i32);
        });
    }
}
