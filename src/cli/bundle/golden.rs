//! `edgerun bundle golden`: golden vectors for a model whose training did not write any.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail, ensure};

use super::Outcome;
use crate::arrays::{self, Array};
use crate::data::{Tensor, TensorData};
use crate::engine::{self, Choice};
use crate::model::{Bundle, Recipe};
use crate::predict::Predictor;
use crate::selftest::Examples;

/// Windows that are kept unless --windows says otherwise.
const WINDOWS: usize = 16;

/// Arguments of `edgerun bundle golden`.
#[derive(clap::Args)]
#[command(
    after_help = "The expected outputs are those that edgerun computes here: they show that a board \
    computes the same. Vectors from training, as models/bundle.py writes them, also show that edgerun computes \
    what was trained; prefer them where you can."
)]
pub(super) struct Args {
    /// The bundle folder
    folder: PathBuf,

    /// What the sensor gives: .npy or .npz with `x`, float32 [windows, frames, channels] in the recipe's units, or uint8
    /// [windows, height, width, 3] of pictures
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// How many windows are kept, from the first on
    #[arg(long, value_name = "N", default_value_t = WINDOWS)]
    windows: usize,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let folder = args.folder.display();
    ensure!(args.folder.is_dir(), "{folder} is no bundle folder");
    let bundle = Bundle::open(&args.folder)?;
    let manifest = &bundle.manifest;
    let file = args.folder.join(&manifest.model);
    let model = engine::load_named(&file, &bundle.model, Choice::Auto, &manifest.input_shapes())?;
    bundle.check(model.signature())?;
    let arrays = read(args, &manifest.recipe)?;
    let examples = Examples::of(&arrays, &manifest.recipe)
        .map_err(|why| anyhow!("{}: {why}", args.input.display()))?;
    let windows = examples.len().min(args.windows);
    ensure!(windows > 0, "--windows must be 1 at least");

    let mut predictor = Predictor::new(manifest, Arc::from(model))?;
    let mut outputs: Vec<TensorData> =
        manifest.outputs.iter().map(|spec| TensorData::zeros(spec.dtype, 0)).collect();
    for window in 0..windows {
        examples.predict(window, &mut predictor).with_context(|| format!("window {window}"))?;
        for (all, one) in outputs.iter_mut().zip(predictor.outputs()) {
            all.extend(one.data())?;
        }
    }
    let mut named = vec![("x".to_owned(), examples.first(windows)?)];
    for (index, (data, spec)) in outputs.into_iter().zip(&manifest.outputs).enumerate() {
        // A batch of one is no dimension of its own.
        let one = spec.shape.strip_prefix(&[1]).unwrap_or(&spec.shape);
        let shape = [&[windows], one].concat();
        named.push((format!("y_{index}"), Tensor::new(shape, data)?));
    }
    let named: Vec<_> = named.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let path = args.folder.join("golden.npz");
    fs::write(&path, arrays::pack(&named)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(out, "{}: {windows} windows", path.display())?;
    Ok(Outcome::Good)
}

/// The array `x`, or the only one there is, as the golden vectors have it: rows of any type of number, a single window
/// without its dimension of one, tabular rows without theirs.
fn read(args: &Args, recipe: &Recipe) -> anyhow::Result<Vec<Array>> {
    let path = args.input.display();
    let mut arrays = arrays::read(&args.input)?;
    let index = match arrays.iter().position(|array| array.name == "x") {
        Some(index) => index,
        None if arrays.len() == 1 => 0,
        None => bail!("{path}: no array is called `x`"),
    };
    let x = arrays.swap_remove(index).tensor;
    let (frames, channels) = (recipe.frames, recipe.channels.len());
    let shape = match (&recipe.picture, x.shape()) {
        (Some(_), &[height, width, 3]) => vec![1, height, width, 3],
        (None, &[f, c]) if (f, c) == (frames, channels) && frames > 1 => vec![1, f, c],
        (None, &[n, c]) if frames == 1 && c == channels => vec![n, 1, c],
        (_, shape) => shape.to_vec(),
    };
    let data = match recipe.picture {
        Some(_) => x.data().clone(),
        None => match x.data().to_f64() {
            Some(values) => TensorData::F32(values.into_iter().map(|value| value as f32).collect()),
            None => bail!("{path}: the recipe takes numbers, these are {}", x.dtype()),
        },
    };
    Ok(vec![Array { name: "x".into(), tensor: Tensor::new(shape, data)? }])
}
