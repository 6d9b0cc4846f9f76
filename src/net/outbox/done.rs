//! Which messages of a lane are finished: all below a floor, and some above it.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::spool::Index;

/// A set of indices that grows from below, as ranges.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    floor: Index,
    /// Ranges above the floor that do not touch, by their first index.
    above: BTreeMap<Index, Index>,
}

impl Done {
    /// Everything below `floor`.
    pub(super) fn below(floor: Index) -> Self {
        Self { floor, above: BTreeMap::new() }
    }

    /// Everything below is finished, and this one is not.
    pub(super) fn floor(&self) -> Index {
        self.floor
    }

    pub(super) fn contains(&self, index: Index) -> bool {
        let covers = |(_, end): (&Index, &Index)| index < *end;
        index < self.floor || self.above.range(..=index).next_back().is_some_and(covers)
    }

    /// How many of `range` are finished.
    pub(super) fn within(&self, range: &Range<Index>) -> u64 {
        let common =
            |start: Index, end: Index| end.min(range.end).saturating_sub(start.max(range.start));
        let above: u64 = self.above.iter().map(|(start, end)| common(*start, *end)).sum();
        common(0, self.floor) + above
    }

    pub(super) fn insert(&mut self, range: Range<Index>) {
        let (mut start, mut end) = (range.start, range.end);
        if start >= end {
            return;
        }
        // All that touch it become one.
        let touching: Vec<Index> = self
            .above
            .range(..=end)
            .filter(|(_, other_end)| **other_end >= start)
            .map(|(other_start, _)| *other_start)
            .collect();
        for other in touching {
            if let Some(other_end) = self.above.remove(&other) {
                (start, end) = (start.min(other), end.max(other_end));
            }
        }
        if start <= self.floor {
            self.floor = self.floor.max(end);
            self.above.retain(|_, end| *end > self.floor);
        } else {
            self.above.insert(start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_set_of_what_was_inserted(
            floor in 0u64..20,
            ranges in prop::collection::vec((0u64..60, 0u64..12), 0..30),
        ) {
            let mut done = Done::below(floor);
            let mut expected: Vec<bool> = (0..100).map(|index| index < floor).collect();
            for (start, length) in ranges {
                done.insert(start..start + length);
                (start..start + length).for_each(|index| expected[index as usize] = true);
                let gap = expected.iter().position(|done| !done).expect("one is left") as u64;
                prop_assert_eq!(done.floor(), gap);
                for index in 0..100u64 {
                    prop_assert_eq!(done.contains(index), expected[index as usize], "{}", index);
                }
                let inside = expected[7..50].iter().filter(|done| **done).count();
                prop_assert_eq!(done.within(&(7..50)), inside as u64);
            }
        }
    }
}
