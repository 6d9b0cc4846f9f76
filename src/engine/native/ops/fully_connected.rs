//! Fully connected: every row of the input times the filters.

use super::shared::filters::Filters;
use super::shared::quant8::Quant8;
use super::{
    ACTIVATIONS, Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, activation,
    malformed, unsupported,
};
use crate::engine::native::graph::{Activation, Shape};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "FULLY_CONNECTED",
    options: 8,
    lower: |options| {
        // FullyConnectedOptions: activation, weights format, keep the input's dimensions.
        let format = options.byte(1, 0)?;
        if format != 0 {
            return Err(unsupported(format!("weights format number {format}")));
        }
        let activation = activation(options.byte(0, 0)?)?;
        Ok(Box::new(FullyConnected { activation, keep_dims: options.byte(2, 0)? != 0 }))
    },
    kinds: &[Kind::Int8, Kind::Int8Channel, Kind::Uint8],
    attributes: &[("activation", ACTIVATIONS), ("keep_num_dims", &["false", "true"])],
}];

/// x `[…, ci]` taken as `[m, ci]`, weights `[co, ci]`, bias `[co]`.
#[derive(Debug)]
pub(super) struct FullyConnected {
    pub(super) activation: Activation,
    /// The output is `[…, co]` instead of `[m, co]`.
    pub(super) keep_dims: bool,
}

impl Operator for FullyConnected {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (x, weights) = (site.input(0)?, site.input(1)?);
        let [n, k] = weights.shape[..] else {
            return Err(malformed(format!("weights of shape {:?}", weights.shape)));
        };
        if x.elements() % k != 0 || (self.keep_dims && x.shape.last() != Some(&k)) {
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
        let (x, y) = (site.input(0)?, site.output()?);
        let filters = Filters::compile(site, Quant8::of(x)?, y, self.activation)?;
        let macs = y.elements() as u64 * filters.k as u64;
        let weight_bytes = filters.bytes();
        let work = macs + y.elements() as u64;
        let step = Step::new(FullyConnectedKernel { filters }, 0);
        Ok(Step { weight_bytes, macs, work, ..step }.into())
    }
}

#[derive(Debug)]
struct FullyConnectedKernel {
    filters: Filters,
}

impl Kernel for FullyConnectedKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, i8>();
        let rows = x.chunks_exact(self.filters.k);
        for (x, y) in rows.zip(y.chunks_exact_mut(self.filters.n)) {
            self.filters.row(x, y);
        }
    }
}
