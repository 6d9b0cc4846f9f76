//! What an ONNX file holds, also where it cannot be run.

use super::file::{ModelFile, PortFile};
use super::schema;
use crate::data::{Signature, TensorSpec};
use crate::engine::native::limits::Budget;
use crate::engine::{DescribedOp, Description, EngineError, EngineKind, Format};

/// Reads the file's operators and, as far as they can be read, its inputs and outputs. Free dimensions
/// are shown as 1.
///
/// # Errors
/// When the file is damaged.
pub(in super::super) fn describe(bytes: &[u8]) -> Result<Description, EngineError> {
    let budget = Budget::default();
    let file = ModelFile::open(bytes, &budget)?;
    let graph = &file.graph;
    let infos = graph.infos.iter().chain(&graph.outputs);
    let shapes: std::collections::HashMap<&str, &PortFile<'_>> =
        infos.map(|port| (port.name, port)).collect();
    let ops = graph.nodes.iter().enumerate().map(|(node, each)| DescribedOp {
        node,
        op: each.op.chars().take(100).collect(),
        output: each
            .outputs
            .first()
            .and_then(|name| shapes.get(name))
            .map(|port| shown_shape(port))
            .unwrap_or_default(),
        engine: super::lower::knows(each.domain, each.op).then_some(EngineKind::Native),
    });
    let ops = ops.collect();
    let signature = Signature {
        inputs: graph.free_inputs().filter_map(spec).collect(),
        outputs: graph.outputs.iter().filter_map(spec).collect(),
    };
    let weights = graph.initializers.iter().map(super::file::TensorFile::stored_bytes);
    let weight_bytes = weights.fold(0, usize::saturating_add);
    Ok(Description { format: Format::Onnx, signature, ops, weight_bytes })
}

/// The shape that the file declares, with 1 for what is free.
fn shown_shape(port: &PortFile<'_>) -> Vec<usize> {
    let dims = port.shape.iter().flatten();
    dims.map(|dim| dim.and_then(|dim| usize::try_from(dim).ok()).unwrap_or(1)).collect()
}

fn spec(port: &PortFile<'_>) -> Option<TensorSpec> {
    let dtype = schema::dtype(port.data_type)?;
    let name = port.name.to_owned();
    Some(TensorSpec { name, dtype, shape: shown_shape(port), quantization: None })
}
