//! The order in which each instruction set reads filters.

use super::super::border::Form;
use super::super::isa::Set;
#[cfg(target_arch = "x86_64")]
use super::{Layout, amx};

/// How filters are packed.
///
/// A segment is read in chunks; the last one ends with the segment and so may overlap the one before,
/// where the weights of what was already read are 0. A chunk is a few groups: values that one
/// instruction multiplies and adds up for each lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing {
    pub(super) set: Set,
    pub(super) form: Form,
    /// Values that are loaded at once from a row.
    pub(super) chunk: usize,
    /// Values of a group.
    pub(super) group: usize,
}

/// Pairs of groups in a segment of `run` values: in whole chunks, and in the last one where it overlaps
/// the one before; where it does not, all are in the first place. The last group may be alone.
pub(super) fn stretches(run: usize) -> [usize; 2] {
    let [whole, rest] = [run / 16 * 2, (run % 16).div_ceil(4) / 2];
    if run.is_multiple_of(4) { [whole + rest, 0] } else { [whole, rest] }
}

/// Words for so many pairs.
#[cfg(target_arch = "aarch64")]
pub(super) fn words(pairs: usize) -> usize {
    pairs.div_ceil(63)
}

/// Some filters side by side.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The first of them.
    pub(super) first: usize,
    /// How many the kernel computes at once.
    pub(super) lanes: usize,
    /// Where its weights begin.
    pub(super) at: usize,
    pub(super) bytes: usize,
    /// Two products of plain NEON can be added in 16 bits, whatever the input.
    pub(super) chained: bool,
    /// Whether four can, for each two groups, by the [`stretches`] of each segment: a bit each, the first
    /// highest. After the last one comes a 1, and as many of them as a word has room for are in a word.
    pub(super) fours: Vec<u64>,
    /// Sums in steps of the output fit 16 bits, whatever the input.
    pub(super) short: bool,
}

impl Packing {
    pub(super) fn of(set: Set) -> Self {
        let (chunk, group) = match set {
            Set::Scalar => (1, 1),
            Set::Amx => (1, 4),
            Set::Avx2 => (2, 2),
            Set::AvxVnni | Set::Avx512Vnni => (4, 4),
            Set::Neon | Set::DotProd => (16, 4),
        };
        Self { set, form: Form::of(set), chunk, group }
    }

    /// The same with tiles, where they are faster for about `rows` rows of `layout` by `n` filters.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn tiled(self, n: usize, rows: usize, layout: &Layout) -> Self {
        let tiled = Self::of(Set::Amx);
        let (k, padded) = (layout.k(), tiled.padded([layout.segments.len(), layout.run]));
        // Tests want tiles of all shapes.
        let pays = cfg!(test) || amx::pays(n, rows, k);
        if pays && padded <= Self::padded_max(k) { tiled } else { self }
    }

    /// Values that may be packed for a filter of `k`.
    pub(super) fn padded_max(k: usize) -> usize {
        let tiles = cfg!(target_arch = "x86_64");
        if tiles { k.saturating_mul(2).saturating_add(32) } else { k }
    }

    /// Values that are packed for a filter of `segments` times `run`.
    pub(super) fn padded(&self, [segments, run]: [usize; 2]) -> usize {
        segments * self.groups(run) * self.group
    }

    /// Groups of a segment of `run` values.
    pub(super) fn groups(&self, run: usize) -> usize {
        #[cfg(target_arch = "x86_64")]
        if self.set == Set::Amx {
            return run.div_ceil(amx::STEP) * (amx::STEP / self.group);
        }
        run.div_ceil(self.group)
    }

    /// Blocks for `n` filters of `segments` times `run` values, for about `rows` rows.
    pub(super) fn blocks(&self, n: usize, rows: usize, [segments, run]: [usize; 2]) -> Vec<Block> {
        let (mut blocks, mut first, mut at) = (Vec::new(), 0, 0);
        while first < n {
            let left = n - first;
            let lanes = match self.set {
                Set::Scalar => 1,
                Set::Avx512Vnni => match left {
                    0..=16 => 16,
                    17..=48 => 32,
                    _ => 64,
                },
                Set::Amx if left > 16 => 32,
                Set::Amx => 16,
                Set::DotProd if rows == 1 && left > 32 => 64,
                // One row has few sums: wide blocks keep the multipliers busy.
                Set::Avx2 | Set::AvxVnni | Set::Neon | Set::DotProd if rows == 1 && left > 16 => 32,
                // Half as many rows in a tile, which have as many sums, take fewer loads.
                Set::DotProd if left >= 32 => 32,
                Set::Avx2 | Set::AvxVnni => 16,
                Set::Neon | Set::DotProd if left <= 8 => 8,
                Set::Neon | Set::DotProd => 16,
            };
            let bytes = self.padded([segments, run]) * lanes;
            let fours = self.words([segments, run], |_| false);
            let short = false;
            blocks.push(Block { first, lanes, at, bytes, chained: true, fours, short });
            first += lanes;
            at += bytes;
        }
        blocks
    }

    /// Bytes after all weights that kernels read, too.
    pub(super) fn ahead(&self) -> usize {
        if self.set == Set::Neon { 64 } else { 0 }
    }

    /// Whether a kernel takes both together, as they lie.
    pub(super) fn joins(&self, block: &Block, next: &Block) -> bool {
        // Tiles of rows go over all filters.
        self.set == Set::Amx || (self.set == Set::DotProd && block.lanes == 64 && next.lanes == 64)
    }

    /// Rows that go through all blocks together: about what half the first cache holds, and a
    /// multiple of all heights of tiles.
    pub(super) fn panel(&self, k: usize) -> usize {
        // With tiles they are not gathered, and each panel has to shape its own.
        #[cfg(target_arch = "x86_64")]
        if self.set == Set::Amx {
            return 16 * amx::ROWS;
        }
        48 * (16_384 / (k * self.form.bytes()) / 48).clamp(1, 16)
    }

    /// Rows that are worth a part of their own, where a panel has `panel`.
    pub(super) fn share(&self, panel: usize) -> usize {
        #[cfg(target_arch = "x86_64")]
        if self.set == Set::Amx {
            return 2 * amx::ROWS;
        }
        panel
    }

    /// Writes the weights of `block`, which are 0, of rows of `segments` times `run` values.
    /// Says whether they may be chained.
    #[inline(always)]
    pub(super) fn pack(
        &self,
        block: &Block,
        weights: Weights<'_>,
        [segments, run]: [usize; 2],
        packed: &mut [i8],
    ) -> bool {
        let packed = &mut packed[block.at..block.at + block.bytes];
        // Plain NEON takes groups in two halves, each `[lanes, 2]`.
        match (self.set, self.group) {
            (Set::Neon, _) | (_, 2) => self.pack_as::<2>(block, weights, [segments, run], packed),
            (_, 4) => self.pack_as::<4>(block, weights, [segments, run], packed),
            _ => self.pack_as::<1>(block, weights, [segments, run], packed),
        }
        if self.set == Set::Neon {
            // -128 · -128 twice is the one sum that 16 bits do not hold.
            let halves = packed.chunks_exact(block.lanes * 4).map(|g| g.split_at(block.lanes * 2));
            let both =
                |(a, b): (&[i8], &[i8])| a.iter().zip(b).any(|(&a, &b)| a == -128 && b == -128);
            return !halves.into_iter().any(both);
        }
        true
    }

    /// [`Block::fours`] of packed weights, of `segments` times `run` values.
    pub(super) fn fours(&self, block: &Block, of: [usize; 2], packed: &[i8]) -> Vec<u64> {
        let (half, groups) = (block.lanes * 2, self.groups(of[1]));
        let group = |i: usize| &packed[block.at + i * 2 * half..][..2 * half];
        self.words(of, |[segment, pair]| {
            let first = segment * groups + 2 * pair;
            let all = group(first).iter().chain(group(first + 1));
            let mut sums = vec![0; half];
            all.enumerate().for_each(|(i, w)| sums[i % half] += u32::from(w.unsigned_abs()));
            // 128 times as much is below 2^15.
            sums.iter().all(|&sum| sum <= 255)
        })
    }

    /// What `fits` says of each pair of each segment, as [`Block::fours`] has it.
    fn words(&self, [segments, run]: [usize; 2], fits: impl Fn([usize; 2]) -> bool) -> Vec<u64> {
        if self.set != Set::Neon {
            return Vec::new();
        }
        let mut all = Vec::new();
        for segment in 0..segments {
            let mut pair = 0;
            for mut left in stretches(run) {
                while left > 0 {
                    let (count, mut word) = (left.min(63), 1 << 63);
                    for i in (pair..pair + count).rev() {
                        word = (u64::from(fits([segment, i])) << 63) | (word >> 1);
                    }
                    all.push(word);
                    (pair, left) = (pair + count, left - count);
                }
            }
        }
        all
    }

    #[inline(always)]
    fn pack_as<const G: usize>(
        &self,
        block: &Block,
        weights: Weights<'_>,
        [segments, run]: [usize; 2],
        packed: &mut [i8],
    ) {
        let (k, whole) = (segments * run, run / self.chunk * self.chunk);
        let slots = self.groups(run) * self.group;
        let filters = (weights.n - block.first).min(block.lanes);
        for (i, group) in packed.chunks_exact_mut(block.lanes * G).enumerate() {
            let (segment, slot) = (i * G / slots, i * G % slots);
            // In the last chunk groups count from its end; what was read before has weights 0. Tiles go
            // on beyond it instead.
            let shift = if slot < whole || self.set == Set::Amx { 0 } else { slots - run };
            let value = |within: usize| {
                let at = (slot + within).wrapping_sub(shift);
                let there = at < run && (slot < whole || at >= whole);
                there.then_some(segment * run + at)
            };
            let values: [Option<usize>; G] = std::array::from_fn(value);
            let group = &mut group.as_chunks_mut::<G>().0[..filters];
            match (weights.turned, values[0], values[G - 1]) {
                (false, Some(first), Some(_)) => {
                    let rows = weights.values[block.first * k..].chunks_exact(k);
                    for (to, row) in group.iter_mut().zip(rows) {
                        to.copy_from_slice(&row[first..first + G]);
                    }
                }
                _ => {
                    for (within, at) in values.into_iter().enumerate() {
                        let Some(at) = at else { continue };
                        if weights.turned {
                            let row = &weights.values[at * weights.n + block.first..][..filters];
                            for (to, &w) in group.iter_mut().zip(row) {
                                to[within] = w;
                            }
                        } else {
                            let rows = weights.values[block.first * k..].chunks_exact(k);
                            for (to, row) in group.iter_mut().zip(rows) {
                                to[within] = row[at];
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Weights as they come.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) values: &'a [i8],
    pub(super) n: usize,
    /// They are `[k, n]`, not `[n, k]`.
    pub(super) turned: bool,
}
