//! Between real and quantized values, and from one quantization to another.

use super::requantize::Requantize;
use super::{Kernel, Quant8, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Activation;
use crate::engine::native::memory::Memory;

/// `round(x / scale) + zero_point`, by the scale's reciprocal as XNNPACK.
#[derive(Debug)]
struct FromReal {
    steps_per_unit: f32,
    output: Requantize,
}

/// `scale * (x - zero_point)`.
#[derive(Debug)]
struct ToReal {
    scale: f32,
    zero_point: i32,
}

/// Any function of one byte.
#[derive(Debug)]
struct Table {
    outputs: Box<[i8; 256]>,
}

pub(super) fn compile_quantize(site: &Site<'_>) -> Result<Step, Refusal> {
    let (x, y) = (site.input(0)?, site.output()?);
    if x.shape != y.shape {
        return Err(malformed(format!("{:?} becomes {:?}", x.shape, y.shape)));
    }
    let out = Quant8::of(y)?;
    if x.dtype == DType::F32 {
        let output = Requantize::new(out, Activation::None);
        let kernel = FromReal { steps_per_unit: 1.0 / out.scale, output };
        return Ok(Step::elementwise(kernel, y.elements()));
    }
    let convert = Convert::new(Quant8::of(x)?, out)?;
    let mut outputs = Box::new([0; 256]);
    for x in i8::MIN..=i8::MAX {
        outputs[index(x)] = convert.of(x);
    }
    Ok(Step { weight_bytes: 256, ..Step::elementwise(Table { outputs }, y.elements()) })
}

pub(super) fn compile_dequantize(site: &Site<'_>) -> Result<Step, Refusal> {
    let (x, y) = (site.input(0)?, site.output()?);
    if x.shape != y.shape {
        return Err(malformed(format!("{:?} becomes {:?}", x.shape, y.shape)));
    }
    if y.dtype != DType::F32 {
        return Err(unsupported(format!("an output of {}", y.dtype)));
    }
    let Quant8 { scale, zero_point, .. } = Quant8::of(x)?;
    Ok(Step::elementwise(ToReal { scale, zero_point }, y.elements()))
}

/// From one quantization to another, with a factor of 8 fraction bits as XNNPACK.
#[derive(Clone, Copy, Debug)]
struct Convert {
    factor: i32,
    from: i32,
    to: i32,
}

impl Convert {
    fn new(x: Quant8, y: Quant8) -> Result<Self, Refusal> {
        let factor = (256.0 * (x.scale / y.scale)).round_ties_even();
        if !(1.0..=32768.0).contains(&factor) {
            return Err(unsupported(format!("scales {} and {}, too far apart", x.scale, y.scale)));
        }
        Ok(Self { factor: factor as i32, from: x.zero_point, to: y.zero_point })
    }

    fn of(self, x: i8) -> i8 {
        let steps = ((i32::from(x) - self.from) * self.factor + 128) >> 8;
        (steps + self.to).clamp(-128, 127) as i8
    }
}

/// Where the table has the output for `x`.
#[inline(always)]
fn index(x: i8) -> usize {
    usize::from(x.cast_unsigned())
}

impl Kernel for FromReal {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<f32, i8>();
        for (y, &x) in y.iter_mut().zip(x) {
            *y = self.output.quantize(x * self.steps_per_unit);
        }
    }
}

impl Kernel for ToReal {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, f32>();
        for (y, &x) in y.iter_mut().zip(x) {
            *y = (i32::from(x) - self.zero_point) as f32 * self.scale;
        }
    }
}

impl Kernel for Table {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, i8>();
        for (y, &x) in y.iter_mut().zip(x) {
            *y = self.outputs[index(x)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversion_halves_steps_and_moves_the_zero_point() {
        let quant = |scale, zero_point| Quant8 { scale, zero_point, origin: 0 };
        let convert = Convert::new(quant(0.5, 10), quant(1.0, -3)).unwrap();
        assert_eq!([10, 12, 13, 9].map(|x| convert.of(x)), [-3, -2, -1, -3]);
        assert!(Convert::new(quant(1e-9, 0), quant(1.0, 0)).is_err());
    }
}
