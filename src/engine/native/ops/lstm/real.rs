//! One step of an LSTM in reals, with real or 8-bit weights.
//! Source: TFLite, `kernels/lstm_eval.cc`, and Sak, Senior and Beaufays, "Long Short-Term Memory
//! Recurrent Neural Network Architectures for Large Scale Acoustic Modeling", 2014.

use super::{Layer, Sizes};
use crate::engine::native::kernels::Isa;
use crate::engine::native::ops::shared::matrix::{Products, dynamic, reals};
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

/// What a gate has beside its matrices.
#[derive(Debug)]
struct Gate {
    peephole: Option<Vec<f32>>,
    /// With the bias, which otherwise is where the products begin.
    norm: Option<(Vec<f32>, Vec<f32>)>,
    activation: Squash,
}

/// All weights of one direction.
#[derive(Debug)]
pub(super) struct RealCell {
    isa: Isa,
    pub(super) sizes: Sizes,
    layer: Layer,
    /// Of the forget, cell, output and input gate, one after the other, with the input, the second
    /// input where there is one, and the output before.
    products: Products,
    forget: Gate,
    cell: Gate,
    output: Gate,
    /// `None` where the input gate is what the forget gate leaves (CIFG).
    input: Option<Gate>,
    projection: Option<Products>,
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
        let mut biases = Vec::new();
        let mut gate = |place: usize, peephole: Option<usize>, activation| {
            let peephole = peephole.map(|place| layout.peephole + place);
            let peephole = peephole.filter(|&index| given(index));
            let norm = layout.norm.map(|norm| norm + place).filter(|&index| given(index));
            let bias = vector(layout.bias + place, cell)?;
            site.budget.take_for::<f32>(cell)?;
            let norm = match norm {
                Some(index) => {
                    biases.resize(biases.len() + cell, 0.0);
                    Some((vector(index, cell)?, bias))
                }
                None => {
                    biases.extend(bias);
                    None
                }
            };
            let peephole = peephole.map(|index| vector(index, cell)).transpose()?;
            Ok::<_, Refusal>(Gate { peephole, norm, activation })
        };
        let forget = gate(1, Some(1), Squash::Sigmoid)?;
        let middle = gate(2, None, layer.activation)?;
        let last = gate(3, Some(2), Squash::Sigmoid)?;
        let input = given(layout.weights).then(|| gate(0, Some(0), Squash::Sigmoid)).transpose()?;
        let places = if input.is_some() { &[1, 2, 3, 0][..] } else { &[1, 2, 3] };
        let of = |first: usize| places.iter().map(|place| first + place).collect::<Vec<_>>();
        let second = layout.auxiliary.filter(|_| auxiliary > 0);
        let matrices: Vec<_> = [(n, of(layout.weights))]
            .into_iter()
            .chain(second.map(|first| (auxiliary, of(first))))
            .chain([(output, of(layout.recurrent))])
            .collect();
        let rounding = dynamic(layer.asymmetric);
        let products = Products::new(site, &matrices, biases, rounding)?;
        let projection = given(layout.projection)
            .then(|| {
                let bias = match given(layout.projection_bias) {
                    true => vector(layout.projection_bias, output)?,
                    false => vec![0.0; output],
                };
                Products::new(site, &[(cell, vec![layout.projection])], bias, rounding)
            })
            .transpose()?;
        if projection.is_none() && output != cell {
            return Err(malformed(format!("{cell} cells give {output} outputs without weights")));
        }
        if projection.iter().any(|matrix| matrix.is_quantized() != products.is_quantized()) {
            return Err(unsupported("weights of which only some are 8-bit"));
        }
        let (cell, output) = (middle, last);
        let isa = site.isa;
        Ok(Self { isa, sizes, layer, products, forget, cell, output, input, projection })
    }

    fn all(&self) -> impl Iterator<Item = &Products> {
        self.projection.iter().chain([&self.products])
    }

    /// Multiply-accumulates of one step.
    pub(super) fn macs(&self) -> u64 {
        self.all().map(Products::macs).sum()
    }

    /// Bytes of the packed constants.
    pub(super) fn bytes(&self) -> usize {
        self.all().map(Products::bytes).sum::<usize>() + 16 * self.sizes.cell
    }

    /// Bytes of scratch of one step: the gates, and what products work with.
    pub(super) fn scratch(&self) -> Result<usize, Refusal> {
        let gates = scratch_for::<f32>(self.sizes.cell.saturating_mul(4))?;
        let mut most = 0;
        for products in self.all() {
            most = products.scratch()?.max(most);
        }
        Ok(gates.saturating_add(most))
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
        let (gates, scratch) = scratch.split_at_mut(16 * n);
        let gates: &mut [f32] = bytemuck::cast_slice_mut(gates);
        let computed = if self.input.is_some() { 4 * n } else { 3 * n };
        let rows = &[x, auxiliary, &*output];
        let rows: &[&[f32]] = if auxiliary.is_empty() { &[x, output] } else { rows };
        self.products.run(rows, &mut gates[..computed], scratch);
        let (forget_gate, rest) = gates.split_at_mut(n);
        let (cell_gate, rest) = rest.split_at_mut(n);
        let (output_gate, input_gate) = rest.split_at_mut(n);
        self.isa.run(
            #[inline(always)]
            || self.forget.run(cell, forget_gate),
        );
        match &self.input {
            Some(gate) => self.isa.run(
                #[inline(always)]
                || gate.run(cell, input_gate),
            ),
            None => {
                for (input, forget) in input_gate.iter_mut().zip(&*forget_gate) {
                    *input = 1.0 - forget;
                }
            }
        }
        self.isa.run(
            #[inline(always)]
            || self.cell.run(cell, cell_gate),
        );
        self.isa.run(
            #[inline(always)]
            || {
                let gates = forget_gate.iter().zip(&*cell_gate).zip(&*input_gate);
                for (cell, ((forget, new), input)) in cell.iter_mut().zip(gates) {
                    *cell = forget * *cell + new * input;
                }
                clip(cell, self.layer.cell_clip);
            },
        );
        self.isa.run(
            #[inline(always)]
            || self.output.run(cell, output_gate),
        );
        let hidden = cell_gate;
        self.isa.run(
            #[inline(always)]
            || {
                hidden.copy_from_slice(cell);
                self.layer.activation.all(hidden);
                for (hidden, gate) in hidden.iter_mut().zip(&*output_gate) {
                    *hidden *= gate;
                }
            },
        );
        match &self.projection {
            Some(products) => {
                products.run(&[hidden], output, scratch);
                clip(output, self.layer.projection_clip);
            }
            None => output.copy_from_slice(hidden),
        }
    }
}

impl Gate {
    /// From products to the gate.
    #[inline(always)]
    fn run(&self, cell: &[f32], gate: &mut [f32]) {
        if let Some(peephole) = &self.peephole {
            for ((gate, weight), cell) in gate.iter_mut().zip(peephole).zip(cell) {
                *gate += weight * cell;
            }
        }
        if let Some((weights, biases)) = &self.norm {
            normalize(gate);
            for ((gate, weight), bias) in gate.iter_mut().zip(weights).zip(biases) {
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
