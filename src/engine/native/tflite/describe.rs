//! What a TFLite file holds, also where it cannot be run.

use super::{File, Importer, malformed, schema};
use crate::data::{Signature, TensorSpec};
use crate::engine::native::graph::{Port, Quant};
use crate::engine::native::limits::{Budget, NODES_MAX};
use crate::engine::native::tflite::lower::{Lowered, lower};
use crate::engine::{DescribedOp, Description, EngineError, EngineKind, Format};

/// Reads the file's operators and, as far as they can be read, its inputs and outputs.
///
/// # Errors
/// When the file is damaged.
pub(in super::super) fn describe(bytes: &[u8]) -> Result<Description, EngineError> {
    let budget = Budget::default();
    let file = File::open(bytes, &budget)?;
    let mut importer = Importer::new(&file, vec![0])?;
    let operators = importer.subgraph.tables(schema::subgraph::OPERATORS)?;
    if operators.len() > NODES_MAX {
        return Err(malformed(format!("{} operators; the limit is {NODES_MAX}", operators.len())));
    }
    let mut ops = Vec::new();
    for index in 0..operators.len() {
        let Some(operator) = operators.get(index)? else { continue };
        let opcode = operator.scalar(schema::operator::OPCODE_INDEX, 0u32)?;
        let code = usize::try_from(opcode).ok().map(|opcode| file.codes.get(opcode));
        let code = code.transpose()?.flatten();
        let code = code.ok_or_else(|| malformed(format!("node {index}: no operator {opcode}")))?;
        let Lowered { name, op } = lower(&code, &operator)?;
        let custom = code.text(schema::operator_code::CUSTOM_CODE)?.filter(|_| name == "CUSTOM");
        let output = operator.scalars::<i32>(schema::operator::OUTPUTS)?.iter().next();
        ops.push(DescribedOp {
            node: index,
            op: custom.map_or(name.to_owned(), |custom| custom.escape_debug().to_string()),
            output: output.map(|tensor| importer.shape(tensor)).unwrap_or_default(),
            engine: op.is_ok().then_some(EngineKind::Native),
        });
    }
    let mut side = |field| -> Vec<TensorSpec> {
        let ports = importer.ports(field).unwrap_or_default();
        ports.into_iter().map(|port| importer.spec(port)).collect()
    };
    let signature = Signature {
        inputs: side(schema::subgraph::INPUTS),
        outputs: side(schema::subgraph::OUTPUTS),
    };
    let mut weight_bytes = 0usize;
    for index in 0..file.buffers.len() {
        if let Some(buffer) = file.buffers.get(index)? {
            let data = buffer.scalars::<u8>(schema::buffer::DATA)?;
            weight_bytes = weight_bytes.saturating_add(data.len());
        }
    }
    Ok(Description { format: Format::Tflite, signature, ops, weight_bytes })
}

impl Importer<'_, '_> {
    /// The tensor's shape; empty where it cannot be read.
    fn shape(&mut self, tensor: i32) -> Vec<usize> {
        let id = self.value(tensor).ok();
        id.map(|id| self.values[id].shape.clone()).unwrap_or_default()
    }

    fn spec(&self, port: Port) -> TensorSpec {
        let value = &self.values[port.value];
        let quantization = match value.quant {
            Quant::Tensor(quantization) => Some(quantization),
            Quant::None | Quant::Channels { .. } => None,
        };
        TensorSpec { name: port.name, dtype: value.dtype, shape: value.shape.clone(), quantization }
    }
}
