//! Configuration and bundle → the parts of one pipeline, or why they do not fit together.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{bail, ensure};

use crate::config::{self, ModelSource};
use crate::engine::{self, Model, Options, Threads};
use crate::model::{Bundle, Digest, Manifest};
use crate::pipeline::Serving;
use crate::predict::Predictor;
use crate::sensor::SensorSpec;

/// A bundle whose model is loaded and fits its manifest.
pub struct Loaded {
    /// What the manifest says.
    pub manifest: Manifest,
    /// SHA-256 of the bundle file.
    pub digest: Digest,
    /// The model, shared by all its sessions.
    pub model: Arc<dyn Model>,
}

impl Loaded {
    /// Loads the model of `bundle` for the pipeline `settings`.
    ///
    /// # Errors
    /// When no engine takes the model, or the manifest does not describe it.
    pub fn new(bundle: &Bundle, settings: &config::Pipeline) -> anyhow::Result<Self> {
        bundle.manifest.runs_here().map_err(anyhow::Error::msg)?;
        let bundle_path = match &settings.model {
            ModelSource::Path(path) => path.clone(),
            ModelSource::Store(name) => PathBuf::from(name),
        };
        let path = bundle_path.join(&bundle.manifest.model);
        let shapes = bundle.manifest.input_shapes();
        let wanted = settings.threads.get();
        let threads = Threads::up_to(wanted).on(&settings.cores)?;
        let options = Options { choice: settings.engine, threads };
        let model = engine::load_named(&path, &bundle.model, options, &shapes)?;
        if wanted > 1 {
            let (name, used) = (&settings.name, model.report().threads);
            if used < wanted {
                log::warn!("pipeline {name}: threads is {wanted}; a run uses {used}");
            }
        }
        bundle.check(model.signature())?;
        let model = Arc::from(model);
        Ok(Self { manifest: bundle.manifest.clone(), digest: bundle.digest.clone(), model })
    }

    /// A predictor with a session of its own.
    ///
    /// # Errors
    /// When the session's memory cannot be had.
    pub fn predictor(&self) -> anyhow::Result<Predictor> {
        Ok(Predictor::new(&self.manifest, self.model.clone())?)
    }

    /// Made ready for a pipeline whose sensor's channels are `columns`.
    ///
    /// # Errors
    /// As [`Loaded::predictor`].
    pub fn serving(&self, columns: Vec<usize>) -> anyhow::Result<Box<Serving>> {
        let Manifest { name, version, .. } = &self.manifest;
        let mut predictor = self.predictor()?;
        // Once around, so that no live window is the first to touch its memory. What comes of it is nobody's.
        predictor.predict_zeros().ok();
        predictor.reset();
        Ok(Box::new(Serving::new(name, &version.to_string(), columns, predictor)))
    }
}

/// What a pipeline runs at present: replaced when another version takes over.
#[derive(Clone, Default)]
pub struct Current(Arc<Mutex<Option<Arc<Loaded>>>>);

impl Current {
    /// This is what runs.
    pub fn new(loaded: Option<Loaded>) -> Self {
        Self(Arc::new(Mutex::new(loaded.map(Arc::new))))
    }

    /// What runs; `None` before a model's first version is there.
    pub fn get(&self) -> Option<Arc<Loaded>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something else runs from now on.
    pub fn set(&self, loaded: Option<Arc<Loaded>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
    }
}

/// Which of the sensor's channels the recipe takes, in the recipe's order.
///
/// # Errors
/// When window, rate, a channel or a unit is not what the recipe was trained on: the most common
/// silent failure in the field.
pub fn fit(
    manifest: &Manifest,
    window: config::Window,
    sensor: &SensorSpec,
) -> anyhow::Result<Vec<usize>> {
    let recipe = &manifest.recipe;
    let (name, length) = (&manifest.name, window.length.get());
    ensure!(
        length == recipe.frames,
        "window.length is {length}, the recipe of model {name} takes {} frames: set window.length = {}",
        recipe.frames,
        recipe.frames
    );
    match (recipe.picture.is_some(), sensor.gives_pictures()) {
        (true, false) => bail!("model {name} takes pictures, the sensor gives values"),
        (false, true) => bail!("the sensor gives pictures, model {name} takes values"),
        (true, true) | (false, false) => {}
    }
    if let Some(rate_hz) = recipe.rate_hz {
        ensure!(
            (rate_hz - sensor.rate_hz).abs() <= rate_hz * 1e-3,
            "the sensor gives {} Hz, model {name} was trained at {rate_hz} Hz: set the sensor's rate to \"{rate_hz} Hz\"",
            sensor.rate_hz
        );
    }
    let has = || sensor.channels.iter().map(|c| c.name.as_ref()).collect::<Vec<&str>>().join(", ");
    let mut columns = Vec::with_capacity(recipe.channels.len());
    for wanted in &recipe.channels {
        let found = sensor.channels.iter().position(|c| c.name == wanted.name);
        let Some(column) = found else {
            bail!("model {name} takes channel {}, the sensor has {}", wanted.name, has());
        };
        let unit = &sensor.channels[column].unit;
        ensure!(
            wanted.unit.is_empty() || unit.is_empty() || wanted.unit == *unit,
            "channel {}: the sensor gives {unit}, model {name} was trained on {}",
            wanted.name,
            wanted.unit
        );
        columns.push(column);
    }
    Ok(columns)
}
