//! Steps of layers whose constants are packed for an instruction set.

use super::shared::scratch::scratch_for;
use super::shared::window::Sliding;
use super::{Compiled, Refusal, SharedKernel, Site, Step};
use crate::engine::EngineError;
use crate::engine::native::kernels::{
    Conv, CutConv, DepthwiseConv, FloatConv, FloatCutConv, FloatDepthwiseConv, Geometry,
    HybridConv, HybridDepthwiseConv,
};
use crate::engine::native::limits::ARENA_MAX;
use crate::engine::native::memory::SharedMemory;
use crate::engine::native::pool::Team;

/// A kernel with its constants.
pub(in super::super) trait Packed: SharedKernel + Sized + 'static {
    /// How many multiply-accumulates of a matrix product take as long as one of its own, at least.
    const SLOWNESS: u64 = 1;
    /// Bytes of the constants.
    fn bytes(&self) -> usize;
    /// Cuts its work into parts for so many threads, or for one, before its scratch is asked for.
    fn split(&mut self, threads: usize);
    /// Bytes of scratch; `None` when they overflow.
    fn scratch(&self) -> Option<usize>;
}

/// The geometry of `window` over images of `channels`.
pub(in super::super) fn geometry(window: &Sliding, channels: usize) -> Geometry {
    let Sliding { input, output, kernel, stride, dilation, before } = *window;
    Geometry { input, channels, kernel, stride, dilation, before, output }
}

/// Takes what packing may need, before it is done; `None` is more than there is.
pub(in super::super) fn take(site: &Site<'_>, needed: Option<usize>) -> Result<(), Refusal> {
    Ok(site.budget.take(needed.unwrap_or(usize::MAX))?)
}

/// The step of a packed layer whose outputs are sums of `k` products each; no kernel where its
/// offsets are too large for one.
pub(in super::super) fn step<K: Packed>(
    site: &Site<'_>,
    k: usize,
    mut kernel: Option<K>,
) -> Result<Compiled, Refusal> {
    let (x, y) = (site.input(0)?.elements() as u64, site.output()?.elements() as u64);
    let macs = y.saturating_mul(k as u64);
    let threads = site.threads.for_work(macs.saturating_mul(K::SLOWNESS));
    if let Some(kernel) = &mut kernel {
        kernel.split(threads);
    }
    let needed = kernel.as_ref().and_then(K::scratch);
    let (Some(kernel), Some(scratch)) = (kernel, needed) else {
        let (what, limit) = ("one image", ARENA_MAX);
        return Err(EngineError::TooLarge { what, needed: usize::MAX, limit }.into());
    };
    let (scratch, weight_bytes) = (scratch_for::<u8>(scratch)?, kernel.bytes());
    let work = macs.saturating_add(x + y);
    Ok(Step { scratch, threads, weight_bytes, macs, work, ..Step::shared(kernel, 0) }.into())
}

macro_rules! packed {
    ($($kernel:ident of $value:ty, scratch of $scratch:ty $(, slowness $slowness:literal)?;)*) => {$(
        impl Packed for $kernel {
            $(const SLOWNESS: u64 = $slowness;)?

            fn bytes(&self) -> usize {
                self.bytes()
            }

            fn split(&mut self, threads: usize) {
                self.split(threads);
            }

            fn scratch(&self) -> Option<usize> {
                self.scratch()?.checked_mul(size_of::<$scratch>())
            }
        }

        impl SharedKernel for $kernel {
            fn run(&self, memory: SharedMemory<'_>, team: &Team<'_>) {
                let (x, y, scratch) = memory.unary::<$value, $value, $scratch>();
                self.run(team, x, y, scratch);
            }
        }
    )*};
}

packed! {
    Conv of i8, scratch of u8;
    CutConv of i8, scratch of u8;
    FloatCutConv of f32, scratch of f32;
    DepthwiseConv of i8, scratch of u8, slowness 4;
    FloatConv of f32, scratch of f32;
    FloatDepthwiseConv of f32, scratch of f32;
    HybridConv of f32, scratch of u8;
    HybridDepthwiseConv of f32, scratch of f32;
}
