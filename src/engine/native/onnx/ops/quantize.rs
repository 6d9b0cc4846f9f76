//! `QuantizeLinear`, `DequantizeLinear` and `DynamicQuantizeLinear`.

use super::{
    Compiled, Kernel, Memory, Operator, Params, Refusal, Scheme, Site, Step, malformed, unsupported,
};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::ops::shared::each::each_in_vectors;

/// Real to integers: `x / scale`, half to even, plus the zero point, saturating.
#[derive(Debug)]
pub(in super::super) struct Quantize(pub(in super::super) Scheme);

/// Integers to real.
#[derive(Debug)]
pub(in super::super) struct Dequantize(pub(in super::super) Scheme);

/// How often each of several scales is used in a row.
fn lanes(scheme: &Scheme, shape: &[usize]) -> Result<usize, Refusal> {
    if shape.get(scheme.axis) != Some(&scheme.scales.len()) {
        let (scales, axis) = (scheme.scales.len(), scheme.axis);
        return Err(malformed(format!("{scales} scales along axis {axis} of {shape:?}")));
    }
    Ok(shape[scheme.axis + 1..].iter().product())
}

fn params(scheme: &Scheme) -> Vec<Params> {
    let both = scheme.scales.iter().zip(&scheme.zeros);
    both.map(|(&scale, &zero)| Params { scale, zero, dtype: scheme.dtype }).collect()
}

impl Operator for Quantize {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.dtype != DType::F32 || y.dtype != self.0.dtype || y.dtype == DType::I32 {
            return Err(unsupported(format!("{} to {}", x.dtype, y.dtype)));
        }
        if let Some(params) = self.0.whole() {
            return Ok(if params.is_eight() {
                each_in_vectors(site, move |x| params.quantize(x) as i8)?
            } else {
                each_in_vectors(site, move |x| params.quantize(x) as i16)?
            }
            .into());
        }
        let lane = lanes(&self.0, &x.shape)?;
        let kernel = QuantizeKernel { params: params(&self.0), lane };
        Ok(Step::new(kernel, y.elements()).into())
    }
}

/// With a scale for each index along an axis.
#[derive(Debug)]
struct QuantizeKernel {
    params: Vec<Params>,
    lane: usize,
}

impl Kernel for QuantizeKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.pair(0, 0);
        let lanes = bytemuck::cast_slice::<_, f32>(x).chunks_exact(self.lane);
        let params = self.params.iter().cycle();
        if self.params[0].is_eight() {
            let y = bytemuck::cast_slice_mut::<_, i8>(y).chunks_exact_mut(self.lane);
            for ((x, y), params) in lanes.zip(y).zip(params) {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = params.quantize(x) as i8;
                }
            }
        } else {
            let y = bytemuck::cast_slice_mut::<_, i16>(y).chunks_exact_mut(self.lane);
            for ((x, y), params) in lanes.zip(y).zip(params) {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = params.quantize(x) as i16;
                }
            }
        }
    }
}

impl Operator for Dequantize {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.dtype != self.0.dtype || y.dtype != DType::F32 {
            return Err(unsupported(format!("{} to {}", x.dtype, y.dtype)));
        }
        if let Some(params) = self.0.whole() {
            let zero = params.arena_zero();
            let real = move |x: i32| x.wrapping_sub(zero) as f32 * params.scale;
            return Ok(match x.dtype {
                DType::I16 => each_in_vectors(site, move |x: i16| real(x.into()))?,
                DType::I32 => each_in_vectors(site, move |x: i32| real(x))?,
                _ => each_in_vectors(site, move |x: i8| real(x.into()))?,
            }
            .into());
        }
        let lane = lanes(&self.0, &x.shape)?;
        let kernel = DequantizeKernel { params: params(&self.0), lane, dtype: x.dtype };
        Ok(Step::new(kernel, y.elements()).into())
    }
}

/// With a scale for each index along an axis.
#[derive(Debug)]
struct DequantizeKernel {
    params: Vec<Params>,
    lane: usize,
    dtype: DType,
}

impl Kernel for DequantizeKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.pair(0, 0);
        let y = bytemuck::cast_slice_mut::<_, f32>(y).chunks_exact_mut(self.lane);
        let lanes = y.zip(self.params.iter().cycle());
        macro_rules! each {
            ($ty:ty) => {{
                let x = bytemuck::cast_slice::<_, $ty>(x).chunks_exact(self.lane);
                for ((y, params), x) in lanes.zip(x) {
                    let zero = params.arena_zero();
                    for (y, &x) in y.iter_mut().zip(x) {
                        *y = i32::from(x).wrapping_sub(zero) as f32 * params.scale;
                    }
                }
            }};
        }
        match self.dtype {
            DType::I16 => each!(i16),
            DType::I32 => each!(i32),
            _ => each!(i8),
        }
    }
}

/// Real to `uint8` over the range that the tensor has: outputs, scale, zero point.
#[derive(Debug)]
pub(in super::super) struct DynamicQuantize;

impl Operator for DynamicQuantize {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone(), vec![], vec![]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let x = site.input(0)?;
        if x.dtype != DType::F32 {
            return Err(unsupported(format!("{} inputs", x.dtype)));
        }
        Ok(Step::new(DynamicQuantizeKernel, 2 * x.elements()).into())
    }
}

#[derive(Debug)]
struct DynamicQuantizeKernel;

impl Kernel for DynamicQuantizeKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x], [y, scale, zero], _) = memory.parts();
        let x = bytemuck::cast_slice::<_, f32>(x);
        let low = x.iter().fold(0f32, |low, &x| low.min(x));
        let high = x.iter().fold(0f32, |high, &x| high.max(x));
        let step = if low == high { 1.0 } else { (high - low) / 255.0 };
        let zero_point = (0.0 - low / step).clamp(0.0, 255.0).round_ties_even() as i32;
        let params = Params { scale: step, zero: zero_point, dtype: DType::U8 };
        for (y, &x) in y.iter_mut().zip(x) {
            *y = params.quantize(x) as u8;
        }
        scale.copy_from_slice(&step.to_ne_bytes());
        zero.fill(params.arena_zero() as u8);
    }
}
