//! A graph made ready to run: kernels in order, and a place in one arena for every tensor.

mod fold;
mod fuse;
mod lives;
mod resolve;

use std::ops::Range;

use self::lives::Lives;
pub(super) use self::resolve::{resolve, resolve_node};
use super::graph::{Graph, Node, ValueId};
use super::kernels::Isa;
use super::limits::{Budget, Fuel, WORK_MAX};
use super::memory::{Arena, Memory, Place, SharedMemory, Span};
use super::ops::{Compiled, Refusal, Step, Work};
use super::plan::ALIGN;
use super::pool::{Crew, SHARED_COPY, Team, View, ViewMut};
use super::target::Target;
use crate::data::{DType, Tensor, TensorData};
use crate::engine::{EngineError, EngineKind, OpReport, Part};

/// What sessions run.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<PlacedStep>,
    /// Empty for those that are read where the caller has them.
    pub(super) inputs: Vec<Span>,
    pub(super) outputs: Vec<Place>,
    /// What kernels read that no run changes.
    pub(super) constants: Arena,
    /// What sessions keep from run to run: where, and the bytes that it begins with.
    pub(super) states: Vec<(Span, Vec<u8>)>,
    pub(super) arena_bytes: usize,
    /// The largest sum of the bytes of tensors that are alive at one step.
    pub(super) live_bytes: usize,
    pub(super) weight_bytes: usize,
    /// Elementary steps of one run, at least.
    pub(super) work: u64,
    pub(super) ops: Vec<OpReport>,
    /// Most helpers that a run can use: none where no step is worth sharing.
    pub(super) helpers: usize,
    /// What the kernels are compiled for.
    pub(super) isa: Isa,
}

/// A kernel with its places.
#[derive(Debug)]
pub(super) struct PlacedStep {
    /// Place in [`Program::ops`].
    op: usize,
    pub(super) kernel: Work,
    /// It is worth that several threads do it.
    shared: bool,
    pub(super) inputs: Vec<Place>,
    pub(super) outputs: Vec<Span>,
    pub(super) scratch: Span,
}

impl Program {
    /// Runs every step on `arena`, which holds the states, and then the outputs. The inputs are `given`, or in the
    /// arena.
    ///
    /// Where `fuel` runs out, loops end early and the outputs are worth nothing.
    pub(super) fn run(&self, given: &[Tensor], arena: &mut [u8], fuel: &Fuel, crew: &Crew<'_>) {
        self.run_in_parts(given, arena, fuel, crew, |_| {});
    }

    /// The same, calling `ended` with each part that has run.
    pub(super) fn run_in_parts(
        &self,
        given: &[Tensor],
        arena: &mut [u8],
        fuel: &Fuel,
        crew: &Crew<'_>,
        mut ended: impl FnMut(Part),
    ) {
        let is_shared = |step: &PlacedStep| step.shared && !crew.is_alone();
        if !self.steps.first().is_some_and(is_shared) {
            self.copy_in(given, ViewMut::new(arena), &Team::alone());
            ended(Part::Inputs);
        }
        let mut next = 0;
        while let Some(step) = self.steps.get(next) {
            if is_shared(step) {
                let steps = self.together(next);
                next = steps.end;
                let helpers = |team: &Team<'_>, arena: ViewMut<'_, u8>| {
                    self.walk(steps.clone(), given, arena, team, &mut |_| {});
                };
                let own = |team: &Team<'_>, arena: ViewMut<'_, u8>| {
                    self.walk(steps.clone(), given, arena, team, &mut ended);
                };
                crew.walk(arena, own, helpers);
            } else {
                step.kernel.run(&mut Memory {
                    arena,
                    constants: self.constants.bytes(),
                    given,
                    inputs: &step.inputs,
                    outputs: &step.outputs,
                    scratch: &step.scratch,
                    fuel,
                    crew,
                });
                ended(Part::Op(step.op));
                next += 1;
            }
        }
    }

    /// The steps from this one on that several threads walk through: also those between that one does.
    fn together(&self, first: usize) -> Range<usize> {
        let steps = self.steps[first..].iter();
        first..first + steps.take_while(|step| matches!(step.kernel, Work::Together(_))).count()
    }

    /// These steps, as one of the threads; at the beginning with the inputs.
    fn walk(
        &self,
        steps: Range<usize>,
        given: &[Tensor],
        mut arena: ViewMut<'_, u8>,
        team: &Team<'_>,
        ended: &mut dyn FnMut(Part),
    ) {
        if steps.start == 0 {
            self.copy_in(given, arena.reborrow(), team);
            ended(Part::Inputs);
        }
        for step in &self.steps[steps] {
            let Work::Together(kernel) = &step.kernel else { continue };
            let memory = SharedMemory {
                arena: arena.reborrow(),
                constants: self.constants.bytes(),
                given,
                inputs: &step.inputs,
                outputs: &step.outputs,
                scratch: &step.scratch,
            };
            kernel.run(memory, team);
            ended(Part::Op(step.op));
        }
    }

    /// Copies `uint8` as it lies in the arena; all others are read from the tensor itself.
    fn copy_in(&self, given: &[Tensor], mut arena: ViewMut<'_, u8>, team: &Team<'_>) {
        for (tensor, span) in given.iter().zip(&self.inputs) {
            let TensorData::U8(from) = tensor.data() else { continue };
            let (from, to) = (View::new(from), arena.reborrow().part(span.clone()));
            let threads = if to.len() < SHARED_COPY { 1 } else { team.threads() };
            let lines = [to.len() / ALIGN, ALIGN];
            team.share_rows(threads, to, lines, move |claim, lines, to| {
                for (to, from) in to.iter_mut().zip(&from.of(claim)[lines.start * ALIGN..]) {
                    *to = from ^ 0x80;
                }
            });
        }
    }
}

/// Compiles `graph`, whatever is in it. Shapes and folded constants are written into it.
pub(super) fn compile(graph: &mut Graph<'_>, target: Target<'_>) -> Result<Program, EngineError> {
    resolve(graph, target)?;
    fuse::fuse(graph, target);
    compile_resolved(graph, target)
}

/// Compiles `graph`, whose shapes are known.
pub(super) fn compile_resolved(
    graph: &Graph<'_>,
    target: Target<'_>,
) -> Result<Program, EngineError> {
    let mut lives = Lives::new(graph, target.given);
    let mut steps: Vec<(&Node<'_>, Step)> = Vec::new();
    let mut step_ops = Vec::new();
    let (mut weight_bytes, mut work, mut ops) = (0usize, 0u64, Vec::new());
    let mut threads = 1;
    for node in graph.nodes.iter().filter(|node| !is_folded(graph, node)) {
        target.budget.take_for::<PlacedStep>(2)?;
        let site = target.site(graph, node);
        let compiled = node.op.compile(&site).map_err(|refusal| refused(graph, node, refusal))?;
        let (mut macs, mut moved_bytes) = (0, 0);
        match compiled {
            Compiled::Alias => lives.alias(graph, node)?,
            Compiled::Step(step) => {
                (macs, weight_bytes) = (step.macs, weight_bytes + step.weight_bytes);
                moved_bytes = moved(graph, node, &step);
                work = work.saturating_add(step.work);
                threads = step.threads.max(threads);
                if work > WORK_MAX {
                    let why =
                        format!("up to here one run takes {work} steps of at most {WORK_MAX}");
                    return Err(refused(graph, node, Refusal::Unsupported(why)));
                }
                steps.push((node, step));
                step_ops.push(ops.len());
                lives.step(steps.len(), node, &steps[steps.len() - 1].1);
            }
        }
        let output = node.outputs.first().map(|&id| &graph.values[id]);
        ops.push(OpReport {
            node: node.index,
            op: node.name.to_owned(),
            output: output.map(|value| value.shape.clone()).unwrap_or_default(),
            dtype: output.map(|value| value.dtype),
            macs,
            moved_bytes: Some(moved_bytes),
        });
    }
    let places = lives.place(graph, &steps)?;
    let (constants, constant_spans) = gather(graph, &steps, target.budget)?;
    weight_bytes += constants.bytes().len();
    let span = |id: ValueId| places.values[lives.root(id)].clone();
    let place = |id: ValueId| match (&constant_spans[id], lives.given(id)) {
        (Some(span), _) => Place::Constant(span.clone()),
        (None, Some(input)) => Place::Input(input),
        (None, None) => Place::Arena(span(id)),
    };
    let inputs = graph.inputs.iter().map(|port| span(port.value)).collect();
    let outputs = graph.outputs.iter().map(|port| place(port.value)).collect();
    let states = graph.states.iter().map(|state| {
        let value = &graph.values[state.value];
        (span(state.value), state.initial_bytes(value))
    });
    let states = states.collect();
    let placed = steps.into_iter().zip(step_ops).zip(places.scratch);
    let placed = placed.map(|(((node, step), op), scratch)| {
        let input = |&i: &usize| node.inputs.get(i).copied().flatten();
        let updated = step.updates.iter().filter_map(input);
        PlacedStep {
            op,
            inputs: step.reads.iter().filter_map(input).map(place).collect(),
            outputs: node.outputs.iter().copied().chain(updated).map(span).collect(),
            shared: step.is_shared(),
            kernel: step.kernel,
            scratch,
        }
    });
    Ok(Program {
        steps: placed.collect(),
        inputs,
        outputs,
        constants,
        states,
        arena_bytes: places.arena_bytes,
        live_bytes: places.live_bytes,
        weight_bytes,
        work,
        ops,
        helpers: threads - 1,
        isa: target.isa,
    })
}

/// Bytes that `step` reads and writes, each once.
fn moved(graph: &Graph<'_>, node: &Node<'_>, step: &Step) -> u64 {
    let read = step.reads.iter().chain(&step.updates);
    let read = read.filter_map(|&i| node.inputs.get(i).copied().flatten());
    let values = read.chain(node.outputs.iter().copied());
    values.map(|id| graph.values[id].bytes() as u64).sum::<u64>() + step.weight_bytes as u64
}

/// Whether the node's outputs are known before any run.
pub(super) fn is_folded(graph: &Graph<'_>, node: &Node<'_>) -> bool {
    let mut outputs = node.outputs.iter();
    !node.outputs.is_empty() && outputs.all(|&id| graph.values[id].data.is_some())
}

/// Copies the constants that steps read, and those that are outputs, into one buffer; where each is.
fn gather(
    graph: &Graph<'_>,
    steps: &[(&Node<'_>, Step)],
    budget: &Budget,
) -> Result<(Arena, Vec<Option<Span>>), EngineError> {
    let mut spans: Vec<Option<Span>> = vec![None; graph.values.len()];
    let mut len = 0usize;
    let read = steps.iter().flat_map(|(node, step)| {
        step.reads.iter().filter_map(|&i| node.inputs.get(i).copied().flatten())
    });
    for id in read.chain(graph.outputs.iter().map(|port| port.value)) {
        if let (Some(data), None) = (&graph.values[id].data, &spans[id]) {
            spans[id] = Some(len..len + data.len());
            len = (len + data.len()).next_multiple_of(ALIGN);
            budget.take(data.len() + ALIGN)?;
        }
    }
    let mut constants = Arena::new(len)?;
    for (value, span) in graph.values.iter().zip(&spans) {
        if let (Some(data), Some(span)) = (&value.data, span) {
            let to = &mut constants.bytes_mut()[span.clone()];
            to.copy_from_slice(data);
            flip(value.dtype, to);
        }
    }
    Ok((constants, spans))
}

/// From the file's bytes to the arena's, and back: the top bit of `uint8` is flipped there.
fn flip(dtype: DType, bytes: &mut [u8]) {
    if dtype == DType::U8 {
        bytes.iter_mut().for_each(|byte| *byte ^= 0x80);
    }
}

/// The error that names `node`.
fn refused(graph: &Graph<'_>, node: &Node<'_>, refusal: Refusal) -> EngineError {
    refused_at(graph.format, node.index, node.name, refusal)
}

/// The error that names the node at `index` of a file of `format`, a `name`.
pub(super) fn refused_at(
    format: &'static str,
    index: usize,
    name: &str,
    refusal: Refusal,
) -> EngineError {
    match refusal {
        Refusal::Unsupported(why) => EngineError::Unsupported {
            engine: EngineKind::Native,
            node: index.to_string(),
            op: name.to_owned(),
            why,
        },
        Refusal::Malformed(why) => {
            EngineError::Malformed { format, why: format!("node {index} ({name}): {why}") }
        }
        Refusal::Limit(error) => error,
    }
}
