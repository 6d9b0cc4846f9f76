//! Rows of a tensor picked by place.

use super::shared::index::{Index, index_of};
use super::shared::moves::{same_type, zero};
use super::unsupported;
use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, axis_of, malformed};
use crate::data::DType;
use crate::engine::native::graph::{Quant, Shape, Value, width};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "GATHER",
        options: 23,
        // GatherOptions: axis, axes of the batch.
        lower: |options| {
            let (axis, batch) = (options.int(0, 0)?.into(), options.int(1, 0)?.into());
            Ok(Box::new(Gather { axis, batch }))
        },
        kinds: Kind::ANY,
        attributes: &[("indices", &["int16", "int32", "int64"]), ("batch_dims", &["0", "1"])],
    },
    Entry {
        name: "EMBEDDING_LOOKUP",
        options: 0,
        lower: |_| Ok(Box::new(Embedding)),
        kinds: &[
            Kind::Float32,
            Kind::Int8,
            Kind::Uint8,
            Kind::Hybrid,
            Kind::HybridChannel,
            Kind::Int4,
        ],
        attributes: &[],
    },
];

/// The elements of the first input along `axis` at the places in the second, whose first `batch` axes go
/// along with those of the first.
///
/// Where there is no such place the output is real zero: LiteRT's run fails there, ours cannot.
#[derive(Debug)]
pub(super) struct Gather {
    pub(super) axis: i64,
    pub(super) batch: i64,
}

/// Rows of the second input at the places in the first, as they are or, where the output is real, made
/// real. Where there is no such row: real zero.
#[derive(Debug)]
pub(super) struct Embedding;

/// `x` as `[batch, outer, rows, inner]`, places as `[batch, count]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Split {
    batch: usize,
    outer: usize,
    rows: usize,
    inner: usize,
    count: usize,
}

impl Gather {
    /// The axis and the number of axes of the batch.
    fn axes(&self, site: &Site<'_>) -> Result<(usize, usize), Refusal> {
        let (x, places) = (&site.input(0)?.shape, &site.input(1)?.shape);
        let axis = axis_of(self.axis, x.len())?;
        let batch = if self.batch < 0 { self.batch + places.len() as i64 } else { self.batch };
        let batch = usize::try_from(batch).ok().filter(|&batch| {
            batch <= places.len() && batch <= axis && places[..batch] == x[..batch]
        });
        let wrong = || malformed(format!("places {places:?} in {x:?} with {self:?}"));
        Ok((axis, batch.ok_or_else(wrong)?))
    }
}

impl Operator for Gather {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (axis, batch) = self.axes(site)?;
        let (x, places) = (&site.input(0)?.shape, &site.input(1)?.shape);
        Ok(vec![[&x[..axis], &places[batch..], &x[axis + 1..]].concat()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (axis, batch) = self.axes(site)?;
        let (x, places, y) = (site.input(0)?, site.input(1)?, site.output()?);
        same_type(x, y)?;
        let product = |lens: &[usize]| lens.iter().product();
        let split = Split {
            batch: product(&x.shape[..batch]),
            outer: product(&x.shape[batch..axis]),
            rows: x.shape[axis],
            inner: product(&x.shape[axis + 1..]),
            count: product(&places.shape[batch..]),
        };
        rows(site, split, (0, 1))
    }
}

impl Operator for Embedding {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (places, x) = (site.input(0)?, site.input(1)?);
        if places.shape.len() != 1 || x.shape.is_empty() {
            return Err(malformed(format!("places {:?} in {:?}", places.shape, x.shape)));
        }
        Ok(vec![[&places.shape[..], &x.shape[1..]].concat()])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (places, x, y) = (site.input(0)?, site.input(1)?, site.output()?);
        let inner = x.shape[1..].iter().product();
        let count = places.elements();
        let split = Split { batch: 1, outer: 1, rows: x.shape[0], inner, count };
        if x.dtype == y.dtype {
            return rows(site, split, (1, 0));
        }
        if y.dtype != DType::F32 || !matches!(x.dtype, DType::I8 | DType::U8) {
            return Err(unsupported(format!("{} rows as {}", x.dtype, y.dtype)));
        }
        let (scales, zero_point) = scales(x)?;
        site.budget.take_for::<f32>(scales.len())?;
        let kernel =
            RealRows { split, index: index_of(places)?, scales, zero_point, nibbles: x.nibbles };
        Ok(Step { reads: vec![1, 0], ..Step::new(kernel, y.elements()) }.into())
    }
}

/// The scale of each row, or of all, and the zero point as bytes lie in the arena.
fn scales(x: &Value<'_>) -> Result<(Vec<f32>, i32), Refusal> {
    let origin = if x.dtype == DType::U8 { 128 } else { 0 };
    match &x.quant {
        Quant::Tensor(quant) => Ok((vec![quant.scale], quant.zero_point - origin)),
        Quant::Channels { axis: 0, scales } => Ok((scales.clone(), -origin)),
        Quant::Channels { axis, .. } => Err(unsupported(format!("scales along axis {axis}"))),
        Quant::None => Err(malformed("rows without a scale as real ones")),
    }
}

/// The step that copies rows of input `from` at the places in input `places`.
fn rows(
    site: &Site<'_>,
    split: Split,
    (from, places): (usize, usize),
) -> Result<Compiled, Refusal> {
    let (x, y) = (site.input(from)?, site.output()?);
    if y.elements() == 0 || split.rows == 0 {
        return Err(malformed("an empty tensor"));
    }
    let kernel = Rows {
        split: Split { inner: split.inner * width(x.dtype).unwrap_or(1), ..split },
        index: index_of(site.input(places)?)?,
        zero: zero(y),
        width: width(x.dtype).unwrap_or(1),
    };
    Ok(Step { reads: vec![from, places], ..Step::new(kernel, y.elements()) }.into())
}

/// Rows as they are.
#[derive(Debug)]
struct Rows {
    /// `inner` in bytes.
    split: Split,
    index: Index,
    /// An element, in as many of the bytes as it has.
    zero: [u8; 8],
    width: usize,
}

impl Kernel for Rows {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x, places], [y], _) = memory.parts();
        let Split { outer, rows, inner, count, .. } = self.split;
        for (i, y) in y.chunks_exact_mut(inner).enumerate() {
            let (block, at) = (i / count, i % count);
            let place = self.index.at(places, block / outer * count + at);
            match usize::try_from(place).ok().filter(|&place| place < rows) {
                Some(place) => {
                    let from = (block * rows + place) * inner;
                    y.copy_from_slice(&x[from..from + inner]);
                }
                None => {
                    let zero = self.zero[..self.width].iter().cycle();
                    y.iter_mut().zip(zero).for_each(|(y, zero)| *y = *zero);
                }
            }
        }
    }
}

/// Rows of bytes made real.
#[derive(Debug)]
struct RealRows {
    split: Split,
    index: Index,
    /// Of each row, or one of all.
    scales: Vec<f32>,
    zero_point: i32,
    /// They were 4-bit integers, of which LiteRT begins each row with a whole byte, though a row of odd
    /// length may begin in the middle of one.
    nibbles: bool,
}

impl Kernel for RealRows {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([x, places], [y], _) = memory.parts();
        let Split { rows, inner, .. } = self.split;
        let (x, y) = (bytemuck::cast_slice::<_, i8>(x), bytemuck::cast_slice_mut::<_, f32>(y));
        for (i, y) in y.chunks_exact_mut(inner).enumerate() {
            let place = usize::try_from(self.index.at(places, i)).ok();
            let Some(place) = place.filter(|&place| place < rows) else {
                y.fill(0.0);
                continue;
            };
            let scale = if self.scales.len() == 1 { self.scales[0] } else { self.scales[place] };
            let first = place * inner;
            let first = if self.nibbles { first & !1 } else { first };
            for (y, &x) in y.iter_mut().zip(&x[first..]) {
                *y = (i32::from(x) - self.zero_point) as f32 * scale;
            }
        }
    }
}
