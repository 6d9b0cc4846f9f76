//! The binary for 64-bit ARM gives the very bytes that the one for this machine gives.
//!
//! `scripts/test` builds it and names it in `$EDGERUN_ARM_BINARY`; qemu's user mode runs it. Bytes are
//! compared where our own engine runs. Float models on tract, which only `scripts/test --full` builds for ARM
//! (`$EDGERUN_ARM_TRACT_BINARY`), keep to the tolerance of their golden vectors.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use edgerun::{
    arrays::{self, Array},
    data::{Tensor, TensorData, TensorSpec},
    engine::native,
    model::Bundle,
    preprocess::Preprocessor,
};

use crate::{
    reference::{seeded, tensor},
    zoo::zoo,
};

const LITE: &str = "EDGERUN_ARM_BINARY";
const TRACT: &str = "EDGERUN_ARM_TRACT_BINARY";

/// The binary that `name` in the environment names; `None` where the run was told to do without.
fn arm_binary(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os(name);
    if path.is_none() {
        eprintln!("left out: scripts/test builds the binary and sets {name}");
    }
    path.map(PathBuf::from)
}

/// `n` tensors like `spec` as one with another leading dimension.
fn stack(spec: &TensorSpec, rows: &[Tensor]) -> Tensor {
    let mut data = rows[0].data().slice(0, 0);
    for row in rows {
        data.extend(row.data()).unwrap();
    }
    Tensor::new([&[rows.len()], spec.shape.as_slice()].concat(), data).unwrap()
}

/// What `infer` of `edgerun` writes for `model`: the file, and the arrays in it.
fn infer(mut edgerun: Command, model: &Path, inputs: &[(&str, &Tensor)]) -> (Vec<u8>, Vec<Array>) {
    let dir = tempfile::tempdir().unwrap();
    let [input, output] = ["x.npz", "y.npz"].map(|name| dir.path().join(name));
    arrays::write(&input, inputs).unwrap();
    edgerun.arg("infer").arg(model).arg("--input").arg(&input).arg("--output").arg(&output);
    let ended = edgerun.output().unwrap_or_else(|why| panic!("{edgerun:?}: {why}"));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{edgerun:?}: {}: {said}", ended.status);
    (fs::read(&output).unwrap(), arrays::read(&output).unwrap())
}

/// The ARM binary, to be run by qemu for 5 minutes at most.
fn qemu(arm: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.args(["300", "qemu-aarch64-static"]).arg(arm);
    command
}

/// Runs `infer` of both binaries on `model`; gives the outputs after comparing the files.
fn infer_on_both(arm: &Path, model: &Path, inputs: &[(&str, &Tensor)]) -> Vec<Array> {
    let here = infer(Command::new(env!("CARGO_BIN_EXE_edgerun")), model, inputs);
    assert!(here.0 == infer(qemu(arm), model, inputs).0, "{}: outputs differ", model.display());
    here.1
}

/// As [`infer_on_both`], on `n` inputs of noise and walks.
fn seeded_on_both(arm: &Path, model: &Path, n: usize) {
    let file = fs::read(model).unwrap_or_else(|why| panic!("{}: {why}", model.display()));
    let loaded = native::load(&file).unwrap();
    let specs = &loaded.signature().inputs;
    let inputs: Vec<Tensor> = specs
        .iter()
        .enumerate()
        .map(|(port, spec)| {
            let row = |i| tensor(spec, seeded((i + 100 * port) as u64, spec.elements()));
            stack(spec, &(0..n).map(row).collect::<Vec<_>>())
        })
        .collect();
    let named: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).zip(&inputs).collect();
    assert!(!infer_on_both(arm, model, &named).is_empty());
}

/// A shipped bundle's golden windows as its model takes them, and its golden outputs.
fn golden(bundle: &Bundle) -> (Tensor, Vec<Tensor>) {
    let golden = arrays::unpack(bundle.golden.as_ref().unwrap()).unwrap();
    let named = |name: &str| &golden.iter().find(|array| array.name == name).unwrap().tensor;
    let TensorData::F32(rows) = named("x").data() else { panic!("x is f32") };
    let spec = &bundle.manifest.inputs[0];
    let mut preprocessor = Preprocessor::new(&bundle.manifest.recipe, spec);
    let windows: Vec<Tensor> = rows
        .chunks_exact(rows.len() / named("x").shape()[0])
        .map(|window| {
            let mut input = Tensor::zeros(spec);
            preprocessor.apply(window, usize::MAX, &mut input).unwrap();
            input
        })
        .collect();
    let outputs = 0..bundle.manifest.outputs.len();
    (stack(spec, &windows), outputs.map(|port| named(&format!("y_{port}")).clone()).collect())
}

fn shipped(name: &str) -> (PathBuf, Bundle) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    let bundle = Bundle::open(&folder).unwrap();
    (folder.join(&bundle.manifest.model), bundle)
}

#[test]
fn arm_gives_the_golden_bytes_of_the_gesture_model() {
    let Some(arm) = arm_binary(LITE) else { return };
    let (model, bundle) = shipped("gestures");
    let (input, expected) = golden(&bundle);
    let outputs = infer_on_both(&arm, &model, &[(&bundle.manifest.inputs[0].name, &input)]);
    assert_eq!(outputs[0].tensor.data(), expected[0].data());
}

#[test]
fn arm_keeps_to_the_tolerance_of_the_classic_models() {
    let Some(arm) = arm_binary(TRACT) else { return };
    for name in ["diabetes-linear", "cancer-logistic", "wine-tree"] {
        let (model, bundle) = shipped(name);
        let (input, expected) = golden(&bundle);
        let (_, outputs) = infer(qemu(&arm), &model, &[(&bundle.manifest.inputs[0].name, &input)]);
        assert_eq!(outputs.len(), expected.len());
        for (output, expected) in outputs.iter().zip(&expected) {
            let [found, expected] =
                [&output.tensor, expected].map(|tensor| tensor.data().to_f64().unwrap());
            assert_eq!(found.len(), expected.len());
            for (a, b) in found.iter().zip(&expected) {
                let near = (a - b).abs() <= 1e-5 * b.abs().max(1.0);
                assert!(near, "{name}, {}: {a}, expected {b}", output.name);
            }
        }
    }
}

#[test]
fn arm_agrees_on_the_models_of_mlperf_tiny() {
    let (Some(arm), Some(zoo)) = (arm_binary(LITE), zoo()) else { return };
    for name in
        ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "str_ww_ref_model", "vww_96_int8"]
    {
        seeded_on_both(&arm, &zoo.join(format!("mlperf-tiny/{name}.tflite")), 10);
    }
}

/// All that can be promised of cross without Docker: its configuration parses and has our target.
#[test]
fn cross_is_configured_for_64_bit_arm() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cross.toml");
    let cross: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    assert_eq!(cross["build"]["default-target"].as_str(), Some("aarch64-unknown-linux-gnu"));
}
