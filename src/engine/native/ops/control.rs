//! Branches and loops: whole programs within one step, whose arena is the step's scratch.

use super::{
    Calls, Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported,
};
use crate::data::DType;
use crate::engine::native::graph::{Body, Shape, Value};
use crate::engine::native::memory::{Memory, Place, Span};
use crate::engine::native::program::{self, Program};

const KINDS: &[Kind] = &[Kind::Float32, Kind::Int8, Kind::Int32];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "IF",
        options: 92,
        // IfOptions: the graph that runs where the first input is true, and the other.
        lower: |options| Ok(Box::new(If { graphs: [options.int(0, 0)?, options.int(1, 0)?] })),
        kinds: KINDS,
        attributes: &[],
    },
    Entry {
        name: "WHILE",
        options: 93,
        // WhileOptions: the graph that decides, and the one that is repeated.
        lower: |options| Ok(Box::new(While { graphs: [options.int(0, 0)?, options.int(1, 0)?] })),
        kinds: KINDS,
        attributes: &[],
    },
];

/// Runs one of two graphs.
#[derive(Debug)]
pub(super) struct If {
    pub(super) graphs: [i32; 2],
}

/// Runs the second graph while the first gives true; its outputs are its next inputs.
#[derive(Debug)]
pub(super) struct While {
    pub(super) graphs: [i32; 2],
}

/// A body's program and what goes in and out.
#[derive(Debug)]
struct Inner {
    program: Program,
    /// Which of the node's inputs each input of the program is.
    inputs: Vec<usize>,
    /// Which of the step's outputs each state of the program is.
    states: Vec<usize>,
}

/// The two bodies of a site's node.
fn bodies<'a>(site: &Site<'a>) -> Result<[&'a Body<'a>; 2], Refusal> {
    match &site.node.bodies[..] {
        [first, second] => Ok([first, second]),
        other => Err(malformed(format!("{} graphs instead of two", other.len()))),
    }
}

/// Shapes of a body's outputs.
fn results(body: &Body<'_>) -> Vec<Shape> {
    let outputs = body.graph.outputs.iter();
    outputs.map(|port| body.graph.values[port.value].shape.clone()).collect()
}

/// Whether a body's outputs are of the types that the node's have.
fn check_types(site: &Site<'_>, body: &Body<'_>) -> Result<(), Refusal> {
    for (port, &id) in body.graph.outputs.iter().zip(&site.node.outputs) {
        let (inner, outer) = (body.graph.values[port.value].dtype, site.graph.values[id].dtype);
        if inner != outer {
            return Err(malformed(format!("a graph gives {inner} instead of {outer}")));
        }
    }
    Ok(())
}

/// The states of all bodies, as inputs of the node, without repetition.
fn updates(bodies: &[&Body<'_>; 2]) -> Vec<usize> {
    let mut all: Vec<usize> = bodies.iter().flat_map(|body| body.states.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

impl Inner {
    fn compile(site: &Site<'_>, body: &Body<'_>, updates: &[usize]) -> Result<Self, Refusal> {
        let program = program::compile_resolved(&body.graph, site.target())?;
        let outputs = site.node.outputs.len();
        let place = |state: &usize| updates.iter().position(|update| update == state);
        let states = body.states.iter().filter_map(place).map(|place| outputs + place).collect();
        let inputs = body.inputs.iter().map(|source| source.input).collect();
        Ok(Self { program, inputs, states })
    }

    /// Steps of one run, with what it takes to call kernels and to copy between arenas.
    fn work(&self) -> u64 {
        let around =
            64 * (self.program.steps.len() as u64 + 4) + self.program.arena_bytes as u64 / 16;
        self.program.work.saturating_add(around)
    }

    /// Runs it on `memory`'s scratch; its inputs lie at `place`.
    fn run(&self, memory: &mut Memory<'_>, place: impl Fn(usize, &Memory<'_>) -> Place) {
        let start = memory.scratch.start;
        let inner = |span: &Span| start + span.start;
        for (&input, span) in self.inputs.iter().zip(&self.program.inputs) {
            memory.copy(&place(input, memory), inner(span));
        }
        for (&state, (span, _)) in self.states.iter().zip(&self.program.states) {
            memory.arena.copy_within(memory.outputs[state].clone(), inner(span));
        }
        let arena = &mut memory.arena[start..][..self.program.arena_bytes];
        self.program.run(&[], arena, memory.fuel, memory.crew);
        for (&state, (span, _)) in self.states.iter().zip(&self.program.states) {
            let from = inner(span);
            memory.arena.copy_within(from..from + span.len(), memory.outputs[state].start);
        }
    }

    /// Copies its outputs to the step's.
    fn give(&self, memory: &mut Memory<'_>) {
        for (place, to) in self.program.outputs.iter().zip(memory.outputs) {
            match self.output(place, memory) {
                Ok(from) => memory.arena.copy_within(from, to.start),
                Err(constant) => memory.arena[to.clone()].copy_from_slice(constant),
            }
        }
    }

    /// Its only output, a truth.
    fn decision(&self, memory: &Memory<'_>) -> bool {
        let byte = match self.output(&self.program.outputs[0], memory) {
            Ok(from) => memory.arena[from.start],
            Err(constant) => constant[0],
        };
        byte != 0
    }

    /// Where an output is in the outer arena, or its bytes if it is constant.
    fn output(&self, place: &Place, memory: &Memory<'_>) -> Result<Span, &[u8]> {
        let start = memory.scratch.start;
        match place {
            Place::Arena(span) => Ok(start + span.start..start + span.end),
            Place::Constant(span) => Err(&self.program.constants.bytes()[span.clone()]),
            Place::Input(_) => unreachable!("a body has its inputs in its arena"),
        }
    }
}

/// What two bodies ask of a step: as if each ran once, which is all that is known here.
struct Needs {
    scratch: usize,
    weight_bytes: usize,
    macs: u64,
    work: u64,
}

impl Needs {
    fn of(inner: [&Inner; 2]) -> Self {
        let [a, b] = inner.map(|inner| &inner.program);
        let macs = |program: &Program| program.ops.iter().map(|op| op.macs).sum();
        Self {
            scratch: a.arena_bytes.max(b.arena_bytes),
            weight_bytes: a.weight_bytes + b.weight_bytes,
            macs: u64::max(macs(a), macs(b)),
            work: inner[0].work().saturating_add(inner[1].work()),
        }
    }

    fn step(self, kernel: impl Kernel + 'static, reads: Vec<usize>, updates: Vec<usize>) -> Step {
        let Self { scratch, weight_bytes, macs, work } = self;
        let step = Step::new(kernel, 0);
        Step { reads, updates, scratch, weight_bytes, macs, work, ..step }
    }
}

#[derive(Debug)]
struct IfKernel {
    branches: [Inner; 2],
    /// The node's inputs in the order in which the step reads them.
    reads: Vec<usize>,
}

impl Operator for If {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let [yes, no] = bodies(site)?.map(results);
        if yes != no {
            return Err(unsupported(format!("branches that give {yes:?} and {no:?}")));
        }
        Ok(yes)
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        truth(site.input(0)?)?;
        let bodies = bodies(site)?;
        let updates = updates(&bodies);
        for body in bodies {
            check_types(site, body)?;
        }
        let [yes, no] = bodies.map(|body| Inner::compile(site, body, &updates));
        let branches = [yes?, no?];
        let mut reads = vec![0];
        for &input in branches.iter().flat_map(|branch| &branch.inputs) {
            if !reads.contains(&input) {
                reads.push(input);
            }
        }
        let needs = Needs::of([&branches[0], &branches[1]]);
        let kernel = IfKernel { branches, reads: reads.clone() };
        Ok(needs.step(kernel, reads, updates).into())
    }

    fn foldable(&self) -> bool {
        false
    }

    fn calls(&self) -> Option<Calls<'_>> {
        Some(Calls { graphs: &self.graphs, first: 1, repeated: false })
    }
}

impl Kernel for IfKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let condition = memory.bytes(&memory.inputs[0])[0];
        let branch = &self.branches[usize::from(condition == 0)];
        branch.run(memory, |input, memory| {
            let place = self.reads.iter().position(|&read| read == input);
            memory.inputs[place.unwrap_or(0)].clone()
        });
        branch.give(memory);
    }
}

#[derive(Debug)]
struct WhileKernel {
    decide: Inner,
    round: Inner,
    /// For each output, which of the node's inputs it begins as; the step reads these, in order.
    carried: Vec<usize>,
}

impl Operator for While {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let [decide, round] = bodies(site)?;
        let [decision] = &decide.graph.outputs[..] else {
            return Err(malformed("the graph that decides does not give one value"));
        };
        truth(&decide.graph.values[decision.value])?;
        let carried = carried(site, &updates(&[decide, round]));
        let after = results(round);
        if carried.len() != after.len() || after.len() != site.node.outputs.len() {
            let (before, after) = (carried.len(), after.len());
            return Err(malformed(format!("{before} inputs, {after} results of one round")));
        }
        for (&input, after) in carried.iter().zip(&after) {
            let before = &site.input(input)?.shape;
            if before != after {
                return Err(unsupported(format!(
                    "input {input} is {before:?} and {after:?} after one round: shapes that change \
                     between rounds"
                )));
            }
        }
        Ok(after)
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let [decide, round] = bodies(site)?;
        let updates = updates(&[decide, round]);
        check_types(site, round)?;
        let carried = carried(site, &updates);
        for (&input, &id) in carried.iter().zip(&site.node.outputs) {
            let (before, after) = (site.input(input)?.dtype, site.graph.values[id].dtype);
            if before != after {
                return Err(malformed(format!("input {input} is {before} and becomes {after}")));
            }
        }
        let decide = Inner::compile(site, decide, &updates)?;
        let round = Inner::compile(site, round, &updates)?;
        let needs = Needs::of([&decide, &round]);
        let kernel = WhileKernel { decide, round, carried: carried.clone() };
        Ok(needs.step(kernel, carried, updates).into())
    }

    fn foldable(&self) -> bool {
        false
    }

    fn calls(&self) -> Option<Calls<'_>> {
        Some(Calls { graphs: &self.graphs, first: 0, repeated: true })
    }
}

/// The inputs that a loop hands from round to round: all but states, and variables' handles.
fn carried(site: &Site<'_>, updates: &[usize]) -> Vec<usize> {
    let inputs = site.node.inputs.iter().enumerate();
    let own = inputs.filter(|(i, input)| input.is_some() && !updates.contains(i));
    own.map(|(i, _)| i).collect()
}

/// Checks that `value` is one truth.
fn truth(value: &Value<'_>) -> Result<(), Refusal> {
    if value.dtype == DType::Bool && value.elements() == 1 {
        return Ok(());
    }
    Err(malformed(format!("a condition of {} {:?}", value.dtype, value.shape)))
}

impl Kernel for WhileKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        for (from, to) in memory.inputs.iter().zip(memory.outputs) {
            memory.copy(from, to.start);
        }
        let cost = self.decide.work().saturating_add(self.round.work());
        let place = |input: usize, memory: &Memory<'_>| {
            let place = self.carried.iter().position(|&carried| carried == input);
            Place::Arena(memory.outputs[place.unwrap_or(0)].clone())
        };
        loop {
            self.decide.run(memory, place);
            if !self.decide.decision(memory) || !memory.fuel.take(cost) {
                return;
            }
            self.round.run(memory, place);
            self.round.give(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::native::graph::{Graph, Node, Port, Quant, Source};
    use crate::engine::native::limits::{Budget, Fuel};
    use crate::engine::native::memory::Arena;
    use crate::engine::native::pool::Crew;
    use crate::engine::native::target::Target;

    fn value(dtype: DType, data: Option<&[u8]>) -> Value<'static> {
        let data = data.map(|data| data.to_vec().into());
        Value { dtype, shape: vec![1], quant: Quant::None, nibbles: false, data }
    }

    fn graph(values: Vec<Value<'static>>, inputs: &[usize], outputs: &[usize]) -> Graph<'static> {
        let port = |&value: &usize| Port { name: value.to_string(), value };
        Graph {
            format: "TFLite",
            values,
            nodes: Vec::new(),
            inputs: inputs.iter().map(port).collect(),
            outputs: outputs.iter().map(port).collect(),
            states: Vec::new(),
        }
    }

    /// A loop over one byte, whose rounds do nothing, while `decision`.
    fn lasting(decision: u8, shape: &[usize]) -> Graph<'static> {
        let body = |graph| Body {
            graph,
            inputs: vec![Source { input: 0, fixed: false }],
            states: Vec::new(),
        };
        let decide = [value(DType::I8, None), value(DType::Bool, Some(&[decision]))];
        let mut after = value(DType::I8, Some(&vec![7; shape.iter().product()]));
        after.shape = shape.to_vec();
        let round = vec![value(DType::I8, None), after];
        let node = Node {
            index: 3,
            name: "WHILE",
            op: Box::new(While { graphs: [1, 2] }),
            inputs: vec![Some(0)],
            outputs: vec![1],
            bodies: vec![body(graph(decide.into(), &[0], &[1])), body(graph(round, &[0], &[1]))],
            intermediates: Vec::new(),
        };
        let values = vec![value(DType::I8, None), value(DType::I8, None)];
        Graph { nodes: vec![node], ..graph(values, &[0], &[1]) }
    }

    #[test]
    fn a_loop_without_end_uses_up_its_fuel() {
        let program =
            program::compile(&mut lasting(1, &[1]), Target::plain(&Budget::default())).unwrap();
        let mut arena = Arena::new(program.arena_bytes).unwrap();
        let fuel = Fuel::of(1 << 20);
        program.run(&[], arena.bytes_mut(), &fuel, &Crew::ALONE);
        assert!(fuel.is_out());
    }

    #[test]
    fn a_loop_that_never_begins_hands_its_inputs_on() {
        let program =
            program::compile(&mut lasting(0, &[1]), Target::plain(&Budget::default())).unwrap();
        let mut arena = Arena::new(program.arena_bytes).unwrap();
        arena.bytes_mut()[program.inputs[0].clone()].fill(42);
        let fuel = Fuel::of(0);
        program.run(&[], arena.bytes_mut(), &fuel, &Crew::ALONE);
        let Place::Arena(span) = &program.outputs[0] else { panic!("a constant") };
        assert_eq!((arena.bytes()[span.start], fuel.is_out()), (42, false));
    }

    #[test]
    fn shapes_that_change_between_rounds_are_named() {
        let error =
            program::compile(&mut lasting(1, &[2]), Target::plain(&Budget::default())).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("node 3 (WHILE)") && text.contains("[2] after one round"), "{text}");
    }
}
