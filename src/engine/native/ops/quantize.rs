//! Between real and quantized values, and from one quantization to another.

use super::shared::fixed::Factor;
use super::shared::quant8::Quant8;
use super::shared::requantize::Requantize;
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Role, Site, Step, unsupported};
use crate::data::DType;
use crate::engine::native::graph::{Activation, Shape};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "QUANTIZE",
        options: 0,
        lower: |_| Ok(Box::new(Quantize)),
        kinds: &[Kind::Int8, Kind::Uint8],
        attributes: &[("from", &["float32", "int8", "uint8"])],
    },
    Entry {
        name: "DEQUANTIZE",
        options: 0,
        lower: |_| Ok(Box::new(Dequantize)),
        kinds: &[Kind::Int8, Kind::Uint8],
        attributes: &[],
    },
];

/// Real or quantized to quantized.
#[derive(Debug)]
pub(super) struct Quantize;

/// Quantized to real.
#[derive(Debug)]
pub(super) struct Dequantize;

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

impl Operator for Quantize {
    fn role(&self, _site: &Site<'_>) -> Role {
        Role::Quantize
    }

    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let out = Quant8::of(y)?;
        if x.dtype == DType::F32 {
            let output = Requantize::new(out, Activation::None);
            let kernel = FromReal { steps_per_unit: 1.0 / out.scale, output };
            return Ok(Step::new(kernel, y.elements()).into());
        }
        let convert = Convert::new(Quant8::of(x)?, out)?;
        let mut outputs = Box::new([0; 256]);
        for x in i8::MIN..=i8::MAX {
            outputs[index(x)] = convert.of(x);
        }
        let step = Step::new(Table { outputs }, y.elements());
        Ok(Step { weight_bytes: 256, in_place: true, ..step }.into())
    }
}

impl Operator for Dequantize {
    fn role(&self, _site: &Site<'_>) -> Role {
        Role::Dequantize
    }

    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if y.dtype != DType::F32 {
            return Err(unsupported(format!("an output of {}", y.dtype)));
        }
        // A constant of 16-bit floats is read as 32-bit ones, and there is nothing left to do.
        if x.dtype == DType::F32 {
            return Ok(Compiled::Alias);
        }
        let Quant8 { scale, zero_point, .. } = Quant8::of(x)?;
        Ok(Step::new(ToReal { scale, zero_point }, y.elements()).into())
    }
}

/// From one quantization to another.
#[derive(Clone, Copy, Debug)]
struct Convert {
    factor: Multiplier,
    from: i32,
    to: i32,
}

/// How the factor between two scales is written; the reference has two ways.
#[derive(Clone, Copy, Debug)]
enum Multiplier {
    /// XNNPACK's, where both types are one: 8 fraction bits, half up.
    Bits8(i32),
    /// TFLite's own.
    Fixed(Factor),
}

impl Convert {
    fn new(x: Quant8, y: Quant8) -> Result<Self, Refusal> {
        let ratio = x.scale / y.scale;
        let factor = if x.origin == y.origin && (2f32.powi(-8)..=2f32.powi(7)).contains(&ratio) {
            Multiplier::Bits8((256.0 * ratio).round_ties_even() as i32)
        } else {
            let factor = Factor::new(f64::from(x.scale) / f64::from(y.scale));
            let far = || unsupported(format!("scales {} and {}, too far apart", x.scale, y.scale));
            Multiplier::Fixed(factor.ok_or_else(far)?)
        };
        Ok(Self { factor, from: x.zero_point, to: y.zero_point })
    }

    fn of(self, x: i8) -> i8 {
        let x = i32::from(x) - self.from;
        let steps = match self.factor {
            Multiplier::Bits8(factor) => (x * factor + 128) >> 8,
            Multiplier::Fixed(factor) => factor.times(x),
        };
        steps.saturating_add(self.to).clamp(-128, 127) as i8
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
        memory.map::<i8, i8>(|x| self.outputs[index(x)]);
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
        let vanishing = Convert::new(quant(1e-9, 0), quant(1.0, 5)).unwrap();
        assert_eq!(vanishing.of(127), 5);
        assert!(Convert::new(quant(1e9, 0), quant(1.0, 0)).is_err());
    }
}
