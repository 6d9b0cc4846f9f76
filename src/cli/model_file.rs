//! The FILE that `infer`, `inspect` and `bench` take: a model, or a bundle folder that holds one.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::engine::{self, Choice, LoadError, Model};
use crate::model::{Bundle, Manifest};

/// A model's bytes, and its manifest where it came with one.
pub(super) struct ModelFile {
    /// The model file itself.
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) bundle: Option<Bundle>,
}

impl ModelFile {
    /// Reads the model file `path`, or the one that the manifest in folder `path` names.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        if !path.is_dir() {
            let bytes = engine::read_file(path)?;
            return Ok(Self { path: path.into(), bytes, bundle: None });
        }
        let mut bundle = Bundle::open(path)?;
        let bytes = std::mem::take(&mut bundle.model);
        Ok(Self { path: path.join(&bundle.manifest.model), bytes, bundle: Some(bundle) })
    }

    pub(super) fn load(&self, choice: Choice) -> Result<Box<dyn Model>, LoadError> {
        let shapes = self.bundle.as_ref().map(|bundle| bundle.manifest.input_shapes());
        engine::load_named(&self.path, &self.bytes, choice, &shapes.unwrap_or_default())
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
        let digest = Sha256::digest(&self.bytes);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Which engine, and on how many threads.
#[derive(clap::Args)]
pub(crate) struct EngineArgs {
    /// Which engine runs it: auto, native or tract
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    pub(super) engine: Choice,

    /// Threads of one run; engines run on 1 in this version
    #[arg(long, value_name = "N", default_value = "1", value_parser = one_thread)]
    pub(super) threads: u32,
}

fn one_thread(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(1) => Ok(1),
        Ok(_) => Err("engines run on 1 thread in this version: leave --threads out".to_owned()),
        Err(_) => Err("not a number of threads".to_owned()),
    }
}
