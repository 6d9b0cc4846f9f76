//! Moving elements without looking at them: transposing, slicing, padding, repeating, gathering.
//!
//! All of these are one thing: the input element of an output element is found axis by axis, so a table
//! for each output axis says how far along the input it leads.

use super::{Compiled, Kernel, Memory, Operator, Refusal, Site, Step, malformed};
use crate::engine::native::graph::{Shape, width};
use crate::engine::native::limits::RANK_MAX;
use crate::engine::native::ops::shared::moves::{End, Move, moved};

/// Marks an element that comes from nowhere: it is filled.
pub(in super::super) const OUTSIDE: usize = usize::MAX;

/// `y[i, j, …] = x[offset + tables[0][i] + tables[1][j] + …]`, in elements of the input.
#[derive(Debug)]
pub(in super::super) struct Rearrange {
    pub(in super::super) offset: usize,
    /// One for each output axis, or [`OUTSIDE`].
    pub(in super::super) tables: Vec<Vec<usize>>,
    /// The bytes of an element that comes from nowhere, as they lie in the arena.
    pub(in super::super) fill: [u8; 8],
}

impl Operator for Rearrange {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let elements = site.input(0)?.elements();
        let furthest = self.tables.iter().try_fold(self.offset, |sum, table| {
            sum.checked_add(table.iter().filter(|&&by| by != OUTSIDE).max().copied().unwrap_or(0))
        });
        if self.tables.len() > RANK_MAX || furthest.is_none_or(|furthest| furthest >= elements) {
            return Err(malformed("it reads beyond its input"));
        }
        Ok(vec![self.tables.iter().map(Vec::len).collect()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let size = width(x.dtype).ok_or_else(|| malformed("elements without a size"))?;
        let entries: usize = self.tables.iter().map(Vec::len).sum();
        site.budget.take_for::<usize>(entries)?;
        let mut outer = self.tables.clone();
        let row = outer.pop().unwrap_or_else(|| vec![0]);
        let contiguous = row.iter().enumerate().all(|(i, &by)| by == i);
        let (offset, fill) = (self.offset, self.fill);
        let kernel = RearrangeKernel { offset, outer, row, contiguous, size, fill };
        Ok(Step::new(kernel, y.elements()).into())
    }
}

#[derive(Debug)]
struct RearrangeKernel {
    offset: usize,
    outer: Vec<Vec<usize>>,
    row: Vec<usize>,
    /// The row is a piece of the input.
    contiguous: bool,
    /// Bytes of an element.
    size: usize,
    fill: [u8; 8],
}

impl RearrangeKernel {
    /// Where each row begins in the input; `None` where it is filled.
    fn rows(&self, mut each: impl FnMut(Option<usize>)) {
        let mut at = [0; RANK_MAX];
        loop {
            let start = self.outer.iter().zip(at).try_fold(self.offset, |sum, (table, at)| {
                (table[at] != OUTSIDE).then(|| sum + table[at])
            });
            each(start);
            let mut axis = self.outer.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                at[axis] += 1;
                if at[axis] < self.outer[axis].len() {
                    break;
                }
                at[axis] = 0;
            }
        }
    }

    fn copy<const SIZE: usize>(&self, x: &[u8], y: &mut [u8]) {
        let fill: [u8; SIZE] = std::array::from_fn(|i| self.fill[i]);
        let (x, y) = (x.as_chunks::<SIZE>().0, y.as_chunks_mut::<SIZE>().0);
        let mut rows = y.chunks_exact_mut(self.row.len());
        self.rows(|start| {
            let Some(y) = rows.next() else { return };
            match start {
                None => y.fill(fill),
                Some(start) if self.contiguous => y.copy_from_slice(&x[start..start + y.len()]),
                Some(start) => {
                    for (y, &by) in y.iter_mut().zip(&self.row) {
                        *y = if by == OUTSIDE { fill } else { x[start + by] };
                    }
                }
            }
        });
    }
}

impl Kernel for RearrangeKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.pair(0, 0);
        match self.size {
            1 => self.copy::<1>(x, y),
            2 => self.copy::<2>(x, y),
            4 => self.copy::<4>(x, y),
            _ => self.copy::<8>(x, y),
        }
    }
}

/// `y[i, j, …] = x[strides[0] · i + strides[1] · j + …]`: axes in another order.
#[derive(Debug)]
pub(in super::super) struct Turn {
    pub(in super::super) shape: Shape,
    pub(in super::super) strides: Vec<usize>,
}

impl Operator for Turn {
    fn shapes(&self, _: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![self.shape.clone()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let strides = self.strides.iter().map(|&by| by.cast_signed()).collect();
        let (from, to) = (End { start: 0, strides }, End::dense(&self.shape));
        moved(site, None, vec![Move::new(self.shape.clone(), from, to)])
    }
}

/// The same elements under another shape.
#[derive(Debug)]
pub(in super::super) struct Alias {
    pub(in super::super) shape: Shape,
}

impl Operator for Alias {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let x = site.input(0)?;
        let elements = self.shape.iter().try_fold(1usize, |n, &len| n.checked_mul(len));
        if elements != Some(x.elements()) {
            return Err(malformed(format!("{:?} cannot become {:?}", x.shape, self.shape)));
        }
        Ok(vec![self.shape.clone()])
    }

    fn compile(&self, _: &Site<'_>) -> Result<Compiled, Refusal> {
        Ok(Compiled::Alias)
    }
}
