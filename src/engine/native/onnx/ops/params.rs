//! How integers stand for reals in ONNX, and how reals become integers in onnxruntime.

use super::{Refusal, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::kernels::nearest_within;

/// One scale and zero point for a whole tensor: `real = (raw - zero) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Params {
    pub(in super::super) scale: f32,
    /// As in the file.
    pub(in super::super) zero: i32,
    pub(in super::super) dtype: DType,
}

/// The lowest and highest integer of `dtype`.
#[inline(always)]
fn range(dtype: DType) -> (i32, i32) {
    match dtype {
        DType::U8 => (0, 255),
        DType::I8 => (-128, 127),
        DType::I16 => (-32768, 32767),
        _ => (i32::MIN, i32::MAX),
    }
}

/// What was subtracted from the file's integers for the arena.
#[inline(always)]
fn origin(dtype: DType) -> i32 {
    if dtype == DType::U8 { 128 } else { 0 }
}

impl Params {
    /// The zero point as it lies in the arena.
    #[inline(always)]
    pub(in super::super) fn arena_zero(&self) -> i32 {
        self.zero - origin(self.dtype)
    }

    /// The integer of the file for an 8-bit element of the arena.
    #[inline(always)]
    pub(in super::super) fn raw(&self, bits: i8) -> i32 {
        i32::from(bits) + origin(self.dtype)
    }

    /// The real value of an 8-bit element of the arena.
    pub(in super::super) fn real(&self, bits: i8) -> f32 {
        (self.raw(bits) - self.zero) as f32 * self.scale
    }

    /// From steps less the zero point to an element of the arena: half to even, saturating; NaN becomes
    /// the lowest. As onnxruntime's vectors: it clamps first. For integers of 8 and 16 bits.
    #[inline(always)]
    pub(in super::super) fn store(&self, steps: f32) -> i32 {
        let (low, high) = range(self.dtype);
        let (low, high) = (low.saturating_sub(self.zero), high.saturating_sub(self.zero));
        nearest_within(steps, low as f32, high as f32) + self.zero - origin(self.dtype)
    }

    /// Quantizes a real value to an element of the arena.
    #[inline(always)]
    pub(in super::super) fn quantize(&self, real: f32) -> i32 {
        self.store(real / self.scale)
    }

    /// The nearest integer of the file as an 8-bit element of the arena: half to even, saturating; NaN becomes
    /// the lowest.
    #[inline(always)]
    pub(in super::super) fn nearest(&self, raw: f32) -> i8 {
        let (low, high) = range(self.dtype);
        let raw = nearest_within(raw, low as f32, high as f32);
        // Changes nothing, but there are vectors for it.
        (raw - origin(self.dtype)).clamp(-128, 127) as i8
    }

    /// An integer of the file to an 8-bit element of the arena, saturating.
    #[inline(always)]
    pub(in super::super) fn saturate(&self, raw: i32) -> i8 {
        let (low, high) = range(self.dtype);
        (raw.clamp(low, high) - origin(self.dtype)) as i8
    }

    /// What each byte of the arena becomes when its real value goes through `f` and into `to`.
    pub(in super::super) fn table(&self, to: &Params, f: impl Fn(f32) -> f32) -> Box<[i8; 256]> {
        let of = |bits: usize| to.quantize(f(self.real((bits as u8).cast_signed()))) as i8;
        Box::new(std::array::from_fn(of))
    }

    /// Whether it is quantized to 8 bits.
    pub(in super::super) fn is_eight(&self) -> bool {
        matches!(self.dtype, DType::I8 | DType::U8)
    }
}

/// Scales and zero points of a tensor: one, or one for each index along an axis.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Scheme {
    pub(in super::super) scales: Vec<f32>,
    /// As in the file; as many as scales.
    pub(in super::super) zeros: Vec<i32>,
    pub(in super::super) axis: usize,
    pub(in super::super) dtype: DType,
}

impl Scheme {
    /// Checks what the file says.
    pub(in super::super) fn new(
        scales: Vec<f32>,
        zeros: Vec<i32>,
        axis: usize,
        dtype: DType,
    ) -> Result<Self, Refusal> {
        if !matches!(dtype, DType::I8 | DType::U8 | DType::I16 | DType::I32) {
            return Err(unsupported(format!("quantization to {dtype}")));
        }
        if let Some(scale) = scales.iter().find(|scale| !scale.is_finite() || **scale <= 0.0) {
            return Err(malformed(format!("a scale of {scale}")));
        }
        if scales.is_empty() || zeros.len() != scales.len() {
            let (scales, zeros) = (scales.len(), zeros.len());
            return Err(malformed(format!("{scales} scales, {zeros} zero points")));
        }
        let (low, high) = range(dtype);
        if let Some(zero) = zeros.iter().find(|zero| !(low..=high).contains(*zero)) {
            return Err(malformed(format!("a zero point of {zero} for {dtype}")));
        }
        Ok(Self { scales, zeros, axis, dtype })
    }

    /// The one scale and zero point for all, if that is so.
    pub(in super::super) fn whole(&self) -> Option<Params> {
        match (&self.scales[..], &self.zeros[..]) {
            (&[scale], &[zero]) => Some(Params { scale, zero, dtype: self.dtype }),
            _ => None,
        }
    }

    /// Zero points as they lie in the arena.
    pub(in super::super) fn arena_zeros(&self) -> Vec<i32> {
        self.zeros.iter().map(|zero| zero - origin(self.dtype)).collect()
    }
}

impl From<Params> for Scheme {
    fn from(params: Params) -> Self {
        let Params { scale, zero, dtype } = params;
        Self { scales: vec![scale], zeros: vec![zero], axis: 0, dtype }
    }
}

/// A zero point, as it lies in the arena.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Zero {
    /// One, or one for each filter or column.
    Fixed(Vec<i32>),
    /// One, computed at run time: this input of the node.
    Input(usize),
}

/// What products are made of and what becomes of their sums.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Arithmetic {
    /// `f32` throughout.
    Real,
    /// 8-bit inputs, sums of 32 bits.
    Sums { x_zero: Zero, w_zero: Zero },
    /// 8-bit inputs and outputs. A scale for each filter or column, or one for all.
    Quantized { x_zero: i32, w_zero: Vec<i32>, scales: Vec<f32>, y: Params },
}

impl Arithmetic {
    /// Whether packed kernels scale `n` filters with these zero points and scales.
    pub(super) fn is_packable(w_zero: &[i32], scales: &[f32], n: usize) -> bool {
        w_zero.iter().all(|zero| *zero == w_zero[0])
            && (scales.len() == 1 || scales.len() == n)
            && scales.iter().all(|scale| scale.is_finite())
    }
}

/// Constant bytes as floats.
pub(super) fn floats(data: &[u8]) -> Vec<f32> {
    data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Constant bytes of `dtype` as they lie in the arena.
pub(super) fn signed(data: &[u8], dtype: DType) -> Vec<i8> {
    let flip = if dtype == DType::U8 { 0x80 } else { 0 };
    data.iter().map(|byte| (byte ^ flip).cast_signed()).collect()
}

/// `n` of them: one for all is repeated.
pub(super) fn each(scales: &[f32], n: usize) -> Vec<f32> {
    (0..n).map(|i| scales[if scales.len() == 1 { 0 } else { i }]).collect()
}

/// A matrix of so many `columns`, with rows and columns exchanged.
pub(super) fn turned<T: Copy>(matrix: &[T], columns: usize) -> Vec<T> {
    let column = |at| matrix.iter().skip(at).step_by(columns).copied();
    (0..columns).flat_map(column).collect()
}
