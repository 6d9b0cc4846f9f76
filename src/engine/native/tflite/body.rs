//! Branches and loops: graphs that an operator runs within itself.

use super::variable::Kept;
use super::{FORMAT, Importer, schema};
use crate::engine::native::graph::{Body, Graph, Node, Port, Source, State, Value, ValueId};
use crate::engine::native::limits::{DEPTH_MAX, PORTS_MAX};
use crate::engine::native::ops::{Calls, Refusal, malformed, unsupported};

/// A body, and which of its results stand for variables: they have no value of their own.
struct Read<'a> {
    body: Body<'a>,
    handles: Vec<Option<usize>>,
}

impl<'a, 'f> Importer<'a, 'f> {
    /// Gives `node`, which runs graphs within itself, its values and those graphs.
    pub(super) fn bodies(
        &mut self,
        node: &mut Node<'a>,
        inputs: &[i32],
        outputs: &[i32],
    ) -> Result<(), Refusal> {
        let Some(Calls { graphs, first, repeated }) = node.op.calls() else { return Ok(()) };
        for tensor in inputs {
            // A handle has no value; bodies know which variable it stands for.
            let handle = self.handles.contains_key(tensor);
            node.inputs.push(if handle { None } else { self.present(*tensor)? });
        }
        let mut reads = Vec::new();
        for &graph in graphs {
            reads.push(self.body(graph, first, inputs, &mut node.inputs)?);
        }
        // What a loop begins with is constant for it only if each round hands it on as it is.
        let carried = reads.last().filter(|_| repeated).map(|Read { body, .. }| {
            let ports = body.graph.inputs.iter().zip(&body.graph.outputs);
            ports.map(|(before, after)| before.value == after.value).collect::<Vec<_>>()
        });
        let handles = reads.last().map(|read| read.handles.clone()).unwrap_or_default();
        for (i, mut read) in reads.into_iter().enumerate() {
            for (place, source) in read.body.inputs.iter_mut().enumerate() {
                let same = |carried: &Vec<bool>| carried.get(place).copied().unwrap_or(false);
                source.fixed = carried.as_ref().is_none_or(same);
            }
            let decides = repeated && i == 0;
            if !decides && read.handles != handles {
                return Err(unsupported("variables that differ between branches"));
            }
            node.bodies.push(read.body);
        }
        if handles.len() != outputs.len() {
            let why = format!("{} outputs of a graph with {}", outputs.len(), handles.len());
            return Err(malformed(why));
        }
        for (&tensor, handle) in outputs.iter().zip(handles) {
            match handle {
                Some(variable) => drop(self.handles.insert(tensor, variable)),
                None => node.outputs.extend(self.present(tensor)?),
            }
        }
        Ok(())
    }

    /// Reads graph `number` for a node with `tensors` as inputs, of which those from `first` on are
    /// the graph's. States of the graph become further inputs of the node.
    fn body(
        &mut self,
        number: i32,
        first: usize,
        tensors: &[i32],
        node_inputs: &mut Vec<Option<ValueId>>,
    ) -> Result<Read<'a>, Refusal> {
        let mut inner = self.within(number)?;
        let own = inner.subgraph.scalars::<i32>(schema::subgraph::INPUTS)?;
        let results = inner.subgraph.scalars::<i32>(schema::subgraph::OUTPUTS)?;
        if own.len() + first != tensors.len() || results.len() > PORTS_MAX {
            let (needed, found) = (own.len(), tensors.len().saturating_sub(first));
            return Err(malformed(format!("graph {number} takes {needed} inputs, not {found}")));
        }
        let ours = || own.iter().zip(tensors.iter().skip(first));
        for (tensor, outer) in ours() {
            if let Some(&variable) = self.handles.get(outer) {
                inner.handles.insert(tensor, variable);
            }
        }
        let nodes = inner.nodes()?;
        let port = |value| Port { name: String::new(), value };
        let (mut inputs, mut sources) = (Vec::new(), Vec::new());
        for (place, (tensor, outer)) in ours().enumerate() {
            if !self.handles.contains_key(outer) {
                inputs.push(port(inner.value(tensor)?));
                sources.push(Source { input: first + place, fixed: false });
            }
        }
        let (mut outputs, mut handles) = (Vec::new(), Vec::new());
        for tensor in results.iter() {
            let handle = inner.handles.get(&tensor).copied();
            if handle.is_none() {
                outputs.push(port(inner.value(tensor)?));
            }
            handles.push(handle);
        }
        let Importer { values, states: kept, .. } = inner;
        let (mut places, mut states) = (Vec::new(), Vec::new());
        for (kept, state) in kept {
            let ours = Some(self.keep(kept, &values[state.value], &state)?);
            let place = node_inputs.iter().position(|input| *input == ours);
            places.push(place.unwrap_or(node_inputs.len()));
            if place.is_none() {
                node_inputs.push(ours);
            }
            states.push(state);
        }
        let graph = Graph { format: FORMAT, values, nodes, inputs, outputs, states };
        Ok(Read { body: Body { graph, inputs: sources, states: places }, handles })
    }

    /// An importer of graph `number`, which is run within this one.
    pub(super) fn within(&self, number: i32) -> Result<Importer<'a, 'f>, Refusal> {
        let graph = usize::try_from(number).ok();
        let graph = graph.ok_or_else(|| malformed(format!("there is no graph {number}")))?;
        if self.path.contains(&graph) {
            return Err(malformed(format!("graph {graph} runs within itself")));
        }
        if self.path.len() >= DEPTH_MAX {
            return Err(unsupported(format!("graphs nested more than {DEPTH_MAX} deep")));
        }
        let mut path = self.path.clone();
        path.push(graph);
        Ok(Importer::new(self.file, path)?)
    }

    /// This graph's value of what `kept` is; `like` is how another graph has it.
    pub(super) fn keep(
        &mut self,
        kept: Kept,
        like: &Value<'_>,
        state: &State<'a>,
    ) -> Result<ValueId, Refusal> {
        if let Some((_, state)) = self.states.iter().find(|(ours, _)| *ours == kept) {
            let ours = &self.values[state.value];
            if ours.dtype != like.dtype || ours.shape != like.shape {
                return Err(unsupported("a variable that is of another shape in another graph"));
            }
            return Ok(state.value);
        }
        self.budget.take_for::<(Value<'_>, State<'_>, usize)>(2)?;
        self.budget.take(state.initial.as_ref().map_or(0, |initial| initial.len()))?;
        let (dtype, shape, quant) = (like.dtype, like.shape.clone(), like.quant.clone());
        self.values.push(Value { dtype, shape, quant, data: None, nibbles: false });
        let value = self.values.len() - 1;
        self.states.push((kept, State { value, initial: state.initial.clone() }));
        Ok(value)
    }
}
