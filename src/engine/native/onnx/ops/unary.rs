//! One element at a time.

use super::{Compiled, Kernel, Memory, Operator, Refusal, Site, Step, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;

/// A function of one real number. Transcendental ones are computed in `f64` by `libm` and rounded once, so
/// that they are the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Unary {
    Abs,
    Neg,
    Sqrt,
    Reciprocal,
    Exp,
    Log,
    Floor,
    Ceil,
    /// Half to even.
    Round,
    Sign,
    Sin,
    Cos,
    Tan,
    Erf,
    Sigmoid,
    Tanh,
    Softplus,
    Softsign,
    Relu,
    LeakyRelu(f32),
    Elu(f32),
    Celu(f32),
    Selu {
        alpha: f32,
        gamma: f32,
    },
    ThresholdedRelu(f32),
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    HardSwish,
    Mish,
    Gelu,
    GeluTanh,
    Clip {
        low: f32,
        high: f32,
    },
}

impl Unary {
    /// The function's value.
    pub(in super::super) fn of(self, x: f32) -> f32 {
        let wide = f64::from(x);
        match self {
            Self::Abs => x.abs(),
            Self::Neg => -x,
            Self::Sqrt => x.sqrt(),
            Self::Reciprocal => 1.0 / x,
            Self::Exp => libm::exp(wide) as f32,
            Self::Log => libm::log(wide) as f32,
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
            Self::Round => x.round_ties_even(),
            Self::Sign if x > 0.0 => 1.0,
            Self::Sign if x < 0.0 => -1.0,
            Self::Sign => x * 0.0,
            Self::Sin => libm::sin(wide) as f32,
            Self::Cos => libm::cos(wide) as f32,
            Self::Tan => libm::tan(wide) as f32,
            Self::Erf => libm::erf(wide) as f32,
            Self::Sigmoid => (1.0 / (1.0 + libm::exp(-wide))) as f32,
            Self::Tanh => libm::tanh(wide) as f32,
            Self::Softplus => (wide.max(0.0) + libm::log1p(libm::exp(-wide.abs()))) as f32,
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Relu => x.max(0.0),
            Self::LeakyRelu(alpha) => {
                if x >= 0.0 {
                    x
                } else {
                    alpha * x
                }
            }
            Self::Elu(alpha) if x < 0.0 => (f64::from(alpha) * libm::expm1(wide)) as f32,
            Self::Elu(_) => x,
            Self::Celu(alpha) => {
                let alpha = f64::from(alpha);
                (wide.max(0.0) + (alpha * libm::expm1(wide / alpha)).min(0.0)) as f32
            }
            Self::Selu { alpha, gamma } if x <= 0.0 => {
                (f64::from(gamma) * f64::from(alpha) * libm::expm1(wide)) as f32
            }
            Self::Selu { gamma, .. } => gamma * x,
            Self::ThresholdedRelu(alpha) => {
                if x > alpha {
                    x
                } else {
                    0.0
                }
            }
            Self::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::Mish => {
                let softplus = wide.max(0.0) + libm::log1p(libm::exp(-wide.abs()));
                (wide * libm::tanh(softplus)) as f32
            }
            Self::Gelu => {
                (0.5 * wide * (1.0 + libm::erf(wide * std::f64::consts::FRAC_1_SQRT_2))) as f32
            }
            Self::GeluTanh => {
                let inner = 0.797_884_560_802_865_4 * (wide + 0.044_715 * wide * wide * wide);
                (0.5 * wide * (1.0 + libm::tanh(inner))) as f32
            }
            // NaN is handed on.
            Self::Clip { low, high } => {
                if x < low {
                    low.min(high)
                } else if x > high {
                    high
                } else {
                    x
                }
            }
        }
    }
}

impl Operator for Unary {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        match (x.dtype, self) {
            (DType::F32, _) => {}
            (DType::I32 | DType::I64, Self::Abs | Self::Neg | Self::Sign | Self::Relu) => {}
            (DType::I32 | DType::I64, Self::Clip { .. }) => {}
            (other, _) => return Err(unsupported(format!("{self:?} of {other}"))),
        }
        let step = Step::new(UnaryKernel { op: *self, dtype: x.dtype }, y.elements());
        Ok(Step { in_place: true, ..step }.into())
    }
}

#[derive(Debug)]
struct UnaryKernel {
    op: Unary,
    dtype: DType,
}

impl UnaryKernel {
    fn of_i64(&self, x: i64) -> i64 {
        match self.op {
            Unary::Abs => x.wrapping_abs(),
            Unary::Neg => x.wrapping_neg(),
            Unary::Sign => x.signum(),
            Unary::Clip { low, high } => x.max(low as i64).min(high as i64),
            _ => x.max(0),
        }
    }
}

impl Kernel for UnaryKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        match self.dtype {
            DType::I32 => memory.map(|x: i32| self.of_i64(x.into()) as i32),
            DType::I64 => memory.map(|x: i64| self.of_i64(x)),
            _ => memory.map(|x: f32| self.op.of(x)),
        }
    }
}

/// The other truth value.
#[derive(Debug)]
pub(in super::super) struct Not;

impl Operator for Not {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let x = site.input(0)?;
        if x.dtype != DType::Bool {
            return Err(unsupported(format!("not {}", x.dtype)));
        }
        Ok(Step { in_place: true, ..Step::new(NotKernel, x.elements()) }.into())
    }
}

#[derive(Debug)]
struct NotKernel;

impl Kernel for NotKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        memory.map(|x: u8| x ^ 1);
    }
}

/// One output byte for each input byte, as both lie in the arena: every function of one 8-bit tensor.
#[derive(Debug)]
pub(in super::super) struct Table {
    /// By the input's bits.
    pub(in super::super) outputs: Box<[i8; 256]>,
}

impl Operator for Table {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let eight = |dtype| matches!(dtype, DType::I8 | DType::U8);
        if !eight(x.dtype) || !eight(y.dtype) {
            return Err(unsupported(format!("{} to {}", x.dtype, y.dtype)));
        }
        let step = Step::new(TableKernel { outputs: self.outputs.clone() }, y.elements());
        Ok(Step { in_place: true, weight_bytes: 256, ..step }.into())
    }
}

#[derive(Debug)]
struct TableKernel {
    outputs: Box<[i8; 256]>,
}

impl Kernel for TableKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        memory.map(|x: u8| self.outputs[usize::from(x)]);
    }
}
