//! LSTM layers over sequences: one direction or both, one step at a time or all.
//!
//! Both states are variables of the session: what a run leaves there the next one begins with.

mod both;
mod integer;
mod real;

pub(super) use both::ENTRIES as BOTH;

use self::integer::IntegerCell;
use self::real::{RealCell, RealLayout};
use super::shared::sequence::Sequence;
use super::shared::squash::{SQUASHES, Squash};
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;
use crate::engine::native::tflite::Options;

const KINDS: &[Kind] = &[Kind::Float32, Kind::Hybrid, Kind::Int8];
const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("activation", SQUASHES.split_at(1).1),
    ("cifg", &["false", "true"]),
    ("peephole", &["false", "true"]),
    ("projection", &["false", "true"]),
    ("layer_norm", &["false", "true"]),
];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "UNIDIRECTIONAL_SEQUENCE_LSTM",
        options: 71,
        lower: |options| {
            // UnidirectionalSequenceLSTMOptions: activation, clips, time is major, asymmetric
            // inputs, diagonal recurrent weights.
            if options.byte(5, 0)? != 0 {
                return Err(unsupported("diagonal recurrent weights"));
            }
            let time_major = options.byte(3, 0)? != 0;
            Ok(Box::new(Lstm { time_major, layer: Layer::of(options, 4)? }))
        },
        kinds: KINDS,
        attributes: ATTRIBUTES,
    },
    Entry {
        name: "LSTM",
        options: 14,
        lower: |options| {
            // LSTMOptions: activation, clips, kernel, asymmetric inputs.
            if options.byte(3, 0)? != 0 {
                return Err(unsupported("the basic kernel, of before 2018"));
            }
            Ok(Box::new(Lstm { time_major: true, layer: Layer::of(options, 4)? }))
        },
        kinds: KINDS,
        attributes: ATTRIBUTES,
    },
];

/// What the options of all LSTM operators say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    activation: Squash,
    /// 0 for none.
    cell_clip: f32,
    /// 0 for none.
    projection_clip: f32,
    asymmetric: bool,
}

impl Layer {
    fn of(options: &Options<'_>, asymmetric: usize) -> Result<Self, Refusal> {
        let clip = |field| {
            let clip = options.float(field, 0.0)?;
            if clip >= 0.0 { Ok(clip) } else { Err(malformed(format!("a clip at {clip}"))) }
        };
        Ok(Self {
            activation: Squash::of(options.byte(0, 0)?)?,
            cell_clip: clip(1)?,
            projection_clip: clip(2)?,
            asymmetric: options.byte(asymmetric, 0)? != 0,
        })
    }
}

/// Lengths of the vectors of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    input: usize,
    cell: usize,
    output: usize,
}

impl Sizes {
    /// From the weights of the output gate, which every variant has: `[cell, input]` from the input
    /// and `[cell, output]` from the output before.
    fn of(
        site: &Site<'_>,
        input: usize,
        weights: usize,
        recurrent: usize,
    ) -> Result<Self, Refusal> {
        let pair = |index| match site.input(index)?.shape[..] {
            [rows, columns] => Ok((rows, columns)),
            ref other => Err(malformed(format!("matrix {index} of shape {other:?}"))),
        };
        let (cell, columns) = pair(weights)?;
        let (rows, output) = pair(recurrent)?;
        if columns != input || rows != cell {
            return Err(malformed(format!(
                "weights [{cell}, {columns}] and [{rows}, {output}] for an input of {input}"
            )));
        }
        Ok(Self { input, cell, output })
    }
}

/// x `[…, input]`, then weights, biases and states as TFLite lists them: input 18 is the output
/// before, 19 the cell.
#[derive(Debug)]
pub(super) struct Lstm {
    time_major: bool,
    layer: Layer,
}

const OUTPUT_STATE: usize = 18;
const CELL_STATE: usize = 19;

/// Checks that input `index` is a variable of so many elements.
fn state(site: &Site<'_>, index: usize, dtype: DType, elements: usize) -> Result<(), Refusal> {
    let value = site.input(index)?;
    if !site.is_state(index) {
        return Err(unsupported(format!("input {index} is a state, but no variable")));
    }
    if value.dtype != dtype || value.elements() != elements {
        let found = format!("{} {:?}", value.dtype, value.shape);
        return Err(malformed(format!("state {index} is {found}, not {elements} {dtype}")));
    }
    Ok(())
}

impl Lstm {
    fn fit(&self, site: &Site<'_>) -> Result<(Sequence, Sizes), Refusal> {
        let (sequence, n) = Sequence::of(&site.input(0)?.shape, self.time_major)?;
        Ok((sequence, Sizes::of(site, n, 4, 8)?))
    }
}

impl Operator for Lstm {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (_, sizes) = self.fit(site)?;
        let mut shape = site.input(0)?.shape.clone();
        shape.pop();
        shape.push(sizes.output);
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let (sequence, sizes) = self.fit(site)?;
        if x.dtype != y.dtype {
            return Err(malformed(format!("{} in, {} out", x.dtype, y.dtype)));
        }
        let batch = sequence.batch;
        let step = match x.dtype {
            DType::F32 => {
                state(site, OUTPUT_STATE, DType::F32, batch.saturating_mul(sizes.output))?;
                state(site, CELL_STATE, DType::F32, batch.saturating_mul(sizes.cell))?;
                let cell = RealCell::new(site, &RealLayout::forward(), sizes, 0, self.layer)?;
                let (macs, weight_bytes, scratch) = (cell.macs(), cell.bytes(), cell.scratch()?);
                let step = Step::new(RealKernel { sequence, cell }, 0);
                Step { macs, weight_bytes, scratch, ..step }
            }
            DType::I8 => {
                state(site, OUTPUT_STATE, DType::I8, batch.saturating_mul(sizes.output))?;
                state(site, CELL_STATE, DType::I16, batch.saturating_mul(sizes.cell))?;
                let together = if self.time_major { batch } else { 1 };
                let cell = IntegerCell::new(site, sizes, self.layer, together)?;
                let (macs, weight_bytes, scratch) = (cell.macs(), cell.bytes(), cell.scratch()?);
                let step = Step::new(IntegerKernel { sequence, cell, together }, 0);
                Step { macs, weight_bytes, scratch, ..step }
            }
            other => return Err(unsupported(format!("{other} activations"))),
        };
        let macs = step.macs.saturating_mul(sequence.len() as u64);
        let work =
            macs.saturating_add((sequence.len() as u64).saturating_mul(32 * sizes.cell as u64));
        Ok(Step { macs, work, updates: vec![OUTPUT_STATE, CELL_STATE], ..step }.into())
    }

    fn foldable(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct RealKernel {
    sequence: Sequence,
    cell: RealCell,
}

impl Kernel for RealKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x], [y, output, cell], scratch) = memory.parts();
        let x: &[f32] = bytemuck::cast_slice(x);
        let y: &mut [f32] = bytemuck::cast_slice_mut(y);
        let output: &mut [f32] = bytemuck::cast_slice_mut(output);
        let cells: &mut [f32] = bytemuck::cast_slice_mut(cell);
        let Sizes { input, cell, output: n } = self.cell.sizes;
        self.sequence.rows(false, |batch, row| {
            let state = &mut output[batch * n..][..n];
            let cells = &mut cells[batch * cell..][..cell];
            self.cell.step(&x[row * input..][..input], &[], state, cells, scratch);
            y[row * n..][..n].copy_from_slice(state);
        });
    }
}

#[derive(Debug)]
struct IntegerKernel {
    sequence: Sequence,
    cell: IntegerCell,
    together: usize,
}

impl Kernel for IntegerKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x], [y, output, cell], scratch) = memory.parts();
        let x: &[i8] = bytemuck::cast_slice(x);
        let y: &mut [i8] = bytemuck::cast_slice_mut(y);
        let output: &mut [i8] = bytemuck::cast_slice_mut(output);
        let cells: &mut [i16] = bytemuck::cast_slice_mut(cell);
        let Sizes { input, cell, output: n } = self.cell.sizes;
        self.sequence.rows(false, |batch, row| {
            let state = &mut output[batch * n..][..n];
            let cells = &mut cells[batch * cell..][..cell];
            let place = batch % self.together;
            self.cell.step(&x[row * input..][..input], place, state, cells, scratch);
            y[row * n..][..n].copy_from_slice(state);
        });
    }
}
