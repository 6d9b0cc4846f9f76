//! TFLite files into graphs. Only what the operators use is read, and all of it is checked.

mod describe;
mod lower;
mod schema;

pub(super) use describe::describe;

use std::borrow::Cow;

use super::flatbuffer::{FlatError, Table, Tables};
use super::graph::{Graph, Node, Port, Quant, Value, ValueId};
use super::kernels::Refusal;
use super::limits::{Budget, NODES_MAX, PORTS_MAX, RANK_MAX};
use super::program::refused;
use crate::data::{DType, Quantization};
use crate::engine::{EngineError, EngineKind};

/// Reads the model in `bytes`; constants borrow from them.
pub(super) fn import<'a>(bytes: &'a [u8], budget: &Budget) -> Result<Graph<'a>, EngineError> {
    let (model, subgraph, mut importer) = open(bytes, budget)?;
    let nodes = importer.nodes(subgraph.tables(schema::subgraph::OPERATORS)?)?;
    let inputs = importer.ports(&model, &subgraph, schema::subgraph::INPUTS)?;
    let outputs = importer.ports(&model, &subgraph, schema::subgraph::OUTPUTS)?;
    Ok(Graph { values: importer.values, nodes, inputs, outputs })
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
}

impl<'a> Importer<'a, '_> {
    fn nodes(&mut self, operators: Tables<'a>) -> Result<Vec<Node>, EngineError> {
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

    fn node(&mut self, index: usize, operator: &Table<'a>) -> Result<Node, EngineError> {
        let in_node = |error: FlatError| malformed(format!("node {index}: {error}"));
        let opcode = operator.scalar(schema::operator::OPCODE_INDEX, 0u32).map_err(in_node)?;
        let code = usize::try_from(opcode).ok().map(|opcode| self.codes.get(opcode)).transpose();
        let code = code.map_err(in_node)?.flatten();
        let code = code.ok_or_else(|| malformed(format!("node {index}: no operator {opcode}")))?;
        let (name, lowered) = lower::lower(&code, operator).map_err(in_node)?;
        let refuse = |refusal| refused(index, name, refusal);
        let op = lowered.map_err(refuse)?;
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
        let table = self.tensors.get(index).map_err(flat)?.ok_or_else(missing)?;
        self.budget.take_for::<(Value<'_>, usize)>(2)?;
        let value = self.read(&table).map_err(|refusal| about(tensor, refusal))?;
        self.values.push(value);
        self.seen[index] = Some(self.values.len() - 1);
        Ok(self.values.len() - 1)
    }

    fn read(&self, table: &Table<'a>) -> Result<Value<'a>, Refusal> {
        let number = table.scalar(schema::tensor::TYPE, 0i8).map_err(flat)?;
        let dtype = match number {
            0 => DType::F32,
            2 => DType::I32,
            3 => DType::U8,
            4 => DType::I64,
            7 => DType::I16,
            9 => DType::I8,
            10 => DType::F64,
            other => return Err(Refusal::Unsupported(format!("tensor type number {other}"))),
        };
        if table.scalar(schema::tensor::IS_VARIABLE, 0u8).map_err(flat)? != 0 {
            return Err(Refusal::Unsupported("a variable".into()));
        }
        if table.table(schema::tensor::SPARSITY).map_err(flat)?.is_some() {
            return Err(Refusal::Unsupported("a sparse tensor".into()));
        }
        let dims = table.scalars::<i32>(schema::tensor::SHAPE).map_err(flat)?;
        if dims.len() > RANK_MAX {
            return Err(Refusal::Malformed(format!("{} dimensions", dims.len())));
        }
        let shape = dims.iter().map(|dim| match usize::try_from(dim) {
            Ok(dim) if dim > 0 => Ok(dim),
            _ => Err(Refusal::Malformed(format!("a dimension of {dim}"))),
        });
        let shape: Vec<usize> = shape.collect::<Result<_, _>>()?;
        let quant = self.quant(table, dtype, &shape)?;
        Ok(Value { dtype, shape, quant, data: self.data(table)? })
    }

    fn quant(&self, table: &Table<'a>, dtype: DType, shape: &[usize]) -> Result<Quant, Refusal> {
        use schema::quantization as field;
        let Some(table) = table.table(schema::tensor::QUANTIZATION).map_err(flat)? else {
            return Ok(Quant::None);
        };
        if table.scalar(field::DETAILS_TYPE, 0u8).map_err(flat)? != 0 {
            return Err(Refusal::Unsupported("a custom quantization".into()));
        }
        let scales = table.scalars::<f32>(field::SCALE).map_err(flat)?;
        let zero_points = table.scalars::<i64>(field::ZERO_POINT).map_err(flat)?;
        if scales.len() == 0 {
            return Ok(Quant::None);
        }
        if zero_points.len() != scales.len() && zero_points.len() != 0 {
            let (scales, zero_points) = (scales.len(), zero_points.len());
            return Err(Refusal::Malformed(format!("{scales} scales, {zero_points} zero points")));
        }
        if let Some(scale) = scales.iter().find(|scale| !scale.is_finite() || *scale <= 0.0) {
            return Err(Refusal::Malformed(format!("a scale of {scale}")));
        }
        let axis = table.scalar(field::QUANTIZED_DIMENSION, 0i32).map_err(flat)?;
        if scales.len() > 1 {
            let axis = usize::try_from(axis).ok().filter(|&axis| axis < shape.len());
            let axis = axis.filter(|&axis| shape[axis] == scales.len());
            let Some(axis) = axis else {
                let why = format!("{} scales do not fit {shape:?}", scales.len());
                return Err(Refusal::Malformed(why));
            };
            if zero_points.iter().any(|zero_point| zero_point != 0) {
                return Err(Refusal::Unsupported("zero points per channel".into()));
            }
            self.budget.take_for::<f32>(scales.len())?;
            return Ok(Quant::Channels { axis, scales: scales.iter().collect() });
        }
        let zero_point = zero_points.iter().next().unwrap_or(0);
        let (low, high) = match dtype {
            DType::U8 => (0, 255),
            DType::I8 => (-128, 127),
            DType::I16 => (-32768, 32767),
            _ => (0, 0),
        };
        let zero_point = i32::try_from(zero_point).ok().filter(|z| (low..=high).contains(z));
        let zero_point = zero_point
            .ok_or_else(|| Refusal::Malformed(format!("a zero point outside {low}..={high}")))?;
        let scale = scales.iter().next().unwrap_or(1.0);
        Ok(Quant::Tensor(Quantization { scale, zero_point }))
    }

    /// The tensor's constant bytes, if it has any.
    fn data(&self, table: &Table<'a>) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
        let number = table.scalar(schema::tensor::BUFFER, 0u32).map_err(flat)?;
        let Ok(index) = usize::try_from(number) else { return Ok(None) };
        // Buffer 0 is the empty one by convention.
        if index == 0 {
            return Ok(None);
        }
        let buffer = self.buffers.get(index).map_err(flat)?;
        let buffer =
            buffer.ok_or_else(|| Refusal::Malformed(format!("there is no buffer {number}")))?;
        if buffer.scalar(schema::buffer::OFFSET, 0u64).map_err(flat)? > 1 {
            return Err(Refusal::Unsupported("data outside the FlatBuffer".into()));
        }
        let data = buffer.scalars::<u8>(schema::buffer::DATA).map_err(flat)?.bytes();
        Ok((!data.is_empty()).then_some(Cow::Borrowed(data)))
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

fn flat(error: FlatError) -> Refusal {
    Refusal::Malformed(error.to_string())
}

fn about(tensor: i32, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Malformed(why) => Refusal::Malformed(format!("tensor {tensor}: {why}")),
        Refusal::Unsupported(why) => Refusal::Unsupported(format!("tensor {tensor}: {why}")),
        limit @ Refusal::Limit(_) => limit,
    }
}

fn malformed(why: impl Into<String>) -> EngineError {
    EngineError::Malformed { format: "TFLite", why: why.into() }
}
