//! Sums and products of two quantized tensors.

use super::walk::broadcast_shape;
use super::{Compiled, Operator, Params, Refusal, Site, malformed};
use crate::engine::native::graph::Shape;
use crate::engine::native::ops::shared::pairs::pairs_in_vectors;

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
        let (a, b, y) = (self.a, self.b, self.y);
        Ok(match self.kind {
            QLinearKind::Mul => pairs_in_vectors(site, product(a, b, y)),
            QLinearKind::Add if self.scalar == Scalar::First => {
                // Swapped, as the first side is the one that is held still.
                let sum = sum(b, a, y);
                pairs_in_vectors(site, move |a, b| sum(b, a))
            }
            QLinearKind::Add => pairs_in_vectors(site, sum(a, b, y)),
        }?
        .into())
    }
}

/// `round(a · A/C + (b · B/C + (zc - A/C · za - B/C · zb)))` in `f32`, products and sums rounded together.
/// Found in onnxruntime's AVX2 kernel, which every x86-64 machine of the last ten years runs.
fn sum(a: Params, b: Params, y: Params) -> impl Fn(i8, i8) -> i8 + Copy {
    let ratios = [a.scale / y.scale, b.scale / y.scale];
    let fixed = ratios[0].mul_add(a.zero as f32, ratios[1] * b.zero as f32);
    let fixed = y.zero as f32 - fixed;
    #[inline(always)]
    move |i, j| {
        let (first, second) = (a.raw(i) as f32, b.raw(j) as f32);
        y.nearest(first.mul_add(ratios[0], second.mul_add(ratios[1], fixed)))
    }
}

/// `round((a - za)(b - zb) · AB/C + zc)` in `f32`.
fn product(a: Params, b: Params, y: Params) -> impl Fn(i8, i8) -> i8 + Copy {
    let ratio = a.scale * b.scale / y.scale;
    let (za, zb, zero) = (a.arena_zero(), b.arena_zero(), y.zero as f32);
    #[inline(always)]
    move |i, j| {
        let product = (i32::from(i) - za) * (i32::from(j) - zb);
        y.nearest(product as f32 * ratio + zero)
    }
}
