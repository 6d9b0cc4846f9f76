//! `manifest.toml`: what a bundle says of its model. Parsed strictly; nothing is checked again later.

use serde::Deserialize;

use super::postprocess::{self, Anomaly, Postprocess, PostprocessKind, Score};
use super::recipe::{self, ELEMENTS_MAX, Recipe};
use super::update_limits::{self, UpdateLimits};
use crate::data::{DType, Quantization, TensorSpec};

/// Longest name of a model file: what a header of the archive has room for.
const FILE_NAME_MAX: usize = 100;

/// The manifest, with only valid values.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// `[a-z0-9][a-z0-9_-]{0,63}`.
    pub name: String,
    /// The model's own version.
    pub version: semver::Version,
    /// One sentence for people.
    pub description: String,
    /// SPDX expression.
    pub license: String,
    /// Where the training data come from.
    pub origin: String,
    /// The oldest edgerun that can run it.
    pub edgerun: semver::Version,
    /// Architectures that it was compiled for, as in `aarch64`; empty for any.
    pub targets: Vec<String>,
    /// File name beside the manifest.
    pub model: String,
    /// Class names, by index; empty where there are no classes.
    pub labels: Vec<String>,
    /// The model's inputs, in its order.
    pub inputs: Vec<TensorSpec>,
    /// The model's outputs, in its order.
    pub outputs: Vec<TensorSpec>,
    /// Sensor-side rows to input tensor.
    pub recipe: Recipe,
    /// Output tensors to findings.
    pub postprocess: Postprocess,
    /// How exactly `golden.npz` must be met.
    pub golden: Golden,
    /// What it must keep to beside the version that serves.
    pub update: UpdateLimits,
}

/// How exactly the golden outputs must be met.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Integer outputs: units. Float outputs: `|a - b| <= tolerance * max(1, |b|)`.
    pub tolerance: f32,
}

/// Why a manifest is refused; the message names line or key.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say all
pub enum ManifestError {
    #[error("not UTF-8 text")]
    NotUtf8,
    #[error("{}", .0.to_string().trim_end())]
    Toml(#[from] toml::de::Error),
    #[error("{key}: {why}")]
    Value { key: String, why: String },
}

/// What is wrong with a part of the manifest: its key there, empty for the part as a whole, and why.
#[derive(Debug, PartialEq)]
pub(super) struct BadKey {
    pub(super) key: &'static str,
    pub(super) why: String,
}

impl BadKey {
    pub(super) fn new(key: &'static str, why: impl Into<String>) -> Self {
        Self { key, why: why.into() }
    }

    /// As the error of the manifest, of its part `of`.
    pub(super) fn of(self, of: &str) -> ManifestError {
        let dot = if self.key.is_empty() { "" } else { "." };
        ManifestError::Value { key: format!("{of}{dot}{}", self.key), why: self.why }
    }
}

mod raw {
    use super::{Golden, postprocess, recipe, update_limits};
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Manifest {
        pub name: String,
        pub version: semver::Version,
        #[serde(default)]
        pub description: String,
        #[serde(default)]
        pub license: String,
        #[serde(default)]
        pub origin: String,
        pub edgerun: semver::Version,
        #[serde(default)]
        pub targets: Vec<String>,
        pub model: String,
        #[serde(default)]
        pub labels: Vec<String>,
        pub input: Vec<Tensor>,
        pub output: Vec<Tensor>,
        pub preprocess: recipe::Raw,
        pub postprocess: postprocess::Raw,
        pub golden: Option<Golden>,
        pub update: Option<update_limits::Raw>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Tensor {
        pub name: String,
        pub dtype: String,
        pub shape: Vec<usize>,
        pub quantization: Option<Quantization>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Quantization {
        pub scale: f32,
        pub zero_point: i32,
    }
}

impl Manifest {
    /// The shape of each input of the model, in the model's order.
    pub fn input_shapes(&self) -> Vec<Vec<usize>> {
        self.inputs.iter().map(|spec| spec.shape.clone()).collect()
    }

    /// Whether it is for machines like this one.
    ///
    /// # Errors
    /// Says for which it is.
    pub fn runs_here(&self) -> Result<(), String> {
        let here = std::env::consts::ARCH;
        if self.targets.is_empty() || self.targets.iter().any(|target| target == here) {
            return Ok(());
        }
        Err(format!(
            "model {} is for {}, this machine is {here}",
            self.name,
            self.targets.join(" or ")
        ))
    }

    /// Whether `name` may be a model's: 1 to 64 of a-z, 0-9, `_` and `-`, a letter or digit first.
    pub fn is_name(name: &str) -> bool {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        begins && name.len() <= 64 && name.chars().all(good)
    }

    /// Parses and checks the text of a `manifest.toml`.
    ///
    /// # Errors
    /// With the line for TOML mistakes and unknown keys, with the key for wrong values.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let raw: raw::Manifest = toml::from_str(text)?;
        let inputs = tensors("input", raw.input)?;
        let outputs = tensors("output", raw.output)?;
        let recipe = raw.preprocess.checked(&inputs)?;
        let postprocess = raw.postprocess.checked(&outputs, &raw.labels)?;
        if let (Some(_), PostprocessKind::Anomaly(Anomaly { score: Score::Mse, .. })) =
            (&recipe.picture, &postprocess.kind)
        {
            let why =
                "\"mse\" compares rows; a model of pictures gives its score itself: \"output\"";
            return wrong("postprocess.score", why.into());
        }
        check_name(&raw.name)?;
        check_file_name(&raw.model)?;
        let running: semver::Version =
            env!("CARGO_PKG_VERSION").parse().expect("cargo's version is semver");
        if raw.edgerun > running {
            let wanted = raw.edgerun;
            return wrong("edgerun", format!("needs edgerun {wanted} or newer, this is {running}"));
        }
        let word = |word: &String| {
            (1..=64).contains(&word.len())
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if raw.targets.len() > 16 || !raw.targets.iter().all(word) {
            let why = "names at most 16 architectures, as in [\"aarch64\"]";
            return wrong("targets", why.into());
        }
        let golden = raw.golden.unwrap_or(Golden { tolerance: 0.0 });
        if !(golden.tolerance >= 0.0 && golden.tolerance.is_finite()) {
            return wrong("golden.tolerance", "must be 0 or above".into());
        }
        let update = raw.update.map_or(Ok(UpdateLimits::default()), UpdateLimits::checked)?;
        Ok(Self {
            name: raw.name,
            version: raw.version,
            description: raw.description,
            license: raw.license,
            origin: raw.origin,
            edgerun: raw.edgerun,
            targets: raw.targets,
            model: raw.model,
            labels: raw.labels,
            inputs,
            outputs,
            recipe,
            postprocess,
            golden,
            update,
        })
    }
}

pub(super) fn wrong<T>(key: impl Into<String>, why: String) -> Result<T, ManifestError> {
    Err(ManifestError::Value { key: key.into(), why })
}

pub(super) fn check_name(name: &str) -> Result<(), ManifestError> {
    if Manifest::is_name(name) {
        return Ok(());
    }
    wrong("name", format!("{name:?} is not 1 to 64 of a-z, 0-9, `_` and `-`"))
}

/// A model's file lies beside its manifest: anything that could lead elsewhere is refused.
fn check_file_name(name: &str) -> Result<(), ManifestError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let taken = ["manifest.toml", "golden.npz", "metrics.json"].contains(&name);
    if !name.is_empty()
        && name.len() <= FILE_NAME_MAX
        && !name.starts_with('.')
        && name.chars().all(good)
        && !taken
    {
        return Ok(());
    }
    wrong("model", format!("{name:?} is not a plain file name beside the manifest"))
}

fn tensors(side: &str, raw: Vec<raw::Tensor>) -> Result<Vec<TensorSpec>, ManifestError> {
    if raw.is_empty() {
        return wrong(side, "at least one is needed".into());
    }
    let each = |(index, tensor): (usize, raw::Tensor)| {
        let key = |name: &str| format!("{side}[{index}].{name}");
        let Some(dtype) = DType::from_name(&tensor.dtype) else {
            return wrong(
                key("dtype"),
                format!("{:?} is not a type such as \"int8\"", tensor.dtype),
            );
        };
        let elements = tensor.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if !elements.is_some_and(|n| (1..=ELEMENTS_MAX).contains(&n)) {
            return wrong(key("shape"), format!("{:?} is empty or too large", tensor.shape));
        }
        let quantization = match tensor.quantization {
            Some(q) if !(q.scale > 0.0 && q.scale.is_finite()) => {
                return wrong(key("quantization.scale"), "must be above 0".into());
            }
            q => q.map(|q| Quantization { scale: q.scale, zero_point: q.zero_point }),
        };
        Ok(TensorSpec { name: tensor.name, dtype, shape: tensor.shape, quantization })
    };
    raw.into_iter().enumerate().map(each).collect()
}
