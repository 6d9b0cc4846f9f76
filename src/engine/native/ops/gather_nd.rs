//! Slices of a tensor picked, or added to, at places with several coordinates.

use bytemuck::Pod;

use super::shared::index::{Index, index_of};
use super::shared::moves::{same_type, zero};
use super::shared::walk::dense;
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::{Shape, width};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "GATHER_ND",
        options: 83,
        lower: |_| Ok(Box::new(GatherNd)),
        kinds: Kind::ANY,
        attributes: &[("indices", &["int32", "int64"])],
    },
    Entry {
        name: "SCATTER_ND",
        options: 97,
        lower: |_| Ok(Box::new(ScatterNd)),
        kinds: &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int32, Kind::Int64, Kind::Bool],
        attributes: &[],
    },
    Entry {
        name: "SPARSE_TO_DENSE",
        options: 50,
        lower: |_| Ok(Box::new(SparseToDense)),
        kinds: &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int32, Kind::Int64],
        attributes: &[],
    },
];

/// Of the first input the slice at each row of coordinates in the second.
///
/// Where a slice would begin outside the tensor the output is real zero: LiteRT's run fails there, ours
/// cannot.
#[derive(Debug)]
pub(super) struct GatherNd;

/// Zeros of the shape in the constant third input, to which each slice of the second is added at its
/// row of coordinates in the first; `bool` is or. Slices outside are left out: LiteRT's run fails there.
#[derive(Debug)]
pub(super) struct ScatterNd;

/// The fourth input all over the shape in the constant second one, and the third at each place in the
/// first. Places outside are left out.
#[derive(Debug)]
pub(super) struct SparseToDense;

/// Coordinates `[places…, depth]` into a tensor.
#[derive(Debug)]
struct Coordinates {
    index: Index,
    /// Elements between neighbours along each coordinate's axis.
    strides: Vec<usize>,
    /// Elements of a slice.
    slice: usize,
    /// Slices that begin no later lie inside.
    last: usize,
}

impl Coordinates {
    /// Those in input `input`, into a tensor of `shape`, and the number of places.
    fn new(site: &Site<'_>, input: usize, shape: &[usize]) -> Result<(Self, usize), Refusal> {
        let places = site.input(input)?;
        let wrong = || malformed(format!("places {:?} in {shape:?}", places.shape));
        let depth = places.shape.last().copied().filter(|&depth| depth <= shape.len());
        let depth = depth.ok_or_else(wrong)?;
        let slice: usize = shape[depth..].iter().product();
        let last = shape.iter().product::<usize>().checked_sub(slice).ok_or_else(wrong)?;
        let strides = dense(shape)[..depth].to_vec();
        let coordinates = Self { index: index_of(places)?, strides, slice, last };
        let count = places.shape[..places.shape.len() - 1].iter().product();
        Ok((coordinates, count))
    }

    /// Where slice `i` begins. As in LiteRT only that has to be inside, not each coordinate.
    #[inline(always)]
    fn at(&self, places: &[u8], i: usize) -> Option<usize> {
        let depth = self.strides.len();
        let mut first = 0i64;
        for (axis, &stride) in self.strides.iter().enumerate() {
            let place = self.index.at(places, i * depth + axis);
            first = first.checked_add(place.checked_mul(stride as i64)?)?;
        }
        usize::try_from(first).ok().filter(|&first| first <= self.last)
    }
}

impl Operator for SparseToDense {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let told = site.integers(1)?;
        let shape: Result<Shape, _> = told.iter().map(|&len| usize::try_from(len)).collect();
        Ok(vec![shape.map_err(|_| malformed(format!("a shape of {told:?}")))?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (places, values, rest) = (site.input(0)?, site.input(2)?, site.input(3)?);
        let y = site.output()?;
        same_type(values, y)?;
        same_type(rest, y)?;
        // A scalar or a list of places has one coordinate each.
        let rank = y.shape.len();
        let count = match places.shape[..] {
            [] | [_] if rank == 1 => places.elements(),
            [count, depth] if depth == rank => count,
            _ => return Err(malformed(format!("places {:?} in {:?}", places.shape, y.shape))),
        };
        let fits = values.shape.is_empty() || values.shape == [count];
        if !fits || rest.elements() != 1 || y.elements() == 0 {
            let (values, rest) = (&values.shape, &rest.shape);
            return Err(malformed(format!("{values:?} values and {rest:?} for {count} places")));
        }
        let coordinates = Coordinates {
            index: index_of(places)?,
            strides: dense(&y.shape),
            slice: 1,
            last: y.elements() - 1,
        };
        let each = !values.shape.is_empty();
        let width = width(y.dtype).unwrap_or(1);
        let kernel = SparseKernel { coordinates, count, each, width };
        let step = Step::new(kernel, y.elements() + count);
        Ok(Step { reads: vec![0, 2, 3], ..step }.into())
    }
}

impl Operator for GatherNd {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (x, places) = (&site.input(0)?.shape, &site.input(1)?.shape);
        let depth = places.last().copied().filter(|&depth| depth <= x.len());
        let wrong = || malformed(format!("places {places:?} in {x:?}"));
        let depth = depth.ok_or_else(wrong)?;
        Ok(vec![[&places[..places.len() - 1], &x[depth..]].concat()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        same_type(x, y)?;
        let (coordinates, _) = Coordinates::new(site, 1, &x.shape)?;
        if y.elements() == 0 || x.elements() == 0 {
            return Err(malformed("an empty tensor"));
        }
        let kernel =
            GatherKernel { coordinates, zero: zero(y), width: width(x.dtype).unwrap_or(1) };
        Ok(Step { reads: vec![0, 1], ..Step::new(kernel, y.elements()) }.into())
    }
}

impl Operator for ScatterNd {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let told = site.integers(2)?;
        let shape: Result<Shape, _> = told.iter().map(|&len| usize::try_from(len)).collect();
        Ok(vec![shape.map_err(|_| malformed(format!("a shape of {told:?}")))?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (updates, y) = (site.input(1)?, site.output()?);
        same_type(updates, y)?;
        let (coordinates, count) = Coordinates::new(site, 0, &y.shape)?;
        if count.checked_mul(coordinates.slice) != Some(updates.elements()) || y.elements() == 0 {
            let (places, slice) = (count, coordinates.slice);
            let why = format!("updates {:?} for {places} slices of {slice}", updates.shape);
            return Err(malformed(why));
        }
        if width(y.dtype).is_none() {
            return Err(unsupported(format!("updates of {}", y.dtype)));
        }
        let kernel = ScatterKernel { coordinates, dtype: y.dtype, count };
        let work = y.elements() + updates.elements();
        Ok(Step { reads: vec![0, 1], ..Step::new(kernel, work) }.into())
    }
}

#[derive(Debug)]
struct GatherKernel {
    coordinates: Coordinates,
    /// An element, in as many of the bytes as it has.
    zero: [u8; 8],
    width: usize,
}

impl Kernel for GatherKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x, places], [y], _) = memory.parts();
        let bytes = self.coordinates.slice * self.width;
        for (i, y) in y.chunks_exact_mut(bytes).enumerate() {
            if let Some(first) = self.coordinates.at(places, i) {
                let from = first * self.width;
                y.copy_from_slice(&x[from..from + bytes]);
            } else {
                let zero = self.zero[..self.width].iter().cycle();
                y.iter_mut().zip(zero).for_each(|(y, zero)| *y = *zero);
            }
        }
    }
}

#[derive(Debug)]
struct SparseKernel {
    coordinates: Coordinates,
    count: usize,
    /// Each place has a value of its own.
    each: bool,
    width: usize,
}

impl Kernel for SparseKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([places, values, rest], [y], _) = memory.parts();
        let width = self.width;
        y.chunks_exact_mut(width).for_each(|y| y.copy_from_slice(rest));
        for i in 0..self.count {
            if let Some(at) = self.coordinates.at(places, i) {
                let from = if self.each { i * width } else { 0 };
                let value = &values[from..from + width];
                y[at * width..(at + 1) * width].copy_from_slice(value);
            }
        }
    }
}

#[derive(Debug)]
struct ScatterKernel {
    coordinates: Coordinates,
    dtype: DType,
    count: usize,
}

impl ScatterKernel {
    fn add<X: Pod>(&self, memory: &mut Memory<'_>, zero: X, add: impl Fn(X, X) -> X) {
        let ([places, updates], [y], _) = memory.parts();
        let (updates, y): (&[X], &mut [X]) =
            (bytemuck::cast_slice(updates), bytemuck::cast_slice_mut(y));
        y.fill(zero);
        let slice = self.coordinates.slice;
        for i in 0..self.count {
            let Some(first) = self.coordinates.at(places, i) else { continue };
            let updates = &updates[i * slice..(i + 1) * slice];
            for (y, &update) in y[first..first + slice].iter_mut().zip(updates) {
                *y = add(*y, update);
            }
        }
    }
}

impl Kernel for ScatterKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        match self.dtype {
            DType::F32 => self.add(memory, 0.0, |a: f32, b| a + b),
            DType::F64 => self.add(memory, 0.0, |a: f64, b| a + b),
            DType::I8 => self.add(memory, 0, i8::wrapping_add),
            // Both have 128 taken away, so that one is too much.
            DType::U8 => self.add(memory, 0x80, |a: u8, b| a.wrapping_add(b) ^ 0x80),
            DType::I16 => self.add(memory, 0, i16::wrapping_add),
            DType::I32 => self.add(memory, 0, i32::wrapping_add),
            DType::I64 => self.add(memory, 0, i64::wrapping_add),
            DType::Bool | DType::Str => self.add(memory, 0, |a: u8, b| a | b),
        }
    }
}
