//! Diagonals of matrices.

use super::shared::moves::{End, Move, moved, nothing};
use super::{Compiled, Entry, Kind, Operator, Refusal, Site, malformed};
use crate::engine::native::graph::Shape;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "MATRIX_DIAG",
        options: 88,
        lower: |_| Ok(Box::new(Diagonal::Alone)),
        kinds: Kind::NUMBERS,
        attributes: &[],
    },
    Entry {
        name: "MATRIX_SET_DIAG",
        options: 90,
        lower: |_| Ok(Box::new(Diagonal::Over)),
        kinds: Kind::NUMBERS,
        attributes: &[],
    },
];

/// A diagonal `[…, n]`, and what is around it.
#[derive(Debug)]
pub(super) enum Diagonal {
    /// The first input among zeros, `[…, n, n]`.
    Alone,
    /// The second input over that of the first, `[…, rows, columns]`.
    Over,
}

impl Operator for Diagonal {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let mut shape = site.input(0)?.shape.clone();
        if let Self::Alone = self {
            let n = shape.last().copied().ok_or_else(|| malformed("the diagonal of a scalar"))?;
            shape.push(n);
        }
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let y = site.output()?;
        let input = match self {
            Self::Alone => 0,
            Self::Over => 1,
        };
        let line = &site.input(input)?.shape;
        let [outer @ .., rows, columns] = &y.shape[..] else {
            return Err(malformed(format!("the diagonal of {:?}", y.shape)));
        };
        if *line != [outer, &[*rows.min(columns)]].concat() {
            return Err(malformed(format!("a diagonal of {line:?} in {:?}", y.shape)));
        }
        let mut to = End::dense(&y.shape);
        // One further right and one further down.
        let right = to.strides.pop().unwrap_or(1);
        if let Some(down) = to.strides.last_mut() {
            *down = down.saturating_add(right);
        }
        let diagonal = Move { input, ..Move::new(line.clone(), End::dense(line), to) };
        match self {
            Self::Alone => moved(site, Some(nothing(y)), vec![diagonal]),
            Self::Over => {
                let whole = || End::dense(&y.shape);
                let under = Move::new(y.shape.clone(), whole(), whole());
                moved(site, None, vec![under, diagonal])
            }
        }
    }
}
