//! Where along an axis the highest or lowest element is.

use super::{Compiled, Kernel, Memory, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;

/// The first of the highest, or of the lowest; or the last of them.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct ArgMax {
    pub(in super::super) axis: usize,
    pub(in super::super) lowest: bool,
    pub(in super::super) keep: bool,
    pub(in super::super) last: bool,
}

impl Operator for ArgMax {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let mut shape = site.input(0)?.shape.clone();
        if self.axis >= shape.len() {
            return Err(malformed(format!("axis {} of shape {shape:?}", self.axis)));
        }
        if self.keep {
            shape[self.axis] = 1;
        } else {
            shape.remove(self.axis);
        }
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if !matches!(x.dtype, DType::F32 | DType::I8 | DType::U8 | DType::I32)
            || y.dtype != DType::I64
        {
            return Err(unsupported(format!("{} inputs", x.dtype)));
        }
        let len = x.shape[self.axis];
        let stride = x.shape[self.axis + 1..].iter().product();
        let kernel = ArgMaxKernel { op: *self, dtype: x.dtype, len, stride };
        Ok(Step::new(kernel, x.elements()).into())
    }
}

#[derive(Debug)]
struct ArgMaxKernel {
    op: ArgMax,
    dtype: DType,
    len: usize,
    stride: usize,
}

impl ArgMaxKernel {
    fn find<X: Copy + PartialOrd>(&self, x: &[X], y: &mut [i64]) {
        for (n, y) in y.iter_mut().enumerate() {
            let start = n / self.stride * self.len * self.stride + n % self.stride;
            let mut best = 0;
            for i in 1..self.len {
                let (found, held) = (x[start + i * self.stride], x[start + best * self.stride]);
                let better = if self.op.lowest { found < held } else { found > held };
                if better || (self.op.last && found == held) {
                    best = i;
                }
            }
            *y = best as i64;
        }
    }
}

impl Kernel for ArgMaxKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.pair(0, 0);
        let y = bytemuck::cast_slice_mut::<u8, i64>(y);
        match self.dtype {
            DType::F32 => self.find(bytemuck::cast_slice::<u8, f32>(x), y),
            DType::I32 => self.find(bytemuck::cast_slice::<u8, i32>(x), y),
            _ => self.find(bytemuck::cast_slice::<u8, i8>(x), y),
        }
    }
}
