//! The sum of any number of tensors of one shape.

use bytemuck::Pod;

use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "ADD_N",
    options: 86,
    lower: |_| Ok(Box::new(AddN)),
    kinds: &[Kind::Float32, Kind::Int32],
    attributes: &[],
}];

/// Summed in the order of the inputs.
#[derive(Debug)]
pub(super) struct AddN;

#[derive(Debug)]
struct Sum<T> {
    plus: fn(T, T) -> T,
}

impl Operator for AddN {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![site.input(0)?.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let y = site.output()?;
        let count = site.node.inputs.len();
        for input in 0..count {
            let x = site.input(input)?;
            if x.dtype != y.dtype || x.shape != y.shape {
                let (x, y) = ((x.dtype, &x.shape), (y.dtype, &y.shape));
                return Err(malformed(format!("input {input} is {x:?} in a sum of {y:?}")));
            }
        }
        let work = y.elements().saturating_mul(count);
        let step = match y.dtype {
            DType::F32 => Step::new(Sum::<f32> { plus: |a, b| a + b }, work),
            DType::I32 => Step::new(Sum::<i32> { plus: i32::wrapping_add }, work),
            other => return Err(unsupported(format!("a sum of {other}"))),
        };
        Ok(Step { reads: (0..count).collect(), ..step }.into())
    }
}

impl<T: Pod + Send + Sync + std::fmt::Debug> Kernel for Sum<T> {
    fn run(&self, memory: &mut Memory<'_>) {
        for input in 0..memory.inputs() {
            let (x, y) = memory.pair(input, 0);
            let (x, y): (&[T], &mut [T]) = (bytemuck::cast_slice(x), bytemuck::cast_slice_mut(y));
            if input == 0 {
                y.copy_from_slice(x);
                continue;
            }
            for (y, &x) in y.iter_mut().zip(x) {
                *y = (self.plus)(*y, x);
            }
        }
    }
}
