//! Our executor gives for ONNX what onnxruntime gives: the same bytes where numbers are quantized, and the
//! results of ONNX's own test data. `scripts/onnx-goldens.py` wrote down models and outputs.

use std::io::{Cursor, Read};

use edgerun::arrays::{self, Array};
use edgerun::data::{DType, Tensor, TensorData, TensorSpec};
use edgerun::engine::{self, Choice, EngineError, EngineKind, Model, Threads, native};
use zip::ZipArchive;

use crate::reference::{fnv64, seeded, tensor};

/// A model, and the arrays of its golden file.
struct Case {
    name: String,
    model: Vec<u8>,
    arrays: Vec<Array>,
}

fn cases(group: &[u8]) -> Vec<Case> {
    let mut archive = ZipArchive::new(Cursor::new(group)).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let mut file = |name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let names = names.iter().filter_map(|name| name.strip_suffix(".onnx"));
    let case = |name: &str| Case {
        name: name.to_owned(),
        model: file(&format!("{name}.onnx")),
        arrays: arrays::unpack(&file(&format!("{name}.npz"))).unwrap(),
    };
    names.map(case).collect()
}

impl Case {
    fn array(&self, name: &str) -> Option<&TensorData> {
        self.arrays.iter().find(|array| array.name == name).map(|array| array.tensor.data())
    }

    /// The inputs of run `row`.
    fn inputs(&self, specs: &[TensorSpec], row: usize) -> Vec<Tensor> {
        let input = |(port, spec): (usize, &TensorSpec)| {
            let len = spec.elements();
            if let Some(stored) = self.array(&format!("x_{port}")) {
                let data = stored.slice(row * len, (row + 1) * len);
                return Tensor::new(spec.shape.clone(), data).unwrap();
            }
            let bytes = seeded((row + 100 * port) as u64, len);
            let Some(TensorData::I64(hashes)) = self.array("inputs_fnv64") else {
                panic!("{}: no inputs", self.name)
            };
            let hash = hashes[row * specs.len() + port];
            assert_eq!(fnv64(&bytes).cast_signed(), hash, "{}: other inputs", self.name);
            tensor(spec, bytes)
        };
        specs.iter().enumerate().map(input).collect()
    }

    /// Runs the model; the worst difference over all runs and outputs, in words, if it is too much.
    ///
    /// Integers may differ by `units`, reals by 1e-5 or, relative to theirs, as much.
    fn check(&self, units: f64) -> Result<(), String> {
        // Alone, and cut into parts for three threads however small.
        for threads in [1, 3] {
            let threads = Threads::exactly(threads).sharing_all();
            let model = native::load_onnx(&self.model, None, &threads);
            self.check_model(&*model.map_err(|error| error.to_string())?, units)?;
        }
        Ok(())
    }

    fn check_model(&self, model: &dyn Model, units: f64) -> Result<(), String> {
        let signature = model.signature();
        let mut session = model.session().unwrap();
        let mut outputs: Vec<Tensor> = signature.outputs.iter().map(Tensor::zeros).collect();
        let first = self.array("y_0").ok_or("no outputs")?.len();
        let runs = first / signature.outputs[0].elements();
        let mut worst = (0.0, String::new());
        for row in 0..runs {
            let inputs = self.inputs(&signature.inputs, row);
            session.infer(&inputs, &mut outputs).map_err(|error| error.to_string())?;
            for (port, found) in outputs.iter().enumerate() {
                let all = self.array(&format!("y_{port}")).ok_or("too few outputs")?;
                let len = found.data().len();
                if all.dtype() != found.data().dtype() || all.len() != runs * len {
                    let (expected, found) = (all.dtype(), found.data().dtype());
                    let shape = &signature.outputs[port].shape;
                    return Err(format!(
                        "output {port} is {found} {shape:?} instead of {} {expected}",
                        all.len()
                    ));
                }
                let expected = all.slice(row * len, (row + 1) * len).to_f64().unwrap();
                let real = all.dtype() == DType::F32;
                for (i, (a, b)) in found.data().to_f64().unwrap().iter().zip(&expected).enumerate()
                {
                    let allowed = if real { 1e-5 * b.abs().max(1.0) } else { units };
                    let excess = (a - b).abs() / if allowed > 0.0 { allowed } else { 1e-9 };
                    if (excess > 1.0 || a.is_nan() != b.is_nan()) && excess >= worst.0 {
                        worst = (
                            excess,
                            format!("run {row}, output {port}: [{i}] is {a}, expected {b}"),
                        );
                    }
                }
            }
        }
        if worst.1.is_empty() { Ok(()) } else { Err(worst.1) }
    }
}

/// Checks every case of a group; `units` says how much the integers of a case may differ.
fn assert_group(group: &[u8], at_least: usize, units: impl Fn(&str) -> f64) {
    let cases = cases(group);
    assert!(cases.len() >= at_least, "only {} cases", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let why = case.check(units(&case.name)).err()?;
            Some(format!("{}: {why}", case.name))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

macro_rules! group {
    ($name:literal) => {
        include_bytes!(concat!("../data/onnx/", $name, ".zip"))
    };
}

#[test]
fn quantization_as_onnx_itself_tests_it() {
    assert_group(group!("backend"), 20, |_| 0.0);
}

#[test]
fn real_models_are_within_the_tolerance() {
    assert_group(group!("float"), 79, |_| 0.0);
}

#[test]
fn integers_between_dequantize_and_quantize_are_onnxruntimes() {
    assert_group(group!("qdq"), 373, |_| 0.0);
}

#[test]
fn operators_that_are_quantized_by_name_give_onnxruntimes_bytes() {
    assert_group(group!("qoperator"), 373, |_| 0.0);
}

#[test]
fn models_that_are_quantized_as_they_run_are_within_the_tolerance() {
    assert_group(group!("dynamic"), 27, |_| 0.0);
}

#[test]
fn operators_that_no_quantizer_writes_give_onnxruntimes_bytes() {
    assert_group(group!("direct"), 22, |_| 0.0);
}

#[test]
fn weights_in_a_file_beside_the_model_are_found_from_its_path() {
    let path = format!("{}/tests/data/onnx/external.onnx", env!("CARGO_MANIFEST_DIR"));
    let model = engine::load_file(path.as_ref(), Choice::Auto).unwrap();
    assert_eq!(model.report().engine, EngineKind::Native);
    let golden = include_bytes!("../data/onnx/external.npz");
    let bytes = std::fs::read(&path).unwrap();
    let arrays = arrays::unpack(golden).unwrap();
    let case = Case { name: "external".to_owned(), model: bytes, arrays };
    case.check_model(&*model, 0.0).unwrap();
    let error = case.check(0.0).unwrap_err();
    assert!(error.contains("load the model from its folder"), "{error}");
}

#[test]
fn every_operator_has_a_case() {
    let groups: [&[u8]; 6] = [
        group!("backend"),
        group!("direct"),
        group!("dynamic"),
        group!("float"),
        group!("qdq"),
        group!("qoperator"),
    ];
    let mut missing: Vec<&str> = native::onnx_operators().collect();
    for case in groups.into_iter().flat_map(cases) {
        let found = native::describe_onnx(&case.model).unwrap();
        missing.retain(|name| found.ops.iter().all(|op| op.op != *name));
    }
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn an_operator_without_a_kernel_is_named_with_its_node() {
    let mut case = cases(group!("float")).into_iter().find(|case| case.name == "tanh").unwrap();
    let at = case.model.windows(4).position(|bytes| bytes == b"Tanh").unwrap();
    case.model[at + 3] = b'x';
    let error = case.check(0.0).unwrap_err();
    let expected = "(Tanx): there is no kernel for this operator";
    assert!(
        error.starts_with("native cannot run node 0 \"") && error.ends_with(expected),
        "{error}"
    );
}

/// Loads what may be damaged; what loads all the same has to run, unless it would take long.
fn load_and_run(bytes: &[u8]) -> Result<(), EngineError> {
    drop((native::describe_onnx(bytes), native::is_quantized_onnx(bytes)));
    let model = native::load_onnx(bytes, None, &Threads::default())?;
    let report = model.report();
    let small = report.ops.iter().map(|op| op.macs).sum::<u64>() < 1 << 20;
    if small && report.arena_bytes.is_some_and(|bytes| bytes < 1 << 20) {
        let signature = model.signature();
        let inputs: Vec<Tensor> = signature.inputs.iter().map(Tensor::zeros).collect();
        let mut outputs: Vec<Tensor> = signature.outputs.iter().map(Tensor::zeros).collect();
        model.session()?.infer(&inputs, &mut outputs)?;
    }
    Ok(())
}

/// The smallest model of each kind: one for each operator and way of quantization.
fn small_models() -> Vec<Case> {
    let groups: [&[u8]; 4] =
        [group!("direct"), group!("qdq"), group!("qoperator"), group!("float")];
    let all = groups.into_iter().flat_map(cases);
    let some = |case: &Case| {
        case.model.len() < 6000 && !case.name.contains("s8s8") && !case.name.contains("u8u8")
    };
    all.filter(some).collect()
}

#[test]
fn a_model_cut_anywhere_is_refused_or_runs_and_never_panics() {
    for (number, case) in small_models().iter().enumerate() {
        load_and_run(&case.model).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        for len in (number % 13..case.model.len()).step_by(13) {
            drop(load_and_run(&case.model[..len]));
        }
    }
}

#[test]
fn a_model_with_a_damaged_byte_is_refused_or_runs_and_never_panics() {
    let mut state = 1u32;
    for (number, case) in small_models().into_iter().enumerate() {
        let mut file = case.model;
        for at in (number % 5..file.len()).step_by(5) {
            // Xorshift, by George Marsaglia.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let whole = file[at];
            file[at] = [0x00, 0xff, whole ^ 1, (state >> 8) as u8][state as usize % 4];
            drop(load_and_run(&file));
            file[at] = whole;
        }
    }
}
