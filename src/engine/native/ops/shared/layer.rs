//! A node with weights: which kind of arithmetic it takes, and its constants.

use std::borrow::Cow;

use super::super::{Refusal, Site, malformed, unsupported};
use super::dynamic::Dynamic;
use super::quant8::Quant8;
use super::scaling::{Bytes, Clamp, Ratios, WordScaling, Words};
use crate::data::{DType, Quantization};
use crate::engine::native::graph::{Activation, Quant, Value};

/// Input, weights, bias and output of a node.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Layer<'a> {
    site: &'a Site<'a>,
    pub(in super::super) x: &'a Value<'a>,
    pub(in super::super) weights: &'a Value<'a>,
    bias: Option<&'a Value<'a>>,
    pub(in super::super) y: &'a Value<'a>,
    /// Of the weights: where the outputs' channels are.
    axis: usize,
    activation: Activation,
    /// LiteRT runs it with TFLite's own kernels, not XNNPACK's.
    pub(in super::super) builtin: bool,
    /// Those round halves up, not away from zero.
    pub(in super::super) up: bool,
    /// How it quantizes real activations for integer weights.
    pub(in super::super) dynamic: Dynamic,
    /// It multiplies the input's scale by the weights' in `f32` even where the rest is in `f64`.
    pub(in super::super) short_product: bool,
    /// How 16-bit sums are scaled where the bias is of 64 bits.
    pub(in super::super) words: WordScaling,
}

/// The kind of numbers that a layer multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Arithmetic {
    /// 8-bit activations and weights.
    Bytes,
    /// 16-bit activations, 8-bit weights.
    Words,
    /// Real activations, 8-bit weights.
    Hybrid,
    Floats,
}

impl<'a> Layer<'a> {
    /// The node's inputs at `[input, weights, bias]`; outputs along `axis` of the weights.
    pub(in super::super) fn new(
        site: &'a Site<'a>,
        [x, weights, bias]: [usize; 3],
        axis: usize,
        activation: Activation,
    ) -> Result<Self, Refusal> {
        let (x, weights, y) = (site.input(x)?, site.input(weights)?, site.output()?);
        Ok(Self {
            site,
            x,
            weights,
            bias: site.optional(bias),
            y,
            axis,
            activation,
            builtin: false,
            up: false,
            dynamic: Dynamic::Delegate,
            short_product: false,
            words: WordScaling::Wide,
        })
    }

    /// What it computes in.
    pub(in super::super) fn arithmetic(&self) -> Result<Arithmetic, Refusal> {
        match (self.x.dtype, self.weights.dtype, self.y.dtype) {
            (DType::F32, DType::F32, DType::F32) => Ok(Arithmetic::Floats),
            (DType::F32, DType::I8, DType::F32) => Ok(Arithmetic::Hybrid),
            (DType::I16, DType::I8, DType::I16) => Ok(Arithmetic::Words),
            (DType::I8, DType::I8, DType::I8) | (DType::U8, DType::U8, DType::U8) => {
                Ok(Arithmetic::Bytes)
            }
            (x, w, y) => {
                Err(unsupported(format!("weights of {w} for an input of {x} and an output of {y}")))
            }
        }
    }

    /// Number of outputs' channels.
    pub(in super::super) fn channels(&self) -> usize {
        self.weights.shape.get(self.axis).copied().unwrap_or(1)
    }

    /// The weights as bytes, as they would lie in the arena: all, or of each filter the elements at
    /// `taken`, where the outputs' channels come first.
    pub(in super::super) fn bytes(&self, taken: Option<&[usize]>) -> Result<Vec<i8>, Refusal> {
        let flip = match self.weights.dtype {
            DType::I8 => 0,
            DType::U8 => 0x80,
            other => return Err(unsupported(format!("weights of {other}"))),
        };
        self.picked(taken, |[byte]| (byte ^ flip).cast_signed())
    }

    /// All weights as they would lie in the arena; those of the file where they already do.
    pub(in super::super) fn signed(&self) -> Result<Cow<'_, [i8]>, Refusal> {
        match (&self.weights.data, self.weights.dtype) {
            (Some(data), DType::I8) => Ok(Cow::Borrowed(bytemuck::cast_slice(data))),
            _ => self.bytes(None).map(Cow::Owned),
        }
    }

    /// All weights as real numbers; those of the file where they are aligned.
    pub(in super::super) fn reals(&self) -> Result<Cow<'_, [f32]>, Refusal> {
        let aligned =
            self.weights.data.as_ref().and_then(|data| bytemuck::try_cast_slice(data).ok());
        match aligned {
            Some(values) if cfg!(target_endian = "little") => Ok(Cow::Borrowed(values)),
            _ => self.floats(None).map(Cow::Owned),
        }
    }

    /// The same as real numbers.
    pub(in super::super) fn floats(&self, taken: Option<&[usize]>) -> Result<Vec<f32>, Refusal> {
        self.picked(taken, f32::from_le_bytes)
    }

    fn picked<const W: usize, T>(
        &self,
        taken: Option<&[usize]>,
        read: impl Fn([u8; W]) -> T,
    ) -> Result<Vec<T>, Refusal> {
        let data = self.weights.data.as_ref();
        let data = data.ok_or_else(|| unsupported("weights that are not constant"))?;
        let values = data.as_chunks().0;
        let n = self.channels();
        let Some(taken) = taken else {
            self.site.budget.take_for::<T>(values.len())?;
            return Ok(values.iter().map(|bytes| read(*bytes)).collect());
        };
        self.site.budget.take_for::<T>(taken.len().saturating_mul(n))?;
        let all = values.len() / n.max(1);
        let places = (0..n).flat_map(|filter| taken.iter().map(move |&i| filter * all + i));
        Ok(places.map(|i| read(values[i])).collect())
    }

    /// Takes room for `count` more numbers of `T`.
    pub(in super::super) fn take<T>(&self, count: usize) -> Result<(), Refusal> {
        Ok(self.site.budget.take_for::<T>(count)?)
    }

    fn bias_of<const W: usize, T: Clone>(
        &self,
        dtype: DType,
        zero: T,
        read: impl Fn([u8; W]) -> T,
    ) -> Result<Vec<T>, Refusal> {
        let n = self.channels();
        self.site.budget.take_for::<T>(n)?;
        let Some(value) = self.bias else { return Ok(vec![zero; n]) };
        let Some(data) = &value.data else {
            return Err(unsupported("a bias that is not constant"));
        };
        if value.dtype != dtype {
            let why = format!("a bias of {} for an input of {}", value.dtype, self.x.dtype);
            return Err(unsupported(why));
        }
        if value.elements() != n {
            return Err(malformed(format!("{} biases for {n} filters", value.elements())));
        }
        Ok(data.as_chunks().0.iter().map(|bytes| read(*bytes)).collect())
    }

    /// `[channels]` in steps of input times weight scale; zeros without one.
    pub(in super::super) fn bias_i32(&self) -> Result<Vec<i32>, Refusal> {
        self.bias_of(DType::I32, 0, i32::from_le_bytes)
    }

    /// The same for 16-bit activations, where it may be of 64 bits.
    pub(in super::super) fn bias_i64(&self) -> Result<Vec<i64>, Refusal> {
        if self.is_narrow() {
            return Ok(self.bias_i32()?.into_iter().map(i64::from).collect());
        }
        self.bias_of(DType::I64, 0, i64::from_le_bytes)
    }

    /// In real units.
    pub(in super::super) fn bias_f32(&self) -> Result<Vec<f32>, Refusal> {
        self.bias_of(DType::F32, 0.0, f32::from_le_bytes)
    }

    /// Whether 16-bit sums are of 32 bits, as the bias says.
    pub(in super::super) fn is_narrow(&self) -> bool {
        self.bias.is_some_and(|bias| bias.dtype == DType::I32)
    }

    /// The weights' scales, `[channels]`, and their zero point as it lies packed.
    pub(in super::super) fn weight_scales(&self) -> Result<(Vec<f32>, i32), Refusal> {
        let n = self.channels();
        self.site.budget.take_for::<f32>(n)?;
        let origin = if self.weights.dtype == DType::U8 { 128 } else { 0 };
        match &self.weights.quant {
            Quant::Tensor(Quantization { scale, zero_point }) => {
                Ok((vec![*scale; n], zero_point - origin))
            }
            Quant::Channels { axis, scales } if *axis == self.axis && scales.len() == n => {
                Ok((scales.clone(), 0))
            }
            Quant::Channels { axis, scales } => Err(malformed(format!(
                "{} weight scales along axis {axis} for {n} filters",
                scales.len()
            ))),
            Quant::None => Err(unsupported("weights without a scale")),
        }
    }

    /// The same of weights whose zero point has to be 0.
    pub(in super::super) fn symmetric_scales(&self) -> Result<Vec<f32>, Refusal> {
        match self.weight_scales()? {
            (scales, 0) => Ok(scales),
            _ => Err(unsupported("int8 weights with a zero point for real activations")),
        }
    }

    /// Whether each channel has its own scale.
    pub(in super::super) fn is_per_channel(&self) -> bool {
        matches!(self.weights.quant, Quant::Channels { .. })
    }

    fn ratios(&self, x: f32, y: f32) -> Result<(Ratios, i32), Refusal> {
        let (weights, zero_point) = self.weight_scales()?;
        self.site.budget.take_for::<(f64, f64)>(weights.len())?;
        Ok((Ratios { x, weights, y, short_product: self.short_product }, zero_point))
    }

    /// The input's quantization, the output's scaling, the weights' zero point.
    pub(in super::super) fn byte_scaling(&self) -> Result<(Quant8, Bytes, i32), Refusal> {
        let (x, y) = (Quant8::of(self.x)?, Quant8::of(self.y)?);
        let (ratios, zero_point) = self.ratios(x.scale, y.scale)?;
        let scaling = if self.builtin {
            Bytes::fixed(&ratios, self.up, y, self.activation)?
        } else {
            Bytes::real(&ratios, y, self.activation)?
        };
        Ok((x, scaling, zero_point))
    }

    /// The output's scaling for 16-bit activations.
    pub(in super::super) fn word_scaling(&self) -> Result<Words, Refusal> {
        let scale = |value: &Value<'_>| match value.quant {
            Quant::Tensor(Quantization { scale, zero_point: 0 }) => Ok(scale),
            _ => Err(unsupported("int16 without a scale, or with a zero point")),
        };
        let (ratios, zero_point) = self.ratios(scale(self.x)?, scale(self.y)?)?;
        if zero_point != 0 {
            return Err(unsupported("int8 weights with a zero point for int16 activations"));
        }
        let how = match self.words {
            WordScaling::Wide if self.is_narrow() && self.up => WordScaling::Up,
            WordScaling::Wide if self.is_narrow() => WordScaling::Narrow,
            how => how,
        };
        Words::new(&ratios, how, self.activation)
    }

    /// The output's clamp in real units.
    pub(in super::super) fn clamp(&self) -> Clamp {
        Clamp::new(self.activation)
    }
}
