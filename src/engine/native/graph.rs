//! The one graph that importers write and programs are compiled from: values with explicit types,
//! shapes and quantization, and operators in execution order. It knows no file format.

use std::borrow::Cow;

use super::ops::Operator;
use crate::data::{DType, Quantization};

/// Index into [`Graph::values`].
pub(super) type ValueId = usize;

/// Length of each dimension; a scalar has none.
pub(super) type Shape = Vec<usize>;

/// A whole model, or the body of a branch or loop. Constants may borrow from the file that it was
/// read from.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    /// `TFLite` or `ONNX`, for messages.
    pub(super) format: &'static str,
    pub(super) values: Vec<Value<'a>>,
    /// In execution order.
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    pub(super) states: Vec<State<'a>>,
}

/// An input or output of the model.
#[derive(Clone, Debug)]
pub(super) struct Port {
    /// The name in the model's own signature.
    pub(super) name: String,
    pub(super) value: ValueId,
}

/// A value that a session keeps from one run to the next: written by nodes that update it, filled
/// with `initial` when the session starts and when it is reset.
#[derive(Debug)]
pub(super) struct State<'a> {
    pub(super) value: ValueId,
    /// Little-endian elements; `None` is real zero.
    pub(super) initial: Option<Cow<'a, [u8]>>,
}

impl State<'_> {
    /// The bytes of `value`, this state's, as they lie in the arena when a session starts.
    pub(super) fn initial_bytes(&self, value: &Value<'_>) -> Vec<u8> {
        let flip = if value.dtype == DType::U8 { 0x80 } else { 0 };
        match &self.initial {
            Some(bytes) => bytes.iter().map(|byte| byte ^ flip).collect(),
            None => {
                let zero = match (value.dtype, &value.quant) {
                    (DType::I8 | DType::U8, Quant::Tensor(quant)) => quant.zero_point as u8 ^ flip,
                    _ => 0,
                };
                vec![zero; value.bytes()]
            }
        }
    }
}

/// One tensor.
#[derive(Debug)]
pub(super) struct Value<'a> {
    pub(super) dtype: DType,
    /// Of inputs, states and constants as the file says; all others follow from the operators
    /// ([`Operator::shapes`]), whatever the file says of them.
    pub(super) shape: Shape,
    pub(super) quant: Quant,
    /// Little-endian elements of a constant, exactly as many as the shape says.
    pub(super) data: Option<Cow<'a, [u8]>>,
    /// In the file its elements are of 4 bits: LiteRT has other kernels for those.
    pub(super) nibbles: bool,
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

/// One operator of the graph.
#[derive(Debug)]
pub(super) struct Node<'a> {
    /// Place in the file's own order.
    pub(super) index: usize,
    /// The format's own name of the operator.
    pub(super) name: &'static str,
    pub(super) op: Box<dyn Operator + 'a>,
    /// `None` is an optional input that was left out.
    pub(super) inputs: Vec<Option<ValueId>>,
    pub(super) outputs: Vec<ValueId>,
    /// What it runs within itself: branches, the parts of a loop.
    pub(super) bodies: Vec<Body<'a>>,
    /// How values are quantized that the operator computes on its way to the outputs.
    pub(super) intermediates: Vec<Quant>,
}

/// A graph that a node runs within itself.
///
/// Shapes of its inputs follow from the node's, which are given to them by position; inputs that
/// are constant there become constants here.
#[derive(Debug)]
pub(super) struct Body<'a> {
    pub(super) graph: Graph<'a>,
    /// For each input of the graph, where its value comes from.
    pub(super) inputs: Vec<Source>,
    /// For each state of the graph, which of the node's inputs is that state.
    pub(super) states: Vec<usize>,
}

/// Where an input of a body comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Which of the node's inputs.
    pub(super) input: usize,
    /// It stays the same however often the body runs.
    pub(super) fixed: bool,
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
    /// Real zeros, as many as this, `[height, width]`.
    Explicit { before: [usize; 2], after: [usize; 2] },
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

impl Activation {
    /// The lowest and highest real value that it lets through.
    pub(super) fn bounds(self) -> (f32, f32) {
        match self {
            Self::None => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::ReluN1To1 => (-1.0, 1.0),
            Self::Relu6 => (0.0, 6.0),
        }
    }
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
