//! Any function of one element.

use std::fmt;
use std::marker::PhantomData;

use super::super::{Kernel, Refusal, Site, Step};
use super::pairs::Element;
use crate::engine::native::memory::Memory;

/// The step that computes `f` of each element of the first input; the output lies over it where both
/// are equally wide and nothing else needs it.
pub(in super::super) fn each<X: Element, Y: Element>(
    site: &Site<'_>,
    f: impl Fn(X) -> Y + Send + Sync + 'static,
) -> Result<Step, Refusal> {
    let kernel = Each { f, types: PhantomData };
    let in_place = size_of::<X>() == size_of::<Y>();
    Ok(Step { in_place, ..Step::new(kernel, site.output()?.elements()) })
}

/// The step that looks each byte up, as it lies in the arena.
pub(in super::super) fn looked_up(site: &Site<'_>, of: impl Fn(i8) -> i8) -> Result<Step, Refusal> {
    let mut table = Box::new([0i8; 256]);
    for x in i8::MIN..=i8::MAX {
        table[usize::from(x.cast_unsigned())] = of(x);
    }
    let step = each(site, move |x: i8| table[usize::from(x.cast_unsigned())])?;
    Ok(Step { weight_bytes: 256, ..step })
}

struct Each<X, Y, F> {
    f: F,
    types: PhantomData<(X, Y)>,
}

impl<X, Y, F> fmt::Debug for Each<X, Y, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Each")
    }
}

impl<X: Element, Y: Element, F: Fn(X) -> Y + Send + Sync> Kernel for Each<X, Y, F> {
    fn run(&self, memory: &mut Memory<'_>) {
        memory.map(&self.f);
    }
}
