//! Every engine keeps the same promises: wrong tensors are refused by name, a run depends on its inputs
//! only, sessions do not touch each other, and a model that cannot run says which node is the reason.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgerun::arrays;
use edgerun::data::{DType, Tensor, TensorData, TensorSpec};
use edgerun::engine::{self, Choice, EngineError, EngineKind, Model};
use edgerun::model::Bundle;
use edgerun::predict::Predictor;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn load(file: &str, choice: Choice) -> Box<dyn Model> {
    engine::load_file(&root().join(file), choice).unwrap()
}

fn error(file: &str, choice: Choice) -> String {
    let error = engine::load_file(&root().join(file), choice).err().expect("it must not load");
    error.to_string().replace(&format!("{}/", root().display()), "")
}

/// Values that look like nothing in particular, the same for the same seed.
fn noise(spec: &TensorSpec, seed: u64) -> Tensor {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as i32
    };
    // Some seeds give calmer noise, so that classifiers tell them apart.
    let reach = if seed < 50 { 3 } else { 90 };
    let mut data = TensorData::zeros(spec.dtype, spec.elements());
    match &mut data {
        TensorData::F32(v) => v.iter_mut().for_each(|x| *x = (next() % 2000) as f32 / 500.0 - 2.0),
        TensorData::I8(v) => v.iter_mut().for_each(|x| *x = (next() % reach - 31) as i8),
        TensorData::U8(v) => v.iter_mut().for_each(|x| *x = next() as u8),
        TensorData::I64(v) => v.iter_mut().for_each(|x| *x = i64::from(next() % 100)),
        other => panic!("no noise of {}", other.dtype()),
    }
    Tensor::new(spec.shape.clone(), data).unwrap()
}

/// The suite that every engine passes.
mod contract {
    use super::*;

    fn inputs(model: &dyn Model, seed: u64) -> Vec<Tensor> {
        let specs = model.signature().inputs.iter().enumerate();
        specs.map(|(i, spec)| noise(spec, seed + i as u64)).collect()
    }

    fn zeros(model: &dyn Model) -> Vec<Tensor> {
        model.signature().outputs.iter().map(Tensor::zeros).collect()
    }

    fn run(model: &dyn Model, inputs: &[Tensor]) -> Vec<Tensor> {
        let mut outputs = zeros(model);
        model.session().unwrap().infer(inputs, &mut outputs).unwrap();
        outputs
    }

    pub(super) fn holds_for(model: &dyn Model, engine: EngineKind) {
        assert_eq!(model.report().engine, engine);
        names_shapes_and_report_are_whole(model);
        wrong_tensors_are_refused_by_name(model);
        a_run_depends_on_its_inputs_only(model);
        sessions_are_independent(model);
    }

    fn names_shapes_and_report_are_whole(model: &dyn Model) {
        let signature = model.signature();
        assert!(!signature.inputs.is_empty() && !signature.outputs.is_empty());
        for spec in signature.inputs.iter().chain(&signature.outputs) {
            assert!(!spec.name.is_empty() && spec.elements() > 0, "{spec:?}");
        }
        let report = model.report();
        assert!(!report.ops.is_empty() && !report.reason.is_empty(), "{report:?}");
    }

    fn wrong_tensors_are_refused_by_name(model: &dyn Model) {
        let mut session = model.session().unwrap();
        let right = inputs(model, 1);
        let spec = &model.signature().inputs[0];
        let last = &model.signature().outputs.last().unwrap().name;

        let refused = session.infer(&[], &mut zeros(model)).unwrap_err();
        assert!(matches!(refused, EngineError::Input { .. }), "{refused}");
        let refused = session.infer(&right, &mut []).unwrap_err();
        assert!(matches!(refused, EngineError::Output { .. }), "{refused}");

        let other = if spec.dtype == DType::I32 { DType::F32 } else { DType::I32 };
        let mut wrong = right.clone();
        wrong[0] = Tensor::zeros(&TensorSpec { dtype: other, ..spec.clone() });
        let refused = session.infer(&wrong, &mut zeros(model)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("input {}: expected {}, found {other}", spec.name, spec.dtype)
        );

        let mut longer = spec.clone();
        longer.shape[0] += 1;
        wrong[0] = Tensor::zeros(&longer);
        let refused = session.infer(&wrong, &mut zeros(model)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "input {}: expected shape {:?}, found {:?}",
                spec.name, spec.shape, longer.shape
            )
        );

        let mut outputs = zeros(model);
        *outputs.last_mut().unwrap() = Tensor::new(vec![0], TensorData::I16(vec![])).unwrap();
        let refused = session.infer(&right, &mut outputs).unwrap_err();
        assert!(refused.to_string().starts_with(&format!("output {last}: ")), "{refused}");

        // A refusal leaves the session as it was.
        let mut outputs = zeros(model);
        session.infer(&right, &mut outputs).unwrap();
        assert_eq!(outputs, run(model, &right));
    }

    fn a_run_depends_on_its_inputs_only(model: &dyn Model) {
        let (a, b) = (inputs(model, 1), inputs(model, 100));
        let expected = [run(model, &a), run(model, &b)];
        assert_ne!(expected[0], expected[1], "the noise must make a difference");
        let mut session = model.session().unwrap();
        // The same outputs again and again: what an earlier run left there does not matter.
        let mut outputs = zeros(model);
        for round in 0..6 {
            let which = [0, 1, 1, 0, 0, 1][round];
            if round == 4 {
                session.reset();
            }
            session.infer([&a, &b][which], &mut outputs).unwrap();
            assert_eq!(outputs, expected[which], "round {round}");
        }
    }

    fn sessions_are_independent(model: &dyn Model) {
        let (a, b) = (inputs(model, 1), inputs(model, 100));
        let expected = [run(model, &a), run(model, &b)];
        std::thread::scope(|scope| {
            for (inputs, expected) in [&a, &b].into_iter().zip(&expected) {
                let mut session = model.session().unwrap();
                scope.spawn(move || {
                    for _ in 0..20 {
                        let mut outputs = zeros(model);
                        session.infer(inputs, &mut outputs).unwrap();
                        assert_eq!(&outputs, expected);
                    }
                });
            }
        });
        // A session outlives the model's handle.
        let mut outputs = zeros(model);
        model.session().unwrap().infer(&a, &mut outputs).unwrap();
        assert_eq!(outputs, expected[0]);
    }
}

#[test]
fn native_engine_keeps_the_contract() {
    let model = load("models/gestures/gestures.tflite", Choice::Auto);
    contract::holds_for(&*model, EngineKind::Native);
    assert!(model.report().arena_bytes.is_some());
}

#[cfg(feature = "tract")]
#[test]
fn tract_keeps_the_contract_with_onnx() {
    for name in ["conv", "two_inputs"] {
        let model = load(&format!("tests/data/engines/{name}.onnx"), Choice::Auto);
        contract::holds_for(&*model, EngineKind::Tract);
    }
}

#[cfg(feature = "tract")]
#[test]
fn tract_keeps_the_contract_with_float_tflite() {
    let model = load("tests/data/engines/float.tflite", Choice::Only(EngineKind::Tract));
    contract::holds_for(&*model, EngineKind::Tract);
}

/// `|a - b| <= tolerance * max(1, |b|)` everywhere; integers differ by at most `tolerance`.
fn assert_close(found: &TensorData, expected: &TensorData, tolerance: f64, what: &str) {
    assert_eq!((found.dtype(), found.len()), (expected.dtype(), expected.len()), "{what}");
    let (a, b) = (found.to_f64().unwrap(), expected.to_f64().unwrap());
    let float = matches!(expected.dtype(), DType::F32 | DType::F64);
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        let limit = if float { tolerance * b.abs().max(1.0) } else { tolerance };
        assert!((a - b).abs() <= limit, "{what}, element {i}: {a}, expected {b}");
    }
}

/// Row `i` of an array whose first dimension counts.
fn row(array: &Tensor, i: usize) -> TensorData {
    let len = array.data().len() / array.shape()[0];
    array.data().slice(i * len, (i + 1) * len)
}

fn array<'a>(arrays: &'a [arrays::Array], name: &str) -> &'a Tensor {
    &arrays.iter().find(|array| array.name == name).unwrap_or_else(|| panic!("no {name}")).tensor
}

/// Runs a shipped model's golden vectors through recipe and engine.
fn meets_its_golden_vectors(name: &str) {
    let bundle = Bundle::open(&root().join("models").join(name)).unwrap();
    let model: Arc<dyn Model> = Arc::from(engine::load(&bundle.model, Choice::Auto).unwrap());
    bundle.check(model.signature()).unwrap();
    let mut predictor = Predictor::new(&bundle.manifest, model.clone()).unwrap();
    let golden = arrays::unpack(bundle.golden.as_ref().unwrap()).unwrap();
    let x = array(&golden, "x");
    assert!((8..=24).contains(&x.shape()[0]));
    for i in 0..x.shape()[0] {
        let TensorData::F32(rows) = row(x, i) else { panic!("x of {}", x.dtype()) };
        predictor.predict(&rows).unwrap();
        for (o, output) in predictor.outputs().iter().enumerate() {
            let expected = row(array(&golden, &format!("y_{o}")), i);
            // Integers exactly, float as the project promises, whatever the manifest allows.
            let tolerance = if matches!(expected.dtype(), DType::F32) { 1e-5 } else { 0.0 };
            let what = format!("{name}, vector {i}, output {o}");
            assert_close(output.data(), &expected, tolerance, &what);
        }
    }
}

#[test]
fn gestures_meets_its_golden_vectors_byte_for_byte() {
    meets_its_golden_vectors("gestures");
}

#[cfg(feature = "tract")]
#[test]
fn classic_models_meet_their_golden_vectors() {
    for name in ["diabetes-linear", "cancer-logistic", "wine-tree"] {
        meets_its_golden_vectors(name);
    }
}

#[cfg(feature = "tract")]
#[test]
fn float_networks_agree_with_their_reference_runtimes() {
    for (file, golden) in [("conv.onnx", "conv.npz"), ("float.tflite", "float.npz")] {
        let folder = root().join("tests/data/engines");
        let model = engine::load_file(&folder.join(file), Choice::Only(EngineKind::Tract)).unwrap();
        let golden = arrays::read(&folder.join(golden)).unwrap();
        let (x, y) = (array(&golden, "x"), array(&golden, "y"));
        let mut session = model.session().unwrap();
        let mut outputs = [Tensor::zeros(&model.signature().outputs[0])];
        for i in 0..x.shape()[0] {
            let shape = model.signature().inputs[0].shape.clone();
            let input = Tensor::new(shape, row(x, i)).unwrap();
            session.infer(&[input], &mut outputs).unwrap();
            assert_close(outputs[0].data(), &row(y, i), 1e-5, &format!("{file}, input {i}"));
        }
    }
}

#[cfg(feature = "tract")]
#[test]
fn onnx_signature_has_the_files_names_and_a_batch_of_one() {
    let model = load("tests/data/engines/conv.onnx", Choice::Auto);
    let signature = model.signature();
    assert_eq!(
        (signature.inputs[0].name.as_str(), &*signature.inputs[0].shape),
        ("image", &[1, 2, 6, 5][..])
    );
    assert_eq!(
        (signature.outputs[0].name.as_str(), &*signature.outputs[0].shape),
        ("scores", &[1, 3][..])
    );
    let report = model.report();
    let shown: Vec<_> =
        report.ops.iter().map(|op| (op.op.as_str(), &*op.output, op.macs)).collect();
    // 4 channels of 6x5, each a sum over 2 channels of 3x3; then 3 sums over 4.
    assert_eq!(shown[0], ("Conv", &[1, 4, 6, 5][..], 4 * 30 * 18));
    assert_eq!(shown[4], ("Gemm", &[1, 3][..], 12));
    assert_eq!(report.weight_bytes, 4 * (4 * 18 + 4 + 3 * 4 + 3));
}

#[cfg(feature = "tract")]
#[test]
fn integer_and_boolean_tensors_pass_through_tract() {
    let model = load("tests/data/engines/two_inputs.onnx", Choice::Auto);
    let mut outputs: Vec<_> = model.signature().outputs.iter().map(Tensor::zeros).collect();
    let a = Tensor::new(vec![3], TensorData::F32(vec![0.5, 2.0, -1.0])).unwrap();
    let b = Tensor::new(vec![3], TensorData::I64(vec![1, 1, -2])).unwrap();
    model.session().unwrap().infer(&[a, b], &mut outputs).unwrap();
    assert_eq!(outputs[0].data(), &TensorData::F32(vec![1.5, 3.0, -3.0]));
    assert_eq!(outputs[1].data(), &TensorData::I64(vec![2, 2, -4]));
    assert_eq!(outputs[2].data(), &TensorData::Bool(vec![false, true, true]));
}

#[test]
fn a_float_model_runs_on_native_unless_tract_is_asked_for() {
    let path = "tests/data/engines/float.tflite";
    assert_eq!(load(path, Choice::Auto).report().engine, EngineKind::Native);
    if cfg!(feature = "tract") {
        let tract = load(path, Choice::Only(EngineKind::Tract));
        assert_eq!(tract.report().engine, EngineKind::Tract);
    }
}

#[cfg(feature = "tract")]
#[test]
fn operator_that_tract_computes_wrongly_is_not_given_to_it() {
    assert_eq!(
        error("tests/data/engines/mean.tflite", Choice::Only(EngineKind::Tract)),
        "tests/data/engines/mean.tflite: tract cannot run node 0 (MEAN): tract computes it wrongly"
    );
}

#[cfg(feature = "tract")]
#[test]
fn input_that_a_file_leaves_out_is_named() {
    assert_eq!(
        error("tests/data/engines/no_bias.tflite", Choice::Only(EngineKind::Tract)),
        "tests/data/engines/no_bias.tflite: tract cannot run node 0 (FULLY_CONNECTED): input 2 is \
         left out, and tract wants every input"
    );
}

#[cfg(feature = "tract")]
#[test]
fn tract_is_never_given_a_quantized_model() {
    assert_eq!(
        error("models/gestures/gestures.tflite", Choice::Only(EngineKind::Tract))
            .split(" (tensor ")
            .next()
            .unwrap(),
        "models/gestures/gestures.tflite: tract cannot run node 0 (RESHAPE): the model is \
         quantized, and quantized models run on the native engine"
    );
    assert_eq!(
        error("tests/data/engines/qdq.onnx", Choice::Only(EngineKind::Tract)),
        "tests/data/engines/qdq.onnx: tract cannot run node 1 \"quantize_r\" (QuantizeLinear): \
         the model is quantized, and quantized models run on the native engine"
    );
}

#[test]
fn quantized_onnx_runs_on_the_native_engine() {
    let model = load("tests/data/engines/qdq.onnx", Choice::Auto);
    contract::holds_for(&*model, EngineKind::Native);
}

#[cfg(feature = "tract")]
#[test]
fn model_that_cannot_load_says_which_op_of_which_node() {
    assert_eq!(
        error("tests/data/engines/vectorizer.onnx", Choice::Auto),
        "tests/data/engines/vectorizer.onnx: tract cannot run node 1 \"vectorize\" (DictVectorizer): tract has no \
         such operator"
    );
    let misfit = error("tests/data/engines/misfit.onnx", Choice::Auto);
    assert!(
        misfit.starts_with(
            "tests/data/engines/misfit.onnx: tract cannot run node 1 \"multiply\" (MatMul): "
        ),
        "{misfit}"
    );
    assert_eq!(
        error("tests/data/engines/free_length.onnx", Choice::Auto),
        "tests/data/engines/free_length.onnx: tract cannot run node x (graph input): dimension 1 \
         is free: export it with a fixed length"
    );
}

#[cfg(feature = "tract")]
#[test]
fn description_shows_the_missing_operator_of_a_model_that_cannot_run() {
    let bytes = std::fs::read(root().join("tests/data/engines/vectorizer.onnx")).unwrap();
    let found = engine::describe(&bytes).unwrap();
    let engines: Vec<_> = found.ops.iter().map(|op| (op.op.as_str(), op.engine)).collect();
    assert_eq!(engines, [("Relu", Some(EngineKind::Tract)), ("DictVectorizer", None)]);
    assert_eq!(found.signature.inputs[0].shape, [1, 4]);
}

#[cfg(not(feature = "tract"))]
#[test]
fn build_without_tract_says_so() {
    load("tests/data/engines/conv.onnx", Choice::Auto);
    assert_eq!(
        error("tests/data/engines/conv.onnx", Choice::Only(EngineKind::Tract)),
        "tests/data/engines/conv.onnx: engine tract cannot be used: this build leaves it out: \
         build with the feature tract"
    );
}

/// Every model that ships or is tested, cut and changed: an error or a model, never a panic.
#[test]
fn damaged_models_are_errors() {
    let files = [
        "models/gestures/gestures.tflite",
        "models/wine-tree/wine-tree.onnx",
        "tests/data/engines/conv.onnx",
        "tests/data/engines/float.tflite",
    ];
    for file in files {
        let whole = std::fs::read(root().join(file)).unwrap();
        let step = (whole.len() / 60).max(1);
        for end in (0..whole.len()).step_by(step) {
            let cut = engine::load(&whole[..end], Choice::Auto);
            // A protobuf cut between two fields of the graph is a smaller model, but never a whole one.
            assert!(cut.is_err() || file.ends_with(".onnx"), "{file} cut at {end}");
        }
        for place in (0..whole.len()).step_by(step) {
            let mut changed = whole.clone();
            changed[place] ^= 0x55;
            if let Ok(model) = engine::load(&changed, Choice::Auto) {
                let inputs: Vec<_> = model.signature().inputs.iter().map(Tensor::zeros).collect();
                let mut outputs: Vec<_> =
                    model.signature().outputs.iter().map(Tensor::zeros).collect();
                model.session().and_then(|mut s| s.infer(&inputs, &mut outputs)).ok();
            }
        }
    }
}

#[test]
fn truncated_model_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for (file, format) in
        [("models/gestures/gestures.tflite", "TFLite"), ("models/wine-tree/wine-tree.onnx", "ONNX")]
    {
        if format == "ONNX" && !cfg!(feature = "tract") {
            continue;
        }
        let whole = std::fs::read(root().join(file)).unwrap();
        let path = folder.path().join(Path::new(file).file_name().unwrap());
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let error = engine::load_file(&path, Choice::Auto).err().unwrap().to_string();
        let expected = format!("{}: damaged {format} model: ", path.display());
        assert!(error.starts_with(&expected), "{error}");
    }
}
