//! A graph made ready to run: kernels in order, and a place in one arena for every tensor.

use super::graph::{Graph, Node, ValueId, width};
use super::kernels::{self, Compiled, Kernel, Refusal, Site, Step};
use super::limits::{ARENA_MAX, Budget, NODES_MAX, RANK_MAX, WORK_MAX};
use super::memory::Span;
use super::plan::{self, Block};
use crate::data::DType;
use crate::engine::{EngineError, EngineKind, OpReport};

/// What sessions run.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<PlacedStep>,
    pub(super) inputs: Vec<Span>,
    pub(super) outputs: Vec<Span>,
    /// Constants that kernels read from the arena: where, and their bytes as they lie there.
    pub(super) constants: Vec<(Span, Vec<u8>)>,
    pub(super) arena_bytes: usize,
    pub(super) weight_bytes: usize,
    pub(super) ops: Vec<OpReport>,
}

/// A kernel with its places.
#[derive(Debug)]
pub(super) struct PlacedStep {
    pub(super) kernel: Box<dyn Kernel>,
    pub(super) inputs: Vec<Span>,
    pub(super) outputs: Vec<Span>,
    pub(super) scratch: Span,
}

/// Compiles `graph`, whatever is in it.
pub(super) fn compile(graph: &Graph<'_>, budget: &Budget) -> Result<Program, EngineError> {
    check(graph)?;
    let mut lives = Lives::new(graph);
    let mut steps: Vec<(&Node, Step)> = Vec::new();
    let (mut weight_bytes, mut work, mut ops) = (0usize, 0u64, Vec::new());
    for node in &graph.nodes {
        budget.take_for::<PlacedStep>(2)?;
        let site = Site { graph, node, budget };
        let compiled =
            kernels::compile(&site).map_err(|refusal| refused(node.index, node.name, refusal))?;
        let mut macs = 0;
        match compiled {
            Compiled::Alias => lives.alias(node)?,
            Compiled::Step(step) => {
                (macs, weight_bytes) = (step.macs, weight_bytes + step.weight_bytes);
                work = work.saturating_add(step.work);
                if work > WORK_MAX {
                    let why =
                        format!("up to here one run takes {work} steps of at most {WORK_MAX}");
                    return Err(refused(node.index, node.name, Refusal::Unsupported(why)));
                }
                steps.push((node, step));
                lives.step(steps.len(), node, &steps[steps.len() - 1].1);
            }
        }
        let output = node.outputs.first().map(|&id| graph.values[id].shape.clone());
        ops.push(OpReport {
            node: node.index,
            op: node.name.to_owned(),
            output: output.unwrap_or_default(),
            macs,
        });
    }
    let places = lives.place(graph, &steps)?;
    let span = |id: ValueId| places.values[lives.root(id)].clone();
    let mut constants = Vec::new();
    for (id, value) in graph.values.iter().enumerate() {
        if let (Some(data), false) = (&value.data, span(id).is_empty()) {
            budget.take(data.len())?;
            let flip = if value.dtype == DType::U8 { 0x80 } else { 0 };
            let bytes: Vec<u8> = data.iter().map(|byte| byte ^ flip).collect();
            weight_bytes += bytes.len();
            constants.push((span(id), bytes));
        }
    }
    let inputs = graph.inputs.iter().map(|port| span(port.value)).collect();
    let outputs = graph.outputs.iter().map(|port| span(port.value)).collect();
    let placed = steps.into_iter().zip(places.scratch).map(|((node, step), scratch)| {
        let read = |&i: &usize| node.inputs.get(i).copied().flatten().map(span);
        PlacedStep {
            inputs: step.reads.iter().filter_map(read).collect(),
            outputs: node.outputs.iter().map(|&id| span(id)).collect(),
            kernel: step.kernel,
            scratch,
        }
    });
    Ok(Program {
        steps: placed.collect(),
        inputs,
        outputs,
        constants,
        arena_bytes: places.arena_bytes,
        weight_bytes,
        ops,
    })
}

/// What every importer has to keep: sizes within limits, each value made once and before its use.
fn check(graph: &Graph<'_>) -> Result<(), EngineError> {
    let malformed = |why: String| EngineError::Malformed { format: "TFLite", why };
    if graph.nodes.len() > NODES_MAX {
        let found = graph.nodes.len();
        return Err(malformed(format!("{found} operators; the limit is {NODES_MAX}")));
    }
    for value in &graph.values {
        let elements = value.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let bytes = elements.zip(width(value.dtype)).and_then(|(n, width)| n.checked_mul(width));
        let shape = &value.shape;
        match bytes {
            _ if shape.len() > RANK_MAX => {
                return Err(malformed(format!(
                    "a tensor of shape {shape:?}: over {RANK_MAX} axes"
                )));
            }
            Some(0) | None => {
                return Err(malformed(format!("a {} tensor of shape {shape:?}", value.dtype)));
            }
            Some(needed) if needed > ARENA_MAX => {
                let what = "one tensor";
                return Err(EngineError::TooLarge { what, needed, limit: ARENA_MAX });
            }
            Some(needed) => {
                if value.data.as_ref().is_some_and(|data| data.len() != needed) {
                    return Err(malformed(format!("a constant that does not fill {shape:?}")));
                }
            }
        }
    }
    let mut made: Vec<bool> = graph.values.iter().map(|value| value.data.is_some()).collect();
    for port in &graph.inputs {
        if std::mem::replace(&mut made[port.value], true) {
            return Err(malformed(format!("input {} is also made elsewhere", port.name)));
        }
    }
    for node in &graph.nodes {
        let at = format_args!("node {} ({})", node.index, node.name).to_string();
        if node.inputs.iter().flatten().any(|&id| !made[id]) {
            return Err(malformed(format!("{at} reads a tensor that nothing made before it")));
        }
        for &id in &node.outputs {
            if std::mem::replace(&mut made[id], true) {
                return Err(malformed(format!("{at} writes a tensor that is also made elsewhere")));
            }
        }
    }
    match graph.outputs.iter().find(|port| !made[port.value]) {
        Some(port) => Err(malformed(format!("nothing makes output {}", port.name))),
        None => Ok(()),
    }
}

/// The error that names the node at `index` of the file, a `name`.
pub(super) fn refused(index: usize, name: &str, refusal: Refusal) -> EngineError {
    match refusal {
        Refusal::Unsupported(why) => EngineError::Unsupported {
            engine: EngineKind::Native,
            node: index.to_string(),
            op: name.to_owned(),
            why,
        },
        Refusal::Malformed(why) => EngineError::Malformed {
            format: "TFLite",
            why: format!("node {index} ({name}): {why}"),
        },
        Refusal::Limit(error) => error,
    }
}

/// When each value is alive. Step 0 is the copying in of inputs; the last is the copying out.
#[derive(Debug)]
struct Lives {
    /// First and last step of a value; `None` where it needs no place.
    spans: Vec<Option<(usize, usize)>>,
    /// The value whose memory this one is.
    same_as: Vec<ValueId>,
    constant: Vec<bool>,
}

/// Where everything lies.
#[derive(Debug)]
struct Places {
    /// By value; empty for values without a place.
    values: Vec<Span>,
    /// By step.
    scratch: Vec<Span>,
    arena_bytes: usize,
}

/// Later than every step.
const END: usize = usize::MAX;

impl Lives {
    fn new(graph: &Graph<'_>) -> Self {
        let mut spans = vec![None; graph.values.len()];
        for port in &graph.inputs {
            spans[port.value] = Some((0, 0));
        }
        let constant = graph.values.iter().map(|value| value.data.is_some()).collect();
        Self { spans, same_as: (0..graph.values.len()).collect(), constant }
    }

    fn root(&self, mut id: ValueId) -> ValueId {
        while self.same_as[id] != id {
            id = self.same_as[id];
        }
        id
    }

    /// Keeps `id` alive through `step`.
    fn touch(&mut self, id: ValueId, step: usize) {
        let root = self.root(id);
        // A constant stays from one run to the next.
        let (step, first) = if self.constant[root] { (END, 0) } else { (step, step) };
        let span = self.spans[root].get_or_insert((first, step));
        span.1 = span.1.max(step);
    }

    /// The node's output is its first input.
    fn alias(&mut self, node: &Node) -> Result<(), EngineError> {
        let (Some(&Some(from)), [to]) = (node.inputs.first(), &node.outputs[..]) else {
            let why = Refusal::Malformed("no input or not one output".into());
            return Err(refused(node.index, node.name, why));
        };
        self.same_as[*to] = self.root(from);
        Ok(())
    }

    fn step(&mut self, number: usize, node: &Node, step: &Step) {
        for id in step.reads.iter().filter_map(|&i| node.inputs.get(i).copied().flatten()) {
            self.touch(id, number);
        }
        for &id in &node.outputs {
            self.touch(id, number);
        }
    }

    fn place(&mut self, graph: &Graph<'_>, steps: &[(&Node, Step)]) -> Result<Places, EngineError> {
        for port in &graph.outputs {
            self.touch(port.value, END);
        }
        let mut blocks: Vec<Block> = Vec::with_capacity(graph.values.len() + steps.len());
        for (value, span) in graph.values.iter().zip(&self.spans) {
            let (first, last) = span.unwrap_or_default();
            let bytes = if span.is_some() { value.bytes() } else { 0 };
            blocks.push(Block { bytes, first, last });
        }
        for (i, (_, step)) in steps.iter().enumerate() {
            blocks.push(Block { bytes: step.scratch, first: i + 1, last: i + 1 });
        }
        let layout = plan::layout(&blocks)?;
        let span = |(&at, block): (&usize, &Block)| at..at + block.bytes;
        let mut values: Vec<Span> = layout.offsets.iter().zip(&blocks).map(span).collect();
        let scratch = values.split_off(graph.values.len());
        Ok(Places { values, scratch, arena_bytes: layout.bytes })
    }
}
