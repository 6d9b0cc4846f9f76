//! Linear interpolation along the last two axes.

use super::{Compiled, Kernel, Memory, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;

/// Where an output place lies between two input places.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Between {
    first: usize,
    second: usize,
    /// The shares of the first and of the second.
    real: [f32; 2],
    /// The same in 1024ths.
    fixed: [i32; 2],
}

impl Between {
    /// Of `place` along an axis of `len`.
    pub(in super::super) fn new(place: f32, len: usize) -> Self {
        let place = place.clamp(0.0, (len - 1) as f32);
        let first = (place as usize).min(len - 1);
        let second = (first + 1).min(len - 1);
        if first == second {
            return Self { first, second, real: [0.5; 2], fixed: [512; 2] };
        }
        let steps = (place * 1024.0) as i32;
        let fixed = [second, first].map(|at| (steps - at as i32 * 1024).abs());
        let real = [second, first].map(|at| (place - at as f32).abs());
        Self { first, second, real, fixed }
    }
}

/// For each output place along an axis.
pub(in super::super) type Axis = Vec<Between>;

/// x `[…, h, w]`.
#[derive(Debug)]
pub(in super::super) struct ResizeLinear {
    pub(in super::super) axes: [Axis; 2],
    /// Whether 8-bit shares are 1024ths, as onnxruntime has them where channels come last; otherwise
    /// they are real.
    pub(in super::super) fixed: bool,
}

impl Operator for ResizeLinear {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let mut shape = site.input(0)?.shape.clone();
        let Some(last) = shape.last_chunk_mut::<2>() else {
            return Err(malformed(format!("an image of shape {shape:?}")));
        };
        for (len, axis) in last.iter_mut().zip(&self.axes) {
            if axis.iter().any(|at| at.first >= *len || at.second >= *len) {
                return Err(malformed("it reads beyond its input"));
            }
            *len = axis.len();
        }
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if !matches!(x.dtype, DType::F32 | DType::I8 | DType::U8) {
            return Err(unsupported(format!("{} inputs", x.dtype)));
        }
        site.budget.take_for::<Between>(self.axes[0].len() + self.axes[1].len())?;
        let input = x.shape.last_chunk::<2>().copied().unwrap_or([1, 1]);
        let (axes, fixed) = (self.axes.clone(), self.fixed);
        let kernel = ResizeKernel { axes, input, dtype: x.dtype, fixed };
        Ok(Step::new(kernel, y.elements().saturating_mul(4)).into())
    }
}

#[derive(Debug)]
struct ResizeKernel {
    axes: [Axis; 2],
    input: [usize; 2],
    dtype: DType,
    fixed: bool,
}

impl ResizeKernel {
    /// `mix` takes the rows, the columns and the four corners.
    #[inline(always)]
    fn each<X: Copy>(&self, x: &[X], y: &mut [X], mix: impl Fn(&Between, &Between, [X; 4]) -> X) {
        let ([rows, columns], [height, width]) = (&self.axes, self.input);
        let mut y = y.iter_mut();
        for x in x.chunks_exact(height * width) {
            for row in rows {
                for (column, y) in columns.iter().zip(&mut y) {
                    let at = |row: usize, column: usize| x[row * width + column];
                    let corners = [
                        at(row.first, column.first),
                        at(row.first, column.second),
                        at(row.second, column.first),
                        at(row.second, column.second),
                    ];
                    *y = mix(row, column, corners);
                }
            }
        }
    }
}

fn real(row: &Between, column: &Between, [a, b, c, d]: [f32; 4]) -> f32 {
    let ([upper, lower], [left, right]) = (row.real, column.real);
    left * upper * a + right * upper * b + left * lower * c + right * lower * d
}

fn fixed(row: &Between, column: &Between, [a, b, c, d]: [i32; 4]) -> i32 {
    let ([upper, lower], [left, right]) = (row.fixed, column.fixed);
    (left * upper * a + right * upper * b + left * lower * c + right * lower * d) / (1 << 20)
}

impl Kernel for ResizeKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        if self.dtype == DType::F32 {
            let (x, y) = memory.unary::<f32, f32>();
            return self.each(x, y, real);
        }
        let (x, y) = memory.unary::<i8, i8>();
        let origin = if self.dtype == DType::U8 { 128 } else { 0 };
        self.each(x, y, |row, column, corners| {
            let corners = corners.map(|x| i32::from(x) + origin);
            // Either way the fraction is cut off.
            let mixed = if self.fixed {
                fixed(row, column, corners)
            } else {
                real(row, column, corners.map(|x| x as f32)) as i32
            };
            (mixed - origin) as i8
        });
    }
}
