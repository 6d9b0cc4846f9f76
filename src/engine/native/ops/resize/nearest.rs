//! Each output pixel is one of the input's.

use super::super::{Compiled, Kernel, Operator, Refusal, Site, Step, malformed, unsupported};
use super::{Corners, shape};
use crate::engine::native::graph::{Shape, width};
use crate::engine::native::memory::Memory;

/// To the size in the constant second input.
#[derive(Debug)]
pub(in super::super) struct Nearest {
    pub(in super::super) corners: Corners,
}

#[derive(Debug)]
struct NearestKernel {
    rows: Vec<usize>,
    columns: Vec<usize>,
    /// `[height, width]` of the input.
    input: [usize; 2],
    /// Bytes of a pixel.
    pixel: usize,
}

impl Corners {
    /// The input pixel for output pixel `at`, of `to` along this side; the input has `from`.
    fn nearest(self, at: usize, from: usize, to: usize) -> usize {
        let place = (at as f32 + if self.half { 0.5 } else { 0.0 }) * self.scale(from, to);
        let place = if self.align { place.round() } else { place.floor() };
        (place as usize).min(from - 1)
    }
}

impl Operator for Nearest {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![shape(site)?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.dtype != y.dtype || x.quant != y.quant {
            return Err(malformed("an output of another type or quantization than the input's"));
        }
        let bytes = width(x.dtype).ok_or_else(|| unsupported("text"))?;
        site.budget.take_for::<usize>(y.shape[1] + y.shape[2])?;
        let places = |axis: usize| -> Vec<usize> {
            let (from, to) = (x.shape[axis], y.shape[axis]);
            (0..to).map(|at| self.corners.nearest(at, from, to)).collect()
        };
        let kernel = NearestKernel {
            rows: places(1),
            columns: places(2),
            input: [x.shape[1], x.shape[2]],
            pixel: x.shape[3] * bytes,
        };
        Ok(Step::new(kernel, y.elements()).into())
    }
}

impl Kernel for NearestKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.pair(0, 0);
        let line = self.input[1] * self.pixel;
        let image_out = self.rows.len() * self.columns.len() * self.pixel;
        for (x, y) in x.chunks_exact(self.input[0] * line).zip(y.chunks_exact_mut(image_out)) {
            let lines = y.chunks_exact_mut(self.columns.len() * self.pixel);
            for (y, &row) in lines.zip(&self.rows) {
                let x = &x[row * line..][..line];
                for (y, &column) in y.chunks_exact_mut(self.pixel).zip(&self.columns) {
                    y.copy_from_slice(&x[column * self.pixel..][..self.pixel]);
                }
            }
        }
    }
}
