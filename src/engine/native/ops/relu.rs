//! Rectifiers: clamps, and slopes below zero.

use super::shared::each::{each, each_in_vectors, looked_up};
use super::shared::fixed::Factor;
use super::shared::linear::Linear;
use super::shared::pairs::{pairs, pairs_in_vectors};
use super::shared::walk::broadcast_shape;
use super::{Compiled, Entry, Kind, Operator, Refusal, Role, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::{Activation, Shape};

const ALL: &[Kind] = &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int16];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "RELU",
        options: 0,
        lower: |_| Ok(Box::new(Clamp { low: 0.0, high: f32::INFINITY })),
        kinds: ALL,
        attributes: &[],
    },
    Entry {
        name: "RELU6",
        options: 0,
        lower: |_| Ok(Box::new(Clamp { low: 0.0, high: 6.0 })),
        kinds: ALL,
        attributes: &[],
    },
    Entry {
        name: "RELU_N1_TO_1",
        options: 0,
        lower: |_| Ok(Box::new(Clamp { low: -1.0, high: 1.0 })),
        kinds: &[Kind::Float32, Kind::Int8, Kind::Uint8],
        attributes: &[],
    },
    Entry {
        name: "RELU_0_TO_1",
        options: 0,
        lower: |_| Ok(Box::new(Clamp { low: 0.0, high: 1.0 })),
        kinds: &[Kind::Float32, Kind::Int8, Kind::Uint8],
        attributes: &[],
    },
    Entry {
        name: "LEAKY_RELU",
        options: 75,
        // LeakyReluOptions: alpha.
        lower: |options| Ok(Box::new(Leaky { alpha: options.float(0, 0.0)? })),
        kinds: ALL,
        attributes: &[],
    },
    Entry {
        name: "PRELU",
        options: 0,
        lower: |_| Ok(Box::new(Prelu)),
        kinds: ALL,
        attributes: &[],
    },
];

/// To real `low` … `high`.
#[derive(Debug)]
pub(super) struct Clamp {
    pub(super) low: f32,
    pub(super) high: f32,
}

/// `x` above zero, `alpha * x` below.
#[derive(Debug)]
pub(super) struct Leaky {
    pub(super) alpha: f32,
}

/// The same with a slope of its own for each element of the second input, which repeats.
#[derive(Debug)]
pub(super) struct Prelu;

/// The factor from real steps `from` to steps `to`, of either sign; taken in `f32`, as the reference does.
fn factor(from: f32, to: f32) -> Result<Factor, Refusal> {
    let factor = Factor::new((from / to).abs().into());
    let factor = factor.ok_or_else(|| unsupported(format!("steps of {from} and {to}")))?;
    Ok(if from < 0.0 { factor.negated() } else { factor })
}

impl Operator for Clamp {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn role(&self, _site: &Site<'_>) -> Role {
        let is = |clamp: &Activation| clamp.bounds() == (self.low, self.high);
        let all = [Activation::Relu, Activation::Relu6, Activation::ReluN1To1];
        all.into_iter().find(is).map_or(Role::Other, Role::Clamp)
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.dtype != y.dtype {
            return Err(malformed(format!("{} becomes {}", x.dtype, y.dtype)));
        }
        let (low, high) = (self.low, self.high);
        if x.dtype == DType::F32 {
            return Ok(each_in_vectors(site, move |x: f32| x.max(low).min(high))?.into());
        }
        let (x, y) = (Linear::of(x)?, Linear::of(y)?.within(low, high));
        let factor = factor(x.scale, y.scale)?;
        let of = move |raw: i32| y.raw(factor.times(raw - x.zero_point));
        Ok(match site.input(0)?.dtype {
            DType::I16 => each(site, move |raw: i16| of(raw.into()) as i16)?,
            _ => looked_up(site, |raw| of(raw.into()) as i8)?,
        }
        .into())
    }
}

impl Leaky {
    /// XNNPACK's, for 8 bits: 8 fraction bits, half up. `None` where it leaves the work to TFLite.
    fn short(&self, x: Linear, y: Linear) -> Option<[i32; 2]> {
        let up = x.scale / y.scale;
        let down = up * self.alpha;
        let able = (1.0 / 256.0..=128.0).contains(&up)
            && (-127.996_09..=128.0).contains(&down)
            && down.abs() >= 1.0 / 256.0;
        let bits8 = |scale: f32| (256.0 * scale).round_ties_even() as i32;
        able.then(|| [bits8(up), bits8(down)])
    }
}

impl Operator for Leaky {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        if x.dtype != y.dtype {
            return Err(malformed(format!("{} becomes {}", x.dtype, y.dtype)));
        }
        let (dtype, alpha) = (x.dtype, self.alpha);
        if dtype == DType::F32 {
            let slope = move |x: f32| if x < 0.0 { x * alpha } else { x };
            return Ok(each_in_vectors(site, slope)?.into());
        }
        let (x, y) = (Linear::of(x)?, Linear::of(y)?);
        if let (true, Some([up, down])) = (dtype != DType::I16, self.short(x, y)) {
            return Ok(looked_up(site, |raw| {
                let steps = i32::from(raw) - x.zero_point;
                y.raw((steps * if steps < 0 { down } else { up } + 128) >> 8) as i8
            })?
            .into());
        }
        let up = factor(x.scale, y.scale)?;
        let down = factor(x.scale * alpha, y.scale)?;
        let of = move |raw: i32| {
            let steps = raw - x.zero_point;
            y.raw(if steps < 0 { down } else { up }.times(steps))
        };
        Ok(match dtype {
            DType::I16 => each(site, move |raw: i16| of(raw.into()) as i16)?,
            _ => looked_up(site, |raw| of(raw.into()) as i8)?,
        }
        .into())
    }
}

impl Operator for Prelu {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![broadcast_shape(&site.input(0)?.shape, &site.input(1)?.shape)?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, alpha, y) = (site.input(0)?, site.input(1)?, site.output()?);
        // Slopes of 8 bits go with 16-bit tensors.
        let narrow = (y.dtype, alpha.dtype) == (DType::I16, DType::I8);
        if x.dtype != y.dtype || (alpha.dtype != y.dtype && !narrow) {
            let why = format!("{} with slopes of {} becomes {}", x.dtype, alpha.dtype, y.dtype);
            return Err(malformed(why));
        }
        let dtype = x.dtype;
        if dtype == DType::F32 {
            let slope = |x: f32, alpha: f32| if x < 0.0 { x * alpha } else { x };
            return Ok(pairs_in_vectors(site, slope)?.into());
        }
        let (x, alpha, y) = (Linear::of(x)?, Linear::of(alpha)?, Linear::of(y)?);
        let up = factor(x.scale, y.scale)?;
        let down = factor(x.scale * alpha.scale, y.scale)?;
        let of = move |raw: i32, slope: i32| {
            let steps = raw - x.zero_point;
            y.raw(if steps < 0 {
                down.times(steps * (slope - alpha.zero_point))
            } else {
                up.times(steps)
            })
        };
        let step: Step = match dtype {
            DType::I16 if narrow => {
                pairs(site, move |x: i16, a: i8| of(x.into(), a.into()) as i16)?
            }
            DType::I16 => return Err(unsupported("slopes of 16 bits")),
            _ => pairs(site, move |x: i8, a: i8| of(x.into(), a.into()) as i8)?,
        };
        Ok(step.into())
    }
}
