//! Our own executor: one small graph, planned into one arena, with kernels for quantized models.
//!
//! Its outputs are byte for byte those of LiteRT with XNNPACK on x86-64, on every machine.
//! `docs/engine.md` says how it works, which operators it has and how to add one.

mod flatbuffer;
mod flexbuffer;
mod graph;
mod kernels;
mod limits;
mod memory;
mod onnx;
mod ops;
mod peak;
mod plan;
mod pool;
mod program;
mod protobuf;
mod session;
mod target;
#[cfg(test)]
mod tests;
mod tflite;

use std::path::Path;
use std::sync::Arc;

use self::graph::{Graph, Port, Quant};
use self::kernels::Isa;
use self::limits::Budget;
pub use self::peak::Peak;
use self::pool::Pool;
use self::program::Program;
use self::session::NativeSession;
use self::target::Target;
use super::{Description, EngineError, EngineKind, Model, Report, Session, Threads};
use crate::data::{Signature, TensorSpec};

/// Loads the TFLite model in `bytes`, which may be anything.
///
/// # Errors
/// [`EngineError::Malformed`] when the file is damaged, [`EngineError::Unsupported`] with the node and
/// its operator when another engine is needed, [`EngineError::TooLarge`] beyond the limits: 256 MiB of
/// working memory, 512 MiB of weights, 10 000 operators, 2^36 elementary steps for one run.
pub fn load(bytes: &[u8]) -> Result<Box<dyn Model>, EngineError> {
    load_as(bytes, &[], &Threads::default())
}

/// The same for inputs of these `shapes`, in the model's order: another batch or length, where the model
/// leaves such a dimension open; a shape that it does not allow is passed over. Everything between
/// follows from them. A run may use `threads`.
///
/// # Errors
/// As [`load`]; [`EngineError::Malformed`] names the node that cannot take such a shape.
pub fn load_as(
    bytes: &[u8],
    shapes: &[Vec<usize>],
    threads: &Threads,
) -> Result<Box<dyn Model>, EngineError> {
    let budget = Budget::default();
    let mut graph = tflite::import(bytes, &budget)?;
    let open =
        if shapes.is_empty() { Vec::new() } else { tflite::open_dimensions(bytes, &budget)? };
    for ((port, shape), open) in graph.inputs.iter().zip(shapes).zip(open) {
        let own = &mut graph.values[port.value].shape;
        let fits = |((own, wanted), open): ((&usize, &usize), &bool)| *open || own == wanted;
        if own.len() == shape.len() && own.iter().zip(shape).zip(&open).all(fits) {
            own.clone_from(shape);
        }
    }
    Ok(Box::new(NativeModel::new(graph, &budget, threads)?))
}

/// Loads the ONNX model in `bytes`, which may be anything. `folder` is where it lies: values of its
/// initializers may be in files beside it, and are read from there and nowhere else. A run may use
/// `threads`.
///
/// # Errors
/// As [`load`].
pub fn load_onnx(
    bytes: &[u8],
    folder: Option<&Path>,
    threads: &Threads,
) -> Result<Box<dyn Model>, EngineError> {
    let budget = Budget::default();
    let graph = onnx::import(bytes, folder, &budget)?;
    Ok(Box::new(NativeModel::new(graph, &budget, threads)?))
}

/// What the TFLite file in `bytes` holds, and which of its operators have a kernel here.
///
/// # Errors
/// [`EngineError::Malformed`] when the file is damaged.
pub fn describe(bytes: &[u8]) -> Result<Description, EngineError> {
    tflite::describe(bytes)
}

/// What the ONNX file in `bytes` holds, and which of its operators have a kernel here.
///
/// # Errors
/// [`EngineError::Malformed`] when the file is damaged.
pub fn describe_onnx(bytes: &[u8]) -> Result<Description, EngineError> {
    onnx::describe(bytes)
}

/// Every operator of ONNX, and of onnxruntime's own domain, that has a kernel here, by name.
pub fn onnx_operators() -> impl Iterator<Item = &'static str> {
    onnx::names()
}

/// Whether the ONNX file in `bytes` has operators on quantized numbers.
///
/// # Errors
/// [`EngineError::Malformed`] when the file is damaged.
pub fn is_quantized_onnx(bytes: &[u8]) -> Result<bool, EngineError> {
    onnx::is_quantized(bytes)
}

/// What the op table says of one operator of TFLite.
#[derive(Clone, Copy, Debug)]
pub struct OperatorInfo {
    /// TFLite's name, or a custom operator's.
    pub name: &'static str,
    entry: &'static ops::Entry,
}

impl OperatorInfo {
    /// The types it computes in: `float32`, `int8` (one scale for each tensor), `int8-channel`,
    /// `uint8`, `int16`, `hybrid` (float activations, `int8` weights), …
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.entry.kinds.iter().map(|kind| kind.as_str())
    }

    /// Number of the operator in TFLite's schema; `None` for a custom one.
    pub fn number(&self) -> Option<i32> {
        tflite::operator_number(self.name)
    }

    /// Number of its options table in TFLite's schema; 0 where it has none.
    pub fn options_table(&self) -> u8 {
        self.entry.options
    }

    /// Its attributes, each with the values that are supported.
    pub fn attributes(&self) -> &'static [(&'static str, &'static [&'static str])] {
        self.entry.attributes
    }
}

/// Every operator of TFLite that has a kernel here, by name.
pub fn operators() -> Vec<OperatorInfo> {
    let mut all: Vec<_> =
        ops::entries().map(|entry| OperatorInfo { name: entry.name, entry }).collect();
    all.sort_unstable_by_key(|operator| operator.name);
    all
}

/// A compiled model.
#[derive(Debug)]
struct NativeModel {
    /// Of the file that it was read from.
    format: &'static str,
    signature: Arc<Signature>,
    program: Arc<Program>,
    threads: Threads,
}

impl NativeModel {
    fn new(mut graph: Graph<'_>, budget: &Budget, threads: &Threads) -> Result<Self, EngineError> {
        let isa = Isa::from_environment().map_err(|error| EngineError::Unavailable {
            engine: EngineKind::Native,
            why: error.to_string(),
        })?;
        let program =
            Arc::new(program::compile(&mut graph, Target { budget, isa, threads, given: true })?);
        let signature = Arc::new(signature(&graph));
        Ok(Self { format: graph.format, signature, program, threads: threads.clone() })
    }

    /// A session with helpers of `pool`.
    fn session_in(&self, pool: Arc<Pool>) -> Result<NativeSession, EngineError> {
        let (signature, program) = (self.signature.clone(), self.program.clone());
        NativeSession::new(signature, program, self.threads.clone(), pool)
    }
}

impl Model for NativeModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(self.session_in(Pool::shared())?))
    }

    fn report(&self) -> Report {
        Report {
            engine: EngineKind::Native,
            reason: format!("it has a kernel for every operator of this {} model", self.format),
            ops: self.program.ops.clone(),
            weight_bytes: self.program.weight_bytes,
            arena_bytes: Some(self.program.arena_bytes),
            live_bytes: Some(self.program.live_bytes),
            threads: self.threads.count(),
            isa: Some(self.program.isa.name()),
        }
    }
}

fn signature(graph: &Graph<'_>) -> Signature {
    let spec = |port: &Port| {
        let value = &graph.values[port.value];
        TensorSpec {
            name: port.name.clone(),
            dtype: value.dtype,
            shape: value.shape.clone(),
            quantization: match value.quant {
                Quant::Tensor(quantization) => Some(quantization),
                Quant::None | Quant::Channels { .. } => None,
            },
        }
    };
    Signature {
        inputs: graph.inputs.iter().map(spec).collect(),
        outputs: graph.outputs.iter().map(spec).collect(),
    }
}
