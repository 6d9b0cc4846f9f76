//! TFLite files into graphs. Only what the operators use is read, and all of it is checked.

mod describe;
mod lower;
mod schema;
mod tensor;

pub(super) use describe::describe;
pub(super) use lower::Options;

use self::lower::Lowered;
use super::flatbuffer::{FlatError, Table, Tables};
use super::graph::{Graph, Node, Port, State, Value, ValueId};
use super::limits::{Budget, NODES_MAX, PORTS_MAX};
use super::ops::Refusal;
use super::program::refused_at;
use crate::engine::{EngineError, EngineKind};

/// For messages.
const FORMAT: &str = "TFLite";

/// Reads the model in `bytes`; constants borrow from them.
pub(super) fn import<'a>(bytes: &'a [u8], budget: &Budget) -> Result<Graph<'a>, EngineError> {
    let (model, subgraph, mut importer) = open(bytes, budget)?;
    let nodes = importer.nodes(subgraph.tables(schema::subgraph::OPERATORS)?)?;
    let inputs = importer.ports(&model, &subgraph, schema::subgraph::INPUTS)?;
    let outputs = importer.ports(&model, &subgraph, schema::subgraph::OUTPUTS)?;
    let Importer { values, states, .. } = importer;
    Ok(Graph { format: FORMAT, values, nodes, inputs, outputs, states })
}

/// The file's root, its one graph, and an importer that has read nothing yet.
fn open<'a, 'b>(
    bytes: &'a [u8],
    budget: &'b Budget,
) -> Result<(Table<'a>, Table<'a>, Importer<'a, 'b>), EngineError> {
    if bytes.get(4..8) != Some(schema::IDENTIFIER) {
        return Err(malformed("it does not carry the identifier TFL3"));
    }
    let model = Table::root(bytes)?;
    let version = model.scalar(schema::model::VERSION, 0u32)?;
    if version != schema::VERSION {
        return Err(malformed(format!("schema version {version} instead of {}", schema::VERSION)));
    }
    let subgraphs = model.tables(schema::model::SUBGRAPHS)?;
    let subgraph = subgraphs.get(0)?.ok_or_else(|| malformed("it holds no graph"))?;
    let tensors = subgraph.tables(schema::subgraph::TENSORS)?;
    budget.take_for::<Option<ValueId>>(tensors.len())?;
    let importer = Importer {
        budget,
        tensors,
        buffers: model.tables(schema::model::BUFFERS)?,
        codes: model.tables(schema::model::OPERATOR_CODES)?,
        seen: vec![None; tensors.len()],
        values: Vec::new(),
        states: Vec::new(),
    };
    Ok((model, subgraph, importer))
}

struct Importer<'a, 'b> {
    budget: &'b Budget,
    tensors: Tables<'a>,
    buffers: Tables<'a>,
    codes: Tables<'a>,
    /// By tensor; what became of those that were met.
    seen: Vec<Option<ValueId>>,
    values: Vec<Value<'a>>,
    states: Vec<State<'a>>,
}

impl<'a> Importer<'a, '_> {
    fn nodes(&mut self, operators: Tables<'a>) -> Result<Vec<Node<'a>>, EngineError> {
        if operators.len() > NODES_MAX {
            let found = operators.len();
            return Err(malformed(format!("{found} operators; the limit is {NODES_MAX}")));
        }
        let mut nodes = Vec::with_capacity(operators.len());
        for index in 0..operators.len() {
            if let Some(operator) = operators.get(index)? {
                nodes.push(self.node(index, &operator)?);
            }
        }
        Ok(nodes)
    }

    fn node(&mut self, index: usize, operator: &Table<'a>) -> Result<Node<'a>, EngineError> {
        let in_node = |error: FlatError| malformed(format!("node {index}: {error}"));
        let opcode = operator.scalar(schema::operator::OPCODE_INDEX, 0u32).map_err(in_node)?;
        let code = usize::try_from(opcode).ok().map(|opcode| self.codes.get(opcode)).transpose();
        let code = code.map_err(in_node)?.flatten();
        let code = code.ok_or_else(|| malformed(format!("node {index}: no operator {opcode}")))?;
        let Lowered { name, op } = lower::lower(&code, operator).map_err(in_node)?;
        let refuse = |refusal| refused_at(FORMAT, index, name, refusal);
        let op = op.map_err(refuse)?;
        let lists = [schema::operator::INPUTS, schema::operator::OUTPUTS].map(|field| {
            let list = operator.scalars::<i32>(field).map_err(in_node)?;
            if list.len() > PORTS_MAX {
                let why = format!("{} tensors; the limit is {PORTS_MAX}", list.len());
                return Err(refuse(Refusal::Malformed(why)));
            }
            let values = list.iter().map(|tensor| match tensor {
                -1 => Ok(None),
                tensor => self.value(tensor).map(Some).map_err(refuse),
            });
            values.collect::<Result<Vec<_>, _>>()
        });
        let [inputs, outputs] = lists;
        let outputs = outputs?.into_iter().flatten().collect();
        Ok(Node { index, name, op, inputs: inputs?, outputs })
    }

    /// The value of tensor number `tensor`.
    fn value(&mut self, tensor: i32) -> Result<ValueId, Refusal> {
        let missing = || Refusal::Malformed(format!("there is no tensor {tensor}"));
        let index = usize::try_from(tensor).map_err(|_| missing())?;
        if let Some(id) = self.seen.get(index).ok_or_else(missing)? {
            return Ok(*id);
        }
        let table = self.tensors.get(index)?.ok_or_else(missing)?;
        self.budget.take_for::<(Value<'_>, usize)>(2)?;
        let value = self.read(&table).map_err(|refusal| about(tensor, refusal))?;
        self.values.push(value);
        if table.scalar(schema::tensor::IS_VARIABLE, 0u8)? != 0 {
            self.states.push(State { value: self.values.len() - 1, initial: None });
        }
        self.seen[index] = Some(self.values.len() - 1);
        Ok(self.values.len() - 1)
    }

    /// The model's inputs or outputs, in the graph's order.
    fn ports(
        &mut self,
        model: &Table<'a>,
        subgraph: &Table<'a>,
        field: usize,
    ) -> Result<Vec<Port>, EngineError> {
        let tensors = subgraph.scalars::<i32>(field)?;
        if tensors.len() > PORTS_MAX {
            let found = tensors.len();
            return Err(malformed(format!("{found} inputs or outputs; the limit is {PORTS_MAX}")));
        }
        let names = if field == schema::subgraph::INPUTS {
            signature_names(model, schema::signature_def::INPUTS)?
        } else {
            signature_names(model, schema::signature_def::OUTPUTS)?
        };
        let mut ports = Vec::with_capacity(tensors.len());
        for tensor in tensors.iter() {
            let value = self.value(tensor).map_err(|refusal| match refusal {
                Refusal::Limit(error) => error,
                Refusal::Malformed(why) => malformed(format!("inputs and outputs: {why}")),
                Refusal::Unsupported(why) => EngineError::Unsupported {
                    engine: EngineKind::Native,
                    node: "-".into(),
                    op: "model inputs and outputs".into(),
                    why,
                },
            })?;
            let own = match usize::try_from(tensor) {
                Ok(index) => self.tensors.get(index)?,
                Err(_) => None,
            };
            let own = own.map(|table| table.text(schema::tensor::NAME)).transpose()?.flatten();
            let listed = names.iter().find(|(_, of)| i64::from(*of) == i64::from(tensor));
            let name = listed.map_or(own.unwrap_or_default(), |(name, _)| *name).to_owned();
            self.budget.take(name.len())?;
            ports.push(Port { name, value });
        }
        Ok(ports)
    }
}

/// Names that the model's first signature gives to tensors, if it has one for the first graph.
fn signature_names<'a>(
    model: &Table<'a>,
    field: usize,
) -> Result<Vec<(&'a str, u32)>, EngineError> {
    let mut names = Vec::new();
    let Some(signature) = model.tables(schema::model::SIGNATURE_DEFS)?.get(0)? else {
        return Ok(names);
    };
    let maps = signature.tables(field)?;
    if signature.scalar(schema::signature_def::SUBGRAPH_INDEX, 0u32)? != 0 || maps.len() > PORTS_MAX
    {
        return Ok(names);
    }
    for index in 0..maps.len() {
        let Some(map) = maps.get(index)? else { continue };
        if let Some(name) = map.text(schema::tensor_map::NAME)? {
            names.push((name, map.scalar(schema::tensor_map::TENSOR_INDEX, 0u32)?));
        }
    }
    Ok(names)
}

impl From<FlatError> for EngineError {
    fn from(error: FlatError) -> Self {
        malformed(error.to_string())
    }
}

fn about(tensor: i32, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Malformed(why) => Refusal::Malformed(format!("tensor {tensor}: {why}")),
        Refusal::Unsupported(why) => Refusal::Unsupported(format!("tensor {tensor}: {why}")),
        limit @ Refusal::Limit(_) => limit,
    }
}

fn malformed(why: impl Into<String>) -> EngineError {
    EngineError::Malformed { format: FORMAT, why: why.into() }
}
