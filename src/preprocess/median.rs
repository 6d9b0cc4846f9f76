//! `median` and `hampel`: what lies far from its neighbours.

use super::statistics::median;
use super::{InPlace, PreprocessError, copy_column};
use crate::model::{Hampel, Layout, Median};

/// Half of what a normal distribution's spread is in median distances: `1 / Φ⁻¹(3/4)`.
const SPREAD: f64 = 1.4826;

/// One column at a time, with the neighbours of a value.
struct Columns {
    columns: usize,
    half: usize,
    column: Vec<f32>,
    neighbours: Vec<f32>,
}

impl Columns {
    fn new(size: usize, given: &Layout) -> Self {
        Self {
            columns: given.columns.len(),
            half: size / 2,
            column: vec![0.0; given.rows],
            neighbours: Vec::with_capacity(size),
        }
    }

    /// Replaces each value of `rows` by what `f` makes of the column, its row and room for neighbours.
    fn each(&mut self, rows: &mut [f32], f: impl Fn(&[f32], usize, &mut Vec<f32>) -> f32) {
        for index in 0..self.columns {
            copy_column(rows, self.columns, index, &mut self.column);
            let values = rows.iter_mut().skip(index).step_by(self.columns);
            for (row, value) in values.enumerate() {
                *value = f(&self.column, row, &mut self.neighbours);
            }
        }
    }
}

/// As `scipy.ndimage.median_filter` with the mode "nearest".
pub(super) struct Middle(Columns);

impl Middle {
    pub(super) fn new(settings: &Median, given: &Layout) -> Self {
        Self(Columns::new(settings.size, given))
    }
}

impl InPlace for Middle {
    fn apply(&mut self, rows: &mut [f32]) -> Result<(), PreprocessError> {
        let half = self.0.half;
        self.0.each(rows, |column, row, neighbours| {
            let last = column.len() - 1;
            neighbours.clear();
            // What lies beyond the window is like its end.
            let places = row..=row + 2 * half;
            neighbours.extend(places.map(|at| column[at.saturating_sub(half).min(last)]));
            median(neighbours) as f32
        });
        Ok(())
    }
}

pub(super) struct Identifier {
    columns: Columns,
    sigmas: f64,
}

impl Identifier {
    pub(super) fn new(settings: &Hampel, given: &Layout) -> Self {
        let columns = Columns::new(settings.size, given);
        Self { columns, sigmas: f64::from(settings.sigmas) }
    }
}

impl InPlace for Identifier {
    fn apply(&mut self, rows: &mut [f32]) -> Result<(), PreprocessError> {
        let (half, sigmas) = (self.columns.half, self.sigmas);
        self.columns.each(rows, |column, row, neighbours| {
            let value = column[row];
            let around = &column[row.saturating_sub(half)..(row + half + 1).min(column.len())];
            neighbours.clear();
            neighbours.extend(around.iter().filter(|x| !x.is_nan()));
            let middle = median(neighbours);
            for x in neighbours.iter_mut() {
                *x = (f64::from(*x) - middle).abs() as f32;
            }
            let limit = sigmas * SPREAD * median(neighbours);
            if (f64::from(value) - middle).abs() > limit { middle as f32 } else { value }
        });
        Ok(())
    }
}
