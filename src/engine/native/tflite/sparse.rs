//! Sparse constants, written out whole: MediaPipe's models carry their 1x1 filters so.
//!
//! Source: TensorFlow Lite's schema, `SparsityParameters`; the format is that of Chou, Kjolstad and
//! Amarasinghe, "Format Abstraction for Sparse Tensor Algebra Compilers", 2018.

use super::schema;
use crate::engine::native::flatbuffer::Table;
use crate::engine::native::limits::{ARENA_MAX, Budget, RANK_MAX};
use crate::engine::native::ops::{Refusal, malformed, unsupported};

/// One dimension in the order of storage.
enum Level {
    /// All of this many places are stored.
    Dense(usize),
    /// Entry `i` of the level above has the places `indices[segments[i]..segments[i + 1]]`.
    Compressed { segments: Vec<usize>, indices: Vec<usize> },
}

/// The levels, and where each coordinate goes in the dense tensor.
struct Layout {
    levels: Vec<Level>,
    /// By level: elements of the dense tensor that one step along it moves.
    strides: Vec<usize>,
    /// By level: places along it.
    lens: Vec<usize>,
}

/// The dense elements of a constant of `shape`, each `width` bytes; `stored` are those in the file.
pub(super) fn dense(
    table: &Table<'_>,
    shape: &[usize],
    width: usize,
    stored: &[u8],
    budget: &Budget,
) -> Result<Vec<u8>, Refusal> {
    let elements = shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
    let bytes = elements.and_then(|n| n.checked_mul(width)).filter(|&bytes| bytes <= ARENA_MAX);
    let bytes = bytes.ok_or_else(|| malformed(format!("a sparse tensor of shape {shape:?}")))?;
    budget.take(bytes)?;
    let layout = Layout::read(table, shape, budget)?;
    let mut walk = Walk {
        layout: &layout,
        width,
        stored,
        dense: vec![0; bytes],
        // Each place is stored once: more steps than this are a file's loop.
        steps: bytes / width * layout.levels.len() + 1,
    };
    walk.level(0, 0, 0)?;
    Ok(walk.dense)
}

impl Layout {
    fn read(table: &Table<'_>, shape: &[usize], budget: &Budget) -> Result<Self, Refusal> {
        use schema::sparsity as field;
        let order: Vec<i32> = few(table, field::TRAVERSAL_ORDER)?;
        let blocked: Vec<i32> = few(table, field::BLOCK_MAP)?;
        let metadata = table.tables(field::DIM_METADATA)?;
        let rank = shape.len();
        let wrong = || malformed("a sparse tensor whose dimensions do not fit its shape");
        if order.len() != rank + blocked.len() || metadata.len() != order.len() {
            return Err(wrong());
        }
        let mut levels = Vec::new();
        for i in 0..metadata.len() {
            levels.push(level(&metadata.get(i)?.ok_or_else(wrong)?, budget)?);
        }
        // Dimensions beyond the tensor's own are those within its blocks, which are stored whole.
        let order: Vec<usize> = order.iter().filter_map(|&d| usize::try_from(d).ok()).collect();
        let mut seen = vec![false; rank + blocked.len()];
        for &dim in &order {
            *seen.get_mut(dim).ok_or_else(wrong)? = true;
        }
        if order.len() != levels.len() || seen.contains(&false) {
            return Err(wrong());
        }
        let mut block = vec![1usize; rank];
        let mut block_of = Vec::new();
        for (i, &dim) in blocked.iter().enumerate() {
            let dim = usize::try_from(dim).ok().filter(|&dim| dim < rank).ok_or_else(wrong)?;
            let at = order.iter().position(|&d| d == rank + i).ok_or_else(wrong)?;
            let Level::Dense(len) = levels[at] else {
                return Err(unsupported("a sparse tensor with blocks that are not stored whole"));
            };
            if len == 0 || block[dim] != 1 || !shape[dim].is_multiple_of(len) {
                return Err(wrong());
            }
            block[dim] = len;
            block_of.push(dim);
        }
        let mut dense = vec![1usize; rank];
        for dim in (1..rank).rev() {
            dense[dim - 1] = dense[dim] * shape[dim];
        }
        let (mut strides, mut lens) = (Vec::new(), Vec::new());
        for (&dim, level) in order.iter().zip(&levels) {
            let (stride, len) = match dim.checked_sub(rank) {
                None => (dense[dim] * block[dim], shape[dim] / block[dim]),
                Some(i) => (dense[block_of[i]], block[block_of[i]]),
            };
            if matches!(level, Level::Dense(found) if *found != len) {
                return Err(wrong());
            }
            strides.push(stride);
            lens.push(len);
        }
        Ok(Self { levels, strides, lens })
    }
}

/// The short list of numbers in `field`.
fn few(table: &Table<'_>, field: usize) -> Result<Vec<i32>, Refusal> {
    let list = table.scalars::<i32>(field)?;
    if list.len() > 2 * RANK_MAX {
        return Err(malformed(format!("a sparse tensor of {} dimensions", list.len())));
    }
    Ok(list.iter().collect())
}

fn level(table: &Table<'_>, budget: &Budget) -> Result<Level, Refusal> {
    use schema::dim_metadata as field;
    if table.scalar(field::FORMAT, 0i8)? == 0 {
        let size = table.scalar(field::DENSE_SIZE, 0i32)?;
        let size = usize::try_from(size).map_err(|_| malformed(format!("a size of {size}")))?;
        return Ok(Level::Dense(size));
    }
    let list = |kind, values| -> Result<Vec<usize>, Refusal> {
        let Some(vector) = table.table(values)? else { return Ok(Vec::new()) };
        let count = vector.scalars::<u8>(0)?.len();
        budget.take_for::<usize>(count)?;
        Ok(match table.scalar(kind, 0u8)? {
            1 => vector.scalars::<i32>(0)?.iter().map(|v| v.try_into().unwrap_or(0)).collect(),
            2 => vector.scalars::<u16>(0)?.iter().map(usize::from).collect(),
            3 => vector.scalars::<u8>(0)?.iter().map(usize::from).collect(),
            other => return Err(malformed(format!("a list of indices of kind {other}"))),
        })
    };
    let segments = list(field::SEGMENTS_TYPE, field::SEGMENTS)?;
    Ok(Level::Compressed { segments, indices: list(field::INDICES_TYPE, field::INDICES)? })
}

/// Goes through what is stored, in its order.
struct Walk<'a> {
    layout: &'a Layout,
    width: usize,
    stored: &'a [u8],
    dense: Vec<u8>,
    steps: usize,
}

impl Walk<'_> {
    /// All places of `level` under `entry` of the level above, which is at `place` of the tensor.
    fn level(&mut self, level: usize, entry: usize, place: usize) -> Result<(), Refusal> {
        let wrong = || malformed("a sparse tensor whose indices leave it");
        let layout = self.layout;
        let Some(found) = layout.levels.get(level) else {
            let stored = self.stored.get(entry * self.width..(entry + 1) * self.width);
            let dense = self.dense.get_mut(place * self.width..(place + 1) * self.width);
            dense.zip(stored).map(|(to, from)| to.copy_from_slice(from)).ok_or_else(wrong)?;
            return Ok(());
        };
        let step = |walk: &mut Self, entry: usize, at: usize| {
            walk.steps = walk.steps.checked_sub(1).ok_or_else(wrong)?;
            walk.level(level + 1, entry, place + at * layout.strides[level])
        };
        match found {
            Level::Dense(len) => (0..*len).try_for_each(|at| step(self, entry * len + at, at)),
            Level::Compressed { segments, indices } => {
                let ends = segments.get(entry).zip(segments.get(entry + 1)).ok_or_else(wrong)?;
                for i in *ends.0..*ends.1 {
                    let at = indices.get(i).copied().filter(|&at| at < layout.lens[level]);
                    step(self, i, at.ok_or_else(wrong)?)?;
                }
                Ok(())
            }
        }
    }
}
