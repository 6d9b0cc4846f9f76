//! Convolution: each output pixel is a row of input values times the filters.

use super::fully_connected::step;
use super::shared::convolve::{self, geometry};
use super::shared::dynamic::Dynamic;
use super::shared::filters::{ByteFilters, Filters, FloatFilters, HybridFilters, WordFilters};
use super::shared::layer::{Arithmetic, Layer};
use super::shared::scratch::scratch_for;
use super::shared::window::Sliding;
use super::{
    ACTIVATIONS, Border, Compiled, Entry, Kernel, Kind, Operator, PADDINGS, Refusal, Site, Step,
    activation, malformed, nhwc, padding,
};
use crate::engine::native::graph::{Activation, Shape, Window};
use crate::engine::native::memory::Memory;
use crate::engine::native::plan::ALIGN;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "CONV_2D",
    options: 1,
    lower: |options| {
        // Conv2DOptions: padding, stride w, stride h, activation, dilation w, dilation h.
        let window = Window {
            padding: padding(options.byte(0, 0)?)?,
            stride: options.sizes([2, 1], 0)?,
            dilation: options.sizes([5, 4], 1)?,
        };
        Ok(Box::new(Conv2d { window, activation: activation(options.byte(3, 0)?)? }))
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
        Kind::Int4,
    ],
    attributes: &[("padding", PADDINGS), ("activation", ACTIVATIONS), ("groups", &["1", "2"])],
}];

/// x `[n, h, w, ci]`, weights `[co, kh, kw, ci / groups]`, bias `[co]`.
#[derive(Debug)]
pub(super) struct Conv2d {
    pub(super) window: Window,
    pub(super) activation: Activation,
}

#[derive(Debug)]
struct ConvKernel<F> {
    filters: F,
    window: Sliding,
    /// Of the input.
    channels: usize,
    groups: usize,
}

impl Conv2d {
    /// The window, and the number of groups.
    fn fit(&self, site: &Site<'_>) -> Result<(Sliding, usize), Refusal> {
        let (x, weights) = (site.input(0)?, site.input(1)?);
        let [_, height, width, channels] = nhwc(x, "the input")?;
        let [n, kh, kw, taken] = nhwc(weights, "the weights")?;
        let groups = channels.checked_div(taken).unwrap_or(0);
        if groups == 0 || n == 0 || groups * taken != channels || n % groups != 0 {
            let why = format!("{n} filters over {taken} channels for an input of {channels}");
            return Err(malformed(why));
        }
        Ok((Sliding::new(self.window, [kh, kw], [height, width])?, groups))
    }

    fn step<F: Filters>(&self, site: &Site<'_>, layer: &Layer<'_>) -> Result<Compiled, Refusal> {
        let (window, groups) = self.fit(site)?;
        let filters = F::compile(layer, None)?;
        let channels = layer.x.shape[3];
        let macs = layer.y.elements() as u64 * filters.k() as u64;
        let weight_bytes = filters.bytes();
        let image = F::scratch(window.input[0] * window.input[1] * channels);
        let row = scratch_for::<F::X>(filters.k())?;
        let kernel = ConvKernel { filters, window, channels, groups };
        let row = if kernel.is_pointwise() { 0 } else { row };
        let scratch = scratch_for::<u8>(image.next_multiple_of(ALIGN).saturating_add(row))?;
        let work = macs + (layer.x.elements() + layer.y.elements()) as u64;
        Ok(Step { scratch, weight_bytes, macs, work, ..Step::new(kernel, 0) }.into())
    }
}

impl Operator for Conv2d {
    fn with_border(&self, border: Border) -> Option<Box<dyn Operator>> {
        let window = border.within(self.window)?;
        Some(Box::new(Self { window, ..*self }))
    }

    fn with_clamp(&self, activation: Activation) -> Option<Box<dyn Operator>> {
        let free = self.activation == Activation::None;
        free.then(|| Box::new(Self { activation, ..*self }) as Box<dyn Operator>)
    }

    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let [rows, columns] = self.fit(site)?.0.output;
        Ok(vec![vec![site.input(0)?.shape[0], rows, columns, site.input(1)?.shape[0]]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let mut layer = Layer::new(site, [0, 1, 2], 0, self.activation)?;
        // What XNNPACK does not take.
        layer.builtin = layer.weights.nibbles;
        let (window, groups) = self.fit(site)?;
        layer.up = groups == 1;
        if layer.builtin {
            let asymmetric = layer.is_per_channel() || groups > 1;
            layer.dynamic = if asymmetric { Dynamic::Asymmetric } else { Dynamic::Symmetric };
        }
        // XNNPACK makes a fully connected layer of it, so that each pixel gets a range of its own.
        let channels = layer.x.shape[3].saturating_add(layer.channels());
        let unit = window.is_pointwise() && window.stride == [1, 1];
        let dense = unit && groups == 1 && channels > 2;
        let arithmetic = layer.arithmetic()?;
        if groups == 1 {
            let geometry = geometry(&window, layer.x.shape[3]);
            let fast = match arithmetic {
                Arithmetic::Bytes => convolve::bytes(site, &layer, geometry)?,
                Arithmetic::Floats => Some(convolve::floats(site, &layer, geometry)?),
                _ => None,
            };
            if let Some(step) = fast {
                return Ok(step);
            }
        }
        match arithmetic {
            Arithmetic::Bytes => self.step::<ByteFilters>(site, &layer),
            Arithmetic::Words => self.step::<WordFilters>(site, &layer),
            Arithmetic::Hybrid if dense && !layer.builtin => step::<HybridFilters>(&layer),
            Arithmetic::Hybrid => self.step::<HybridFilters>(site, &layer),
            Arithmetic::Floats => self.step::<FloatFilters>(site, &layer),
        }
    }
}

impl<F: Filters> Kernel for ConvKernel<F> {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x], [y], scratch) = memory.parts();
        let (x, y) = (bytemuck::cast_slice::<_, F::Input>(x), bytemuck::cast_slice_mut(y));
        let [height, width] = self.window.input;
        let image = height * width * self.channels;
        let image_out = self.window.output[0] * self.window.output[1] * self.filters.n();
        let (prepared, row) = scratch.split_at_mut(F::scratch(image).next_multiple_of(ALIGN));
        let row = bytemuck::cast_slice_mut(row);
        for (x, y) in x.chunks_exact(image).zip(y.chunks_exact_mut(image_out)) {
            let (x, known) = self.filters.prepare(x, prepared);
            for (i, y) in y.chunks_exact_mut(self.filters.n()).enumerate() {
                let at = [i / self.window.output[1], i % self.window.output[1]];
                if self.is_pointwise() {
                    self.filters.row(0, self.pixel(x, at), known, y);
                    continue;
                }
                let each = self.filters.n() / self.groups;
                for (group, y) in y.chunks_exact_mut(each).enumerate() {
                    self.gather(x, at, group, self.filters.zero(known), row);
                    self.filters.row(group * each, row, known, y);
                }
            }
        }
    }
}

impl<F: Filters> ConvKernel<F> {
    /// Whether rows are the input's own pixels.
    fn is_pointwise(&self) -> bool {
        self.window.is_pointwise() && self.groups == 1
    }

    /// The input values under output pixel `at` of a 1x1 kernel.
    #[inline]
    fn pixel<'a>(&self, x: &'a [F::X], at: [usize; 2]) -> &'a [F::X] {
        let [y, column] = [0, 1].map(|axis| at[axis] * self.window.stride[axis]);
        &x[(y * self.window.input[1] + column) * self.channels..][..self.channels]
    }

    /// Lays out the values of `group` under output pixel `at` as a row, `[kh, kw, channels / groups]`;
    /// `zero` outside the input.
    fn gather(&self, x: &[F::X], at: [usize; 2], group: usize, zero: F::X, row: &mut [F::X]) {
        let (window, all) = (&self.window, self.channels);
        let [kh, kw] = window.kernel;
        let channels = all / self.groups;
        let line = kw * channels;
        let inside = window.taps(0, at[0]).count() == kh && window.taps(1, at[1]).count() == kw;
        if !inside {
            row.fill(zero);
        }
        for (tap_y, place_y) in window.taps(0, at[0]) {
            let x = &x[place_y * window.input[1] * all..][..window.input[1] * all];
            let row = &mut row[tap_y * line..][..line];
            if inside && window.dilation[1] == 1 && self.groups == 1 {
                let start = (at[1] * window.stride[1] - window.before[1]) * channels;
                row.copy_from_slice(&x[start..start + line]);
                continue;
            }
            for (tap_x, place_x) in window.taps(1, at[1]) {
                let from = &x[place_x * all + group * channels..][..channels];
                row[tap_x * channels..][..channels].copy_from_slice(from);
            }
        }
    }
}
