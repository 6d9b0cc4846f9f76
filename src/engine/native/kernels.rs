//! Operators, compiled: each checks all it needs once, packs its weights and then only computes.
//!
//! One file for each family of operators. A new one is such a file, a variant of [`Op`] and an arm of
//! [`compile`]. In the arena 8-bit tensors are `i8` always: a `uint8` tensor lies there with its top
//! bit flipped and its zero point 128 lower, so that one set of kernels serves both.

mod add;
mod conv2d;
mod depthwise;
mod filters;
mod fully_connected;
mod mean;
mod pad;
mod pool;
mod quantize;
mod requantize;
mod softmax;
mod walk;
mod window;

use std::fmt;

use super::graph::{Graph, Node, Op, Quant, Value};
use super::limits::Budget;
use super::memory::Memory;
use crate::data::{DType, Quantization};
use crate::engine::EngineError;

/// One compiled operator.
pub(super) trait Kernel: Send + Sync + fmt::Debug {
    /// Computes the outputs from the inputs. Nothing is allocated and nothing can fail.
    fn run(&self, memory: &mut Memory<'_>);
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
    pub(super) kernel: Box<dyn Kernel>,
    /// Which of the node's inputs it reads at run time; the others were consumed.
    pub(super) reads: Vec<usize>,
    /// Bytes of scratch.
    pub(super) scratch: usize,
    /// Bytes of packed constants.
    pub(super) weight_bytes: usize,
    /// Multiply-accumulates of one run.
    pub(super) macs: u64,
    /// Elementary steps of one run, at least.
    pub(super) work: u64,
}

impl Step {
    /// A step that reads the first input and has neither weights nor scratch.
    fn elementwise(kernel: impl Kernel + 'static, work: usize) -> Self {
        let kernel = Box::new(kernel);
        let work = work as u64;
        Self { kernel, reads: vec![0], scratch: 0, weight_bytes: 0, macs: 0, work }
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

fn malformed(why: impl Into<String>) -> Refusal {
    Refusal::Malformed(why.into())
}

fn unsupported(why: impl Into<String>) -> Refusal {
    Refusal::Unsupported(why.into())
}

/// Compiles the node at `site`.
pub(super) fn compile(site: &Site<'_>) -> Result<Compiled, Refusal> {
    let step = match &site.node.op {
        Op::Conv2d { window, activation } => conv2d::compile(site, *window, *activation),
        Op::DepthwiseConv2d { window, activation } => {
            depthwise::compile(site, *window, *activation)
        }
        Op::FullyConnected { activation } => fully_connected::compile(site, *activation),
        Op::AveragePool2d { kernel, window, activation } => {
            pool::compile_average(site, *kernel, *window, *activation)
        }
        Op::MaxPool2d { kernel, window, activation } => {
            pool::compile_max(site, *kernel, *window, *activation)
        }
        Op::Mean => mean::compile(site),
        Op::Add { activation } => add::compile(site, *activation),
        Op::Softmax { beta } => softmax::compile(site, *beta),
        Op::Quantize => quantize::compile_quantize(site),
        Op::Dequantize => quantize::compile_dequantize(site),
        Op::Pad => pad::compile(site),
        Op::Reshape => return reshape(site),
    };
    step.map(Compiled::Step)
}

fn reshape(site: &Site<'_>) -> Result<Compiled, Refusal> {
    let (x, y) = (site.input(0)?, site.output()?);
    if x.elements() != y.elements() || x.dtype != y.dtype {
        return Err(malformed(format!(
            "{} {:?} cannot become {} {:?}",
            x.dtype, x.shape, y.dtype, y.shape
        )));
    }
    Ok(Compiled::Alias)
}

/// A node in its graph.
#[derive(Debug)]
pub(super) struct Site<'a> {
    pub(super) graph: &'a Graph<'a>,
    pub(super) node: &'a Node,
    pub(super) budget: &'a Budget,
}

impl<'a> Site<'a> {
    /// Input `index`, where it was left out or never existed: `None`.
    fn optional(&self, index: usize) -> Option<&'a Value<'a>> {
        self.node.inputs.get(index).copied().flatten().map(|id| &self.graph.values[id])
    }

    /// Input `index`.
    fn input(&self, index: usize) -> Result<&'a Value<'a>, Refusal> {
        self.optional(index).ok_or_else(|| malformed(format!("input {index} is missing")))
    }

    /// The only output.
    fn output(&self) -> Result<&'a Value<'a>, Refusal> {
        match self.node.outputs[..] {
            [id] => Ok(&self.graph.values[id]),
            _ => Err(malformed(format!("{} outputs instead of one", self.node.outputs.len()))),
        }
    }

    /// The integers of constant input `index`, which is 32- or 64-bit: axes, amounts.
    fn integers(&self, index: usize) -> Result<Vec<i64>, Refusal> {
        let value = self.input(index)?;
        let Some(data) = &value.data else {
            return Err(unsupported(format!("input {index} is not constant")));
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
}

/// Quantization of an 8-bit activation, as its bytes lie in the arena.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quant8 {
    scale: f32,
    /// -128..=127.
    zero_point: i32,
    /// What was subtracted from the file's integers: 0, or 128 for `uint8`.
    origin: i32,
}

impl Quant8 {
    /// Of `value`, which has to be quantized per tensor.
    fn of(value: &Value<'_>) -> Result<Self, Refusal> {
        let origin = match value.dtype {
            DType::I8 => 0,
            DType::U8 => 128,
            other => return Err(unsupported(format!("{other} activations"))),
        };
        match value.quant {
            Quant::Tensor(Quantization { scale, zero_point }) => {
                Ok(Self { scale, zero_point: zero_point - origin, origin })
            }
            Quant::None => Err(unsupported(format!("{} without a scale", value.dtype))),
            Quant::Channels { .. } => Err(unsupported("an activation with one scale per channel")),
        }
    }

    /// Whether both give every byte the same meaning.
    fn same(&self, other: &Self) -> bool {
        self.zero_point == other.zero_point
            && self.origin == other.origin
            && (self.scale - other.scale).abs() <= 1e-6 * self.scale.abs()
    }
}

/// The bytes of an 8-bit constant as they would lie in the arena.
fn constant_i8(value: &Value<'_>, what: &str) -> Result<Vec<i8>, Refusal> {
    let Some(data) = &value.data else {
        return Err(unsupported(format!("{what} that are not constant")));
    };
    let flip = match value.dtype {
        DType::I8 => 0,
        DType::U8 => 0x80,
        other => return Err(unsupported(format!("{what} of {other}"))),
    };
    Ok(data.iter().map(|&byte| (byte ^ flip).cast_signed()).collect())
}

/// The four dimensions of an NHWC tensor.
fn nhwc(value: &Value<'_>, what: &str) -> Result<[usize; 4], Refusal> {
    value.shape[..].try_into().map_err(|_| {
        malformed(format!("{what} has shape {:?} instead of four dimensions", value.shape))
    })
}
