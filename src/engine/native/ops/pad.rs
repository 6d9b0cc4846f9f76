//! Padding with real zeros.

use super::shared::quant8::Quant8;
use super::shared::walk::{Walk, dense};
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "PAD",
    options: 22,
    lower: |_| Ok(Box::new(Pad)),
    kinds: &[Kind::Int8, Kind::Uint8],
    attributes: &[],
}];

/// Amounts `[rank, 2]` in the constant second input, filled with real 0.
#[derive(Debug)]
pub(super) struct Pad;

/// How much goes before and after along each axis.
fn amounts(site: &Site<'_>) -> Result<Vec<[usize; 2]>, Refusal> {
    let rank = site.input(0)?.shape.len();
    let amounts = site.integers(1)?;
    let wrong = || malformed(format!("amounts {amounts:?} for {rank} dimensions"));
    if amounts.len() != 2 * rank {
        return Err(wrong());
    }
    let amount = |amount: i64| usize::try_from(amount).ok().filter(|&amount| amount < 1 << 28);
    let pair = |pair: &[i64]| amount(pair[0]).zip(amount(pair[1])).map(|(a, b)| [a, b]);
    amounts.chunks_exact(2).map(|both| pair(both).ok_or_else(wrong)).collect()
}

impl Operator for Pad {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let axes = site.input(0)?.shape.iter().zip(amounts(site)?);
        Ok(vec![axes.map(|(&len, [before, after])| before + len + after).collect()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let strides = dense(&y.shape);
        let first = amounts(site)?.iter().zip(&strides).map(|([before, _], by)| before * by).sum();
        let (qx, qy) = (Quant8::of(x)?, Quant8::of(y)?);
        if !qx.same(&qy) {
            return Err(unsupported("an output quantized unlike the input"));
        }
        let walk = Walk::new(x.shape.clone(), [dense(&x.shape), strides]);
        let kernel = PadKernel { walk, first, zero_point: qx.zero_point as i8 };
        Ok(Step::new(kernel, y.elements()).into())
    }
}

#[derive(Debug)]
struct PadKernel {
    /// Over the input's shape; the second tensor is the output.
    walk: Walk,
    /// Where the input's first element goes.
    first: usize,
    zero_point: i8,
}

impl Kernel for PadKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<i8, i8>();
        let row = self.walk.row();
        y.fill(self.zero_point);
        self.walk.rows(|[from, to]| {
            let to = self.first + to;
            y[to..to + row].copy_from_slice(&x[from..from + row]);
        });
    }
}
