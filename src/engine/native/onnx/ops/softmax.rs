//! Softmax over one axis, real and quantized.

use super::{
    Compiled, Kernel, Memory, Operator, Params, Refusal, Site, Step, malformed, unsupported,
};
use crate::data::DType;
use crate::engine::native::graph::Shape;

/// Elements from one to the next along an axis, and how many there are.
#[derive(Clone, Copy, Debug)]
struct Lines {
    len: usize,
    stride: usize,
}

impl Lines {
    fn new(shape: &[usize], axis: usize) -> Result<Self, Refusal> {
        let len = shape.get(axis);
        let len = *len.ok_or_else(|| malformed(format!("axis {axis} of shape {shape:?}")))?;
        Ok(Self { len, stride: shape[axis + 1..].iter().product() })
    }

    /// Calls `each` with the place of every line's first element.
    fn each(self, elements: usize, mut each: impl FnMut(usize)) {
        for block in 0..elements / (self.len * self.stride) {
            for inner in 0..self.stride {
                each(block * self.len * self.stride + inner);
            }
        }
    }

    /// The places of one line.
    fn places(self, start: usize) -> impl Iterator<Item = usize> {
        (0..self.len).map(move |i| start + i * self.stride)
    }
}

/// `exp(x) / Σ exp(x)`, or its logarithm.
#[derive(Debug)]
pub(in super::super) struct Softmax {
    pub(in super::super) axis: usize,
    pub(in super::super) log: bool,
}

impl Operator for Softmax {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let x = site.input(0)?;
        if x.dtype != DType::F32 {
            return Err(unsupported(format!("{} inputs", x.dtype)));
        }
        let lines = Lines::new(&x.shape, self.axis)?;
        Ok(Step::new(SoftmaxKernel { lines, log: self.log }, 3 * x.elements()).into())
    }
}

#[derive(Debug)]
struct SoftmaxKernel {
    lines: Lines,
    log: bool,
}

impl Kernel for SoftmaxKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<f32, f32>();
        let lines = self.lines;
        lines.each(x.len(), |start| {
            let highest = lines.places(start).fold(f32::NEG_INFINITY, |high, i| high.max(x[i]));
            let exp = |x: f32| libm::exp(f64::from(x) - f64::from(highest));
            let sum: f64 = lines.places(start).map(|i| exp(x[i])).sum();
            for i in lines.places(start) {
                y[i] = if self.log {
                    (f64::from(x[i]) - f64::from(highest) - libm::log(sum)) as f32
                } else {
                    (exp(x[i]) / sum) as f32
                };
            }
        });
    }
}

/// 8 bits in and out. A table of `exp` in `f32`, scaled so high that sums just stay finite.
#[derive(Debug)]
pub(in super::super) struct QLinearSoftmax {
    pub(in super::super) axis: usize,
    pub(in super::super) x: Params,
    pub(in super::super) y: Params,
}

impl Operator for QLinearSoftmax {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let x = site.input(0)?;
        if !self.x.is_eight() || !self.y.is_eight() {
            return Err(unsupported(format!("{} to {}", self.x.dtype, self.y.dtype)));
        }
        let lines = Lines::new(&x.shape, self.axis)?;
        let scale = f64::from(self.x.scale);
        let reserve = libm::log(f64::from(f32::MAX / lines.len as f32)) - 5.0;
        let shift = reserve.max(0.0) / scale;
        let exp = |i: usize| libm::exp((i as f64 - 255.0 + shift) * scale) as f32;
        let table = Box::new(std::array::from_fn(exp));
        let steps = (1.0 / self.y.scale).floor();
        let kernel = QLinearSoftmaxKernel { lines, table, steps, y: self.y };
        Ok(Step { weight_bytes: 1024, ..Step::new(kernel, 3 * x.elements()) }.into())
    }
}

#[derive(Debug)]
struct QLinearSoftmaxKernel {
    lines: Lines,
    /// By 255 less the distance to the highest.
    table: Box<[f32; 256]>,
    /// Output steps for 1.
    steps: f32,
    y: Params,
}

impl Kernel for QLinearSoftmaxKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, i8>();
        let lines = self.lines;
        lines.each(x.len(), |start| {
            let highest = lines.places(start).fold(i8::MIN, |high, i| high.max(x[i]));
            let exp = |x: i8| self.table[usize::from(255 - highest.abs_diff(x))];
            let sum = lines.places(start).fold(0f32, |sum, i| sum + exp(x[i]));
            let answer = |exp: f32| {
                let steps = (exp * self.steps / sum).round_ties_even();
                self.y.saturate((steps as i32).saturating_add(self.y.zero))
            };
            if lines.len < self.table.len() {
                lines.places(start).for_each(|i| y[i] = answer(exp(x[i])));
                return;
            }
            let answers = self.table.map(answer);
            for i in lines.places(start) {
                y[i] = answers[usize::from(255 - highest.abs_diff(x[i]))];
            }
        });
    }
}
