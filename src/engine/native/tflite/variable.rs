//! Resource variables: what a session keeps under a name, and what initialises it.

use std::borrow::Cow;

use super::{Importer, schema};
use crate::engine::native::flatbuffer::Table;
use crate::engine::native::graph::{Node, State, Value, ValueId};
use crate::engine::native::ops::{Calls, Operator, Refusal, malformed, unsupported};
use crate::engine::native::program;
use crate::engine::native::target::Target;

/// Something that a session keeps, whichever graph uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// By number in the file's list of variables.
    Variable(usize),
    /// A tensor that its own operator updates.
    Tensor { graph: usize, tensor: usize },
}

/// A resource variable.
#[derive(Debug)]
pub(super) struct Variable<'a> {
    container: &'a str,
    name: &'a str,
    /// Like what was assigned to it first; its data is what a session begins with.
    value: Option<Value<'a>>,
}

impl<'a> Importer<'a, '_> {
    /// VAR_HANDLE: its output stands for a variable.
    pub(super) fn var_handle(
        &mut self,
        operator: &Table<'a>,
        outputs: &[i32],
    ) -> Result<(), Refusal> {
        let [tensor] = outputs else { return Err(malformed("not one output")) };
        let options = operator.table(schema::operator::OPTIONS)?;
        let text = |field| {
            let text = options.map(|options| options.text(field)).transpose()?.flatten();
            Ok::<_, Refusal>(text.unwrap_or_default())
        };
        let container = text(schema::var_handle_options::CONTAINER)?;
        let name = text(schema::var_handle_options::SHARED_NAME)?;
        let mut variables = self.file.variables.borrow_mut();
        let known = variables.iter().position(|v| v.container == container && v.name == name);
        let variable = known.unwrap_or(variables.len());
        if known.is_none() {
            self.budget.take_for::<Variable<'_>>(2)?;
            variables.push(Variable { container, name, value: None });
        }
        self.handles.insert(*tensor, variable);
        Ok(())
    }

    /// READ_VARIABLE: its input becomes the state.
    pub(super) fn read_variable(
        &mut self,
        node: &mut Node<'a>,
        inputs: &[i32],
        outputs: &[i32],
    ) -> Result<(), Refusal> {
        let variable = self.handle(inputs)?;
        node.inputs.push(Some(self.variable(variable)?));
        for &tensor in outputs {
            node.outputs.extend(self.present(tensor)?);
        }
        Ok(())
    }

    /// ASSIGN_VARIABLE: its first input becomes the state.
    pub(super) fn assign_variable(
        &mut self,
        node: &mut Node<'a>,
        inputs: &[i32],
    ) -> Result<(), Refusal> {
        let variable = self.handle(inputs)?;
        let Some(&tensor) = inputs.get(1) else { return Err(malformed("nothing to assign")) };
        let value = self.value(tensor)?;
        let like = &self.values[value];
        {
            let mut variables = self.file.variables.borrow_mut();
            if variables[variable].value.is_none() {
                self.budget.take_for::<Value<'_>>(2)?;
                let (dtype, shape, quant) = (like.dtype, like.shape.clone(), like.quant.clone());
                variables[variable].value =
                    Some(Value { dtype, shape, quant, data: None, nibbles: false });
            }
        }
        node.inputs.push(Some(self.variable(variable)?));
        node.inputs.push(Some(value));
        Ok(())
    }

    /// CALL_ONCE: what its graph assigns is what variables begin with.
    pub(super) fn call_once(&mut self, op: &dyn Operator) -> Result<(), Refusal> {
        let Some(Calls { graphs: &[number], .. }) = op.calls() else {
            return Err(malformed("not one graph"));
        };
        let mut inner = self.within(number)?;
        if inner.subgraph.scalars::<i32>(schema::subgraph::INPUTS)?.len() > 0 {
            return Err(unsupported("an initialisation with inputs"));
        }
        let nodes = inner.nodes()?;
        let of: Vec<usize> = nodes
            .iter()
            .map(|node| {
                let state = node.inputs.first().copied().flatten();
                let of = inner.states.iter().find(|(_, kept)| Some(kept.value) == state);
                match of {
                    Some((Kept::Variable(variable), _)) => *variable,
                    _ => usize::MAX,
                }
            })
            .collect();
        let Importer { values, states, .. } = inner;
        let states = states.into_iter().map(|(_, state)| state).collect();
        let mut graph = crate::engine::native::graph::Graph {
            format: super::FORMAT,
            values,
            nodes,
            inputs: Vec::new(),
            outputs: Vec::new(),
            states,
        };
        program::resolve(&mut graph, Target::plain(self.budget))?;
        for (node, variable) in graph.nodes.iter().zip(of) {
            if node.name != "ASSIGN_VARIABLE" {
                if program::is_folded(&graph, node) {
                    continue;
                }
                let why =
                    format!("an initialisation that runs node {} ({})", node.index, node.name);
                return Err(unsupported(why));
            }
            let value = node.inputs.get(1).copied().flatten().map(|id| &graph.values[id]);
            let Some((value, data)) = value.and_then(|value| Some((value, value.data.as_ref()?)))
            else {
                return Err(unsupported("a variable that does not begin with a constant"));
            };
            if self.states.iter().any(|(kept, _)| *kept == Kept::Variable(variable)) {
                return Err(unsupported("an initialisation after the variable's first use"));
            }
            self.budget.take(data.len())?;
            let (dtype, shape, quant) = (value.dtype, value.shape.clone(), value.quant.clone());
            let data = Some(data.clone());
            if let Some(variable) = self.file.variables.borrow_mut().get_mut(variable) {
                variable.value = Some(Value { dtype, shape, quant, data, nibbles: false });
            }
        }
        Ok(())
    }

    /// The variable that an operator's first input stands for.
    fn handle(&self, inputs: &[i32]) -> Result<usize, Refusal> {
        let handle = inputs.first().and_then(|tensor| self.handles.get(tensor)).copied();
        handle.ok_or_else(|| unsupported("a variable that no VAR_HANDLE names"))
    }

    /// This graph's value of a variable.
    fn variable(&mut self, number: usize) -> Result<ValueId, Refusal> {
        let variables = self.file.variables.borrow();
        let Variable { name, value, .. } = &variables[number];
        let Some(value) = value else {
            let name = name.escape_debug();
            return Err(malformed(format!("variable {name} is read before anything is assigned")));
        };
        let initial: Option<Cow<'a, [u8]>> = value.data.clone();
        self.keep(Kept::Variable(number), value, &State { value: 0, initial })
    }
}
