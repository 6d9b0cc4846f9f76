use std::path::Path;

use super::*;
use crate::arrays;
use crate::data::TensorData;
use proptest::prelude::*;

fn goldens() -> Vec<arrays::Array> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/image/resize.npz");
    arrays::unpack(&std::fs::read(path).unwrap()).unwrap()
}

/// Width, height and bytes of `x`.
fn source(goldens: &[arrays::Array]) -> ([usize; 2], Vec<u8>) {
    let x = &goldens.iter().find(|array| array.name == "x").unwrap().tensor;
    let TensorData::U8(bytes) = x.data() else { panic!("uint8") };
    ([x.shape()[1], x.shape()[0]], bytes.clone())
}

fn resize(method: Resize, from: [usize; 2], bytes: &[u8], to: [usize; 2], n: usize) -> Vec<f32> {
    let (width, height) = (from[0], from[1]);
    let pixels = Pixels { bytes, stride: width * n, width, height, channels: n };
    let mut out = Vec::new();
    Resizer::new(method, from, to, n).run(pixels, &mut |y, row| {
        assert_eq!(y, out.len() / (to[0] * n));
        match row {
            Row::Bytes(bytes) => out.extend(bytes.iter().map(|&byte| f32::from(byte))),
            Row::Real(real) => out.extend_from_slice(real),
        }
    });
    out
}

/// Largest difference to the goldens of `method`, over all sizes and values.
fn largest_difference(method: Resize) -> f32 {
    let goldens = goldens();
    let (from, bytes) = source(&goldens);
    let mut largest = 0.0f32;
    let mut sizes = 0;
    for golden in &goldens {
        let Some(size) = golden.name.strip_prefix(&format!("{}_", method.as_str())) else {
            continue;
        };
        let Some((width, height)) = size.split_once('x') else { continue };
        let to = [width.parse().unwrap(), height.parse().unwrap()];
        let expected: Vec<f32> = match golden.tensor.data() {
            TensorData::U8(bytes) => bytes.iter().map(|&byte| f32::from(byte)).collect(),
            TensorData::F32(real) => real.clone(),
            other => panic!("{other:?}"),
        };
        let found = resize(method, from, &bytes, to, 3);
        assert_eq!(found.len(), expected.len());
        let most = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        if most > 0.0 {
            let off = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
            eprintln!("{}: {off} of {} differ, by up to {most}", golden.name, found.len());
        }
        largest = largest.max(most);
        sizes += 1;
    }
    assert!(sizes >= 6, "{} has {sizes} goldens", method.as_str());
    largest
}

#[test]
fn pillow_s_pixels_are_met_byte_for_byte() {
    use Resize::*;
    for method in [PillowBox, PillowBilinear, PillowBicubic, PillowLanczos] {
        assert_eq!(largest_difference(method), 0.0, "{method:?}");
    }
}

#[test]
fn tensorflow_s_values_are_met_bit_for_bit() {
    use Resize::*;
    for method in [TensorflowBilinear, TensorflowV1Bilinear, TensorflowAlignCorners, TensorflowArea]
    {
        assert_eq!(largest_difference(method), 0.0, "{method:?}");
    }
}

#[test]
fn opencv_s_pixels_are_met_within_a_unit() {
    for method in [Resize::OpencvLinear, Resize::OpencvArea] {
        assert!(largest_difference(method) <= 1.0, "{method:?}");
    }
}

#[test]
fn a_part_of_a_picture_is_resized_as_if_it_were_all() {
    let goldens = goldens();
    let ([width, _], bytes) = source(&goldens);
    let stride = width * 3;
    let part =
        Pixels { bytes: &bytes[4 * stride + 6..], stride, width: 15, height: 12, channels: 3 };
    let alone: Vec<u8> =
        (0..12).flat_map(|y| bytes[(y + 4) * stride + 6..][..45].iter().copied()).collect();
    for method in Resize::ALL {
        let mut out = Vec::new();
        Resizer::new(method, [15, 12], [7, 5], 3).run(part, &mut |_, row| match row {
            Row::Bytes(bytes) => out.extend(bytes.iter().map(|&byte| f32::from(byte))),
            Row::Real(real) => out.extend_from_slice(real),
        });
        assert_eq!(out, resize(method, [15, 12], &alone, [7, 5], 3), "{method:?}");
    }
}

#[test]
fn the_largest_and_the_smallest_pictures_do_not_overflow() {
    // Bicubic and Lanczos weights are negative between the ones: sums are largest where they are not met.
    let bars: Vec<u8> = (0..4000).map(|x| if x / 3 % 2 == 0 { 255 } else { 0 }).collect();
    for method in Resize::ALL {
        for (from, to) in [([4000, 1], [1, 1]), ([4000, 1], [1333, 2]), ([1, 4000], [3, 700])] {
            let out = resize(method, from, &bars, to, 1);
            assert!(out.iter().all(|value| (0.0..=255.0).contains(value)), "{method:?}");
        }
    }
}

proptest! {
    #[test]
    fn one_colour_stays_one_colour(
        from in [1usize..40, 1usize..40], to in [1usize..40, 1usize..40], value: u8, which in 0usize..10,
    ) {
        let bytes = vec![value; from[0] * from[1]];
        let out = resize(Resize::ALL[which], from, &bytes, to, 1);
        prop_assert_eq!(out.len(), to[0] * to[1]);
        // OpenCV's fixed point and TensorFlow's sums lose up to a unit.
        prop_assert!(out.iter().all(|found| (found - f32::from(value)).abs() <= 1.0));
    }
}
