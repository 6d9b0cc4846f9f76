//! Two tensors, element by element, with broadcasting.

use super::walk::{Walk, broadcast_shape};
use super::{Compiled, Kernel, Memory, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;

/// What is done with two elements. Comparisons and logic give booleans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
    /// The remainder with the sign of the divisor.
    Mod,
    /// The remainder with the sign of the dividend.
    Fmod,
    PRelu,
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Xor,
}

impl Binary {
    /// The type of its outputs for inputs of `dtype`.
    pub(in super::super) fn dtype(self, dtype: DType) -> DType {
        use Binary::{And, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Or, Xor};
        match self {
            Equal | Less | LessOrEqual | Greater | GreaterOrEqual | And | Or | Xor => DType::Bool,
            _ => dtype,
        }
    }

    fn of_f32(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Pow => libm::pow(a.into(), b.into()) as f32,
            // NaN is handed on.
            Self::Min if a.is_nan() || b.is_nan() => f32::NAN,
            Self::Max if a.is_nan() || b.is_nan() => f32::NAN,
            Self::Min => a.min(b),
            Self::Max => a.max(b),
            Self::Mod => a - b * (a / b).floor(),
            Self::Fmod => libm::fmodf(a, b),
            Self::PRelu => {
                if a < 0.0 {
                    a * b
                } else {
                    a
                }
            }
            _ => f32::from(u8::from(self.of_order(a.partial_cmp(&b)))),
        }
    }

    fn of_i64(self, a: i64, b: i64) -> i64 {
        match self {
            Self::Add => a.wrapping_add(b),
            Self::Sub => a.wrapping_sub(b),
            Self::Mul => a.wrapping_mul(b),
            // There is no answer; any will do.
            Self::Div => {
                if b == 0 {
                    0
                } else {
                    a.wrapping_div(b)
                }
            }
            Self::Pow => libm::pow(a as f64, b as f64) as i64,
            Self::Min => a.min(b),
            Self::Max => a.max(b),
            Self::Mod => {
                let rest = Self::Fmod.of_i64(a, b);
                if rest != 0 && (rest < 0) != (b < 0) { rest.wrapping_add(b) } else { rest }
            }
            Self::Fmod => {
                if b == 0 {
                    0
                } else {
                    a.wrapping_rem(b)
                }
            }
            Self::PRelu => {
                if a < 0 {
                    a.wrapping_mul(b)
                } else {
                    a
                }
            }
            _ => i64::from(self.of_order(Some(a.cmp(&b)))),
        }
    }

    fn of_order(self, order: Option<std::cmp::Ordering>) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match self {
            Self::Equal => order == Some(Equal),
            Self::Less => order == Some(Less),
            Self::LessOrEqual => matches!(order, Some(Less | Equal)),
            Self::Greater => order == Some(Greater),
            _ => matches!(order, Some(Greater | Equal)),
        }
    }

    fn of_bool(self, a: u8, b: u8) -> u8 {
        match self {
            Self::And => a & b,
            Self::Or => a | b,
            Self::Xor => a ^ b,
            _ => u8::from(a == b),
        }
    }
}

impl Operator for Binary {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (a, b) = (site.input(0)?, site.input(1)?);
        Ok(vec![broadcast_shape(&[&a.shape, &b.shape])?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
        if a.dtype != b.dtype || y.dtype != self.dtype(a.dtype) {
            return Err(malformed(format!("{} with {}", a.dtype, b.dtype)));
        }
        let logic = matches!(self, Self::And | Self::Or | Self::Xor);
        match a.dtype {
            DType::F32 | DType::I32 | DType::I64 if !logic => {}
            DType::Bool if logic || *self == Self::Equal => {}
            other => return Err(unsupported(format!("{self:?} of {other}"))),
        }
        let walk = Walk::broadcast(&y.shape, [&a.shape, &b.shape]);
        let step = Step::new(BinaryKernel { op: *self, dtype: a.dtype, walk }, y.elements());
        Ok(Step { reads: vec![0, 1], ..step }.into())
    }
}

#[derive(Debug)]
struct BinaryKernel {
    op: Binary,
    dtype: DType,
    walk: Walk<2>,
}

impl Kernel for BinaryKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([a, b], [y], _) = memory.parts();
        let (op, walk) = (self.op, &self.walk);
        macro_rules! each {
            ($ty:ty, $of:ident, $wide:ty) => {{
                let (a, b) = (bytemuck::cast_slice::<_, $ty>(a), bytemuck::cast_slice::<_, $ty>(b));
                let of = |[i, j]: [usize; 2]| op.$of(<$wide>::from(a[i]), <$wide>::from(b[j]));
                if op.dtype(self.dtype) == DType::Bool {
                    walk.elements(|n, at| y[n] = u8::from(of(at) != <$wide>::default()));
                } else {
                    let y = bytemuck::cast_slice_mut::<_, $ty>(y);
                    walk.elements(|n, at| y[n] = of(at) as $ty);
                }
            }};
        }
        match self.dtype {
            DType::F32 => each!(f32, of_f32, f32),
            DType::I32 => each!(i32, of_i64, i64),
            DType::I64 => each!(i64, of_i64, i64),
            _ => walk.elements(|n, [i, j]| y[n] = op.of_bool(a[i], b[j])),
        }
    }
}

/// `y = condition ? a : b`, of any type; all three are repeated to one shape.
#[derive(Debug)]
pub(in super::super) struct Where;

impl Operator for Where {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let shapes = [site.input(0)?, site.input(1)?, site.input(2)?].map(|v| &v.shape[..]);
        Ok(vec![broadcast_shape(&shapes)?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let [c, a, b] = [site.input(0)?, site.input(1)?, site.input(2)?];
        let y = site.output()?;
        if c.dtype != DType::Bool || a.dtype != b.dtype || a.dtype != y.dtype {
            return Err(malformed(format!("{} ? {} : {}", c.dtype, a.dtype, b.dtype)));
        }
        let walk = Walk::broadcast(&y.shape, [&c.shape, &a.shape, &b.shape]);
        let size = y.bytes() / y.elements().max(1);
        let step = Step::new(WhereKernel { size, walk }, y.elements());
        Ok(Step { reads: vec![0, 1, 2], ..step }.into())
    }
}

#[derive(Debug)]
struct WhereKernel {
    size: usize,
    walk: Walk<3>,
}

impl Kernel for WhereKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([c, a, b], [y], _) = memory.parts();
        let size = self.size;
        self.walk.elements(|n, [k, i, j]| {
            let from = if c[k] != 0 { &a[i * size..][..size] } else { &b[j * size..][..size] };
            y[n * size..][..size].copy_from_slice(from);
        });
    }
}
