//! Slices as Python writes them: `x[1:, ::-2, ..., 0, newaxis]`.

use super::shared::cutout::Cutout;
use super::shared::moves::{End, Move, moved, same_meaning8};
use super::{Compiled, Entry, Kind, Operator, Refusal, Site, malformed, unsupported};
use crate::engine::native::graph::Shape;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "STRIDED_SLICE",
    options: 32,
    // StridedSliceOptions: masks of begin, end, ellipsis, new axes, axes to drop; offset.
    lower: |options| {
        let mask = |field| Ok::<_, Refusal>(options.int(field, 0)?.cast_unsigned());
        Ok(Box::new(StridedSlice {
            begin: mask(0)?,
            end: mask(1)?,
            ellipsis: mask(2)?,
            new_axis: mask(3)?,
            shrink: mask(4)?,
            offset: options.byte(5, 0)? != 0,
        }))
    },
    kinds: Kind::ANY,
    attributes: &[],
}];

/// From the second input up to the third in steps of the fourth, all constant. Bit `i` of a mask is about
/// their element `i`.
///
/// A beginning that is computed at run time may only choose the elements whose axes the output lacks, as
/// in `x[:, i]`: then the shape does not depend on it. It is brought inside; LiteRT's run fails there.
#[derive(Debug, Default)]
pub(super) struct StridedSlice {
    /// The beginning is that of the axis.
    pub(super) begin: u32,
    /// The end is that of the axis.
    pub(super) end: u32,
    /// As many axes as the others leave, all of each.
    pub(super) ellipsis: u32,
    /// An axis of 1 that the input lacks.
    pub(super) new_axis: u32,
    /// One element, whose axis the output lacks.
    pub(super) shrink: u32,
    /// Ends count from the beginning of the slice.
    pub(super) offset: bool,
}

/// What becomes of the axes of the output, in order.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    start: usize,
    step: isize,
    len: usize,
    /// Axis of the input; `None` for a new one.
    axis: Option<usize>,
    /// The output lacks it; it is about this element of the beginning.
    dropped: Option<usize>,
}

impl StridedSlice {
    fn cuts(&self, site: &Site<'_>) -> Result<Vec<Cut>, Refusal> {
        let (shape, step) = (&site.input(0)?.shape, site.integers(3)?);
        if Self::is_computed(site)? {
            let given = self.new_axis | self.ellipsis | self.shrink | (self.begin & self.end);
            let open =
                (0..step.len()).any(|i| given.checked_shr(i as u32).is_none_or(|m| m & 1 == 0));
            if open || step.iter().any(|&step| step != 1) {
                let why = "its limits are computed at run time, and the shape of the output depends on them";
                return Err(unsupported(why));
            }
            let none = vec![0; step.len()];
            return self.cut(shape, [&none, &none, &step]);
        }
        self.cut(shape, [&site.integers(1)?, &site.integers(2)?, &step])
    }

    /// Whether the model computes where the slice begins.
    fn is_computed(site: &Site<'_>) -> Result<bool, Refusal> {
        Ok(site.input(1)?.data.is_none())
    }

    fn cut(&self, shape: &[usize], told: [&[i64]; 3]) -> Result<Vec<Cut>, Refusal> {
        let wrong = || malformed(format!("slice {told:?} of {shape:?}, {self:?}"));
        let [begin, end, step] = told;
        let count = begin.len();
        if count > 32 || end.len() != count || step.len() != count {
            return Err(wrong());
        }
        let bit = |mask: u32, i: usize| mask >> i & 1 != 0;
        // A second ellipsis is none, and nothing else may be one.
        let ellipsis = (0..count).find(|&i| bit(self.ellipsis, i));
        let fresh = |i: usize| Some(i) != ellipsis && bit(self.new_axis, i);
        let used = (0..count).filter(|&i| Some(i) != ellipsis && !fresh(i)).count();
        let free = shape.len().checked_sub(used).ok_or_else(wrong)?;
        let whole = |axis: usize| Cut {
            start: 0,
            step: 1,
            len: shape[axis],
            axis: Some(axis),
            dropped: None,
        };
        let mut cuts = Vec::new();
        let mut axis = 0;
        for i in 0..count {
            if Some(i) == ellipsis {
                cuts.extend((axis..axis + free).map(whole));
                axis += free;
            } else if fresh(i) {
                cuts.push(Cut { start: 0, step: 1, len: 1, axis: None, dropped: None });
            } else {
                let masks = [self.begin, self.end, self.shrink].map(|mask| bit(mask, i));
                let range = self.range(shape[axis], [begin[i], end[i], step[i]], masks);
                let (start, step, len) = range.ok_or_else(wrong)?;
                cuts.push(Cut {
                    start,
                    step,
                    len,
                    axis: Some(axis),
                    dropped: masks[2].then_some(i),
                });
                axis += 1;
            }
        }
        cuts.extend((axis..shape.len()).map(whole));
        Ok(cuts)
    }

    /// First element, step and length along an axis of `len`; `None` where there is no such element.
    fn range(
        &self,
        len: usize,
        [begin, end, step]: [i64; 3],
        [from_start, to_end, shrink]: [bool; 3],
    ) -> Option<(usize, isize, usize)> {
        let len = i64::try_from(len).ok()?;
        // Going backwards, before the first element is where to stop.
        let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
        let inside = |place: i64| {
            let place = if place < 0 { place.saturating_add(len) } else { place };
            place.clamp(low, high)
        };
        let start = match from_start {
            true if step > 0 => 0,
            true => len - 1,
            false => inside(begin),
        };
        if shrink {
            return (0..len).contains(&start).then_some((usize::try_from(start).ok()?, 1, 1));
        }
        let stop = match to_end {
            true if step > 0 => len,
            true => -1,
            false if self.offset => inside(start.saturating_add(end)),
            false => inside(end),
        };
        let way = if step > 0 { stop - start } else { start - stop };
        let count = usize::try_from(way).unwrap_or(0);
        let size = usize::try_from(step.unsigned_abs()).ok().filter(|&size| size > 0)?;
        Some((
            usize::try_from(start).unwrap_or(0),
            isize::try_from(step).ok()?,
            count.div_ceil(size),
        ))
    }
}

impl Operator for StridedSlice {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let cuts = self.cuts(site)?;
        Ok(vec![cuts.iter().filter(|cut| cut.dropped.is_none()).map(|cut| cut.len).collect()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, cuts) = (site.input(0)?, self.cuts(site)?);
        same_meaning8(x, site.output()?)?;
        if Self::is_computed(site)? {
            // New axes change nothing in memory.
            let own: Vec<&Cut> = cuts.iter().filter(|cut| cut.axis.is_some()).collect();
            let part: Shape = own.iter().map(|cut| cut.len).collect();
            let places = own.iter().map(|cut| cut.dropped).collect();
            return Cutout::new(site, 1, [&x.shape, &part], places)?.cut(site);
        }
        let shape: Shape = cuts.iter().map(|cut| cut.len).collect();
        let own = End::dense(&x.shape);
        let mut from = End { start: 0, strides: vec![0; cuts.len()] };
        for (cut, stride) in cuts.iter().zip(&mut from.strides) {
            if let Some(axis) = cut.axis {
                *stride = own.strides[axis].saturating_mul(cut.step);
                let way = own.strides[axis].saturating_mul(cut.start as isize);
                from.start = from.start.saturating_add(way);
            }
        }
        let to = End::dense(&shape);
        moved(site, None, vec![Move::new(shape, from, to)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(len: usize, begin: i64, end: i64, step: i64) -> Option<(usize, isize, usize)> {
        StridedSlice::default().range(len, [begin, end, step], [false; 3])
    }

    #[test]
    fn ranges_are_those_of_python() {
        assert_eq!(range(5, 1, 4, 2), Some((1, 2, 2)));
        assert_eq!(range(5, -1, -6, -2), Some((4, -2, 3)));
        assert_eq!(range(5, 0, 100, 1), Some((0, 1, 5)));
        assert_eq!(range(5, 3, 1, 1), Some((3, 1, 0)));
        assert_eq!(range(5, 0, 1, 0), None);
        assert_eq!(range(5, i64::MIN, i64::MAX, i64::MAX), Some((0, isize::MAX, 1)));
        assert_eq!(range(0, 0, 1, 1), Some((0, 1, 0)));
    }

    #[test]
    fn an_offset_counts_from_the_beginning() {
        let slice = StridedSlice { offset: true, ..StridedSlice::default() };
        assert_eq!(slice.range(7, [2, 3, 1], [false; 3]), Some((2, 1, 3)));
    }

    #[test]
    fn elements_that_are_not_there_are_refused() {
        let slice = StridedSlice { shrink: 1, ..StridedSlice::default() };
        assert!(slice.cut(&[3], [&[3], &[4], &[1]]).is_err());
        assert_eq!(slice.cut(&[3], [&[-1], &[0], &[1]]).unwrap()[0].start, 2);
        assert!(slice.cut(&[], [&[0], &[1], &[1]]).is_err());
    }
}
