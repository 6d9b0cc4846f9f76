//! Linear interpolation along the last two axes.

use super::{Compiled, Kernel, Memory, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;

/// For each output place along an axis: two input places, and the second one's share.
pub(in super::super) type Axis = Vec<(usize, usize, f32)>;

/// x `[…, h, w]`.
#[derive(Debug)]
pub(in super::super) struct ResizeLinear {
    pub(in super::super) axes: [Axis; 2],
}

impl Operator for ResizeLinear {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let mut shape = site.input(0)?.shape.clone();
        let Some(last) = shape.last_chunk_mut::<2>() else {
            return Err(malformed(format!("an image of shape {shape:?}")));
        };
        for (len, axis) in last.iter_mut().zip(&self.axes) {
            if axis.iter().any(|(a, b, _)| a >= len || b >= len) {
                return Err(malformed("it reads beyond its input"));
            }
            *len = axis.len();
        }
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.dtype != DType::F32 {
            return Err(unsupported(format!("{} inputs", x.dtype)));
        }
        site.budget.take_for::<(usize, usize, f32)>(self.axes[0].len() + self.axes[1].len())?;
        let input = x.shape.last_chunk::<2>().copied().unwrap_or([1, 1]);
        let kernel = ResizeKernel { axes: self.axes.clone(), input };
        Ok(Step::new(kernel, y.elements().saturating_mul(4)).into())
    }
}

#[derive(Debug)]
struct ResizeKernel {
    axes: [Axis; 2],
    input: [usize; 2],
}

impl Kernel for ResizeKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<f32, f32>();
        let ([rows, columns], [height, width]) = (&self.axes, self.input);
        let mut y = y.iter_mut();
        for x in x.chunks_exact(height * width) {
            for &(top, bottom, down) in rows {
                for (&(left, right, across), y) in columns.iter().zip(&mut y) {
                    let at = |row: usize, column: usize| x[row * width + column];
                    let upper = at(top, left) * (1.0 - across) + at(top, right) * across;
                    let lower = at(bottom, left) * (1.0 - across) + at(bottom, right) * across;
                    *y = upper * (1.0 - down) + lower * down;
                }
            }
        }
    }
}
