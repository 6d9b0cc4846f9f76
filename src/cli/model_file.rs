//! The FILE that `infer`, `inspect` and `bench` take: a model, or a bundle that holds one.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::logger;
use crate::engine::{self, Choice, LoadError, Model, Options, Threads};
use crate::model::release::hex;
use crate::model::{Bundle, Manifest, archive};

/// A model's bytes, and its manifest where it came with one.
pub(super) struct ModelFile {
    /// The model file itself.
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) bundle: Option<Bundle>,
}

impl ModelFile {
    /// Reads the model file `path`, or the one in the bundle file or folder `path`.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        if !path.is_dir() && !is_bundle_file(path) {
            let bytes = engine::read_file(path)?;
            return Ok(Self { path: path.into(), bytes, bundle: None });
        }
        let mut bundle = Bundle::open(path)?;
        let bytes = std::mem::take(&mut bundle.model);
        Ok(Self { path: path.join(&bundle.manifest.model), bytes, bundle: Some(bundle) })
    }

    /// Loads the model, and says so where it runs on fewer threads than `options` have.
    pub(super) fn load(&self, options: impl Into<Options>) -> Result<Box<dyn Model>, LoadError> {
        let options = options.into();
        let wanted = options.threads.count();
        let shapes = self.bundle.as_ref().map(|bundle| bundle.manifest.input_shapes());
        let shapes = shapes.unwrap_or_default();
        let model = engine::load_named(&self.path, &self.bytes, options, &shapes)?;
        if wanted > 1 {
            let report = model.report();
            if report.threads < wanted {
                logger::say(&format!("{} runs on {} thread", report.engine, report.threads));
            }
        }
        Ok(model)
    }

    /// Whether the manifest describes this very model.
    pub(super) fn check(&self, model: &dyn Model) -> anyhow::Result<()> {
        match &self.bundle {
            Some(bundle) => Ok(bundle.check(model.signature())?),
            None => Ok(()),
        }
    }

    pub(super) fn manifest(&self) -> Option<&Manifest> {
        self.bundle.as_ref().map(|bundle| &bundle.manifest)
    }

    /// SHA-256 over the model file, in hex.
    pub(super) fn digest(&self) -> String {
        hex(&Sha256::digest(&self.bytes))
    }
}

/// Told from the contents, as a model's format is; what cannot be read is no bundle.
fn is_bundle_file(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(512).read_to_end(&mut start));
    read.is_ok() && archive::looks_like(&start)
}

/// Which engine, and on how many threads.
#[derive(clap::Args)]
pub(crate) struct EngineArgs {
    /// Which engine runs it: auto, native or tract
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: Choice,

    /// Threads that one run may use, 1 to 64, no more than there are cores; tract uses one
    #[arg(long, value_name = "N", default_value = "1",
        value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
}

impl EngineArgs {
    /// How the model shall be run; says so where the machine has too few cores for that.
    pub(super) fn options(&self) -> Options {
        let wanted = usize::from(self.threads);
        let threads = Threads::up_to(wanted);
        if threads.count() < wanted {
            logger::say(&format!("this machine has too few cores: {} threads", threads.count()));
        }
        Options { choice: self.engine, threads }
    }
}
