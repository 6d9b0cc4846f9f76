//! `edgerun infer`: one model on arrays, exactly as the daemon would run it.

mod bind;
mod rows;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::model_file::{EngineArgs, ModelFile};
use super::{Outcome, logger};
use crate::arrays;
use crate::clock::Stopwatch;
use crate::data::{Tensor, TensorData, TensorSpec};
use crate::engine::Model;
pub(super) use bind::{InputArg, bind};
pub(super) use rows::{Batch, Numbers};

/// Rows that the summary shows.
const ROWS_SHOWN: usize = 10;
/// Values of a row that the summary shows.
const VALUES_SHOWN: usize = 8;

/// Arguments of `edgerun infer`.
#[derive(clap::Args)]
#[command(after_help = "An array with one more leading dimension than the model's input, or with \
    another leading length where the model's is 1, is run row by row and the outputs are stacked.")]
pub(crate) struct Args {
    /// A model (.tflite, .onnx) or a bundle (.edge or folder)
    file: PathBuf,

    /// Arrays for the model's inputs: FILE.npz by name, FILE.npy by position, or NAME=FILE, 0=FILE
    #[arg(long, value_name = "[NAME=]FILE", required = true)]
    input: Vec<InputArg>,

    /// Where the outputs go, as .npz or .npy; without it a summary is printed
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Real values in and out, through the model's quantization, instead of raw integers
    #[arg(long)]
    float: bool,

    #[command(flatten)]
    engine: EngineArgs,

    /// Prints one JSON object, with the outputs' values unless --output takes them
    #[arg(long)]
    json: bool,
}

/// Loads, binds, runs, writes.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = ModelFile::read(&args.file)?;
    let model = file.load(args.engine.options())?;
    file.check(&*model)?;
    let signature = model.signature();
    let numbers = if args.float { Numbers::Real } else { Numbers::Raw };
    let bound = bind(&args.input, signature)?;
    for note in &bound.ignored {
        logger::say(note);
    }
    let batch = Batch::new(&bound.tensors, signature, numbers)?;
    let watch = Stopwatch::start();
    let outputs = batch.run(&*model, numbers)?;
    let took = watch.elapsed();

    if let Some(path) = &args.output {
        let named = signature.outputs.iter().map(|spec| spec.name.as_str()).zip(&outputs);
        arrays::write(path, &named.collect::<Vec<_>>())?;
    }
    let report = Shown { file: &file, model: &*model, batch: &batch, outputs: &outputs, took };
    if args.json {
        writeln!(out, "{}", report.json(args))?;
    } else {
        report.text(args, out)?;
    }
    Ok(Outcome::Good)
}

/// What there is to print.
struct Shown<'a> {
    file: &'a ModelFile,
    model: &'a dyn Model,
    batch: &'a Batch,
    outputs: &'a [Tensor],
    took: Duration,
}

impl Shown<'_> {
    fn specs(&self) -> impl Iterator<Item = (&TensorSpec, &Tensor)> {
        self.model.signature().outputs.iter().zip(self.outputs)
    }

    fn json(&self, args: &Args) -> Value {
        let outputs = self.specs().map(|(spec, tensor)| {
            let mut output = json!({
                "name": spec.name, "dtype": tensor.dtype().as_str(), "shape": tensor.shape(),
            });
            if args.output.is_none() {
                output["data"] = nested(tensor.data(), tensor.shape());
            }
            output
        });
        json!({
            "model": self.file.path.display().to_string(),
            "engine": self.model.report().engine.as_str(),
            "rows": self.batch.rows(),
            "took_us": self.took.as_micros() as u64,
            "output": args.output.as_ref().map(|path| path.display().to_string()),
            "outputs": outputs.collect::<Vec<_>>(),
        })
    }

    fn text(&self, args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
        let runs = match self.batch.rows() {
            None => "one run".to_owned(),
            Some(1) => "1 row".to_owned(),
            Some(rows) => format!("{rows} rows"),
        };
        let engine = self.model.report().engine;
        writeln!(out, "{} on {engine}: {runs} in {:.1?}", self.file.path.display(), self.took)?;
        for (spec, tensor) in self.specs() {
            writeln!(out, "  {}  {} {:?}", spec.name, tensor.dtype(), tensor.shape())?;
            if args.output.is_none() {
                self.rows(tensor, out)?;
            }
        }
        if let Some(path) = &args.output {
            writeln!(out, "written to {}", path.display())?;
        }
        Ok(())
    }

    /// The first rows of an output, each with its highest value where it is a vector.
    fn rows(&self, tensor: &Tensor, out: &mut dyn Write) -> anyhow::Result<()> {
        let rows = self.batch.rows().unwrap_or(1);
        let len = tensor.data().len().checked_div(rows).unwrap_or(0);
        let row_shape = &tensor.shape()[usize::from(self.batch.rows().is_some())..];
        let is_vector = row_shape.iter().filter(|&&dim| dim > 1).count() == 1;
        let labels = self.file.manifest().map_or(&[][..], |manifest| &manifest.labels);
        for row in 0..rows.min(ROWS_SHOWN) {
            let data = tensor.data().slice(row * len, (row + 1) * len);
            let shown = texts(&data, VALUES_SHOWN).join("  ");
            let more = if len > VALUES_SHOWN { "  …" } else { "" };
            let top = data.to_f64().filter(|_| is_vector).and_then(|values| highest(&values));
            let top = top.map(|class| match labels.get(class) {
                Some(label) if labels.len() == len => format!("  → {class} {label}"),
                _ => format!("  → {class}"),
            });
            writeln!(out, "    {shown}{more}{}", top.unwrap_or_default())?;
        }
        if rows > ROWS_SHOWN {
            writeln!(out, "    … {} more", rows - ROWS_SHOWN)?;
        }
        Ok(())
    }
}

/// Index of the first highest value.
fn highest(values: &[f64]) -> Option<usize> {
    let best = values.iter().copied().max_by(f64::total_cmp)?;
    values.iter().position(|&value| value == best)
}

/// The first `count` elements, as people read them.
fn texts(data: &TensorData, count: usize) -> Vec<String> {
    match data {
        TensorData::F32(values) => values.iter().take(count).map(|v| format!("{v:.5}")).collect(),
        TensorData::F64(values) => values.iter().take(count).map(|v| format!("{v:.5}")).collect(),
        TensorData::Str(values) => values.iter().take(count).map(|v| format!("{v:?}")).collect(),
        other => {
            let first = other.slice(0, other.len().min(count)).to_f64().unwrap_or_default();
            first.iter().map(f64::to_string).collect()
        }
    }
}

/// Elements as nested lists, as `numpy.ndarray.tolist` gives them; NaN and infinities are null.
fn nested(data: &TensorData, shape: &[usize]) -> Value {
    let flat: Vec<Value> = match data {
        TensorData::F32(values) => values.iter().map(|&v| json!(v)).collect(),
        TensorData::F64(values) => values.iter().map(|&v| json!(v)).collect(),
        TensorData::I8(values) => values.iter().map(|&v| json!(v)).collect(),
        TensorData::U8(values) => values.iter().map(|&v| json!(v)).collect(),
        TensorData::I16(values) => values.iter().map(|&v| json!(v)).collect(),
        TensorData::I32(values) => values.iter().map(|&v| json!(v)).collect(),
        TensorData::I64(values) => values.iter().map(|&v| json!(v)).collect(),
        TensorData::Bool(values) => values.iter().map(|&v| json!(v)).collect(),
        TensorData::Str(values) => values.iter().map(|v| json!(v)).collect(),
    };
    // From the innermost dimension outwards, lists become elements of longer lists.
    let mut level = flat;
    for &len in shape.iter().skip(1).rev() {
        if len == 0 {
            return json!([]);
        }
        level = level.chunks(len).map(|chunk| Value::Array(chunk.to_vec())).collect();
    }
    match (shape, level.pop()) {
        ([], Some(scalar)) => scalar,
        (_, last) => {
            level.extend(last);
            Value::Array(level)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_nested_as_the_shape_says() {
        let data = TensorData::I8(vec![1, 2, 3, 4, 5, 6]);
        assert_eq!(nested(&data, &[3, 2]).to_string(), "[[1,2],[3,4],[5,6]]");
        assert_eq!(nested(&data, &[1, 2, 3]).to_string(), "[[[1,2,3],[4,5,6]]]");
        assert_eq!(nested(&TensorData::F32(vec![f32::NAN]), &[1]).to_string(), "[null]");
        assert_eq!(nested(&TensorData::I8(vec![7]), &[]).to_string(), "7");
        assert_eq!(nested(&TensorData::I8(vec![]), &[0, 2]).to_string(), "[]");
    }

    #[test]
    fn first_of_equal_scores_wins() {
        assert_eq!(highest(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(highest(&[]), None);
    }
}
