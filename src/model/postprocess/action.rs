//! `action`: what a policy would do, by the values of its actions.

use serde::Deserialize;

use super::{BadKey, Settings, held, labelled, one};
use crate::data::TensorSpec;

/// Settings of a policy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// Share of actions taken at random in training. A board takes none.
    #[serde(default)]
    pub epsilon: f32,
    /// Windows in a row before another action is taken.
    #[serde(default = "one")]
    pub hold: u32,
}

impl Settings for Action {
    fn fit(&self, output: usize, outputs: &[TensorSpec], labels: &[String]) -> Result<(), BadKey> {
        if self.epsilon != 0.0 {
            let why = format!(
                "is {}: a board explores nothing; a policy that needs chance is not for it",
                self.epsilon
            );
            return Err(BadKey::new("epsilon", why));
        }
        held(self.hold)?;
        labelled(&outputs[output], labels, "actions")
    }
}
