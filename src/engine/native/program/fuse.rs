//! Rewrites that change no result: borders and clamps go into the operator beside them that can take
//! them, and a tensor that is made real and quantized again just as it was is left as it is.

use crate::engine::native::graph::{Graph, ValueId};
use crate::engine::native::ops::Role;
use crate::engine::native::target::Target;

/// Rewrites `graph`, whose shapes are known; nodes that have become part of others are gone.
pub(super) fn fuse(graph: &mut Graph<'_>, target: Target<'_>) {
    let mut reads = reads(graph);
    // The node that made a value, if it can still take part in a rewrite.
    let mut made_by: Vec<Option<usize>> = vec![None; graph.values.len()];
    let mut gone = vec![false; graph.nodes.len()];
    let states: Vec<ValueId> = graph.states.iter().map(|state| state.value).collect();
    for i in 0..graph.nodes.len() {
        let input = graph.nodes[i].inputs.first().copied().flatten();
        if let (Some(x), &[y]) = (input, &graph.nodes[i].outputs[..]) {
            // What reads a state has to do so at its own time: a later node may find it updated.
            let early =
                |at: usize| graph.nodes[at].inputs.iter().flatten().any(|id| states.contains(id));
            if let Some(before) = made_by[x].filter(|&at| !early(at)) {
                let alone = reads[x] == 1;
                if alone && take_border(graph, before, i, target) {
                    gone[before] = true;
                } else if alone && give_clamp(graph, before, i, target) {
                    gone[i] = true;
                    made_by[y] = Some(before);
                    continue;
                } else if undo(graph, before, i, target, &mut reads) {
                    gone[i] = true;
                    continue;
                }
            }
            made_by[y] = Some(i);
        }
    }
    // A tensor that was only made real to be quantized again is read by nobody now.
    for (i, node) in graph.nodes.iter().enumerate() {
        let role = node.op.role(&target.site(graph, node));
        gone[i] |= role == Role::Dequantize && node.outputs.iter().all(|&y| reads[y] == 0);
    }
    let mut gone = gone.into_iter();
    graph.nodes.retain(|_| !gone.next().unwrap_or(false));
}

/// How often each value is read; an output of the graph counts twice, since it has to be made.
fn reads(graph: &Graph<'_>) -> Vec<usize> {
    let mut reads = vec![0; graph.values.len()];
    for id in graph.nodes.iter().flat_map(|node| node.inputs.iter().flatten()) {
        reads[*id] += 1;
    }
    for port in &graph.outputs {
        reads[port.value] += 2;
    }
    reads
}

/// Node `i` takes the border that node `before` puts around its input.
fn take_border(graph: &mut Graph<'_>, before: usize, i: usize, target: Target<'_>) -> bool {
    let node = &graph.nodes[before];
    let Role::Border(border) = node.op.role(&target.site(graph, node)) else { return false };
    let Some(op) = graph.nodes[i].op.with_border(border) else { return false };
    let input = node.inputs[0];
    let [Some(from), Some(to)] = [input, graph.nodes[i].inputs[0]] else { return false };
    if graph.values[from].quant != graph.values[to].quant {
        return false;
    }
    graph.nodes[i].op = op;
    graph.nodes[i].inputs[0] = input;
    true
}

/// Node `before` clamps its output itself, as node `i` does after it.
fn give_clamp(graph: &mut Graph<'_>, before: usize, i: usize, target: Target<'_>) -> bool {
    let node = &graph.nodes[i];
    let Role::Clamp(clamp) = node.op.role(&target.site(graph, node)) else { return false };
    let [x, y] = [graph.nodes[before].outputs[0], node.outputs[0]];
    if graph.values[x].quant != graph.values[y].quant {
        return false;
    }
    let Some(op) = graph.nodes[before].op.with_clamp(clamp) else { return false };
    graph.nodes[before].op = op;
    graph.nodes[before].outputs[0] = y;
    true
}

/// Node `i` quantizes what node `before` made real, just as it was: its readers read that instead.
fn undo(
    graph: &mut Graph<'_>,
    before: usize,
    i: usize,
    target: Target<'_>,
    reads: &mut [usize],
) -> bool {
    let role = |at: usize| {
        let node = &graph.nodes[at];
        node.op.role(&target.site(graph, node))
    };
    if role(before) != Role::Dequantize || role(i) != Role::Quantize {
        return false;
    }
    let Some(x) = graph.nodes[before].inputs.first().copied().flatten() else { return false };
    let [real, y]: [ValueId; 2] = [graph.nodes[before].outputs[0], graph.nodes[i].outputs[0]];
    let (from, to) = (&graph.values[x], &graph.values[y]);
    let is_output = graph.outputs.iter().any(|port| port.value == y);
    if is_output || from.dtype != to.dtype || from.quant != to.quant {
        return false;
    }
    for input in graph.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut()) {
        if *input == Some(y) {
            *input = Some(x);
        }
    }
    reads[x] += reads[y];
    reads[real] -= 1;
    true
}
