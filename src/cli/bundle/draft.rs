//! A manifest begun for a person to finish, out of what the model says of itself.

use std::fmt::Write as _;

use anyhow::{bail, ensure};

use crate::data::{DType, Signature, TensorSpec};
use crate::model::{PictureLayout, Step};

/// What a model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// One label of several
    Classification,
    /// A number
    Regression,
    /// A distance from normal, as of an autoencoder
    Anomaly,
}

/// What there is to go by.
pub(super) struct Draft<'a> {
    pub(super) name: &'a str,
    pub(super) file: &'a str,
    pub(super) signature: &'a Signature,
    pub(super) kind: Option<Kind>,
}

/// Nothing is said of it before a person does.
const UPDATE: &str = "
# What a board compares on live windows before this version takes over from the one that serves there; what [ota] of the
# board says comes first. Without it: 20 windows, 0.6, 0.1, and until the next window is due.
# [update]
# windows = 50
# agreement = 0.9      # share of the windows on which both must find the same; lower it for a version with other labels
# within = 0.05        # regression: how far values may differ, as a share of the one that serves
# latency = \"20 ms\"    # processor time of a window
";

impl Draft<'_> {
    /// The text of a manifest that parses.
    ///
    /// # Errors
    /// When no recipe can feed the model.
    pub(super) fn text(&self) -> anyhow::Result<String> {
        let Signature { inputs, outputs } = self.signature;
        let [input] = inputs.as_slice() else {
            bail!("the model has {} inputs; a bundle's recipe fills exactly one", inputs.len());
        };
        ensure!(
            matches!(input.dtype, DType::F32 | DType::I8 | DType::U8),
            "the model's input `{}` is {}; a recipe gives float32, int8 or uint8",
            input.name,
            input.dtype
        );
        ensure!(!outputs.is_empty(), "the model has no output");
        let (index, kind) = self.answer(input, outputs);
        let mut text = String::new();
        self.head(&mut text, &outputs[index], kind)?;
        for (side, specs) in [("input", inputs), ("output", outputs)] {
            for spec in specs {
                tensor(&mut text, side, spec)?;
            }
        }
        match picture_channels(input) {
            Some(channels) => picture(&mut text, channels)?,
            None => recipe(&mut text, input)?,
        }
        postprocess(&mut text, &outputs[index].name, kind)?;
        text.push_str(
            "\n# How far golden outputs may differ: units of integer outputs, |a - b| / max(1, |b|) of floats.\n\
             [golden]\ntolerance = ",
        );
        let float = outputs.iter().any(|o| matches!(o.dtype, DType::F32 | DType::F64));
        text.push_str(if float { "0.0001\n" } else { "0\n" });
        text.push_str(UPDATE);
        Ok(text)
    }

    /// The output that is read, and as what: scores of several classes are floats or quantized.
    fn answer(&self, input: &TensorSpec, outputs: &[TensorSpec]) -> (usize, Kind) {
        let real = |spec: &TensorSpec| {
            matches!(spec.dtype, DType::F32 | DType::F64) || spec.quantization.is_some()
        };
        let index = outputs.iter().position(real).unwrap_or(0);
        let guess = match outputs[index].elements() {
            1 => Kind::Regression,
            n if n == input.elements() && n > 16 => Kind::Anomaly,
            _ => Kind::Classification,
        };
        (index, self.kind.unwrap_or(guess))
    }

    fn head(&self, to: &mut String, output: &TensorSpec, kind: Kind) -> std::fmt::Result {
        writeln!(to, "# A bundle's manifest. `edgerun bundle verify DIR` says whether it holds.")?;
        writeln!(to, "name = {}", quoted(self.name))?;
        writeln!(to, "version = \"0.1.0\"  # raise it for every bundle that you publish")?;
        writeln!(to, "description = \"\"  # EDIT: one sentence for people")?;
        writeln!(to, "license = \"\"  # EDIT: an SPDX expression, as in \"Apache-2.0\"")?;
        writeln!(to, "origin = \"\"  # EDIT: where the training data come from")?;
        writeln!(
            to,
            "edgerun = \"{}\"  # the oldest edgerun that may run it",
            env!("CARGO_PKG_VERSION")
        )?;
        writeln!(to, "model = {}", quoted(self.file))?;
        if kind == Kind::Classification {
            writeln!(
                to,
                "labels = []  # EDIT: {} names in the order of `{}`; without them classes are numbers",
                output.elements(),
                output.name
            )?;
        }
        Ok(())
    }
}

fn tensor(to: &mut String, side: &str, spec: &TensorSpec) -> std::fmt::Result {
    let TensorSpec { name, dtype, shape, quantization } = spec;
    writeln!(to, "\n[[{side}]]\nname = {}\ndtype = \"{dtype}\"\nshape = {shape:?}", quoted(name))?;
    if let Some(q) = quantization {
        let zero_point = q.zero_point;
        writeln!(to, "quantization = {{ scale = {:?}, zero_point = {zero_point} }}", q.scale)?;
    }
    Ok(())
}

/// Whether an input looks like a picture of 3 or 1 channels: two sides that can be seen on.
fn picture_channels(input: &TensorSpec) -> Option<usize> {
    let sides = |layout: PictureLayout| layout.width.min(layout.height) >= 8;
    let batch = input.shape.len() == 4;
    let fits = |&n: &usize| batch && PictureLayout::of(&input.shape, n).is_some_and(sides);
    [3, 1].into_iter().find(fits)
}

/// One picture: the input's shape says its size.
fn picture(to: &mut String, channels: usize) -> std::fmt::Result {
    let color = if channels == 3 { "rgb" } else { "gray" };
    writeln!(
        to,
        "\n# How a picture becomes the input. EDIT: as training did it; docs/images.md says what each word means.\n\
         # An input that is no picture takes rows instead: frames = 1, channels = [...].\n\
         [preprocess.picture]\n\
         resize = \"pillow_bilinear\"  # pillow_{{box,bilinear,bicubic,lanczos}}, opencv_{{linear,area}},\n\
         \x20                           # tensorflow_{{bilinear,v1_bilinear,align_corners,area}}\n\
         fit = \"stretch\"             # or \"crop\", or \"letterbox\" with fill = [114, 114, 114]\n\
         color = \"{color}\"               # rgb, bgr, gray\n\
         # mean = 127.5              # (x - mean) / std of 0 to 255; without both the model takes the pixels themselves\n\
         # std = 127.5"
    )
}

/// Sensor rows: the last dimension as channels, what lies before it, without a batch of 1, as frames.
fn recipe(to: &mut String, input: &TensorSpec) -> std::fmt::Result {
    let shape = match input.shape.as_slice() {
        [1, rest @ ..] if !rest.is_empty() => rest,
        shape => shape,
    };
    let channels = shape.last().copied().unwrap_or(1);
    let frames = input.elements() / channels.max(1);
    writeln!(
        to,
        "\n# How a window of sensor rows becomes the input: {frames} frames of {channels} channels."
    )?;
    writeln!(to, "[preprocess]\nframes = {frames}")?;
    writeln!(to, "# rate = \"100 Hz\"  # EDIT: the rate that it was trained at, if it matters")?;
    writeln!(to, "channels = [  # EDIT: as the sensor names them, with SI units")?;
    for channel in 0..channels {
        writeln!(to, "  {{ name = \"channel_{channel}\", unit = \"\" }},")?;
    }
    writeln!(
        to,
        "]\n# EDIT: what training did to the rows, in order; a number for all channels or a list of one each."
    )?;
    writeln!(to, "step = [")?;
    writeln!(to, "  # {{ do = \"missing\", policy = \"hold\", max = 3 }},")?;
    writeln!(to, "  # {{ do = \"clip\", low = -10.0, high = 10.0 }},")?;
    writeln!(to, "  # {{ do = \"scale\", factor = 0.5, offset = 0.0 }},")?;
    writeln!(to, "  # {{ do = \"standardise\", mean = 0.0, std = 1.0 }},")?;
    writeln!(to, "  # All there are, with their keys in docs/recipes.md:")?;
    for names in Step::NAMES.chunks(10) {
        writeln!(to, "  #   {}", names.join(", "))?;
    }
    writeln!(to, "]")
}

fn postprocess(to: &mut String, output: &str, kind: Kind) -> std::fmt::Result {
    writeln!(to, "\n[postprocess]")?;
    let keys = match kind {
        Kind::Classification => {
            "kind = \"classification\"\n\
             threshold = 0.5   # below it there is no label\n\
             hysteresis = 0.1  # the current label is kept down to threshold - hysteresis\n\
             hold = 1          # windows in a row that a new label must win\n\
             top = 3           # scores that are published\n"
        }
        Kind::Regression => {
            "kind = \"regression\"\n\
             unit = \"\"      # EDIT: SI symbol\n\
             scale = 1.0    # published: output * scale + offset\n\
             offset = 0.0\n"
        }
        Kind::Anomaly => {
            "kind = \"anomaly\"\n\
             score = \"mse\"   # mean squared difference of input and output; \"output\": the output itself\n\
             limit = 1.0      # EDIT: above it a window is anomalous\n\
             hysteresis = 0.0\n\
             hold = 1\n"
        }
    };
    writeln!(to, "{keys}output = {}", quoted(output))
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Quantization;
    use crate::model::Manifest;

    fn spec(name: &str, dtype: DType, shape: &[usize], quantized: bool) -> TensorSpec {
        let quantization =
            quantized.then_some(Quantization { scale: 1.0 / 256.0, zero_point: -128 });
        TensorSpec { name: name.into(), dtype, shape: shape.into(), quantization }
    }

    fn draft(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> anyhow::Result<Manifest> {
        let signature = Signature { inputs, outputs };
        let draft = Draft { name: "m", file: "m.tflite", signature: &signature, kind: None };
        let manifest = Manifest::parse(&draft.text()?)?;
        assert_eq!((&manifest.inputs, &manifest.outputs), (&signature.inputs, &signature.outputs));
        Ok(manifest)
    }

    #[test]
    fn a_draft_parses_and_describes_the_model() {
        let image = vec![spec("serving \"x\":0", DType::U8, &[1, 96, 96, 3], true)];
        let scores = vec![spec("y\\z", DType::U8, &[1, 2], true)];
        let manifest = draft(image, scores).unwrap();
        let layout = manifest.recipe.picture.unwrap().layout;
        assert_eq!((layout.width, layout.height, layout.planar), (96, 96, false));
        let gray = vec![spec("x", DType::F32, &[1, 1, 28, 32], false)];
        let manifest = draft(gray, vec![spec("y", DType::F32, &[1, 10], false)]).unwrap();
        let layout = manifest.recipe.picture.unwrap().layout;
        assert_eq!((layout.width, layout.height, layout.planar), (32, 28, true));
        let rows = vec![spec("x", DType::F32, &[1, 49, 40, 4], false)];
        let manifest = draft(rows, vec![spec("y", DType::F32, &[1, 10], false)]).unwrap();
        assert_eq!(manifest.recipe.frames, 49 * 40);

        let row = vec![spec("x", DType::F32, &[1, 30], false)];
        let label = spec("label", DType::I64, &[1], false);
        let scores = spec("scores", DType::F32, &[1, 2], false);
        let manifest = draft(row.clone(), vec![label, scores]).unwrap();
        assert_eq!((manifest.recipe.frames, manifest.postprocess.output), (1, 1));

        let manifest = draft(row.clone(), row.clone()).unwrap();
        assert!(format!("{:?}", manifest.postprocess.kind).starts_with("Anomaly"));
        let manifest = draft(row, vec![spec("y", DType::F32, &[1, 1], false)]).unwrap();
        assert!(format!("{:?}", manifest.postprocess.kind).starts_with("Regression"));
    }

    #[test]
    fn what_no_recipe_feeds_is_refused() {
        let x = || spec("x", DType::F32, &[1, 4], false);
        let why = |inputs, outputs| draft(inputs, outputs).unwrap_err().to_string();
        assert!(why(vec![x(), x()], vec![x()]).starts_with("the model has 2 inputs"));
        let text = spec("x", DType::Str, &[1], false);
        assert!(why(vec![text], vec![x()]).starts_with("the model's input `x` is str"));
    }
}
