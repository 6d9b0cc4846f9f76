//! `edgerun repo add`.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::describe::describe;
use super::{Outcome, RepoArgs};
use crate::publish::Added;

/// Arguments of `edgerun repo add`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    repo: RepoArgs,

    /// Bundle files
    #[arg(required = true, value_name = "BUNDLE.edge")]
    bundles: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let publisher = args.repo.open()?;
    for path in &args.bundles {
        let release = describe(path)?;
        let (name, state) = match publisher.add(path, &release)? {
            Added::Staged(name) => (name, "added"),
            Added::Already(name) => (name, "there already"),
        };
        if args.repo.json {
            let line = json!({ "name": name, "state": state, "release": release.to_json() });
            writeln!(out, "{line}")?;
        } else {
            let (engine, peak) = (release.engine.join(" or "), release.needs.peak_bytes);
            writeln!(
                out,
                "{name}: {state}; runs on {engine}, {} KiB of memory",
                peak.div_ceil(1024)
            )?;
        }
    }
    if !args.repo.json {
        writeln!(out, "Boards see it after edgerun repo publish {}.", args.repo.dir.display())?;
    }
    Ok(Outcome::Good)
}
