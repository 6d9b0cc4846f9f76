//! Steps that arrange: choose columns, put rows beside each other, join features to one row.

use serde::Deserialize;

use super::{BadKey, Layout, Reach, STEPS_MAX, Settings, Step};

/// These columns only, in this order.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Select {
    /// By name.
    pub columns: Vec<String>,
}

impl Select {
    /// Where they stand in `layout`.
    pub fn places(&self, layout: &Layout) -> Vec<usize> {
        let place = |name| layout.columns.iter().position(|column| column == name);
        self.columns.iter().filter_map(place).collect()
    }
}

/// Each row with earlier rows beside it; the first ones, which have none, are left out.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lags {
    /// How many rows back, in order; 0 is the row itself.
    pub of: Vec<usize>,
}

/// Each row less the one before; the first one is left out.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {}

/// What several steps make of the same rows, beside each other in one row.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    of: Vec<Step>,
    /// What each makes.
    #[serde(skip)]
    made: Vec<Layout>,
}

impl Features {
    /// The steps in order, each with what it makes.
    pub fn steps(&self) -> impl Iterator<Item = (&Step, &Layout)> {
        self.of.iter().zip(&self.made)
    }
}

impl Settings for Select {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        if let Some(other) = self.columns.iter().find(|name| !layout.columns.contains(name)) {
            let has =
                layout.columns.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(BadKey::new("columns", format!("there is no {other:?} among {has}")));
        }
        Ok(Layout { columns: self.columns.clone(), ..layout.clone() })
    }
}

impl Settings for Lags {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        let most = self.of.iter().copied().max().unwrap_or(usize::MAX);
        if most >= layout.rows || self.of.len() > 1024 {
            let why =
                format!("needs 1 to 1024 numbers below the {} rows that there are", layout.rows);
            return Err(BadKey::new("of", why));
        }
        let name = |lag, column: &str| match lag {
            0 => column.to_owned(),
            lag => format!("{column}[-{lag}]"),
        };
        let columns =
            self.of.iter().flat_map(|&lag| layout.columns.iter().map(move |c| name(lag, c)));
        Ok(Layout { rows: layout.rows - most, columns: columns.collect(), rate_hz: layout.rate_hz })
    }
}

impl Settings for Difference {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        if layout.rows < 2 {
            return Err(BadKey::new("", "needs two rows at least"));
        }
        let columns = layout.columns.iter().map(|column| format!("change({column})")).collect();
        Ok(Layout { rows: layout.rows - 1, columns, rate_hz: layout.rate_hz })
    }
}

impl Settings for Features {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        if self.of.is_empty() || self.of.len() > STEPS_MAX {
            return Err(BadKey::new("of", format!("names 1 to {STEPS_MAX} steps")));
        }
        let mut columns = Vec::new();
        self.made.clear();
        for step in &mut self.of {
            let what = step.as_str();
            let bad = |why: String| BadKey::new("of", format!("{what}: {why}"));
            let inside = !matches!(step, Step::Features(_) | Step::Missing(_));
            if step.reach() == Reach::Stream || !inside {
                return Err(bad("cannot stand here: put it before the features".into()));
            }
            let made =
                step.fit(layout).map_err(|BadKey { key, why }| bad(format!("{key} {why}")))?;
            if made.rows == 1 {
                columns.extend(made.columns.iter().cloned());
            } else {
                let each = |row: usize| made.columns.iter().map(move |c| format!("{c}[{row}]"));
                columns.extend((0..made.rows.min(super::COLUMNS_MAX + 1)).flat_map(each));
            }
            if columns.len() > super::COLUMNS_MAX {
                return Err(bad(format!("makes more than {} values", super::COLUMNS_MAX)));
            }
            self.made.push(made);
        }
        Ok(Layout { rows: 1, columns, rate_hz: None })
    }
}
