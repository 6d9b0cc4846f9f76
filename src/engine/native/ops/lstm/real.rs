//! One step of an LSTM in reals, with real or 8-bit weights.
//! Source: TFLite, `kernels/lstm_eval.cc`, and Sak, Senior and Beaufays, "Long Short-Term Memory
//! Recurrent Neural Network Architectures for Large Scale Acoustic Modeling", 2014.

use super::{Layer, Sizes};
use crate::engine::native::ops::shared::matrix::{Matrix, Rounding, Row, reals};
use crate::engine::native::ops::shared::scratch::scratch_for;
use crate::engine::native::ops::shared::squash::Squash;
use crate::engine::native::ops::{Refusal, Site, malformed, unsupported};

/// Where the inputs of one direction are among the operator's. Those of gates are in the order
/// input, forget, cell, output.
#[derive(Debug)]
pub(super) struct RealLayout {
    pub(super) weights: usize,
    pub(super) recurrent: usize,
    /// Of the input, forget and output gate.
    pub(super) peephole: usize,
    pub(super) bias: usize,
    pub(super) projection: usize,
    pub(super) projection_bias: usize,
    pub(super) norm: Option<usize>,
    pub(super) auxiliary: Option<usize>,
}

impl RealLayout {
    /// Of an operator with one direction.
    pub(super) fn forward() -> Self {
        Self {
            weights: 1,
            recurrent: 5,
            peephole: 9,
            bias: 12,
            projection: 16,
            projection_bias: 17,
            norm: Some(20),
            auxiliary: None,
        }
    }
}

/// Weights of one gate.
#[derive(Debug)]
struct Gate {
    weights: Matrix,
    auxiliary: Option<Matrix>,
    recurrent: Matrix,
    peephole: Option<Vec<f32>>,
    norm: Option<Vec<f32>>,
    bias: Vec<f32>,
    activation: Squash,
}

/// All weights of one direction.
#[derive(Debug)]
pub(super) struct RealCell {
    pub(super) sizes: Sizes,
    auxiliary: usize,
    layer: Layer,
    rounding: Rounding,
    /// `None` where the input gate is what the forget gate leaves (CIFG).
    input: Option<Gate>,
    forget: Gate,
    cell: Gate,
    output: Gate,
    projection: Option<(Matrix, Vec<f32>)>,
}

impl RealCell {
    /// `auxiliary` is the length of the second input's rows; 0 without one.
    pub(super) fn new(
        site: &Site<'_>,
        layout: &RealLayout,
        sizes: Sizes,
        auxiliary: usize,
        layer: Layer,
    ) -> Result<Self, Refusal> {
        if layer.activation == Squash::None {
            // LiteRT's kernels then multiply by what lies in a scratch buffer.
            return Err(unsupported("no activation: what LiteRT gives for it means nothing"));
        }
        let Sizes { input: n, cell, output } = sizes;
        let vector = |index: usize, n: usize| {
            site.budget.take_for::<f32>(n)?;
            reals(site.input(index)?, n, &format!("vector {index}"))
        };
        let given = |index: usize| site.optional(index).is_some();
        let gate = |place: usize, peephole: Option<usize>, activation| {
            let peephole = peephole.map(|place| layout.peephole + place);
            let norm = layout.norm.map(|norm| norm + place);
            Ok::<_, Refusal>(Gate {
                weights: Matrix::of(site, layout.weights + place, [cell, n])?,
                auxiliary: layout
                    .auxiliary
                    .filter(|_| auxiliary > 0)
                    .map(|first| Matrix::of(site, first + place, [cell, auxiliary]))
                    .transpose()?,
                recurrent: Matrix::of(site, layout.recurrent + place, [cell, output])?,
                peephole: peephole
                    .filter(|&index| given(index))
                    .map(|index| vector(index, cell))
                    .transpose()?,
                norm: norm
                    .filter(|&index| given(index))
                    .map(|index| vector(index, cell))
                    .transpose()?,
                bias: vector(layout.bias + place, cell)?,
                activation,
            })
        };
        let input = given(layout.weights).then(|| gate(0, Some(0), Squash::Sigmoid)).transpose()?;
        let forget = gate(1, Some(1), Squash::Sigmoid)?;
        let projection = given(layout.projection)
            .then(|| {
                let matrix = Matrix::of(site, layout.projection, [output, cell])?;
                let bias = match given(layout.projection_bias) {
                    true => vector(layout.projection_bias, output)?,
                    false => vec![0.0; output],
                };
                Ok::<_, Refusal>((matrix, bias))
            })
            .transpose()?;
        if projection.is_none() && output != cell {
            return Err(malformed(format!("{cell} cells give {output} outputs without weights")));
        }
        let quantized = forget.weights.is_quantized();
        let made = Self {
            sizes,
            auxiliary,
            layer,
            rounding: layer.rounding(quantized),
            input,
            forget,
            cell: gate(2, None, layer.activation)?,
            output: gate(3, Some(2), Squash::Sigmoid)?,
            projection,
        };
        if made.matrices().any(|matrix| matrix.is_quantized() != quantized) {
            return Err(unsupported("weights of which only some are 8-bit"));
        }
        Ok(made)
    }

    fn gates(&self) -> impl Iterator<Item = &Gate> {
        self.input.iter().chain([&self.forget, &self.cell, &self.output])
    }

    fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        let gates = self
            .gates()
            .flat_map(|gate| gate.auxiliary.iter().chain([&gate.weights, &gate.recurrent]));
        gates.chain(self.projection.iter().map(|(matrix, _)| matrix))
    }

    /// Multiply-accumulates of one step.
    pub(super) fn macs(&self) -> u64 {
        self.matrices().map(Matrix::macs).sum()
    }

    /// Bytes of the packed constants.
    pub(super) fn bytes(&self) -> usize {
        self.matrices().map(Matrix::bytes).sum::<usize>() + 16 * self.sizes.cell
    }

    /// Reals, then bytes, that one step works with.
    fn room(&self) -> (usize, usize) {
        let Sizes { input, cell, output } = self.sizes;
        (
            4usize.saturating_mul(cell),
            [input, self.auxiliary, output, cell].into_iter().fold(0, usize::saturating_add),
        )
    }

    /// Bytes of scratch of one step.
    pub(super) fn scratch(&self) -> Result<usize, Refusal> {
        let (reals, bytes) = self.room();
        Ok(scratch_for::<f32>(reals)?.saturating_add(scratch_for::<i8>(bytes)?))
    }

    /// One step: from `x`, `auxiliary` and both states to the states, of which `output` is also
    /// what the step gives.
    pub(super) fn step(
        &self,
        x: &[f32],
        auxiliary: &[f32],
        output: &mut [f32],
        cell: &mut [f32],
        scratch: &mut [u8],
    ) {
        let n = self.sizes.cell;
        let (reals, bytes) = scratch.split_at_mut(4 * self.room().0);
        let reals: &mut [f32] = bytemuck::cast_slice_mut(reals);
        let bytes: &mut [i8] = bytemuck::cast_slice_mut(bytes);
        let (bytes_x, bytes) = bytes.split_at_mut(x.len());
        let (bytes_auxiliary, bytes) = bytes.split_at_mut(self.auxiliary);
        let (bytes_output, bytes) = bytes.split_at_mut(output.len());
        let (bytes_hidden, _) = bytes.split_at_mut(n);
        let (input_gate, rest) = reals.split_at_mut(n);
        let (forget_gate, rest) = rest.split_at_mut(n);
        let (cell_gate, rest) = rest.split_at_mut(n);
        let (output_gate, _) = rest.split_at_mut(n);
        {
            let rows = Rows {
                x: Row::new(x, bytes_x, self.rounding),
                auxiliary: Row::new(auxiliary, bytes_auxiliary, self.rounding),
                output: Row::new(output, bytes_output, self.rounding),
            };
            self.forget.run(&rows, cell, forget_gate);
            match &self.input {
                Some(gate) => gate.run(&rows, cell, input_gate),
                None => {
                    for (input, forget) in input_gate.iter_mut().zip(&*forget_gate) {
                        *input = 1.0 - forget;
                    }
                }
            }
            self.cell.run(&rows, cell, cell_gate);
            for (i, cell) in cell.iter_mut().enumerate() {
                *cell = forget_gate[i] * *cell + cell_gate[i] * input_gate[i];
            }
            clip(cell, self.layer.cell_clip);
            self.output.run(&rows, cell, output_gate);
        }
        let hidden = cell_gate;
        for ((hidden, &cell), gate) in hidden.iter_mut().zip(&*cell).zip(&*output_gate) {
            *hidden = gate * self.layer.activation.apply(cell);
        }
        match &self.projection {
            Some((matrix, bias)) => {
                output.copy_from_slice(bias);
                matrix.accumulate(Row::new(hidden, bytes_hidden, self.rounding), output);
                clip(output, self.layer.projection_clip);
            }
            None => output.copy_from_slice(hidden),
        }
    }
}

/// What all gates read.
struct Rows<'a> {
    x: Row<'a>,
    auxiliary: Row<'a>,
    output: Row<'a>,
}

impl Gate {
    fn run(&self, rows: &Rows<'_>, cell: &[f32], gate: &mut [f32]) {
        match self.norm {
            Some(_) => gate.fill(0.0),
            None => gate.copy_from_slice(&self.bias),
        }
        self.weights.accumulate(rows.x, gate);
        if let Some(auxiliary) = &self.auxiliary {
            auxiliary.accumulate(rows.auxiliary, gate);
        }
        self.recurrent.accumulate(rows.output, gate);
        if let Some(peephole) = &self.peephole {
            for ((gate, weight), cell) in gate.iter_mut().zip(peephole).zip(cell) {
                *gate += weight * cell;
            }
        }
        if let Some(norm) = &self.norm {
            normalize(gate);
            for ((gate, weight), bias) in gate.iter_mut().zip(norm).zip(&self.bias) {
                *gate = *gate * weight + bias;
            }
        }
        self.activation.all(gate);
    }
}

/// To a mean of 0 and a standard deviation of 1.
fn normalize(values: &mut [f32]) {
    let n = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>() / n;
    let factor = 1.0 / (variance + 1e-8).sqrt();
    values.iter_mut().for_each(|value| *value = (*value - mean) * factor);
}

/// To at most `most` in magnitude; 0 is no bound.
fn clip(values: &mut [f32], most: f32) {
    if most > 0.0 {
        values.iter_mut().for_each(|value| *value = value.min(most).max(-most));
    }
}
