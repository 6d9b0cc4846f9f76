//! Recipe, engine and postprocess of one bundle as one function: what every door to a model calls.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::data::Tensor;
use crate::engine::{EngineError, Model, Session};
use crate::model::Manifest;
use crate::postprocess::{Found, PostprocessError, Postprocessor};
use crate::preprocess::{PreprocessError, Preprocessor};

/// One thread's use of a bundle: own session, own state, nothing allocated per inference.
pub struct Predictor {
    model: Arc<dyn Model>,
    session: Box<dyn Session>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    preprocessor: Preprocessor,
    postprocessor: Postprocessor,
}

/// Why rows gave no finding.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The recipe gave the rows up, or they are not what it takes.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine panicked; the session was made anew.
    #[error("the engine panicked; its session was made anew")]
    Panicked,
    /// The output is no finding.
    #[error(transparent)]
    Postprocess(#[from] PostprocessError),
}

impl Predictor {
    /// A predictor for `bundle`, whose model was loaded as `model`; `Bundle::check` compared the two.
    ///
    /// # Errors
    /// When the session's memory cannot be had.
    pub fn new(manifest: &Manifest, model: Arc<dyn Model>) -> Result<Self, EngineError> {
        let signature = model.signature();
        Ok(Self {
            session: model.session()?,
            inputs: signature.inputs.iter().map(Tensor::zeros).collect(),
            outputs: signature.outputs.iter().map(Tensor::zeros).collect(),
            preprocessor: Preprocessor::new(&manifest.recipe, &signature.inputs[0]),
            postprocessor: Postprocessor::new(manifest, signature),
            model,
        })
    }

    /// Runs `rows`, row-major `[frames, channels]` in the recipe's units, through the whole bundle: a window that
    /// follows none, so that the recipe begins anew. What model and postprocessing remember stays, see
    /// [`Predictor::reset`].
    ///
    /// # Errors
    /// By the part that failed; the next call starts afresh.
    pub fn predict(&mut self, rows: &[f32]) -> Result<Found, PredictError> {
        self.predict_next(rows, usize::MAX)
    }

    /// As [`Predictor::predict`], with rows of which the last `fresh` are new and the others were the last ones of the
    /// call before.
    ///
    /// # Errors
    /// By the part that failed.
    pub fn predict_next(&mut self, rows: &[f32], fresh: usize) -> Result<Found, PredictError> {
        self.preprocessor.apply(rows, fresh, &mut self.inputs[0])?;
        // A panic in an engine is a bug of ours or of a library; the board goes on all the same. The
        // session is thrown away after one, so nobody sees it half-changed.
        let run = || self.session.infer(&self.inputs, &mut self.outputs);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(ran) => ran?,
            Err(_) => {
                self.session = self.model.session()?;
                return Err(PredictError::Panicked);
            }
        }
        Ok(self.postprocessor.apply(self.preprocessor.real(), &self.outputs)?)
    }

    /// Forgets what model and postprocessing remember: the stream was broken.
    pub fn reset(&mut self) {
        self.preprocessor.reset();
        self.session.reset();
        self.postprocessor.reset();
    }

    /// Goes on where `before`, another version of the model, leaves off: labels and alarms that hold are not
    /// announced again.
    pub fn go_on_from(&mut self, before: &Self) {
        self.postprocessor.go_on_from(&before.postprocessor);
    }

    /// The model's raw outputs of the last run.
    pub fn outputs(&self) -> &[Tensor] {
        &self.outputs
    }
}
