//! ONNX files for tract: what tract cannot run is found and named before tract builds anything.
//!
//! Source: the ONNX specification, `docs/IR.md`, and the operator lists of `ai.onnx` and `ai.onnx.ml`.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use tract_onnx::Onnx;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value as Type;
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, ValueInfoProto,
};
use tract_onnx::prelude::{DatumType, Framework, InferenceModelExt, OutletId};
use tract_onnx::tract_hir::infer::{Factoid, InferenceModel};

use super::guard::{Failure, guarded};
use super::ml;
use super::{Import, NodeName, QUANTIZED};
use crate::data::{Signature, TensorSpec};
use crate::engine::{DescribedOp, Description, EngineError, EngineKind, Format, OpReport};

/// Domains whose operators tract knows; elsewhere the same name means something else.
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

pub(super) fn import(bytes: &[u8]) -> Result<Import, EngineError> {
    let mut proto = decode(bytes)?;
    let onnx = ml::onnx();
    let graph = proto.graph.as_ref().ok_or_else(|| malformed("it has no graph"))?;
    check_nodes(graph, &onnx)?;
    check_links(graph)?;
    let nodes: Vec<NodeName> = graph.node.iter().enumerate().map(node_name).collect();
    let inputs = free_inputs(graph).map(|input| input.name.clone()).collect();
    let outputs = graph.output.iter().map(|output| output.name.clone()).collect();
    let weights = Cell::new(0);
    let add = |bytes: usize| weights.set(weights.get() + bytes);
    visit(graph, &mut |node| add(attribute_bytes(node)), &mut |tensor| {
        add(tensor_bytes(tensor));
        match tensor.data_location {
            Some(place) if place == DataLocation::External as i32 => {
                Err(EngineError::Unsupported {
                    engine: EngineKind::Tract,
                    node: tensor.name.clone(),
                    op: "initializer".to_owned(),
                    why: "its values are in another file: save the model as one file".to_owned(),
                })
            }
            _ => Ok(()),
        }
    })?;
    fix_shapes(proto.graph.as_mut().ok_or_else(|| malformed("it has no graph"))?)?;

    let failed = |failure: Failure| failure.into_error(&nodes);
    let said = |result: Result<_, _>| result.map_err(Failure::Said);
    let parsed = guarded(|| onnx.parse(&proto, None)).and_then(said).map_err(failed)?;
    let mut model = parsed.model;
    let analysed = guarded(|| model.analyse(false));
    analysed.and_then(|result| result.map_err(Failure::Said)).map_err(failed)?;
    let graph = proto.graph.as_ref().ok_or_else(|| malformed("it has no graph"))?;
    let ops = ops(graph, &model, &parsed.outlets_by_name);
    let typed = guarded(|| model.into_typed());
    let model = typed.and_then(|result| result.map_err(Failure::Said)).map_err(failed)?;
    Ok(Import { model, inputs, outputs, ops, nodes, weight_bytes: weights.get() })
}

/// What the file holds, also where tract cannot run it.
pub(super) fn describe(bytes: &[u8]) -> Result<Description, EngineError> {
    let proto = decode(bytes)?;
    let onnx = ml::onnx();
    let graph = proto.graph.as_ref().ok_or_else(|| malformed("it has no graph"))?;
    let shapes: HashMap<&String, Vec<usize>> =
        graph.value_info.iter().chain(&graph.output).map(|v| (&v.name, shown_shape(v))).collect();
    let ops = graph.node.iter().enumerate().map(|(node, each)| DescribedOp {
        node,
        op: each.op_type.clone(),
        output: each.output.first().and_then(|name| shapes.get(name)).cloned().unwrap_or_default(),
        engine: refusal(each, &onnx).is_none().then_some(EngineKind::Tract),
    });
    let ops = ops.collect();
    let signature = Signature {
        inputs: free_inputs(graph).filter_map(spec).collect(),
        outputs: graph.output.iter().filter_map(spec).collect(),
    };
    let weights = graph.initializer.iter().map(tensor_bytes).sum::<usize>();
    let weight_bytes = weights + graph.node.iter().map(attribute_bytes).sum::<usize>();
    Ok(Description { format: Format::Onnx, signature, ops, weight_bytes })
}

/// The shape that the file declares, with 1 for what is free.
fn shown_shape(value: &ValueInfoProto) -> Vec<usize> {
    let Some(Type::TensorType(tensor)) = value.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Vec::new();
    };
    let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
    let length = |dim: &Dimension| match dim.value {
        Some(Dim::DimValue(length)) => usize::try_from(length).unwrap_or(1),
        _ => 1,
    };
    dims.map(length).collect()
}

fn spec(value: &ValueInfoProto) -> Option<TensorSpec> {
    let Type::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    let dtype = DatumType::try_from(DataType::try_from(tensor.elem_type).ok()?).ok()?;
    let (name, dtype) = (value.name.clone(), super::convert::dtype(dtype)?);
    Some(TensorSpec { name, dtype, shape: shown_shape(value), quantization: None })
}

fn malformed(why: impl Into<String>) -> EngineError {
    EngineError::Malformed { format: "ONNX", why: why.into() }
}

fn decode(bytes: &[u8]) -> Result<ModelProto, EngineError> {
    let mut reader = bytes;
    let decoded = guarded(|| tract_onnx::onnx().proto_model_for_read(&mut reader));
    let decoded = decoded.and_then(|result| result.map_err(Failure::Said));
    decoded.map_err(|failure| malformed(failure.to_string()))
}

/// Calls back for every node and every constant, those of inner graphs too.
fn visit<'a>(
    graph: &'a GraphProto,
    node: &mut impl FnMut(&'a NodeProto),
    tensor: &mut impl FnMut(&'a TensorProto) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    // A list of work instead of recursion: how deep graphs nest is the file's choice.
    let mut graphs = vec![graph];
    while let Some(graph) = graphs.pop() {
        for initializer in &graph.initializer {
            tensor(initializer)?;
        }
        for each in &graph.node {
            node(each);
            for attribute in &each.attribute {
                for constant in attribute.t.iter().chain(&attribute.tensors) {
                    tensor(constant)?;
                }
                graphs.extend(attribute.g.iter().chain(&attribute.graphs));
            }
        }
    }
    Ok(())
}

fn node_name((index, node): (usize, &NodeProto)) -> NodeName {
    let op = node.op_type.clone();
    let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
    let name = name.cloned().unwrap_or_default();
    let shown = if name.is_empty() { index.to_string() } else { format!("{index} \"{name}\"") };
    NodeName { shown, tract: name, op }
}

/// Every operator is one that tract has, and none is quantized.
fn check_nodes(graph: &GraphProto, onnx: &Onnx) -> Result<(), EngineError> {
    let mut all = Vec::new();
    visit(graph, &mut |node| all.push(node), &mut |_| Ok(()))?;
    let refuse = |(index, node), why| {
        let NodeName { shown, op, .. } = node_name((index, node));
        EngineError::Unsupported { engine: EngineKind::Tract, node: shown, op, why }
    };
    let refused = || all.iter().enumerate().filter_map(|(i, n)| Some(((i, *n), refusal(n, onnx)?)));
    // That it is quantized says more than which other operator is missing.
    let quantized = refused().find(|(_, why)| why == QUANTIZED);
    match quantized.or_else(|| refused().next()) {
        Some((at, why)) => Err(refuse(at, why)),
        None => Ok(()),
    }
}

/// Why tract must not or cannot run `node`; `None` where its operator is known.
fn refusal(node: &NodeProto, onnx: &Onnx) -> Option<String> {
    let op = node.op_type.as_str();
    if op.starts_with("QLinear")
        || op.contains("QuantizeLinear")
        || matches!(op, "ConvInteger" | "MatMulInteger" | "MatMulNBits" | "GatherBlockQuantized")
    {
        return Some(QUANTIZED.to_owned());
    }
    if !DOMAINS.contains(&node.domain.as_str()) {
        return Some(format!("operators of the domain {} are not known", node.domain));
    }
    if onnx.op_register.0.contains_key(op) {
        return None;
    }
    Some("tract has no such operator".to_owned())
}

/// Everything that is used is also made: tract would take a missing tensor as an input.
fn check_links(graph: &GraphProto) -> Result<(), EngineError> {
    let inputs = graph.input.iter().map(|input| &input.name);
    let constants = graph.initializer.iter().map(|tensor| &tensor.name);
    let computed = graph.node.iter().flat_map(|node| &node.output);
    let made: HashSet<&String> = inputs.chain(constants).chain(computed).collect();
    for (index, node) in graph.node.iter().enumerate() {
        if let Some(name) = node.input.iter().find(|name| !name.is_empty() && !made.contains(name))
        {
            let node = node_name((index, node));
            let (shown, op) = (node.shown, node.op);
            return Err(malformed(format!(
                "node {shown} ({op}) takes {name}, which nothing makes"
            )));
        }
    }
    match graph.output.iter().find(|output| !made.contains(&output.name)) {
        Some(output) => Err(malformed(format!("nothing makes the output {}", output.name))),
        None if graph.output.is_empty() => Err(malformed("it has no outputs")),
        None => Ok(()),
    }
}

/// Inputs that a run must give; the others have a constant of the same name.
fn free_inputs(graph: &GraphProto) -> impl Iterator<Item = &ValueInfoProto> {
    let constants: HashSet<_> = graph.initializer.iter().map(|tensor| &tensor.name).collect();
    graph.input.iter().filter(move |input| !constants.contains(&input.name))
}

fn shape_of(value: &mut ValueInfoProto) -> Option<&mut TensorShapeProto> {
    let Type::TensorType(tensor) = value.r#type.as_mut()?.value.as_mut()?;
    tensor.shape.as_mut()
}

/// Gives every input a fixed shape (a free batch is 1), and lets tract infer all other free ones.
fn fix_shapes(graph: &mut GraphProto) -> Result<(), EngineError> {
    let free: HashSet<String> = free_inputs(graph).map(|input| input.name.clone()).collect();
    for input in graph.input.iter_mut().filter(|input| free.contains(&input.name)) {
        let name = input.name.clone();
        let refuse = |why: String| EngineError::Unsupported {
            engine: EngineKind::Tract,
            node: name.clone(),
            op: "graph input".to_owned(),
            why,
        };
        let shape =
            shape_of(input).ok_or_else(|| refuse("it is not a tensor with a shape".into()))?;
        for (axis, dim) in shape.dim.iter_mut().enumerate() {
            match dim.value {
                Some(Dim::DimValue(length)) if length >= 0 => {}
                _ if axis == 0 => dim.value = Some(Dim::DimValue(1)),
                _ => {
                    let why = format!("dimension {axis} is free: export it with a fixed length");
                    return Err(refuse(why));
                }
            }
        }
    }
    for value in graph.output.iter_mut().chain(&mut graph.value_info) {
        for dim in shape_of(value).into_iter().flat_map(|shape| &mut shape.dim) {
            if !matches!(dim.value, Some(Dim::DimValue(_))) {
                dim.value = None;
            }
        }
    }
    Ok(())
}

fn tensor_bytes(tensor: &TensorProto) -> usize {
    tensor.raw_data.len()
        + tensor.float_data.len() * 4
        + tensor.int32_data.len() * 4
        + tensor.int64_data.len() * 8
        + tensor.double_data.len() * 8
        + tensor.uint64_data.len() * 8
        + tensor.string_data.iter().map(Vec::len).sum::<usize>()
}

/// Classic models keep their coefficients and trees in attributes.
fn attribute_bytes(node: &NodeProto) -> usize {
    if node.domain != "ai.onnx.ml" {
        return 0;
    }
    let bytes = node.attribute.iter().map(|a| a.floats.len() * 4 + a.ints.len() * 8);
    bytes.sum()
}

fn ops(
    graph: &GraphProto,
    model: &InferenceModel,
    outlets: &HashMap<String, OutletId>,
) -> Vec<OpReport> {
    let shape = |name: Option<&String>| -> Vec<usize> {
        let fact = name.and_then(|name| outlets.get(name)).map(|&outlet| model.outlet_fact(outlet));
        let shape = fact.and_then(Result::ok).and_then(|fact| fact.shape.concretize());
        let dims = shape.and_then(|shape| {
            shape.iter().map(|dim| usize::try_from(dim.to_i64().ok()?).ok()).collect()
        });
        dims.unwrap_or_default()
    };
    let product = |dims: &[usize]| dims.iter().fold(1u64, |n, &d| n.saturating_mul(d as u64));
    let each = graph.node.iter().enumerate().map(|(index, node)| {
        let output = shape(node.output.first());
        let (a, b) = (shape(node.input.first()), shape(node.input.get(1)));
        let floats = |name: &str| {
            node.attribute.iter().find(|a| a.name == name).map_or(0, |a| a.floats.len() as u64)
        };
        let flag = |name: &str| node.attribute.iter().any(|a| a.name == name && a.i != 0);
        let macs = match node.op_type.as_str() {
            // Weights are [out, in / groups, kernel…]: all but the first are summed for each output.
            "Conv" if b.len() > 2 => product(&output).saturating_mul(product(&b[1..])),
            // Weights are [in, out / groups, kernel…]: each input value is used so often.
            "ConvTranspose" if b.len() > 2 => product(&a).saturating_mul(product(&b[1..])),
            "MatMul" => product(&output).saturating_mul(a.last().map_or(0, |&d| d as u64)),
            "Gemm" if a.len() == 2 => {
                product(&output).saturating_mul(a[usize::from(!flag("transA"))] as u64)
            }
            "LinearRegressor" | "LinearClassifier" => floats("coefficients"),
            _ => 0,
        };
        OpReport {
            node: index,
            op: node.op_type.clone(),
            output,
            dtype: None,
            macs,
            moved_bytes: None,
        }
    });
    each.collect()
}
