//! Products of matrices that are both computed: batches of them, turned or not, repeated or not.

mod packed;
mod products;

use std::marker::PhantomData;

use bytemuck::Pod;

use self::products::{ByteProducts, HybridProducts, Products, WordProducts};
use super::shared::layer::{Arithmetic, Layer};
use super::shared::scaling::Bytes;
use super::shared::scratch::scratch_for;
use super::shared::walk::{Walk, broadcast, broadcast_shape};
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed};
use crate::data::DType;
use crate::engine::native::graph::{Activation, Shape};
use crate::engine::native::memory::Memory;
use crate::engine::native::plan::ALIGN;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "BATCH_MATMUL",
    options: 101,
    // BatchMatMulOptions: turn the first, turn the second.
    lower: |options| {
        let adjoint = [options.byte(0, 0)? != 0, options.byte(1, 0)? != 0];
        Ok(Box::new(BatchMatMul { adjoint }))
    },
    kinds: &[Kind::Float32, Kind::Int8, Kind::Int16, Kind::Hybrid],
    attributes: &[("adj_x", &["false", "true"]), ("adj_y", &["false", "true"])],
}];

/// a `[…, m, k]` by b `[…, k, n]`, the axes before the last two broadcast.
#[derive(Debug)]
pub(super) struct BatchMatMul {
    /// Whether the last two axes of a and of b are the other way round.
    pub(super) adjoint: [bool; 2],
}

/// Sizes of the matrices, and how they lie.
#[derive(Debug)]
pub(super) struct Matrices {
    m: usize,
    k: usize,
    n: usize,
    /// a is `[k, m]` instead of `[m, k]`, b is `[k, n]` instead of `[n, k]`.
    turned: [bool; 2],
    /// Over the batches, and one last axis of length 1; in matrices.
    walk: Walk,
}

impl Matrices {
    /// One `[m, k]` by one `[n, k]`.
    pub(super) fn single(m: usize, k: usize, n: usize) -> Self {
        let walk = Walk::new(vec![1], [vec![0], vec![0]]);
        Self { m, k, n, turned: [false; 2], walk }
    }
}

impl BatchMatMul {
    /// The matrices, and the batches' shape.
    fn fit(&self, site: &Site<'_>) -> Result<(Matrices, Shape), Refusal> {
        let (a, b) = (&site.input(0)?.shape, &site.input(1)?.shape);
        let wrong = || malformed(format!("{a:?} by {b:?}, turned: {:?}", self.adjoint));
        let ([ab @ .., a0, a1], [bb @ .., b0, b1]) = (&a[..], &b[..]) else { return Err(wrong()) };
        let (m, k) = if self.adjoint[0] { (*a1, *a0) } else { (*a0, *a1) };
        let (n, found) = if self.adjoint[1] { (*b0, *b1) } else { (*b1, *b0) };
        if found != k || k == 0 || m == 0 || n == 0 {
            return Err(wrong());
        }
        let batches = broadcast_shape(ab, bb)?;
        let mut strides = [broadcast(ab, &batches), broadcast(bb, &batches)]
            .map(|strides| strides.ok_or_else(wrong));
        for strides in strides.iter_mut().flatten() {
            strides.push(0);
        }
        let [of_a, of_b] = strides;
        let mut over = batches.clone();
        over.push(1);
        let walk = Walk::new(over, [of_a?, of_b?]);
        let turned = [self.adjoint[0], !self.adjoint[1]];
        Ok((Matrices { m, k, n, turned, walk }, batches))
    }
}

impl Operator for BatchMatMul {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (Matrices { m, n, .. }, mut shape) = self.fit(site)?;
        shape.extend([m, n]);
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let b = site.input(1)?;
        let columns = b.shape.len() - if self.adjoint[1] { 2 } else { 1 };
        let mut layer = Layer::new(site, [0, 1, usize::MAX], columns, Activation::None)?;
        // XNNPACK wants a second matrix without a zero point.
        layer.builtin = layer.x.dtype != DType::F32 && layer.weight_scales()?.1 != 0;
        layer.short_product = true;
        products(site, &layer, self.fit(site)?.0)
    }
}

/// The layer's first by its second tensor, with its bias.
pub(super) fn products(
    site: &Site<'_>,
    layer: &Layer<'_>,
    matrices: Matrices,
) -> Result<Compiled, Refusal> {
    let words = (layer.x.dtype, layer.weights.dtype, layer.y.dtype);
    if words == (DType::I16, DType::I16, DType::I16) {
        return step(site, layer, matrices, words_by::<i16>(layer)?);
    }
    match layer.arithmetic()? {
        Arithmetic::Bytes => {
            let (x, output, b_zero) = layer.byte_scaling()?;
            if let (Bytes::Real { scales, output }, 0) = (&output, b_zero) {
                let scaling = (x.zero_point, &scales[..], *output);
                return packed::bytes(site, layer, matrices, scaling);
            }
            let zeros = [x.zero_point, b_zero].map(|zero| zero as i16);
            step(site, layer, matrices, ByteProducts { zeros, output, bias: layer.bias_i32()? })
        }
        Arithmetic::Hybrid => {
            let (scales, bias) = (layer.symmetric_scales()?, layer.bias_f32()?);
            let (dynamic, clamp) = (layer.dynamic, layer.clamp());
            step(site, layer, matrices, HybridProducts { dynamic, scales, bias, clamp })
        }
        Arithmetic::Floats => packed::floats(site, layer, matrices),
        Arithmetic::Words => step(site, layer, matrices, words_by::<i8>(layer)?),
    }
}

fn words_by<B>(layer: &Layer<'_>) -> Result<WordProducts<B>, Refusal> {
    Ok(WordProducts { output: layer.word_scaling()?, bias: layer.bias_i64()?, of: PhantomData })
}

fn step<P: Products>(
    site: &Site<'_>,
    layer: &Layer<'_>,
    matrices: Matrices,
    products: P,
) -> Result<Compiled, Refusal> {
    let Matrices { k, n, turned, .. } = matrices;
    site.budget.take_for::<usize>(16)?;
    let columns = if turned[1] { scratch_for::<P::B>(k.saturating_mul(n))? } else { 0 };
    let [row, prepared] = [scratch_for::<P::A>(k)?, k].map(|bytes| bytes.next_multiple_of(ALIGN));
    let scratch = scratch_for::<u8>(row + prepared + columns)?;
    let macs = layer.y.elements() as u64 * k as u64;
    let work = macs.saturating_mul(2) + layer.y.elements() as u64;
    let step = Step::new(Product { matrices, products, row, prepared }, 0);
    Ok(Step { reads: vec![0, 1], scratch, macs, work, ..step }.into())
}

#[derive(Debug)]
struct Product<P> {
    matrices: Matrices,
    products: P,
    /// Bytes of scratch for a row of a as it is, and as bytes.
    row: usize,
    prepared: usize,
}

impl<P: Products> Kernel for Product<P> {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([a, b], [y], scratch) = memory.parts();
        let (a, b) = (bytemuck::cast_slice(a), bytemuck::cast_slice::<_, P::B>(b));
        let Matrices { m, k, n, turned, ref walk } = self.matrices;
        let (row, scratch) = scratch.split_at_mut(self.row);
        let (prepared, columns) = scratch.split_at_mut(self.prepared);
        let row = &mut bytemuck::cast_slice_mut::<u8, P::A>(row)[..k];
        let columns = bytemuck::cast_slice_mut::<u8, P::B>(columns);
        let mut outputs = bytemuck::cast_slice_mut(y).chunks_exact_mut(m * n);
        walk.rows(|[at_a, at_b]| {
            let Some(y) = outputs.next() else { return };
            let (a, b) = (&a[at_a * m * k..][..m * k], &b[at_b * n * k..][..n * k]);
            let b = if turned[1] {
                for (i, column) in columns.chunks_exact_mut(k).enumerate() {
                    gather(column, b, i, n);
                }
                &*columns
            } else {
                b
            };
            for (i, y) in y.chunks_exact_mut(n).enumerate() {
                if turned[0] {
                    gather(row, a, i, m);
                } else {
                    row.copy_from_slice(&a[i * k..][..k]);
                }
                let (x, known) = self.products.prepare(row, prepared);
                for (j, (y, b)) in y.iter_mut().zip(b.chunks_exact(k)).enumerate() {
                    *y = self.products.product(j, x, known, b);
                }
            }
        });
    }
}

/// A matrix with rows of `width`, turned.
fn copy_turned<T: Pod>(from: &[T], width: usize, to: &mut [T]) {
    let height = from.len() / width.max(1);
    for (i, column) in to.chunks_exact_mut(height.max(1)).take(width).enumerate() {
        gather(column, from, i, width);
    }
}

/// Column `i` of a matrix with rows of `width`.
fn gather<T: Pod>(column: &mut [T], matrix: &[T], i: usize, width: usize) {
    for (to, from) in column.iter_mut().zip(matrix[i..].iter().step_by(width)) {
        *to = *from;
    }
}
