//! `edgerun bundle pack`: a folder into one file, the same bytes for the same input.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use serde_json::json;

use super::Outcome;
use super::verify::{describe, verify};
use crate::model::{Bundle, archive};
use crate::storage;

/// Arguments of `edgerun bundle pack`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The bundle folder: manifest.toml, the model, golden.npz, metrics.json
    folder: PathBuf,

    /// Where the file goes [default: NAME-VERSION.edge here]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Packs a bundle without golden.npz: boards can then not tell a wrong answer
    #[arg(long)]
    no_golden: bool,

    /// Replaces a file of the same name that holds something else
    #[arg(long)]
    force: bool,

    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let folder = args.folder.display();
    ensure!(args.folder.is_dir(), "{folder} is no folder; pack makes a bundle file out of one");
    let bundle = Bundle::open(&args.folder)?;
    if bundle.golden.is_none() && !args.no_golden {
        bail!(
            "{folder} has no golden.npz, by which a board tells whether the model answers as in training; \
             make one from sensor rows with `edgerun bundle golden`, or say --no-golden"
        );
    }
    let verified = verify(&args.folder, &bundle)?;
    let path = args.output.clone().unwrap_or_else(|| bundle.file_name().into());
    let mut bytes = Vec::new();
    archive::write(&bundle, &mut bytes)?;
    let shown = path.display();
    match fs::read(&path) {
        Ok(there) if there == bytes => {}
        Ok(_) if !args.force => bail!(
            "{shown} is there already and holds something else; raise `version` in the manifest, \
             since a version never changes once it is published, or say --force"
        ),
        _ => {
            storage::replace_file(&path, &bytes).with_context(|| format!("cannot write {shown}"))?
        }
    }
    let (name, version) = (&bundle.manifest.name, bundle.manifest.version.to_string());
    if args.json {
        let packed = json!({
            "file": path.display().to_string(), "name": name, "version": version,
            "bytes": bytes.len(), "digest": bundle.digest,
        });
        writeln!(out, "{packed}")?;
    } else {
        writeln!(out, "{shown}: {name} {version}, {} bytes", bytes.len())?;
        writeln!(out, "  digest   {}", bundle.digest)?;
        writeln!(out, "  verified {}", describe(&verified.report, verified.passed))?;
    }
    Ok(Outcome::Good)
}
