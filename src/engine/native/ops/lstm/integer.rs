//! One step of an LSTM in fixed point: 8-bit input, output and weights, 16-bit gates and cell.
//! Whatever activation the options name, the reference's is tanh.
//! Source: TFLite, `kernels/lstm_eval.cc`, the integer kernel "8x8_16".

use super::{Layer, OUTPUT_STATE, Sizes};
use crate::data::{DType, Quantization};
use crate::engine::native::graph::{Quant, Value};
use crate::engine::native::kernels::{ByteMatrix, Isa};
use crate::engine::native::ops::shared::fixed::Factor;
use crate::engine::native::ops::shared::fixed16::{divide, sigmoid, tanh};
use crate::engine::native::ops::shared::inverse_root::InverseRoot;
use crate::engine::native::ops::shared::scratch::scratch_for;
use crate::engine::native::ops::{Refusal, Site, malformed, unsupported};

/// A matrix, with what turns sums into steps of the result.
#[derive(Debug)]
struct Product {
    matrix: ByteMatrix,
    rows: usize,
    factor: Factor,
}

/// Of a gate's 16-bit sums.
#[derive(Debug)]
struct Norm {
    weights: Vec<i16>,
    bias: Vec<i32>,
    factor: Factor,
    /// Stands for a variance below 1.
    guard: i32,
}

#[derive(Debug)]
struct Gate {
    input: Product,
    recurrent: Product,
    peephole: Option<(Vec<i16>, Factor)>,
    norm: Option<Norm>,
}

#[derive(Debug)]
struct Projection {
    product: Product,
    zero_point: i32,
    /// 0 for none.
    clip: i8,
}

/// All weights.
#[derive(Debug)]
pub(super) struct IntegerCell {
    isa: Isa,
    pub(super) sizes: Sizes,
    /// `None` where the input gate is what the forget gate leaves (CIFG).
    input: Option<Gate>,
    forget: Gate,
    cell: Gate,
    output: Gate,
    projection: Option<Projection>,
    /// The cell's scale is 2 to this power.
    power: i32,
    /// 0 for none.
    clip: i16,
    hidden: Factor,
    hidden_zero_point: i32,
    /// States that take a step together.
    together: usize,
}

/// Scale and zero point of a tensor.
fn quant(value: &Value<'_>, what: &str) -> Result<Quantization, Refusal> {
    match &value.quant {
        Quant::Tensor(quantization) => Ok(*quantization),
        _ => Err(unsupported(format!("{what} without one scale"))),
    }
}

/// The constant elements of input `index`: `n`, of `dtype`.
fn constant<'a>(
    site: &Site<'a>,
    index: usize,
    dtype: DType,
    n: usize,
) -> Result<(&'a Value<'a>, &'a [u8]), Refusal> {
    let value = site.input(index)?;
    let Some(data) = &value.data else {
        return Err(unsupported(format!("input {index} is not constant")));
    };
    if value.dtype != dtype || value.elements() != n {
        let found = format!("{} {:?}", value.dtype, value.shape);
        return Err(unsupported(format!("input {index} is {found}, not {n} {dtype}")));
    }
    site.budget.take(data.len())?;
    Ok((value, data))
}

fn words(data: &[u8]) -> Vec<i32> {
    data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
}

fn halves(data: &[u8]) -> Vec<i16> {
    data.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect()
}

fn factor(real: f64) -> Result<Factor, Refusal> {
    Factor::new(real).ok_or_else(|| malformed(format!("scales that give a factor of {real}")))
}

impl Product {
    /// Of the matrix in input `index`; `real` gives the factor from the matrix's scale.
    fn of(
        site: &Site<'_>,
        index: usize,
        [rows, columns]: [usize; 2],
        bias: Option<usize>,
        zero_point: i32,
        real: impl Fn(f32) -> f32,
    ) -> Result<Self, Refusal> {
        if rows == 0 || columns == 0 {
            return Err(malformed(format!("matrix {index} without elements")));
        }
        let (value, data) = constant(site, index, DType::I8, rows.saturating_mul(columns))?;
        if value.shape[..] != [rows, columns] {
            return Err(malformed(format!("matrix {index} of shape {:?}", value.shape)));
        }
        let weights: &[i8] = bytemuck::cast_slice(data);
        site.budget.take(ByteMatrix::bytes_max(rows, columns).unwrap_or(usize::MAX))?;
        site.budget.take_for::<i32>(rows)?;
        let mut bias = match bias {
            Some(index) => words(constant(site, index, DType::I32, rows)?.1),
            None => vec![0; rows],
        };
        for (bias, row) in bias.iter_mut().zip(weights.chunks_exact(columns)) {
            let sum = row.iter().fold(0i32, |sum, &w| sum.wrapping_add(i32::from(w)));
            *bias = bias.wrapping_add(sum.wrapping_mul(zero_point));
        }
        let scale = quant(value, "a matrix")?.scale;
        let matrix = ByteMatrix::new(site.isa, weights, &bias);
        Ok(Self { matrix, rows, factor: factor(f64::from(real(scale)))? })
    }

    /// Bytes of scratch of a run: sums, and what the matrix works with.
    fn scratch(&self) -> Result<usize, Refusal> {
        let sums = scratch_for::<i32>(self.rows)?;
        Ok(sums.saturating_add(scratch_for::<u8>(self.matrix.scratch())?))
    }

    /// For each row its sum in steps of the result.
    fn steps<'a>(&self, isa: Isa, x: &[i8], scratch: &'a mut [u8]) -> &'a [i32] {
        let (sums, scratch) = scratch.split_at_mut(4 * self.rows);
        let sums: &mut [i32] = bytemuck::cast_slice_mut(sums);
        self.matrix.run(x, sums, scratch);
        isa.run(
            #[inline(always)]
            || sums.iter_mut().for_each(|sum| *sum = self.factor.times(*sum)),
        );
        sums
    }

    /// Adds the products to `gate`.
    fn accumulate(&self, isa: Isa, x: &[i8], gate: &mut [i16], scratch: &mut [u8]) {
        let steps = self.steps(isa, x, scratch);
        isa.run(
            #[inline(always)]
            || {
                for (gate, &step) in gate.iter_mut().zip(steps) {
                    *gate = saturate(step.wrapping_add(i32::from(*gate)));
                }
            },
        );
    }
}

#[inline(always)]
fn saturate(x: i32) -> i16 {
    x.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

/// The power of two that a cell's scale is.
fn power_of(scale: f32) -> Result<i32, Refusal> {
    let log = libm::log2(f64::from(scale));
    let power = log.round();
    // Sigmoid and tanh take 0 to 6 integer bits of 15.
    if (log - power).abs() >= 1e-3 || !(-15.0..=-9.0).contains(&power) {
        return Err(unsupported(format!("a cell scale of {scale}")));
    }
    Ok(power as i32)
}

impl IntegerCell {
    /// `together` is how many states take a step together.
    pub(super) fn new(
        site: &Site<'_>,
        sizes: Sizes,
        layer: Layer,
        together: usize,
    ) -> Result<Self, Refusal> {
        let Sizes { cell: n, output, .. } = sizes;
        if site.node.intermediates.len() != 5 {
            let found = site.node.intermediates.len();
            return Err(unsupported(format!("an 8-bit LSTM with {found} intermediates, not 5")));
        }
        let given = |index: usize| site.optional(index).is_some();
        let (cifg, normed) = (!given(1), given(21));
        let x = quant(site.input(0)?, "the input")?;
        let state = quant(site.input(OUTPUT_STATE)?, "the output state")?;
        let cell = quant(site.input(super::CELL_STATE)?, "the cell")?;
        let y = quant(site.output()?, "the output")?;
        let power = power_of(cell.scale)?;
        let middle = |place: usize| match site.node.intermediates.get(place) {
            Some(Quant::Tensor(quantization)) => Ok(*quantization),
            _ => Err(unsupported(format!("intermediate {place} without a scale"))),
        };
        let hidden = middle(4)?;
        let gate = |place: usize, peephole: Option<usize>| {
            let steps = if normed { middle(place)?.scale } else { 1.0 / 4096.0 };
            let bias = (!normed).then_some(12 + place);
            let peephole = peephole.map(|place| 9 + place).filter(|&index| given(index));
            let peephole = peephole.map(|index| {
                if output > n {
                    return Err(unsupported(
                        "a peephole and a projection to more outputs than cells",
                    ));
                }
                let (value, data) = constant(site, index, DType::I16, n)?;
                let scale = f64::from(quant(value, "a peephole")?.scale);
                let real = libm::exp2(f64::from(power)) * scale / f64::from(steps);
                Ok((halves(data), factor(f64::from(real as f32))?))
            });
            let norm = normed.then(|| {
                let (value, data) = constant(site, 20 + place, DType::I16, n)?;
                let scale = quant(value, "a normalization")?.scale;
                let bias = words(constant(site, 12 + place, DType::I32, n)?.1);
                Ok::<_, Refusal>(Norm {
                    weights: halves(data),
                    bias,
                    // 12 fraction bits are left.
                    factor: factor(f64::from(scale) * 4096.0)?,
                    guard: ((10000.0 * scale) as i32).max(1),
                })
            });
            Ok::<_, Refusal>(Gate {
                input: Product::of(site, 1 + place, [n, sizes.input], bias, -x.zero_point, |w| {
                    w * x.scale / steps
                })?,
                recurrent: Product::of(
                    site,
                    5 + place,
                    [n, output],
                    None,
                    -state.zero_point,
                    |w| w * state.scale / steps,
                )?,
                peephole: peephole.transpose()?,
                norm: norm.transpose()?,
            })
        };
        let projection = given(16).then(|| {
            let bias = given(17).then_some(17);
            let product = Product::of(site, 16, [output, n], bias, hidden.zero_point, |w| {
                w * hidden.scale / state.scale
            })?;
            let clip = (layer.projection_clip / y.scale).min(127.0) as i8;
            Ok::<_, Refusal>(Projection { product, zero_point: state.zero_point, clip })
        });
        let projection = projection.transpose()?;
        if projection.is_none() && output != n {
            return Err(malformed(format!("{n} cells give {output} outputs without weights")));
        }
        let fraction = 1.0 / 32768.0;
        let real = (fraction / f64::from(hidden.scale) * fraction) as f32;
        Ok(Self {
            isa: site.isa,
            sizes,
            input: (!cifg).then(|| gate(0, Some(0))).transpose()?,
            forget: gate(1, Some(1))?,
            cell: gate(2, None)?,
            output: gate(3, Some(2))?,
            projection,
            power,
            clip: (layer.cell_clip / cell.scale).min(32767.0) as i16,
            hidden: factor(f64::from(real))?,
            hidden_zero_point: hidden.zero_point,
            together,
        })
    }

    fn reach(&self, batch: usize) -> Reach {
        let Sizes { cell, output, .. } = self.sizes;
        let first = batch * cell;
        Reach { first, count: (self.together * output).saturating_sub(first).min(cell) }
    }

    fn products(&self) -> impl Iterator<Item = &Product> {
        let gates = self.input.iter().chain([&self.forget, &self.cell, &self.output]);
        gates
            .flat_map(|gate| [&gate.input, &gate.recurrent])
            .chain(self.projection.iter().map(|projection| &projection.product))
    }

    /// Multiply-accumulates of one step.
    pub(super) fn macs(&self) -> u64 {
        self.products().map(|product| product.matrix.macs()).sum()
    }

    /// Bytes of the packed constants.
    pub(super) fn bytes(&self) -> usize {
        self.products().map(|product| product.matrix.bytes()).sum()
    }

    /// Bytes of scratch of one step: four gates, what a product works with, and the hidden row.
    pub(super) fn scratch(&self) -> Result<usize, Refusal> {
        let mut most = 0;
        for product in self.products() {
            most = product.scratch()?.max(most);
        }
        let gates = scratch_for::<i16>(self.sizes.cell.saturating_mul(4))?;
        Ok(gates.saturating_add(most.next_multiple_of(4)).saturating_add(self.sizes.cell))
    }

    /// One step: from `x` and both states to the states, of which `output` is also what it gives.
    ///
    /// `batch` is the state's place among those of a step.
    pub(super) fn step(
        &self,
        x: &[i8],
        batch: usize,
        output: &mut [i8],
        cell: &mut [i16],
        scratch: &mut [u8],
    ) {
        let reach = self.reach(batch);
        let n = self.sizes.cell;
        let isa = self.isa;
        let (gates, scratch) = scratch.split_at_mut(8 * n);
        let gates: &mut [i16] = bytemuck::cast_slice_mut(gates);
        let (scratch, hidden) = scratch.split_at_mut(scratch.len() - n);
        let hidden: &mut [i8] = bytemuck::cast_slice_mut(hidden);
        let (input_gate, rest) = gates.split_at_mut(n);
        let (forget_gate, rest) = rest.split_at_mut(n);
        let (cell_gate, output_gate) = rest.split_at_mut(n);
        self.forget.run((isa, &mut *scratch), [x, output], cell, &reach, forget_gate);
        isa.run(
            #[inline(always)]
            || forget_gate.iter_mut().for_each(|value| *value = sigmoid(*value)),
        );
        match &self.input {
            Some(gate) => {
                gate.run((isa, &mut *scratch), [x, output], cell, &reach, input_gate);
                isa.run(
                    #[inline(always)]
                    || input_gate.iter_mut().for_each(|value| *value = sigmoid(*value)),
                );
            }
            None => {
                for (input, forget) in input_gate.iter_mut().zip(&*forget_gate) {
                    *input = i16::MAX - forget;
                }
            }
        }
        self.cell.run((isa, &mut *scratch), [x, output], cell, &reach, cell_gate);
        isa.run(
            #[inline(always)]
            || cell_gate.iter_mut().for_each(|value| *value = tanh(*value, 3)),
        );
        let shift = (30 + self.power).cast_unsigned();
        let clip = if self.clip > 0 { [-self.clip, self.clip] } else { [i16::MIN, i16::MAX] };
        isa.run(
            #[inline(always)]
            || {
                let gates = forget_gate.iter().zip(&*input_gate).zip(&*cell_gate);
                for (cell, ((&forget, &input), &new)) in cell.iter_mut().zip(gates) {
                    let kept = divide(i32::from(forget) * i32::from(*cell), 15) as i16;
                    let new = divide(i32::from(input) * i32::from(new), shift) as i16;
                    *cell = kept.saturating_add(new).max(clip[0]).min(clip[1]);
                }
            },
        );
        self.output.run((isa, &mut *scratch), [x, output], cell, &reach, output_gate);
        let bits = (15 + self.power).cast_unsigned();
        isa.run(
            #[inline(always)]
            || {
                for (value, &cell) in output_gate.iter_mut().zip(&*cell) {
                    let product = i32::from(sigmoid(*value)) * i32::from(tanh(cell, bits));
                    *value = saturate(self.hidden.times(product));
                }
            },
        );
        let byte = |x: i32| x.clamp(-128, 127) as i8;
        let Some(Projection { product, zero_point, clip }) = &self.projection else {
            for (output, &value) in output.iter_mut().zip(&*output_gate) {
                *output = byte(i32::from(value) + self.hidden_zero_point);
            }
            return;
        };
        for (hidden, &value) in hidden.iter_mut().zip(&*output_gate) {
            *hidden = byte(i32::from(value) - self.hidden_zero_point);
        }
        let steps = product.steps(isa, hidden, scratch);
        for (output, step) in output.iter_mut().zip(steps) {
            *output = byte(step.saturating_add(*zero_point));
        }
        if *clip > 0 {
            output.iter_mut().for_each(|value| *value = (*value).clamp(-*clip, *clip));
        }
    }
}

/// Which cells of a state the peepholes see.
///
/// The reference takes the number of outputs for the length of its rows: with a projection to
/// fewer, the first cells of all states of a step are seen, under weights that repeat too early.
struct Reach {
    first: usize,
    count: usize,
}

impl Gate {
    /// What goes into the gate's activation, with 3 integer bits.
    fn run(
        &self,
        (isa, scratch): (Isa, &mut [u8]),
        [x, output]: [&[i8]; 2],
        cell: &[i16],
        reach: &Reach,
        gate: &mut [i16],
    ) {
        gate.fill(0);
        self.input.accumulate(isa, x, gate, scratch);
        self.recurrent.accumulate(isa, output, gate, scratch);
        if let Some((weights, factor)) = &self.peephole {
            for (i, (gate, &cell)) in gate.iter_mut().zip(cell).take(reach.count).enumerate() {
                let weight = weights[(reach.first + i) % output.len()];
                let product = factor.times(i32::from(weight) * i32::from(cell));
                *gate = saturate(product.wrapping_add(i32::from(*gate)));
            }
        }
        if let Some(norm) = &self.norm {
            norm.run(gate);
        }
    }
}

impl Norm {
    /// To a mean of 0 and a variance of 1, then scaled and moved.
    fn run(&self, gate: &mut [i16]) {
        let n = gate.len() as i64;
        let (sum, squares) = gate.iter().fold((0i64, 0i64), |(sum, squares), &value| {
            (sum + i64::from(value), squares + i64::from(value) * i64::from(value))
        });
        // 10 fraction bits, and 20.
        let mean = (sum * 1024 / n) as i32;
        let variance = squares * ((1 << 20) / n) - i64::from(mean) * i64::from(mean);
        let variance = (variance / (1 << 20)) as i32;
        let inverse = InverseRoot::of(if variance < 1 { self.guard } else { variance });
        let weights = self.weights.iter().zip(&self.bias);
        for (value, (&weight, &bias)) in gate.iter_mut().zip(weights) {
            let moved = (i32::from(*value) << 10).wrapping_sub(mean);
            let product =
                inverse.times(moved, 0).wrapping_mul(i32::from(weight)).wrapping_add(bias);
            let product = i64::from(product);
            let rounded = (if product > 0 { product + 512 } else { product - 512 }) / 1024;
            *value = saturate(self.factor.times(rounded as i32));
        }
    }
}
