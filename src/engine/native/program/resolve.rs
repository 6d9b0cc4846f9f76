//! Finds the shape of every value, and the values that no run changes.

use super::fold::fold;
use super::{Refusal, refused};
use crate::engine::EngineError;
use crate::engine::native::graph::{Body, Graph, Node, Value, width};
use crate::engine::native::limits::{ARENA_MAX, NODES_MAX, RANK_MAX, WORK_MAX};
use crate::engine::native::target::Target;

/// Gives every value its shape, node by node, and runs those whose inputs are all constant. Checks
/// what every importer has to keep: each value made once and before its use, sizes within limits.
pub(in super::super) fn resolve(
    graph: &mut Graph<'_>,
    target: Target<'_>,
) -> Result<(), EngineError> {
    resolve_within(graph, target, &mut 0)
}

/// The same; what is run at load adds to `work`.
fn resolve_within(
    graph: &mut Graph<'_>,
    target: Target<'_>,
    work: &mut u64,
) -> Result<(), EngineError> {
    let format = graph.format;
    let malformed = |why: String| EngineError::Malformed { format, why };
    if graph.nodes.len() > NODES_MAX {
        let found = graph.nodes.len();
        return Err(malformed(format!("{found} operators; the limit is {NODES_MAX}")));
    }
    let mut made: Vec<bool> = graph.values.iter().map(|value| value.data.is_some()).collect();
    for state in &graph.states {
        if std::mem::replace(&mut made[state.value], true) {
            return Err(malformed("a variable that is also a constant, or listed twice".into()));
        }
    }
    for port in &graph.inputs {
        if std::mem::replace(&mut made[port.value], true) {
            return Err(malformed(format!("input {} is also made elsewhere", port.name)));
        }
    }
    for value in graph.values.iter().zip(&made).filter(|(_, made)| **made).map(|(value, _)| value) {
        check(value).map_err(|refusal| match refusal {
            Refusal::Limit(error) => error,
            Refusal::Malformed(why) | Refusal::Unsupported(why) => malformed(why),
        })?;
    }
    for i in 0..graph.nodes.len() {
        let node = &graph.nodes[i];
        let wrong = |why: &str| Err(refused(graph, node, Refusal::Malformed(why.into())));
        if node.inputs.iter().flatten().any(|&id| !made[id]) {
            return wrong("it reads a tensor that nothing made before it");
        }
        for &id in &node.outputs {
            if std::mem::replace(&mut made[id], true) {
                return wrong("it writes a tensor that is also made elsewhere");
            }
        }
        resolve_node(graph, i, target, work)
            .map_err(|refusal| refused(graph, &graph.nodes[i], refusal))?;
    }
    match graph.outputs.iter().find(|port| !made[port.value]) {
        Some(port) => Err(malformed(format!("nothing makes output {}", port.name))),
        None => Ok(()),
    }
}

/// Gives the outputs of node `i` their shapes, and their values where they are known before any run.
pub(in super::super) fn resolve_node(
    graph: &mut Graph<'_>,
    i: usize,
    target: Target<'_>,
    work: &mut u64,
) -> Result<(), Refusal> {
    let mut bodies = std::mem::take(&mut graph.nodes[i].bodies);
    let bound = bodies.iter_mut().try_for_each(|body| bind(body, graph, i, target, work));
    graph.nodes[i].bodies = bodies;
    bound?;
    let node = &graph.nodes[i];
    let shapes = node.op.shapes(&target.site(graph, node))?;
    if shapes.len() != node.outputs.len() {
        let (found, needed) = (node.outputs.len(), shapes.len());
        return Err(Refusal::Malformed(format!("{found} outputs instead of {needed}")));
    }
    for (id, shape) in node.outputs.clone().into_iter().zip(shapes) {
        target.budget.take_for::<usize>(shape.len())?;
        graph.values[id].shape = shape;
        check(&graph.values[id])?;
    }
    let node = &graph.nodes[i];
    let constant = |id: &usize| graph.values[*id].data.is_some();
    let known = node.op.only_shapes() || node.inputs.iter().flatten().all(constant);
    if node.op.foldable() && !node.outputs.is_empty() && known {
        let data = fold(&target.site(graph, node), work)?;
        if *work > WORK_MAX >> 6 {
            return Err(Refusal::Unsupported("too much to compute at load".into()));
        }
        for (id, data) in node.outputs.clone().into_iter().zip(data) {
            graph.values[id].data = Some(data.into());
        }
    }
    Ok(())
}

/// Gives `body` of node `i` the shapes and constants that the node has, and resolves it.
fn bind<'a>(
    body: &mut Body<'a>,
    graph: &Graph<'a>,
    i: usize,
    target: Target<'_>,
    work: &mut u64,
) -> Result<(), Refusal> {
    let node = &graph.nodes[i];
    let of = |input: usize| {
        let id = node.inputs.get(input).copied().flatten();
        id.map(|id| &graph.values[id])
            .ok_or_else(|| Refusal::Malformed(format!("input {input} is missing")))
    };
    let ports = std::mem::take(&mut body.graph.inputs);
    let sources = std::mem::take(&mut body.inputs);
    for (port, source) in ports.into_iter().zip(sources) {
        let (outer, inner) = (of(source.input)?, &mut body.graph.values[port.value]);
        if outer.dtype != inner.dtype {
            let why = format!("input {} is {}, not {}", source.input, outer.dtype, inner.dtype);
            return Err(Refusal::Malformed(why));
        }
        target.budget.take_for::<usize>(outer.shape.len())?;
        inner.shape.clone_from(&outer.shape);
        match &outer.data {
            Some(data) if source.fixed => {
                target.budget.take(data.len())?;
                inner.data = Some(data.clone());
            }
            _ => {
                body.graph.inputs.push(port);
                body.inputs.push(source);
            }
        }
    }
    resolve_within(&mut body.graph, target, work).map_err(|error| within(node, error).into())
}

/// The error of a node within `node`.
fn within(node: &Node<'_>, error: EngineError) -> EngineError {
    let Node { index, name, .. } = node;
    match error {
        EngineError::Unsupported { engine, node, op, why } => {
            EngineError::Unsupported { engine, node: format!("{index} ({name}) / {node}"), op, why }
        }
        EngineError::Malformed { format, why } => {
            EngineError::Malformed { format, why: format!("within node {index} ({name}): {why}") }
        }
        other => other,
    }
}

/// Whether a value has a size that can be had. Only constants may be empty.
fn check(value: &Value<'_>) -> Result<(), Refusal> {
    let shape = &value.shape;
    let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let bytes = elements.zip(width(value.dtype)).and_then(|(n, width)| n.checked_mul(width));
    match (bytes, &value.data) {
        _ if shape.len() > RANK_MAX => {
            Err(Refusal::Malformed(format!("a tensor of shape {shape:?}: over {RANK_MAX} axes")))
        }
        (None, _) | (Some(0), None) => {
            Err(Refusal::Malformed(format!("a {} tensor of shape {shape:?}", value.dtype)))
        }
        (Some(needed), _) if needed > ARENA_MAX => {
            let what = "one tensor";
            Err(EngineError::TooLarge { what, needed, limit: ARENA_MAX }.into())
        }
        (Some(needed), Some(data)) if data.len() != needed => {
            Err(Refusal::Malformed(format!("a constant that does not fill {shape:?}")))
        }
        _ => Ok(()),
    }
}
