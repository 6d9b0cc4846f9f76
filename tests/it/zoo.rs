//! Our executor gives, byte for byte, what LiteRT with XNNPACK gives on x86-64: public models.
//!
//! The models are not part of the repository: `$EDGERUN_ZOO` names the folder that holds them. The
//! expected outputs are, in `tests/data/zoo`.

use std::path::PathBuf;

use crate::reference::assert_byte_identical;

/// The folder of models; `None` where the run was told to do without.
pub(crate) fn zoo() -> Option<PathBuf> {
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

fn check(path: &str) {
    let Some(zoo) = zoo() else { return };
    let path = zoo.join(path);
    let file = std::fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap();
    assert_byte_identical(&file, &format!("zoo/{name}"));
}

macro_rules! byte_identical {
    ($($test:ident: $path:literal;)*) => {$(
        #[test]
        fn $test() {
            check($path);
        }
    )*};
}

byte_identical! {
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
