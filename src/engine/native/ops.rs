//! Operators: each knows its options, the shapes it gives, what it can run, and its kernel.
//!
//! One file for each family; [`FAMILIES`] lists them and nothing else does, so a new operator is a
//! file and a line there. In the arena 8-bit tensors are `i8` always: a `uint8` tensor lies there
//! with its top bit flipped and its zero point 128 lower, so that one set of kernels serves both.

mod add_n;
mod arithmetic;
mod batch_matmul;
mod binary;
mod bits;
mod blocks;
mod broadcast_args;
mod cast;
mod compare;
mod control;
mod conv2d;
mod cumsum;
mod densify;
mod depthwise;
mod detection;
mod diagonal;
mod extremes;
mod fully_connected;
mod gather;
mod gather_nd;
mod join;
mod known;
mod lstm;
mod normalize;
mod one_hot;
pub(super) mod packed;
mod pad;
mod pool;
mod quantize;
mod reduce;
mod relu;
mod repeat;
mod reshape;
mod resize;
mod reverse;
mod rnn;
mod segment;
mod select;
pub(super) mod shared;
mod slice;
mod softmax;
mod split;
mod strided_slice;
mod suppression;
mod svdf;
#[cfg(test)]
mod tests;
mod top_k;
mod transpose;
mod transpose_conv;
mod unary;
mod variable;

use std::fmt;

use super::graph::{Activation, Graph, Node, Padding, Quant, Shape, Value, Window};
use super::kernels::Isa;
use super::limits::Budget;
use super::memory::{Memory, SharedMemory};
use super::pool::Team;
use super::target::Target;
use super::tflite::Options;
use crate::data::DType;
use crate::engine::{EngineError, Threads};

/// All operators of TFLite that have a kernel here.
const FAMILIES: &[&[Entry]] = &[
    add_n::ENTRIES,
    arithmetic::ENTRIES,
    batch_matmul::ENTRIES,
    binary::ENTRIES,
    bits::ENTRIES,
    blocks::ENTRIES,
    broadcast_args::ENTRIES,
    cast::ENTRIES,
    compare::ENTRIES,
    control::ENTRIES,
    conv2d::ENTRIES,
    cumsum::ENTRIES,
    densify::ENTRIES,
    depthwise::ENTRIES,
    detection::ENTRIES,
    diagonal::ENTRIES,
    extremes::ENTRIES,
    fully_connected::ENTRIES,
    gather::ENTRIES,
    gather_nd::ENTRIES,
    join::ENTRIES,
    known::ENTRIES,
    lstm::BOTH,
    lstm::ENTRIES,
    normalize::ENTRIES,
    one_hot::ENTRIES,
    pad::ENTRIES,
    pool::ENTRIES,
    quantize::ENTRIES,
    reduce::ENTRIES,
    relu::ENTRIES,
    repeat::ENTRIES,
    reshape::ENTRIES,
    resize::ENTRIES,
    reverse::ENTRIES,
    rnn::ENTRIES,
    segment::ENTRIES,
    select::ENTRIES,
    slice::ENTRIES,
    softmax::ENTRIES,
    split::ENTRIES,
    strided_slice::ENTRIES,
    suppression::ENTRIES,
    svdf::ENTRIES,
    top_k::ENTRIES,
    transpose::ENTRIES,
    transpose_conv::ENTRIES,
    unary::ENTRIES,
    variable::ENTRIES,
];

/// One operator of TFLite: how it is read, and what of it is supported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The name in TFLite's schema, or of a custom operator.
    pub(super) name: &'static str,
    /// Number of its options table in the schema's `BuiltinOptions`; 0 where it has none.
    pub(super) options: u8,
    /// Reads the options.
    pub(super) lower: fn(&Options<'_>) -> Result<Box<dyn Operator>, Refusal>,
    /// What it takes; each has a case in the conformance suite.
    pub(super) kinds: &'static [Kind],
    /// Attributes and their values; each has a case in the conformance suite.
    pub(super) attributes: &'static [(&'static str, &'static [&'static str])],
}

/// The types that an operator computes in, as the op table and the conformance suite name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float32,
    Float64,
    /// One scale for each tensor.
    Int8,
    /// Weights with one scale for each channel.
    Int8Channel,
    Uint8,
    /// `int16` activations with `int8` weights, if it has weights.
    Int16,
    /// `float32` activations with `int8` weights.
    Hybrid,
    HybridChannel,
    /// `float16` weights, made `float32` at load.
    Float16,
    /// `int4` weights.
    Int4,
    Int32,
    Int64,
    Bool,
}

impl Kind {
    /// What is moved about whatever it means.
    pub(super) const ANY: &'static [Self] = &[
        Self::Float32,
        Self::Int8,
        Self::Uint8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Bool,
    ];
    /// The same without `bool`.
    pub(super) const NUMBERS: &'static [Self] = Self::ANY.split_at(6).0;

    /// The word in the op table and in the conformance suite.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Int8 => "int8",
            Self::Int8Channel => "int8-channel",
            Self::Uint8 => "uint8",
            Self::Int16 => "int16",
            Self::Hybrid => "hybrid",
            Self::HybridChannel => "hybrid-channel",
            Self::Float16 => "float16",
            Self::Int4 => "int4",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Bool => "bool",
        }
    }
}

/// The entry of the TFLite operator `name`.
pub(super) fn entry(name: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.name == name)
}

/// All entries.
pub(super) fn entries() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().copied().flatten()
}

/// An operator with its options.
pub(super) trait Operator: Send + Sync + fmt::Debug {
    /// The shape of each output. The site's inputs have theirs; its outputs not yet.
    ///
    /// Sizes that overflow are an error here; sizes beyond the limits are told by the caller.
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal>;

    /// Checks everything that can be wrong and packs the constants. The site's outputs have the
    /// shapes that [`Operator::shapes`] gave.
    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal>;

    /// Whether the outputs follow from the inputs' shapes alone: then they are known at load, though
    /// the inputs are not.
    fn only_shapes(&self) -> bool {
        false
    }

    /// What the operator is to its neighbours, which may do its work as well.
    fn role(&self, _site: &Site<'_>) -> Role {
        Role::Other
    }

    /// The operator with `border` around its first input, if it can do that itself.
    fn with_border(&self, _border: Border) -> Option<Box<dyn Operator>> {
        None
    }

    /// The operator with `clamp` on its output, if it can do that itself.
    fn with_clamp(&self, _clamp: Activation) -> Option<Box<dyn Operator>> {
        None
    }

    /// Whether a node with nothing but constant inputs may be run once, at load.
    fn foldable(&self) -> bool {
        true
    }

    /// The graphs of the file that it runs within itself.
    fn calls(&self) -> Option<Calls<'_>> {
        None
    }
}

/// Which graphs an operator runs within itself, and with what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calls<'a> {
    /// By number in the file.
    pub(super) graphs: &'a [i32],
    /// Which of its inputs is the first of theirs.
    pub(super) first: usize,
    /// It is a loop: the first graph decides, the last one turns inputs into the next round's.
    pub(super) repeated: bool,
}

/// What an operator is to its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing that another could do.
    Other,
    /// It puts real zeros around its first input.
    Border(Border),
    /// It clamps its first input.
    Clamp(Activation),
    /// It quantizes its first input.
    Quantize,
    /// It makes its first input real.
    Dequantize,
}

/// Real zeros around an NHWC tensor, `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Border {
    pub(super) before: [usize; 2],
    pub(super) after: [usize; 2],
}

impl Border {
    /// `window` with this border as its own, if it has none.
    fn within(self, window: Window) -> Option<Window> {
        let Self { before, after } = self;
        let padding = Padding::Explicit { before, after };
        (window.padding == Padding::Valid).then_some(Window { padding, ..window })
    }
}

/// One compiled operator.
pub(super) trait Kernel: Send + Sync + fmt::Debug {
    /// Computes the outputs from the inputs. Nothing is allocated and nothing can fail.
    fn run(&self, memory: &mut Memory<'_>);
}

/// One compiled operator that several threads may do together.
pub(super) trait SharedKernel: Send + Sync + fmt::Debug {
    /// The same on each thread of `team`: it looks into tensors in its parts of turns only. Nothing is allocated
    /// and nothing can fail.
    ///
    /// What it does between turns must not depend on the thread, so that all come to the same turns.
    fn run(&self, memory: SharedMemory<'_>, team: &Team<'_>);
}

/// Whose work a step is.
#[derive(Debug)]
pub(super) enum Work {
    /// The thread's whose run it is.
    Alone(Box<dyn Kernel>),
    /// All threads', or only that one's.
    Together(Box<dyn SharedKernel>),
}

impl Work {
    /// Does it on the calling thread.
    pub(super) fn run(&self, memory: &mut Memory<'_>) {
        match self {
            Self::Alone(kernel) => kernel.run(memory),
            Self::Together(kernel) => kernel.run(memory.shared(), &Team::alone()),
        }
    }
}

/// What a node became.
#[derive(Debug)]
pub(super) enum Compiled {
    /// A kernel to run.
    Step(Step),
    /// The output is the first input under another shape.
    Alias,
}

/// A kernel and what it needs.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) kernel: Work,
    /// Which of the node's inputs it reads at run time; the others were consumed.
    pub(super) reads: Vec<usize>,
    /// Which of the node's inputs are states that it writes: they follow the outputs in memory. One
    /// that is read through there needs no place in `reads`.
    pub(super) updates: Vec<usize>,
    /// The output may lie over the first of `reads`: the kernel goes through [`Memory::map`].
    pub(super) in_place: bool,
    /// Bytes of scratch.
    pub(super) scratch: usize,
    /// Threads that it is cut for. Where there are several, its kernel may get more scratch than it asked for.
    pub(super) threads: usize,
    /// Bytes of packed constants.
    pub(super) weight_bytes: usize,
    /// Multiply-accumulates of one run.
    pub(super) macs: u64,
    /// Elementary steps of one run, at least.
    pub(super) work: u64,
}

impl Step {
    /// Whether several threads do it.
    pub(super) fn is_shared(&self) -> bool {
        self.threads > 1
    }

    /// A step that reads the first input and has neither weights nor scratch; `work` elementary
    /// steps.
    pub(super) fn new(kernel: impl Kernel + 'static, work: usize) -> Self {
        Self::of(Work::Alone(Box::new(kernel)), work)
    }

    /// The same of a kernel that several threads may do together.
    pub(super) fn shared(kernel: impl SharedKernel + 'static, work: usize) -> Self {
        Self::of(Work::Together(Box::new(kernel)), work)
    }

    fn of(kernel: Work, work: usize) -> Self {
        Self {
            kernel,
            reads: vec![0],
            updates: Vec::new(),
            in_place: false,
            scratch: 0,
            threads: 1,
            weight_bytes: 0,
            macs: 0,
            work: work as u64,
        }
    }
}

impl From<Step> for Compiled {
    fn from(step: Step) -> Self {
        Self::Step(step)
    }
}

/// Why a node cannot be compiled.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Legal, but not built.
    Unsupported(String),
    /// Against the operator's own rules.
    Malformed(String),
    /// A limit.
    Limit(EngineError),
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::Limit(error)
    }
}

/// The file breaks the operator's rules.
pub(super) fn malformed(why: impl Into<String>) -> Refusal {
    Refusal::Malformed(why.into())
}

/// The operator is used in a way that is not built.
pub(super) fn unsupported(why: impl Into<String>) -> Refusal {
    Refusal::Unsupported(why.into())
}

/// A node in its graph.
#[derive(Debug)]
pub(super) struct Site<'a> {
    pub(super) graph: &'a Graph<'a>,
    pub(super) node: &'a Node<'a>,
    pub(super) budget: &'a Budget,
    pub(super) isa: Isa,
    pub(super) threads: &'a Threads,
}

impl<'a> Site<'a> {
    /// What it is compiled for.
    pub(super) fn target(&self) -> Target<'a> {
        Target { budget: self.budget, isa: self.isa, threads: self.threads, given: false }
    }

    /// Input `index`, where it was left out or never existed: `None`.
    pub(super) fn optional(&self, index: usize) -> Option<&'a Value<'a>> {
        self.node.inputs.get(index).copied().flatten().map(|id| &self.graph.values[id])
    }

    /// Input `index`.
    pub(super) fn input(&self, index: usize) -> Result<&'a Value<'a>, Refusal> {
        self.optional(index).ok_or_else(|| malformed(format!("input {index} is missing")))
    }

    /// Output `index`.
    pub(super) fn output_at(&self, index: usize) -> Result<&'a Value<'a>, Refusal> {
        let id = self.node.outputs.get(index);
        let id = id.ok_or_else(|| malformed(format!("output {index} is missing")))?;
        Ok(&self.graph.values[*id])
    }

    /// The only output.
    pub(super) fn output(&self) -> Result<&'a Value<'a>, Refusal> {
        match self.node.outputs[..] {
            [id] => Ok(&self.graph.values[id]),
            _ => Err(malformed(format!("{} outputs instead of one", self.node.outputs.len()))),
        }
    }

    /// Whether input `index` is a state of the session.
    pub(super) fn is_state(&self, index: usize) -> bool {
        let id = self.node.inputs.get(index).copied().flatten();
        id.is_some_and(|id| self.graph.states.iter().any(|state| state.value == id))
    }

    /// The integers of constant input `index`, which is 32- or 64-bit: axes, amounts.
    pub(super) fn integers(&self, index: usize) -> Result<Vec<i64>, Refusal> {
        let value = self.input(index)?;
        let Some(data) = &value.data else {
            return Err(unsupported(format!(
                "input {index} is computed at run time, and the shape of the output depends on it"
            )));
        };
        self.budget.take_for::<i64>(value.elements())?;
        match value.dtype {
            DType::I32 => {
                Ok(data.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect())
            }
            DType::I64 => Ok(data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
            other => Err(unsupported(format!("input {index} is {other}"))),
        }
    }

    /// The single integer of constant input `index`.
    pub(super) fn integer(&self, index: usize) -> Result<i64, Refusal> {
        match self.integers(index)?[..] {
            [one] => Ok(one),
            ref other => Err(malformed(format!("input {index} holds {} numbers", other.len()))),
        }
    }
}

/// The place of `axis` in a tensor of `rank` dimensions; negative ones count from the end.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let place = if axis < 0 { axis + rank as i64 } else { axis };
    let place = usize::try_from(place).ok().filter(|&place| place < rank);
    place.ok_or_else(|| malformed(format!("axis {axis} of a tensor with {rank} dimensions")))
}

/// The four dimensions of an NHWC tensor.
pub(super) fn nhwc(value: &Value<'_>, what: &str) -> Result<[usize; 4], Refusal> {
    value.shape[..].try_into().map_err(|_| {
        malformed(format!("{what} has shape {:?} instead of four dimensions", value.shape))
    })
}

/// TFLite's number of a padding.
pub(super) fn padding(number: i8) -> Result<Padding, Refusal> {
    match number {
        0 => Ok(Padding::Same),
        1 => Ok(Padding::Valid),
        other => Err(malformed(format!("padding number {other}"))),
    }
}

/// TFLite's number of a fused activation.
pub(super) fn activation(number: i8) -> Result<Activation, Refusal> {
    match number {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        4 => Err(unsupported("the fused activation TANH")),
        5 => Err(unsupported("the fused activation SIGN_BIT")),
        other => Err(malformed(format!("fused activation number {other}"))),
    }
}

/// Values of the attribute `activation`, for entries.
pub(super) const ACTIVATIONS: &[&str] = &["NONE", "RELU", "RELU_N1_TO_1", "RELU6"];
/// Values of the attribute `padding`, for entries.
pub(super) const PADDINGS: &[&str] = &["SAME", "VALID"];

/// Whether a value has no scale.
pub(super) fn is_plain(value: &Value<'_>) -> bool {
    value.quant == Quant::None
}
