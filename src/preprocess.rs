//! Window → input tensor: the bundle's recipe, then quantization. Pure; nothing allocated per window.
//!
//! A kind of step is a file here that implements one of three traits, by what it needs: `InPlace`, `Transform` or
//! `Stream`. Its settings stand in `crate::model::recipe`.

mod arrangement;
mod audio;
mod detrend;
mod features;
mod filter;
pub mod image;
mod median;
mod missing;
mod real_fft;
mod resample;
mod scaling;
mod spectral;
mod statistics;
mod taper;

use std::mem;

use crate::data::{Quantization, Tensor, TensorError, TensorSpec, write_real};
use crate::model::{Layout, Recipe, Rounding, Step};

/// A recipe made ready for one model.
pub struct Preprocessor {
    frames: usize,
    channels: usize,
    stages: Vec<Stage>,
    quantization: Option<Quantization>,
    rounding: Rounding,
    /// What the last stage made, `[rows, columns]`.
    real: Vec<f32>,
    /// Where the next one writes.
    next: Vec<f32>,
    /// Values that the last stage makes.
    made: usize,
    /// A window came before, and no break since.
    begun: bool,
}

/// Changes rows `[rows, columns]` where they lie.
trait InPlace: Send {
    /// # Errors
    /// When the window is given up.
    fn apply(&mut self, rows: &mut [f32]) -> Result<(), PreprocessError>;
}

/// Makes other rows of a whole window.
trait Transform: Send {
    /// `input` and `output` are `[rows, columns]` as the step's layouts say.
    fn apply(&mut self, input: &[f32], output: &mut [f32]);
}

/// Remembers the rows before; sees each row of a stream once, however much windows overlap.
trait Stream: Send {
    /// Takes the rows that follow those before and appends what comes of them: whole rows.
    fn push(&mut self, rows: &[f32], out: &mut Vec<f32>);

    /// Forgets all rows: the stream was broken.
    fn reset(&mut self);
}

/// A step at work.
enum Stage {
    InPlace(Box<dyn InPlace>),
    Transform { step: Box<dyn Transform>, makes: usize },
    Stream(Running),
}

/// A [`Stream`] with what it made of the rows that are still in the window.
struct Running {
    step: Box<dyn Stream>,
    takes: usize,
    gives: usize,
    /// Values of a window that it makes.
    makes: usize,
    made: Vec<f32>,
}

/// Why a window gave no input tensor.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PreprocessError {
    /// The recipe gives windows with this many missing values up: the next one may be whole.
    #[error("window dropped: {missing} missing values in a row in channel {channel}")]
    Missing {
        /// The channel's name in the recipe.
        channel: String,
        /// Longest run of missing values.
        missing: usize,
    },
    /// The window is not what the recipe takes: a bug in the caller or a wrong request.
    #[error("the recipe takes {frames} frames of {channels} values, found {found} values")]
    Shape {
        /// Frames of the recipe.
        frames: usize,
        /// Channels of the recipe.
        channels: usize,
        /// Values given.
        found: usize,
    },
    /// Rows for a recipe of pictures.
    #[error("the recipe takes a picture, not rows")]
    NotAPicture,
    /// A picture for a recipe of rows.
    #[error("the recipe takes rows, not a picture")]
    NotRows,
    /// The input tensor is not the model's.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl Preprocessor {
    /// `recipe` for the model's input `spec`; their sizes were compared by `Bundle::check`.
    pub fn new(recipe: &Recipe, spec: &TensorSpec) -> Self {
        let sizes = recipe.steps().map(|(_, _, made)| made.elements());
        let largest = sizes.fold(recipe.elements(), usize::max);
        Self {
            frames: recipe.frames,
            channels: recipe.channels.len(),
            stages: recipe.steps().map(|(step, given, made)| stage(step, given, made)).collect(),
            quantization: spec.quantization,
            rounding: recipe.rounding,
            real: vec![0.0; largest],
            next: vec![0.0; largest],
            made: recipe.made().elements(),
            begun: false,
        }
    }

    /// Runs the recipe on `rows`, row-major `[frames, channels]` in the recipe's units, into `input`. The last `fresh`
    /// rows are new; those before them were the last ones of the window before. With all of them new, or after a reset,
    /// another stream begins.
    ///
    /// # Errors
    /// When the recipe gives the window up, or a size is wrong.
    pub fn apply(
        &mut self,
        rows: &[f32],
        fresh: usize,
        input: &mut Tensor,
    ) -> Result<(), PreprocessError> {
        if rows.len() != self.frames * self.channels {
            let (frames, channels) = (self.frames, self.channels);
            return Err(PreprocessError::Shape { frames, channels, found: rows.len() });
        }
        let mut fresh = fresh;
        if fresh >= self.frames || !self.begun {
            self.reset();
            fresh = self.frames;
        }
        self.begun = true;
        let mut len = rows.len();
        self.real[..len].copy_from_slice(rows);
        for stage in &mut self.stages {
            match stage {
                Stage::InPlace(step) => step.apply(&mut self.real[..len])?,
                Stage::Transform { step, makes } => {
                    step.apply(&self.real[..len], &mut self.next[..*makes]);
                    mem::swap(&mut self.real, &mut self.next);
                    len = *makes;
                }
                Stage::Stream(running) => {
                    fresh = running.go_on(&self.real[..len], fresh);
                    len = running.makes;
                    self.real[..len].copy_from_slice(&running.made);
                }
            }
        }
        if let (Rounding::TowardZero, Some(q)) = (self.rounding, self.quantization) {
            truncate(&mut self.real[..len], q);
        }
        write_real(&self.real[..len], self.quantization, input.data_mut())?;
        Ok(())
    }

    /// Values of a window as it is given.
    pub fn elements(&self) -> usize {
        self.frames * self.channels
    }

    /// The preprocessed real values of the last window, `[rows, columns]`, before quantization.
    pub fn real(&self) -> &[f32] {
        &self.real[..self.made]
    }

    /// Forgets the rows before: the stream was broken.
    pub fn reset(&mut self) {
        self.begun = false;
        for stage in &mut self.stages {
            if let Stage::Stream(running) = stage {
                running.reset();
            }
        }
    }
}

impl Running {
    fn new(step: impl Stream + 'static, given: &Layout, made: &Layout) -> Self {
        let (takes, gives) = (given.columns.len(), made.columns.len());
        let makes = made.elements();
        Self { step: Box::new(step), takes, gives, makes, made: Vec::with_capacity(2 * makes) }
    }

    /// Takes the last `fresh` of `rows`; says how many rows it made of them.
    fn go_on(&mut self, rows: &[f32], fresh: usize) -> usize {
        let before = self.made.len();
        self.step.push(&rows[rows.len() - fresh * self.takes..], &mut self.made);
        let new = self.made.len() - before;
        self.made.drain(..self.made.len().saturating_sub(self.makes));
        // Fewer only when a step makes less of a whole window than it said: zeros are no crash.
        self.made.resize(self.makes, 0.0);
        new.min(self.makes) / self.gives
    }

    fn reset(&mut self) {
        self.step.reset();
        self.made.clear();
    }
}

/// Takes each value to the whole unit towards zero, of which writing makes the same whole number.
fn truncate(real: &mut [f32], q: Quantization) {
    for value in real {
        let zero_point = q.zero_point as f32;
        *value = ((*value / q.scale + zero_point).trunc() - zero_point) * q.scale;
    }
}

fn in_place(step: impl InPlace + 'static) -> Stage {
    Stage::InPlace(Box::new(step))
}

fn transform(step: impl Transform + 'static, made: &Layout) -> Stage {
    Stage::Transform { step: Box::new(step), makes: made.elements() }
}

fn stream(step: impl Stream + 'static, given: &Layout, made: &Layout) -> Stage {
    Stage::Stream(Running::new(step, given, made))
}

/// Copies column `index` of `rows`, `[rows, columns]`, from the first row on; as many values as `into` has.
fn copy_column(rows: &[f32], columns: usize, index: usize, into: &mut [f32]) {
    for (kept, value) in into.iter_mut().zip(rows.iter().skip(index).step_by(columns)) {
        *kept = *value;
    }
}

/// The step made ready for rows laid out as `given`, of which it makes `made`.
fn stage(step: &Step, given: &Layout, made: &Layout) -> Stage {
    match step {
        Step::Filter(settings) => stream(filter::Running::new(settings, given), given, made),
        Step::Missing(settings) => in_place(missing::Filler::new(settings, given)),
        Step::Clip(settings) => in_place(settings.clone()),
        Step::Scale(settings) => in_place(settings.clone()),
        Step::Standardise(settings) => in_place(settings.clone()),
        Step::MinMax(settings) => in_place(settings.clone()),
        Step::Robust(settings) => in_place(settings.clone()),
        Step::Project(settings) => transform(arrangement::Projector::new(settings), made),
        Step::Select(settings) => transform(arrangement::Copies::select(settings, given), made),
        Step::Median(settings) => in_place(median::Middle::new(settings, given)),
        Step::Hampel(settings) => in_place(median::Identifier::new(settings, given)),
        Step::Detrend(settings) => in_place(detrend::Leveller::new(settings, given)),
        Step::Resample(settings) => transform(resample::Resampler::new(settings, given), made),
        Step::Difference(settings) => transform(arrangement::Changes::new(settings, given), made),
        Step::Lags(settings) => transform(arrangement::Copies::lags(settings, given), made),
        Step::Statistics(settings) => transform(statistics::Counter::new(settings, given), made),
        Step::Preemphasis(settings) => stream(audio::Preemphasis::new(settings), given, made),
        Step::Spectrogram(settings) if settings.centre => {
            transform(audio::Centred::new(settings, given), made)
        }
        Step::Spectrogram(settings) => {
            stream(audio::Hopping::spectra(settings, given), given, made)
        }
        Step::Log(settings) => in_place(settings.clone()),
        Step::DynamicRange(settings) => in_place(settings.clone()),
        Step::Dct(settings) => transform(audio::Dct::new(settings, given), made),
        Step::MicroFrontend(settings) => {
            stream(audio::Hopping::micro(settings, given), given, made)
        }
        Step::Spectrum(settings) => transform(spectral::Spectra::new(settings, given), made),
        Step::BandPower(settings) => transform(spectral::Bands::new(settings, given), made),
        Step::SpectralShape(settings) => transform(spectral::Shapes::new(settings, given), made),
        Step::Features(settings) => transform(features::Beside::new(settings, given), made),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DType, TensorData};
    use crate::model::{Clip, InputChannel, Missing, MissingPolicy, PerColumn, Scale, Standardise};
    use proptest::prelude::*;

    fn recipe(frames: usize, channels: usize, steps: Vec<Step>) -> Recipe {
        let channel = |n| InputChannel { name: format!("c{n}"), unit: String::new() };
        Recipe::new(frames, None, (0..channels).map(channel).collect(), steps).expect("fits")
    }

    fn run(recipe: &Recipe, rows: &[f32]) -> Result<Vec<f32>, PreprocessError> {
        let shape = vec![1, recipe.made().rows, recipe.made().columns.len()];
        let spec = TensorSpec { name: "x".into(), dtype: DType::F32, shape, quantization: None };
        let mut input = Tensor::zeros(&spec);
        Preprocessor::new(recipe, &spec).apply(rows, usize::MAX, &mut input)?;
        let TensorData::F32(values) = input.data() else { panic!("asked for f32") };
        Ok(values.clone())
    }

    #[test]
    fn steps_run_in_order_and_per_channel() {
        let two = |a, b| PerColumn::each(vec![a, b]);
        let steps = vec![
            Step::Scale(Scale { factor: two(2.0, 1.0), offset: two(0.0, 1.0) }),
            Step::Clip(Clip { low: PerColumn::all(-3.0), high: two(3.0, 9.0) }),
            Step::Standardise(Standardise { mean: two(1.0, 0.0), std: two(2.0, 4.0) }),
        ];
        let out = run(&recipe(2, 2, steps), &[1.0, 3.0, 5.0, 7.0]).expect("whole window");
        assert_eq!(out, [0.5, 1.0, 1.0, 2.0]);
    }

    #[test]
    fn missing_values_are_held_or_interpolated_up_to_the_longest_run() {
        let nan = f32::NAN;
        let with = |policy, max, rows: &[f32]| {
            run(&recipe(rows.len(), 1, vec![Step::Missing(Missing { policy, max })]), rows)
        };
        let hold = MissingPolicy::Hold;
        assert_eq!(
            with(hold, 2, &[nan, 1.0, nan, nan, 4.0]).as_deref(),
            Ok(&[1., 1., 1., 1., 4.][..])
        );
        let line = MissingPolicy::Interpolate;
        assert_eq!(
            with(line, 2, &[nan, 1.0, nan, nan, 4.0]).as_deref(),
            Ok(&[1., 1., 2., 3., 4.][..])
        );
        let dropped = PreprocessError::Missing { channel: "c0".into(), missing: 2 };
        assert_eq!(with(hold, 1, &[1.0, nan, nan]), Err(dropped.clone()));
        assert_eq!(with(MissingPolicy::Drop, 9, &[1.0, nan, nan]), Err(dropped.clone()));
        assert_eq!(with(hold, 9, &[nan, nan]), Err(dropped));
    }

    #[test]
    fn what_is_behind_the_point_can_be_left_out() {
        let mut recipe = recipe(6, 1, vec![]);
        recipe.rounding = Rounding::TowardZero;
        let quantization = Some(Quantization { scale: 0.1, zero_point: -2 });
        let spec =
            TensorSpec { name: "x".into(), dtype: DType::I8, shape: vec![1, 6], quantization };
        let mut input = Tensor::zeros(&spec);
        let rows = [0.0, 0.19, 0.21, 0.39, -0.19, 99.0];
        Preprocessor::new(&recipe, &spec).apply(&rows, usize::MAX, &mut input).expect("whole");
        assert_eq!(input.data(), &TensorData::I8(vec![-2, 0, 0, 1, -3, 127]));
    }

    #[test]
    fn a_window_of_another_size_is_refused() {
        let error = run(&recipe(2, 2, vec![]), &[1.0; 3]).expect_err("three values are no window");
        assert_eq!(error, PreprocessError::Shape { frames: 2, channels: 2, found: 3 });
    }

    proptest! {
        #[test]
        fn filled_windows_have_no_missing_value(
            rows in prop::collection::vec(prop_oneof![Just(f32::NAN), -1e3f32..1e3], 1..60),
            max in 0usize..8, line: bool,
        ) {
            let policy = if line { MissingPolicy::Interpolate } else { MissingPolicy::Hold };
            if let Ok(out) = run(&recipe(rows.len(), 1, vec![Step::Missing(Missing { policy, max })]), &rows) {
                prop_assert!(out.iter().all(|v| v.is_finite()));
                prop_assert!(rows.iter().zip(&out).all(|(a, b)| a.is_nan() || a == b));
            }
        }
    }
}
