//! Numbers of a step: one for all columns, or one for each.

use serde::Deserialize;

use super::{BadKey, Layout};

/// One finite number for each column.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Written")]
pub struct PerColumn(Vec<f32>, Spread);

/// How it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spread {
    One,
    Each,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(f32),
    Each(Vec<f32>),
}

impl From<Written> for PerColumn {
    fn from(written: Written) -> Self {
        match written {
            Written::One(value) => Self(vec![value], Spread::One),
            Written::Each(values) => Self(values, Spread::Each),
        }
    }
}

impl Default for PerColumn {
    fn default() -> Self {
        Self::all(0.0)
    }
}

impl PerColumn {
    /// The same for all columns.
    pub fn all(value: f32) -> Self {
        Self(vec![value], Spread::One)
    }

    /// One for each column.
    pub fn each(values: Vec<f32>) -> Self {
        Self(values, Spread::Each)
    }

    /// In the order of the columns; a step of a [`super::Recipe`] has as many as its layout.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// As many as `layout` has columns, each finite.
    pub(super) fn fit(&mut self, key: &'static str, layout: &Layout) -> Result<(), BadKey> {
        let count = layout.columns.len();
        if self.1 == Spread::One {
            let value = self.0.first().copied().unwrap_or(0.0);
            *self = Self(vec![value; count], Spread::One);
        }
        if self.0.len() != count {
            return Err(BadKey::new(key, format!("{} values for {count} channels", self.0.len())));
        }
        match self.0.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(BadKey::new(key, format!("{value} is not a finite number"))),
            None => Ok(()),
        }
    }
}
