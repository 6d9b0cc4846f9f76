//! Our executor gives, byte for byte, what LiteRT with XNNPACK gives on x86-64.
//!
//! The models are not part of the repository: `$EDGERUN_ZOO` names the folder that holds them. The
//! expected outputs are, written by `scripts/zoo-goldens.py`; the inputs are made here as there.

use std::path::PathBuf;

use edgerun::arrays;
use edgerun::data::{DType, Tensor, TensorData, TensorSpec};
use edgerun::engine::native;

/// The folder of models; `None` where the run was told to do without.
fn zoo() -> Option<PathBuf> {
    if let Some(zoo) = std::env::var_os("EDGERUN_ZOO") {
        return Some(zoo.into());
    }
    if std::env::var_os("EDGERUN_SKIP_ZOO").is_some_and(|skip| skip == "1") {
        eprintln!("left out: EDGERUN_SKIP_ZOO is 1");
        return None;
    }
    panic!(
        "set EDGERUN_ZOO to the folder of public models, or EDGERUN_SKIP_ZOO=1 to leave this out"
    );
}

/// SplitMix64, by Sebastiano Vigna.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Input `index` as bytes: noise where it is even, a walk with small steps where it is odd.
fn input(index: u64, len: usize) -> Vec<u8> {
    let mut state = index;
    let mut walk = 128i64;
    let mut next = || {
        let noise = splitmix64(&mut state);
        if index.is_multiple_of(2) {
            return (noise >> 56) as u8;
        }
        walk += ((noise >> 32) % 9) as i64 - 4;
        let folded = walk.rem_euclid(510);
        (if folded > 255 { 510 - folded } else { folded }) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// FNV-1a.
fn fnv64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn tensor(spec: &TensorSpec, bytes: Vec<u8>) -> Tensor {
    let data = match spec.dtype {
        DType::I8 => TensorData::I8(bytes.into_iter().map(u8::cast_signed).collect()),
        DType::U8 => TensorData::U8(bytes),
        other => panic!("an input of {other}"),
    };
    Tensor::new(spec.shape.clone(), data).unwrap()
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    match tensor.data() {
        TensorData::I8(values) => values.iter().map(|v| v.cast_unsigned()).collect(),
        TensorData::U8(values) => values.clone(),
        other => panic!("an output of {}", other.dtype()),
    }
}

/// The expected outputs, all in a row, and a hash of each input.
fn golden(name: &str) -> (Vec<u8>, Vec<u64>) {
    let path = format!("{}/tests/data/zoo/{name}.npz", env!("CARGO_MANIFEST_DIR"));
    let arrays = arrays::read(path.as_ref()).unwrap();
    let array = |name| &arrays.iter().find(|array| array.name == name).unwrap().tensor;
    let TensorData::I64(hashes) = array("inputs_fnv64").data() else { panic!("{path}") };
    let hashes = hashes.iter().map(|hash| hash.cast_unsigned()).collect();
    let outputs = bytes(array("y_0"));
    (outputs, hashes)
}

/// Runs the model on every input that it has an expected output for.
fn matches_the_reference(name: &str, path: &str) {
    let Some(zoo) = zoo() else { return };
    let path = zoo.join(path);
    let file = std::fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let model = native::load(&file).unwrap();
    let (expected, hashes) = golden(name);
    let signature = model.signature().clone();
    let mut session = model.session().unwrap();
    let mut outputs = vec![Tensor::zeros(&signature.outputs[0])];
    let len = signature.outputs[0].elements();
    assert_eq!(expected.len(), len * hashes.len());
    for (i, (expected, hash)) in expected.chunks_exact(len).zip(hashes).enumerate() {
        let input = input(i as u64, signature.inputs[0].elements());
        assert_eq!(fnv64(&input), hash, "input {i} is not the one that the reference was given");
        session.infer(&[tensor(&signature.inputs[0], input)], &mut outputs).unwrap();
        let found = bytes(&outputs[0]);
        let differing = found.iter().zip(expected).filter(|(a, b)| a != b).count();
        assert_eq!(
            differing, 0,
            "input {i}: {differing} of {len} bytes differ: {found:?}, expected {expected:?}"
        );
    }
}

macro_rules! byte_for_byte {
    ($($test:ident: $path:literal;)*) => {$(
        #[test]
        fn $test() {
            let file = $path.rsplit('/').next().unwrap();
            matches_the_reference(file.trim_end_matches(".tflite"), $path);
        }
    )*};
}

byte_for_byte! {
    anomaly_detection_is_byte_identical: "mlperf-tiny/ad01_int8.tflite";
    keyword_spotting_is_byte_identical: "mlperf-tiny/kws_ref_model.tflite";
    image_classification_is_byte_identical: "mlperf-tiny/pretrainedResnet_quant.tflite";
    large_image_classification_is_byte_identical: "mlperf-tiny/pretrainedResnet_large_int8.tflite";
    streaming_wake_word_is_byte_identical: "mlperf-tiny/str_ww_ref_model.tflite";
    visual_wake_words_is_byte_identical: "mlperf-tiny/vww_96_int8.tflite";
    mobilenet_v1_quarter_uint8_is_byte_identical: "coral/mobilenet_v1_0.25_128_quant.tflite";
    mobilenet_v1_half_uint8_is_byte_identical: "coral/mobilenet_v1_0.5_160_quant.tflite";
    mobilenet_v2_uint8_is_byte_identical: "coral/mobilenet_v2_1.0_224_quant.tflite";
    mobilenet_v2_int8_is_byte_identical: "coral/tf2_mobilenet_v2_1.0_224_ptq.tflite";
}
