//! A model bundle on disk: the manifest with recipe and labels, the model file, its golden vectors.
//!
//! Preprocessing travels with the model, so that what ran in training runs on the board. A bundle is one
//! file, `NAME-VERSION.edge`, or the folder that it was packed from.

pub mod archive;
mod digest;
mod manifest;
mod postprocess;
mod recipe;
pub mod release;
mod update_limits;

pub use archive::ArchiveError;
pub use digest::{Digest, NoDigest};
pub use manifest::{Golden, Manifest, ManifestError};
pub use postprocess::{
    Action, Adapt, Anomaly, Classification, Cluster, Detection, DetectionLayout, Keypoints, Mask,
    PointOrder, Postprocess, PostprocessKind, Regression, Score, Segmentation, Thresholds, Vector,
};
pub use recipe::{
    BandPower, Clip, Color, Cutoff, Dct, Detrend, Difference, DynamicRange, Features, Filter, Fit,
    Hampel, InputChannel, Lags, Layout, Like, Log, LogOf, Median, Mel, MicroFrontend, MinMax,
    Missing, MissingPolicy, Pass, PerColumn, PictureLayout, PictureRecipe, Preemphasis, Project,
    Reach, Recipe, Resample, Resize, Robust, Rounding, Scale, Scaling, Select, Shape,
    SpectralShape, Spectrogram, Spectrum, SpectrumOf, Standardise, Start, Statistic, Statistics,
    Step, Taper, Trend, Values, Welch,
};
pub use update_limits::{UpdateLimits, WINDOWS_MAX};

use std::path::{Path, PathBuf};

use crate::data::{Signature, TensorSpec};

/// Largest model file that is read: more does not fit a board's memory beside everything else.
pub const MODEL_BYTES_MAX: u64 = 512 << 20;
const MANIFEST_BYTES_MAX: u64 = 1 << 20;
const GOLDEN_BYTES_MAX: u64 = 64 << 20;
const METRICS_BYTES_MAX: u64 = 1 << 20;

/// A bundle that was read and whose manifest holds together; the model itself is not loaded yet.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// What `manifest.toml` says.
    pub manifest: Manifest,
    /// `manifest.toml` as it is written.
    pub text: String,
    /// The model file's bytes.
    pub model: Vec<u8>,
    /// `golden.npz`, where the bundle has one.
    pub golden: Option<Vec<u8>>,
    /// `metrics.json`, where the bundle has one.
    pub metrics: Option<Vec<u8>>,
    /// SHA-256 over the bundle file; a folder has that of the file it would be packed to.
    pub digest: Digest,
}

/// Why a bundle cannot be used; each names the file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say all
pub enum BundleError {
    #[error("{}: {source}: give the path of a bundle file (.edge) or folder with its manifest.toml", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {found} bytes, more than the {limit} that are read", path.display())]
    TooLarge { path: PathBuf, found: u64, limit: u64 },
    #[error("{}: {source}", path.display())]
    Manifest { path: PathBuf, source: ManifestError },
    #[error("{}: {source}", path.display())]
    Archive { path: PathBuf, source: ArchiveError },
    #[error("{name}: the manifest does not fit the model: {why}")]
    Mismatch { name: String, why: String },
}

impl Bundle {
    /// Reads the bundle file or folder at `path`.
    ///
    /// # Errors
    /// When a file is missing, too large or, for the manifest, wrong.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        // What is not there is meant as a folder, unless its name says otherwise.
        let is_file = path.is_file() || path.extension().is_some_and(|ending| ending == "edge");
        if !is_file {
            return Self::open_folder(path);
        }
        let file = std::fs::File::open(path)
            .map_err(|source| BundleError::Read { path: path.to_owned(), source })?;
        archive::read(&mut std::io::BufReader::new(file))
            .map_err(|source| BundleError::Archive { path: path.to_owned(), source })
    }

    fn open_folder(dir: &Path) -> Result<Self, BundleError> {
        let path = dir.join(archive::MANIFEST);
        let text = read(&path, MANIFEST_BYTES_MAX)?;
        let (text, manifest) = String::from_utf8(text)
            .map_err(|_| ManifestError::NotUtf8)
            .and_then(|text| Manifest::parse(&text).map(|manifest| (text, manifest)))
            .map_err(|source| BundleError::Manifest { path, source })?;
        let model = read(&dir.join(&manifest.model), MODEL_BYTES_MAX)?;
        let golden = read_if_there(&dir.join(archive::GOLDEN), GOLDEN_BYTES_MAX)?;
        let metrics = read_if_there(&dir.join(archive::METRICS), METRICS_BYTES_MAX)?;
        Ok(Self::from_parts(manifest, text, model, golden, metrics))
    }

    /// A bundle out of parts that are in memory already, as the demo's is.
    ///
    /// # Errors
    /// When the manifest is wrong.
    pub fn new(text: &str, model: Vec<u8>, golden: Option<Vec<u8>>) -> Result<Self, ManifestError> {
        Ok(Self::from_parts(Manifest::parse(text)?, text.to_owned(), model, golden, None))
    }

    fn from_parts(
        manifest: Manifest,
        text: String,
        model: Vec<u8>,
        golden: Option<Vec<u8>>,
        metrics: Option<Vec<u8>>,
    ) -> Self {
        let digest = Digest::new(&[0; 32]);
        let mut bundle = Self { manifest, text, model, golden, metrics, digest };
        bundle.digest = archive::digest(&bundle);
        bundle
    }

    /// Its files in the order of the archive.
    pub fn members(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let golden = self.golden.as_deref().map(|bytes| (archive::GOLDEN, bytes));
        let metrics = self.metrics.as_deref().map(|bytes| (archive::METRICS, bytes));
        [
            Some((archive::MANIFEST, self.text.as_bytes())),
            Some((self.manifest.model.as_str(), self.model.as_slice())),
            golden,
            metrics,
        ]
        .into_iter()
        .flatten()
    }

    /// `NAME-VERSION.edge`.
    pub fn file_name(&self) -> String {
        format!("{}-{}.edge", self.manifest.name, self.manifest.version)
    }

    /// Checks that the manifest describes this very model: names, types, shapes, quantization, and
    /// that the recipe's rows fill the input.
    ///
    /// # Errors
    /// Says what differs, in the manifest's own words.
    pub fn check(&self, signature: &Signature) -> Result<(), BundleError> {
        let manifest = &self.manifest;
        let wrong = |why| BundleError::Mismatch { name: manifest.name.clone(), why };
        let sides = [
            ("input", &manifest.inputs, &signature.inputs),
            ("output", &manifest.outputs, &signature.outputs),
        ];
        for (side, said, found) in sides {
            if said.len() != found.len() {
                let (said, found) = (said.len(), found.len());
                return Err(wrong(format!("it lists {said} {side}s, the model has {found}")));
            }
            for (said, found) in said.iter().zip(found) {
                if said != found {
                    return Err(wrong(format!(
                        "[[{side}]] says {}, the model has {}",
                        describe(said),
                        describe(found)
                    )));
                }
            }
        }
        let [input] = signature.inputs.as_slice() else {
            let found = signature.inputs.len();
            return Err(wrong(format!("a recipe fills one input, the model has {found}")));
        };
        let made = manifest.recipe.made();
        if manifest.recipe.picture.is_none() && made.elements() != input.elements() {
            return Err(wrong(format!(
                "the recipe gives {} frames of {} channels, the model's input `{}` is {:?}",
                made.rows,
                made.columns.len(),
                input.name,
                input.shape
            )));
        }
        Ok(())
    }
}

fn describe(spec: &TensorSpec) -> String {
    let quantized = spec
        .quantization
        .map(|q| format!(" with scale {} and zero point {}", q.scale, q.zero_point))
        .unwrap_or_default();
    format!("`{}` {} {:?}{quantized}", spec.name, spec.dtype, spec.shape)
}

/// As [`read`]; `None` where there is no such file.
fn read_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, BundleError> {
    match read(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(BundleError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Reads a whole file of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    use std::io::Read as _;
    let failed = |source| BundleError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(BundleError::TooLarge {
            path: path.to_owned(),
            found: bytes.len() as u64,
            limit,
        });
    }
    Ok(bytes)
}
