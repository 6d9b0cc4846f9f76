//! Plain recurrent layers: the output before goes in with the input, through one activation.
//! Source: TFLite, `kernels/internal/kernel_utils.cc`, `RnnBatchStep`.

use super::shared::matrix::{Products, dynamic, reals};
use super::shared::sequence::Sequence;
use super::shared::squash::{SQUASHES, Squash};
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::kernels::Isa;
use crate::engine::native::memory::Memory;

const KINDS: &[Kind] = &[Kind::Float32, Kind::Hybrid];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "RNN",
        options: 7,
        lower: |options| {
            // RNNOptions: activation, asymmetric inputs.
            let layer = Layer {
                activation: Squash::of(options.byte(0, 0)?)?,
                asymmetric: options.byte(1, 0)? != 0,
            };
            Ok(Box::new(Rnn { time_major: true, layer }))
        },
        kinds: KINDS,
        attributes: &[("activation", SQUASHES)],
    },
    Entry {
        name: "UNIDIRECTIONAL_SEQUENCE_RNN",
        options: 31,
        lower: |options| {
            // SequenceRNNOptions: time is major, activation, asymmetric inputs.
            let layer = Layer {
                activation: Squash::of(options.byte(1, 0)?)?,
                asymmetric: options.byte(2, 0)? != 0,
            };
            Ok(Box::new(Rnn { time_major: options.byte(0, 0)? != 0, layer }))
        },
        kinds: KINDS,
        attributes: &[("activation", SQUASHES), ("time_major", &["false", "true"])],
    },
    Entry {
        name: "BIDIRECTIONAL_SEQUENCE_RNN",
        options: 70,
        lower: |options| {
            // BidirectionalSequenceRNNOptions: time is major, activation, one output, asymmetric
            // inputs.
            let layer = Layer {
                activation: Squash::of(options.byte(1, 0)?)?,
                asymmetric: options.byte(3, 0)? != 0,
            };
            let (time_major, merge) = (options.byte(0, 0)? != 0, options.byte(2, 0)? != 0);
            Ok(Box::new(Both { time_major, merge, layer }))
        },
        kinds: KINDS,
        attributes: &[("activation", SQUASHES), ("merge_outputs", &["false", "true"])],
    },
];

#[derive(Clone, Copy, Debug)]
struct Layer {
    activation: Squash,
    asymmetric: bool,
}

/// Weights of one direction.
#[derive(Debug)]
struct Cell {
    input: usize,
    units: usize,
    /// With the input, the second input where there is one, and the output before.
    products: Products,
    isa: Isa,
    activation: Squash,
}

/// Number of units, from the weights in input `index` for rows of `n`.
fn units(site: &Site<'_>, index: usize, n: usize) -> Result<usize, Refusal> {
    match site.input(index)?.shape[..] {
        [units, columns] if columns == n => Ok(units),
        ref other => Err(malformed(format!("weights {other:?} for an input of {n}"))),
    }
}

/// Checks that input `index` is a variable of so many reals.
fn state(site: &Site<'_>, index: usize, elements: usize) -> Result<(), Refusal> {
    let value = site.input(index)?;
    if !site.is_state(index) {
        return Err(unsupported(format!("input {index} is a state, but no variable")));
    }
    if value.dtype != DType::F32 || value.elements() != elements {
        let found = format!("{} {:?}", value.dtype, value.shape);
        return Err(malformed(format!("state {index} is {found}, not {elements} float32")));
    }
    Ok(())
}

fn check_reals(site: &Site<'_>) -> Result<(), Refusal> {
    let outputs = site.node.outputs.iter().map(|&id| site.graph.values[id].dtype);
    match outputs.chain([site.input(0)?.dtype]).find(|&dtype| dtype != DType::F32) {
        Some(other) => Err(unsupported(format!("{other} activations"))),
        None => Ok(()),
    }
}

impl Cell {
    /// Weights, recurrent weights and bias begin at input `first`.
    fn new(
        site: &Site<'_>,
        first: usize,
        auxiliary: Option<usize>,
        input: usize,
        layer: Layer,
    ) -> Result<Self, Refusal> {
        let units = units(site, first, input)?;
        site.budget.take_for::<f32>(units)?;
        let bias = reals(site.input(first + 2)?, units, "a bias")?;
        let matrices: Vec<_> = [(input, vec![first])]
            .into_iter()
            .chain(auxiliary.map(|index| (input, vec![index])))
            .chain([(units, vec![first + 1])])
            .collect();
        let products = Products::new(site, &matrices, bias, dynamic(layer.asymmetric))?;
        Ok(Self { input, units, products, isa: site.isa, activation: layer.activation })
    }

    fn macs(&self) -> u64 {
        self.products.macs()
    }

    fn bytes(&self) -> usize {
        self.products.bytes()
    }

    /// Bytes of scratch.
    fn scratch(&self) -> Result<usize, Refusal> {
        self.products.scratch()
    }

    /// One step: from `x`, `auxiliary` and `state` to `y`, which is the next state.
    fn step(
        &self,
        x: &[f32],
        auxiliary: Option<&[f32]>,
        state: &mut [f32],
        y: &mut [f32],
        scratch: &mut [u8],
    ) {
        match auxiliary {
            Some(second) => self.products.run(&[x, second, state], y, scratch),
            None => self.products.run(&[x, state], y, scratch),
        }
        self.isa.run(
            #[inline(always)]
            || self.activation.all(y),
        );
        state.copy_from_slice(y);
    }
}

/// x `[…, input]`, weights `[units, input]`, recurrent weights `[units, units]`, bias `[units]`,
/// the output before `[batch, units]`.
#[derive(Debug)]
pub(super) struct Rnn {
    time_major: bool,
    layer: Layer,
}

impl Operator for Rnn {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let mut shape = site.input(0)?.shape.clone();
        let (_, n) = Sequence::of(&shape, self.time_major)?;
        shape.pop();
        shape.push(units(site, 1, n)?);
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        check_reals(site)?;
        let (sequence, n) = Sequence::of(&site.input(0)?.shape, self.time_major)?;
        let cell = Cell::new(site, 1, None, n, self.layer)?;
        state(site, 4, sequence.batch.saturating_mul(cell.units))?;
        let (weight_bytes, scratch) = (cell.bytes(), cell.scratch()?);
        let rows = sequence.len() as u64;
        let macs = cell.macs().saturating_mul(rows);
        let work = macs.saturating_add(rows.saturating_mul(8 * cell.units as u64));
        let step = Step::new(RnnKernel { sequence, cell }, 0);
        Ok(Step { updates: vec![4], weight_bytes, scratch, macs, work, ..step }.into())
    }

    fn foldable(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct RnnKernel {
    sequence: Sequence,
    cell: Cell,
}

impl Kernel for RnnKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x], [y, state], scratch) = memory.parts();
        let x: &[f32] = bytemuck::cast_slice(x);
        let y: &mut [f32] = bytemuck::cast_slice_mut(y);
        let state: &mut [f32] = bytemuck::cast_slice_mut(state);
        let (n, units) = (self.cell.input, self.cell.units);
        self.sequence.rows(false, |batch, row| {
            let state = &mut state[batch * units..][..units];
            let y = &mut y[row * units..][..units];
            self.cell.step(&x[row * n..][..n], None, state, y, scratch);
        });
    }
}

/// x `[…, input]`; weights, recurrent weights, bias and state of either direction; then a second
/// sequence with its weights, which stands for the first in the backward direction where it has
/// none and time is major.
#[derive(Debug)]
pub(super) struct Both {
    time_major: bool,
    merge: bool,
    layer: Layer,
}

impl Operator for Both {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let x = site.input(0)?;
        let (_, n) = Sequence::of(&x.shape, self.time_major)?;
        let of = |units: usize| {
            let mut shape = x.shape.clone();
            shape.pop();
            shape.push(units);
            shape
        };
        let (forward, backward) = (units(site, 1, n)?, units(site, 5, n)?);
        Ok(match self.merge {
            true => vec![of(forward.saturating_add(backward))],
            false => vec![of(forward), of(backward)],
        })
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        check_reals(site)?;
        let x = site.input(0)?;
        let (sequence, n) = Sequence::of(&x.shape, self.time_major)?;
        let other = site.optional(9);
        if let Some(other) = other.filter(|other| other.shape != x.shape || other.dtype != x.dtype)
        {
            return Err(unsupported(format!("a second input of {:?}", other.shape)));
        }
        let weighed = site.optional(10).is_some();
        if weighed && other.is_none() {
            return Err(malformed("weights for a second input that is not there"));
        }
        let auxiliary = |index| weighed.then_some(index);
        let cells = [
            Cell::new(site, 1, auxiliary(10), n, self.layer)?,
            Cell::new(site, 5, auxiliary(11), n, self.layer)?,
        ];
        for (cell, index) in cells.iter().zip([4, 8]) {
            state(site, index, sequence.batch.saturating_mul(cell.units))?;
        }
        let apart = other.is_some() && !weighed && self.time_major;
        // LiteRT's hybrid kernel goes over a time-major sequence as often as it has steps.
        let quantized = cells[0].products.is_quantized();
        let sweeps = if quantized && self.time_major { sequence.time } else { 1 };
        let rows = sequence.len() as u64;
        let rows = rows.saturating_mul(sweeps as u64);
        let macs = cells.iter().map(Cell::macs).sum::<u64>().saturating_mul(rows);
        let around = 8 * (cells[0].units as u64 + cells[1].units as u64);
        let work = macs.saturating_add(rows.saturating_mul(around));
        let weight_bytes = cells.iter().map(Cell::bytes).sum();
        let scratch = cells[0].scratch()?.max(cells[1].scratch()?);
        let reads = if weighed || apart { vec![0, 9] } else { vec![0, 0] };
        let kernel = BothKernel { sequence, cells, sweeps, merge: self.merge, weighed, apart };
        let step = Step::new(kernel, 0);
        Ok(Step { reads, updates: vec![4, 8], weight_bytes, scratch, macs, work, ..step }.into())
    }

    fn foldable(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct BothKernel {
    sequence: Sequence,
    cells: [Cell; 2],
    sweeps: usize,
    merge: bool,
    /// Both directions read the second sequence, too.
    weighed: bool,
    /// The backward direction reads the second sequence instead of the first.
    apart: bool,
}

impl Kernel for BothKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let [forward, backward] = [self.cells[0].units, self.cells[1].units];
        let all = forward + backward;
        for _ in 0..self.sweeps {
            if self.merge {
                let ([x, other], [y, a, b], scratch) = memory.parts();
                self.direction(0, [x, other], (&mut *y, all, 0), a, scratch);
                self.direction(1, [x, other], (y, all, forward), b, scratch);
            } else {
                let ([x, other], [y, z, a, b], scratch) = memory.parts();
                self.direction(0, [x, other], (y, forward, 0), a, scratch);
                self.direction(1, [x, other], (z, backward, 0), b, scratch);
            }
        }
    }
}

impl BothKernel {
    /// Runs one direction; its rows lie `step` apart in `y`, from `start` on.
    fn direction(
        &self,
        side: usize,
        [x, other]: [&[u8]; 2],
        (y, step, start): (&mut [u8], usize, usize),
        state: &mut [u8],
        scratch: &mut [u8],
    ) {
        let [x, other]: [&[f32]; 2] = [x, other].map(bytemuck::cast_slice);
        let x = if self.apart && side == 1 { other } else { x };
        let y: &mut [f32] = bytemuck::cast_slice_mut(y);
        let state: &mut [f32] = bytemuck::cast_slice_mut(state);
        let (n, units) = (self.cells[side].input, self.cells[side].units);
        self.sequence.rows(side == 1, |batch, row| {
            let state = &mut state[batch * units..][..units];
            let y = &mut y[row * step + start..][..units];
            let second = self.weighed.then(|| &other[row * n..][..n]);
            self.cells[side].step(&x[row * n..][..n], second, state, y, scratch);
        });
    }
}
