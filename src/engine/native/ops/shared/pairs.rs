//! Any function of two elements, over two tensors that repeat to one shape.

use std::fmt;
use std::marker::PhantomData;

use bytemuck::Pod;

use super::super::{Kernel, Refusal, Site, Step, malformed};
use super::walk::{Walk, broadcast};
use crate::engine::native::memory::Memory;

/// The step that computes `f` of the first two inputs, elements of types `A` and `B`, into elements
/// of type `Y`.
pub(in super::super) fn pairs<A: Element, B: Element, Y: Element>(
    site: &Site<'_>,
    f: impl Fn(A, B) -> Y + Send + Sync + 'static,
) -> Result<Step, Refusal> {
    let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
    let walk = if a.shape == y.shape && b.shape == y.shape {
        None
    } else {
        let fit = || malformed(format!("{:?} and {:?} are not {:?}", a.shape, b.shape, y.shape));
        let strides = [
            broadcast(&a.shape, &y.shape).ok_or_else(fit)?,
            broadcast(&b.shape, &y.shape).ok_or_else(fit)?,
        ];
        Some(Walk::new(y.shape.clone(), strides))
    };
    let kernel = Pairs { walk, f, types: PhantomData };
    Ok(Step { reads: vec![0, 1], ..Step::new(kernel, y.elements()) })
}

/// What lies in the arena.
pub(in super::super) trait Element: Pod + Send + Sync {}

impl<T: Pod + Send + Sync> Element for T {}

struct Pairs<A, B, Y, F> {
    /// `None` where both inputs have the output's shape.
    walk: Option<Walk>,
    f: F,
    types: PhantomData<(A, B, Y)>,
}

impl<A, B, Y, F> fmt::Debug for Pairs<A, B, Y, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pairs").field("walk", &self.walk).finish_non_exhaustive()
    }
}

impl<A, B, Y, F> Kernel for Pairs<A, B, Y, F>
where
    A: Element,
    B: Element,
    Y: Element,
    F: Fn(A, B) -> Y + Send + Sync,
{
    fn run(&self, memory: &mut Memory<'_>) {
        let ([a, b], [y], _) = memory.parts();
        let (a, b) = (bytemuck::cast_slice::<_, A>(a), bytemuck::cast_slice::<_, B>(b));
        let y = bytemuck::cast_slice_mut::<_, Y>(y);
        let Some(walk) = &self.walk else {
            for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                *y = (self.f)(a, b);
            }
            return;
        };
        let [step_a, step_b] = walk.steps();
        let mut rows = y.chunks_exact_mut(walk.row());
        walk.rows(|[a_start, b_start]| {
            let Some(y) = rows.next() else { return };
            for (i, y) in y.iter_mut().enumerate() {
                *y = (self.f)(a[a_start + i * step_a], b[b_start + i * step_b]);
            }
        });
    }
}
