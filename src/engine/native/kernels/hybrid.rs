//! Convolutions of floats with 8-bit filters: activations become bytes when they arrive.

use std::ops::Range;

use super::border::Border;
use super::conv::Geometry;
use super::dynamic::{ByteRange, Dynamic};
use super::float::FloatFilters;
use super::float_conv::FloatDepthwiseConv;
use super::gemm::{Filters, Gemm};
use super::isa::Isa;
use super::output::Output;
use super::parts::{Part, Parts};
use crate::engine::native::pool::{Team, View, ViewMut};

/// Filters as they come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HybridFilters<'a> {
    /// `[n, k]`; depthwise `[kh, kw, channels]`.
    pub(crate) weights: &'a [i8],
    /// `[n]`: of the weights.
    pub(crate) scales: &'a [f32],
    /// `[n]`
    pub(crate) bias: &'a [f32],
    /// The lowest and the highest output, perhaps infinite.
    pub(crate) bounds: [f32; 2],
    /// How activations become bytes.
    pub(crate) dynamic: Dynamic,
}

/// What has a range of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// Each image.
    Image,
    /// Each pixel: rows of a fully connected layer.
    Pixel,
}

/// From sums to floats.
#[derive(Debug)]
struct Scaling {
    /// `[n]`: the sum of each filter.
    totals: Vec<i32>,
    scales: Vec<f32>,
    bias: Vec<f32>,
    bounds: [f32; 2],
}

impl Scaling {
    /// A row of sums, from filter `first` on, which lie where their floats will: `clamp(sum · scale · scales + bias)`, in
    /// this order, rounded each time.
    #[inline(always)]
    fn row(&self, first: usize, y: &mut [i32], of: ByteRange) {
        let [low, high] = self.bounds;
        let n = y.len();
        let (totals, scales) = (&self.totals[first..][..n], &self.scales[first..][..n]);
        let bias = &self.bias[first..][..n];
        for i in 0..n {
            let sum = y[i].wrapping_sub(totals[i].wrapping_mul(of.zero_point));
            let real = sum as f32 * of.scale * scales[i] + bias[i];
            let real = if real < low { low } else { real };
            let real = if real > high { high } else { real };
            y[i] = real.to_bits().cast_signed();
        }
    }
}

/// A convolution, or a fully connected layer.
#[derive(Debug)]
pub(crate) struct HybridConv {
    isa: Isa,
    geometry: Geometry,
    ranges: Ranges,
    dynamic: Dynamic,
    border: Option<Border>,
    parts: Parts<Gemm>,
    scaling: Scaling,
}

impl HybridConv {
    /// Packs filters `[n, kh, kw, channels]`; pixels have [`Ranges::Pixel`] only where the kernel is
    /// one pixel. `None` where offsets do not fit 31 bits.
    pub(crate) fn new(
        isa: Isa,
        geometry: Geometry,
        filters: HybridFilters<'_>,
        ranges: Ranges,
    ) -> Option<Self> {
        let border = geometry.border(0)?;
        let staged = border.before != [0; 2] || border.after != [0; 2];
        assert!(ranges == Ranges::Image || !staged, "a border has no range");
        let (pitch, n) = (border.pitch(), filters.bias.len());
        let count = geometry.output[0].checked_mul(geometry.output[1])?;
        let layout = geometry.layout(pitch)?;
        let k = layout.k();
        let none = vec![0; n];
        let sums = Filters {
            weights: filters.weights,
            bias: &none,
            scales: &[],
            zero_point: 0,
            input_zero_point: 0,
        };
        let gemm = Gemm::new(isa, layout, sums, Output::new(0, -128, 127), staged, count);
        let start = if staged { Border::start(gemm.reads()) } else { 0 };
        let rows = geometry.places(start, pitch)?;
        let parts = Parts::new(gemm, rows)?;
        let total = |filter: &[i8]| filter.iter().map(|&w| i32::from(w)).fold(0, i32::wrapping_add);
        let scaling = Scaling {
            totals: filters.weights.chunks_exact(k).map(total).collect(),
            scales: filters.scales.to_vec(),
            bias: filters.bias.to_vec(),
            bounds: filters.bounds,
        };
        let border = staged.then_some(border);
        let dynamic = filters.dynamic;
        Some(Self { isa, geometry, ranges, dynamic, border, parts, scaling })
    }

    /// Bytes that packing `n` filters may take, for a budget; `None` when they overflow.
    pub(crate) fn bytes_max(geometry: &Geometry, n: usize) -> Option<usize> {
        super::conv::Conv::bytes_max(geometry, n)?.checked_add(n.checked_mul(16)?)
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.bytes() + 12 * self.parts.n()
    }

    /// Cuts the work for so many threads.
    pub(crate) fn split(&mut self, threads: usize) {
        self.parts.split(threads);
    }

    /// Ranges of an image.
    fn count(&self) -> usize {
        let [height, width] = self.geometry.input;
        if self.ranges == Ranges::Image { 1 } else { height * width }
    }

    /// Bytes of scratch that a run needs; `None` when they overflow.
    pub(crate) fn scratch(&self) -> Option<usize> {
        let staged = match &self.border {
            Some(border) => border.bytes(self.parts.any().reads())?,
            None => 0,
        };
        let [image, _] = self.geometry.images(self.parts.n());
        let own = self.count().checked_mul(8)?.checked_add(image)?;
        own.checked_add(staged)?.checked_add(self.parts.scratch()?)
    }

    /// Images `x`, one after the other, into images `y`.
    pub(crate) fn run(
        &self,
        team: &Team<'_>,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        scratch: ViewMut<'_, u8>,
    ) {
        let [image, image_out] = self.geometry.images(self.parts.n());
        let (ranges, scratch) = scratch.split_at(8 * self.count());
        let (bytes, mut scratch) = scratch.split_at(image);
        let (mut ranges, mut bytes) = (ranges.cast::<[u8; 8]>(), bytes.cast::<i8>());
        let each = image / self.count();
        for (x, y) in x.chunks_exact(image).zip(y.cast::<i32>().chunks_exact(image_out)) {
            team.once(bytes.reborrow(), ranges.reborrow(), |claim, bytes, ranges| {
                let all = x.of(claim).chunks_exact(each).zip(bytes.chunks_exact_mut(each));
                for ((x, bytes), range) in all.zip(ranges) {
                    *range = bytes_of(self.dynamic.quantize(self.isa, x, bytes));
                }
            });
            let (bytes, ranges, scratch) = (bytes.view(), ranges.view(), scratch.reborrow());
            match &self.border {
                Some(border) => {
                    let form = self.parts.any().reads();
                    let len = border.bytes(form).unwrap_or(usize::MAX);
                    let (mut staged, scratch) = scratch.split_at(len);
                    border.copy_filled(team, form, bytes, staged.reborrow(), |claim| Border {
                        fill: range_of(ranges.of(claim)[0]).zero_point as i8,
                        ..*border
                    });
                    self.image(team, staged.view(), ranges, y, scratch);
                }
                None => self.image(team, bytes.cast(), ranges, y, scratch),
            }
        }
    }

    fn image(
        &self,
        team: &Team<'_>,
        x: View<'_, u8>,
        ranges: View<'_, [u8; 8]>,
        y: ViewMut<'_, i32>,
        scratch: ViewMut<'_, u8>,
    ) {
        self.parts.run(team, y, scratch, move |claim, part, y, scratch| {
            let finish = |y: &mut [i32], rows| self.finish(part, y, rows, ranges.of(claim));
            part.gemm.sums(x.of(claim), &part.rows, y, &part.outs, scratch, finish);
        });
    }

    /// `rows` of sums to floats.
    fn finish(&self, part: &Part<Gemm>, y: &mut [i32], rows: Range<usize>, ranges: &[[u8; 8]]) {
        let ([first, filter], n) = (part.first, part.gemm.n());
        let (outs, one) = (part.outs.offsets(), ranges.len() == 1);
        self.isa.run(
            #[inline(always)]
            || {
                for row in rows.clone() {
                    let of = range_of(ranges[if one { 0 } else { first + row }]);
                    self.scaling.row(filter, &mut y[outs[row] as usize..][..n], of);
                }
            },
        );
    }
}

/// A range as it lies in scratch.
fn bytes_of(range: ByteRange) -> [u8; 8] {
    bytemuck::cast([range.scale.to_bits(), range.zero_point.cast_unsigned()])
}

#[inline(always)]
fn range_of(bytes: [u8; 8]) -> ByteRange {
    let [scale, zero_point]: [u32; 2] = bytemuck::cast(bytes);
    ByteRange { scale: f32::from_bits(scale), zero_point: zero_point.cast_signed() }
}

/// A depthwise convolution with one filter for each channel; a range for each image.
///
/// Bytes less their zero point times weights are summed as floats, which hold such sums of up to
/// [`HybridDepthwiseConv::TAPS`] taps exactly.
#[derive(Debug)]
pub(crate) struct HybridDepthwiseConv {
    isa: Isa,
    dynamic: Dynamic,
    image: usize,
    conv: FloatDepthwiseConv,
    scales: Vec<f32>,
    bias: Vec<f32>,
    bounds: [f32; 2],
}

impl HybridDepthwiseConv {
    /// `TAPS` products of at most 255 · 128 are below 2^24.
    pub(crate) const TAPS: usize = 513;

    /// Packs filters `[kh, kw, channels]`; `None` where offsets do not fit 31 bits.
    pub(crate) fn new(isa: Isa, geometry: Geometry, filters: HybridFilters<'_>) -> Option<Self> {
        assert!(geometry.taps() <= Self::TAPS, "sums are exact");
        let weights: Vec<f32> = filters.weights.iter().map(|&w| f32::from(w)).collect();
        let none = vec![0.0; filters.bias.len()];
        let sums = FloatFilters {
            weights: &weights,
            bias: &none,
            bounds: [f32::NEG_INFINITY, f32::INFINITY],
        };
        Some(Self {
            isa,
            dynamic: filters.dynamic,
            image: geometry.images(geometry.channels)[0],
            conv: FloatDepthwiseConv::new(isa, geometry, sums)?,
            scales: filters.scales.to_vec(),
            bias: filters.bias.to_vec(),
            bounds: filters.bounds,
        })
    }

    /// Bytes that packing may take, for a budget; `None` when they overflow.
    pub(crate) fn bytes_max(geometry: &Geometry) -> Option<usize> {
        let weights = geometry.taps().checked_add(4)?.checked_mul(geometry.channels)?;
        FloatDepthwiseConv::bytes_max(geometry)?.checked_add(weights.checked_mul(4)?)
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        self.conv.bytes() + 8 * self.bias.len()
    }

    /// Cuts the work for so many threads.
    pub(crate) fn split(&mut self, threads: usize) {
        self.conv.split(threads);
    }

    /// Floats of scratch that a run needs; `None` when they overflow.
    pub(crate) fn scratch(&self) -> Option<usize> {
        let bytes = self.image.div_ceil(4);
        self.conv.scratch()?.checked_add(self.image)?.checked_add(bytes)?.checked_add(1)
    }

    /// Images `x`, one after the other, into images `y`.
    pub(crate) fn run(
        &self,
        team: &Team<'_>,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        scratch: ViewMut<'_, f32>,
    ) {
        let images = x.len() / self.image;
        let image_out = y.len() / images.max(1);
        let (mut steps, scratch) = scratch.split_at(self.image);
        // An image's scale, and the bytes that only one thread needs.
        let (mut first, mut scratch) = scratch.split_at(1 + self.image.div_ceil(4));
        for (x, mut y) in x.chunks_exact(self.image).zip(y.chunks_exact(image_out)) {
            team.once(steps.reborrow(), first.reborrow(), |claim, steps, first| {
                let [scale, bytes @ ..] = first else { return };
                let bytes = &mut bytemuck::cast_slice_mut::<f32, i8>(bytes)[..self.image];
                let range = self.dynamic.quantize(self.isa, x.of(claim), bytes);
                *scale = range.scale;
                self.isa.run(
                    #[inline(always)]
                    || widen(bytes, range.zero_point, steps),
                );
            });
            self.conv.run(team, steps.view(), y.reborrow(), scratch.reborrow());
            let (scale, n) = (first.view(), self.bias.len());
            team.share_rows(self.conv.threads(), y, [image_out / n, n], |claim, _, y| {
                let scale = scale.of(claim)[0];
                self.isa.run(
                    #[inline(always)]
                    || self.finish(y, scale),
                );
            });
        }
    }

    #[inline(always)]
    fn finish(&self, y: &mut [f32], scale: f32) {
        let ([low, high], n) = (self.bounds, self.bias.len());
        let (scales, bias) = (&self.scales[..n], &self.bias[..n]);
        for y in y.chunks_exact_mut(n) {
            for i in 0..n {
                let real = y[i] * (scale * scales[i]) + bias[i];
                let real = if real < low { low } else { real };
                y[i] = if real > high { high } else { real };
            }
        }
    }
}

/// Bytes less their zero point.
#[inline(always)]
fn widen(bytes: &[i8], zero_point: i32, steps: &mut [f32]) {
    for (step, &byte) in steps.iter_mut().zip(bytes) {
        *step = (i32::from(byte) - zero_point) as f32;
    }
}
