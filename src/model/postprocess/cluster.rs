//! `cluster`: the group that a window is nearest to.

use serde::Deserialize;

use super::{BadKey, Settings, held, labelled, one, within};
use crate::data::TensorSpec;

/// Settings of a clustering; the output has a distance for each cluster.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// A window that is farther than this from every cluster is in none.
    pub limit: Option<f32>,
    /// Windows in a row before another cluster is told.
    #[serde(default = "one")]
    pub hold: u32,
}

impl Settings for Cluster {
    fn fit(&self, output: usize, outputs: &[TensorSpec], labels: &[String]) -> Result<(), BadKey> {
        if let Some(limit) = self.limit {
            within("limit", limit, 0.0, f32::MAX)?;
        }
        held(self.hold)?;
        labelled(&outputs[output], labels, "clusters")
    }
}
