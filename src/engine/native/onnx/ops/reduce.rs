//! Reductions over any axes.

use super::walk::{Walk, dense};
use super::{Compiled, Kernel, Memory, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;

/// What many elements become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
    L1,
    L2,
    SumSquare,
    LogSum,
    LogSumExp,
}

/// Over `axes`, which are sorted and within the input's rank.
#[derive(Debug)]
pub(in super::super) struct Reduce {
    pub(in super::super) reduction: Reduction,
    pub(in super::super) axes: Vec<usize>,
    pub(in super::super) keep: bool,
}

impl Operator for Reduce {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let shape = &site.input(0)?.shape;
        if self.axes.iter().any(|&axis| axis >= shape.len()) {
            return Err(malformed(format!("axes {:?} of shape {shape:?}", self.axes)));
        }
        let dims = shape.iter().enumerate().filter_map(|(axis, &len)| {
            match (self.axes.contains(&axis), self.keep) {
                (false, _) => Some(len),
                (true, true) => Some(1),
                (true, false) => None,
            }
        });
        Ok(vec![dims.collect()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let x = site.input(0)?;
        if !matches!(x.dtype, DType::F32 | DType::I32 | DType::I64) {
            return Err(unsupported(format!("{:?} of {}", self.reduction, x.dtype)));
        }
        let walk = |taken: bool| {
            let axes = x.shape.iter().zip(dense(&x.shape)).enumerate();
            let axes = axes.filter(|(axis, _)| self.axes.contains(axis) == taken);
            let (shape, strides): (Vec<usize>, Vec<usize>) =
                axes.map(|(_, (&l, s))| (l, s)).unzip();
            Walk::new(&shape, [strides])
        };
        let count = x.elements() / site.output()?.elements().max(1);
        let (outer, inner) = (walk(false), walk(true));
        let kernel =
            ReduceKernel { reduction: self.reduction, dtype: x.dtype, outer, inner, count };
        Ok(Step::new(kernel, 2 * x.elements()).into())
    }
}

#[derive(Debug)]
struct ReduceKernel {
    reduction: Reduction,
    dtype: DType,
    outer: Walk<1>,
    inner: Walk<1>,
    count: usize,
}

impl ReduceKernel {
    fn fold<X: Copy, S: Copy>(&self, x: &[X], at: usize, start: S, add: impl Fn(S, X) -> S) -> S {
        let mut all = start;
        self.inner.elements(|_, [by]| all = add(all, x[at + by]));
        all
    }

    /// Sums are of `f64`, so that the order does not matter.
    fn real(&self, x: &[f32], at: usize) -> f32 {
        let sum = |of: &dyn Fn(f64) -> f64| self.fold(x, at, 0f64, |sum, x| sum + of(f64::from(x)));
        let all = match self.reduction {
            Reduction::Sum => sum(&|x| x),
            Reduction::Mean => sum(&|x| x) / self.count as f64,
            Reduction::Max => self.fold(x, at, f32::NEG_INFINITY, f32::max).into(),
            Reduction::Min => self.fold(x, at, f32::INFINITY, f32::min).into(),
            Reduction::Prod => self.fold(x, at, 1f64, |all, x| all * f64::from(x)),
            Reduction::L1 => sum(&f64::abs),
            Reduction::L2 => sum(&|x| x * x).sqrt(),
            Reduction::SumSquare => sum(&|x| x * x),
            Reduction::LogSum => libm::log(sum(&|x| x)),
            Reduction::LogSumExp => {
                let highest = f64::from(self.fold(x, at, f32::MIN, f32::max));
                highest + libm::log(sum(&|x| libm::exp(x - highest)))
            }
        };
        all as f32
    }

    fn whole<X: Copy + Into<i64>>(&self, x: &[X], at: usize) -> i64 {
        let sum = || self.fold(x, at, 0i64, |sum, x| sum.wrapping_add(x.into()));
        match self.reduction {
            Reduction::Mean => sum() / self.count as i64,
            Reduction::Max => self.fold(x, at, i64::MIN, |high, x| high.max(x.into())),
            Reduction::Min => self.fold(x, at, i64::MAX, |low, x| low.min(x.into())),
            Reduction::Prod => self.fold(x, at, 1i64, |all, x| all.wrapping_mul(x.into())),
            Reduction::L1 => {
                self.fold(x, at, 0i64, |sum, x| sum.wrapping_add(x.into().wrapping_abs()))
            }
            Reduction::SumSquare => self.fold(x, at, 0i64, |sum, x| {
                let x: i64 = x.into();
                sum.wrapping_add(x.wrapping_mul(x))
            }),
            _ => sum(),
        }
    }
}

impl Kernel for ReduceKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        match self.dtype {
            DType::F32 => {
                let (x, y) = memory.unary::<f32, f32>();
                self.outer.elements(|n, [at]| y[n] = self.real(x, at));
            }
            DType::I32 => {
                let (x, y) = memory.unary::<i32, i32>();
                self.outer.elements(|n, [at]| y[n] = self.whole(x, at) as i32);
            }
            _ => {
                let (x, y) = memory.unary::<i64, i64>();
                self.outer.elements(|n, [at]| y[n] = self.whole(x, at));
            }
        }
    }
}
