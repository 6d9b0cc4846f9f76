//! Where along an axis the largest or smallest element lies; the first of equal ones.

use std::marker::PhantomData;

use bytemuck::Pod;

use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step};
use super::{axis_of, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::Shape;
use crate::engine::native::memory::Memory;

const KINDS: &[Kind] = &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int32, Kind::Bool];
const OUTPUTS: &[(&str, &[&str])] = &[("output_type", &["int32", "int64"])];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "ARG_MAX",
        options: 40,
        lower: |_| Ok(Box::new(ArgExtreme { largest: true })),
        kinds: KINDS,
        attributes: OUTPUTS,
    },
    Entry {
        name: "ARG_MIN",
        options: 57,
        lower: |_| Ok(Box::new(ArgExtreme { largest: false })),
        kinds: KINDS,
        attributes: OUTPUTS,
    },
];

/// Along the axis in the constant second input, which the output lacks.
#[derive(Debug)]
pub(super) struct ArgExtreme {
    /// Or the smallest.
    pub(super) largest: bool,
}

fn axis(site: &Site<'_>) -> Result<usize, Refusal> {
    let x = site.input(0)?;
    if x.elements() == 0 {
        return Err(malformed("nothing to choose from"));
    }
    axis_of(site.integer(1)?, x.shape.len())
}

impl Operator for ArgExtreme {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let mut shape = site.input(0)?.shape.clone();
        shape.remove(axis(site)?);
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let axis = axis(site)?;
        let along = Along {
            len: x.shape[axis],
            inner: x.shape[axis + 1..].iter().product(),
            largest: self.largest,
        };
        i32::try_from(along.len).map_err(|_| malformed("an axis of 2^31 elements"))?;
        let work = x.elements();
        let step = match (x.dtype, y.dtype) {
            (DType::F32, DType::I32) => along.step::<f32, i32>(work),
            (DType::F32, DType::I64) => along.step::<f32, i64>(work),
            (DType::I8 | DType::U8, DType::I32) => along.step::<i8, i32>(work),
            (DType::I8 | DType::U8, DType::I64) => along.step::<i8, i64>(work),
            (DType::I32, DType::I32) => along.step::<i32, i32>(work),
            (DType::I32, DType::I64) => along.step::<i32, i64>(work),
            (DType::Bool, DType::I32) => along.step::<u8, i32>(work),
            (DType::Bool, DType::I64) => along.step::<u8, i64>(work),
            (from, to) => return Err(unsupported(format!("places in {from} as {to}"))),
        };
        Ok(step.into())
    }
}

/// The axis, and how many elements lie between two of its neighbours.
#[derive(Clone, Copy, Debug)]
struct Along {
    len: usize,
    inner: usize,
    largest: bool,
}

#[derive(Debug)]
struct ArgKernel<X, Y> {
    along: Along,
    of: PhantomData<(X, Y)>,
}

/// What places are written as.
trait Index: Pod + Send + Sync + std::fmt::Debug {
    fn of(place: usize) -> Self;
}

impl Index for i32 {
    fn of(place: usize) -> Self {
        place as i32
    }
}

impl Index for i64 {
    fn of(place: usize) -> Self {
        place as i64
    }
}

impl Along {
    fn step<X, Y: Index>(self, work: usize) -> Step
    where
        X: Pod + PartialOrd + Send + Sync + std::fmt::Debug,
    {
        Step::new(ArgKernel::<X, Y> { along: self, of: PhantomData }, work)
    }
}

impl<X, Y: Index> Kernel for ArgKernel<X, Y>
where
    X: Pod + PartialOrd + Send + Sync + std::fmt::Debug,
{
    fn run(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.unary::<X, Y>();
        let Along { len, inner, largest } = self.along;
        for (x, y) in x.chunks_exact(len * inner).zip(y.chunks_exact_mut(inner)) {
            for (i, y) in y.iter_mut().enumerate() {
                let mut best = 0;
                for place in 1..len {
                    let (next, held) = (x[place * inner + i], x[best * inner + i]);
                    if if largest { next > held } else { next < held } {
                        best = place;
                    }
                }
                *y = Y::of(best);
            }
        }
    }
}
