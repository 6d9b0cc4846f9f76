//! Our executor gives what LiteRT with XNNPACK gives on x86-64, byte for byte where it is integers:
//! public models.
//!
//! The models are not part of the repository: `$EDGERUN_ZOO` names the folder that holds them. The
//! expected outputs are, in `tests/data/zoo`.

use std::path::PathBuf;

use edgerun::data::{Tensor, TensorData};
use edgerun::engine::native;
use serde_json::Value;

use crate::reference::assert_as_litert;

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

fn check(path: &str, hybrid: bool) {
    let Some(zoo) = zoo() else { return };
    let path = zoo.join(path);
    let file = std::fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap();
    assert_as_litert(&file, &format!("zoo/{name}"), hybrid);
}

macro_rules! as_litert {
    ($($test:ident: $path:literal;)*) => {$(
        #[test]
        fn $test() {
            check($path, false);
        }
    )*};
}

as_litert! {
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
    float_anomaly_detection_is_within_tolerance: "mlperf-tiny/ad01_fp32.tflite";
    float_image_classification_is_within_tolerance: "mlperf-tiny/pretrainedResnet.tflite";
    large_float_image_classification_is_within_tolerance: "mlperf-tiny/pretrainedResnet_large_float.tflite";
    float_visual_wake_words_is_within_tolerance: "mlperf-tiny/vww_96_float.tflite";
}

/// Its name says float, but its weights are of 8 bits.
#[test]
fn hybrid_keyword_spotting_is_within_tolerance() {
    check("mlperf-tiny/kws_ref_model_float32.tflite", true);
}

/// Every photograph gets the class that LiteRT gives it.
#[test]
fn photographs_get_their_class() {
    let Some(zoo) = zoo() else { return };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/zoo");
    let classes = std::fs::read_to_string(format!("{folder}/images.json")).unwrap();
    let classes: Value = serde_json::from_str(&classes).unwrap();
    for (name, expected) in classes.as_object().unwrap() {
        let file = std::fs::read(zoo.join(format!("coral/{name}.tflite"))).unwrap();
        let model = native::load(&file).unwrap();
        let (input, output) = (&model.signature().inputs[0], &model.signature().outputs[0]);
        let mut session = model.session().unwrap();
        for (image, class) in expected.as_object().unwrap() {
            let bmp = std::fs::read(zoo.join(format!("coral/{image}.bmp"))).unwrap();
            let pixels = Bitmap::read(&bmp).resized(input.shape[2], input.shape[1]);
            let data = match input.dtype {
                edgerun::data::DType::U8 => TensorData::U8(pixels),
                _ => TensorData::I8(pixels.iter().map(|p| (p ^ 0x80).cast_signed()).collect()),
            };
            let x = Tensor::new(input.shape.clone(), data).unwrap();
            let mut y = [Tensor::zeros(output)];
            session.infer(&[x], &mut y).unwrap();
            let scores = y[0].data().to_f64().unwrap();
            let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
            assert_eq!(Some(best as u64), class.as_u64(), "{image} by {name}");
        }
    }
}

/// An RGB image, top row first.
struct Bitmap {
    width: usize,
    height: usize,
    pixels: Vec<[f64; 3]>,
}

impl Bitmap {
    /// An uncompressed 24-bit BMP.
    fn read(file: &[u8]) -> Self {
        let word = |at: usize| i32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let (start, width, height) = (word(10) as usize, word(18) as usize, word(22) as usize);
        assert_eq!(u16::from_le_bytes([file[28], file[29]]), 24, "bits of a pixel");
        let row = (3 * width).next_multiple_of(4);
        let pixels = (0..height).rev().flat_map(|y| {
            let row = &file[start + y * row..][..3 * width];
            row.as_chunks().0.iter().map(|&[b, g, r]| [f64::from(r), f64::from(g), f64::from(b)])
        });
        Self { width, height, pixels: pixels.collect() }
    }

    /// With a triangle filter as wide as the scale, as Pillow's bilinear resize has it.
    fn resized(&self, width: usize, height: usize) -> Vec<u8> {
        let (across, down) = (weights(self.width, width), weights(self.height, height));
        let mut pixels = Vec::new();
        for (top, down) in &down {
            for (left, across) in &across {
                let mut sum = [0.0; 3];
                for (y, by) in down.iter().enumerate() {
                    for (x, bx) in across.iter().enumerate() {
                        let pixel = self.pixels[(top + y) * self.width + left + x];
                        (0..3).for_each(|c| sum[c] += by * bx * pixel[c]);
                    }
                }
                pixels.extend(sum.map(|sum| sum.round() as u8));
            }
        }
        pixels
    }
}

/// For each of `to` places the first of `from` places that it takes, and how much of each.
fn weights(from: usize, to: usize) -> Vec<(usize, Vec<f64>)> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let place = |i: usize| {
        let center = (i as f64 + 0.5) * scale;
        let first = (center - reach + 0.5).max(0.0) as usize;
        let last = ((center + reach + 0.5) as usize).min(from);
        let weight = |x: usize| (1.0 - ((x as f64 + 0.5 - center) / reach).abs()).max(0.0);
        let weights: Vec<f64> = (first..last).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        (first, weights.iter().map(|weight| weight / sum).collect())
    };
    (0..to).map(place).collect()
}
