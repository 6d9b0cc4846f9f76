//! Any function of two elements, over two tensors that repeat to one shape.

use std::fmt;
use std::marker::PhantomData;

use bytemuck::Pod;

use super::super::{Kernel, Refusal, SharedKernel, Site, Step, malformed};
use super::walk::{Walk, broadcast};
use crate::engine::native::kernels::{Isa, Plain};
use crate::engine::native::memory::{Memory, SharedMemory};
use crate::engine::native::pool::Team;

/// How many multiply-accumulates of a matrix product take as long as one pair, about.
const SLOWNESS: u64 = 24;
/// Elements that lie in the same cache lines, whatever their type.
const LINE: usize = 64;

/// The step that computes `f` of the first two inputs, elements of types `A` and `B`, into elements
/// of type `Y`.
pub(in super::super) fn pairs<A: Element, B: Element, Y: Element>(
    site: &Site<'_>,
    f: impl Fn(A, B) -> Y + Send + Sync + 'static,
) -> Result<Step, Refusal> {
    let (isa, walk) = (site.isa, walk(site)?);
    let kernel = Pairs::<A, B, Y, _, false> { isa, walk, threads: 1, f, types: PhantomData };
    Ok(both_read(Step::new(kernel, site.output()?.elements())))
}

/// The same of an `f` that the compiler can make vectors of: no calls, no tables, no divisions of
/// integers. What it calls has to be `#[inline(always)]`; what it captures is copied, so that it lies in
/// registers.
pub(in crate::engine::native) fn pairs_in_vectors<A: Element, B: Element, Y: Element>(
    site: &Site<'_>,
    f: impl Fn(A, B) -> Y + Copy + Send + Sync + 'static,
) -> Result<Step, Refusal> {
    let (isa, walk) = (site.isa, walk(site)?);
    let elements = site.output()?.elements();
    let alike = walk.steps() == [1, 1] && walk.row() == elements;
    let work = (elements as u64).saturating_mul(SLOWNESS);
    let threads = if alike { site.threads.for_work(work) } else { 1 };
    let pairs = Pairs::<A, B, Y, _, true> { isa, walk, threads, f, types: PhantomData };
    Ok(Step { threads, ..both_read(Step::shared(pairs, elements)) })
}

/// The step that computes `whole` of all sixteens of elements of two tensors of one shape, and `rest` of
/// the elements after them: where the reference's vectors round otherwise than its loop.
pub(in super::super) fn pairs_by_sixteens<T: Element>(
    site: &Site<'_>,
    whole: impl Fn(T, T) -> T + Send + Sync + 'static,
    rest: impl Fn(T, T) -> T + Send + Sync + 'static,
) -> Result<Step, Refusal> {
    let kernel = Sixteens { whole, rest, types: PhantomData };
    Ok(both_read(Step::new(kernel, site.output()?.elements())))
}

/// Through the output, and the two inputs that repeat.
fn walk(site: &Site<'_>) -> Result<Walk, Refusal> {
    let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
    let fit = || malformed(format!("{:?} and {:?} are not {:?}", a.shape, b.shape, y.shape));
    let strides = [
        broadcast(&a.shape, &y.shape).ok_or_else(fit)?,
        broadcast(&b.shape, &y.shape).ok_or_else(fit)?,
    ];
    Ok(Walk::new(y.shape.clone(), strides).simple())
}

fn both_read(step: Step) -> Step {
    Step { reads: vec![0, 1], ..step }
}

/// What lies in the arena.
pub(in crate::engine::native) trait Element: Pod + Send + Sync {}

impl<T: Pod + Send + Sync> Element for T {}

struct Pairs<A, B, Y, F, const VECTORS: bool> {
    isa: Isa,
    walk: Walk,
    /// One where the tensors are not alike.
    threads: usize,
    f: F,
    types: PhantomData<(A, B, Y)>,
}

impl<A, B, Y, F, const VECTORS: bool> fmt::Debug for Pairs<A, B, Y, F, VECTORS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Pairs");
        debug.field("walk", &self.walk).field("vectors", &VECTORS).finish_non_exhaustive()
    }
}

impl<A, B, Y, F> Kernel for Pairs<A, B, Y, F, false>
where
    A: Element,
    B: Element,
    Y: Element,
    F: Fn(A, B) -> Y + Send + Sync,
{
    fn run(&self, memory: &mut Memory<'_>) {
        let (a, b, y) = memory.binary_of();
        All { walk: &self.walk, f: &self.f, a, b, y }.run();
    }
}

impl<A, B, Y, F> SharedKernel for Pairs<A, B, Y, F, true>
where
    A: Element,
    B: Element,
    Y: Element,
    F: Fn(A, B) -> Y + Copy + Send + Sync,
{
    fn run(&self, memory: SharedMemory<'_>, team: &Team<'_>) {
        let (a, b, y) = memory.binary::<A, B, Y>();
        // One row of everything, unless the tensors are alike.
        let line = if self.threads == 1 { y.len() } else { LINE };
        let rows = [y.len() / line.max(1), line];
        team.share_rows(self.threads, y, rows, move |claim, rows, y| {
            let from = rows.start * line;
            let (a, b) = (&a.of(claim)[from..], &b.of(claim)[from..]);
            self.isa.run(All { walk: &self.walk, f: self.f, a, b, y });
        });
    }
}

struct Sixteens<T, F, G> {
    whole: F,
    rest: G,
    types: PhantomData<T>,
}

impl<T, F, G> fmt::Debug for Sixteens<T, F, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sixteens").finish_non_exhaustive()
    }
}

impl<T, F, G> Kernel for Sixteens<T, F, G>
where
    T: Element,
    F: Fn(T, T) -> T + Send + Sync,
    G: Fn(T, T) -> T + Send + Sync,
{
    fn run(&self, memory: &mut Memory<'_>) {
        let (a, b, y) = memory.binary_of::<T, T, T>();
        let cut = y.len() / 16 * 16;
        let (whole, rest) = y.split_at_mut(cut);
        both(whole, &a[..cut], &b[..cut], &self.whole);
        both(rest, &a[cut..], &b[cut..], &self.rest);
    }
}

/// One run over all elements, or over some where the tensors are alike.
struct All<'a, A, B, Y, F> {
    walk: &'a Walk,
    f: F,
    a: &'a [A],
    b: &'a [B],
    y: &'a mut [Y],
}

impl<A: Copy, B: Copy, Y, F: Fn(A, B) -> Y + Copy> Plain for All<'_, A, B, Y, F> {
    #[inline(always)]
    fn run(self) {
        let Self { walk, f, a, b, y } = self;
        // Of tensors that are alike there may be a stretch, of their only row.
        let row = walk.row().min(y.len());
        let steps = walk.steps();
        let mut place = walk.first();
        for y in y.chunks_exact_mut(row.max(1)) {
            let [a_start, b_start] = place.starts;
            match steps {
                [1, 1] => both(y, &a[a_start..][..row], &b[b_start..][..row], f),
                [1, 0] => first(y, &a[a_start..][..row], b[b_start], f),
                [0, 1] => second(y, a[a_start], &b[b_start..][..row], f),
                [step_a, step_b] => {
                    for (i, y) in y.iter_mut().enumerate() {
                        *y = f(a[a_start + i * step_a], b[b_start + i * step_b]);
                    }
                }
            }
            walk.next(&mut place);
        }
    }
}

// Arguments rather than parts of a struct: so the compiler knows that they are apart.

#[inline(always)]
fn both<A: Copy, B: Copy, Y>(y: &mut [Y], a: &[A], b: &[B], f: impl Fn(A, B) -> Y) {
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
        *y = f(a, b);
    }
}

#[inline(always)]
fn first<A: Copy, B: Copy, Y>(y: &mut [Y], a: &[A], b: B, f: impl Fn(A, B) -> Y) {
    for (y, &a) in y.iter_mut().zip(a) {
        *y = f(a, b);
    }
}

#[inline(always)]
fn second<A: Copy, B: Copy, Y>(y: &mut [Y], a: A, b: &[B], f: impl Fn(A, B) -> Y) {
    for (y, &b) in y.iter_mut().zip(b) {
        *y = f(a, b);
    }
}
