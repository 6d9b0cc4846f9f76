//! Any function of one element.

use std::fmt;
use std::marker::PhantomData;

use super::super::{Kernel, Refusal, Site, Step};
use super::pairs::Element;
use crate::engine::native::kernels::{Isa, Lookup, Plain};
use crate::engine::native::memory::Memory;

/// The step that computes `f` of each element of the first input; the output lies over it where both
/// are equally wide and nothing else needs it.
pub(in super::super) fn each<X: Element, Y: Element>(
    site: &Site<'_>,
    f: impl Fn(X) -> Y + Send + Sync + 'static,
) -> Result<Step, Refusal> {
    step(site, Each::<X, Y, _, false> { isa: site.isa, f, types: PhantomData })
}

/// The same of an `f` that the compiler can make vectors of: no calls, no tables, no divisions of
/// integers. What it calls has to be `#[inline(always)]`; what it captures is copied, so that it lies in
/// registers.
pub(in crate::engine::native) fn each_in_vectors<X: Element, Y: Element>(
    site: &Site<'_>,
    f: impl Fn(X) -> Y + Copy + Send + Sync + 'static,
) -> Result<Step, Refusal> {
    step(site, Each::<X, Y, _, true> { isa: site.isa, f, types: PhantomData })
}

fn step<X, Y, F, const VECTORS: bool>(
    site: &Site<'_>,
    kernel: Each<X, Y, F, VECTORS>,
) -> Result<Step, Refusal>
where
    Each<X, Y, F, VECTORS>: Kernel + 'static,
{
    let in_place = size_of::<X>() == size_of::<Y>();
    Ok(Step { in_place, ..Step::new(kernel, site.output()?.elements()) })
}

/// The step that looks each byte up, as it lies in the arena.
pub(in super::super) fn looked_up(site: &Site<'_>, of: impl Fn(i8) -> i8) -> Result<Step, Refusal> {
    let mut answers = Box::new([0u8; 256]);
    for x in i8::MIN..=i8::MAX {
        answers[usize::from(x.cast_unsigned())] = of(x).cast_unsigned();
    }
    let kernel = LookedUp(Lookup::new(site.isa, answers));
    let step = Step::new(kernel, site.output()?.elements());
    Ok(Step { weight_bytes: 256, in_place: true, ..step })
}

#[derive(Debug)]
struct LookedUp(Lookup);

impl Kernel for LookedUp {
    fn run(&self, memory: &mut Memory<'_>) {
        if let Some(both) = memory.over_first() {
            return self.0.apply_over(both);
        }
        let (x, y) = memory.pair(0, 0);
        self.0.apply(x, y);
    }
}

struct Each<X, Y, F, const VECTORS: bool> {
    isa: Isa,
    f: F,
    types: PhantomData<(X, Y)>,
}

impl<X, Y, F, const VECTORS: bool> fmt::Debug for Each<X, Y, F, VECTORS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each").field("vectors", &VECTORS).finish_non_exhaustive()
    }
}

impl<X: Element, Y: Element, F: Fn(X) -> Y + Send + Sync> Kernel for Each<X, Y, F, false> {
    fn run(&self, memory: &mut Memory<'_>) {
        memory.map(&self.f);
    }
}

impl<X: Element, Y: Element, F: Fn(X) -> Y + Copy + Send + Sync> Kernel for Each<X, Y, F, true> {
    fn run(&self, memory: &mut Memory<'_>) {
        self.isa.run(Map { memory, f: self.f, types: PhantomData });
    }
}

/// One run over all elements.
struct Map<'a, 'm, X, Y, F> {
    memory: &'a mut Memory<'m>,
    f: F,
    types: PhantomData<(X, Y)>,
}

impl<X: Element, Y: Element, F: Fn(X) -> Y> Plain for Map<'_, '_, X, Y, F> {
    #[inline(always)]
    fn run(self) {
        self.memory.map(self.f);
    }
}
