//! Our own executor: one small graph, planned into one arena, with kernels for quantized models.
//!
//! Its outputs are byte for byte those of LiteRT with XNNPACK on x86-64, on every machine.
//! `docs/engine.md` says how it works, which operators it has and how to add one.

mod flatbuffer;
mod graph;
mod limits;
mod memory;
mod onnx;
mod ops;
mod plan;
mod program;
mod protobuf;
mod session;
mod tflite;

use std::path::Path;
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
    loaded(tflite::import(bytes, &budget)?, &budget)
}

/// Loads the ONNX model in `bytes`, which may be anything. `folder` is where it lies: values of its
/// initializers may be in files beside it, and are read from there and nowhere else.
///
/// # Errors
/// As [`load`].
pub fn load_onnx(bytes: &[u8], folder: Option<&Path>) -> Result<Box<dyn Model>, EngineError> {
    let budget = Budget::default();
    loaded(onnx::import(bytes, folder, &budget)?, &budget)
}

fn loaded(mut graph: Graph<'_>, budget: &Budget) -> Result<Box<dyn Model>, EngineError> {
    let program = program::compile(&mut graph, budget)?;
    let signature = Arc::new(signature(&graph));
    Ok(Box::new(NativeModel { format: graph.format, signature, program: Arc::new(program) }))
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
            reason: format!("it has a kernel for every operator of this {} model", self.format),
            ops: self.program.ops.clone(),
            weight_bytes: self.program.weight_bytes,
            arena_bytes: Some(self.program.arena_bytes),
            live_bytes: Some(self.program.live_bytes),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Tensor;

    const MODELS: [(&str, &[u8]); 8] = [
        ("conv", include_bytes!("../../tests/data/ops/conv.tflite")),
        ("depthwise", include_bytes!("../../tests/data/ops/depthwise.tflite")),
        ("pools", include_bytes!("../../tests/data/ops/pools.tflite")),
        ("add", include_bytes!("../../tests/data/ops/add.tflite")),
        ("dense", include_bytes!("../../tests/data/ops/dense.tflite")),
        ("series", include_bytes!("../../tests/data/ops/series.tflite")),
        ("float_io", include_bytes!("../../tests/data/ops/float_io.tflite")),
        ("requantize", include_bytes!("../../tests/data/ops/requantize.tflite")),
    ];

    /// Loads a damaged model; what loads all the same has to run, unless it would take long.
    fn load_and_run(bytes: &[u8]) -> Result<(), EngineError> {
        drop(describe(bytes));
        let model = load(bytes)?;
        let report = model.report();
        let small = report.ops.iter().map(|op| op.macs).sum::<u64>() < 1 << 20;
        if small && report.arena_bytes.is_some_and(|bytes| bytes < 1 << 20) {
            let inputs: Vec<Tensor> = model.signature().inputs.iter().map(Tensor::zeros).collect();
            let mut outputs: Vec<Tensor> =
                model.signature().outputs.iter().map(Tensor::zeros).collect();
            model.session()?.infer(&inputs, &mut outputs)?;
        }
        Ok(())
    }

    #[test]
    fn a_model_cut_anywhere_is_refused_or_runs_and_never_panics() {
        for (name, file) in MODELS {
            assert!(load_and_run(file).is_ok(), "{name} itself");
            for len in (0..file.len()).step_by(if file.len() > 4096 { 7 } else { 1 }) {
                drop(load_and_run(&file[..len]));
            }
        }
    }

    #[test]
    fn a_model_with_a_damaged_byte_is_refused_or_runs_and_never_panics() {
        let mut state = 1u32;
        for (_, file) in MODELS {
            let mut file = file.to_vec();
            for at in (0..file.len()).step_by(2) {
                // Xorshift, by George Marsaglia.
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                let whole = file[at];
                file[at] = [0x00, 0xff, whole ^ 1, (state >> 8) as u8][state as usize % 4];
                drop(load_and_run(&file));
                file[at] = whole;
            }
        }
    }

    #[test]
    fn an_operator_without_a_kernel_is_named() {
        let (_, file) = MODELS[7];
        // The operator code is stored twice, as an old byte and as a new word: QUANTIZE is 114.
        let mut file = file.to_vec();
        let old = |at: &usize| file[*at] == 114;
        for at in (0..file.len()).filter(old).collect::<Vec<_>>() {
            file[at] = 28; // TANH
        }
        let error = load(&file).err().unwrap();
        let text = error.to_string();
        assert!(text.starts_with("native cannot run node 0 (TANH): "), "{text}");
    }

    #[test]
    fn the_report_tells_operators_and_memory() {
        let (_, file) = MODELS[4];
        let report = load(file).unwrap().report();
        let first = &report.ops[0];
        assert_eq!((first.op.as_str(), first.macs), ("FULLY_CONNECTED", 37 * 64));
        assert_eq!(first.output, [1, 64]);
        assert!(report.weight_bytes > 37 * 64 && report.arena_bytes.unwrap() >= 37 + 64);
    }

    #[test]
    fn a_wrong_input_names_it_and_leaves_the_session_usable() {
        let model = load(MODELS[4].1).unwrap();
        let mut session = model.session().unwrap();
        let signature = model.signature();
        let mut outputs: Vec<Tensor> = signature.outputs.iter().map(Tensor::zeros).collect();
        let error = session.infer(&[Tensor::zeros(&signature.outputs[0])], &mut outputs);
        assert!(matches!(error, Err(EngineError::Input { .. })));
        let input = Tensor::zeros(&signature.inputs[0]);
        session.infer(&[input], &mut outputs).unwrap();
    }
}
