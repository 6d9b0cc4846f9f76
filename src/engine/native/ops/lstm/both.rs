//! LSTM in both directions over the same sequence.

use super::real::{RealCell, RealLayout};
use super::{ATTRIBUTES, Layer, Sizes, state};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;
use crate::engine::native::ops::shared::sequence::Sequence;
use crate::engine::native::ops::{
    Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported,
};

pub(in super::super) const ENTRIES: &[Entry] = &[Entry {
    name: "BIDIRECTIONAL_SEQUENCE_LSTM",
    options: 69,
    lower: |options| {
        // BidirectionalSequenceLSTMOptions: activation, clips, one output, time is major,
        // asymmetric inputs.
        let (merge, time_major) = (options.byte(3, 0)? != 0, options.byte(4, 1)? != 0);
        Ok(Box::new(Both { merge, time_major, layer: Layer::of(options, 5)? }))
    },
    kinds: &[Kind::Float32, Kind::Hybrid],
    attributes: ATTRIBUTES.split_at(4).0,
}];

/// x `[…, input]`, weights and biases of both directions, their states, then a second sequence
/// with its weights: what the backward direction reads where there are none.
#[derive(Debug)]
pub(in super::super) struct Both {
    merge: bool,
    time_major: bool,
    layer: Layer,
}

/// Where the inputs of each direction are.
const LAYOUTS: [RealLayout; 2] = [
    RealLayout {
        weights: 1,
        recurrent: 5,
        peephole: 9,
        bias: 12,
        projection: 16,
        projection_bias: 17,
        norm: None,
        auxiliary: Some(40),
    },
    RealLayout {
        weights: 18,
        recurrent: 22,
        peephole: 26,
        bias: 29,
        projection: 33,
        projection_bias: 34,
        norm: None,
        auxiliary: Some(44),
    },
];
/// Output and cell state of each direction.
const STATES: [[usize; 2]; 2] = [[35, 36], [37, 38]];
const AUXILIARY: usize = 39;

struct Fit {
    sequence: Sequence,
    sizes: [Sizes; 2],
    /// Length of the second sequence's rows, where it has weights.
    auxiliary: usize,
    /// The second sequence is the backward direction's input.
    apart: bool,
}

impl Both {
    fn fit(&self, site: &Site<'_>) -> Result<Fit, Refusal> {
        let x = site.input(0)?;
        let (sequence, n) = Sequence::of(&x.shape, self.time_major)?;
        let weighed = site.optional(41).is_some();
        let auxiliary = match site.optional(AUXILIARY) {
            Some(value) if value.shape == x.shape && value.dtype == x.dtype => n,
            Some(value) => {
                let why = format!("a second input of {:?} for {:?}", value.shape, x.shape);
                return Err(unsupported(why));
            }
            None if weighed => {
                return Err(malformed("weights for a second input that is not there"));
            }
            None => 0,
        };
        let sizes = [Sizes::of(site, n, 4, 8)?, Sizes::of(site, n, 21, 25)?];
        let apart = auxiliary > 0 && !weighed;
        Ok(Fit { sequence, sizes, auxiliary: if weighed { auxiliary } else { 0 }, apart })
    }
}

impl Operator for Both {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let Fit { sizes: [forward, backward], .. } = self.fit(site)?;
        let x = site.input(0)?;
        let of = |n: usize| {
            let mut shape = x.shape.clone();
            shape.pop();
            shape.push(n);
            shape
        };
        if self.merge {
            Ok(vec![of(forward.output.saturating_add(backward.output))])
        } else {
            Ok(vec![of(forward.output), of(backward.output)])
        }
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let Fit { sequence, sizes, auxiliary, apart } = self.fit(site)?;
        let x = site.input(0)?;
        let outputs = site.node.outputs.iter().map(|&id| site.graph.values[id].dtype);
        if x.dtype != DType::F32 || outputs.into_iter().any(|dtype| dtype != DType::F32) {
            return Err(unsupported(format!("{} activations", x.dtype)));
        }
        for (sizes, [output, cell]) in sizes.iter().zip(STATES) {
            state(site, output, DType::F32, sequence.batch.saturating_mul(sizes.output))?;
            state(site, cell, DType::F32, sequence.batch.saturating_mul(sizes.cell))?;
        }
        let cell =
            |side: usize| RealCell::new(site, &LAYOUTS[side], sizes[side], auxiliary, self.layer);
        let cells = [cell(0)?, cell(1)?];
        let rows = sequence.len() as u64;
        let macs = cells.iter().map(RealCell::macs).sum::<u64>().saturating_mul(rows);
        let around = 32 * (sizes[0].cell as u64 + sizes[1].cell as u64);
        let work = macs.saturating_add(rows.saturating_mul(around));
        let weight_bytes = cells.iter().map(RealCell::bytes).sum();
        let scratch = cells[0].scratch()?.max(cells[1].scratch()?);
        let reads = if auxiliary > 0 || apart { vec![0, AUXILIARY] } else { vec![0] };
        let (merge, second) = (self.merge, auxiliary > 0);
        let kernel = BothKernel { sequence, cells, merge, second, apart };
        let updates = STATES.concat();
        Ok(Step { reads, updates, scratch, weight_bytes, macs, work, ..Step::new(kernel, 0) }
            .into())
    }

    fn foldable(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct BothKernel {
    sequence: Sequence,
    cells: [RealCell; 2],
    merge: bool,
    /// Both directions read the second sequence, too.
    second: bool,
    apart: bool,
}

impl Kernel for BothKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        match (self.merge, self.second || self.apart) {
            (false, false) => {
                let ([x], [y, z, a, b, c, d], scratch) = memory.parts();
                self.directions([x, x], [y, z], [a, b, c, d], scratch);
            }
            (false, true) => {
                let ([x, other], [y, z, a, b, c, d], scratch) = memory.parts();
                self.directions([x, other], [y, z], [a, b, c, d], scratch);
            }
            (true, false) => {
                let ([x], [y, a, b, c, d], scratch) = memory.parts();
                self.directions([x, x], [y, &mut []], [a, b, c, d], scratch);
            }
            (true, true) => {
                let ([x, other], [y, a, b, c, d], scratch) = memory.parts();
                self.directions([x, other], [y, &mut []], [a, b, c, d], scratch);
            }
        }
    }
}

impl BothKernel {
    fn directions(
        &self,
        [x, other]: [&[u8]; 2],
        [y, z]: [&mut [u8]; 2],
        states: [&mut [u8]; 4],
        scratch: &mut [u8],
    ) {
        let [x, other]: [&[f32]; 2] = [x, other].map(bytemuck::cast_slice);
        let [output, cells, back_output, back_cells] = states;
        let [forward, backward] = [0, 1].map(|side| self.cells[side].sizes.output);
        let all = if self.merge { forward + backward } else { 0 };
        let step = if self.merge { [all, all] } else { [forward, backward] };
        self.direction(0, [x, other], (&mut *y, step[0], 0), [output, cells], scratch);
        let x = if self.apart { other } else { x };
        let to = if self.merge { (y, step[1], forward) } else { (z, step[1], 0) };
        self.direction(1, [x, other], to, [back_output, back_cells], scratch);
    }

    /// Runs one direction; its rows lie `step` apart in `y`, from `start` on.
    fn direction(
        &self,
        side: usize,
        [x, other]: [&[f32]; 2],
        (y, step, start): (&mut [u8], usize, usize),
        [output, cells]: [&mut [u8]; 2],
        scratch: &mut [u8],
    ) {
        let y: &mut [f32] = bytemuck::cast_slice_mut(y);
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        let cells: &mut [f32] = bytemuck::cast_slice_mut(cells);
        let Sizes { input, cell, output: n } = self.cells[side].sizes;
        self.sequence.rows(side == 1, |batch, row| {
            let output = &mut output[batch * n..][..n];
            let cells = &mut cells[batch * cell..][..cell];
            let second = if self.second { &other[row * input..][..input] } else { &[] };
            self.cells[side].step(&x[row * input..][..input], second, output, cells, scratch);
            y[row * step + start..][..n].copy_from_slice(output);
        });
    }
}
