//! Whole convolutions of floats; see [`super::conv`].

use super::border::Border;
use super::conv::Geometry;
use super::float::{FloatDepthwise, FloatFilters, FloatGemm};
use super::isa::Isa;
use super::table::Table;

/// A convolution of float images, or a fully connected layer.
#[derive(Debug)]
pub(crate) struct FloatConv {
    geometry: Geometry,
    /// Where the input is copied first.
    border: Option<Border>,
    gemm: FloatGemm,
    rows: Table,
    outs: Table,
    n: usize,
}

impl FloatConv {
    /// Packs filters `[n, kh, kw, channels]`; `None` where offsets do not fit 31 bits.
    pub(crate) fn new(isa: Isa, geometry: Geometry, filters: FloatFilters<'_>) -> Option<Self> {
        let border = geometry.border(0)?;
        let staged = border.before != [0; 2] || border.after != [0; 2];
        let count = geometry.output[0].checked_mul(geometry.output[1])?;
        let (pitch, n) = (border.pitch(), filters.bias.len());
        let gemm = FloatGemm::new(isa, geometry.layout(pitch)?, filters, count);
        let rows = geometry.places(if staged { Border::REAL_START } else { 0 }, pitch)?;
        let outs = Table::even(count, n)?;
        Some(Self { geometry, border: staged.then_some(border), gemm, rows, outs, n })
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
        self.gemm.bytes()
    }

    /// Floats of scratch that a run needs; `None` when they overflow.
    pub(crate) fn scratch(&self) -> Option<usize> {
        self.border.as_ref().map_or(Some(0), Border::reals)
    }

    /// Images `x`, one after the other, into images `y`.
    pub(crate) fn run(&self, x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let [image, image_out] = self.geometry.images(self.n);
        for (x, y) in x.chunks_exact(image).zip(y.chunks_exact_mut(image_out)) {
            match &self.border {
                Some(border) => {
                    border.copy_reals(x, scratch);
                    self.gemm.run(scratch, &self.rows, y, &self.outs);
                }
                None => self.gemm.run(x, &self.rows, y, &self.outs),
            }
        }
    }
}

/// A depthwise convolution of float images, with one filter for each channel.
#[derive(Debug)]
pub(crate) struct FloatDepthwiseConv {
    geometry: Geometry,
    border: Option<Border>,
    kernel: FloatDepthwise,
}

impl FloatDepthwiseConv {
    /// Packs filters `[kh, kw, channels]`; `None` where offsets do not fit 31 bits.
    pub(crate) fn new(isa: Isa, geometry: Geometry, filters: FloatFilters<'_>) -> Option<Self> {
        let border = geometry.border(0)?;
        border.reals().filter(|&values| i32::try_from(values).is_ok())?;
        let kernel = FloatDepthwise::new(isa, geometry.sliding(border.pitch()), filters);
        let bordered = border.before != [0; 2] || border.after != [0; 2];
        let border = (bordered || kernel.needs_slack()).then_some(border);
        Some(Self { geometry, border, kernel })
    }

    /// Bytes that packing may take, for a budget; `None` when they overflow.
    pub(crate) fn bytes_max(geometry: &Geometry) -> Option<usize> {
        let taps = geometry.kernel[0].checked_mul(geometry.kernel[1])?;
        FloatDepthwise::bytes_max(taps, geometry.channels)
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        self.kernel.bytes()
    }

    /// Floats of scratch that a run needs; `None` when they overflow.
    pub(crate) fn scratch(&self) -> Option<usize> {
        self.border.as_ref().map_or(Some(0), Border::reals)
    }

    /// Images `x`, one after the other, into images `y`.
    pub(crate) fn run(&self, x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let [image, image_out] = self.geometry.images(self.geometry.channels);
        for (x, y) in x.chunks_exact(image).zip(y.chunks_exact_mut(image_out)) {
            match &self.border {
                Some(border) => {
                    border.copy_reals(x, scratch);
                    self.kernel.run(scratch, Border::REAL_START, y);
                }
                None => self.kernel.run(x, 0, y),
            }
        }
    }
}
