//! Reductions over axes: sums, means, products, extremes, logic.

mod block;
mod folds;

use std::fmt;

use bytemuck::Pod;

use self::block::{Block, BlockKernel};
use self::folds::{
    Max, Mean16, Mean32, Mean64, Min, Product, QuantProduct, RealProduct, RealSum, Sum, Sum8, Sum16,
};
use super::shared::scratch::scratch_for;
use super::shared::walk::{Walk, dense};
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step};
use super::{axis_of, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::{Shape, Value};
use crate::engine::native::kernels::Isa;
use crate::engine::native::memory::Memory;

const KEEP_DIMS: &[(&str, &[&str])] = &[("keep_dims", &["false", "true"])];
const NUMBERS: &[Kind] =
    &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int16, Kind::Int32, Kind::Int64];
const SIGNED: &[Kind] = &[Kind::Float32, Kind::Int8, Kind::Int16, Kind::Int32, Kind::Int64];

macro_rules! entry {
    ($name:literal, $reduction:ident, $kinds:expr) => {
        Entry {
            name: $name,
            options: 27,
            // ReducerOptions: keep the reduced dimensions.
            lower: |options| {
                let keep_dims = options.byte(0, 0)? != 0;
                Ok(Box::new(Reduce { reduction: Reduction::$reduction, keep_dims }))
            },
            kinds: $kinds,
            attributes: KEEP_DIMS,
        }
    };
}

pub(super) const ENTRIES: &[Entry] = &[
    entry!("MEAN", Mean, NUMBERS),
    entry!("REDUCE_ALL", All, &[Kind::Bool]),
    entry!("REDUCE_ANY", Any, &[Kind::Bool]),
    entry!("REDUCE_MAX", Max, NUMBERS),
    entry!("REDUCE_MIN", Min, NUMBERS),
    entry!("REDUCE_PROD", Product, SIGNED),
    entry!("SUM", Sum, NUMBERS),
];

/// Over the axes in the constant second input.
#[derive(Debug)]
pub(super) struct Reduce {
    pub(super) reduction: Reduction,
    pub(super) keep_dims: bool,
}

/// What becomes of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reduction {
    Mean,
    Sum,
    Product,
    Min,
    Max,
    Any,
    All,
}

/// How elements are reduced: from a start value, one after the other, to what is written.
trait Fold: Copy + fmt::Debug + Send + Sync {
    type X: Pod;
    type Sum: Pod;
    type Y: Pod;
    /// Whether it is worth compiling for each instruction set.
    const VECTORS: bool = false;
    /// Whether each sum has to wait for the one before it, as those of floats do.
    const IN_ORDER: bool = false;
    const START: Self::Sum;
    fn add(&self, sum: Self::Sum, x: Self::X) -> Self::Sum;
    fn end(&self, sum: Self::Sum) -> Self::Y;
}

/// Which axes of the first input the second one names.
fn reduced(site: &Site<'_>) -> Result<Vec<bool>, Refusal> {
    let x = site.input(0)?;
    if x.elements() == 0 {
        return Err(malformed("nothing to reduce"));
    }
    let rank = x.shape.len();
    let mut reduced = vec![false; rank];
    for axis in site.integers(1)? {
        // A number has no axes, and the reference does not look at those named.
        if rank > 0 {
            reduced[axis_of(axis, rank)?] = true;
        }
    }
    Ok(reduced)
}

impl Operator for Reduce {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let axes = site.input(0)?.shape.iter().zip(reduced(site)?);
        let kept = axes.filter_map(|(&len, reduced)| match reduced {
            false => Some(len),
            true => self.keep_dims.then_some(1),
        });
        Ok(vec![kept.collect()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.dtype != y.dtype {
            return Err(malformed(format!("{} reduced to {}", x.dtype, y.dtype)));
        }
        let count = x.elements() / y.elements();
        let make = Make { x, y, reduced: reduced(site)?, isa: site.isa };
        match (self.reduction, x.dtype) {
            (Reduction::Mean, DType::F32) => make.step(RealSum { over: count as f64 }),
            (Reduction::Sum, DType::F32) => make.step(RealSum { over: 1.0 }),
            (Reduction::Mean, DType::I8 | DType::U8) => make.step(Sum8::new(x, y, count, true)?),
            (Reduction::Sum, DType::I8 | DType::U8) => make.step(Sum8::new(x, y, count, false)?),
            (Reduction::Mean, DType::I16) => make.step(Mean16::new(x, y, count)?),
            (Reduction::Sum, DType::I16) => make.step(Sum16::new(x, y)?),
            (Reduction::Mean, DType::I32) => make.step(Mean32 { count: count as i64 }),
            (Reduction::Mean, DType::I64) => make.step(Mean64 { count: count as i64 }),
            (Reduction::Sum, DType::I32) => make.step(Sum::<i32>::default()),
            (Reduction::Sum, DType::I64) => make.step(Sum::<i64>::default()),
            (Reduction::Product, DType::F32) => make.step(RealProduct),
            (Reduction::Product, DType::I8) => make.step(QuantProduct::<i8>::new(x, y, count)?),
            (Reduction::Product, DType::I16) => make.step(QuantProduct::<i16>::new(x, y, count)?),
            (Reduction::Product, DType::I32) => make.step(Product::<i32>::default()),
            (Reduction::Product, DType::I64) => make.step(Product::<i64>::default()),
            (Reduction::Min | Reduction::Max, _) if x.quant != y.quant => {
                Err(unsupported("an extreme with another quantization than the input's"))
            }
            (Reduction::Min, DType::F32) => make.step(Min::<f32>::default()),
            (Reduction::Min, DType::I8 | DType::U8) => make.step(Min::<i8>::default()),
            (Reduction::Min, DType::I16) => make.step(Min::<i16>::default()),
            (Reduction::Min, DType::I32) => make.step(Min::<i32>::default()),
            (Reduction::Min, DType::I64) => make.step(Min::<i64>::default()),
            (Reduction::Max, DType::F32) => make.step(Max::<f32>::default()),
            (Reduction::Max, DType::I8 | DType::U8) => make.step(Max::<i8>::default()),
            (Reduction::Max, DType::I16) => make.step(Max::<i16>::default()),
            (Reduction::Max, DType::I32) => make.step(Max::<i32>::default()),
            (Reduction::Max, DType::I64) => make.step(Max::<i64>::default()),
            // A truth is a byte of 0 or 1.
            (Reduction::Any, DType::Bool) => make.step(Max::<u8>::default()),
            (Reduction::All, DType::Bool) => make.step(Min::<u8>::default()),
            (_, other) => Err(unsupported(format!("{other} elements"))),
        }
    }
}

/// What the kernel of every reduction needs.
struct Make<'a> {
    x: &'a Value<'a>,
    y: &'a Value<'a>,
    reduced: Vec<bool>,
    isa: Isa,
}

impl Make<'_> {
    fn step(self, fold: impl Fold + 'static) -> Result<Compiled, Refusal> {
        fn sum_bytes<F: Fold>(_: &F, count: usize) -> Result<usize, Refusal> {
            scratch_for::<F::Sum>(count)
        }
        if let Some(block) = Block::of(&self.x.shape, &self.reduced) {
            let kernel = BlockKernel { isa: self.isa, block, fold };
            return Ok(Step::new(kernel, self.x.elements()).into());
        }
        let shape = &self.x.shape;
        let axes = shape.iter().zip(&self.reduced);
        let kept: Vec<usize> = axes.map(|(&len, &reduced)| if reduced { 1 } else { len }).collect();
        let mut strides = dense(&kept);
        for (stride, reduced) in strides.iter_mut().zip(&self.reduced) {
            if *reduced {
                *stride = 0;
            }
        }
        let scratch = sum_bytes(&fold, self.y.elements())?;
        let kernel = ReduceKernel { walk: Walk::new(shape.clone(), [dense(shape), strides]), fold };
        Ok(Step { scratch, ..Step::new(kernel, self.x.elements()) }.into())
    }
}

#[derive(Debug)]
struct ReduceKernel<F> {
    /// Over the input's shape; the second tensor is the output, with stride 0 along reduced axes.
    walk: Walk,
    fold: F,
}

impl<F: Fold> Kernel for ReduceKernel<F> {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x], [y], sums) = memory.parts();
        let (x, y): (&[F::X], &mut [F::Y]) = (bytemuck::cast_slice(x), bytemuck::cast_slice_mut(y));
        let sums: &mut [F::Sum] = bytemuck::cast_slice_mut(sums);
        sums.fill(F::START);
        let row = self.walk.row();
        let along = self.walk.steps()[1];
        self.walk.rows(|[from, to]| {
            let x = &x[from..from + row];
            if along == 0 {
                sums[to] = x.iter().fold(sums[to], |sum, &x| self.fold.add(sum, x));
            } else {
                for (sum, &x) in sums[to..to + row].iter_mut().zip(x) {
                    *sum = self.fold.add(*sum, x);
                }
            }
        });
        for (y, &sum) in y.iter_mut().zip(&*sums) {
            *y = self.fold.end(sum);
        }
    }
}
