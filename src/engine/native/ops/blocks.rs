//! Blocks of height and width moved into the depth or the batch, and back.

use super::shared::moves::{End, Move, moved, same_meaning, zero};
use super::{Compiled, Entry, Kind, Operator, Refusal, Site, malformed, nhwc};
use crate::engine::native::graph::Shape;
use crate::engine::native::limits::RANK_MAX;

const DEPTH: &[Kind] = &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int32, Kind::Int64];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "SPACE_TO_DEPTH",
        options: 19,
        // SpaceToDepthOptions: block size.
        lower: |options| Ok(Box::new(Depth { block: block(options.int(0, 0)?)?, deepen: true })),
        kinds: DEPTH,
        attributes: &[],
    },
    Entry {
        name: "DEPTH_TO_SPACE",
        options: 94,
        // DepthToSpaceOptions: block size.
        lower: |options| Ok(Box::new(Depth { block: block(options.int(0, 0)?)?, deepen: false })),
        kinds: DEPTH,
        attributes: &[],
    },
    Entry {
        name: "SPACE_TO_BATCH_ND",
        options: 25,
        lower: |_| Ok(Box::new(Batch { split: true })),
        kinds: Kind::NUMBERS,
        attributes: &[],
    },
    Entry {
        name: "BATCH_TO_SPACE_ND",
        options: 24,
        lower: |_| Ok(Box::new(Batch { split: false })),
        kinds: Kind::NUMBERS,
        attributes: &[],
    },
];

/// `[n, h * block, w * block, c]` to `[n, h, w, block * block * c]`, or back.
#[derive(Debug)]
pub(super) struct Depth {
    pub(super) block: usize,
    pub(super) deepen: bool,
}

/// Every `block[i]`-th element of a spatial axis to an image of its own, `[block…, n]` in the batch, or
/// back; padded before, or cropped afterwards. Block and amounts are the constant second and third
/// inputs.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) split: bool,
}

fn block(size: i32) -> Result<usize, Refusal> {
    let size = usize::try_from(size).ok().filter(|&size| size > 0);
    size.ok_or_else(|| malformed("a block size that is not positive"))
}

impl Operator for Depth {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let [n, h, w, c] = nhwc(site.input(0)?, "the input")?;
        let b = self.block;
        let wrong = || malformed(format!("blocks of {b} in {:?}", [n, h, w, c]));
        let area = b.checked_mul(b).ok_or_else(wrong)?;
        let shape = if self.deepen {
            let whole = h.is_multiple_of(b) && w.is_multiple_of(b);
            let depth = c.checked_mul(area).filter(|_| whole).ok_or_else(wrong)?;
            vec![n, h / b, w / b, depth]
        } else {
            let sides = h.checked_mul(b).zip(w.checked_mul(b)).filter(|_| c.is_multiple_of(area));
            let (h, w) = sides.ok_or_else(wrong)?;
            vec![n, h, w, c / area]
        };
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        same_meaning(x, y)?;
        let (wide, deep) = if self.deepen { (x, y) } else { (y, x) };
        let [n, h, w, _] = nhwc(deep, "the deep side")?;
        let (b, c) = (self.block, nhwc(wide, "the wide side")?[3]);
        // As [n, h, row of the block, w, column of the block, c].
        let shape = vec![n, h, b, w, b, c];
        let own = End::dense(&[n, h, w, b, b, c]).strides;
        let strides = [0, 1, 3, 2, 4, 5].map(|axis| own[axis]).to_vec();
        let (wide, deep) = (End::dense(&shape), End { start: 0, strides });
        let (from, to) = if self.deepen { (wide, deep) } else { (deep, wide) };
        moved(site, None, vec![Move::new(shape, from, to)])
    }
}

/// The spatial axes of a batch operator: block, and what is added before and after.
type Spatial = Vec<(usize, [usize; 2])>;

impl Batch {
    fn spatial(site: &Site<'_>) -> Result<Spatial, Refusal> {
        let rank = site.input(0)?.shape.len();
        let (blocks, amounts) = (site.integers(1)?, site.integers(2)?);
        let wrong = || malformed(format!("blocks {blocks:?}, amounts {amounts:?}, {rank} axes"));
        if blocks.len() + 1 > rank || amounts.len() != 2 * blocks.len() {
            return Err(wrong());
        }
        let size = |size: i64| usize::try_from(size).ok().filter(|&size| size < 1 << 28);
        let axis = |(&block, amount): (&i64, &[i64])| {
            let block = size(block).filter(|&block| block > 0)?;
            Some((block, [size(amount[0])?, size(amount[1])?]))
        };
        let axes = blocks.iter().zip(amounts.chunks_exact(2));
        axes.map(axis).collect::<Option<_>>().ok_or_else(wrong)
    }
}

impl Operator for Batch {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let spatial = Self::spatial(site)?;
        let mut shape = site.input(0)?.shape.clone();
        let wrong =
            || malformed(format!("{:?} and blocks {spatial:?}", site.input(0).map(|x| &x.shape)));
        let images = spatial.iter().try_fold(1usize, |n, (block, _)| n.checked_mul(*block));
        let images = images.ok_or_else(wrong)?;
        let fits = if self.split {
            shape[0] = shape[0].checked_mul(images).ok_or_else(wrong)?;
            shape[1..].iter_mut().zip(&spatial).all(|(len, (block, [before, after]))| {
                let padded = *len + before + after;
                *len = padded / block;
                padded.is_multiple_of(*block)
            })
        } else {
            let whole = shape[0].is_multiple_of(images);
            shape[0] /= images;
            whole
                && shape[1..].iter_mut().zip(&spatial).all(|(len, (block, [before, after]))| {
                    let cropped =
                        len.checked_mul(*block).and_then(|n| n.checked_sub(before + after));
                    *len = cropped.unwrap_or(0);
                    cropped.is_some()
                })
        };
        if fits { Ok(vec![shape]) } else { Err(wrong()) }
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        same_meaning(x, y)?;
        let spatial = Self::spatial(site)?;
        let (whole, split) = if self.split { (x, y) } else { (y, x) };
        let images: usize = spatial.iter().map(|(block, _)| block).product();
        if whole.elements() == 0 || split.elements() == 0 {
            return Err(malformed("an empty tensor"));
        }
        site.budget.take_for::<(Move, [isize; 3 * RANK_MAX])>(images)?;
        let mut moves = Vec::with_capacity(images);
        for image in 0..images {
            let (mut from, mut to) = (End::dense(&whole.shape), End::dense(&split.shape));
            let mut shape = whole.shape.clone();
            to.skip(0, image * whole.shape[0]);
            let mut rest = image;
            for (i, &(block, [before, _])) in spatial.iter().enumerate().rev() {
                let (axis, offset) = (i + 1, rest % block);
                rest /= block;
                // Element k of this image is element k * block + offset - before of the whole axis.
                let first = before.saturating_sub(offset).div_ceil(block);
                let place = first * block + offset - before;
                shape[axis] = whole.shape[axis].saturating_sub(place).div_ceil(block);
                from.skip(axis, place);
                from.strides[axis] *= block as isize;
                to.skip(axis, first);
            }
            let (from, to) = if self.split { (from, to) } else { (to, from) };
            moves.push(Move::new(shape, from, to));
        }
        let padded = spatial.iter().any(|(_, amounts)| *amounts != [0, 0]);
        moved(site, (self.split && padded).then(|| zero(y)), moves)
    }
}
