//! The self-test of a bundle: its golden windows through recipe and engine, compared with what training
//! found. Run when a bundle is packed, and on the board before it may serve.

pub mod child;
mod examples;

pub use examples::Examples;

use std::sync::Arc;
use std::time::Duration;

use crate::arrays::{self, Array, NpzError};
use crate::clock::Stopwatch;
use crate::data::{Tensor, TensorData};
use crate::engine::Model;
use crate::model::Manifest;
use crate::predict::{PredictError, Predictor};

/// What the self-test saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passed {
    /// Golden windows that were run; 0 where the bundle has none.
    pub windows: usize,
    /// The largest difference: units of integer outputs, `|a - b| / max(1, |b|)` of float ones.
    pub worst: f32,
    /// The slowest window.
    pub slowest: Duration,
}

/// Why a bundle may not serve.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say all
pub enum SelfTestError {
    #[error("golden.npz: {0}")]
    Arrays(#[from] NpzError),
    #[error("golden.npz: {0}")]
    Golden(String),
    #[error("golden window {window}: {source}")]
    Predict { window: usize, source: PredictError },
    #[error(
        "golden window {window}: output `{output}` is {found} where {expected} is expected, element {element}; the tolerance is {tolerance}"
    )]
    Differs {
        window: usize,
        output: String,
        element: usize,
        found: String,
        expected: String,
        tolerance: f32,
    },
    #[error("a window of zeros: {0}")]
    Zeros(PredictError),
    #[error("a session cannot be made: {0}")]
    Session(#[from] crate::engine::EngineError),
}

/// Runs every window of `golden`, the bytes of `golden.npz`; without any a window of zeros, which must
/// give a finding. `model` must fit `manifest` ([`crate::model::Bundle::check`]).
///
/// # Errors
/// Names the first window and element that differs by more than the manifest's tolerance.
pub fn run(
    manifest: &Manifest,
    golden: Option<&[u8]>,
    model: Arc<dyn Model>,
) -> Result<Passed, SelfTestError> {
    let mut predictor = Predictor::new(manifest, model)?;
    let Some(golden) = golden else {
        let watch = Stopwatch::start();
        predictor.predict_zeros().map_err(SelfTestError::Zeros)?;
        return Ok(Passed { windows: 0, worst: 0.0, slowest: watch.elapsed() });
    };
    let arrays = arrays::unpack(golden)?;
    let examples = Examples::of(&arrays, &manifest.recipe).map_err(SelfTestError::Golden)?;
    let windows = examples.len();
    let expected = outputs(&arrays, manifest, windows)?;
    let mut passed = Passed { windows, worst: 0.0, slowest: Duration::ZERO };
    for window in 0..windows {
        let watch = Stopwatch::start();
        let found = examples.predict(window, &mut predictor);
        passed.slowest = passed.slowest.max(watch.elapsed());
        found.map_err(|source| SelfTestError::Predict { window, source })?;
        for ((spec, found), expected) in
            manifest.outputs.iter().zip(predictor.outputs()).zip(&expected)
        {
            let from = window * spec.elements();
            let expected = expected.data().slice(from, from + spec.elements());
            let (element, difference) = largest_difference(found.data(), &expected);
            passed.worst = passed.worst.max(difference);
            if difference > manifest.golden.tolerance {
                return Err(SelfTestError::Differs {
                    window,
                    output: spec.name.clone(),
                    element,
                    found: shown(found.data(), element),
                    expected: shown(&expected, element),
                    tolerance: manifest.golden.tolerance,
                });
            }
        }
    }
    Ok(passed)
}

/// `y_0`, `y_1`, … [n, the output's shape], one for each output, in the model's order.
fn outputs<'a>(
    arrays: &'a [Array],
    manifest: &Manifest,
    windows: usize,
) -> Result<Vec<&'a Tensor>, SelfTestError> {
    let each = manifest.outputs.iter().enumerate().map(|(index, spec)| {
        let name = format!("y_{index}");
        let wrong = |why: String| {
            let wanted = format!("`{name}` must be {} with {windows} windows", spec.dtype);
            Err(SelfTestError::Golden(format!("{wanted} of {:?}, {why}", spec.shape)))
        };
        let Some(y) = find(arrays, &name) else { return wrong("there is none".into()) };
        let wanted = windows.checked_mul(spec.elements());
        if y.dtype() != spec.dtype || Some(y.data().len()) != wanted {
            return wrong(format!("it is {} {:?}", y.dtype(), y.shape()));
        }
        Ok(y)
    });
    each.collect()
}

fn find<'a>(arrays: &'a [Array], name: &str) -> Option<&'a Tensor> {
    arrays.iter().find(|array| array.name == name).map(|array| &array.tensor)
}

/// The element that differs most, and by how much; both sides have the same length. Infinite where only one side
/// is NaN or the values are text.
fn largest_difference(found: &TensorData, expected: &TensorData) -> (usize, f32) {
    let is_float = matches!(found, TensorData::F32(_) | TensorData::F64(_));
    let one = |a: f64, b: f64| match () {
        () if a == b || (a.is_nan() && b.is_nan()) => 0.0,
        () if !(a - b).is_finite() => f32::INFINITY,
        () if is_float => ((a - b).abs() / b.abs().max(1.0)) as f32,
        () => (a - b).abs() as f32,
    };
    let differences: Vec<f32> = match (found.to_f64(), expected.to_f64()) {
        (Some(found), Some(expected)) => {
            found.iter().zip(&expected).map(|(&a, &b)| one(a, b)).collect()
        }
        _ => vec![if found == expected { 0.0 } else { f32::INFINITY }],
    };
    let larger = |best: (usize, f32), (element, &d): (usize, &f32)| {
        if d > best.1 { (element, d) } else { best }
    };
    differences.iter().enumerate().fold((0, 0.0), larger)
}

fn shown(data: &TensorData, element: usize) -> String {
    match (data, data.to_f64()) {
        (TensorData::Str(texts), _) => format!("{:?}", texts.get(element)),
        (_, Some(values)) => values.get(element).map(f64::to_string).unwrap_or_default(),
        (_, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{self, Choice};
    use crate::model::Bundle;

    fn gestures() -> (Bundle, Arc<dyn Model>) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/gestures");
        let bundle = Bundle::open(&folder).unwrap();
        let model = engine::load(&bundle.model, Choice::Auto).unwrap();
        (bundle, Arc::from(model))
    }

    fn golden(change: impl FnOnce(&mut Vec<Array>)) -> String {
        let (bundle, model) = gestures();
        let mut arrays = arrays::unpack(bundle.golden.as_ref().unwrap()).unwrap();
        change(&mut arrays);
        let named: Vec<_> = arrays.iter().map(|a| (a.name.as_str(), &a.tensor)).collect();
        let bytes = arrays::pack(&named).unwrap();
        run(&bundle.manifest, Some(&bytes), model).expect_err("refused").to_string()
    }

    #[test]
    fn the_shipped_model_passes() {
        let (bundle, model) = gestures();
        let passed = run(&bundle.manifest, bundle.golden.as_deref(), model.clone()).unwrap();
        assert_eq!(passed.worst, 0.0);
        assert!(passed.windows > 0 && passed.slowest > Duration::ZERO);
        assert_eq!(run(&bundle.manifest, None, model).unwrap().windows, 0);
    }

    #[test]
    fn one_wrong_answer_is_found_and_named() {
        let why = golden(|arrays| {
            let y = arrays.iter_mut().find(|array| array.name == "y_0").unwrap();
            let TensorData::I8(values) = y.tensor.data_mut() else { panic!("int8") };
            values[6] = values[6].wrapping_add(2);
        });
        assert!(why.starts_with("golden window 1: output `y` is "), "{why}");
        assert!(why.ends_with(" is expected, element 2; the tolerance is 0"), "{why}");
    }

    #[test]
    fn arrays_that_do_not_belong_are_refused() {
        let why = golden(|arrays| arrays.retain(|array| array.name != "x"));
        assert_eq!(why, "golden.npz: `x` must be float32 [windows, 40, 6], there is none");
        let why = golden(|arrays| {
            let y = arrays.iter_mut().find(|array| array.name == "y_0").unwrap();
            y.tensor = Tensor::new(vec![1, 4], TensorData::I8(vec![0; 4])).unwrap();
        });
        assert!(why.ends_with("windows of [1, 4], it is int8 [1, 4]"), "{why}");
        let (bundle, model) = gestures();
        let why = run(&bundle.manifest, Some(b"PK"), model).unwrap_err().to_string();
        assert!(why.starts_with("golden.npz: damaged archive"), "{why}");
    }

    #[test]
    fn differences_are_measured_as_the_manifest_says() {
        let float = |values: &[f32]| TensorData::F32(values.to_vec());
        let largest = |a: &[f32], b: &[f32]| largest_difference(&float(a), &float(b));
        assert_eq!(largest(&[0.5, 101.0], &[0.25, 100.0]), (0, 0.25));
        assert_eq!(largest(&[f32::NAN], &[f32::NAN]), (0, 0.0));
        assert_eq!(largest(&[1.0, f32::NAN], &[1.0, 1.0]), (1, f32::INFINITY));
        assert_eq!(largest(&[f32::INFINITY], &[f32::INFINITY]), (0, 0.0));
        let text = |value: &str| TensorData::Str(vec![value.into()]);
        assert_eq!(largest_difference(&text("a"), &text("b")), (0, f32::INFINITY));
    }
}
