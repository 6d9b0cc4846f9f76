//! Float TFLite files for tract. Source: `schema.fbs` of TensorFlow Lite, version 3.

use tract_tflite::internal::{Framework, TfliteProtoModel};
use tract_tflite::tflite::{BuiltinOperator, Model, SubGraph, Tensor, TensorType};

use super::guard::{Failure, guarded};
use super::{Import, NodeName, QUANTIZED};
use crate::engine::{EngineError, EngineKind, OpReport};

pub(super) fn import(bytes: &[u8]) -> Result<Import, EngineError> {
    let tflite = tract_tflite::tflite();
    let mut reader = bytes;
    // Every offset is verified here; whether an index points into its table is not, hence the guards.
    let proto = guarded(|| tflite.proto_model_for_read(&mut reader))
        .and_then(|proto| proto.map_err(Failure::Said))
        .map_err(|failure| malformed(failure.to_string()))?;
    let facts =
        guarded(|| Facts::read(&proto)).map_err(|failure| malformed(failure.to_string()))??;
    let model = guarded(|| tflite.model_for_proto_model(&proto));
    let model = model.and_then(|model| model.map_err(Failure::Said)).map_err(|failure| {
        // tract prints the whole operator into its message: the only way to know which one it was.
        let at = match &failure {
            Failure::Said(error) => {
                let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
                facts.printed.iter().position(|op| chain.iter().any(|text| text.contains(op)))
            }
            Failure::Panicked(_) => None,
        };
        match at {
            Some(index) => unsupported(&facts.nodes[index], &short(&failure)),
            None => failure.into_error(&facts.nodes),
        }
    })?;
    let Facts { inputs, outputs, ops, nodes, weight_bytes, .. } = facts;
    Ok(Import { model, inputs, outputs, ops, nodes, weight_bytes })
}

fn malformed(why: impl Into<String>) -> EngineError {
    EngineError::Malformed { format: "TFLite", why: why.into() }
}

fn unsupported(node: &NodeName, why: &str) -> EngineError {
    EngineError::Unsupported {
        engine: EngineKind::Tract,
        node: node.shown.clone(),
        op: node.op.clone(),
        why: why.to_owned(),
    }
}

fn short(failure: &Failure) -> String {
    match failure {
        Failure::Said(error) => {
            let cause = error.root_cause().to_string();
            if cause.starts_with("Unsupported: ") {
                "tract has no such operator for TFLite".to_owned()
            } else {
                cause.lines().next().unwrap_or_default().to_owned()
            }
        }
        Failure::Panicked(_) => failure.to_string(),
    }
}

/// What the file says, in our words.
struct Facts {
    inputs: Vec<String>,
    outputs: Vec<String>,
    ops: Vec<OpReport>,
    nodes: Vec<NodeName>,
    /// Each operator as tract prints it.
    printed: Vec<String>,
    weight_bytes: usize,
}

impl Facts {
    fn read(proto: &TfliteProtoModel) -> Result<Self, EngineError> {
        let model = proto.root();
        let subgraphs = model.subgraphs().ok_or_else(|| malformed("it has no graph"))?;
        if subgraphs.is_empty() {
            return Err(malformed("it has no graph"));
        }
        let graph = subgraphs.get(0);
        let tensors = graph.tensors().ok_or_else(|| malformed("its graph has no tensors"))?;
        let operators = graph.operators().ok_or_else(|| malformed("its graph has no operators"))?;
        let mut facts = Self {
            inputs: port_names(&model, &graph, Side::Inputs)?,
            outputs: port_names(&model, &graph, Side::Outputs)?,
            ops: Vec::new(),
            nodes: Vec::new(),
            printed: Vec::new(),
            weight_bytes: 0,
        };
        for (index, operator) in operators.iter().enumerate() {
            let op = op_name(&model, operator.opcode_index());
            let ins: Vec<i32> = operator.inputs().into_iter().flatten().collect();
            let outs: Vec<i32> = operator.outputs().into_iter().flatten().collect();
            let tensor = |at: Option<&i32>| match at.map(|&at| usize::try_from(at)) {
                Some(Ok(at)) if at < tensors.len() => Some(tensors.get(at)),
                _ => None,
            };
            let shape = |at| tensor(at).map(shape_of).unwrap_or_default();
            let name = tensor(outs.first()).and_then(|tensor| tensor.name()).unwrap_or_default();
            let (output, weights) = (shape(outs.first()), shape(ins.get(1)));
            let node =
                NodeName { shown: index.to_string(), tract: name.to_owned(), op: op.clone() };
            if let Some(at) =
                ins.iter().chain(&outs).find(|&at| tensor(Some(at)).is_some_and(is_quantized))
            {
                let name = tensor(Some(at)).and_then(|tensor| tensor.name()).unwrap_or_default();
                return Err(unsupported(&node, &format!("{QUANTIZED} (tensor {name})")));
            }
            // Each of the others was compared with LiteRT; tract rounds means to whole numbers.
            if op == "MEAN" {
                return Err(unsupported(&node, "tract computes it wrongly"));
            }
            if let Some(place) = ins.iter().position(|&at| at == -1) {
                let why = format!("input {place} is left out, and tract wants every input");
                return Err(unsupported(&node, &why));
            }
            let macs = macs(&op, &output, &weights);
            facts.ops.push(OpReport {
                node: index,
                op,
                output,
                dtype: None,
                macs,
                moved_bytes: None,
            });
            facts.nodes.push(node);
            facts.printed.push(format!("{operator:#?}"));
        }
        let buffers = model.buffers().into_iter().flatten();
        facts.weight_bytes =
            buffers.filter_map(|buffer| buffer.data()).map(|data| data.len()).sum();
        Ok(facts)
    }
}

/// Integers with a scale stand for real numbers, be it an activation or only the weights.
fn is_quantized(tensor: Tensor<'_>) -> bool {
    let integer = matches!(
        tensor.type_(),
        TensorType::INT8 | TensorType::UINT8 | TensorType::INT16 | TensorType::INT4
    );
    let scales = tensor.quantization().and_then(|quantization| quantization.scale());
    integer && scales.is_some_and(|scales| !scales.is_empty())
}

fn shape_of(tensor: Tensor<'_>) -> Vec<usize> {
    let dims = tensor.shape().into_iter().flatten();
    dims.map(|dim| usize::try_from(dim).unwrap_or(0)).collect()
}

fn op_name(model: &Model<'_>, opcode_index: u32) -> String {
    let codes = model.operator_codes();
    let code = codes.filter(|codes| (opcode_index as usize) < codes.len());
    let Some(code) = code.map(|codes| codes.get(opcode_index as usize)) else {
        return format!("operator code {opcode_index}");
    };
    // Codes above 127 are in the newer field; older files have only the older one.
    let number = code.builtin_code().0.max(i32::from(code.deprecated_builtin_code()));
    match (BuiltinOperator(number), code.custom_code()) {
        (BuiltinOperator::CUSTOM, Some(name)) => name.to_owned(),
        (known, _) => known.variant_name().map_or_else(|| number.to_string(), str::to_owned),
    }
}

fn macs(op: &str, output: &[usize], weights: &[usize]) -> u64 {
    let product = |dims: &[usize]| dims.iter().fold(1u64, |n, &d| n.saturating_mul(d as u64));
    match (op, weights) {
        // [out, height, width, in]
        ("CONV_2D", [_, kernel @ ..]) => product(output).saturating_mul(product(kernel)),
        // [1, height, width, channels]
        ("DEPTHWISE_CONV_2D", [_, height, width, _]) => {
            product(output).saturating_mul(product(&[*height, *width]))
        }
        // [out, in]
        ("FULLY_CONNECTED", [_, depth]) => product(output).saturating_mul(*depth as u64),
        _ => 0,
    }
}

#[derive(Clone, Copy)]
enum Side {
    Inputs,
    Outputs,
}

/// The names of the first signature where it names the tensor, otherwise the tensors' own.
fn port_names(
    model: &Model<'_>,
    graph: &SubGraph<'_>,
    side: Side,
) -> Result<Vec<String>, EngineError> {
    let signature = model.signature_defs().filter(|defs| !defs.is_empty()).map(|defs| defs.get(0));
    let (ports, named) = match side {
        Side::Inputs => (graph.inputs(), signature.and_then(|signature| signature.inputs())),
        Side::Outputs => (graph.outputs(), signature.and_then(|signature| signature.outputs())),
    };
    let (Some(ports), Some(tensors)) = (ports, graph.tensors()) else {
        return Err(malformed("its graph lacks inputs or outputs"));
    };
    let name = |port: i32| {
        let index = usize::try_from(port).ok().filter(|&index| index < tensors.len());
        let index = index.ok_or_else(|| malformed(format!("there is no tensor {port}")))?;
        let named =
            named.into_iter().flatten().find(|entry| entry.tensor_index() as usize == index);
        let name = named.and_then(|entry| entry.name()).or_else(|| tensors.get(index).name());
        Ok(name.unwrap_or_default().to_owned())
    };
    ports.iter().map(name).collect()
}
