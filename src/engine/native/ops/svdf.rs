//! SVDF: a layer over features and time as products of vectors; its memory holds the last steps.
//! Source: TFLite, `kernels/internal/reference/svdf.h`, and Alvarez, Park, "End-to-End Streaming
//! Keyword Spotting", 2019.

use super::shared::fixed::Factor;
use super::shared::matrix::{Products, dynamic, reals};
use super::shared::scratch::scratch_for;
use super::shared::squash::{SQUASHES, Squash};
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::{DType, Quantization};
use crate::engine::native::graph::{Quant, Shape, Value};
use crate::engine::native::kernels::{ByteMatrix, Isa};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "SVDF",
    options: 6,
    lower: |options| {
        // SVDFOptions: rank, activation, asymmetric inputs.
        let rank = options.int(0, 0)?;
        let rank = usize::try_from(rank).ok().filter(|&rank| rank > 0);
        let rank = rank.ok_or_else(|| malformed("a rank below 1"))?;
        let activation = Squash::of(options.byte(1, 0)?)?;
        Ok(Box::new(Svdf { rank, activation, asymmetric: options.byte(2, 0)? != 0 }))
    },
    kinds: &[Kind::Float32, Kind::Hybrid, Kind::Int8],
    attributes: &[("activation", SQUASHES), ("rank", &["1", "2"])],
}];

/// x `[batch, input]`, weights `[filters, input]` over features and `[filters, memory]` over time,
/// bias `[units]`, memory `[batch, filters * memory]`; a unit is the sum of `rank` filters.
#[derive(Debug)]
pub(super) struct Svdf {
    rank: usize,
    activation: Squash,
    asymmetric: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    batch: usize,
    input: usize,
    filters: usize,
    memory: usize,
    rank: usize,
}

impl Sizes {
    fn units(&self) -> usize {
        self.filters / self.rank
    }
}

const STATE: usize = 4;

impl Svdf {
    fn fit(&self, site: &Site<'_>) -> Result<Sizes, Refusal> {
        let (x, features, time) = (site.input(0)?, site.input(1)?, site.input(2)?);
        match (&x.shape[..], &features.shape[..], &time.shape[..]) {
            (&[batch, input], &[filters, columns], &[rows, memory])
                if columns == input
                    && rows == filters
                    && filters % self.rank == 0
                    && [batch, input, filters, memory].iter().all(|&size| size > 0) =>
            {
                Ok(Sizes { batch, input, filters, memory, rank: self.rank })
            }
            (x, features, time) => Err(malformed(format!(
                "weights {features:?} and {time:?} of rank {} for an input {x:?}",
                self.rank
            ))),
        }
    }

    fn state(&self, site: &Site<'_>, sizes: Sizes, dtype: DType) -> Result<(), Refusal> {
        let Sizes { batch, filters, memory, .. } = sizes;
        let value = site.input(STATE)?;
        let needed = batch.checked_mul(filters).and_then(|n| n.checked_mul(memory));
        if !site.is_state(STATE) {
            return Err(unsupported("a memory that is no variable"));
        }
        if value.dtype != dtype || Some(value.elements()) != needed {
            let found = format!("{} {:?}", value.dtype, value.shape);
            return Err(malformed(format!("a memory of {found}")));
        }
        Ok(())
    }

    fn real(&self, site: &Site<'_>, sizes: Sizes) -> Result<Step, Refusal> {
        self.state(site, sizes, DType::F32)?;
        let Sizes { input, filters, memory, .. } = sizes;
        site.budget.take_for::<f32>(filters)?;
        let matrix = [(input, vec![1])];
        let features = Products::new(site, &matrix, vec![0.0; filters], dynamic(self.asymmetric))?;
        site.budget.take_for::<f32>(filters.saturating_mul(memory).saturating_add(filters))?;
        let time = reals(site.input(2)?, filters.saturating_mul(memory), "weights over time")?;
        let bias = match site.optional(3) {
            Some(bias) => reals(bias, sizes.units(), "a bias")?,
            None => vec![0.0; sizes.units()],
        };
        let weight_bytes = features.bytes() + 4 * (time.len() + bias.len());
        let scratch = scratch_for::<f32>(filters)?.saturating_add(features.scratch()?);
        let activation = self.activation;
        let kernel = RealKernel { isa: site.isa, sizes, features, time, bias, activation };
        Ok(Step { weight_bytes, scratch, ..Step::new(kernel, 0) })
    }

    fn integer(&self, site: &Site<'_>, sizes: Sizes) -> Result<Step, Refusal> {
        self.state(site, sizes, DType::I16)?;
        if self.activation != Squash::Relu {
            return Err(unsupported("an 8-bit SVDF with another activation than RELU"));
        }
        let Sizes { input, filters, memory, .. } = sizes;
        let constant = |index: usize, dtype: DType, n: usize| {
            let value = site.input(index)?;
            let data =
                value.data.as_ref().filter(|_| value.dtype == dtype && value.elements() == n);
            let found = format!("{} {:?}", value.dtype, value.shape);
            site.budget.take(data.map_or(0, |data| data.len()))?;
            data.ok_or_else(|| {
                unsupported(format!("input {index} is {found}, not {n} constant {dtype}"))
            })
        };
        let scale = |value: &Value<'_>| match value.quant {
            Quant::Tensor(quantization) => Ok(quantization),
            _ => Err(unsupported("a tensor without one scale")),
        };
        let features = constant(1, DType::I8, filters.saturating_mul(input))?;
        let time = constant(2, DType::I16, filters.saturating_mul(memory))?;
        let bias = match site.optional(3) {
            Some(_) => {
                let data = constant(3, DType::I32, sizes.units())?;
                data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
            }
            None => vec![0; sizes.units()],
        };
        let [x, w, t, state] = [0, 1, 2, STATE].map(|index| site.input(index).and_then(scale));
        let (x, w, t, state) = (x?, w?, t?, state?);
        let y: Quantization = scale(site.output()?)?;
        let factor = |real: f32| {
            let factor = Factor::new(f64::from(real));
            factor.ok_or_else(|| malformed(format!("scales that give a factor of {real}")))
        };
        site.budget.take(ByteMatrix::bytes_max(filters, input).unwrap_or(usize::MAX))?;
        let features: &[i8] = bytemuck::cast_slice(features);
        // Σ w (x - zx) = Σ w x - zx Σ w.
        let folded = |row: &[i8]| {
            let sum = row.iter().fold(0i32, |sum, &w| sum.wrapping_add(i32::from(w)));
            sum.wrapping_mul(-x.zero_point)
        };
        let folded: Vec<i32> = features.chunks_exact(input).map(folded).collect();
        let features = ByteMatrix::new(site.isa, features, &folded);
        let sums = scratch_for::<i32>(filters)?;
        let scratch = sums.saturating_add(scratch_for::<u8>(features.scratch())?);
        let weight_bytes = features.bytes() + time.len() + 4 * sizes.units();
        let kernel = IntegerKernel {
            isa: site.isa,
            sizes,
            features,
            time: time.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect(),
            bias,
            zero_point: y.zero_point,
            into: factor(x.scale * w.scale / state.scale)?,
            out: factor(state.scale * t.scale / y.scale)?,
        };
        Ok(Step { weight_bytes, scratch, ..Step::new(kernel, 0) })
    }
}

impl Operator for Svdf {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let sizes = self.fit(site)?;
        Ok(vec![vec![sizes.batch, sizes.units()]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let sizes = self.fit(site)?;
        let step = match (site.input(0)?.dtype, site.output()?.dtype) {
            (DType::F32, DType::F32) => self.real(site, sizes)?,
            (DType::I8, DType::I8) => self.integer(site, sizes)?,
            (x, y) => return Err(unsupported(format!("{x} in, {y} out"))),
        };
        let Sizes { batch, input, filters, memory, .. } = sizes;
        let row = (filters as u64).saturating_mul(input as u64 + memory as u64);
        let macs = row.saturating_mul(batch as u64);
        Ok(Step { updates: vec![STATE], macs, work: macs.saturating_mul(2), ..step }.into())
    }

    fn foldable(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct RealKernel {
    isa: Isa,
    sizes: Sizes,
    features: Products,
    time: Vec<f32>,
    bias: Vec<f32>,
    activation: Squash,
}

impl Kernel for RealKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x], [y, state], scratch) = memory.parts();
        let Sizes { input, filters, memory: steps, rank, .. } = self.sizes;
        let (new, scratch) = scratch.split_at_mut(4 * filters);
        let new: &mut [f32] = bytemuck::cast_slice_mut(new);
        let x: &[f32] = bytemuck::cast_slice(x);
        let y: &mut [f32] = bytemuck::cast_slice_mut(y);
        let state: &mut [f32] = bytemuck::cast_slice_mut(state);
        let rows = x.chunks_exact(input).zip(state.chunks_exact_mut(filters * steps));
        for ((x, state), y) in rows.zip(y.chunks_exact_mut(self.sizes.units())) {
            self.features.run(&[x], new, scratch);
            self.isa.run(
                #[inline(always)]
                || {
                    y.copy_from_slice(&self.bias);
                    // The oldest step of each filter makes room for the newest.
                    state.copy_within(1.., 0);
                    let filters = state.chunks_exact_mut(steps).zip(self.time.chunks_exact(steps));
                    for (sum, (state, time)) in new.iter_mut().zip(filters) {
                        state[steps - 1] = *sum;
                        *sum = dot(state, time);
                    }
                    for (y, sums) in y.iter_mut().zip(new.chunks_exact(rank)) {
                        *y += sums.iter().sum::<f32>();
                    }
                    self.activation.all(y);
                },
            );
        }
    }
}

/// The product of two short vectors.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [0f32; 4];
    for (a, b) in a.iter().zip(b) {
        for i in 0..4 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| a * b);
    rest.fold((sums[0] + sums[2]) + (sums[1] + sums[3]), |sum, product| sum + product)
}

#[derive(Debug)]
struct IntegerKernel {
    isa: Isa,
    sizes: Sizes,
    /// Less the input's zero point.
    features: ByteMatrix,
    time: Vec<i16>,
    bias: Vec<i32>,
    /// Of the output.
    zero_point: i32,
    /// From sums over features to steps of the memory.
    into: Factor,
    /// From sums over time to steps of the output.
    out: Factor,
}

impl Kernel for IntegerKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x], [y, state], scratch) = memory.parts();
        let Sizes { input, filters, memory: steps, rank, .. } = self.sizes;
        let (sums, scratch) = scratch.split_at_mut(4 * filters);
        let sums: &mut [i32] = bytemuck::cast_slice_mut(sums);
        let x: &[i8] = bytemuck::cast_slice(x);
        let y: &mut [i8] = bytemuck::cast_slice_mut(y);
        let state: &mut [i16] = bytemuck::cast_slice_mut(state);
        let rows = x.chunks_exact(input).zip(state.chunks_exact_mut(filters * steps));
        for ((x, state), y) in rows.zip(y.chunks_exact_mut(self.sizes.units())) {
            self.features.run(x, sums, scratch);
            self.isa.run(
                #[inline(always)]
                || {
                    // The oldest step of each filter makes room for the newest.
                    state.copy_within(1.., 0);
                    let filters = state.chunks_exact_mut(steps).zip(self.time.chunks_exact(steps));
                    for ((state, time), sum) in filters.zip(&mut *sums) {
                        state[steps - 1] = self.into.times(*sum).clamp(-32768, 32767) as i16;
                        let products = state.iter().zip(time);
                        *sum = products.fold(0i32, |sum, (&s, &t)| {
                            sum.wrapping_add(i32::from(s) * i32::from(t))
                        });
                    }
                    let units = sums.chunks_exact(rank).zip(&self.bias);
                    for (y, (sums, &bias)) in y.iter_mut().zip(units) {
                        let sum = sums.iter().fold(bias, |sum, &of| sum.wrapping_add(of));
                        let steps = self.out.times(sum).saturating_add(self.zero_point);
                        *y = steps.clamp(-128, 127) as i8;
                    }
                },
            );
        }
    }
}
