use super::*;
use crate::data::{DType, Quantization, TensorData};
use crate::model::{PictureLayout, Resize, Values};

fn spec(dtype: DType, shape: &[usize], scale: f32, zero_point: i32) -> TensorSpec {
    let quantization = (dtype != DType::F32).then_some(Quantization { scale, zero_point });
    TensorSpec { name: "x".into(), dtype, shape: shape.to_vec(), quantization }
}

fn recipe(fit: Fit, color: Color, values: Values, size: [usize; 2], planar: bool) -> PictureRecipe {
    let layout = PictureLayout { width: size[0], height: size[1], planar };
    PictureRecipe { resize: Resize::PillowBilinear, fit, color, values, layout }
}

fn run(recipe: &PictureRecipe, spec: &TensorSpec, picture: &Picture) -> TensorData {
    let mut input = Tensor::zeros(spec);
    PicturePreprocessor::new(recipe, spec).unwrap().apply(picture, &mut input).unwrap();
    input.data().clone()
}

fn two_pixels() -> Picture {
    Picture::new(2, 1, vec![10, 20, 30, 40, 50, 60]).unwrap()
}

#[test]
fn pixels_reach_integer_inputs_as_they_are() {
    let recipe = |color| recipe(Fit::Stretch, color, Values::Pixels, [2, 1], false);
    let unsigned = run(&recipe(Color::Rgb), &spec(DType::U8, &[1, 1, 2, 3], 0.3, 7), &two_pixels());
    assert_eq!(unsigned, TensorData::U8(vec![10, 20, 30, 40, 50, 60]));
    let signed = run(&recipe(Color::Bgr), &spec(DType::I8, &[1, 1, 2, 3], 0.3, 7), &two_pixels());
    assert_eq!(signed, TensorData::I8(vec![-98, -108, -118, -68, -78, -88]));
}

#[test]
fn values_are_standardised_by_channel_of_the_input_and_then_quantized() {
    let values = Values::Standardised { mean: vec![10.0, 20.0, 30.0], std: vec![1.0, 2.0, 10.0] };
    let real = recipe(Fit::Stretch, Color::Rgb, values.clone(), [2, 1], true);
    let planes = run(&real, &spec(DType::F32, &[1, 3, 1, 2], 1.0, 0), &two_pixels());
    assert_eq!(planes, TensorData::F32(vec![0.0, 30.0, 0.0, 15.0, 0.0, 3.0]));
    let bgr = recipe(Fit::Stretch, Color::Bgr, values, [2, 1], false);
    let quantized = run(&bgr, &spec(DType::I8, &[1, 1, 2, 3], 0.5, -1), &two_pixels());
    // (30 - 10) / 1 / 0.5 - 1 = 39, (20 - 20) / 2 …, (10 - 30) / 10 / 0.5 - 1 = -5
    assert_eq!(quantized, TensorData::I8(vec![39, -1, -5, 99, 29, 1]));
}

#[test]
fn values_between_two_steps_are_quantized_once() {
    let values = Values::Standardised { mean: vec![0.0], std: vec![1.0] };
    let mut tf = recipe(Fit::Stretch, Color::Gray, values, [1, 1], false);
    tf.resize = Resize::TensorflowArea;
    let gray = Picture::new(2, 1, vec![1, 1, 1, 2, 2, 2]).unwrap();
    let out = run(&tf, &spec(DType::U8, &[1, 1, 1, 1], 0.25, 3), &gray);
    assert_eq!(out, TensorData::U8(vec![9]), "1.5 is 6 steps above 3");
}

#[test]
fn a_letterbox_is_filled_around_the_picture_every_time() {
    let boxed = recipe(Fit::Letterbox([1, 2, 3]), Color::Rgb, Values::Pixels, [2, 3], false);
    let out = run(&boxed, &spec(DType::U8, &[1, 3, 2, 3], 1.0, 0), &two_pixels());
    let fill = [1, 2, 3, 1, 2, 3];
    assert_eq!(out, TensorData::U8([fill, [10, 20, 30, 40, 50, 60], fill].concat()));
}

#[test]
fn luma_is_pillow_s() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/image/resize.npz");
    let goldens = crate::arrays::unpack(&std::fs::read(path).unwrap()).unwrap();
    let bytes = |name| {
        let tensor = &goldens.iter().find(|array| array.name == name).unwrap().tensor;
        let TensorData::U8(bytes) = tensor.data() else { panic!("uint8") };
        (tensor.shape().to_vec(), bytes.clone())
    };
    let (shape, x) = bytes("x");
    let picture = Picture::new(shape[1], shape[0], x).unwrap();
    let gray = recipe(Fit::Stretch, Color::Gray, Values::Pixels, [shape[1], shape[0]], false);
    let out = run(&gray, &spec(DType::U8, &[1, shape[0], shape[1], 1], 1.0, 0), &picture);
    assert_eq!(out, TensorData::U8(bytes("gray").1));
}

#[test]
fn another_type_of_input_is_refused() {
    let recipe = recipe(Fit::Stretch, Color::Rgb, Values::Pixels, [2, 1], false);
    assert!(PicturePreprocessor::new(&recipe, &spec(DType::I32, &[1, 1, 2, 3], 1.0, 0)).is_err());
}
