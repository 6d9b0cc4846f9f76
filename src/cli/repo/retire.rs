//! `edgerun repo retire`.

use std::io::Write;

use semver::Version;
use serde_json::json;

use super::{Outcome, RepoArgs};
use crate::model::release::TargetName;

/// Arguments of `edgerun repo retire`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    repo: RepoArgs,

    /// The model's name
    name: String,

    /// The version that is taken back
    #[arg(value_name = "VERSION")]
    of: Version,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let name = TargetName::new(&args.name, &args.of)?;
    args.repo.open()?.retire(&name)?;
    if args.repo.json {
        writeln!(out, "{}", json!({ "name": name.to_string(), "state": "retired" }))?;
    } else {
        writeln!(out, "{name}: taken back")?;
        writeln!(out, "Boards see it after edgerun repo publish {}.", args.repo.dir.display())?;
    }
    Ok(Outcome::Good)
}
