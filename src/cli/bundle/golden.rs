//! `edgerun bundle golden`: golden vectors for a model whose training did not write any.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};

use super::Outcome;
use crate::arrays;
use crate::data::{Tensor, TensorData};
use crate::engine::{self, Choice};
use crate::model::Bundle;
use crate::predict::Predictor;

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

    /// Sensor rows: .npy or .npz with `x`, float32 [windows, frames, channels] in the recipe's units
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
    let (frames, channels) = (manifest.recipe.frames, manifest.recipe.channels.len());
    let rows = read_rows(args, frames, channels)?;
    let row = frames * channels;
    let windows = (rows.len() / row).min(args.windows);
    ensure!(windows > 0, "{}: no window in it", args.input.display());

    let mut predictor = Predictor::new(manifest, Arc::from(model))?;
    let mut outputs: Vec<TensorData> =
        manifest.outputs.iter().map(|spec| TensorData::zeros(spec.dtype, 0)).collect();
    for (window, rows) in rows.chunks_exact(row).take(windows).enumerate() {
        predictor.reset();
        predictor.predict(rows).with_context(|| format!("window {window}"))?;
        for (all, one) in outputs.iter_mut().zip(predictor.outputs()) {
            all.extend(one.data())?;
        }
    }
    let x = TensorData::F32(rows[..windows * row].to_vec());
    let mut named = vec![("x".to_owned(), Tensor::new(vec![windows, frames, channels], x)?)];
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

/// Row-major `[windows, frames, channels]`; a single window may leave the first dimension out.
fn read_rows(args: &Args, frames: usize, channels: usize) -> anyhow::Result<Vec<f32>> {
    let path = args.input.display();
    let mut arrays = arrays::read(&args.input)?;
    let index = match arrays.iter().position(|array| array.name == "x") {
        Some(index) => index,
        None if arrays.len() == 1 => 0,
        None => bail!("{path}: no array is called `x`"),
    };
    let x = arrays.swap_remove(index).tensor;
    let fits = match *x.shape() {
        [_, f, c] | [f, c] if (f, c) == (frames, channels) => true,
        // Tabular models: a row is a window.
        [_, c] => frames == 1 && c == channels,
        _ => false,
    };
    let wanted = format!("[windows, {frames}, {channels}]");
    ensure!(fits, "{path}: the recipe takes {wanted}, this is {:?}", x.shape());
    match x.data().to_f64() {
        Some(values) => Ok(values.into_iter().map(|value| value as f32).collect()),
        None => bail!("{path}: the recipe takes numbers, these are {}", x.dtype()),
    }
}
