//! `classification`: one label of several.

use serde::Deserialize;

use super::{BadKey, Settings, held, labelled, one, within};
use crate::data::TensorSpec;

/// Settings of a classification.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// Below it there is no label; 0 to 1.
    #[serde(default)]
    pub threshold: Thresholds,
    /// The current label is kept down to `threshold - hysteresis`.
    #[serde(default)]
    pub hysteresis: f32,
    /// Windows in a row that a new label must win.
    #[serde(default = "one")]
    pub hold: u32,
    /// How many of the highest scores are published.
    #[serde(default = "three")]
    pub top: usize,
    /// Windows whose scores are averaged, this one and those before; 1 to 1000.
    #[serde(default = "one")]
    pub smooth: u32,
    /// Windows that a new label is kept at least, whatever the scores are.
    #[serde(default = "one")]
    pub keep: u32,
    /// Labels that mean that there is nothing: none of them ever is the label.
    #[serde(default)]
    pub background: Vec<String>,
}

/// One threshold for all labels, or one for each.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Thresholds {
    /// For all.
    One(f32),
    /// By the labels' index.
    Each(Vec<f32>),
}

impl Thresholds {
    /// That of the label with this index.
    pub fn of(&self, label: usize) -> f32 {
        match self {
            Self::One(threshold) => *threshold,
            Self::Each(each) => each.get(label).copied().unwrap_or(f32::INFINITY),
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self::One(0.0)
    }
}

/// Most windows that scores are averaged over.
const SMOOTH_MAX: u32 = 1000;

fn three() -> usize {
    3
}

impl Settings for Classification {
    fn fit(&self, output: usize, outputs: &[TensorSpec], labels: &[String]) -> Result<(), BadKey> {
        let classes = outputs[output].elements();
        match &self.threshold {
            Thresholds::One(threshold) => within("threshold", *threshold, 0.0, 1.0)?,
            Thresholds::Each(each) if each.len() != classes => {
                let why = format!("{} thresholds for {classes} classes", each.len());
                return Err(BadKey::new("threshold", why));
            }
            Thresholds::Each(each) => {
                each.iter().try_for_each(|&each| within("threshold", each, 0.0, 1.0))?;
            }
        }
        within("hysteresis", self.hysteresis, 0.0, 1.0)?;
        held(self.hold)?;
        if !(1..=SMOOTH_MAX).contains(&self.smooth) {
            let why = format!("must be 1..={SMOOTH_MAX} windows, is {}", self.smooth);
            return Err(BadKey::new("smooth", why));
        }
        if self.keep == 0 {
            return Err(BadKey::new("keep", "must be at least 1"));
        }
        if let Some(unknown) = self.background.iter().find(|label| !labels.contains(label)) {
            return Err(BadKey::new("background", format!("no label is called {unknown:?}")));
        }
        if (0..classes).all(|class| labels.get(class).is_some_and(|l| self.background.contains(l)))
        {
            return Err(BadKey::new("background", "leaves no label that could be found"));
        }
        labelled(&outputs[output], labels, "classes")
    }
}
