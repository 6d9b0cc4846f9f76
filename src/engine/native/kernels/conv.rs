//! Whole convolutions: borders, tables and kernels together; what operators call.

use std::ops::Range;

use super::border::{Border, Form, SLACK};
use super::depthwise::{Depthwise, DepthwiseFilters, SlidingWindow};
use super::gemm::{Filters, Gemm, Layout};
use super::isa::Isa;
use super::output::Output;
use super::parts::{AllLines, Parts};
use super::table::Table;
use crate::engine::native::pool::{Team, View, ViewMut};

/// A window over images `[height, width, channels]`; `[height, width]` everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) input: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Rows above and columns left of the input that windows reach.
    pub(crate) before: [usize; 2],
    pub(crate) output: [usize; 2],
}

impl Geometry {
    /// `rows` rows of `k` values: what a fully connected layer has.
    pub(crate) fn rows(rows: usize, k: usize) -> Self {
        Self {
            input: [rows, 1],
            channels: k,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            before: [0, 0],
            output: [rows, 1],
        }
    }

    /// The border that windows reach into, filled with `fill`.
    pub(super) fn border(&self, fill: i8) -> Option<Border> {
        let (mut after, before) = ([0; 2], self.before);
        for i in 0..2 {
            let last = self.output[i].checked_sub(1)?.checked_mul(self.stride[i])?;
            let reach = self.kernel[i].checked_sub(1)?.checked_mul(self.dilation[i])?;
            let end = last.checked_add(reach)?.checked_add(1)?;
            after[i] = end.saturating_sub(before[i].checked_add(self.input[i])?);
        }
        Some(Border { input: self.input, channels: self.channels, before, after, fill })
    }

    /// The rows of the bordered input under these rows of the output.
    pub(super) fn under(&self, lines: Range<usize>) -> Range<usize> {
        let reach = (self.kernel[0] - 1) * self.dilation[0] + 1;
        lines.start * self.stride[0]..(lines.end - 1) * self.stride[0] + reach
    }

    /// Taps of the window.
    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Values of an image, and of what it becomes with `n` outputs a pixel.
    pub(super) fn images(&self, n: usize) -> [usize; 2] {
        let pixels = |[height, width]: [usize; 2]| height * width;
        [pixels(self.input) * self.channels, pixels(self.output) * n]
    }

    /// The window over an input whose rows are `pitch` apart.
    pub(super) fn sliding(&self, pitch: usize) -> SlidingWindow {
        let Self { kernel, stride, dilation, output, .. } = *self;
        SlidingWindow { kernel, stride, dilation, output, pitch }
    }

    /// The rows of the product, over an input whose rows are `pitch` apart; `None` beyond the limits
    /// of a table.
    pub(super) fn layout(&self, pitch: usize) -> Option<Layout> {
        // Columns that lie side by side are one segment.
        let (columns, run) = if self.dilation[1] == 1 {
            (1, self.kernel[1].checked_mul(self.channels)?)
        } else {
            (self.kernel[1], self.channels)
        };
        let line = self.dilation[0].checked_mul(pitch)?;
        if run == line {
            return Some(Layout::whole(run.checked_mul(self.kernel[0])?));
        }
        let at = |y: usize, x: usize| {
            let column = x.checked_mul(self.dilation[1])?.checked_mul(self.channels)?;
            u32::try_from(y.checked_mul(line)?.checked_add(column)?).ok()
        };
        let all = (0..self.kernel[0]).flat_map(|y| (0..columns).map(move |x| at(y, x)));
        Some(Layout { segments: all.collect::<Option<_>>()?, run })
    }

    /// Where the rows of the product begin, in an input that begins at `start`.
    pub(super) fn places(&self, start: usize, pitch: usize) -> Option<Table> {
        let [rows, columns] = self.output;
        let last = (rows - 1).checked_mul(self.stride[0])?.checked_mul(pitch)?;
        last.checked_add(self.stride[1].checked_mul(columns)?.checked_mul(self.channels)?)?;
        let at =
            |y: usize, x: usize| (y * self.stride[0]) * pitch + x * self.stride[1] * self.channels;
        Table::new((0..rows).flat_map(|y| (0..columns).map(move |x| start + at(y, x))))
    }
}

/// A convolution of 8-bit images, or a fully connected layer.
#[derive(Debug)]
pub(crate) struct Conv {
    /// Values of an image, and of what it becomes.
    images: [usize; 2],
    /// Where the input is copied first.
    border: Option<Border>,
    parts: Parts<Gemm>,
}

impl Conv {
    /// Packs filters `[n, kh, kw, channels]`.
    ///
    /// `None` where offsets do not fit 31 bits: no tensor within the engine's limits is that large.
    pub(crate) fn new(
        isa: Isa,
        geometry: Geometry,
        filters: Filters<'_>,
        output: Output,
    ) -> Option<Self> {
        let border = geometry.border(filters.input_zero_point as i8)?;
        let bordered = border.before != [0; 2] || border.after != [0; 2];
        // A copy in the form that the kernel reads is cheaper than one of each window.
        let staged = bordered || (Form::of(isa.set()) != Form::Signed && geometry.taps() > 1);
        let pitch = border.pitch();
        let count = geometry.output[0].checked_mul(geometry.output[1])?;
        let layout = geometry.layout(pitch)?;
        let gemm = Gemm::new(isa, layout, filters, output, staged, count);
        let start = if staged { Border::start(gemm.reads()) } else { 0 };
        let rows = geometry.places(start, pitch)?;
        let parts = Parts::new(gemm, rows)?;
        let images = geometry.images(parts.n());
        Some(Self { images, border: staged.then_some(border), parts })
    }

    /// Bytes that packing `n` filters may take, for a budget; `None` when they overflow.
    pub(crate) fn bytes_max(geometry: &Geometry, n: usize) -> Option<usize> {
        let k =
            geometry.kernel[0].checked_mul(geometry.kernel[1])?.checked_mul(geometry.channels)?;
        let tables = geometry.output[0].checked_mul(geometry.output[1])?.checked_mul(8)?;
        Gemm::bytes_max(n, k)?.checked_add(tables)?.checked_add(k.checked_mul(4)?)
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.bytes()
    }

    /// Cuts the work for so many threads.
    pub(crate) fn split(&mut self, threads: usize) {
        self.parts.split(threads);
    }

    /// Bytes of scratch that a run needs; `None` when they overflow.
    pub(crate) fn scratch(&self) -> Option<usize> {
        let staged = match &self.border {
            Some(border) => border.bytes(self.parts.any().reads())?,
            None => 0,
        };
        staged.checked_add(self.parts.scratch()?)
    }

    /// Images `x`, one after the other, into images `y`.
    pub(crate) fn run(
        &self,
        team: &Team<'_>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        mut scratch: ViewMut<'_, u8>,
    ) {
        let [image, image_out] = self.images;
        for (x, y) in x.chunks_exact(image).zip(y.chunks_exact(image_out)) {
            let scratch = scratch.reborrow();
            match &self.border {
                Some(border) => {
                    let form = self.parts.any().reads();
                    let bytes = border.bytes(form).unwrap_or(usize::MAX);
                    let (mut staged, scratch) = scratch.split_at(bytes);
                    border.copy(team, form, x, staged.reborrow());
                    self.image(team, staged.view(), y, scratch);
                }
                None => self.image(team, x.cast(), y, scratch),
            }
        }
    }

    fn image(
        &self,
        team: &Team<'_>,
        x: View<'_, u8>,
        y: ViewMut<'_, i8>,
        scratch: ViewMut<'_, u8>,
    ) {
        self.parts.run(team, y, scratch, move |claim, part, y, scratch| {
            part.gemm.run(x.of(claim), &part.rows, y, &part.outs, scratch);
        });
    }
}

/// A depthwise convolution of 8-bit images, with one filter for each channel.
#[derive(Debug)]
pub(crate) struct DepthwiseConv {
    geometry: Geometry,
    border: Option<Border>,
    lines: AllLines<Depthwise>,
}

impl DepthwiseConv {
    /// Packs filters `[kh, kw, channels]`; the weights' `zero_point` in `filters` counts, the layout
    /// is `geometry`'s. `None` where offsets do not fit 31 bits.
    pub(crate) fn new(
        isa: Isa,
        geometry: Geometry,
        filters: Filters<'_>,
        output: Output,
    ) -> Option<Self> {
        let border = geometry.border(filters.input_zero_point as i8)?;
        let pitch = border.pitch();
        border.bytes(Form::Signed).filter(|&bytes| i32::try_from(bytes).is_ok())?;
        let filters = DepthwiseFilters {
            weights: filters.weights,
            bias: filters.bias,
            scales: filters.scales,
            zero_point: filters.zero_point,
            input_zero_point: filters.input_zero_point,
            window: geometry.sliding(pitch),
        };
        let kernel = Depthwise::new(isa, filters, output);
        let bordered = border.before != [0; 2] || border.after != [0; 2];
        let border = (bordered || kernel.needs_slack()).then_some(border);
        let lines = AllLines::new(kernel, geometry.images(geometry.channels)[1]);
        Some(Self { geometry, border, lines })
    }

    /// Bytes that packing may take, for a budget; `None` when they overflow.
    pub(crate) fn bytes_max(geometry: &Geometry) -> Option<usize> {
        let taps = geometry.kernel[0].checked_mul(geometry.kernel[1])?;
        Depthwise::bytes_max(taps, geometry.channels)
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        self.lines.any().bytes()
    }

    /// Cuts the work for so many threads.
    pub(crate) fn split(&mut self, threads: usize) {
        let copied = self.border.and_then(|border| border.bytes(Form::Signed)).unwrap_or(0);
        self.lines.split(threads, self.geometry.input[0], copied);
    }

    /// Bytes of scratch that a run needs; `None` when they overflow.
    pub(crate) fn scratch(&self) -> Option<usize> {
        self.room().checked_mul(self.lines.threads())
    }

    /// Bytes of scratch for each thread.
    fn room(&self) -> usize {
        let rows = |lines| self.geometry.under(lines).len();
        self.border.map_or(0, |border| self.lines.room(|lines| border.room(rows(lines))))
    }

    /// Images `x`, one after the other, into images `y`.
    pub(crate) fn run(
        &self,
        team: &Team<'_>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        mut scratch: ViewMut<'_, u8>,
    ) {
        let [image, image_out] = self.geometry.images(self.geometry.channels);
        for (x, y) in x.chunks_exact(image).zip(y.chunks_exact(image_out)) {
            self.lines.run(team, y, scratch.reborrow(), move |claim, part, y, staged| {
                let x = x.of(claim);
                let Some(border) = &self.border else { return part.kernel.run(x, part.start, y) };
                let rows = self.geometry.under(part.lines.clone());
                border.stripe(Form::Signed, rows, x, &mut staged[SLACK..]);
                part.kernel.run(bytemuck::cast_slice(staged), SLACK, y);
            });
        }
    }
}
