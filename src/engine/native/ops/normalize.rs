//! Normalizations over the last axis.

use super::shared::inverse_root::InverseRoot;
use super::shared::quant8::Quant8;
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step};
use super::{malformed, nhwc, unsupported};
use crate::data::DType;
use crate::engine::native::graph::{Shape, Value};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "L2_NORMALIZATION",
        options: 12,
        // L2NormOptions: activation, which LiteRT reads and leaves out.
        lower: |_| Ok(Box::new(L2Normalization)),
        kinds: &[Kind::Float32, Kind::Int8, Kind::Uint8],
        attributes: &[("activation", &["NONE", "RELU"])],
    },
    Entry {
        name: "LOCAL_RESPONSE_NORMALIZATION",
        options: 13,
        // LocalResponseNormalizationOptions: radius, bias, alpha, beta.
        lower: |options| {
            let radius = options.int(0, 0)?;
            let radius =
                usize::try_from(radius).map_err(|_| malformed(format!("radius {radius}")))?;
            let [bias, alpha, beta] =
                [options.float(1, 0.0)?, options.float(2, 0.0)?, options.float(3, 0.0)?];
            Ok(Box::new(LocalResponse { radius, bias, alpha, beta }))
        },
        kinds: &[Kind::Float32],
        attributes: &[],
    },
];

/// Each row of the last axis divided by its length as a vector.
#[derive(Debug)]
pub(super) struct L2Normalization;

/// `x / (bias + alpha * sum of squares) ^ beta`, the sum over channels at most `radius` away.
#[derive(Clone, Debug)]
pub(super) struct LocalResponse {
    pub(super) radius: usize,
    pub(super) bias: f32,
    pub(super) alpha: f32,
    pub(super) beta: f32,
}

/// Rows of floats; shorter vectors than this count as so long.
const LENGTH_MIN: f32 = 1e-6;

#[derive(Debug)]
struct RealL2 {
    row: usize,
}

/// Outputs are 128ths, as the operator's definition says.
#[derive(Debug)]
struct L28 {
    row: usize,
    zero_point: i32,
    /// Bits by which differences are shifted before the factor is applied; the others of 7 come
    /// after it. The reference does so by type, and rounds differently.
    before: u32,
}

#[derive(Debug)]
struct LocalResponseKernel {
    op: LocalResponse,
    row: usize,
}

fn row_of(x: &Value<'_>) -> Result<usize, Refusal> {
    let row = x.shape.last().copied().filter(|_| x.elements() > 0);
    row.ok_or_else(|| malformed(format!("an input of shape {:?}", x.shape)))
}

impl Operator for L2Normalization {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let (row, work) = (row_of(x)?, 2 * x.elements());
        match (x.dtype, y.dtype) {
            (DType::F32, DType::F32) => Ok(Step::new(RealL2 { row }, work).into()),
            (DType::I8, DType::I8) | (DType::U8, DType::U8) => {
                let (quant, out) = (Quant8::of(x)?, Quant8::of(y)?);
                if out.scale != 1.0 / 128.0 || out.zero_point != 0 {
                    let why = format!("an output scale of {} instead of 1/128", out.scale);
                    return Err(malformed(why));
                }
                // Squares are of 16 bits and their sum of 32.
                if row >= 1 << 15 {
                    return Err(unsupported(format!("rows of {row}")));
                }
                let before = if quant.origin == 0 { 0 } else { 7 };
                let kernel = L28 { row, zero_point: quant.zero_point, before };
                Ok(Step::new(kernel, work).into())
            }
            (from, to) => Err(unsupported(format!("{from} to {to}"))),
        }
    }
}

impl Operator for LocalResponse {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        nhwc(x, "the input")?;
        let row = row_of(x)?;
        if (x.dtype, y.dtype) != (DType::F32, DType::F32) {
            return Err(unsupported(format!("{} to {}", x.dtype, y.dtype)));
        }
        let work = 4 * x.elements();
        Ok(Step::new(LocalResponseKernel { op: self.clone(), row }, work).into())
    }
}

impl Kernel for RealL2 {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<f32, f32>();
        for (x, y) in x.chunks_exact(self.row).zip(y.chunks_exact_mut(self.row)) {
            let squares = x.iter().fold(0.0f32, |sum, &x| sum + x * x);
            let length = squares.sqrt().max(LENGTH_MIN);
            for (y, &x) in y.iter_mut().zip(x) {
                *y = x / length;
            }
        }
    }
}

impl Kernel for L28 {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, i8>();
        for (x, y) in x.chunks_exact(self.row).zip(y.chunks_exact_mut(self.row)) {
            let real = |x: i8| i32::from(x) - self.zero_point;
            let squares = x.iter().fold(0i32, |sum, &x| sum + real(x) * real(x));
            let factor = InverseRoot::of(squares);
            for (y, &x) in y.iter_mut().zip(x) {
                *y = factor.times(real(x) << self.before, 7 - self.before).clamp(-128, 127) as i8;
            }
        }
    }
}

impl Kernel for LocalResponseKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<f32, f32>();
        let LocalResponse { radius, bias, alpha, beta } = self.op;
        for (x, y) in x.chunks_exact(self.row).zip(y.chunks_exact_mut(self.row)) {
            let square = |x: f32| x * x * alpha;
            // A running sum as the reference's: what it loses by taking away large squares shows.
            let mut sum = x.iter().take(radius).fold(0.0f32, |sum, &x| sum + square(x));
            for (i, y) in y.iter_mut().enumerate() {
                sum += x.get(i.saturating_add(radius)).map_or(0.0, |&x| square(x));
                let base = f64::from(bias + sum);
                *y = x[i] * libm::pow(base, -f64::from(beta)) as f32;
                sum -= i.checked_sub(radius).map_or(0.0, |last| square(x[last]));
            }
        }
    }
}
