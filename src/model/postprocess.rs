//! `[postprocess]`: how a model's outputs become findings. What tasks compute is in `crate::postprocess`; each has a file
//! of its name on both sides.

mod action;
mod anomaly;
mod classification;
mod cluster;
mod detection;
mod keypoints;
mod regression;
mod segmentation;

mod vector;

use serde::Deserialize;

use super::manifest::{BadKey, ManifestError, wrong};
use crate::data::TensorSpec;
pub use action::Action;
pub use anomaly::{Adapt, Anomaly, Score};
pub use classification::{Classification, Thresholds};
pub use cluster::Cluster;
pub use detection::{Detection, DetectionLayout};
pub use keypoints::{Keypoints, PointOrder};
pub use regression::Regression;
pub use segmentation::{Mask, Segmentation};
pub use vector::Vector;

/// How outputs become findings.
#[derive(Clone, Debug, PartialEq)]
pub struct Postprocess {
    /// Index of the output tensor that is read, for tasks that read one.
    pub output: usize,
    /// The task with its settings.
    pub kind: PostprocessKind,
}

/// A task: its settings.
trait Settings {
    /// Checks them for a model with these `outputs`, of which `output` is read, and these `labels`.
    fn fit(&self, output: usize, outputs: &[TensorSpec], labels: &[String]) -> Result<(), BadKey>;
}

macro_rules! tasks {
    ($($(#[$doc:meta])* $kind:ident = $word:literal;)*) => {
        /// The task of a model. A new one is a line here, its settings in a file beside this one and what it computes in
        /// `crate::postprocess`.
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(tag = "kind")]
        pub enum PostprocessKind {
            $($(#[$doc])* #[serde(rename = $word)] $kind($kind),)*
        }

        impl PostprocessKind {
            /// As the manifest writes it.
            pub fn as_str(&self) -> &'static str {
                match self { $(Self::$kind(_) => $word,)* }
            }

            fn settings(&self) -> &dyn Settings {
                match self { $(Self::$kind(settings) => settings,)* }
            }
        }
    };
}

tasks! {
    /// One label of several.
    Classification = "classification";
    /// A number.
    Regression = "regression";
    /// A distance from normal.
    Anomaly = "anomaly";
    /// What a policy would do.
    Action = "action";
    /// A group that the window belongs to.
    Cluster = "cluster";
    /// The numbers themselves.
    Vector = "vector";
    /// Objects with their boxes.
    Detection = "detection";
    /// Named points.
    Keypoints = "keypoints";
    /// How much each class covers.
    Segmentation = "segmentation";
}

/// `[postprocess]` as it is written.
#[derive(Deserialize)]
pub(super) struct Raw {
    output: Option<String>,
    #[serde(flatten)]
    kind: PostprocessKind,
}

impl Raw {
    pub(super) fn checked(
        self,
        outputs: &[TensorSpec],
        labels: &[String],
    ) -> Result<Postprocess, ManifestError> {
        let Self { output, kind } = self;
        let output = match output {
            None => 0,
            Some(name) => match outputs.iter().position(|output| output.name == name) {
                Some(index) => index,
                None => {
                    let why = format!("no [[output]] is called {name:?}");
                    return wrong("postprocess.output", why);
                }
            },
        };
        match kind.settings().fit(output, outputs, labels) {
            Ok(()) => Ok(Postprocess { output, kind }),
            // Labels stand at the manifest's top.
            Err(BadKey { key: "labels", why }) => wrong("labels", why),
            Err(bad) => Err(bad.of("postprocess")),
        }
    }
}

fn within(key: &'static str, value: f32, low: f32, high: f32) -> Result<(), BadKey> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(BadKey::new(key, format!("must be {low}..={high}, is {value}")))
}

/// `output` has a number for each of `labels`, which are `what` it chooses from; without labels for as many as there are.
fn labelled(output: &TensorSpec, labels: &[String], what: &str) -> Result<(), BadKey> {
    let (name, count, found) = (&output.name, output.elements(), labels.len());
    if count == 0 {
        return Err(BadKey::new("output", format!("`{name}` has no {what} to choose from")));
    }
    if found != 0 && found != count {
        return Err(BadKey::new(
            "labels",
            format!("{found} labels for the {count} {what} of `{name}`"),
        ));
    }
    Ok(())
}

/// Windows in a row.
fn held(hold: u32) -> Result<(), BadKey> {
    match hold {
        0 => Err(BadKey::new("hold", "must be at least 1")),
        _ => Ok(()),
    }
}

fn one() -> u32 {
    1
}
