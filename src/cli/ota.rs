//! `edgerun ota`: updates of models, as an operator of one board sees and does them.

mod offline;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use semver::Version;
use serde_json::{Value, json};

use super::{ConfigArgs, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::daemon::control::{self, Question};
use crate::model::{Bundle, archive};
use offline::Offline;

/// Where systemd's unit has the socket.
const RUNTIME: &str = "/run/edgerun";
/// How often an update that is under way is looked at.
const POLL: Duration = Duration::from_millis(250);

/// Arguments of `edgerun ota`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// Prints JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Shows which version of each model serves, and how updates stand
    Status,
    /// Takes a bundle file of your own, not signed: tested and tried like any other
    Apply {
        /// The bundle file (.edge), as a path or as file:///…
        #[arg(value_parser = local_path)]
        file: PathBuf,
    },
    /// Goes back to the version before, or to another one that is kept; needs no network
    Rollback {
        /// The model; may be left out where there is only one
        model: Option<String>,

        /// Goes back to this version: the one before, or a pinned one
        #[arg(long, value_name = "VERSION")]
        to: Option<Version>,
    },
    /// Keeps a version on the board whatever comes after it, at most 4 of a model
    #[command(disable_version_flag = true)]
    Pin(PinArgs),
    /// Keeps a version no longer than any other
    #[command(disable_version_flag = true)]
    Unpin(PinArgs),
    /// Shows how past updates ended
    History,
    /// Asks the repository now, not only every hour
    Check,
}

/// A path as it is, or that of a `file://` address.
fn local_path(text: &str) -> Result<PathBuf, String> {
    if !text.starts_with("file:") {
        return Ok(PathBuf::from(text));
    }
    let parsed = url::Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
    parsed.ok_or_else(|| "names no file of this machine: write file:///FOLDER/FILE".to_owned())
}

#[derive(clap::Args)]
struct PinArgs {
    /// The model; may be left out where there is only one
    model: Option<String>,

    /// The version; the one that serves where it is left out
    #[arg(long, value_name = "VERSION")]
    version: Option<Version>,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let config = args.config.load()?;
    let models = config.store_models();
    if models.is_empty() {
        bail!(
            "no pipeline of {} runs a model of the store: write model = \"NAME\", without a path",
            args.config.config.display()
        );
    }
    let board = Board { config: &config };
    match &args.command {
        Command::Status => {
            let status = board.status()?;
            show(&status, args.json, out, &mut |model, out| status_lines(model, out))
        }
        Command::History => {
            let status = board.status()?;
            show(&status, args.json, out, &mut |model, out| history_lines(model, out))
        }
        Command::Check => {
            match board.ask(&Question::Check, &[])? {
                Some(_) => writeln!(out, "the daemon asks the repository")?,
                None => {
                    bail!("no daemon runs on this board; it asks the repository when it starts")
                }
            }
            Ok(Outcome::Good)
        }
        Command::Pin(what) => pin(&board, what, true, args.json, out),
        Command::Unpin(what) => pin(&board, what, false, args.json, out),
        Command::Rollback { model, to } => {
            let model = the_model(model.as_deref(), &models)?;
            let question = Question::Rollback { model: model.clone(), version: to.clone() };
            let running = match board.ask(&question, &[])? {
                Some(answer) => answer["running"].clone(),
                None => Offline::open(&config)?.roll_back(&model, to.as_ref())?,
            };
            if args.json {
                writeln!(out, "{}", json!({ "model": model, "running": running }))?;
            } else {
                writeln!(out, "model {model}: version {} serves again", text(&running["version"]))?;
            }
            Ok(Outcome::Good)
        }
        Command::Apply { file } => apply(&board, file, args.json, out),
    }
}

/// The board's daemon, or its files where no daemon runs.
struct Board<'a> {
    config: &'a Config,
}

impl Board<'_> {
    /// `None` where no daemon runs.
    fn ask(&self, question: &Question, bundle: &[u8]) -> anyhow::Result<Option<Value>> {
        let state = &self.config.state;
        let mut places = vec![control::path(state)];
        // Commands are not started by systemd, so they have no RUNTIME_DIRECTORY.
        if state == Path::new("/var/lib/edgerun") {
            places.push(Path::new(RUNTIME).join(control::NAME));
        }
        for place in places {
            if let Some(answer) = control::ask(&place, question, bundle)? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    fn status(&self) -> anyhow::Result<Value> {
        match self.ask(&Question::Status, &[])? {
            Some(answer) => Ok(answer),
            None => offline::status(self.config),
        }
    }
}

fn the_model(wanted: Option<&str>, models: &[String]) -> anyhow::Result<String> {
    match (wanted, models) {
        (Some(name), _) if models.iter().any(|model| model == name) => Ok(name.to_owned()),
        (None, [model]) => Ok(model.clone()),
        (Some(name), _) => bail!("no model is called {name:?}; there are: {}", models.join(", ")),
        (None, _) => bail!("say which model: {}", models.join(", ")),
    }
}

fn pin(
    board: &Board<'_>,
    what: &PinArgs,
    pinned: bool,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let model = the_model(what.model.as_deref(), &board.config.store_models())?;
    let version = what.version.clone();
    let question = Question::Pin { model: model.clone(), version: version.clone(), pinned };
    let bundle = match board.ask(&question, &[])? {
        Some(bundle) => bundle,
        None => Offline::open(board.config)?.pin(&model, version.as_ref(), pinned)?,
    };
    if json {
        writeln!(out, "{}", json!({ "model": model, "bundle": bundle, "pinned": pinned }))?;
    } else {
        let words = if pinned { "is kept" } else { "is kept no longer than others" };
        writeln!(out, "model {model}: version {} {words}", text(&bundle["version"]))?;
    }
    Ok(Outcome::Good)
}

fn apply(
    board: &Board<'_>,
    file: &Path,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let bundle = Bundle::open(file)?;
    let mut bytes = Vec::new();
    archive::write(&bundle, &mut bytes)?;
    let (name, version) = (bundle.manifest.name.clone(), bundle.manifest.version.to_string());
    let question = Question::Apply { bytes: bytes.len() as u64 };
    let last = match board.ask(&question, &bytes)? {
        Some(_) => follow(board, &name, &version, json, out)?,
        None => {
            if !json {
                writeln!(out, "no daemon runs; the bundle is tested and put into the store")?;
            }
            Offline::open(board.config)?.apply(&bundle)?
        }
    };
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

/// Shows each step until the new version serves or is refused.
fn follow(
    board: &Board<'_>,
    name: &str,
    version: &str,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Value> {
    let mut said = String::new();
    loop {
        let status = board.ask(&Question::Status, &[])?.context("the daemon has stopped")?;
        let models = status["models"].as_array().cloned().unwrap_or_default();
        let model = models.into_iter().find(|model| model["model"] == name);
        let model = model.with_context(|| format!("the daemon does not know model {name}"))?;
        let state = text(&model["state"]);
        if state != said && !json {
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

type Lines<'a> = &'a mut dyn FnMut(&Value, &mut dyn Write) -> std::io::Result<()>;

fn show(
    status: &Value,
    json: bool,
    out: &mut dyn Write,
    lines: Lines<'_>,
) -> anyhow::Result<Outcome> {
    if json {
        writeln!(out, "{status}")?;
    } else {
        if let Some(fingerprint) = status["root"].as_str() {
            writeln!(out, "root of trust  {fingerprint}")?;
        }
        for model in status["models"].as_array().into_iter().flatten() {
            lines(model, out)?;
        }
    }
    Ok(Outcome::Good)
}

/// A JSON string's text; `none` for null.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}

fn bundle_words(bundle: &Value) -> String {
    if bundle.is_null() {
        return "none".to_owned();
    }
    let (version, digest) = (text(&bundle["version"]), text(&bundle["digest"]));
    let origin = match bundle["origin"].as_str() {
        Some("local") => ", an operator's own, not signed",
        _ => "",
    };
    format!("{version} ({}{origin})", digest.get(..12).unwrap_or(&digest))
}

fn status_lines(model: &Value, out: &mut dyn Write) -> std::io::Result<()> {
    let target = match &model["target"] {
        Value::Null => String::new(),
        version => format!(" {}", text(version)),
    };
    let progress = match (&model["progress"]["bytes"], &model["progress"]["of"]) {
        (Value::Null, _) | (_, Value::Null) => String::new(),
        (bytes, of) => format!(", {bytes} of {of} bytes"),
    };
    writeln!(out, "{}: {}{target}{progress}", text(&model["model"]), text(&model["state"]))?;
    writeln!(out, "  serves    {}", bundle_words(&model["running"]))?;
    writeln!(out, "  before    {}", bundle_words(&model["previous"]))?;
    for pinned in model["pinned"].as_array().into_iter().flatten() {
        writeln!(out, "  pinned    {}", bundle_words(pinned))?;
    }
    let failure = &model["failure"];
    if !failure.is_null() {
        let version = match &failure["version"] {
            Value::Null => String::new(),
            version => format!("{}: ", text(version)),
        };
        let (message, code) = (text(&failure["message"]), text(&failure["code"]));
        writeln!(out, "  failed    {version}{message} ({code})")?;
    }
    Ok(())
}

fn history_lines(model: &Value, out: &mut dyn Write) -> std::io::Result<()> {
    let name = text(&model["model"]);
    let history = model["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    if history.is_empty() {
        writeln!(out, "{name}: no update yet")?;
    }
    for past in history {
        let why = match &past["failure"]["message"] {
            Value::Null => String::new(),
            message => format!(": {}", text(message)),
        };
        let (time, version) = (text(&past["time"]), text(&past["bundle"]["version"]));
        writeln!(out, "{time}  {name} {version}  {}{why}", text(&past["outcome"]))?;
    }
    Ok(())
}
