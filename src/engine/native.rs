//! Our own executor: one small graph, planned into one arena, with kernels for quantized models.
//!
//! Its outputs are byte for byte those of LiteRT with XNNPACK on x86-64, on every machine.
//! `docs/engine.md` says how it works, which operators it has and how to add one.

mod flatbuffer;
mod graph;
mod kernels;
mod limits;
mod memory;
mod plan;
mod program;
mod session;
mod tflite;

use std::sync::Arc;

use self::graph::{Graph, Port, Quant};
use self::limits::Budget;
use self::program::Program;
use self::session::NativeSession;
use super::{Description, EngineError, EngineKind, Model, Report, Session};
use crate::data::{Signature, TensorSpec};

/// Loads the TFLite model in `bytes`, which may be anything.
///
/// # Errors
/// [`EngineError::Malformed`] when the file is damaged, [`EngineError::Unsupported`] with the node and
/// its operator when another engine is needed, [`EngineError::TooLarge`] beyond the limits: 256 MiB of
/// working memory, 512 MiB of weights, 10 000 operators, 2^36 elementary steps for one run.
pub fn load(bytes: &[u8]) -> Result<Box<dyn Model>, EngineError> {
    let budget = Budget::default();
    let graph = tflite::import(bytes, &budget)?;
    let program = program::compile(&graph, &budget)?;
    let signature = Arc::new(signature(&graph));
    Ok(Box::new(NativeModel { signature, program: Arc::new(program) }))
}

/// What the TFLite file in `bytes` holds, and which of its operators have a kernel here.
///
/// # Errors
/// [`EngineError::Malformed`] when the file is damaged.
pub fn describe(bytes: &[u8]) -> Result<Description, EngineError> {
    tflite::describe(bytes)
}

/// A compiled model.
#[derive(Debug)]
struct NativeModel {
    signature: Arc<Signature>,
    program: Arc<Program>,
}

impl Model for NativeModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        let session = NativeSession::new(self.signature.clone(), self.program.clone())?;
        Ok(Box::new(session))
    }

    fn report(&self) -> Report {
        Report {
            engine: EngineKind::Native,
            reason: "it has a kernel for every operator of this TFLite model".to_owned(),
            ops: self.program.ops.clone(),
            weight_bytes: self.program.weight_bytes,
            arena_bytes: Some(self.program.arena_bytes),
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
