//! Layer normalization.

use super::params::floats;
use super::{Compiled, Kernel, Memory, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;

/// Over the last axes, from `axis` on: x, constant scale and, if there is one, constant bias.
#[derive(Debug)]
pub(in super::super) struct LayerNorm {
    pub(in super::super) axis: usize,
    pub(in super::super) epsilon: f32,
}

impl Operator for LayerNorm {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let x = site.input(0)?;
        let last = x.shape.get(self.axis..).filter(|last| !last.is_empty());
        let len = last.ok_or_else(|| malformed(format!("axis {} of {:?}", self.axis, x.shape)))?;
        let len: usize = len.iter().product();
        if x.dtype != DType::F32 {
            return Err(unsupported(format!("{} inputs", x.dtype)));
        }
        site.budget.take_for::<f32>(2 * len)?;
        let constant = |input: usize, default: f32| match site.optional(input) {
            None => Ok(vec![default; len]),
            Some(value) if value.dtype == DType::F32 && value.elements() == len => {
                let data = value.data.as_ref();
                Ok(floats(data.ok_or_else(|| unsupported("a scale that is not constant"))?))
            }
            Some(value) => Err(malformed(format!("a scale of shape {:?}", value.shape))),
        };
        let (scale, bias) = (constant(1, 1.0)?, constant(2, 0.0)?);
        let kernel = LayerNormKernel { scale, bias, epsilon: self.epsilon.into() };
        Ok(Step::new(kernel, 3 * x.elements()).into())
    }
}

#[derive(Debug)]
struct LayerNormKernel {
    scale: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f64,
}

impl Kernel for LayerNormKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<f32, f32>();
        let len = self.scale.len();
        for (x, y) in x.chunks_exact(len).zip(y.chunks_exact_mut(len)) {
            let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / len as f64;
            let square = |&x: &f32| (f64::from(x) - mean) * (f64::from(x) - mean);
            let variance = x.iter().map(square).sum::<f64>() / len as f64;
            let factor = 1.0 / (variance + self.epsilon).sqrt();
            for (((y, &x), scale), bias) in y.iter_mut().zip(x).zip(&self.scale).zip(&self.bias) {
                *y = ((f64::from(x) - mean) * factor) as f32 * scale + bias;
            }
        }
    }
}
