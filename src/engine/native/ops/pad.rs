//! Padding with real zeros, a value, or the tensor's own reflection.

use super::shared::moves::{End, Move, moved, same_meaning, same_meaning8, same_type, zero};
use super::{
    Border, Compiled, Entry, Kernel, Kind, Operator, Refusal, Role, Site, Step, malformed,
};
use crate::engine::native::graph::{Shape, width};
use crate::engine::native::limits::RANK_MAX;
use crate::engine::native::memory::Memory;
use crate::engine::native::ops::shared::walk::dense;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "PAD",
        options: 22,
        lower: |_| Ok(Box::new(Pad)),
        kinds: Kind::NUMBERS,
        attributes: &[],
    },
    Entry {
        name: "PADV2",
        options: 43,
        lower: |_| Ok(Box::new(Pad)),
        kinds: Kind::NUMBERS,
        attributes: &[],
    },
    Entry {
        name: "MIRROR_PAD",
        options: 77,
        // MirrorPadOptions: mode.
        lower: |options| match options.byte(0, 0)? {
            0 => Ok(Box::new(MirrorPad { edge: false })),
            1 => Ok(Box::new(MirrorPad { edge: true })),
            other => Err(malformed(format!("mode {other}"))),
        },
        kinds: Kind::NUMBERS,
        attributes: &[("mode", &["REFLECT", "SYMMETRIC"])],
    },
];

/// Amounts `[rank, 2]` in the constant second input, filled with the third input, or with real 0
/// without one.
#[derive(Debug)]
pub(super) struct Pad;

/// Amounts `[rank, 2]` in the constant second input; what lies inside is seen in a mirror at each edge.
#[derive(Debug)]
pub(super) struct MirrorPad {
    /// The outermost element is in the mirror, too: SYMMETRIC.
    pub(super) edge: bool,
}

/// How much goes before and after along each axis.
fn amounts(site: &Site<'_>) -> Result<Vec<[usize; 2]>, Refusal> {
    let rank = site.input(0)?.shape.len();
    let amounts = site.integers(1)?;
    let wrong = || malformed(format!("amounts {amounts:?} for {rank} dimensions"));
    if amounts.len() != 2 * rank {
        return Err(wrong());
    }
    let amount = |amount: i64| usize::try_from(amount).ok().filter(|&amount| amount < 1 << 28);
    let pair = |pair: &[i64]| amount(pair[0]).zip(amount(pair[1])).map(|(a, b)| [a, b]);
    amounts.chunks_exact(2).map(|both| pair(both).ok_or_else(wrong)).collect()
}

fn padded(site: &Site<'_>) -> Result<Shape, Refusal> {
    let axes = site.input(0)?.shape.iter().zip(amounts(site)?);
    Ok(axes.map(|(&len, [before, after])| before + len + after).collect())
}

impl Operator for Pad {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![padded(site)?])
    }

    fn role(&self, site: &Site<'_>) -> Role {
        match (amounts(site).as_deref(), site.optional(2)) {
            (Ok(&[[0, 0], [top, bottom], [left, right], [0, 0]]), None) => {
                Role::Border(Border { before: [top, left], after: [bottom, right] })
            }
            _ => Role::Other,
        }
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let mut to = End::dense(&y.shape);
        for (axis, [before, _]) in amounts(site)?.into_iter().enumerate() {
            to.skip(axis, before);
        }
        let inside = Move::new(x.shape.clone(), End::dense(&x.shape), to);
        let Some(value) = site.optional(2) else {
            same_meaning8(x, y)?;
            return moved(site, (x.shape != y.shape).then(|| zero(y)), vec![inside]);
        };
        if value.elements() != 1 {
            return Err(malformed(format!("{} values to pad with", value.elements())));
        }
        let from = End { start: 0, strides: vec![0; y.shape.len()] };
        let around = Move::new(y.shape.clone(), from, End::dense(&y.shape));
        let around = Move { input: 2, ..around };
        moved(site, None, if x.shape == y.shape { vec![inside] } else { vec![around, inside] })
    }
}

impl Operator for MirrorPad {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        Ok(vec![padded(site)?])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        same_type(x, y)?;
        same_meaning(x, y)?;
        let mut sources = Vec::with_capacity(x.shape.len());
        for ((&len, [before, after]), stride) in
            x.shape.iter().zip(amounts(site)?).zip(dense(&x.shape))
        {
            let most = if self.edge { len } else { len.saturating_sub(1) };
            if len == 0 || before > most || after > most {
                return Err(malformed(format!("{before} and {after} mirrored around {len}")));
            }
            let skip = usize::from(!self.edge);
            site.budget.take_for::<usize>(before + len + after)?;
            let before = (0..before).rev().map(|i| i + skip);
            let after = (0..after).map(|i| len - 1 - skip - i);
            let places = before.chain(0..len).chain(after);
            sources.push(places.map(|place| place * stride).collect());
        }
        let width = width(x.dtype).unwrap_or(1);
        Ok(Step::new(MirrorKernel { width, sources }, y.elements()).into())
    }
}

/// Each element of the output is that of the input where its axes' sources add up to.
#[derive(Debug)]
struct MirrorKernel {
    width: usize,
    sources: Vec<Vec<usize>>,
}

impl MirrorKernel {
    fn of<const W: usize>(&self, memory: &mut Memory<'_>) {
        let (x, y) = memory.pair(0, 0);
        let (x, y) = (x.as_chunks::<W>().0, y.as_chunks_mut::<W>().0);
        let Some((row, outer)) = self.sources.split_last() else {
            return y.copy_from_slice(x);
        };
        let mut at = [0; RANK_MAX];
        for y in y.chunks_exact_mut(row.len()) {
            let first: usize = outer.iter().zip(at).map(|(source, at)| source[at]).sum();
            for (y, place) in y.iter_mut().zip(row) {
                *y = x[first + place];
            }
            for (source, at) in outer.iter().zip(&mut at).rev() {
                *at += 1;
                if *at < source.len() {
                    break;
                }
                *at = 0;
            }
        }
    }
}

impl Kernel for MirrorKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        match self.width {
            1 => self.of::<1>(memory),
            2 => self.of::<2>(memory),
            4 => self.of::<4>(memory),
            _ => self.of::<8>(memory),
        }
    }
}
