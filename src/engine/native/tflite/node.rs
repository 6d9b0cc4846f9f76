//! One operator of a graph, with the tensors that it reads and writes.

use super::lower::{Lowered, lower, updates};
use super::rows::Rewrites;
use super::{FORMAT, Importer, malformed, schema};
use crate::engine::EngineError;
use crate::engine::native::flatbuffer::{FlatError, Table};
use crate::engine::native::graph::{Node, Quant, ValueId};
use crate::engine::native::limits::{NODES_MAX, PORTS_MAX};
use crate::engine::native::ops::Refusal;
use crate::engine::native::program::refused_at;

impl<'a> Importer<'a, '_> {
    /// The graph's operators.
    pub(super) fn nodes(&mut self) -> Result<Vec<Node<'a>>, EngineError> {
        let operators = self.subgraph.tables(schema::subgraph::OPERATORS)?;
        let found = self.file.nodes.get().saturating_add(operators.len());
        self.file.nodes.set(found);
        if found > NODES_MAX {
            return Err(malformed(format!("{found} operators; the limit is {NODES_MAX}")));
        }
        let rewrites = self.rewrites().map_err(|refusal| match refusal {
            Refusal::Limit(error) => error,
            Refusal::Malformed(why) | Refusal::Unsupported(why) => malformed(why),
        })?;
        let mut nodes = Vec::with_capacity(operators.len());
        for index in 0..operators.len() {
            if let Some(operator) = operators.get(index)?
                && !rewrites.gone.contains(&index)
            {
                nodes.extend(self.node(index, &operator, &rewrites)?);
            }
        }
        Ok(nodes)
    }

    /// `None` for an operator that leaves nothing to run.
    fn node(
        &mut self,
        index: usize,
        operator: &Table<'a>,
        rewrites: &Rewrites,
    ) -> Result<Option<Node<'a>>, EngineError> {
        let in_node = |error: FlatError| malformed(format!("node {index}: {error}"));
        let opcode = operator.scalar(schema::operator::OPCODE_INDEX, 0u32).map_err(in_node)?;
        let codes = self.file.codes;
        let code = usize::try_from(opcode).ok().map(|opcode| codes.get(opcode)).transpose();
        let code = code.map_err(in_node)?.flatten();
        let code = code.ok_or_else(|| malformed(format!("node {index}: no operator {opcode}")))?;
        let update = rewrites.updates.get(&index);
        let Lowered { name, op } = match update {
            Some(_) => updates(),
            None => lower(&code, operator).map_err(in_node)?,
        };
        let refuse = |refusal| refused_at(FORMAT, index, name, refusal);
        let op = op.map_err(refuse)?;
        let list = |field| {
            let list = operator.scalars::<i32>(field)?;
            if list.len() > PORTS_MAX {
                let why = format!("{} tensors; the limit is {PORTS_MAX}", list.len());
                return Err(Refusal::Malformed(why));
            }
            Ok(list.iter().collect::<Vec<_>>())
        };
        let mut inputs = list(schema::operator::INPUTS).map_err(refuse)?;
        if let (Some(first), Some(&other)) = (inputs.first_mut(), rewrites.first.get(&index)) {
            *first = other;
        }
        if let Some(update) = update {
            inputs = update.to_vec();
        }
        let outputs = list(schema::operator::OUTPUTS).map_err(refuse)?;
        let mut node = Node {
            index,
            name,
            op,
            inputs: Vec::new(),
            outputs: Vec::new(),
            bodies: Vec::new(),
            intermediates: Vec::new(),
        };
        let done = match name {
            "VAR_HANDLE" => self.var_handle(operator, &outputs).map(|()| true),
            "CALL_ONCE" => self.call_once(&*node.op).map(|()| true),
            "READ_VARIABLE" => self.read_variable(&mut node, &inputs, &outputs).map(|()| false),
            "ASSIGN_VARIABLE" => self.assign_variable(&mut node, &inputs).map(|()| false),
            _ if node.op.calls().is_some() => {
                self.bodies(&mut node, &inputs, &outputs).map(|()| false)
            }
            _ => self.tensors(&mut node, &inputs, &outputs, operator).map(|()| false),
        };
        Ok(if done.map_err(refuse)? { None } else { Some(node) })
    }

    /// Gives `node` its values.
    fn tensors(
        &mut self,
        node: &mut Node<'a>,
        inputs: &[i32],
        outputs: &[i32],
        operator: &Table<'a>,
    ) -> Result<(), Refusal> {
        for &tensor in inputs {
            node.inputs.push(self.present(tensor)?);
        }
        for &tensor in outputs {
            node.outputs.extend(self.present(tensor)?);
        }
        let intermediates = operator.scalars::<i32>(schema::operator::INTERMEDIATES)?;
        if intermediates.len() > PORTS_MAX {
            return Err(Refusal::Malformed(format!("{} intermediates", intermediates.len())));
        }
        for tensor in intermediates.iter() {
            node.intermediates.push(self.intermediate(tensor)?);
        }
        Ok(())
    }

    /// The value of `tensor`; `None` where it was left out.
    pub(super) fn present(&mut self, tensor: i32) -> Result<Option<ValueId>, Refusal> {
        if tensor == -1 { Ok(None) } else { self.value(tensor).map(Some) }
    }

    /// How a tensor is quantized that no operator reads.
    fn intermediate(&mut self, tensor: i32) -> Result<Quant, Refusal> {
        let missing = || Refusal::Malformed(format!("there is no tensor {tensor}"));
        let index = usize::try_from(tensor).map_err(|_| missing())?;
        let table = self.tensors.get(index)?.ok_or_else(missing)?;
        self.budget.take_for::<Quant>(1)?;
        Ok(self.read(&table)?.quant)
    }
}
