//! `edgerun bundle init`: a folder for a model, its manifest begun.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::Outcome;
use super::draft::Draft;
use crate::engine::{self, Choice};
use crate::model::Manifest;

/// Arguments of `edgerun bundle init`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The model (.tflite or .onnx)
    model: PathBuf,

    /// The bundle's name [default: the model's file name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The folder that is made [default: the name, here]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// What the model answers; guessed from its outputs where it is not said
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<super::draft::Kind>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let bytes = engine::read_file(&args.model)?;
    let model = engine::load_named(&args.model, &bytes, Choice::Auto, &[])?;
    let file = file_name(&args.model);
    let name = args.name.clone().unwrap_or_else(|| name_from(&file));
    let draft = Draft { name: &name, file: &file, signature: model.signature(), kind: args.kind };
    let text = draft.text()?;
    Manifest::parse(&text).context("the drafted manifest")?;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&name));
    let shown = dir.display();
    fs::create_dir_all(&dir).with_context(|| format!("cannot make the folder {shown}"))?;
    let manifest = dir.join("manifest.toml");
    match File::create_new(&manifest) {
        Ok(mut to) => {
            to.write_all(text.as_bytes()).with_context(|| format!("cannot write {shown}"))?
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} is there already; give another --dir", manifest.display())
        }
        Err(e) => return Err(e).with_context(|| format!("cannot write {}", manifest.display())),
    }
    let copy = dir.join(&file);
    // The model may lie in the folder already.
    if fs::canonicalize(&copy).ok() != fs::canonicalize(&args.model).ok() {
        fs::write(&copy, &bytes).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    writeln!(out, "{}: edit what is marked with EDIT, then", manifest.display())?;
    writeln!(out, "  edgerun bundle golden {shown} --input ROWS.npy")?;
    writeln!(out, "  edgerun bundle pack {shown}")?;
    Ok(Outcome::Good)
}

/// The model's file name with what a manifest does not take replaced.
fn file_name(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name: String = name.chars().map(|c| if good(c) { c } else { '_' }).collect();
    let name = name.trim_start_matches('.');
    name[name.len().saturating_sub(100)..].to_owned()
}

/// `Wake Word.v2.tflite` → `wake-word-v2`.
fn name_from(file: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_ascii_lowercase();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let name: String = stem.chars().map(|c| if good(c) { c } else { '-' }).collect();
    let name: String = name.trim_start_matches(['-', '_']).chars().take(64).collect();
    if name.is_empty() { "model".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_from_files() {
        assert_eq!(file_name(Path::new("a/Wake Wörd.v2.tflite")), "Wake_W_rd.v2.tflite");
        assert_eq!(name_from("Wake_W_rd.v2.tflite"), "wake_w_rd-v2");
        assert_eq!(name_from("--.onnx"), "model");
    }
}
