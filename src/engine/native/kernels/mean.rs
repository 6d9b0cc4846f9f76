//! Mean over axes: an integer sum, requantized once as a convolution is.

use super::requantize::Requantize;
use super::walk::{Walk, dense};
use super::{Kernel, Quant8, Refusal, Site, Step, malformed};
use crate::engine::native::graph::Activation;
use crate::engine::native::memory::Memory;

#[derive(Debug)]
struct Mean {
    /// Over the input's shape; the second tensor is the output, with stride 0 along reduced axes.
    walk: Walk,
    /// Of each sum: minus the input's zero point for every element in it.
    offset: i32,
    scale: f32,
    output: Requantize,
}

pub(super) fn compile(site: &Site<'_>) -> Result<Step, Refusal> {
    let (x, y) = (site.input(0)?, site.output()?);
    let rank = x.shape.len();
    let mut reduced = vec![false; rank];
    for axis in site.integers(1)? {
        let place = if axis < 0 { axis + rank as i64 } else { axis };
        let place = usize::try_from(place).ok().and_then(|place| reduced.get_mut(place));
        *place.ok_or_else(|| malformed(format!("axis {axis} of {:?}", x.shape)))? = true;
    }
    let kept: Vec<usize> =
        (0..rank).map(|axis| if reduced[axis] { 1 } else { x.shape[axis] }).collect();
    let count = x.elements() / kept.iter().product::<usize>();
    let squeezed = (0..rank).filter(|&axis| !reduced[axis]).map(|axis| x.shape[axis]);
    if y.shape != kept && !y.shape.iter().copied().eq(squeezed) {
        return Err(malformed(format!("the mean of {:?} is not {:?}", x.shape, y.shape)));
    }
    let mut strides = dense(&kept);
    for (stride, reduced) in strides.iter_mut().zip(&reduced) {
        if *reduced {
            *stride = 0;
        }
    }
    let (qx, qy) = (Quant8::of(x)?, Quant8::of(y)?);
    let kernel = Mean {
        walk: Walk::new(x.shape.clone(), [dense(&x.shape), strides]),
        offset: (count as i32).wrapping_mul(-qx.zero_point),
        scale: qx.scale / qy.scale / count as f32,
        output: Requantize::new(qy, Activation::None),
    };
    let scratch = y.elements().saturating_mul(size_of::<i32>());
    Ok(Step { scratch, ..Step::elementwise(kernel, x.elements()) })
}

impl Kernel for Mean {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y, sums) = memory.unary_scratch::<i8, i8, i32>();
        sums.fill(self.offset);
        let row = self.walk.row();
        let along = self.walk.steps()[1];
        self.walk.rows(|[from, to]| {
            let x = &x[from..from + row];
            if along == 0 {
                let sum = x.iter().fold(0i32, |sum, &x| sum.wrapping_add(i32::from(x)));
                sums[to] = sums[to].wrapping_add(sum);
            } else {
                for (sum, &x) in sums[to..to + row].iter_mut().zip(x) {
                    *sum = sum.wrapping_add(i32::from(x));
                }
            }
        });
        for (y, &sum) in y.iter_mut().zip(&*sums) {
            *y = self.output.apply(sum, self.scale);
        }
    }
}
