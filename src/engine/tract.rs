//! tract: float and classic (`ai.onnx.ml`) ONNX, and float TFLite as a second opinion. Quantized
//! models are refused always: tract runs some of them and answers wrongly.
//!
//! Loading may panic in tract, and so may running; both end as an [`EngineError`] here. Sessions
//! allocate nothing of their own after the first run, but tract allocates every intermediate tensor,
//! each time. Memory that tract takes while it folds constants cannot be bounded from outside.

mod convert;
mod guard;
mod ml;
mod onnx;
mod tflite;

use std::cell::Cell;
use std::sync::Arc;

use tract_onnx::prelude::{TypedModel, TypedRunnableModel, TypedSimpleState};
use tract_onnx::tract_core::internal::{TValue, TVec, Tensor as TractTensor};
use tract_onnx::tract_core::model::IntoRunnable;
use tract_onnx::tract_core::plan::eval;

use self::guard::{Failure, guarded};
use super::{
    Description, EngineError, EngineKind, Model, OpReport, Report, Session, check_tensors,
};
use crate::data::{Signature, Tensor, TensorSpec};

/// Bytes that all intermediate tensors of a model may have together.
const TENSOR_BYTES_MAX: usize = 1 << 30;

/// Operators that keep something from step to step.
const LOOPS: [&str; 5] = ["GRU", "LSTM", "Loop", "RNN", "Scan"];

/// Why a quantized model is not tract's.
const QUANTIZED: &str = "the model is quantized, and quantized models run on the native engine";

/// Loads a float or classic ONNX model. A free first dimension of an input (the batch) becomes 1.
///
/// # Errors
/// [`EngineError::Malformed`] for a damaged file, [`EngineError::Unsupported`] with the node and its
/// operator, [`EngineError::TooLarge`] beyond 1 GiB of tensors.
pub fn load_onnx(bytes: &[u8]) -> Result<Box<dyn Model>, EngineError> {
    let import = onnx::import(bytes)?;
    Ok(Box::new(TractModel::build(import, "tract reads ONNX".to_owned())?))
}

/// Loads a float TFLite model, as a second opinion.
///
/// # Errors
/// As [`load_onnx`].
pub fn load_tflite_float(bytes: &[u8]) -> Result<Box<dyn Model>, EngineError> {
    let import = tflite::import(bytes)?;
    Ok(Box::new(TractModel::build(import, "it was asked for".to_owned())?))
}

/// What the ONNX file in `bytes` holds, and which of its operators tract has.
///
/// # Errors
/// [`EngineError::Malformed`] when the file is damaged.
pub fn describe_onnx(bytes: &[u8]) -> Result<Description, EngineError> {
    onnx::describe(bytes)
}

/// A file translated to tract's own graph, before optimization.
struct Import {
    model: TypedModel,
    /// Names in the model's own signature.
    inputs: Vec<String>,
    outputs: Vec<String>,
    ops: Vec<OpReport>,
    /// What each node is called in errors and in tract's own words, in the file's order.
    nodes: Vec<NodeName>,
    weight_bytes: usize,
}

/// A node as the file has it.
struct NodeName {
    /// For people: index, and the name where it has one.
    shown: String,
    /// What tract's messages call it.
    tract: String,
    op: String,
}

struct TractModel {
    plan: Arc<TypedRunnableModel>,
    signature: Arc<Signature>,
    ops: Vec<OpReport>,
    weight_bytes: usize,
    reason: String,
}

impl TractModel {
    fn build(import: Import, reason: String) -> Result<Self, EngineError> {
        let Import { model, inputs, outputs, ops, nodes, weight_bytes } = import;
        check_memory(&model)?;
        let failed = |failure: Failure| failure.into_error(&nodes);
        let signature = guarded(|| signature(&model, &inputs, &outputs)).map_err(failed)??;
        let plan = guarded(|| model.into_optimized()?.into_runnable());
        let plan = plan.and_then(|plan| plan.map_err(Failure::Said)).map_err(failed)?;
        Ok(Self { plan, signature: Arc::new(signature), ops, weight_bytes, reason })
    }
}

/// Refuses shapes whose tensors no board can hold, before tract allocates any of them.
fn check_memory(model: &TypedModel) -> Result<(), EngineError> {
    let mut needed = 0usize;
    for node in model.nodes() {
        for fact in node.outputs.iter().map(|output| &output.fact) {
            let shape = fact.shape.as_concrete().unwrap_or_default();
            let bytes = shape.iter().try_fold(fact.datum_type.size_of(), |n, &d| n.checked_mul(d));
            needed = needed.saturating_add(bytes.unwrap_or(usize::MAX));
        }
    }
    if needed > TENSOR_BYTES_MAX {
        let limit = TENSOR_BYTES_MAX;
        return Err(EngineError::TooLarge { what: "intermediate tensors", needed, limit });
    }
    Ok(())
}

fn signature(
    model: &TypedModel,
    inputs: &[String],
    outputs: &[String],
) -> Result<Signature, EngineError> {
    let spec = |side: &'static str, name: &String, outlet: &_| -> Result<TensorSpec, EngineError> {
        let fact = model.outlet_fact(*outlet).map_err(|e| EngineError::Malformed {
            format: "model",
            why: format!("{side} {name}: {e}"),
        })?;
        let refuse = |why: String| EngineError::Unsupported {
            engine: EngineKind::Tract,
            node: name.clone(),
            op: side.to_owned(),
            why,
        };
        let dtype = convert::dtype(fact.datum_type)
            .ok_or_else(|| refuse(format!("elements of type {:?}", fact.datum_type)))?;
        let shape = fact.shape.as_concrete().ok_or_else(|| {
            refuse(format!("its shape {:?} is not fixed: export fixed shapes", fact.shape))
        })?;
        Ok(TensorSpec { name: name.clone(), dtype, shape: shape.to_vec(), quantization: None })
    };
    let side = |side, names: &[String], outlets: &[_]| {
        names
            .iter()
            .zip(outlets)
            .map(|(name, outlet)| spec(side, name, outlet))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(Signature {
        inputs: side("graph input", inputs, &model.inputs)?,
        outputs: side("graph output", outputs, &model.outputs)?,
    })
}

impl Model for TractModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(TractSession {
            state: spawn(&self.plan)?,
            plan: self.plan.clone(),
            inputs: self.signature.inputs.iter().map(convert::buffer).collect(),
            loops: self.ops.iter().any(|op| LOOPS.contains(&op.op.as_str())),
            signature: self.signature.clone(),
            broken: None,
        }))
    }

    fn report(&self) -> Report {
        Report {
            engine: EngineKind::Tract,
            reason: self.reason.clone(),
            ops: self.ops.clone(),
            weight_bytes: self.weight_bytes,
            arena_bytes: None,
            live_bytes: None,
            threads: 1,
            isa: None,
        }
    }
}

fn spawn(plan: &Arc<TypedRunnableModel>) -> Result<TypedSimpleState, EngineError> {
    guarded(|| plan.spawn())
        .and_then(|state| state.map_err(Failure::Said))
        .map_err(|failure| EngineError::Run { engine: EngineKind::Tract, why: failure.to_string() })
}

/// One thread's run state: tract's, and the input tensors that are filled again for each run.
struct TractSession {
    plan: Arc<TypedRunnableModel>,
    state: TypedSimpleState,
    inputs: Vec<Arc<TractTensor>>,
    /// tract carries what a loop keeps on to the next run; in ONNX every run begins anew.
    loops: bool,
    signature: Arc<Signature>,
    /// Why there is no usable state, after one could not be made anew.
    broken: Option<String>,
}

impl Session for TractSession {
    fn reset(&mut self) {
        match spawn(&self.plan) {
            Ok(state) => (self.state, self.broken) = (state, None),
            Err(error) => self.broken = Some(error.to_string()),
        }
    }

    fn infer(&mut self, inputs: &[Tensor], outputs: &mut [Tensor]) -> Result<(), EngineError> {
        check_tensors(&self.signature, inputs, outputs)?;
        let failed = |why: String| EngineError::Run { engine: EngineKind::Tract, why };
        if self.loops {
            self.reset();
        }
        if let Some(why) = &self.broken {
            return Err(failed(why.clone()));
        }
        let mut values = TVec::new();
        for ((buffer, tensor), spec) in
            self.inputs.iter_mut().zip(inputs).zip(&self.signature.inputs)
        {
            // tract has let go of the last run's input, unless an output is a view of it.
            if Arc::get_mut(buffer).is_none() {
                *buffer = convert::buffer(spec);
            }
            let filled = Arc::get_mut(buffer).map(|to| convert::fill(tensor.data(), to));
            filled.transpose().map_err(|e| failed(format!("{e:#}")))?;
            values.push(TValue::from_const(buffer.clone()));
        }
        let at = Cell::new(None);
        let state = &mut self.state;
        let ran = guarded(|| {
            state.run_plan_with_eval(values, |context, op_state, node, inputs| {
                at.set(Some(node.id));
                eval(context, op_state, node, inputs)
            })
        });
        let found = match ran {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                self.reset();
                return Err(failed(format!("{error:#}")));
            }
            Err(failure) => {
                // What a panic left behind is not used again.
                self.reset();
                let node = at.get().map(|id| self.plan.model().node(id).to_string());
                return Err(failed(format!("{}: {failure}", node.unwrap_or_default())));
            }
        };
        for ((value, tensor), spec) in found.iter().zip(outputs).zip(&self.signature.outputs) {
            convert::copy(value, tensor.data_mut())
                .map_err(|e| failed(format!("output {}: {e:#}", spec.name)))?;
        }
        Ok(())
    }
}
