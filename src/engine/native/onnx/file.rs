//! An ONNX file as its own words: nodes, tensors, attributes by name. Everything borrows from the file;
//! nothing is understood yet.

use super::schema;
use crate::engine::EngineError;
use crate::engine::native::limits::{Budget, NODES_MAX, PORTS_MAX, RANK_MAX};
use crate::engine::native::protobuf::{Message, ProtoError};

/// Attributes of one node.
const ATTRIBUTES_MAX: usize = 64;
/// Initializers and other named tensors of one graph.
const NAMES_MAX: usize = 4 * NODES_MAX;
/// Graphs in attributes.
const GRAPHS_MAX: usize = 1000;

/// The whole file.
#[derive(Debug)]
pub(super) struct ModelFile<'a> {
    /// Operator sets: domain and version.
    pub(super) opsets: Vec<(&'a str, i64)>,
    pub(super) graph: GraphFile<'a>,
    /// Functions that the file defines for itself.
    pub(super) functions: usize,
}

/// A `GraphProto`.
#[derive(Debug, Default)]
pub(super) struct GraphFile<'a> {
    pub(super) nodes: Vec<NodeFile<'a>>,
    pub(super) initializers: Vec<TensorFile<'a>>,
    pub(super) inputs: Vec<PortFile<'a>>,
    pub(super) outputs: Vec<PortFile<'a>>,
    /// Shapes that the file states for tensors in between.
    pub(super) infos: Vec<PortFile<'a>>,
}

/// A `NodeProto`.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeFile<'a> {
    pub(super) op: &'a str,
    /// Empty for `ai.onnx`.
    pub(super) domain: &'a str,
    pub(super) name: &'a str,
    /// An empty name is an optional input that was left out.
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: Vec<(&'a str, Message<'a>)>,
}

/// A `TensorProto`, not yet decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct TensorFile<'a> {
    pub(super) name: &'a str,
    pub(super) message: Message<'a>,
}

/// A `ValueInfoProto`.
#[derive(Clone, Debug)]
pub(super) struct PortFile<'a> {
    pub(super) name: &'a str,
    /// Number of its element type; 0 for what is no tensor.
    pub(super) data_type: i64,
    /// `None` where the file does not say; a dimension is `None` where it is free.
    pub(super) shape: Option<Vec<Option<i64>>>,
}

impl<'a> ModelFile<'a> {
    /// Reads the outer parts of `bytes`.
    pub(super) fn open(bytes: &'a [u8], budget: &Budget) -> Result<Self, EngineError> {
        let (mut opsets, mut graph, mut functions) = (Vec::new(), None, 0);
        for field in Message::root(bytes).fields() {
            let field = field?;
            match field.number {
                schema::model::GRAPH => graph = Some(field.message()?),
                schema::model::FUNCTIONS => functions += 1,
                schema::model::IR_VERSION if !(1..=64).contains(&field.int()?) => {
                    return Err(malformed(format!("IR version {}", field.int()?)));
                }
                schema::model::OPSET_IMPORT if opsets.len() < PORTS_MAX => {
                    let (mut domain, mut version) = ("", 0);
                    for field in field.message()?.fields() {
                        let field = field?;
                        match field.number {
                            schema::opset::DOMAIN => domain = plain_domain(field.text()?),
                            schema::opset::VERSION => version = field.int()?,
                            _ => {}
                        }
                    }
                    opsets.push((domain, version));
                }
                _ => {}
            }
        }
        let graph = graph.ok_or_else(|| malformed("it has no graph"))?;
        Ok(Self { opsets, graph: GraphFile::read(graph, budget)?, functions })
    }

    /// The version of the operators of `domain`.
    pub(super) fn opset(&self, domain: &str) -> Option<i64> {
        self.opsets.iter().find(|(of, _)| *of == domain).map(|(_, version)| *version)
    }
}

/// `ai.onnx` is the long name of the empty domain.
fn plain_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

impl<'a> GraphFile<'a> {
    pub(super) fn read(message: Message<'a>, budget: &Budget) -> Result<Self, EngineError> {
        let mut graph = Self::default();
        for field in message.fields() {
            let field = field?;
            match field.number {
                schema::graph::NODE => {
                    budget.take_for::<NodeFile<'_>>(2)?;
                    let node = NodeFile::read(graph.nodes.len(), field.message()?, budget)?;
                    graph.nodes.push(node);
                }
                schema::graph::INITIALIZER => {
                    budget.take_for::<TensorFile<'_>>(2)?;
                    graph.initializers.push(TensorFile::read(field.message()?)?);
                }
                schema::graph::INPUT => port(&mut graph.inputs, field.message()?, budget)?,
                schema::graph::OUTPUT => port(&mut graph.outputs, field.message()?, budget)?,
                schema::graph::VALUE_INFO => port(&mut graph.infos, field.message()?, budget)?,
                schema::graph::SPARSE_INITIALIZER => {
                    return Err(malformed("it has a sparse initializer, which is not read"));
                }
                _ => {}
            }
            let counts = [
                ("nodes", graph.nodes.len(), NODES_MAX),
                ("initializers", graph.initializers.len(), NAMES_MAX),
                ("inputs", graph.inputs.len(), NAMES_MAX),
                ("outputs", graph.outputs.len(), PORTS_MAX),
                ("stated shapes", graph.infos.len(), NAMES_MAX),
            ];
            if let Some((what, _, limit)) = counts.iter().find(|(_, count, max)| count > max) {
                return Err(malformed(format!("it has more than {limit} {what}")));
            }
        }
        Ok(graph)
    }

    /// Inputs that a run must give; the others have a constant of the same name.
    pub(super) fn free_inputs(&self) -> impl Iterator<Item = &PortFile<'a>> {
        let constants: std::collections::HashSet<_> =
            self.initializers.iter().map(|tensor| tensor.name).collect();
        self.inputs.iter().filter(move |input| !constants.contains(input.name))
    }
}

fn port<'a>(
    ports: &mut Vec<PortFile<'a>>,
    message: Message<'a>,
    budget: &Budget,
) -> Result<(), EngineError> {
    budget.take_for::<PortFile<'_>>(2)?;
    budget.take_for::<Option<i64>>(RANK_MAX)?;
    ports.push(PortFile::read(message)?);
    Ok(())
}

impl<'a> NodeFile<'a> {
    fn read(index: usize, message: Message<'a>, budget: &Budget) -> Result<Self, EngineError> {
        let mut node = Self::default();
        for field in message.fields() {
            let field = field?;
            match field.number {
                schema::node::INPUT => {
                    budget.take_for::<&str>(2)?;
                    node.inputs.push(field.text()?);
                }
                schema::node::OUTPUT => {
                    budget.take_for::<&str>(2)?;
                    node.outputs.push(field.text()?);
                }
                schema::node::NAME => node.name = field.text()?,
                schema::node::OP_TYPE => node.op = field.text()?,
                schema::node::DOMAIN => node.domain = plain_domain(field.text()?),
                schema::node::ATTRIBUTE => {
                    budget.take_for::<(&str, Message<'_>)>(2)?;
                    let attribute = field.message()?;
                    let mut name = "";
                    for field in attribute.fields() {
                        let field = field?;
                        if field.number == schema::attribute::NAME {
                            name = field.text()?;
                        }
                    }
                    node.attributes.push((name, attribute));
                }
                _ => {}
            }
            let ports = node.inputs.len().max(node.outputs.len());
            if ports > PORTS_MAX || node.attributes.len() > ATTRIBUTES_MAX {
                return Err(malformed(format!(
                    "node {index}: more than {PORTS_MAX} tensors or {ATTRIBUTES_MAX} attributes"
                )));
            }
        }
        Ok(node)
    }

    /// What people call it: its place, and its name where it has one.
    pub(super) fn shown(&self, index: usize) -> String {
        let first = || self.outputs.first().copied().unwrap_or_default();
        let name = if self.name.is_empty() { first() } else { self.name };
        let name: String = name.chars().take(100).collect();
        if name.is_empty() {
            index.to_string()
        } else {
            format!("{index} \"{}\"", name.escape_debug())
        }
    }

    /// The attribute called `name`.
    pub(super) fn attribute(&self, name: &str) -> Option<Message<'a>> {
        self.attributes.iter().find(|(of, _)| *of == name).map(|(_, message)| *message)
    }

    /// The graphs in its attributes.
    fn graphs(&self) -> impl Iterator<Item = Result<Message<'a>, ProtoError>> {
        use schema::attribute::{G, GRAPHS};
        let fields = self.attributes.iter().flat_map(|(_, attribute)| attribute.fields());
        fields.filter_map(|field| match field {
            Ok(field) if matches!(field.number, G | GRAPHS) => Some(field.message()),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }
}

impl<'a> TensorFile<'a> {
    /// Reads only the name.
    pub(super) fn read(message: Message<'a>) -> Result<Self, EngineError> {
        let mut name = "";
        for field in message.fields() {
            let field = field?;
            if field.number == schema::tensor::NAME {
                name = field.text()?;
            }
        }
        Ok(Self { name, message })
    }
}

impl<'a> PortFile<'a> {
    fn read(message: Message<'a>) -> Result<Self, EngineError> {
        use schema::value_info as number;
        let mut port = Self { name: "", data_type: 0, shape: None };
        let mut tensors = Vec::new();
        for field in message.fields() {
            let field = field?;
            match field.number {
                number::NAME => port.name = field.text()?,
                number::TYPE => {
                    for field in field.message()?.fields() {
                        let field = field?;
                        if field.number == number::TYPE_TENSOR && tensors.is_empty() {
                            tensors.push(field.message()?);
                        }
                    }
                }
                _ => {}
            }
        }
        for field in tensors.iter().flat_map(Message::fields) {
            let field = field?;
            match field.number {
                number::ELEM_TYPE => port.data_type = field.int()?,
                number::SHAPE => port.shape = Some(dims(field.message()?)?),
                _ => {}
            }
        }
        Ok(port)
    }
}

fn dims(shape: Message<'_>) -> Result<Vec<Option<i64>>, EngineError> {
    let mut dims = Vec::new();
    for field in shape.fields() {
        let field = field?;
        if field.number != schema::value_info::DIM {
            continue;
        }
        let mut dim = None;
        for field in field.message()?.fields() {
            let field = field?;
            if field.number == schema::value_info::DIM_VALUE {
                dim = Some(field.int()?);
            }
        }
        dims.push(dim);
        if dims.len() > RANK_MAX {
            return Err(malformed(format!("a shape of more than {RANK_MAX} dimensions")));
        }
    }
    Ok(dims)
}

/// Whether `op` computes with quantized numbers: such a model is never given to an engine that
/// does not know quantization.
pub(super) fn is_quantized(op: &str) -> bool {
    op.starts_with("QLinear")
        || op.contains("QuantizeLinear")
        || matches!(
            op,
            "ConvInteger"
                | "MatMulInteger"
                | "MatMulIntegerToFloat"
                | "DynamicQuantizeMatMul"
                | "QGemm"
                | "QAttention"
                | "MatMulNBits"
                | "GatherBlockQuantized"
        )
}

/// Whether a node anywhere in the file, graphs inside of nodes included, is quantized.
pub(super) fn uses_quantization(
    file: &ModelFile<'_>,
    budget: &Budget,
) -> Result<bool, EngineError> {
    // A list of work instead of recursion: how deep graphs nest is the file's choice.
    let mut inner = Vec::new();
    let mut seen = 0;
    let mut graph: Option<GraphFile<'_>> = None;
    loop {
        for node in &graph.as_ref().unwrap_or(&file.graph).nodes {
            if is_quantized(node.op) {
                return Ok(true);
            }
            for graph in node.graphs() {
                seen += 1;
                if seen > GRAPHS_MAX {
                    return Err(malformed(format!("it has more than {GRAPHS_MAX} inner graphs")));
                }
                inner.push(graph?);
            }
        }
        match inner.pop() {
            Some(message) => graph = Some(GraphFile::read(message, budget)?),
            None => return Ok(false),
        }
    }
}

impl From<ProtoError> for EngineError {
    fn from(error: ProtoError) -> Self {
        malformed(error.to_string())
    }
}

pub(super) fn malformed(why: impl Into<String>) -> EngineError {
    EngineError::Malformed { format: "ONNX", why: why.into() }
}
