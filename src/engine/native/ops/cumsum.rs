//! Running sums along an axis.

use std::marker::PhantomData;
use std::ops::Add;

use bytemuck::Pod;

use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step};
use super::{axis_of, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;

const BOTH: &[&str] = &["false", "true"];

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "CUMSUM",
    options: 102,
    // CumsumOptions: exclusive, reverse.
    lower: |options| {
        let exclusive = options.byte(0, 0)? != 0;
        Ok(Box::new(CumSum { exclusive, reverse: options.byte(1, 0)? != 0 }))
    },
    kinds: &[Kind::Float32, Kind::Int32, Kind::Int64],
    attributes: &[("exclusive", BOTH), ("reverse", BOTH)],
}];

/// Along the axis in the constant second input.
#[derive(Clone, Copy, Debug)]
pub(super) struct CumSum {
    /// Each sum is of the elements before its own, not with it.
    pub(super) exclusive: bool,
    /// From the end.
    pub(super) reverse: bool,
}

#[derive(Debug)]
struct CumSumKernel<T> {
    sum: CumSum,
    len: usize,
    /// Elements between two neighbours of the axis.
    inner: usize,
    of: PhantomData<T>,
}

/// Addition that cannot fail.
trait Sum: Pod + Send + Sync + std::fmt::Debug {
    fn plus(self, other: Self) -> Self;
}

impl Sum for f32 {
    fn plus(self, other: Self) -> Self {
        self.add(other)
    }
}

impl Sum for i32 {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

impl Sum for i64 {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

impl Operator for CumSum {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let axis = axis_of(site.integer(1)?, x.shape.len())?;
        if x.dtype != y.dtype {
            return Err(malformed(format!("sums of {} as {}", x.dtype, y.dtype)));
        }
        let (len, inner) = (x.shape[axis], x.shape[axis + 1..].iter().product());
        let (sum, work) = (*self, x.elements());
        let step = match x.dtype {
            DType::F32 => Step::new(CumSumKernel::<f32> { sum, len, inner, of: PhantomData }, work),
            DType::I32 => Step::new(CumSumKernel::<i32> { sum, len, inner, of: PhantomData }, work),
            DType::I64 => Step::new(CumSumKernel::<i64> { sum, len, inner, of: PhantomData }, work),
            other => return Err(unsupported(format!("{other} elements"))),
        };
        Ok(step.into())
    }
}

impl<T: Sum> Kernel for CumSumKernel<T> {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<T, T>();
        let (len, inner) = (self.len, self.inner);
        for (x, y) in x.chunks_exact(len * inner).zip(y.chunks_exact_mut(len * inner)) {
            for i in 0..inner {
                let mut sum = T::zeroed();
                for step in 0..len {
                    let place = if self.sum.reverse { len - 1 - step } else { step };
                    let at = place * inner + i;
                    let with = sum.plus(x[at]);
                    y[at] = if self.sum.exclusive { sum } else { with };
                    sum = with;
                }
            }
        }
    }
}
