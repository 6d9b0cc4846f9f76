//! TFLite files into graphs. Only what the operators use is read, and all of it is checked.

mod body;
#[cfg(test)]
mod damage;
mod describe;
mod lower;
mod node;
mod rows;
mod schema;
mod sparse;
mod tensor;
mod variable;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

pub(super) use describe::describe;
pub(super) use lower::Options;
pub(super) use schema::operator_number;

use self::variable::{Kept, Variable};
use super::flatbuffer::{FlatError, Table, Tables};
use super::graph::{Graph, Port, State, Value, ValueId};
use super::limits::{Budget, PORTS_MAX};
use super::ops::Refusal;
use crate::engine::{EngineError, EngineKind};

/// For messages.
const FORMAT: &str = "TFLite";

/// Reads the model in `bytes`; constants borrow from them.
pub(super) fn import<'a>(bytes: &'a [u8], budget: &Budget) -> Result<Graph<'a>, EngineError> {
    let file = File::open(bytes, budget)?;
    let mut importer = Importer::new(&file, vec![0])?;
    let nodes = importer.nodes()?;
    let inputs = importer.ports(schema::subgraph::INPUTS)?;
    let outputs = importer.ports(schema::subgraph::OUTPUTS)?;
    let Importer { values, states, .. } = importer;
    let states = states.into_iter().map(|(_, state)| state).collect();
    Ok(Graph { format: FORMAT, values, nodes, inputs, outputs, states })
}

/// Which dimensions of each input the model leaves open: a batch, a length.
pub(super) fn open_dimensions(
    bytes: &[u8],
    budget: &Budget,
) -> Result<Vec<Vec<bool>>, EngineError> {
    let file = File::open(bytes, budget)?;
    let importer = Importer::new(&file, vec![0])?;
    let mut all = Vec::new();
    for tensor in importer.subgraph.scalars::<i32>(schema::subgraph::INPUTS)?.iter() {
        let table = usize::try_from(tensor).ok().map(|tensor| importer.tensors.get(tensor));
        let Some(table) = table.transpose()?.flatten() else { break };
        let shape = table.scalars::<i32>(schema::tensor::SHAPE)?.len();
        let told = table.scalars::<i32>(schema::tensor::SHAPE_SIGNATURE)?;
        budget.take(told.len().max(shape))?;
        let mut open: Vec<bool> = told.iter().map(|dim| dim == -1).collect();
        open.resize(shape, false);
        all.push(open);
    }
    Ok(all)
}

/// What all graphs of a file share.
struct File<'a, 'b> {
    budget: &'b Budget,
    model: Table<'a>,
    subgraphs: Tables<'a>,
    buffers: Tables<'a>,
    codes: Tables<'a>,
    /// Operators read so far; a graph that is run in several places counts in each.
    nodes: Cell<usize>,
    variables: RefCell<Vec<Variable<'a>>>,
}

impl<'a, 'b> File<'a, 'b> {
    fn open(bytes: &'a [u8], budget: &'b Budget) -> Result<Self, EngineError> {
        if bytes.get(4..8) != Some(schema::IDENTIFIER) {
            return Err(malformed("it does not carry the identifier TFL3"));
        }
        let model = Table::root(bytes)?;
        let version = model.scalar(schema::model::VERSION, 0u32)?;
        if version != schema::VERSION {
            let why = format!("schema version {version} instead of {}", schema::VERSION);
            return Err(malformed(why));
        }
        Ok(Self {
            budget,
            model,
            subgraphs: model.tables(schema::model::SUBGRAPHS)?,
            buffers: model.tables(schema::model::BUFFERS)?,
            codes: model.tables(schema::model::OPERATOR_CODES)?,
            nodes: Cell::new(0),
            variables: RefCell::new(Vec::new()),
        })
    }
}

/// Reads one graph of a file.
struct Importer<'a, 'f> {
    file: &'f File<'a, 'f>,
    budget: &'f Budget,
    /// The graphs that are being read, by number: this one last, each within the one before it.
    path: Vec<usize>,
    subgraph: Table<'a>,
    tensors: Tables<'a>,
    /// By tensor; what became of those that were met.
    seen: Vec<Option<ValueId>>,
    values: Vec<Value<'a>>,
    states: Vec<(Kept, State<'a>)>,
    /// Which variable a tensor stands for.
    handles: BTreeMap<i32, usize>,
}

impl<'a, 'f> Importer<'a, 'f> {
    /// Reads the last graph of `path`, so far nothing of it.
    fn new(file: &'f File<'a, 'f>, path: Vec<usize>) -> Result<Self, EngineError> {
        let number = path.last().copied().unwrap_or_default();
        let subgraph = file.subgraphs.get(number)?;
        let subgraph = subgraph.ok_or_else(|| malformed(format!("it holds no graph {number}")))?;
        let tensors = subgraph.tables(schema::subgraph::TENSORS)?;
        file.budget.take_for::<Option<ValueId>>(tensors.len())?;
        Ok(Self {
            file,
            budget: file.budget,
            path,
            subgraph,
            tensors,
            seen: vec![None; tensors.len()],
            values: Vec::new(),
            states: Vec::new(),
            handles: BTreeMap::new(),
        })
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
        let id = self.values.len() - 1;
        if table.scalar(schema::tensor::IS_VARIABLE, 0u8)? != 0 {
            let graph = self.path.last().copied().unwrap_or_default();
            let kept = Kept::Tensor { graph, tensor: index };
            self.states.push((kept, State { value: id, initial: None }));
        }
        self.seen[index] = Some(id);
        Ok(id)
    }

    /// The model's inputs or outputs, in the graph's order.
    fn ports(&mut self, field: usize) -> Result<Vec<Port>, EngineError> {
        let tensors = self.subgraph.scalars::<i32>(field)?;
        if tensors.len() > PORTS_MAX {
            let found = tensors.len();
            return Err(malformed(format!("{found} inputs or outputs; the limit is {PORTS_MAX}")));
        }
        let names = if field == schema::subgraph::INPUTS {
            signature_names(&self.file.model, schema::signature_def::INPUTS)?
        } else {
            signature_names(&self.file.model, schema::signature_def::OUTPUTS)?
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
