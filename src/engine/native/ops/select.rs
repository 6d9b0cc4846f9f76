//! A choice between two tensors, element by element.

use super::shared::walk::{Walk, broadcast, broadcast_shape};
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed};
use crate::data::DType;
use crate::engine::native::graph::{Shape, width};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "SELECT",
        options: 47,
        lower: |_| Ok(Box::new(Select { first: true })),
        kinds: Kind::ANY,
        attributes: &[],
    },
    Entry {
        name: "SELECT_V2",
        options: 98,
        lower: |_| Ok(Box::new(Select { first: false })),
        kinds: Kind::ANY,
        attributes: &[],
    },
];

/// The first input chooses: the second where it is true, the third elsewhere. Elements are moved as
/// they are, whatever their quantization, as in LiteRT.
#[derive(Debug)]
struct Select {
    /// A vector of conditions goes along the first axis, not the last one.
    first: bool,
}

impl Select {
    /// The shape of the condition as it repeats over the others.
    fn condition(&self, site: &Site<'_>) -> Result<Shape, Refusal> {
        let (condition, x) = (&site.input(0)?.shape, &site.input(1)?.shape);
        let mut shape = condition.clone();
        if self.first && condition.len() == 1 && x.len() > 1 {
            shape.resize(x.len(), 1);
        }
        Ok(shape)
    }
}

impl Operator for Select {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let both = broadcast_shape(&site.input(1)?.shape, &site.input(2)?.shape)?;
        Ok(vec![broadcast_shape(&self.condition(site)?, &both)?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (condition, y) = (site.input(0)?, site.output()?);
        let (a, b) = (site.input(1)?, site.input(2)?);
        if condition.dtype != DType::Bool || a.dtype != y.dtype || b.dtype != y.dtype {
            let of = [condition.dtype, a.dtype, b.dtype];
            return Err(malformed(format!("a choice from {of:?} is {}", y.dtype)));
        }
        let chosen = self.condition(site)?;
        let strides = |shape: &[usize]| {
            let fit = || malformed(format!("{shape:?} does not repeat over {:?}", y.shape));
            broadcast(shape, &y.shape).ok_or_else(fit)
        };
        let kernel = SelectKernel {
            width: width(y.dtype).unwrap_or(1),
            walks: [
                Walk::new(y.shape.clone(), [strides(&chosen)?, strides(&a.shape)?]),
                Walk::new(y.shape.clone(), [strides(&chosen)?, strides(&b.shape)?]),
            ],
        };
        Ok(Step { reads: vec![0, 1, 2], ..Step::new(kernel, 2 * y.elements()) }.into())
    }
}

#[derive(Debug)]
struct SelectKernel {
    /// Bytes of an element.
    width: usize,
    /// Over the output: the condition, and what is taken where it is true or false.
    walks: [Walk; 2],
}

impl Kernel for SelectKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        match self.width {
            1 => self.choose::<1>(memory),
            2 => self.choose::<2>(memory),
            4 => self.choose::<4>(memory),
            _ => self.choose::<8>(memory),
        }
    }
}

impl SelectKernel {
    fn choose<const W: usize>(&self, memory: &mut Memory<'_>) {
        let ([condition, a, b], [y], _) = memory.parts();
        let y = y.as_chunks_mut::<W>().0;
        for (walk, (from, wanted)) in self.walks.iter().zip([(a, true), (b, false)]) {
            let from = from.as_chunks::<W>().0;
            let [condition_step, step] = walk.steps();
            let mut rows = y.chunks_exact_mut(walk.row());
            walk.rows(|[condition_start, start]| {
                let Some(y) = rows.next() else { return };
                for (i, y) in y.iter_mut().enumerate() {
                    if (condition[condition_start + i * condition_step] != 0) == wanted {
                        *y = from[start + i * step];
                    }
                }
            });
        }
    }
}
