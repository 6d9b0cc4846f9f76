//! Whole convolutions of floats; see [`super::conv`].

use super::border::Border;
use super::conv::Geometry;
use super::float::{FloatDepthwise, FloatFilters, FloatGemm};
use super::isa::Isa;
use super::parts::{AllLines, Parts};
use crate::engine::native::pool::{Team, View, ViewMut};

/// A convolution of float images, or a fully connected layer.
#[derive(Debug)]
pub(crate) struct FloatConv {
    /// Values of an image, and of what it becomes.
    images: [usize; 2],
    /// Where the input is copied first.
    border: Option<Border>,
    parts: Parts<FloatGemm>,
}

impl FloatConv {
    /// Packs filters `[n, kh, kw, channels]`; `None` where offsets do not fit 31 bits.
    pub(crate) fn new(isa: Isa, geometry: Geometry, filters: FloatFilters<'_>) -> Option<Self> {
        let border = geometry.border(0)?;
        let staged = border.before != [0; 2] || border.after != [0; 2];
        let count = geometry.output[0].checked_mul(geometry.output[1])?;
        let pitch = border.pitch();
        let gemm = FloatGemm::new(isa, geometry.layout(pitch)?, filters, count);
        let rows = geometry.places(if staged { Border::REAL_START } else { 0 }, pitch)?;
        let parts = Parts::new(gemm, rows)?;
        let images = geometry.images(parts.n());
        Some(Self { images, border: staged.then_some(border), parts })
    }

    /// Bytes that packing `n` filters may take, for a budget; `None` when they overflow.
    pub(crate) fn bytes_max(geometry: &Geometry, n: usize) -> Option<usize> {
        let k =
            geometry.kernel[0].checked_mul(geometry.kernel[1])?.checked_mul(geometry.channels)?;
        let tables = geometry.output[0].checked_mul(geometry.output[1])?.checked_mul(8)?;
        FloatGemm::bytes_max(n, k)?.checked_add(tables)?.checked_add(k.checked_mul(4)?)
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.bytes()
    }

    /// Cuts the work for so many threads.
    pub(crate) fn split(&mut self, threads: usize) {
        self.parts.split(threads);
    }

    /// Floats of scratch that a run needs; `None` when they overflow.
    pub(crate) fn scratch(&self) -> Option<usize> {
        self.border.as_ref().map_or(Some(0), Border::reals)
    }

    /// Images `x`, one after the other, into images `y`.
    pub(crate) fn run(
        &self,
        team: &Team<'_>,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        mut scratch: ViewMut<'_, f32>,
    ) {
        let [image, image_out] = self.images;
        for (x, y) in x.chunks_exact(image).zip(y.chunks_exact(image_out)) {
            match &self.border {
                Some(border) => {
                    border.copy_reals(team, x, scratch.reborrow());
                    self.image(team, scratch.view(), y);
                }
                None => self.image(team, x, y),
            }
        }
    }

    fn image(&self, team: &Team<'_>, x: View<'_, f32>, y: ViewMut<'_, f32>) {
        let none = ViewMut::new(&mut []);
        self.parts.run(team, y, none, move |claim, part, y, _: &mut [u8]| {
            part.gemm.run(x.of(claim), &part.rows, y, &part.outs);
        });
    }
}

/// A depthwise convolution of float images, with one filter for each channel.
#[derive(Debug)]
pub(crate) struct FloatDepthwiseConv {
    geometry: Geometry,
    border: Option<Border>,
    lines: AllLines<FloatDepthwise>,
}

impl FloatDepthwiseConv {
    /// Packs filters `[kh, kw, channels]`; `None` where offsets do not fit 31 bits.
    pub(crate) fn new(isa: Isa, geometry: Geometry, filters: FloatFilters<'_>) -> Option<Self> {
        let border = geometry.border(0)?;
        border.reals().filter(|&values| i32::try_from(values).is_ok())?;
        let kernel = FloatDepthwise::new(isa, geometry.sliding(border.pitch()), filters);
        let bordered = border.before != [0; 2] || border.after != [0; 2];
        let border = (bordered || kernel.needs_slack()).then_some(border);
        let lines = AllLines::new(kernel, geometry.images(geometry.channels)[1]);
        Some(Self { geometry, border, lines })
    }

    /// Bytes that packing may take, for a budget; `None` when they overflow.
    pub(crate) fn bytes_max(geometry: &Geometry) -> Option<usize> {
        let taps = geometry.kernel[0].checked_mul(geometry.kernel[1])?;
        FloatDepthwise::bytes_max(taps, geometry.channels)
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        self.lines.any().bytes()
    }

    /// Cuts the work for so many threads.
    pub(crate) fn split(&mut self, threads: usize) {
        let copied = self.border.and_then(|border| border.reals()).unwrap_or(0);
        self.lines.split(threads, self.geometry.input[0], copied.saturating_mul(4));
    }

    /// Threads that it is cut for.
    pub(super) fn threads(&self) -> usize {
        self.lines.threads()
    }

    /// Floats of scratch that a run needs; `None` when they overflow.
    pub(crate) fn scratch(&self) -> Option<usize> {
        self.room().checked_mul(self.lines.threads())
    }

    /// Floats of scratch for each thread.
    fn room(&self) -> usize {
        let rows = |lines| self.geometry.under(lines).len();
        self.border.map_or(0, |border| self.lines.room(|lines| border.room_reals(rows(lines))))
    }

    /// Images `x`, one after the other, into images `y`.
    pub(crate) fn run(
        &self,
        team: &Team<'_>,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        mut scratch: ViewMut<'_, f32>,
    ) {
        let [image, image_out] = self.geometry.images(self.geometry.channels);
        for (x, y) in x.chunks_exact(image).zip(y.chunks_exact(image_out)) {
            self.lines.run(team, y, scratch.reborrow(), move |claim, part, y, staged| {
                let x = x.of(claim);
                let Some(border) = &self.border else { return part.kernel.run(x, part.start, y) };
                let rows = self.geometry.under(part.lines.clone());
                border.stripe_reals(rows, x, &mut staged[Border::REAL_START..]);
                part.kernel.run(staged, Border::REAL_START, y);
            });
        }
    }
}
