//! Steps that arrange columns and rows, and `project`, which mixes them.

use super::Transform;
use crate::model::{Difference, Lags, Layout, Project, Select};

/// A value of a new row: the row, counted from the one that it stands for, and the column.
type Place = (usize, usize);

/// Copies of values; `select` and `lags`.
pub(super) struct Copies {
    columns: usize,
    places: Vec<Place>,
}

impl Copies {
    pub(super) fn select(settings: &Select, given: &Layout) -> Self {
        let places = settings.places(given).into_iter().map(|column| (0, column)).collect();
        Self { columns: given.columns.len(), places }
    }

    pub(super) fn lags(settings: &Lags, given: &Layout) -> Self {
        let columns = given.columns.len();
        let most = settings.of.iter().copied().max().unwrap_or(0);
        let rows = settings.of.iter().flat_map(|lag| (0..columns).map(move |c| (most - lag, c)));
        Self { columns, places: rows.collect() }
    }
}

impl Transform for Copies {
    fn apply(&mut self, input: &[f32], output: &mut [f32]) {
        for (n, row) in output.chunks_exact_mut(self.places.len()).enumerate() {
            for (out, (later, column)) in row.iter_mut().zip(&self.places) {
                *out = input[(n + later) * self.columns + column];
            }
        }
    }
}

/// `difference`.
pub(super) struct Changes {
    columns: usize,
}

impl Changes {
    pub(super) fn new(_: &Difference, given: &Layout) -> Self {
        Self { columns: given.columns.len() }
    }
}

impl Transform for Changes {
    fn apply(&mut self, input: &[f32], output: &mut [f32]) {
        for ((out, before), after) in output.iter_mut().zip(input).zip(&input[self.columns..]) {
            *out = after - before;
        }
    }
}

/// `project`, summed in f64.
pub(super) struct Projector {
    mean: Vec<f32>,
    components: Vec<Vec<f32>>,
}

impl Projector {
    pub(super) fn new(settings: &Project) -> Self {
        let mean = settings.mean.values().to_vec();
        Self { mean, components: settings.components.clone() }
    }
}

impl Transform for Projector {
    fn apply(&mut self, input: &[f32], output: &mut [f32]) {
        let rows = input.chunks_exact(self.mean.len());
        for (row, out) in rows.zip(output.chunks_exact_mut(self.components.len())) {
            for (out, weights) in out.iter_mut().zip(&self.components) {
                let terms = row.iter().zip(&self.mean).zip(weights).map(|((x, mean), weight)| {
                    (f64::from(*x) - f64::from(*mean)) * f64::from(*weight)
                });
                *out = terms.sum::<f64>() as f32;
            }
        }
    }
}
