//! Engines: a model is *loaded* once (slow, may fail, says which node and why) and *run* from
//! sessions (fast, nothing allocated, own state).
//!
//! A new engine is one file or folder here, one variant of [`EngineKind`] and one arm of [`load`].

mod load;
pub mod native;
mod threads;
#[cfg(feature = "tract")]
pub mod tract;

pub use load::{
    DescribedOp, Description, LoadError, describe, load, load_file, load_named, read_file,
};
pub use threads::{NoCore, Threads, pin};

use std::fmt;
use std::str::FromStr;

use crate::data::{DType, Signature, Tensor, TensorError};

/// A loaded model: weights and plan, shared by all its sessions.
pub trait Model: Send + Sync {
    /// Names, shapes, types and quantization of inputs and outputs.
    fn signature(&self) -> &Signature;

    /// A new session with its own memory and state.
    ///
    /// # Errors
    /// When the memory that it needs cannot be had.
    fn session(&self) -> Result<Box<dyn Session>, EngineError>;

    /// What `edgerun inspect` shows: engine, operators, memory.
    fn report(&self) -> Report;
}

/// One thread's use of a model. Sessions of one model do not share mutable state.
pub trait Session: Send {
    /// Forgets what the model remembers between runs; nothing for a model without state.
    fn reset(&mut self);

    /// Runs the model once: `inputs` and `outputs` in the signature's order. Outputs are overwritten
    /// in place; nothing is allocated.
    ///
    /// # Errors
    /// When a tensor does not fit the signature, or the engine fails; outputs are then undefined.
    fn infer(&mut self, inputs: &[Tensor], outputs: &mut [Tensor]) -> Result<(), EngineError>;

    /// The same, calling `ended` whenever a part of the run has ended: for whoever measures the parts.
    ///
    /// `false`, with nothing run, where the engine does not tell its parts.
    ///
    /// # Errors
    /// As [`Session::infer`].
    fn infer_in_parts(
        &mut self,
        _inputs: &[Tensor],
        _outputs: &mut [Tensor],
        _ended: &mut dyn FnMut(Part),
    ) -> Result<bool, EngineError> {
        Ok(false)
    }
}

/// A part of one run, in the order of these. What follows the last operator is the outputs' copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The inputs were checked and copied.
    Inputs,
    /// An operator ran, by its place in [`Report::ops`].
    Op(usize),
}

/// An engine by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// Our own executor, for TFLite.
    Native,
    /// `tract`, for float and classic models.
    Tract,
}

impl EngineKind {
    /// Those of this build.
    pub fn built() -> impl Iterator<Item = Self> {
        let tract = cfg!(feature = "tract").then_some(Self::Tract);
        std::iter::once(Self::Native).chain(tract)
    }

    /// The name in configuration, on the command line and in payloads.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Tract => "tract",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which engine shall run a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Choice {
    /// The best that can run it.
    #[default]
    Auto,
    /// This one or none.
    Only(EngineKind),
}

impl FromStr for Choice {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "auto" => Ok(Self::Auto),
            "native" => Ok(Self::Only(EngineKind::Native)),
            "tract" => Ok(Self::Only(EngineKind::Tract)),
            _ => Err(UnknownEngine),
        }
    }
}

/// How a model shall be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which engine.
    pub choice: Choice,
    /// How many threads one run may use; tract uses one.
    pub threads: Threads,
}

impl From<Choice> for Options {
    fn from(choice: Choice) -> Self {
        Self { choice, ..Self::default() }
    }
}

/// A name that is no engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engines are auto, native and tract")]
pub struct UnknownEngine;

/// File format of a model, told from its first bytes and never from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Tflite,
    Onnx,
}

impl Format {
    /// The name that people use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tflite => "TFLite",
            Self::Onnx => "ONNX",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a loaded model is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The engine that runs it.
    pub engine: EngineKind,
    /// Why this engine, in a short sentence.
    pub reason: String,
    /// Operators in execution order.
    pub ops: Vec<OpReport>,
    /// Bytes of constant data: weights, biases, tables.
    pub weight_bytes: usize,
    /// Bytes of working memory a session needs; `None` where the engine cannot tell.
    pub arena_bytes: Option<usize>,
    /// The largest sum of the bytes of tensors alive at one operator, in execution order; what no
    /// arena can be smaller than. `None` where the engine cannot tell.
    pub live_bytes: Option<usize>,
    /// Threads that one run may use.
    pub threads: usize,
    /// The instruction set of its kernels, as `EDGERUN_ISA` names it; `None` where the engine does not
    /// tell.
    pub isa: Option<&'static str>,
}

/// One operator of a [`Report`].
#[derive(Clone, Debug, PartialEq)]
pub struct OpReport {
    /// Place in the model's own order.
    pub node: usize,
    /// The format's own name of the operator, as in `CONV_2D` or `Gemm`.
    pub op: String,
    /// Shape of its first output.
    pub output: Vec<usize>,
    /// Type of its first output; `None` where the engine cannot tell.
    pub dtype: Option<DType>,
    /// Multiply-accumulates of one run; 0 for operators that have none.
    pub macs: u64,
    /// Bytes of the tensors that it reads and writes and of its packed constants, each once; 0 for
    /// operators that only rename. `None` where the engine cannot tell.
    pub moved_bytes: Option<u64>,
}

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The bytes are neither TFLite nor ONNX.
    #[error("not a model: neither a TFLite nor an ONNX file ({why})")]
    UnknownFormat {
        /// What was found.
        why: String,
    },
    /// The file is damaged or breaks its format's rules: fetch or export it again.
    #[error("damaged {format} model: {why}")]
    Malformed {
        /// `TFLite` or `ONNX`.
        format: &'static str,
        /// Which part, and how.
        why: String,
    },
    /// The engine lacks something that the model uses: another engine, or another export.
    #[error("{engine} cannot run node {node} ({op}): {why}")]
    Unsupported {
        /// Who refused.
        engine: EngineKind,
        /// Index of the node in the model's own order, or its name.
        node: String,
        /// The format's own name of the operator.
        op: String,
        /// What is missing.
        why: String,
    },
    /// The engine that was asked for is not in this build or does not read this format.
    #[error("engine {engine} cannot be used: {why}")]
    Unavailable {
        /// The one asked for.
        engine: EngineKind,
        /// Why, and what to do.
        why: String,
    },
    /// Limits on memory or on the model's size.
    #[error("the model needs {needed} bytes of {what}; the limit is {limit}")]
    TooLarge {
        /// Working memory, a tensor, …
        what: &'static str,
        /// Bytes.
        needed: usize,
        /// Bytes.
        limit: usize,
    },
    /// An input tensor is not what the signature says.
    #[error("input {name}: {source}")]
    Input {
        /// The signature's name.
        name: String,
        /// What differs.
        source: TensorError,
    },
    /// An output tensor that was handed in is not what the signature says.
    #[error("output {name}: {source}")]
    Output {
        /// The signature's name.
        name: String,
        /// What differs.
        source: TensorError,
    },
    /// The engine failed while running.
    #[error("{engine} failed at run time: {why}")]
    Run {
        /// Who.
        engine: EngineKind,
        /// Its own words.
        why: String,
    },
}

/// Checks tensors against a signature before a run; every engine calls it first.
///
/// # Errors
/// Names the first tensor that does not fit.
pub fn check_tensors(
    signature: &Signature,
    inputs: &[Tensor],
    outputs: &[Tensor],
) -> Result<(), EngineError> {
    let count = |what: &[Tensor], wanted: usize| TensorError::Length {
        shape: vec![wanted],
        found: what.len(),
    };
    if inputs.len() != signature.inputs.len() {
        let source = count(inputs, signature.inputs.len());
        return Err(EngineError::Input { name: "list".into(), source });
    }
    if outputs.len() != signature.outputs.len() {
        let source = count(outputs, signature.outputs.len());
        return Err(EngineError::Output { name: "list".into(), source });
    }
    for (tensor, spec) in inputs.iter().zip(&signature.inputs) {
        tensor
            .check(spec)
            .map_err(|source| EngineError::Input { name: spec.name.clone(), source })?;
    }
    for (tensor, spec) in outputs.iter().zip(&signature.outputs) {
        tensor
            .check(spec)
            .map_err(|source| EngineError::Output { name: spec.name.clone(), source })?;
    }
    Ok(())
}

/// Tells TFLite (`TFL3` at offset 4) from ONNX (a protobuf whose first field is `ir_version`).
///
/// # Errors
/// When the bytes are neither.
pub fn format_of(bytes: &[u8]) -> Result<Format, EngineError> {
    if bytes.get(4..8) == Some(b"TFL3") {
        return Ok(Format::Tflite);
    }
    // ModelProto: field 1 (ir_version, varint) is written first by every exporter; its value is small.
    if bytes.len() > 8 && bytes[0] == 0x08 && (1..=64).contains(&bytes[1]) {
        return Ok(Format::Onnx);
    }
    let why = if bytes.is_empty() {
        "the file is empty".to_owned()
    } else {
        format!("it begins with {:02x?}", &bytes[..bytes.len().min(8)])
    };
    Err(EngineError::UnknownFormat { why })
}
