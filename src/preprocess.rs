//! Window → input tensor: the bundle's recipe, then quantization. Pure; nothing allocated per window.

use crate::data::{Quantization, Tensor, TensorError, TensorSpec, write_real};
use crate::model::{MissingPolicy, Recipe, Step};

/// A recipe made ready for one model.
#[derive(Clone, Debug)]
pub struct Preprocessor {
    recipe: Recipe,
    quantization: Option<Quantization>,
    real: Vec<f32>,
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
    /// The input tensor is not the model's.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl Preprocessor {
    /// `recipe` for the model's input `spec`; their sizes were compared by `Bundle::check`.
    pub fn new(recipe: &Recipe, spec: &TensorSpec) -> Self {
        let real = vec![0.0; recipe.frames * recipe.channels.len()];
        Self { recipe: recipe.clone(), quantization: spec.quantization, real }
    }

    /// Runs the recipe on `rows`, row-major `[frames, channels]` in the recipe's units, into `input`.
    ///
    /// # Errors
    /// When the recipe gives the window up, or a size is wrong.
    pub fn apply(&mut self, rows: &[f32], input: &mut Tensor) -> Result<(), PreprocessError> {
        let channels = self.recipe.channels.len();
        if rows.len() != self.real.len() {
            return Err(PreprocessError::Shape {
                frames: self.recipe.frames,
                channels,
                found: rows.len(),
            });
        }
        self.real.copy_from_slice(rows);
        for step in &self.recipe.steps {
            let real = self.real.as_mut_slice();
            match step {
                Step::Missing { policy, max } => {
                    fill_missing(real, channels, *policy, *max).map_err(|(channel, missing)| {
                        let channel = self.recipe.channels[channel].name.clone();
                        PreprocessError::Missing { channel, missing }
                    })?;
                }
                Step::Clip { low, high } => {
                    each(
                        real,
                        &low.0,
                        &high.0,
                        |x, low, high| if x.is_nan() { x } else { x.max(low).min(high) },
                    );
                }
                Step::Scale { factor, offset } => {
                    each(real, &factor.0, &offset.0, |x, factor, offset| x * factor + offset);
                }
                Step::Standardise { mean, std } => {
                    each(real, &mean.0, &std.0, |x, mean, std| (x - mean) / std);
                }
            }
        }
        write_real(&self.real, self.quantization, input.data_mut())?;
        Ok(())
    }

    /// The preprocessed real values of the last window, `[frames, channels]`, before quantization.
    pub fn real(&self) -> &[f32] {
        &self.real
    }
}

/// Applies `f(value, a[channel], b[channel])` to every value.
fn each(real: &mut [f32], a: &[f32], b: &[f32], f: impl Fn(f32, f32, f32) -> f32) {
    for row in real.chunks_exact_mut(a.len()) {
        for ((value, &a), &b) in row.iter_mut().zip(a).zip(b) {
            *value = f(*value, a, b);
        }
    }
}

/// Fills runs of NaN in each channel; `Err((channel, run))` when the window must be given up.
fn fill_missing(
    real: &mut [f32],
    channels: usize,
    policy: MissingPolicy,
    max: usize,
) -> Result<(), (usize, usize)> {
    let frames = real.len() / channels;
    for channel in 0..channels {
        let at = |frame: usize| frame * channels + channel;
        let mut frame = 0;
        while frame < frames {
            if !real[at(frame)].is_nan() {
                frame += 1;
                continue;
            }
            let start = frame;
            while frame < frames && real[at(frame)].is_nan() {
                frame += 1;
            }
            let run = frame - start;
            let before = start.checked_sub(1).map(|i| real[at(i)]);
            let after = (frame < frames).then(|| real[at(frame)]);
            // With no neighbour at all there is nothing to fill from.
            if policy == MissingPolicy::Drop || run > max || (before.is_none() && after.is_none()) {
                return Err((channel, run));
            }
            for (k, i) in (start..frame).enumerate() {
                real[at(i)] = match (policy, before, after) {
                    (MissingPolicy::Interpolate, Some(before), Some(after)) => {
                        before + (after - before) * ((k + 1) as f32 / (run + 1) as f32)
                    }
                    (_, Some(before), _) => before,
                    (_, None, Some(after)) => after,
                    (_, None, None) => return Err((channel, run)),
                };
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DType, TensorData};
    use crate::model::{InputChannel, PerChannel};
    use proptest::prelude::*;

    fn recipe(frames: usize, channels: usize, steps: Vec<Step>) -> Recipe {
        let channel = |n| InputChannel { name: format!("c{n}"), unit: String::new() };
        Recipe { frames, rate_hz: None, channels: (0..channels).map(channel).collect(), steps }
    }

    fn run(recipe: &Recipe, rows: &[f32]) -> Result<Vec<f32>, PreprocessError> {
        let shape = vec![1, recipe.frames, recipe.channels.len()];
        let spec = TensorSpec { name: "x".into(), dtype: DType::F32, shape, quantization: None };
        let mut input = Tensor::zeros(&spec);
        Preprocessor::new(recipe, &spec).apply(rows, &mut input)?;
        let TensorData::F32(values) = input.data() else { panic!("asked for f32") };
        Ok(values.clone())
    }

    #[test]
    fn steps_run_in_order_and_per_channel() {
        let steps = vec![
            Step::Scale { factor: PerChannel(vec![2.0, 1.0]), offset: PerChannel(vec![0.0, 1.0]) },
            Step::Clip { low: PerChannel(vec![-3.0, -3.0]), high: PerChannel(vec![3.0, 9.0]) },
            Step::Standardise { mean: PerChannel(vec![1.0, 0.0]), std: PerChannel(vec![2.0, 4.0]) },
        ];
        let out = run(&recipe(2, 2, steps), &[1.0, 3.0, 5.0, 7.0]).expect("whole window");
        assert_eq!(out, [0.5, 1.0, 1.0, 2.0]);
    }

    #[test]
    fn missing_values_are_held_or_interpolated_up_to_the_longest_run() {
        let nan = f32::NAN;
        let with = |policy, max, rows: &[f32]| {
            run(&recipe(rows.len(), 1, vec![Step::Missing { policy, max }]), rows)
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
            if let Ok(out) = run(&recipe(rows.len(), 1, vec![Step::Missing { policy, max }]), &rows) {
                prop_assert!(out.iter().all(|v| v.is_finite()));
                prop_assert!(rows.iter().zip(&out).all(|(a, b)| a.is_nan() || a == b));
            }
        }
    }
}
