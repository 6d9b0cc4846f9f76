//! Padding with real zeros.

use super::walk::{Walk, dense};
use super::{Kernel, Quant8, Refusal, Site, Step, malformed, unsupported};
use crate::engine::native::memory::Memory;

#[derive(Debug)]
struct Pad {
    /// Over the input's shape; the second tensor is the output.
    walk: Walk,
    /// Where the input's first element goes.
    first: usize,
    zero_point: i8,
}

pub(super) fn compile(site: &Site<'_>) -> Result<Step, Refusal> {
    let (x, y) = (site.input(0)?, site.output()?);
    let amounts = site.integers(1)?;
    let wrong = || malformed(format!("{amounts:?} around {:?} is not {:?}", x.shape, y.shape));
    if amounts.len() != 2 * x.shape.len() || y.shape.len() != x.shape.len() {
        return Err(wrong());
    }
    let strides = dense(&y.shape);
    let mut first = 0;
    for (axis, pair) in amounts.chunks_exact(2).enumerate() {
        let [before, after] = [pair[0], pair[1]].map(usize::try_from);
        let (before, after) = (before.map_err(|_| wrong())?, after.map_err(|_| wrong())?);
        let sum = before.checked_add(after).and_then(|sum| sum.checked_add(x.shape[axis]));
        if sum != Some(y.shape[axis]) {
            return Err(wrong());
        }
        first += before * strides[axis];
    }
    let (qx, qy) = (Quant8::of(x)?, Quant8::of(y)?);
    if !qx.same(&qy) {
        return Err(unsupported("an output quantized unlike the input"));
    }
    let walk = Walk::new(x.shape.clone(), [dense(&x.shape), strides]);
    let kernel = Pad { walk, first, zero_point: qx.zero_point as i8 };
    Ok(Step::elementwise(kernel, y.elements()))
}

impl Kernel for Pad {
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
