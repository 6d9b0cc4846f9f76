//! Indices as rows that are `on` in one place and `off` elsewhere.

use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step};
use super::{axis_of, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::{Shape, width};
use crate::engine::native::memory::Memory;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "ONE_HOT",
    options: 61,
    // OneHotOptions: axis.
    lower: |options| Ok(Box::new(OneHot { axis: options.int(0, 0)? })),
    kinds: &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int32, Kind::Int64, Kind::Bool],
    attributes: &[],
}];

/// Inputs: indices, the constant depth, the value at an index, the value elsewhere. An index outside
/// the depth has no place.
#[derive(Debug)]
pub(super) struct OneHot {
    /// Of the output, along which the rows lie; -1 is the last.
    pub(super) axis: i32,
}

#[derive(Debug)]
struct OneHotKernel {
    depth: usize,
    /// Indices that lie next to one another before the next place of the row.
    inner: usize,
    /// Bytes of an element.
    width: usize,
    /// Whether indices are of 64 bits.
    long: bool,
}

impl OneHot {
    fn axis(&self, rank: usize) -> Result<usize, Refusal> {
        axis_of(self.axis.into(), rank + 1)
    }
}

impl Operator for OneHot {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let mut shape = site.input(0)?.shape.clone();
        let depth = site.integer(1)?;
        let depth = usize::try_from(depth).map_err(|_| malformed(format!("depth {depth}")))?;
        shape.insert(self.axis(shape.len())?, depth);
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (indices, y) = (site.input(0)?, site.output()?);
        for input in [2, 3] {
            let value = site.input(input)?;
            if value.elements() != 1 || value.dtype != y.dtype {
                let (found, shape) = (value.dtype, &value.shape);
                return Err(malformed(format!("input {input} is {found} of shape {shape:?}")));
            }
        }
        let long = match indices.dtype {
            DType::I32 => false,
            DType::I64 => true,
            other => return Err(unsupported(format!("indices of {other}"))),
        };
        let axis = self.axis(indices.shape.len())?;
        let width = width(y.dtype).ok_or_else(|| unsupported("text"))?;
        let inner = indices.shape[axis..].iter().product();
        let kernel = OneHotKernel { depth: y.shape[axis], inner, width, long };
        let step = Step::new(kernel, y.elements());
        Ok(Step { reads: vec![0, 2, 3], ..step }.into())
    }
}

impl Kernel for OneHotKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let ([indices, on, off], [y], _) = memory.parts();
        for y in y.chunks_exact_mut(self.width) {
            y.copy_from_slice(off);
        }
        let wide = if self.long { 8 } else { 4 };
        for (i, index) in indices.chunks_exact(wide).enumerate() {
            let index = match *index {
                [a, b, c, d] => i64::from(i32::from_ne_bytes([a, b, c, d])),
                [a, b, c, d, e, f, g, h] => i64::from_ne_bytes([a, b, c, d, e, f, g, h]),
                _ => continue,
            };
            let Some(index) = usize::try_from(index).ok().filter(|&index| index < self.depth)
            else {
                continue;
            };
            let row = i / self.inner * self.depth + index;
            let at = (row * self.inner + i % self.inner) * self.width;
            y[at..at + self.width].copy_from_slice(on);
        }
    }
}
