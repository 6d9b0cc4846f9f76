//! The one graph that importers write and kernels are compiled from: values with explicit types,
//! shapes and quantization, and operators in execution order. It knows no file format.

use std::borrow::Cow;

use crate::data::{DType, Quantization};

/// Index into [`Graph::values`].
pub(super) type ValueId = usize;

/// A whole model. Constants may borrow from the file that it was read from.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    pub(super) values: Vec<Value<'a>>,
    /// In execution order.
    pub(super) nodes: Vec<Node>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
}

/// An input or output of the model.
#[derive(Clone, Debug)]
pub(super) struct Port {
    /// The name in the model's own signature.
    pub(super) name: String,
    pub(super) value: ValueId,
}

/// One tensor.
#[derive(Debug)]
pub(super) struct Value<'a> {
    pub(super) dtype: DType,
    /// No dimension is 0; a scalar has none.
    pub(super) shape: Vec<usize>,
    pub(super) quant: Quant,
    /// Little-endian elements of a constant, exactly as many as the shape says.
    pub(super) data: Option<Cow<'a, [u8]>>,
}

/// How a tensor's integers stand for real values. Scales are finite and above 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Quant {
    /// They do not.
    None,
    /// One scale for the whole tensor; the zero point is one that the type can hold.
    Tensor(Quantization),
    /// One scale for each index along `axis`; all zero points are 0.
    Channels { axis: usize, scales: Vec<f32> },
}

/// One operator.
#[derive(Debug)]
pub(super) struct Node {
    /// Place in the file's own order.
    pub(super) index: usize,
    /// The format's own name of the operator.
    pub(super) name: &'static str,
    pub(super) op: Op,
    /// `None` is an optional input that was left out.
    pub(super) inputs: Vec<Option<ValueId>>,
    pub(super) outputs: Vec<ValueId>,
}

/// What a node computes. Tensors are NHWC; weights as in TFLite.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// x `[n, h, w, ci]`, weights `[co, kh, kw, ci]`, bias `[co]`.
    Conv2d { window: Window, activation: Activation },
    /// x `[n, h, w, ci]`, weights `[1, kh, kw, ci * multiplier]`, bias `[ci * multiplier]`.
    DepthwiseConv2d { window: Window, activation: Activation },
    /// x `[…, ci]` taken as `[m, ci]`, weights `[co, ci]`, bias `[co]`.
    FullyConnected { activation: Activation },
    /// x `[n, h, w, c]`.
    AveragePool2d { kernel: [usize; 2], window: Window, activation: Activation },
    /// x `[n, h, w, c]`.
    MaxPool2d { kernel: [usize; 2], window: Window, activation: Activation },
    /// The mean over the axes in the constant second input.
    Mean,
    /// Element-wise with broadcasting.
    Add { activation: Activation },
    /// Over the last axis.
    Softmax { beta: f32 },
    /// Real or quantized to quantized.
    Quantize,
    /// Quantized to real.
    Dequantize,
    /// Same elements, another shape.
    Reshape,
    /// Amounts `[rank, 2]` in the constant second input, filled with real 0.
    Pad,
}

/// How a kernel window moves over height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) padding: Padding,
    /// `[height, width]`, each at least 1.
    pub(super) stride: [usize; 2],
    /// `[height, width]`, each at least 1.
    pub(super) dilation: [usize; 2],
}

/// What lies around a windowed input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// Real zeros, so that the output is `ceil(input / stride)` long; an odd one goes to the end.
    Same,
    /// Nothing.
    Valid,
}

/// A clamp fused onto an operator's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    None,
    Relu,
    /// Clamp to -1..=1.
    ReluN1To1,
    Relu6,
}

impl Value<'_> {
    /// Number of elements.
    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of its elements.
    pub(super) fn bytes(&self) -> usize {
        self.elements() * width(self.dtype).unwrap_or(0)
    }
}

/// Bytes of one element in the arena; `None` for types that have no place there.
pub(super) fn width(dtype: DType) -> Option<usize> {
    match dtype {
        DType::I8 | DType::U8 | DType::Bool => Some(1),
        DType::I16 => Some(2),
        DType::F32 | DType::I32 => Some(4),
        DType::F64 | DType::I64 => Some(8),
        DType::Str => None,
    }
}
