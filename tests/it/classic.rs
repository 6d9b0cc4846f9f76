//! Models that scikit-learn trained and skl2onnx exported give what onnxruntime gives, and damaged ones an
//! error. `scripts/classic-goldens.py` wrote down models, inputs and outputs.

use std::io::{Cursor, Read};

use edgerun::arrays::{self, Array};
use edgerun::data::{Tensor, TensorData};
use edgerun::engine::{self, Choice, EngineError, EngineKind};
use serde::Deserialize;
use zip::ZipArchive;

/// `index.json`.
#[derive(Deserialize)]
struct Index {
    cases: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    /// Rows of one run.
    batch: usize,
    operators: Vec<String>,
}

/// A model, its inputs and what onnxruntime gives for them.
struct Case {
    entry: Entry,
    model: Vec<u8>,
    arrays: Vec<Array>,
}

fn cases() -> Vec<Case> {
    let group = include_bytes!("../data/classic/models.zip");
    let mut archive = ZipArchive::new(Cursor::new(&group[..])).unwrap();
    let mut file = |name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let index: Index = serde_json::from_slice(&file("index.json")).unwrap();
    let case = |entry: Entry| Case {
        model: file(&format!("{}.onnx", entry.name)),
        arrays: arrays::unpack(&file(&format!("{}.npz", entry.name))).unwrap(),
        entry,
    };
    index.cases.into_iter().map(case).collect()
}

impl Case {
    fn array(&self, name: &str) -> Option<&Tensor> {
        self.arrays.iter().find(|array| array.name == name).map(|array| &array.tensor)
    }

    /// Runs the model on all rows; the first output that is too far off, in words.
    fn check(&self) -> Result<(), String> {
        let model = engine::load(&self.model, Choice::Auto).map_err(|error| error.to_string())?;
        assert_eq!(model.report().engine, EngineKind::Tract);
        let signature = model.signature().clone();
        let mut session = model.session().unwrap();
        let mut outputs: Vec<Tensor> = signature.outputs.iter().map(Tensor::zeros).collect();
        let runs = self.array("x_0").unwrap().shape()[0] / self.entry.batch;
        for run in 0..runs {
            let input = |(port, spec): (usize, &edgerun::data::TensorSpec)| {
                let all = self.array(&format!("x_{port}")).unwrap().data();
                let len = spec.elements();
                Tensor::new(spec.shape.clone(), all.slice(run * len, (run + 1) * len)).unwrap()
            };
            let inputs: Vec<Tensor> = signature.inputs.iter().enumerate().map(input).collect();
            session.infer(&inputs, &mut outputs).map_err(|error| error.to_string())?;
            for (port, found) in outputs.iter().enumerate() {
                let all = self.array(&format!("y_{port}")).ok_or("too many outputs")?.data();
                let len = found.data().len();
                if all.dtype() != found.data().dtype() || all.len() != runs * len {
                    return Err(format!(
                        "output {port} is {len} {} instead of {}/{runs} {}",
                        found.data().dtype(),
                        all.len(),
                        all.dtype()
                    ));
                }
                let expected = all.slice(run * len, (run + 1) * len);
                compare(found.data(), &expected)
                    .map_err(|why| format!("run {run}, output {port}: {why}"))?;
            }
        }
        Ok(())
    }
}

/// Reals within 1e-5, or of theirs if that is more; classes and text the same.
fn compare(found: &TensorData, expected: &TensorData) -> Result<(), String> {
    let real = matches!(found, TensorData::F32(_) | TensorData::F64(_));
    let (Some(found_reals), Some(reals), true) = (found.to_f64(), expected.to_f64(), real) else {
        return match found == expected {
            true => Ok(()),
            false => Err(format!("{found:?}, expected {expected:?}")),
        };
    };
    for (at, (a, b)) in found_reals.iter().zip(&reals).enumerate() {
        let same = a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-5 * b.abs().max(1.0);
        if !same {
            return Err(format!("[{at}] is {a}, expected {b}"));
        }
    }
    Ok(())
}

#[test]
fn models_of_scikit_learn_give_what_onnxruntime_gives() {
    let cases = cases();
    assert!(cases.len() >= 200, "only {} cases", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.entry.name, case.check().err()?)))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn every_operator_that_is_ours_has_a_case_and_is_said_to_be_supported() {
    let ours = [
        "ArrayFeatureExtractor",
        "Binarizer",
        "CDist",
        "FeatureVectorizer",
        "Imputer",
        "LabelEncoder",
        "LinearClassifier",
        "LinearRegressor",
        "Normalizer",
        "OneHotEncoder",
        "SVMClassifier",
        "SVMRegressor",
        "Scaler",
        "TreeEnsembleClassifier",
        "TreeEnsembleRegressor",
        "ZipMap",
    ];
    let mut missing = ours.to_vec();
    for case in cases() {
        missing.retain(|name| case.entry.operators.iter().all(|op| op != name));
        for op in engine::describe(&case.model).unwrap().ops {
            assert_eq!(op.engine, Some(EngineKind::Tract), "{}: {}", case.entry.name, op.op);
        }
    }
    assert!(missing.is_empty(), "no case for {missing:?}");
}

/// Loads what may be damaged, and runs what loads all the same. tract's own panics are errors; none may
/// come from an operator of ours.
fn load_and_run(bytes: &[u8]) {
    let outcome = || -> Result<(), EngineError> {
        drop(engine::describe(bytes));
        let model = engine::load(bytes, Choice::Auto)?;
        let signature = model.signature();
        if signature.inputs.iter().any(|spec| spec.elements() > 1 << 16) {
            return Ok(());
        }
        let inputs: Vec<Tensor> = signature.inputs.iter().map(Tensor::zeros).collect();
        let mut outputs: Vec<Tensor> = signature.outputs.iter().map(Tensor::zeros).collect();
        model.session()?.infer(&inputs, &mut outputs)
    };
    if let Err(error) = outcome() {
        let text = error.to_string();
        let ours = ["(ml/", "(tree/", "(tract/"].iter().any(|place| text.contains(place));
        assert!(!text.contains("panicked") || !ours, "{text}");
    }
}

/// Models of one node, where a damaged byte is often an attribute's.
fn small_models() -> Vec<Case> {
    let mut all = cases();
    all.retain(|case| case.entry.name.starts_with("single_") && case.model.len() < 1500);
    all
}

#[test]
fn a_classic_model_cut_anywhere_is_refused_or_runs() {
    for (number, case) in small_models().iter().enumerate() {
        load_and_run(&case.model);
        for len in (number % 29..case.model.len()).step_by(29) {
            load_and_run(&case.model[..len]);
        }
    }
}

#[test]
fn a_classic_model_with_a_damaged_byte_is_refused_or_runs() {
    let mut state = 1u32;
    for (number, case) in small_models().into_iter().enumerate() {
        let mut file = case.model;
        for at in (number % 11..file.len()).step_by(11) {
            // Xorshift, by George Marsaglia.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let whole = file[at];
            file[at] = [0x00, 0xff, whole ^ 1, (state >> 8) as u8][state as usize % 4];
            load_and_run(&file);
            file[at] = whole;
        }
    }
}
