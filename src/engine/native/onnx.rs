//! ONNX files into graphs.
//!
//! Source: the ONNX specification (`docs/IR.md`, `docs/Operators.md`), and onnxruntime where it says how
//! to round.

mod attributes;
mod describe;
mod file;
mod import;
mod lower;
mod ops;
mod schema;
mod tensor;

pub(super) use describe::describe;
pub(super) use lower::names;

use std::path::Path;

use self::file::{ModelFile, PortFile, malformed};
use self::import::{Held, Importer, Tensor};
use super::graph::{Graph, Port, Quant, Value};
use super::limits::{Budget, PORTS_MAX};
use super::ops::Refusal;
use crate::engine::{EngineError, EngineKind};

/// Reads the model in `bytes`; constants borrow from them. `folder` is where the model lies: there may
/// be files beside it that hold values of its initializers.
pub(super) fn import<'a>(
    bytes: &'a [u8],
    folder: Option<&Path>,
    budget: &Budget,
) -> Result<Graph<'a>, EngineError> {
    let file = ModelFile::open(bytes, budget)?;
    let refuse = |what: &str, why: String| EngineError::Unsupported {
        engine: EngineKind::Native,
        node: what.chars().take(100).collect::<String>().escape_debug().to_string(),
        op: "model".to_owned(),
        why,
    };
    if file.functions > 0 {
        return Err(refuse("-", "it defines functions of its own: inline them".into()));
    }
    let opset = file.opset("").unwrap_or(1);
    if !(1..=OPSET_MAX).contains(&opset) {
        let why = format!("operator set {opset}; 1 to {OPSET_MAX} are known");
        return Err(refuse("-", why));
    }
    let mut importer = Importer::new(&file.graph, opset, folder, budget)?;
    let ports = |why: Refusal| match why {
        Refusal::Limit(error) => error,
        Refusal::Malformed(why) => malformed(format!("inputs and outputs: {why}")),
        Refusal::Unsupported(why) => refuse("-", format!("inputs and outputs: {why}")),
    };
    for input in file.graph.free_inputs() {
        let value = free(input).map_err(|why| refuse(input.name, why))?;
        let tensor = importer.value(value).map_err(ports)?;
        importer.hold(input.name, Held::Plain(tensor)).map_err(ports)?;
        budget.take(input.name.len())?;
        importer.graph.inputs.push(Port { name: input.name.to_owned(), value: tensor.id });
        if importer.graph.inputs.len() > PORTS_MAX {
            return Err(malformed(format!("it has more than {PORTS_MAX} inputs")));
        }
    }
    for index in 0..file.graph.nodes.len() {
        if importer.done[index] {
            continue;
        }
        if let Err(refusal) = lower::lower(&mut importer, index) {
            let node = &file.graph.nodes[index];
            let (shown, op) = (node.shown(index), node.op.chars().take(100).collect::<String>());
            return Err(match refusal {
                Refusal::Limit(error) => error,
                Refusal::Malformed(why) => malformed(format!("node {shown} ({op}): {why}")),
                Refusal::Unsupported(why) => {
                    EngineError::Unsupported { engine: EngineKind::Native, node: shown, op, why }
                }
            });
        }
    }
    for output in &file.graph.outputs {
        let tensor = importer.tensor(output.name).map_err(ports)?;
        let Tensor { id, .. } = importer.plain(tensor).map_err(ports)?;
        budget.take(output.name.len())?;
        importer.graph.outputs.push(Port { name: output.name.to_owned(), value: id });
    }
    if importer.graph.outputs.is_empty() {
        return Err(malformed("it has no outputs"));
    }
    Ok(importer.graph)
}

/// The newest operator set whose operators are those that are lowered here.
const OPSET_MAX: i64 = 28;

/// The value of an input: a free batch is 1.
fn free<'a>(input: &PortFile<'a>) -> Result<Value<'a>, String> {
    let widened =
        [schema::FLOAT16, schema::BFLOAT16, schema::UINT16, schema::UINT32, schema::UINT64];
    let dtype = schema::dtype(input.data_type).filter(|_| !widened.contains(&input.data_type));
    let dtype = dtype.ok_or_else(|| format!("element type number {}", input.data_type))?;
    let dims = input.shape.as_ref().ok_or("it is not a tensor with a shape")?;
    let mut shape = Vec::new();
    for (axis, dim) in dims.iter().enumerate() {
        shape.push(match dim {
            Some(len) if *len > 0 => {
                usize::try_from(*len).map_err(|_| format!("dimension {axis} is {len}"))?
            }
            None if axis == 0 => 1,
            None => return Err(format!("dimension {axis} is free: export it with a fixed length")),
            Some(len) => return Err(format!("dimension {axis} is {len}")),
        });
    }
    Ok(Value { dtype, shape, quant: Quant::None, data: None, nibbles: false })
}

/// Whether the file has quantized operators: then no other engine may have it.
pub(super) fn is_quantized(bytes: &[u8]) -> Result<bool, EngineError> {
    let budget = Budget::default();
    let file = ModelFile::open(bytes, &budget)?;
    file::uses_quantization(&file, &budget)
}
