//! Transposed convolution: each input pixel is spread over the output by the filters.
//!
//! Output pixels that lie alike between input pixels see the same taps of the filters: for each such
//! phase those taps are filters of their own, and the rest is a convolution.

use super::shared::convolve;
use super::shared::filters::{ByteFilters, Filters, FloatFilters, HybridFilters, WordFilters};
use super::shared::layer::{Arithmetic, Layer};
use super::shared::scratch::scratch_for;
use super::shared::window::Sliding;
use super::{
    ACTIVATIONS, Compiled, Entry, Kernel, Kind, Operator, PADDINGS, Refusal, Site, Step,
    activation, malformed, nhwc, padding,
};
use crate::engine::native::graph::{Activation, Padding, Shape, Window};
use crate::engine::native::kernels::{Cut, Cuts};
use crate::engine::native::memory::Memory;
use crate::engine::native::plan::ALIGN;

pub(super) const ENTRIES: &[Entry] = &[TRANSPOSE_CONV, WITH_BIAS];

const TRANSPOSE_CONV: Entry = Entry {
    name: "TRANSPOSE_CONV",
    options: 49,
    lower: |options| {
        // TransposeConvOptions: padding, stride w, stride h, activation.
        let window = Window {
            padding: padding(options.byte(0, 0)?)?,
            stride: options.sizes([2, 1], 0)?,
            dilation: [1, 1],
        };
        let activation = activation(options.byte(3, 0)?)?;
        Ok(Box::new(TransposeConv { window, activation, sized: true }))
    },
    kinds: &[
        Kind::Float32,
        Kind::Int8,
        Kind::Int8Channel,
        Kind::Uint8,
        Kind::Int16,
        Kind::Hybrid,
        Kind::HybridChannel,
        Kind::Float16,
    ],
    attributes: &[("padding", PADDINGS), ("activation", ACTIVATIONS)],
};

/// MediaPipe's own, in its segmentation models.
const WITH_BIAS: Entry = Entry {
    name: "Convolution2DTransposeBias",
    options: 0,
    lower: |options| {
        // 32-bit numbers as they lie in memory: padding (1 is SAME, 2 VALID), stride w, stride h.
        let (numbers, _) = options.custom().as_chunks::<4>();
        let &[way, across, down, ..] = numbers else {
            return Err(malformed(format!("{} bytes of options", options.custom().len())));
        };
        let [way, across, down] = [way, across, down].map(i32::from_le_bytes);
        let stride = [down, across].map(|step| usize::try_from(step).unwrap_or(0));
        let padding = match way {
            1 => Padding::Same,
            2 => Padding::Valid,
            other => return Err(malformed(format!("padding number {other}"))),
        };
        if stride.contains(&0) {
            return Err(malformed(format!("strides of {across} and {down}")));
        }
        let window = Window { padding, stride, dilation: [1, 1] };
        Ok(Box::new(TransposeConv { window, activation: Activation::None, sized: false }))
    },
    kinds: &[Kind::Float32],
    attributes: &[("padding", PADDINGS)],
};

/// Output shape, weights `[co, kh, kw, ci]`, x `[n, h, w, ci]`, bias `[co]`; or x, weights, bias.
#[derive(Debug)]
pub(super) struct TransposeConv {
    pub(super) window: Window,
    pub(super) activation: Activation,
    /// The first input is the shape of the output; without it that is as large as can be.
    pub(super) sized: bool,
}

/// Sizes, `[height, width]` each.
#[derive(Clone, Copy, Debug)]
struct Spread {
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    /// Rows and columns of the spread image that lie before the output.
    before: [usize; 2],
}

impl Spread {
    /// How many phases there are.
    fn phases(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.stride[axis].min(self.output[axis]))
    }

    /// Along `axis` of output `at`: its phase, and the place of the input that its first tap sees; each
    /// further tap sees the one before.
    fn split(&self, axis: usize, at: usize) -> (usize, usize) {
        let place = at + self.before[axis];
        (place % self.stride[axis], place / self.stride[axis])
    }

    /// The phase that output `at` of the first ones has, which are all there are.
    fn taps(&self, axis: usize, at: usize) -> Vec<usize> {
        let (first, _) = self.split(axis, at);
        (first..self.kernel[axis]).step_by(self.stride[axis]).collect()
    }
}

#[derive(Debug)]
struct TransposeKernel<F> {
    spread: Spread,
    channels: usize,
    n: usize,
    /// For the output pixels nearest to the origin, row by row.
    phases: Vec<Phase<F>>,
}

#[derive(Debug)]
struct Phase<F> {
    filters: F,
    /// Taps along height and width.
    taps: [usize; 2],
}

impl TransposeConv {
    /// Which inputs are x, weights and bias.
    fn places(&self) -> [usize; 3] {
        if self.sized { [2, 1, 3] } else { [0, 1, 2] }
    }

    fn fit(&self, site: &Site<'_>) -> Result<(Spread, Shape), Refusal> {
        let (x, weights) = (site.input(self.places()[0])?, site.input(1)?);
        let [batch, height, width, channels] = nhwc(x, "the input")?;
        let [n, kh, kw, taken] = nhwc(weights, "the weights")?;
        let sizes = if self.sized {
            site.integers(0)?
        } else {
            let size = |axis: usize, len: usize, kernel: usize| {
                let stride = self.window.stride[axis];
                let whole = len.saturating_mul(stride);
                i64::try_from(match self.window.padding {
                    Padding::Same => whole,
                    _ => whole.saturating_sub(stride).saturating_add(kernel),
                })
                .unwrap_or(i64::MAX)
            };
            vec![batch as i64, size(0, height, kh), size(1, width, kw), n as i64]
        };
        let wrong = || {
            let (x, weights) = (&x.shape, &weights.shape);
            malformed(format!("output {sizes:?} of weights {weights:?} for {x:?}"))
        };
        let output: Option<Shape> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
        let output = output.ok_or_else(wrong)?;
        let &[of_batch, rows, columns, of_n] = &output[..] else { return Err(wrong()) };
        let empty = rows == 0 || columns == 0 || n == 0 || channels == 0;
        if taken != channels || of_batch != batch || of_n != n || empty {
            return Err(wrong());
        }
        // The borders are those of the convolution that this one turns round.
        let back = Sliding::new(self.window, [kh, kw], [rows, columns])?;
        let Sliding { input: output_size, kernel, stride, before, .. } = back;
        let spread = Spread { input: [height, width], output: output_size, kernel, stride, before };
        Ok((spread, output))
    }

    /// One product for each phase. Taps go backwards, as windows go forwards.
    fn cuts(&self, site: &Site<'_>, layer: &Layer<'_>) -> Result<Cuts, Refusal> {
        let (spread, _) = self.fit(site)?;
        let (channels, n) = (layer.x.shape[3], layer.channels());
        let [rows, columns] = spread.phases();
        let taps = spread.kernel[0].saturating_mul(spread.kernel[1]);
        let needed = taps.saturating_add(rows.saturating_mul(columns).saturating_mul(64));
        site.budget.take_for::<[usize; 4]>(needed)?;
        // Along an axis, for each phase: taps, where its first window begins, how many there are.
        let along = |axis: usize, phases: usize| {
            let phase = |at: usize| {
                let mut taps: Vec<_> = spread.taps(axis, at).into_iter().rev().map(Some).collect();
                if taps.is_empty() {
                    taps.push(None);
                }
                let place = spread.split(axis, at).1 as i64 - (taps.len() as i64 - 1);
                let count = (spread.output[axis] - at).div_ceil(spread.stride[axis]);
                (taps, place, count)
            };
            (0..phases).map(phase).collect::<Vec<_>>()
        };
        let axes = [along(0, rows), along(1, columns)];
        let (mut before, mut after) = ([0; 2], [0; 2]);
        for axis in 0..2 {
            for (taps, place, count) in &axes[axis] {
                let end = place + (taps.len() + count - 1) as i64;
                before[axis] = before[axis].max(-place);
                after[axis] = after[axis].max(end - spread.input[axis] as i64);
            }
        }
        let mut all = Vec::with_capacity(rows * columns);
        for (row, (down, y, height)) in axes[0].iter().enumerate() {
            for (column, (across, x, width)) in axes[1].iter().enumerate() {
                let tap = |y: &Option<usize>, x: &Option<usize>| {
                    y.zip(*x).map(|(y, x)| y * spread.kernel[1] + x)
                };
                let taps = down.iter().flat_map(|y| across.iter().map(move |x| tap(y, x)));
                all.push(Cut {
                    first: [(y + before[0]) as usize, (x + before[1]) as usize],
                    stride: [1; 2],
                    kernel: [down.len(), across.len()],
                    dilation: [1; 2],
                    taps: taps.collect(),
                    channels: [0, channels],
                    count: [*height, *width],
                    place: [row, column],
                    step: spread.stride,
                    filters: [0, n],
                });
            }
        }
        let [before, after] = [before, after].map(|sides| sides.map(|side| side as usize));
        let Spread { input, output, .. } = spread;
        Ok(Cuts { input, channels, before, after, output, n, taps, all })
    }

    fn step<F: Filters>(&self, site: &Site<'_>, layer: &Layer<'_>) -> Result<Compiled, Refusal> {
        let (spread, _) = self.fit(site)?;
        let (channels, n) = (layer.x.shape[3], layer.channels());
        let [rows, columns] = spread.phases();
        site.budget.take_for::<Phase<F>>(rows.saturating_mul(columns))?;
        let mut phases = Vec::with_capacity(rows * columns);
        let (mut longest, mut weight_bytes, mut taken) = (0, 0, Vec::new());
        for row in 0..rows {
            let down = spread.taps(0, row);
            for column in 0..columns {
                let across = spread.taps(1, column);
                let row_len = down.len() * across.len() * channels;
                site.budget.take_for::<usize>(row_len)?;
                taken.clear();
                for tap in down.iter().flat_map(|y| across.iter().map(move |x| [*y, *x])) {
                    let first = (tap[0] * spread.kernel[1] + tap[1]) * channels;
                    taken.extend(first..first + channels);
                }
                let filters = F::compile(layer, Some(&taken))?;
                longest = longest.max(row_len);
                weight_bytes += filters.bytes();
                phases.push(Phase { filters, taps: [down.len(), across.len()] });
            }
        }
        let macs = layer.y.elements() as u64 * longest as u64;
        let image = F::scratch(layer.x.elements() / layer.x.shape[0].max(1));
        let image = image.next_multiple_of(ALIGN);
        let scratch = scratch_for::<u8>(image.saturating_add(scratch_for::<F::X>(longest)?))?;
        let work = macs + (layer.x.elements() + layer.y.elements()) as u64;
        let step = Step::new(TransposeKernel { spread, channels, n, phases }, 0);
        Ok(Step { reads: vec![self.places()[0]], scratch, weight_bytes, macs, work, ..step }.into())
    }
}

impl Operator for TransposeConv {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![self.fit(site)?.1])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let layer = Layer::new(site, self.places(), 0, self.activation)?;
        let arithmetic = layer.arithmetic()?;
        let fast = match arithmetic {
            Arithmetic::Bytes => convolve::cut_bytes(site, &layer, &self.cuts(site, &layer)?)?,
            Arithmetic::Floats => {
                Some(convolve::cut_floats(site, &layer, &self.cuts(site, &layer)?)?)
            }
            Arithmetic::Hybrid | Arithmetic::Words => None,
        };
        if let Some(Compiled::Step(step)) = fast {
            return Ok(Step { reads: vec![self.places()[0]], ..step }.into());
        }
        match arithmetic {
            Arithmetic::Bytes => self.step::<ByteFilters>(site, &layer),
            Arithmetic::Words => self.step::<WordFilters>(site, &layer),
            Arithmetic::Hybrid => self.step::<HybridFilters>(site, &layer),
            Arithmetic::Floats => self.step::<FloatFilters>(site, &layer),
        }
    }
}

impl<F: Filters> Kernel for TransposeKernel<F> {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x], [y], scratch) = memory.parts();
        let (x, y) = (bytemuck::cast_slice::<_, F::Input>(x), bytemuck::cast_slice_mut(y));
        let ([height, width], [rows, columns]) = (self.spread.input, self.spread.output);
        let image = height * width * self.channels;
        let (prepared, row) = scratch.split_at_mut(F::scratch(image).next_multiple_of(ALIGN));
        let row = bytemuck::cast_slice_mut(row);
        let across = self.spread.phases()[1];
        for (x, y) in x.chunks_exact(image).zip(y.chunks_exact_mut(rows * columns * self.n)) {
            let Some(first) = self.phases.first() else { return };
            let (x, known) = first.filters.prepare(x, prepared);
            for (i, y) in y.chunks_exact_mut(self.n).enumerate() {
                let at = [i / columns, i % columns];
                let [down, along] = [0, 1].map(|axis| at[axis] % self.spread.stride[axis]);
                let phase = &self.phases[down * across + along];
                let row = &mut row[..phase.filters.k()];
                self.gather(x, at, phase.taps, phase.filters.zero(known), row);
                phase.filters.row(0, row, known, y);
            }
        }
    }
}

impl<F: Filters> TransposeKernel<F> {
    /// Lays out the input values that output pixel `at` is made of, `[taps, taps, channels]`; `zero`
    /// outside the input.
    fn gather(&self, x: &[F::X], at: [usize; 2], taps: [usize; 2], zero: F::X, row: &mut [F::X]) {
        let [first_y, first_x] = [0, 1].map(|axis| self.spread.split(axis, at[axis]).1);
        let [height, width] = self.spread.input;
        let mut pixels = row.chunks_exact_mut(self.channels);
        for tap_y in 0..taps[0] {
            let place_y = first_y.checked_sub(tap_y).filter(|&place| place < height);
            for tap_x in 0..taps[1] {
                let Some(pixel) = pixels.next() else { return };
                let place_x = first_x.checked_sub(tap_x).filter(|&place| place < width);
                match place_y.zip(place_x) {
                    Some((y, x_)) => {
                        let from = (y * width + x_) * self.channels;
                        pixel.copy_from_slice(&x[from..from + self.channels]);
                    }
                    None => pixel.fill(zero),
                }
            }
        }
    }
}
