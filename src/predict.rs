//! Recipe, engine and postprocess of one bundle as one function: what every door to a model calls.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::data::{NotAPicture, Picture, Tensor, TensorSpec};
use crate::engine::{EngineError, Model, Session};
use crate::model::{Manifest, PictureRecipe};
use crate::postprocess::{Found, PostprocessError, Postprocessor};
use crate::preprocess::image::PicturePreprocessor;
use crate::preprocess::{PreprocessError, Preprocessor};

/// One thread's use of a bundle: own session, own state, nothing allocated per inference.
pub struct Predictor {
    model: Arc<dyn Model>,
    session: Box<dyn Session>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    front: Front,
    postprocessor: Postprocessor,
}

/// What fills the input.
enum Front {
    Rows(Preprocessor),
    Pictures(Box<PicturePreprocessor>),
}

/// # Errors
/// When the input takes no pixels.
fn pictures(
    recipe: &PictureRecipe,
    input: &TensorSpec,
) -> Result<PicturePreprocessor, EngineError> {
    let refused = |source| EngineError::Input { name: input.name.clone(), source };
    PicturePreprocessor::new(recipe, input).map_err(refused)
}

/// Why a window gave no finding.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The recipe gave the rows up, or they are not what it takes.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// The bytes are no picture.
    #[error(transparent)]
    NotAPicture(#[from] NotAPicture),
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
        let input = &signature.inputs[0];
        let front = match &manifest.recipe.picture {
            None => Front::Rows(Preprocessor::new(&manifest.recipe, input)),
            Some(recipe) => Front::Pictures(Box::new(pictures(recipe, input)?)),
        };
        Ok(Self {
            session: model.session()?,
            inputs: signature.inputs.iter().map(Tensor::zeros).collect(),
            outputs: signature.outputs.iter().map(Tensor::zeros).collect(),
            front,
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
        match &mut self.front {
            Front::Rows(preprocessor) => preprocessor.apply(rows, fresh, &mut self.inputs[0])?,
            Front::Pictures(_) => return Err(PreprocessError::NotAPicture.into()),
        }
        self.infer()?;
        let Front::Rows(preprocessor) = &self.front else {
            return Err(PreprocessError::NotAPicture.into());
        };
        Ok(self.postprocessor.apply(preprocessor.real(), &self.outputs)?)
    }

    /// Runs `picture` through the whole bundle.
    ///
    /// # Errors
    /// By the part that failed.
    pub fn predict_picture(&mut self, picture: &Picture) -> Result<Found, PredictError> {
        let placement = match &mut self.front {
            Front::Pictures(front) => front.apply(picture, &mut self.inputs[0]),
            Front::Rows(_) => return Err(PreprocessError::NotRows.into()),
        };
        let placement = placement.map_err(PreprocessError::from)?;
        self.infer()?;
        Ok(self.postprocessor.apply_to_picture(&placement, &self.outputs)?)
    }

    /// Runs a window of zeros, or a black picture: what comes of it is nobody's.
    ///
    /// # Errors
    /// By the part that failed.
    pub fn predict_zeros(&mut self) -> Result<Found, PredictError> {
        match &self.front {
            Front::Rows(preprocessor) => self.predict(&vec![0.0; preprocessor.elements()]),
            Front::Pictures(front) => self.predict_picture(&front.black()),
        }
    }

    fn infer(&mut self) -> Result<(), PredictError> {
        // A panic in an engine is a bug of ours or of a library; the board goes on all the same. The
        // session is thrown away after one, so nobody sees it half-changed.
        let run = || self.session.infer(&self.inputs, &mut self.outputs);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(ran) => Ok(ran?),
            Err(_) => {
                self.session = self.model.session()?;
                Err(PredictError::Panicked)
            }
        }
    }

    /// Forgets what model and postprocessing remember: the stream was broken.
    pub fn reset(&mut self) {
        if let Front::Rows(preprocessor) = &mut self.front {
            preprocessor.reset();
        }
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
