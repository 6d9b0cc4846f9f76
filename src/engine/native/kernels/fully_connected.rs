//! Fully connected: every row of the input times the filters.

use super::filters::Filters;
use super::{Kernel, Quant8, Refusal, Site, Step, malformed};
use crate::engine::native::graph::Activation;
use crate::engine::native::memory::Memory;

#[derive(Debug)]
struct FullyConnected {
    filters: Filters,
}

pub(super) fn compile(site: &Site<'_>, activation: Activation) -> Result<Step, Refusal> {
    let (x, weights, y) = (site.input(0)?, site.input(1)?, site.output()?);
    let [n, k] = weights.shape[..] else {
        return Err(malformed(format!("weights of shape {:?}", weights.shape)));
    };
    if x.elements() % k != 0 || x.elements() / k * n != y.elements() {
        let (x, y) = (&x.shape, &y.shape);
        return Err(malformed(format!("weights {:?} take {x:?} to {y:?}", weights.shape)));
    }
    let filters = Filters::compile(site, Quant8::of(x)?, y, activation)?;
    let macs = y.elements() as u64 * k as u64;
    Ok(Step {
        scratch: 0,
        weight_bytes: filters.bytes(),
        macs,
        work: macs + y.elements() as u64,
        reads: vec![0],
        kernel: Box::new(FullyConnected { filters }),
    })
}

impl Kernel for FullyConnected {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, i8>();
        let k = self.filters.k;
        self.filters.all(|i| &x[i * k..(i + 1) * k], y);
    }
}
