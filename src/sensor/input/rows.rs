//! Rows that others push: bounded, the network fills it, a sensor empties it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use super::json;
use super::stream::Source;
use crate::sensor::SensorError;

/// Clones share the rows.
#[derive(Clone, Debug)]
pub struct Rows(Arc<Shared>);

struct Shared {
    names: Vec<String>,
    capacity: usize,
    /// Whether somebody takes rows.
    fed: AtomicBool,
    state: Mutex<State>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("names", &self.names).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    /// Row-major; NaN is a missing value.
    values: Vec<f32>,
    /// Rows that there was no room for.
    refused: u64,
}

/// Why rows were not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// They are no rows of this sensor; a sentence for whoever sent them.
    Bad(String),
    /// There is no room until the sensor has taken what waits.
    Full,
}

impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Rows {
    /// Room for `capacity` rows, one value for each of `names`.
    pub fn new(names: Vec<String>, capacity: usize) -> Self {
        Self(Arc::new(Shared {
            names,
            capacity,
            fed: AtomicBool::new(false),
            state: Mutex::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody takes rows from now on.
    pub fn feed(&self) {
        self.0.fed.store(true, Ordering::Release);
    }

    pub(super) fn is_fed(&self) -> bool {
        self.0.fed.load(Ordering::Acquire)
    }

    /// Rows that there was no room for, since the start.
    pub fn refused(&self) -> u64 {
        self.state().refused
    }

    /// Takes the rows in a text of JSON, all or none, and says how many: an object with a number for each channel by its
    /// name, or a list of such objects, or a list of lists in the channels' order. `null`, and a name that is not there,
    /// is a missing value.
    ///
    /// # Errors
    /// Says what is wrong with it, or that there is no room.
    pub fn push(&self, text: &[u8]) -> Result<usize, NotTaken> {
        let value: Value = serde_json::from_slice(text)
            .map_err(|error| NotTaken::Bad(format!("not JSON: {error}")))?;
        let mut values = Vec::new();
        self.read(&value, &mut values).map_err(NotTaken::Bad)?;
        let (width, mut state) = (self.0.names.len().max(1), self.state());
        let (new, waiting) = (values.len() / width, state.values.len() / width);
        if new > self.0.capacity {
            let most = self.0.capacity;
            return Err(NotTaken::Bad(format!("{new} rows at once; {most} at most")));
        }
        if waiting + new > self.0.capacity {
            state.refused += new as u64;
            return Err(NotTaken::Full);
        }
        state.values.extend(values);
        Ok(new)
    }

    fn read(&self, value: &Value, values: &mut Vec<f32>) -> Result<(), String> {
        let names = &self.0.names;
        match value {
            Value::Object(row) => self.object(row, values),
            Value::Array(rows) if rows.is_empty() => Err("there are no rows in it".to_owned()),
            Value::Array(rows) => rows.iter().enumerate().try_for_each(|(index, row)| {
                let read = match row {
                    Value::Object(row) => self.object(row, values),
                    Value::Array(row) if row.len() == names.len() => {
                        row.iter().try_for_each(|value| {
                            values.push(number(value)?);
                            Ok(())
                        })
                    }
                    _ => Err(format!(
                        "must be an object, or a list of {} numbers: {}",
                        names.len(),
                        names.join(", ")
                    )),
                };
                read.map_err(|why: String| format!("row {index}: {why}"))
            }),
            _ => Err("send an object, or a list of rows".to_owned()),
        }
    }

    fn object(&self, row: &Map<String, Value>, values: &mut Vec<f32>) -> Result<(), String> {
        let names = &self.0.names;
        if let Some(unknown) = row.keys().find(|key| !names.contains(key)) {
            let there = names.join(", ");
            let unknown: String = unknown.chars().take(64).collect();
            return Err(format!("there is no channel {unknown:?}; there are: {there}"));
        }
        for name in names {
            let value = row.get(name).unwrap_or(&Value::Null);
            values.push(number(value).map_err(|why| format!("{name}: {why}"))?);
        }
        Ok(())
    }
}

/// NaN for null.
fn number(value: &Value) -> Result<f32, String> {
    match value {
        Value::Null => Ok(f32::NAN),
        Value::Number(_) | Value::Bool(_) => {
            json::number(value).ok_or_else(|| "is too large a number".to_owned())
        }
        _ => Err("must be a number, or null for a missing one".to_owned()),
    }
}

impl Source for Rows {
    fn take(&mut self, _: Duration, out: &mut Vec<f32>) -> Result<(), SensorError> {
        out.append(&mut self.state().values);
        Ok(())
    }

    fn complaint(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(capacity: usize) -> Rows {
        Rows::new(vec!["a".to_owned(), "b".to_owned()], capacity)
    }

    fn taken(rows: &Rows) -> Vec<Option<f32>> {
        let mut out = Vec::new();
        rows.clone().take(Duration::ZERO, &mut out).unwrap();
        out.into_iter().map(|value| (!value.is_nan()).then_some(value)).collect()
    }

    #[test]
    fn one_row_or_many_by_name_or_in_order() {
        let rows = rows(10);
        assert_eq!(rows.push(br#"{"b":2,"a":1}"#), Ok(1));
        assert_eq!(rows.push(br#"[{"a":3},{"a":null,"b":4}]"#), Ok(2));
        assert_eq!(rows.push(b"[[5,6],[7,null]]"), Ok(2));
        let expected = [1, 2, 3, 0, 0, 4, 5, 6, 7, 0].map(|n| (n > 0).then_some(n as f32));
        assert_eq!(taken(&rows), expected);
        assert_eq!(taken(&rows), []);
    }

    #[test]
    fn what_is_no_row_is_refused_whole_and_says_where() {
        let rows = rows(10);
        for (text, expected) in [
            ("{", "not JSON: EOF while parsing an object at line 1 column 1"),
            ("3", "send an object, or a list of rows"),
            ("[]", "there are no rows in it"),
            ("{\"c\":1}", "there is no channel \"c\"; there are: a, b"),
            ("[[1,2],[3]]", "row 1: must be an object, or a list of 2 numbers: a, b"),
            ("[[1,\"2\"]]", "row 0: must be a number, or null for a missing one"),
            ("{\"a\":1e300}", "a: is too large a number"),
        ] {
            assert_eq!(rows.push(text.as_bytes()), Err(NotTaken::Bad(expected.to_owned())));
        }
        assert_eq!(taken(&rows), []);
    }

    #[test]
    fn a_full_sensor_takes_no_part_of_it_and_counts() {
        let rows = rows(3);
        assert_eq!(rows.push(b"[[1,1],[2,2]]"), Ok(2));
        assert_eq!(rows.push(b"[[3,3],[4,4]]"), Err(NotTaken::Full));
        assert_eq!(rows.refused(), 2);
        assert_eq!(rows.push(b"[[3,3]]"), Ok(1));
        assert!(matches!(rows.push(b"[[1,1],[1,1],[1,1],[1,1]]"), Err(NotTaken::Bad(_))));
    }
}
