//! `infer`, `inspect` and `bench` do what the daemon would do, and say what is wrong with a file.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use edgerun::arrays;
use edgerun::data::{Tensor, TensorData};
use edgerun::engine::{self, Choice};
use serde_json::Value;
use tempfile::TempDir;

fn edgerun<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgerun"));
    // Paths in messages are as they were given, so that they can be compared.
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().unwrap()
}

fn good(args: &[&str]) -> String {
    let output = edgerun(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&good(args)).unwrap()
}

/// Exit code and standard error of a command that must not succeed.
fn bad(args: &[&str]) -> (i32, String) {
    let output = edgerun(args);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap().trim().to_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with `x.npy`, eight windows of seeded int8 noise for the gesture model.
fn gesture_windows() -> (TempDir, PathBuf, Vec<i8>) {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as i8
    };
    let values: Vec<i8> = (0..8 * 240).map(|_| next()).collect();
    let x = Tensor::new(vec![8, 40, 6], TensorData::I8(values.clone())).unwrap();
    let path = folder.path().join("x.npy");
    arrays::write(&path, &[("x", &x)]).unwrap();
    (folder, path, values)
}

#[test]
fn infer_runs_row_by_row_and_stacks_exactly_what_the_engine_gives() {
    let (folder, x, values) = gesture_windows();
    let y = folder.path().join("y.npz");
    good(&["infer", "models/gestures", "--input", text(&x), "--output", text(&y)]);
    let found = arrays::read(&y).unwrap();
    assert_eq!((found.len(), found[0].name.as_str()), (1, "y"));
    assert_eq!(found[0].tensor.shape(), [8, 4]);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/gestures/gestures.tflite");
    let model = engine::load_file(&path, Choice::Auto).unwrap();
    let mut session = model.session().unwrap();
    let mut outputs = [Tensor::zeros(&model.signature().outputs[0])];
    for (row, values) in values.chunks_exact(240).enumerate() {
        let input = Tensor::new(vec![1, 40, 6], TensorData::I8(values.to_vec())).unwrap();
        session.infer(&[input], &mut outputs).unwrap();
        assert_eq!(outputs[0].data(), &found[0].tensor.data().slice(row * 4, row * 4 + 4));
    }
}

#[test]
fn infer_takes_and_gives_real_values_through_the_quantization() {
    let (folder, x, values) = gesture_windows();
    let signature = json(&["inspect", "models/gestures", "--json"]);
    let scale = |side: &str| {
        let q = &signature[side][0]["quantization"];
        (q["scale"].as_f64().unwrap() as f32, q["zero_point"].as_i64().unwrap() as f32)
    };
    let (step, zero) = scale("inputs");
    let real = values.iter().map(|&raw| (f32::from(raw) - zero) * step).collect();
    let real = Tensor::new(vec![8, 1, 40, 6], TensorData::F32(real)).unwrap();
    let reals = folder.path().join("real.npz");
    arrays::write(&reals, &[("x", &real)]).unwrap();

    let model = "models/gestures/gestures.tflite";
    let raw = json(&["infer", model, "--input", text(&x), "--json"]);
    let float = json(&["infer", model, "--input", text(&reals), "--float", "--json"]);
    let (raw, float) = (&raw["outputs"][0], &float["outputs"][0]);
    assert_eq!(float["dtype"], "float32");
    // A leading dimension more goes in, so a leading dimension more comes out.
    assert_eq!(float["shape"], serde_json::json!([8, 1, 4]));
    let (step, zero) = scale("outputs");
    for row in 0..8 {
        for class in 0..4 {
            let raw = raw["data"][row][class].as_i64().unwrap() as f32;
            let float = float["data"][row][0][class].as_f64().unwrap() as f32;
            assert_eq!(float, (raw - zero) * step, "row {row}, class {class}");
        }
    }
}

#[test]
fn infer_without_output_prints_the_best_class_by_name() {
    let (_folder, x, _) = gesture_windows();
    let printed = good(&["infer", "models/gestures", "--input", text(&x)]);
    let labels = ["standing", "running", "walking", "badminton"];
    assert!(printed.contains("8 rows"), "{printed}");
    let named = printed.lines().filter(|line| labels.iter().any(|label| line.ends_with(label)));
    assert_eq!(named.count(), 8, "{printed}");
}

#[cfg(feature = "tract")]
#[test]
fn infer_takes_inputs_by_name_and_by_position() {
    let folder = tempfile::tempdir().unwrap();
    let a = Tensor::new(vec![3], TensorData::F64(vec![0.5, 2.0, -1.0])).unwrap();
    let b = Tensor::new(vec![3], TensorData::I32(vec![1, 1, -2])).unwrap();
    let (first, second) = (folder.path().join("1.npy"), folder.path().join("2.npz"));
    arrays::write(&first, &[("", &a)]).unwrap();
    arrays::write(&second, &[("whatever", &b)]).unwrap();
    let model = "tests/data/engines/two_inputs.onnx";
    let (by_position, by_name) =
        (format!("0={}", first.display()), format!("b={}", second.display()));
    let found = json(&["infer", model, "--input", &by_name, "--input", &by_position, "--json"]);
    assert_eq!(found["rows"], Value::Null);
    assert_eq!(found["outputs"][0]["data"], serde_json::json!([1.5, 3.0, -3.0]));
    assert_eq!(found["outputs"][2]["data"], serde_json::json!([false, true, true]));

    let (code, message) = bad(&["infer", model, "--input", text(&first)]);
    assert_eq!(
        (code, message.as_str()),
        (
            1,
            "edgerun: no array for input b; the model takes a float32 [3], b int64 [3]: \
             give --input b=FILE"
        )
    );
}

#[test]
fn wrong_arrays_are_named() {
    let (folder, x, _) = gesture_windows();
    let model = "models/gestures/gestures.tflite";
    let float = folder.path().join("float.npy");
    let zeros = Tensor::new(vec![1, 40, 6], TensorData::F32(vec![0.0; 240])).unwrap();
    arrays::write(&float, &[("", &zeros)]).unwrap();
    assert_eq!(
        bad(&["infer", model, "--input", text(&float)]),
        (
            1,
            "edgerun: input x: the array is float32, the model takes int8: give its raw values, \
             or real ones with --float"
                .into()
        )
    );
    let short = folder.path().join("short.npy");
    let zeros = Tensor::new(vec![40, 5], TensorData::I8(vec![0; 200])).unwrap();
    arrays::write(&short, &[("", &zeros)]).unwrap();
    assert_eq!(
        bad(&["infer", model, "--input", text(&short)]),
        (
            1,
            "edgerun: input x: the array's shape is [40, 5], the model takes [1, 40, 6], or rows \
             of it"
                .into()
        )
    );
    let (code, message) = bad(&["infer", model, "--input", "/nowhere/x.npy"]);
    assert!(code == 1 && message.starts_with("edgerun: cannot read /nowhere/x.npy: "), "{message}");
    let (code, message) = bad(&["infer", model, "--input", text(&x), "--output", "/nowhere/y.txt"]);
    assert!(code == 1 && message.contains("ends in .npy"), "{message}");
}

#[test]
fn wrong_models_are_named_by_every_command() {
    let (folder, x, _) = gesture_windows();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let tflite = std::fs::read(root.join("models/gestures/gestures.tflite")).unwrap();
    let onnx = std::fs::read(root.join("models/wine-tree/wine-tree.onnx")).unwrap();
    let empty = file("empty.tflite", b"");
    let garbage = file("garbage.onnx", b"this is not a model at all");
    let cut = file("cut.tflite", &tflite[..tflite.len() / 2]);
    let misnamed = file("tree.tflite", &onnx);
    let missing = folder.path().join("missing.tflite").to_str().unwrap().to_owned();
    let bare = folder.path().to_str().unwrap().to_owned();
    let cases = [
        (&missing, format!("cannot read {missing}: No such file or directory (os error 2)")),
        (
            &empty,
            format!("{empty}: not a model: neither a TFLite nor an ONNX file (the file is empty)"),
        ),
        (
            &garbage,
            format!(
                "{garbage}: not a model: neither a TFLite nor an ONNX file (it begins with \
                 [74, 68, 69, 73, 20, 69, 73, 20])"
            ),
        ),
        (&cut, format!("{cut}: damaged TFLite model: ")),
        (
            &misnamed,
            format!("{misnamed} is an ONNX model although its name ends in .tflite: rename it"),
        ),
        (&bare, format!("{bare}/manifest.toml: No such file or directory")),
    ];
    for (file, expected) in cases {
        for command in
            [&["infer", file, "--input", text(&x)][..], &["inspect", file], &["bench", file]]
        {
            let (code, message) = bad(command);
            assert_eq!(code, 1, "{command:?}");
            let expected = format!("edgerun: {expected}");
            // Those that end in a colon or without a cause go on in the parser's own words.
            let is_whole = message == expected || file == &cut || file == &bare;
            assert!(is_whole && message.starts_with(&expected), "{command:?}: {message}");
            let cause = message.rsplit(": ").next().unwrap_or_default();
            assert_eq!(message.matches(cause).count(), 1, "told twice: {message}");
        }
    }
}

#[test]
fn threads_beyond_64_and_unknown_engines_are_wrong_usage() {
    let (code, message) = bad(&["bench", "models/gestures", "--threads", "65"]);
    assert_eq!(code, 2);
    assert!(message.contains("65 is not in 1..=64"), "{message}");
    let (code, message) = bad(&["bench", "models/gestures", "--engine", "onnxruntime"]);
    assert_eq!(code, 2);
    assert!(message.contains("the engines are auto, native and tract"), "{message}");
}

#[test]
fn threads_are_as_many_as_there_are_cores_and_change_no_output() {
    let (_folder, x, _) = gesture_windows();
    let outputs = |threads| {
        let input = ["infer", "models/gestures", "--input", text(&x)];
        json(&[&input[..], &["--threads", threads, "--json"]].concat())["outputs"].clone()
    };
    assert_eq!(outputs("1"), outputs("64"));
    let cores = std::thread::available_parallelism().unwrap().get();
    let found = json(&["bench", "models/gestures", "--runs", "1", "--threads", "64", "--json"]);
    assert_eq!(found["threads"], cores.min(64));
}

#[test]
fn inspect_shows_tensors_operators_memory_and_digest() {
    let found = json(&["inspect", "models/gestures", "--json"]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/gestures/gestures.tflite");
    assert_eq!(found["file_bytes"], std::fs::metadata(path).unwrap().len());
    assert_eq!((&found["engine"], &found["format"]), (&"native".into(), &"TFLite".into()));
    assert_eq!(found["error"], Value::Null);
    assert_eq!(found["bundle"]["name"], "gestures");
    assert_eq!(found["inputs"][0]["shape"], serde_json::json!([1, 40, 6]));
    assert_eq!(found["sha256"].as_str().unwrap().len(), 64);
    assert!(found["arena_bytes"].as_u64().unwrap() > 0 && found["macs"].as_u64().unwrap() > 0);
    let ops = found["ops"].as_array().unwrap();
    assert!(ops.iter().all(|op| op["engine"] == "native"), "{ops:?}");
    let printed = good(&["inspect", "models/gestures"]);
    for part in ["native", "zero point", "CONV_2D", found["sha256"].as_str().unwrap()] {
        assert!(printed.contains(part), "no {part} in {printed}");
    }
}

#[cfg(feature = "tract")]
#[test]
fn inspect_of_a_model_that_cannot_run_names_the_missing_operator() {
    let output = edgerun(["inspect", "tests/data/engines/vectorizer.onnx"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line = printed.lines().find(|line| line.contains("DictVectorizer")).unwrap();
    assert!(line.ends_with("no engine runs it"), "{printed}");
    assert!(
        printed.contains("cannot be used: ") && printed.contains("node 1 \"vectorize\""),
        "{printed}"
    );
}

#[test]
fn bench_gives_the_contracts_figures() {
    let found = json(&["bench", "models/gestures", "--runs", "20", "--warmup", "2", "--json"]);
    assert_eq!(found["engine"], "native");
    let isa = found["isa"].as_str().unwrap();
    assert!(
        ["scalar", "avx2", "avxvnni", "avx512vnni", "amx", "neon", "dotprod"].contains(&isa),
        "{isa}"
    );
    assert_eq!((&found["runs"], &found["warmup"]), (&20.into(), &2.into()));
    let latency = |key: &str| found["latency_us"][key].as_f64().unwrap();
    let ascending = ["min", "p50", "p90", "p99"].map(latency);
    assert!(ascending.is_sorted() && ascending[0] > 0.0, "{found}");
    assert!(latency("mean") >= ascending[0]);
    for key in ["load_ms", "first_us", "rss_bytes", "arena_bytes"] {
        assert!(found[key].as_f64().unwrap() > 0.0, "{key}: {found}");
    }
    let printed = good(&["bench", "models/gestures", "--runs", "3"]);
    assert!(printed.contains("over 3 runs after 10 to warm up"), "{printed}");
}
