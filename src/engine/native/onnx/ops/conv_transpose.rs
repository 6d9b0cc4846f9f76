//! Transposed convolution, channels last, real.

use super::conv::image;
use super::params::floats;
use super::{
    Compiled, Kernel, Memory, Operator, Refusal, Site, Sliding, Step, malformed, unsupported,
};
use crate::data::DType;
use crate::engine::native::graph::Shape;

/// x `[n, h, w, c]`, constant weights `[c, co / groups, kh, kw]`, constant bias `[co]`.
///
/// The window is that of the convolution which this one reverses: it slides over the output.
#[derive(Debug)]
pub(in super::super) struct ConvTranspose {
    pub(in super::super) window: Sliding,
    pub(in super::super) groups: usize,
}

impl Operator for ConvTranspose {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let [n, h, w, c] = image(site.input(0)?)?;
        let [taken, of_group, kh, kw] = image(site.input(1)?)?;
        self.window.check()?;
        let filters = of_group.checked_mul(self.groups);
        let fits = self.groups > 0 && taken == c && c % self.groups == 0;
        if !fits || self.window.kernel != [kh, kw] || self.window.output != [h, w] {
            return Err(malformed(format!("filters {:?} on {h}x{w}x{c}", site.input(1)?.shape)));
        }
        let [rows, columns] = self.window.input;
        Ok(vec![vec![n, rows, columns, filters.ok_or_else(|| malformed("too many filters"))?]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, w, y) = (site.input(0)?, site.input(1)?, site.output()?);
        if x.dtype != DType::F32 || w.dtype != DType::F32 {
            return Err(unsupported(format!("{} with {} weights", x.dtype, w.dtype)));
        }
        let constant = || unsupported("weights that are not constant");
        let filters = y.shape[3];
        site.budget.take_for::<f32>(w.elements() + filters)?;
        let weights = floats(w.data.as_ref().ok_or_else(constant)?);
        let bias = match site.optional(2) {
            None => vec![0.0; filters],
            Some(bias) if bias.dtype == DType::F32 && bias.elements() == filters => {
                floats(bias.data.as_ref().ok_or_else(constant)?)
            }
            Some(bias) => return Err(malformed(format!("a bias of shape {:?}", bias.shape))),
        };
        let macs =
            (x.elements() as u64).saturating_mul(w.shape[1..].iter().product::<usize>() as u64);
        let sizes = [x.shape[3], x.shape[3] / self.groups, filters, w.shape[1]];
        let weight_bytes = 4 * weights.len();
        let kernel = ConvTransposeKernel { window: self.window, sizes, weights, bias };
        let work = macs.saturating_add(y.elements() as u64);
        Ok(Step { weight_bytes, macs, work, ..Step::new(kernel, 0) }.into())
    }
}

#[derive(Debug)]
struct ConvTransposeKernel {
    window: Sliding,
    /// Channels in, of a group; filters, of a group.
    sizes: [usize; 4],
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Kernel for ConvTransposeKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<f32, f32>();
        let [channels, taken, filters, group] = self.sizes;
        let ([height, width], [rows, columns]) = (self.window.input, self.window.output);
        let [kh, kw] = self.window.kernel;
        let images = y.chunks_exact_mut(height * width * filters);
        for (x, y) in x.chunks_exact(rows * columns * channels).zip(images) {
            for pixel in y.chunks_exact_mut(filters) {
                pixel.copy_from_slice(&self.bias);
            }
            for (i, x) in x.chunks_exact(channels).enumerate() {
                for (ky, row) in self.window.taps(0, i / columns) {
                    for (kx, column) in self.window.taps(1, i % columns) {
                        let y = &mut y[(row * width + column) * filters..][..filters];
                        for (c, &x) in x.iter().enumerate() {
                            let y = &mut y[c / taken * group..][..group];
                            for (f, y) in y.iter_mut().enumerate() {
                                *y += x * self.weights[((c * group + f) * kh + ky) * kw + kx];
                            }
                        }
                    }
                }
            }
        }
    }
}
