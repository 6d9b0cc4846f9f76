//! The largest elements of the last axis in falling order, and where they lie; of equal ones the
//! first comes first.

use std::cmp::Ordering;
use std::marker::PhantomData;

use bytemuck::Pod;

use super::shared::scratch::scratch_for;
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "TOPK_V2",
    options: 34,
    lower: |_| Ok(Box::new(TopK)),
    kinds: &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int16, Kind::Int32, Kind::Int64],
    attributes: &[],
}];

/// As many as the constant second input says. Outputs: values, places.
#[derive(Debug)]
pub(super) struct TopK;

/// A total order of values: that of numbers; NaN, which has none, lies at the ends.
trait Ordered: Pod + Send + Sync + std::fmt::Debug {
    fn order(self, other: Self) -> Ordering;
}

macro_rules! ordered {
    ($($ty:ty),*) => {
        $(impl Ordered for $ty {
            fn order(self, other: Self) -> Ordering {
                self.cmp(&other)
            }
        })*
    };
}
ordered!(i8, i16, i32, i64);

impl Ordered for f32 {
    fn order(self, other: Self) -> Ordering {
        // Both zeros are one number.
        (self + 0.0).total_cmp(&(other + 0.0))
    }
}

#[derive(Debug)]
struct TopKKernel<T> {
    row: usize,
    k: usize,
    of: PhantomData<T>,
}

impl Operator for TopK {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let mut shape = site.input(0)?.shape.clone();
        let k = site.integer(1)?;
        let last = shape.last_mut().ok_or_else(|| malformed("a scalar has no axis"))?;
        let k = usize::try_from(k).ok().filter(|&k| k > 0 && k <= *last);
        *last = k.ok_or_else(|| malformed(format!("input 1 does not fit an axis of {last}")))?;
        Ok(vec![shape.clone(), shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, values, places) = (site.input(0)?, site.output_at(0)?, site.output_at(1)?);
        let row = x.shape.last().copied().unwrap_or(1);
        let k = values.shape.last().copied().unwrap_or(1);
        if values.dtype != x.dtype || places.dtype != DType::I32 {
            let (from, to) = (x.dtype, (values.dtype, places.dtype));
            return Err(unsupported(format!("outputs of {to:?} for {from}")));
        }
        u32::try_from(row).map_err(|_| malformed("an axis of 2^32 elements"))?;
        let log = u64::from(row.max(2).ilog2());
        let work = (x.elements() as u64).saturating_mul(log);
        let step = match x.dtype {
            DType::F32 => Step::new(TopKKernel::<f32> { row, k, of: PhantomData }, 0),
            DType::I8 | DType::U8 => Step::new(TopKKernel::<i8> { row, k, of: PhantomData }, 0),
            DType::I16 => Step::new(TopKKernel::<i16> { row, k, of: PhantomData }, 0),
            DType::I32 => Step::new(TopKKernel::<i32> { row, k, of: PhantomData }, 0),
            DType::I64 => Step::new(TopKKernel::<i64> { row, k, of: PhantomData }, 0),
            other => return Err(unsupported(format!("{other} elements"))),
        };
        Ok(Step { scratch: scratch_for::<u32>(row)?, work, ..step }.into())
    }
}

impl<T: Ordered> Kernel for TopKKernel<T> {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x], [values, places], order) = memory.parts();
        let x: &[T] = bytemuck::cast_slice(x);
        let values: &mut [T] = bytemuck::cast_slice_mut(values);
        let places: &mut [u32] = bytemuck::cast_slice_mut(places);
        let order: &mut [u32] = bytemuck::cast_slice_mut(order);
        let outputs = values.chunks_exact_mut(self.k).zip(places.chunks_exact_mut(self.k));
        for (x, (values, places)) in x.chunks_exact(self.row).zip(outputs) {
            for (i, place) in order.iter_mut().enumerate() {
                *place = i as u32;
            }
            let at = |place: u32| x[place as usize];
            order.sort_unstable_by(|&a, &b| at(b).order(at(a)).then(a.cmp(&b)));
            places.copy_from_slice(&order[..self.k]);
            for (value, &place) in values.iter_mut().zip(&*places) {
                *value = at(place);
            }
        }
    }
}
