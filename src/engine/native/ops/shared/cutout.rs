//! A box somewhere in a larger tensor, where the model says while it runs.

use super::super::{Compiled, Kernel, Refusal, Site, Step, malformed};
use super::index::{Index, index_of};
use super::moves::same_type;
use super::walk::{Walk, dense};
use crate::engine::native::graph::width;
use crate::engine::native::memory::Memory;

/// A box in a tensor of the same type as the first output.
#[derive(Debug)]
pub(in super::super) struct Cutout {
    /// Bytes of an element.
    width: usize,
    /// Over the box's shape; in the large tensor, from its beginning on, and in a dense one.
    walk: Walk,
    axes: Vec<Axis>,
    begin: Index,
    /// Negative places count from the end.
    wraps: bool,
}

/// An axis of the large tensor.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Elements from one to the next.
    stride: usize,
    len: usize,
    /// The furthest that the box can begin.
    last: usize,
    /// Which of the places is where the box begins; it begins with the axis otherwise.
    place: Option<usize>,
}

impl Cutout {
    /// A box of shape `part` in a tensor of shape `whole`, each axis of which takes one of the `places`
    /// in input `input`, or none.
    pub(in super::super) fn new(
        site: &Site<'_>,
        input: usize,
        [whole, part]: [&[usize]; 2],
        places: Vec<Option<usize>>,
    ) -> Result<Self, Refusal> {
        let begin = site.input(input)?;
        let wrong = || malformed(format!("{part:?} in {whole:?} from {:?}", begin.shape));
        let told = places.iter().flatten().all(|&place| place < begin.elements());
        let all =
            begin.shape.len() == 1 && whole.len() == part.len() && whole.len() == places.len();
        if !told || !all || part.contains(&0) {
            return Err(wrong());
        }
        let strides = dense(whole);
        let axes = (0..whole.len()).map(|axis| {
            let (stride, len, place) = (strides[axis], whole[axis], places[axis]);
            Some(Axis { stride, len, last: len.checked_sub(part[axis])?, place })
        });
        Ok(Self {
            width: width(site.output_at(0)?.dtype).unwrap_or(1),
            axes: axes.collect::<Option<_>>().ok_or_else(wrong)?,
            walk: Walk::new(part.to_vec(), [strides, dense(part)]),
            begin: index_of(begin)?,
            wraps: false,
        })
    }

    /// The step that copies the box out of the first input; the second has the places. Negative ones
    /// count from the end, and all are brought inside.
    pub(in super::super) fn cut(self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        same_type(x, y)?;
        let kernel = CutKernel(Self { wraps: true, ..self });
        Ok(Step { reads: vec![0, 1], ..Step::new(kernel, y.elements()) }.into())
    }

    /// Where the box begins in the large tensor.
    fn first(&self, begin: &[u8]) -> usize {
        let start = |axis: &Axis| {
            let place = axis.place.map_or(0, |place| self.begin.at(begin, place));
            let wrapped = if self.wraps && place < 0 { axis.len as i64 } else { 0 };
            let place = usize::try_from(place.saturating_add(wrapped)).unwrap_or(0);
            place.min(axis.last) * axis.stride
        };
        self.axes.iter().map(start).sum()
    }

    /// Calls `each` for the bytes of every row: where in the large tensor, where in the box, how many.
    pub(in super::super) fn rows(&self, begin: &[u8], mut each: impl FnMut(usize, usize, usize)) {
        let (first, bytes) = (self.first(begin), self.walk.row() * self.width);
        self.walk.rows(|[at, of]| each((first + at) * self.width, of * self.width, bytes));
    }
}

#[derive(Debug)]
struct CutKernel(Cutout);

impl Kernel for CutKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x, begin], [y], _) = memory.parts();
        self.0.rows(begin, |from, to, n| y[to..to + n].copy_from_slice(&x[from..from + n]));
    }
}
