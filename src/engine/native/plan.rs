//! Puts tensors into one arena: those that live at the same time never overlap.
//!
//! Greedy by size: the largest first, each at the lowest place that is free for its whole life.
//! Source: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020.

use super::limits::ARENA_MAX;
use crate::engine::EngineError;

/// Tensors begin at multiples of this many bytes: a cache line, and any vector load.
pub(super) const ALIGN: usize = 64;

/// A block of memory and the steps during which it must hold its contents, both ends included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) bytes: usize,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// Where each block begins.
#[derive(Debug)]
pub(super) struct Layout {
    /// In the order of the blocks.
    pub(super) offsets: Vec<usize>,
    /// Bytes of the arena.
    pub(super) bytes: usize,
}

/// Lays out `blocks`.
pub(super) fn layout(blocks: &[Block]) -> Result<Layout, EngineError> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(blocks[i].bytes), i));
    let mut offsets = vec![0usize; blocks.len()];
    // Blocks that have a place, by where they begin.
    let mut placed: Vec<usize> = Vec::with_capacity(blocks.len());
    let mut total = 0;
    for i in order {
        let block = blocks[i];
        let mut at = 0;
        for &other in &placed {
            let lives = blocks[other].first <= block.last && block.first <= blocks[other].last;
            if !lives {
                continue;
            }
            if block.bytes <= offsets[other].saturating_sub(at) {
                break;
            }
            at = at.max(align(offsets[other] + blocks[other].bytes));
        }
        let end = at.saturating_add(block.bytes);
        if end > ARENA_MAX {
            let what = "working memory";
            return Err(EngineError::TooLarge { what, needed: end, limit: ARENA_MAX });
        }
        offsets[i] = at;
        total = total.max(align(end));
        if block.bytes > 0 {
            let next = placed.partition_point(|&other| offsets[other] <= at);
            placed.insert(next, i);
        }
    }
    Ok(Layout { offsets, bytes: total })
}

/// The largest sum of bytes that are alive together at one of the steps `0..=last`.
pub(super) fn live_bytes(blocks: &[Block], last: usize) -> usize {
    // Where sums change: up at a block's first step, down after its last.
    let mut changes = vec![(0usize, 0usize); last + 2];
    for block in blocks.iter().filter(|block| block.first <= last) {
        changes[block.first].0 += block.bytes;
        changes[block.last.min(last) + 1].1 += block.bytes;
    }
    let (mut live, mut most) = (0, 0);
    for (more, less) in changes {
        live = live + more - less;
        most = most.max(live);
    }
    most
}

fn align(offset: usize) -> usize {
    offset.next_multiple_of(ALIGN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_that_never_live_together_share_a_place() {
        let block = |bytes, first, last| Block { bytes, first, last };
        let plan = layout(&[block(100, 0, 1), block(100, 1, 2), block(100, 2, 3)]).unwrap();
        assert_eq!(plan.offsets, [0, 128, 0]);
        assert_eq!(plan.bytes, 256);
    }

    #[test]
    fn what_lives_together_is_summed() {
        let block = |bytes, first, last| Block { bytes, first, last };
        let blocks = [block(100, 0, 1), block(50, 1, usize::MAX), block(120, 2, 3)];
        assert_eq!(live_bytes(&blocks, 4), 170);
    }

    #[test]
    fn an_arena_beyond_the_limit_is_refused() {
        let half = Block { bytes: ARENA_MAX / 2 + 64, first: 0, last: 1 };
        assert!(matches!(layout(&[half, half]), Err(EngineError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn live_blocks_never_overlap_and_lie_inside_the_arena(
            blocks in prop::collection::vec((0usize..5000, 0usize..40, 0usize..40), 0..60)
        ) {
            let blocks: Vec<Block> = blocks
                .into_iter()
                .map(|(bytes, a, b)| Block { bytes, first: a.min(b), last: a.max(b) })
                .collect();
            let plan = layout(&blocks).unwrap();
            for (i, a) in blocks.iter().enumerate() {
                let range = plan.offsets[i]..plan.offsets[i] + a.bytes;
                prop_assert!(range.end <= plan.bytes);
                prop_assert_eq!(range.start % ALIGN, 0);
                for (j, b) in blocks.iter().enumerate().skip(i + 1) {
                    let other = plan.offsets[j]..plan.offsets[j] + b.bytes;
                    let together = a.first <= b.last && b.first <= a.last;
                    let overlap = range.start < other.end && other.start < range.end;
                    prop_assert!(!(together && overlap), "{a:?} at {range:?}, {b:?} at {other:?}");
                }
            }
            let sum: usize = blocks.iter().map(|b| align(b.bytes)).sum();
            prop_assert!(plan.bytes <= sum);
        }
    }
}
