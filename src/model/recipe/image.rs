//! The recipe of a picture: how it comes to the size, the colours and the values that the model was trained on.

use serde::Deserialize;

use super::super::manifest::{ManifestError, wrong};
use crate::data::{DType, PIXELS_MAX, TensorSpec};

/// A picture → the model's one input. The input's shape says the size and the order: `[1, height, width, n]`
/// or `[1, n, height, width]`, n 1 or 3.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureRecipe {
    /// By whose definition it is resized.
    pub resize: Resize,
    /// What becomes of another ratio of width to height.
    pub fit: Fit,
    /// The channels.
    pub color: Color,
    /// What a channel's value becomes.
    pub values: Values,
    /// Where the channels lie in the input.
    pub layout: PictureLayout,
}

/// A resize by its definition: no two of these give the same pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Pillow's `BOX`.
    PillowBox,
    /// Pillow's `BILINEAR`: antialiased, as all of Pillow's.
    PillowBilinear,
    /// Pillow's `BICUBIC`.
    PillowBicubic,
    /// Pillow's `LANCZOS`.
    PillowLanczos,
    /// `tf.image.resize` of TensorFlow 2, bilinear without antialiasing: half-pixel centres.
    TensorflowBilinear,
    /// `tf.compat.v1.image.resize_bilinear`: no half-pixel centres.
    TensorflowV1Bilinear,
    /// The same with `align_corners`.
    TensorflowAlignCorners,
    /// `tf.image.resize`, area.
    TensorflowArea,
    /// OpenCV's `INTER_LINEAR`: not antialiased.
    OpencvLinear,
    /// OpenCV's `INTER_AREA`.
    OpencvArea,
}

impl Resize {
    /// Every definition.
    pub const ALL: [Self; 10] = [
        Self::PillowBox,
        Self::PillowBilinear,
        Self::PillowBicubic,
        Self::PillowLanczos,
        Self::TensorflowBilinear,
        Self::TensorflowV1Bilinear,
        Self::TensorflowAlignCorners,
        Self::TensorflowArea,
        Self::OpencvLinear,
        Self::OpencvArea,
    ];

    /// As the manifest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PillowBox => "pillow_box",
            Self::PillowBilinear => "pillow_bilinear",
            Self::PillowBicubic => "pillow_bicubic",
            Self::PillowLanczos => "pillow_lanczos",
            Self::TensorflowBilinear => "tensorflow_bilinear",
            Self::TensorflowV1Bilinear => "tensorflow_v1_bilinear",
            Self::TensorflowAlignCorners => "tensorflow_align_corners",
            Self::TensorflowArea => "tensorflow_area",
            Self::OpencvLinear => "opencv_linear",
            Self::OpencvArea => "opencv_area",
        }
    }
}

/// What becomes of a picture whose ratio of width to height is not the input's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is stretched.
    Stretch,
    /// The largest part of its middle that has the input's ratio.
    Crop,
    /// The whole of it in the input's middle, the rest in one colour: red, green, blue.
    Letterbox([u8; 3]),
}

impl Fit {
    /// As the manifest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stretch => "stretch",
            Self::Crop => "crop",
            Self::Letterbox(_) => "letterbox",
        }
    }
}

/// The channels of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Color {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as OpenCV has them.
    Bgr,
    /// Luma, as Pillow's `L`: `(19595 r + 38470 g + 7471 b + 32768) / 65536`, before the resize.
    Gray,
}

impl Color {
    /// As the manifest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rgb => "rgb",
            Self::Bgr => "bgr",
            Self::Gray => "gray",
        }
    }

    /// Channels of the input.
    pub fn channels(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Gray => 1,
        }
    }
}

/// What a channel's value, 0 to 255, becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// The model takes pixels: 0 to 255 in a uint8 or float32 input, less 128 in an int8 one, whatever the
    /// input's quantization says.
    Pixels,
    /// `(x - mean) / std`, then the input's quantization. By channel of the input; no `std` is 0.
    Standardised {
        /// Subtracted, of 0 to 255.
        mean: Vec<f32>,
        /// Divisors.
        std: Vec<f32>,
    },
}

/// Where the channels lie in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLayout {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[1, n, height, width]` and not `[1, height, width, n]`.
    pub planar: bool,
}

/// `preprocess.picture` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    resize: Resize,
    fit: FitKind,
    fill: Option<[u8; 3]>,
    color: Color,
    mean: Option<Numbers>,
    std: Option<Numbers>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FitKind {
    Stretch,
    Crop,
    Letterbox,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    One(f32),
    Each(Vec<f32>),
}

impl Raw {
    /// Checks it for the model's input.
    pub(super) fn checked(self, input: &TensorSpec) -> Result<PictureRecipe, ManifestError> {
        let color = self.color;
        let count = color.channels();
        if !matches!(input.dtype, DType::U8 | DType::I8 | DType::F32) {
            let why = format!(
                "pictures go into uint8, int8 or float32, `{}` is {}",
                input.name, input.dtype
            );
            return wrong(KEY, why);
        }
        let Some(layout) = PictureLayout::of(&input.shape, count) else {
            let why = format!(
                "`{}` is {:?}; {} pictures need [1, height, width, {count}] or [1, {count}, height, width]",
                input.name,
                input.shape,
                color.as_str()
            );
            return wrong(KEY, why);
        };
        let fit = match (self.fit, self.fill) {
            (FitKind::Stretch, None) => Fit::Stretch,
            (FitKind::Crop, None) => Fit::Crop,
            (FitKind::Letterbox, Some(fill)) => Fit::Letterbox(fill),
            (FitKind::Letterbox, None) => {
                let why = "fit = \"letterbox\" needs the colour around the picture, as in [114, 114, 114]";
                return wrong(format!("{KEY}.fill"), why.into());
            }
            (FitKind::Stretch | FitKind::Crop, Some(_)) => {
                return wrong(
                    format!("{KEY}.fill"),
                    "only fit = \"letterbox\" leaves room for it".into(),
                );
            }
        };
        let each = |name: &str, numbers: Numbers| {
            let key = format!("{KEY}.{name}");
            let values = match numbers {
                Numbers::One(value) => vec![value; count],
                Numbers::Each(values) => values,
            };
            if values.len() != count {
                return wrong(key, format!("{} values for {count} channels", values.len()));
            }
            match values.iter().find(|value| !value.is_finite()) {
                Some(value) => wrong(key, format!("{value} is not a finite number")),
                None => Ok(values),
            }
        };
        let values = match (self.mean, self.std) {
            (None, None) => Values::Pixels,
            (Some(mean), Some(std)) => {
                let (mean, std) = (each("mean", mean)?, each("std", std)?);
                if std.contains(&0.0) {
                    return wrong(format!("{KEY}.std"), "must not be 0".into());
                }
                Values::Standardised { mean, std }
            }
            (mean, _) => {
                let (there, missing) =
                    if mean.is_some() { ("mean", "std") } else { ("std", "mean") };
                return wrong(format!("{KEY}.{missing}"), format!("is needed beside {there}"));
            }
        };
        Ok(PictureRecipe { resize: self.resize, fit, color, values, layout })
    }
}

const KEY: &str = "preprocess.picture";

impl PictureLayout {
    /// That of an input of `shape` for pictures of `channels`; dimensions of 1 may lead.
    pub fn of(shape: &[usize], channels: usize) -> Option<Self> {
        let leading = shape.len().checked_sub(3)?;
        let (ones, sides) = shape.split_at(leading);
        let (width, height, planar) = match *sides {
            [height, width, n] if n == channels => (width, height, false),
            [n, height, width] if n == channels => (width, height, true),
            _ => return None,
        };
        let pixels = width.checked_mul(height).filter(|pixels| (1..=PIXELS_MAX).contains(pixels));
        let good = ones.iter().all(|&n| n == 1) && pixels.is_some();
        good.then_some(Self { width, height, planar })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(shape: &str, picture: &str) -> Result<PictureRecipe, String> {
        let text = format!(
            "name = \"m\"\nversion = \"1.0.0\"\nedgerun = \"0.1.0\"\nmodel = \"m.tflite\"\n\
             input = [{{ name = \"x\", dtype = \"uint8\", shape = {shape} }}]\n\
             output = [{{ name = \"y\", dtype = \"uint8\", shape = [1, 3] }}]\n\
             postprocess = {{ kind = \"classification\" }}\npreprocess = {{ picture = {{ {picture} }} }}"
        );
        let manifest =
            super::super::super::Manifest::parse(&text).map_err(|why| why.to_string())?;
        Ok(manifest.recipe.picture.expect("asked for"))
    }

    const PLAIN: &str = "resize = \"pillow_bilinear\", fit = \"stretch\", color = \"rgb\"";

    #[test]
    fn the_input_s_shape_says_size_and_order() {
        let layout = |shape| parse(shape, PLAIN).map(|recipe| recipe.layout);
        let (width, height) = (6, 4);
        assert_eq!(layout("[1, 4, 6, 3]"), Ok(PictureLayout { width, height, planar: false }));
        assert_eq!(layout("[1, 3, 4, 6]"), Ok(PictureLayout { width, height, planar: true }));
        let why = layout("[1, 4, 6, 1]").unwrap_err();
        assert_eq!(
            why,
            "preprocess.picture: `x` is [1, 4, 6, 1]; rgb pictures need [1, height, width, 3] or \
             [1, 3, height, width]"
        );
    }

    #[test]
    fn pixels_are_taken_as_they_are_unless_mean_and_std_are_there() {
        let values =
            |more: &str| parse("[1, 4, 6, 3]", &format!("{PLAIN}{more}")).map(|r| r.values);
        assert_eq!(values(""), Ok(Values::Pixels));
        let standardised = Values::Standardised { mean: vec![128.0; 3], std: vec![1.0, 2.0, 3.0] };
        assert_eq!(values(", mean = 128.0, std = [1.0, 2.0, 3.0]"), Ok(standardised));
        for (more, why) in [
            (", mean = 1.0", "preprocess.picture.std: is needed beside mean"),
            (", mean = 1.0, std = 0.0", "preprocess.picture.std: must not be 0"),
            (", mean = [1.0], std = 1.0", "preprocess.picture.mean: 1 values for 3 channels"),
            (
                ", fill = [0, 0, 0]",
                "preprocess.picture.fill: only fit = \"letterbox\" leaves room for it",
            ),
        ] {
            assert_eq!(values(more).unwrap_err(), why);
        }
    }

    #[test]
    fn a_letterbox_says_its_colour() {
        let boxed = PLAIN.replace("stretch", "letterbox");
        let why = parse("[1, 4, 6, 3]", &boxed).unwrap_err();
        assert!(why.starts_with("preprocess.picture.fill: fit = \"letterbox\" needs"), "{why}");
        let recipe = parse("[1, 4, 6, 3]", &format!("{boxed}, fill = [1, 2, 3]")).unwrap();
        assert_eq!(recipe.fit, Fit::Letterbox([1, 2, 3]));
    }

    #[test]
    fn every_resize_is_read_by_its_name() {
        for resize in Resize::ALL {
            let picture = PLAIN.replace("pillow_bilinear", resize.as_str());
            assert_eq!(parse("[1, 4, 6, 3]", &picture).map(|r| r.resize), Ok(resize));
        }
    }
}
