//! Fully connected: every row of the input times the filters.

use super::batch_matmul::{Matrices, products};
use super::shared::convolve;
use super::shared::dynamic::Dynamic;
use super::shared::filters::{ByteFilters, Filters, HybridFilters, WordFilters};
use super::shared::layer::{Arithmetic, Layer};
use super::shared::scaling::WordScaling;
use super::{
    ACTIVATIONS, Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, activation,
    malformed, unsupported,
};
use crate::data::DType;
use crate::engine::native::graph::{Activation, Shape};
use crate::engine::native::kernels::Geometry;
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "FULLY_CONNECTED",
    options: 8,
    lower: |options| {
        // FullyConnectedOptions: activation, weights format, keep the input's dimensions, quantize
        // inputs asymmetrically.
        match options.byte(1, 0)? {
            0 => {}
            1 => return Err(unsupported("weights in the shuffled format SHUFFLED4x16INT8")),
            other => return Err(malformed(format!("weights format number {other}"))),
        }
        Ok(Box::new(FullyConnected {
            activation: activation(options.byte(0, 0)?)?,
            keep_dims: options.byte(2, 0)? != 0,
            asymmetric: options.byte(3, 0)? != 0,
        }))
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
    attributes: &[("activation", ACTIVATIONS), ("keep_num_dims", &["false", "true"])],
}];

/// x `[…, ci]` taken as `[m, ci]`, weights `[co, ci]`, bias `[co]`.
#[derive(Debug)]
pub(super) struct FullyConnected {
    pub(super) activation: Activation,
    /// The output is `[…, co]` instead of `[m, co]`.
    pub(super) keep_dims: bool,
    /// Real activations become bytes about a zero point, where TFLite's own kernel runs.
    pub(super) asymmetric: bool,
}

impl Operator for FullyConnected {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (x, weights) = (site.input(0)?, site.input(1)?);
        let [n, k] = weights.shape[..] else {
            return Err(malformed(format!("weights of shape {:?}", weights.shape)));
        };
        let fits = k > 0 && n > 0 && x.elements() % k == 0;
        if !fits || (self.keep_dims && x.shape.last() != Some(&k)) {
            return Err(malformed(format!("weights {:?} for {:?}", weights.shape, x.shape)));
        }
        if !self.keep_dims {
            return Ok(vec![vec![x.elements() / k, n]]);
        }
        let mut shape = x.shape.clone();
        shape.pop();
        shape.push(n);
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let mut layer = Layer::new(site, [0, 1, 2], 0, self.activation)?;
        let (n, k) = (layer.weights.shape[0], layer.weights.shape[1]);
        layer.words = WordScaling::Real;
        // What XNNPACK does not take.
        let computed = layer.weights.data.is_none();
        layer.up = true;
        let odd = layer.weights.nibbles && k % 2 == 1;
        let shifted = layer.x.dtype == DType::I8 && layer.weight_scales()?.1 != 0;
        layer.builtin = computed || odd || shifted;
        layer.short_product = layer.builtin && !layer.is_per_channel();
        if layer.builtin {
            let (yes, no) = (Dynamic::Asymmetric, Dynamic::Symmetric);
            layer.dynamic = if self.asymmetric { yes } else { no };
        }
        if computed {
            return products(site, &layer, Matrices::single(layer.x.elements() / k, k, n));
        }
        let geometry = Geometry::rows(layer.x.elements() / k, k);
        match layer.arithmetic()? {
            Arithmetic::Bytes => match convolve::bytes(site, &layer, geometry)? {
                Some(step) => Ok(step),
                None => step::<ByteFilters>(&layer),
            },
            Arithmetic::Words => step::<WordFilters>(&layer),
            Arithmetic::Hybrid => step::<HybridFilters>(&layer),
            Arithmetic::Floats => convolve::floats(site, &layer, geometry),
        }
    }
}

/// Rows of the input, as long as the filters, times these.
pub(super) fn step<F: Filters>(layer: &Layer<'_>) -> Result<Compiled, Refusal> {
    let filters = F::compile(layer, None)?;
    let macs = layer.y.elements() as u64 * filters.k() as u64;
    let (weight_bytes, scratch) = (filters.bytes(), F::scratch(filters.k()));
    let work = macs + layer.y.elements() as u64;
    let step = Step::new(FullyConnectedKernel { filters }, 0);
    Ok(Step { scratch, weight_bytes, macs, work, ..step }.into())
}

#[derive(Debug)]
struct FullyConnectedKernel<F> {
    filters: F,
}

impl<F: Filters> Kernel for FullyConnectedKernel<F> {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x], [y], scratch) = memory.parts();
        let rows = bytemuck::cast_slice::<_, F::Input>(x).chunks_exact(self.filters.k());
        let outputs = bytemuck::cast_slice_mut(y).chunks_exact_mut(self.filters.n());
        for (x, y) in rows.zip(outputs) {
            let (x, known) = self.filters.prepare(x, scratch);
            self.filters.row(0, x, known, y);
        }
    }
}
