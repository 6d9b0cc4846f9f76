//! Rows of a tensor reduced by segments, which a second tensor assigns them to.

use std::fmt;
use std::marker::PhantomData;

use bytemuck::Pod;

use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;

const KINDS: &[Kind] = &[Kind::Float32, Kind::Int32];

macro_rules! entry {
    ($name:literal, $options:literal, $join:ident, $sorted:literal) => {
        Entry {
            name: $name,
            options: $options,
            lower: |_| Ok(Box::new(Segments { join: Join::$join, sorted: $sorted })),
            kinds: KINDS,
            attributes: &[],
        }
    };
}

pub(super) const ENTRIES: &[Entry] = &[
    entry!("SEGMENT_SUM", 100, Sum, true),
    entry!("UNSORTED_SEGMENT_MAX", 119, Max, false),
    entry!("UNSORTED_SEGMENT_MIN", 120, Min, false),
    entry!("UNSORTED_SEGMENT_PROD", 118, Product, false),
    entry!("UNSORTED_SEGMENT_SUM", 121, Sum, false),
];

/// Inputs: data, the segment of each row, and, where not `sorted`, the constant number of segments.
/// Rows of segments that there are not are left out.
#[derive(Debug)]
pub(super) struct Segments {
    pub(super) join: Join,
    /// Segments come in order and are constant; the last is that of the last row.
    pub(super) sorted: bool,
}

/// What becomes of the rows of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    Sum,
    Product,
    Min,
    Max,
}

/// Elements that can be joined.
trait Element: Pod + Send + Sync + fmt::Debug {
    /// What a segment without rows holds.
    fn start(join: Join) -> Self;
    fn join(self, other: Self, join: Join) -> Self;
}

impl Element for f32 {
    fn start(join: Join) -> Self {
        match join {
            Join::Sum => 0.0,
            Join::Product => 1.0,
            Join::Min => f32::MAX,
            Join::Max => f32::MIN,
        }
    }

    fn join(self, other: Self, join: Join) -> Self {
        match join {
            Join::Sum => self + other,
            Join::Product => self * other,
            Join::Min => self.min(other),
            Join::Max => self.max(other),
        }
    }
}

impl Element for i32 {
    fn start(join: Join) -> Self {
        match join {
            Join::Sum => 0,
            Join::Product => 1,
            Join::Min => i32::MAX,
            Join::Max => i32::MIN,
        }
    }

    fn join(self, other: Self, join: Join) -> Self {
        match join {
            Join::Sum => self.wrapping_add(other),
            Join::Product => self.wrapping_mul(other),
            Join::Min => self.min(other),
            Join::Max => self.max(other),
        }
    }
}

#[derive(Debug)]
struct SegmentKernel<T> {
    join: Join,
    /// Elements of a row.
    row: usize,
    of: PhantomData<T>,
}

impl Operator for Segments {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (x, ids) = (site.input(0)?, site.input(1)?);
        let axes = ids.shape.len();
        if axes == 0 || !x.shape.starts_with(&ids.shape) || x.elements() == 0 {
            return Err(malformed(format!("segments {:?} of {:?}", ids.shape, x.shape)));
        }
        let count = if self.sorted {
            let ids = site.integers(1)?;
            if axes != 1 || !ids.is_sorted() {
                return Err(malformed("segments out of order"));
            }
            ids.last().map_or(0, |last| last.saturating_add(1))
        } else {
            site.integer(2)?
        };
        let count = usize::try_from(count).map_err(|_| malformed(format!("{count} segments")))?;
        Ok(vec![[&[count], &x.shape[axes..]].concat()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, ids, y) = (site.input(0)?, site.input(1)?, site.output()?);
        if ids.dtype != DType::I32 || x.dtype != y.dtype {
            return Err(unsupported(format!("{} by {} to {}", x.dtype, ids.dtype, y.dtype)));
        }
        let (join, row) = (self.join, x.shape[ids.shape.len()..].iter().product());
        let work = x.elements() + y.elements();
        let step = match x.dtype {
            DType::F32 => Step::new(SegmentKernel::<f32> { join, row, of: PhantomData }, work),
            DType::I32 => Step::new(SegmentKernel::<i32> { join, row, of: PhantomData }, work),
            other => return Err(unsupported(format!("{other} elements"))),
        };
        Ok(Step { reads: vec![0, 1], ..step }.into())
    }
}

impl<T: Element> Kernel for SegmentKernel<T> {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x, ids], [y], _) = memory.parts();
        let (x, y): (&[T], &mut [T]) = (bytemuck::cast_slice(x), bytemuck::cast_slice_mut(y));
        let ids: &[i32] = bytemuck::cast_slice(ids);
        y.fill(T::start(self.join));
        let segments = y.len() / self.row;
        for (x, &id) in x.chunks_exact(self.row).zip(ids) {
            let Some(id) = usize::try_from(id).ok().filter(|&id| id < segments) else { continue };
            for (y, &x) in y[id * self.row..][..self.row].iter_mut().zip(x) {
                *y = y.join(x, self.join);
            }
        }
    }
}
