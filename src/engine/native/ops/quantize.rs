//! Between real and quantized values, and from one quantization to another.

use super::shared::each::{each, each_in_vectors, looked_up};
use super::shared::fixed::Factor;
use super::shared::linear::Linear;
use super::shared::quant8::Quant8;
use super::shared::requantize::output_of;
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Role, Site, Step, unsupported};
use crate::data::DType;
use crate::engine::native::graph::{Activation, Quant, Shape};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "QUANTIZE",
        options: 0,
        lower: |_| Ok(Box::new(Quantize)),
        kinds: &[Kind::Int8, Kind::Uint8, Kind::Int16],
        attributes: &[("from", &["float32", "int8", "uint8", "int16", "int32"])],
    },
    Entry {
        name: "DEQUANTIZE",
        options: 0,
        lower: |_| Ok(Box::new(Dequantize)),
        kinds: &[Kind::Float16, Kind::Int8, Kind::Int8Channel, Kind::Uint8, Kind::Int16],
        attributes: &[],
    },
];

/// Real or quantized to quantized.
#[derive(Debug)]
pub(super) struct Quantize;

/// Quantized to real.
#[derive(Debug)]
pub(super) struct Dequantize;

impl Operator for Quantize {
    fn role(&self, _site: &Site<'_>) -> Role {
        Role::Quantize
    }

    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let bytes = |dtype| matches!(dtype, DType::I8 | DType::U8);
        if bytes(x.dtype) && bytes(y.dtype) {
            let convert = Convert::new(Quant8::of(x)?, Quant8::of(y)?)?;
            return Ok(looked_up(site, |x| convert.of(x))?.into());
        }
        if x.dtype == DType::F32 {
            let to = Linear::of(y)?;
            let (out, per_unit) = (Quant8::of(y).ok(), 1.0 / to.scale);
            return Ok(match out {
                // XNNPACK's.
                Some(out) => {
                    let output = output_of(out, Activation::None);
                    each_in_vectors(site, move |x: f32| output.quantize(x * per_unit))?
                }
                None => each(site, move |x: f32| to.raw((x / to.scale).round() as i32) as i16)?,
            }
            .into());
        }
        let (from, to) = (Linear::of_wide(x)?, Linear::of_wide(y)?);
        let factor = factor(from.scale, to.scale)?;
        let of = move |x: i32| to.raw(factor.times(x.wrapping_sub(from.zero_point)));
        Ok(match (x.dtype, y.dtype) {
            (DType::I8 | DType::U8, DType::I16) => each(site, move |x: i8| of(x.into()) as i16)?,
            (DType::I16, DType::I16) => each(site, move |x: i16| of(x.into()) as i16)?,
            (DType::I16, DType::I32) => each(site, move |x: i16| of(x.into()))?,
            (DType::I16, DType::I8 | DType::U8) => each(site, move |x: i16| of(x.into()) as i8)?,
            (DType::I32, DType::I16) => each(site, move |x: i32| of(x) as i16)?,
            (DType::I32, DType::I8 | DType::U8) => each(site, move |x: i32| of(x) as i8)?,
            (from, to) => return Err(unsupported(format!("{from} to {to}"))),
        }
        .into())
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
        if let Quant::Channels { axis, scales } = &x.quant {
            return channels(site, *axis, scales);
        }
        let Linear { scale, zero_point, .. } = Linear::of_wide(x)?;
        let real = move |x: i32| (x.wrapping_sub(zero_point)) as f32 * scale;
        Ok(match x.dtype {
            DType::I16 => each_in_vectors(site, move |x: i16| real(x.into()))?,
            DType::I32 => each_in_vectors(site, move |x: i32| real(x))?,
            _ => each_in_vectors(site, move |x: i8| real(x.into()))?,
        }
        .into())
    }
}

/// TFLite's factor between two scales.
fn factor(from: f32, to: f32) -> Result<Factor, Refusal> {
    let factor = Factor::new(f64::from(from) / f64::from(to));
    factor.ok_or_else(|| unsupported(format!("scales {from} and {to}, too far apart")))
}

/// Weights with one scale for each channel, made real.
fn channels(site: &Site<'_>, axis: usize, scales: &[f32]) -> Result<Compiled, Refusal> {
    let x = site.input(0)?;
    if x.dtype != DType::I8 {
        return Err(unsupported(format!("{} with one scale per channel", x.dtype)));
    }
    site.budget.take_for::<f32>(scales.len())?;
    let inner = x.shape[axis + 1..].iter().product();
    let kernel = Channels { inner, scales: scales.to_vec() };
    Ok(Step::new(kernel, x.elements()).into())
}

#[derive(Debug)]
struct Channels {
    /// Elements that follow one another in a channel.
    inner: usize,
    scales: Vec<f32>,
}

impl Kernel for Channels {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, f32>();
        let rows = x.chunks_exact(self.inner).zip(y.chunks_exact_mut(self.inner));
        for ((x, y), &scale) in rows.zip(self.scales.iter().cycle()) {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = f32::from(x) * scale;
            }
        }
    }
}

/// From one quantization of 8 bits to another.
#[derive(Clone, Copy, Debug)]
struct Convert {
    multiplier: Multiplier,
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
        let multiplier = if x.origin == y.origin && (2f32.powi(-8)..=2f32.powi(7)).contains(&ratio)
        {
            Multiplier::Bits8((256.0 * ratio).round_ties_even() as i32)
        } else {
            Multiplier::Fixed(factor(x.scale, y.scale)?)
        };
        Ok(Self { multiplier, from: x.zero_point, to: y.zero_point })
    }

    fn of(self, x: i8) -> i8 {
        let x = i32::from(x) - self.from;
        let steps = match self.multiplier {
            Multiplier::Bits8(factor) => (x * factor + 128) >> 8,
            Multiplier::Fixed(factor) => factor.times(x),
        };
        steps.saturating_add(self.to).clamp(-128, 127) as i8
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
