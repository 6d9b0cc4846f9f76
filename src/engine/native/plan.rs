//! Puts tensors into one arena: those that live at the same time never overlap.
//!
//! Greedy by size: the largest first, each at the lowest place that is free for its whole life, or where several threads
//! share the work, around a centre that another one has, if that is free.
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

/// Centres that blocks are tried at.
const CENTRES: usize = 8;
/// How much more memory centred blocks may take: a part of what they would take otherwise.
const MORE: usize = 4;

/// Lays out `blocks`.
pub(super) fn layout(blocks: &[Block]) -> Result<Layout, EngineError> {
    lay_out(blocks, 0)
}

/// The same for several threads, of which each writes the same share of every block: where they can, blocks lie around
/// the same few centres, so that a thread writes where it wrote before. What another one wrote there it had to fetch
/// from that one's cache, though nobody reads it any more.
pub(super) fn layout_shared(blocks: &[Block]) -> Result<Layout, EngineError> {
    let (plain, centred) = (layout(blocks)?, lay_out(blocks, CENTRES));
    Ok(centred
        .ok()
        .filter(|centred| centred.bytes <= plain.bytes + plain.bytes / MORE)
        .unwrap_or(plain))
}

/// With blocks around this many centres, if they find a place there.
fn lay_out(blocks: &[Block], most: usize) -> Result<Layout, EngineError> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(blocks[i].bytes), i));
    let mut offsets = vec![0usize; blocks.len()];
    // Blocks that have a place, by where they begin.
    let mut placed: Vec<usize> = Vec::with_capacity(blocks.len());
    let mut centres: Vec<usize> = Vec::new();
    let mut total = 0;
    for i in order {
        let block = blocks[i];
        let others = placed.iter().filter(|&&other| {
            blocks[other].first <= block.last && block.first <= blocks[other].last
        });
        let taken = others.map(|&other| offsets[other]..offsets[other] + blocks[other].bytes);
        let is_free = |&at: &usize| {
            let end = at + block.bytes;
            end <= total && taken.clone().all(|taken| end <= taken.start || taken.end <= at)
        };
        let around =
            |centre: &usize| centre.checked_sub(block.bytes / 2).map(|at| at / ALIGN * ALIGN);
        let at = centres.iter().filter_map(around).find(is_free).unwrap_or_else(|| {
            let mut at = 0;
            for taken in taken.clone() {
                if block.bytes <= taken.start.saturating_sub(at) {
                    break;
                }
                at = at.max(align(taken.end));
            }
            at
        });
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
            let centre = at + block.bytes / 2;
            if centres.len() < most && centres.iter().all(|&other| other.abs_diff(centre) > ALIGN) {
                centres.push(centre);
            }
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
    fn threads_write_where_they_wrote_before() {
        let block = |bytes, first, last| Block { bytes, first, last };
        // Inputs and outputs of four layers.
        let sizes = [1280, 640, 384, 256, 128];
        let blocks = [0, 1, 2, 3, 4].map(|i| block(sizes[i], i, i + 1));
        let plan = layout_shared(&blocks).unwrap();
        let centres = [0, 1, 2, 3, 4].map(|i| plan.offsets[i] + blocks[i].bytes / 2);
        assert_eq!(centres, [640, 1600, 640, 1600, 640]);
        assert_eq!(plan.bytes, layout(&blocks).unwrap().bytes);
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
            let (plain, shared) = (layout(&blocks).unwrap(), layout_shared(&blocks).unwrap());
            prop_assert!(shared.bytes <= plain.bytes + plain.bytes / MORE);
            let sum: usize = blocks.iter().map(|b| align(b.bytes)).sum();
            for plan in [plain, shared] {
                prop_assert!(plan.bytes <= sum);
                for (i, a) in blocks.iter().enumerate() {
                    let range = plan.offsets[i]..plan.offsets[i] + a.bytes;
                    prop_assert!(range.end <= plan.bytes);
                    prop_assert_eq!(range.start % ALIGN, 0);
                    for (j, b) in blocks.iter().enumerate().skip(i + 1) {
                        let other = plan.offsets[j]..plan.offsets[j] + b.bytes;
                        let together = a.first <= b.last && b.first <= a.last;
                        let overlap = range.start < other.end && other.start < range.end;
                        prop_assert!(!(together && overlap), "{a:?} {range:?}, {b:?} {other:?}");
                    }
                }
            }
        }
    }
}
