//! Mean over axes: an integer sum, requantized once as a convolution is.

use super::shared::quant8::Quant8;
use super::shared::requantize::Requantize;
use super::shared::walk::{Walk, dense};
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, axis_of};
use crate::engine::native::graph::{Activation, Shape};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "MEAN",
    options: 27,
    // ReducerOptions: keep the reduced dimensions.
    lower: |options| Ok(Box::new(Mean { keep_dims: options.byte(0, 0)? != 0 })),
    kinds: &[Kind::Int8, Kind::Uint8],
    attributes: &[("keep_dims", &["false", "true"])],
}];

/// The mean over the axes in the constant second input.
#[derive(Debug)]
pub(super) struct Mean {
    pub(super) keep_dims: bool,
}

/// Which axes of the first input the second one names.
fn reduced(site: &Site<'_>) -> Result<Vec<bool>, Refusal> {
    let rank = site.input(0)?.shape.len();
    let mut reduced = vec![false; rank];
    for axis in site.integers(1)? {
        reduced[axis_of(axis, rank)?] = true;
    }
    Ok(reduced)
}

impl Operator for Mean {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let axes = site.input(0)?.shape.iter().zip(reduced(site)?);
        let kept = axes.filter_map(|(&len, reduced)| match reduced {
            false => Some(len),
            true => self.keep_dims.then_some(1),
        });
        Ok(vec![kept.collect()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let reduced = reduced(site)?;
        let axes = x.shape.iter().zip(&reduced);
        let kept: Vec<usize> = axes.map(|(&len, &reduced)| if reduced { 1 } else { len }).collect();
        let mut strides = dense(&kept);
        for (stride, reduced) in strides.iter_mut().zip(&reduced) {
            if *reduced {
                *stride = 0;
            }
        }
        let count = x.elements() / y.elements();
        let (qx, qy) = (Quant8::of(x)?, Quant8::of(y)?);
        let kernel = MeanKernel {
            walk: Walk::new(x.shape.clone(), [dense(&x.shape), strides]),
            offset: (count as i32).wrapping_mul(-qx.zero_point),
            scale: qx.scale / qy.scale / count as f32,
            output: Requantize::new(qy, Activation::None),
        };
        let scratch = y.elements().saturating_mul(size_of::<i32>());
        Ok(Step { scratch, ..Step::new(kernel, x.elements()) }.into())
    }
}

#[derive(Debug)]
struct MeanKernel {
    /// Over the input's shape; the second tensor is the output, with stride 0 along reduced axes.
    walk: Walk,
    /// Of each sum: minus the input's zero point for every element in it.
    offset: i32,
    scale: f32,
    output: Requantize,
}

impl Kernel for MeanKernel {
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
