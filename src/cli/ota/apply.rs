//! `edgerun ota apply`: what an operator brings, as a file of their own or out of a signed repository on a medium.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use semver::Version;
use serde_json::Value;

use super::offline::{Offline, Wanted};
use super::{Board, Outcome, text, the_model};
use crate::cli::repository;
use crate::clock::{Clock, SystemClock};
use crate::daemon::control::{self, Question};
use crate::model::{Bundle, archive};
use crate::net::wire::FetchRequest;
use crate::trust::FileSource;

/// How often an update that is under way is looked at.
const POLL: Duration = Duration::from_millis(250);

#[derive(clap::Args)]
pub(super) struct Args {
    /// A bundle file (.edge) of your own, not signed, as a path or as file:///…
    #[arg(value_parser = local_path, required_unless_present = "from")]
    file: Option<PathBuf>,

    /// A signed repository on a medium instead, its folder as a path or as file:///…; checked like the configured one
    #[arg(long, value_name = "DIR", value_parser = local_path, conflicts_with = "file")]
    from: Option<PathBuf>,

    /// The model to take from there; may be left out where there is only one
    #[arg(long, value_name = "NAME", requires = "from")]
    model: Option<String>,

    /// The version to take; the newest that this board can run where it is left out
    #[arg(long, value_name = "VERSION", requires = "from")]
    version: Option<Version>,

    /// Takes a version that is older than the one that serves, too
    #[arg(long, requires = "from")]
    allow_downgrade: bool,
}

/// A path as it is, or that of a `file://` address.
fn local_path(text: &str) -> Result<PathBuf, String> {
    if !text.starts_with("file:") {
        return Ok(PathBuf::from(text));
    }
    let parsed = url::Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
    parsed.ok_or_else(|| "names nothing on this machine: write file:///FOLDER/FILE".to_owned())
}

pub(super) fn run(
    board: &Board<'_>,
    args: &Args,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    match (&args.file, &args.from) {
        (Some(file), _) => own(board, file, json, out),
        (None, Some(dir)) => signed(board, dir, args, json, out),
        (None, None) => bail!("say which bundle file, or --from which repository"),
    }
}

/// A bundle file, not signed.
fn own(board: &Board<'_>, file: &Path, json: bool, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let bundle = Bundle::open(file)?;
    let mut bytes = Vec::new();
    archive::write(&bundle, &mut bytes)?;
    let (name, version) = (bundle.manifest.name.clone(), bundle.manifest.version.to_string());
    let question = Question::Apply { bytes: bytes.len() as u64 };
    let last = match board.ask(&question, &bytes)? {
        Some(_) => follow(board, &name, &version, json, out)?,
        None => {
            nobody_runs(json, out)?;
            Offline::open(board.config)?.apply(&bundle)?
        }
    };
    end(&name, &version, &last, json, out)
}

/// A signed version out of the repository in `dir`. This command reads it, since the daemon may have no way to it.
fn signed(
    board: &Board<'_>,
    dir: &Path,
    args: &Args,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let source = FileSource::new(repository::find(dir)?);
    let model = the_model(args.model.as_deref(), &board.config.store_models())?;
    let wanted =
        Wanted { model, version: args.version.clone(), allow_downgrade: args.allow_downgrade };
    let Wanted { model, version, allow_downgrade } = &wanted;
    let (model, allow_downgrade) = (model.clone(), *allow_downgrade);
    let question =
        Question::Bring { model: model.clone(), version: version.clone(), allow_downgrade };
    let mut read = |request: &FetchRequest| {
        if !json && request.offset == 0 && request.path.starts_with("targets/") {
            writeln!(out, "  fetching").ok();
        }
        repository::part(&source, request)
    };
    let answer = board.at_socket(&mut |place| control::ask_with(place, &question, &mut read))?;
    let (version, begun, last) = match answer {
        Some(answer) => {
            let (version, begun) = (text(&answer["version"]), answer["begun"] == true);
            let last = follow(board, &model, &version, json || !begun, out)?;
            (version, begun, last)
        }
        None => {
            nobody_runs(json, out)?;
            Offline::open(board.config)?.bring(board.config, source, &wanted)?
        }
    };
    if begun {
        return end(&model, &version, &last, json, out);
    }
    if json {
        writeln!(out, "{last}")?;
    } else {
        writeln!(out, "model {model}: version {version} serves already")?;
    }
    Ok(Outcome::Good)
}

fn nobody_runs(json: bool, out: &mut dyn Write) -> std::io::Result<()> {
    if json {
        return Ok(());
    }
    writeln!(out, "no daemon runs; the bundle is tested and put into the store")
}

/// Says how it ended.
fn end(
    name: &str,
    version: &str,
    last: &Value,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let state = text(&last["state"]);
    let good = matches!(state.as_str(), "trial" | "committed");
    if json {
        writeln!(out, "{last}")?;
    } else if good {
        let rest = if state == "trial" {
            ", and is watched: `edgerun ota status` says when it counts as good"
        } else {
            ""
        };
        writeln!(out, "model {name}: version {version} serves{rest}")?;
    } else {
        writeln!(
            out,
            "model {name}: version {version} is {state}: {}",
            text(&last["failure"]["message"])
        )?;
    }
    Ok(if good { Outcome::Good } else { Outcome::Failed })
}

/// Shows each step, unless `quiet`, until the new version serves or is refused.
fn follow(
    board: &Board<'_>,
    name: &str,
    version: &str,
    quiet: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Value> {
    let mut said = String::new();
    loop {
        let status = board.ask(&Question::Status, &[])?.context("the daemon has stopped")?;
        let models = status["models"].as_array().cloned().unwrap_or_default();
        let model = models.into_iter().find(|model| model["model"] == name);
        let model = model.with_context(|| format!("the daemon does not know model {name}"))?;
        let state = text(&model["state"]);
        if state != said && !quiet {
            writeln!(out, "  {state}")?;
            out.flush()?;
        }
        said.clone_from(&state);
        let underway = model["target"] == version && state != "trial";
        if !underway {
            return Ok(model);
        }
        SystemClock.sleep_until(SystemClock.monotonic() + POLL);
    }
}
