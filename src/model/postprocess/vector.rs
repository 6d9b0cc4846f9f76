//! `vector`: the numbers themselves, as of an embedding or a reduction to fewer dimensions.

use serde::Deserialize;

use super::{BadKey, Settings};
use crate::data::TensorSpec;

/// More numbers than this are no summary of a window.
const VALUES_MAX: usize = 2048;

/// Settings of a vector.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// Whether it is scaled to length 1.
    #[serde(default)]
    pub normalize: bool,
}

impl Settings for Vector {
    fn fit(&self, output: usize, outputs: &[TensorSpec], labels: &[String]) -> Result<(), BadKey> {
        let (name, count) = (&outputs[output].name, outputs[output].elements());
        if count > VALUES_MAX {
            let why = format!("`{name}` has {count} values; {VALUES_MAX} at most are sent");
            return Err(BadKey::new("output", why));
        }
        if !labels.is_empty() {
            return Err(BadKey::new("labels", "a vector has none; remove them"));
        }
        Ok(())
    }
}
