//! `edgerun ota`: updates of models, as an operator of one board sees and does them.

mod apply;
mod offline;

use std::io::Write;
use std::path::Path;

use anyhow::bail;
use semver::Version;
use serde_json::{Value, json};

use super::{ConfigArgs, Outcome};
use crate::config::Config;
use crate::daemon::control::{self, Question};
use offline::Offline;

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
    /// Takes a bundle file of your own, or a signed version from a medium: tested and tried like any other
    #[command(disable_version_flag = true)]
    Apply(apply::Args),
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
        Command::Apply(what) => apply::run(&board, what, args.json, out),
    }
}

/// The board's daemon, or its files where no daemon runs.
struct Board<'a> {
    config: &'a Config,
}

impl Board<'_> {
    /// `None` where no daemon runs.
    fn ask(&self, question: &Question, bundle: &[u8]) -> anyhow::Result<Option<Value>> {
        self.at_socket(&mut |place| control::ask(place, question, bundle))
    }

    /// Asks at each place where the socket may be, until somebody answers.
    fn at_socket(
        &self,
        ask: &mut dyn FnMut(&Path) -> anyhow::Result<Option<Value>>,
    ) -> anyhow::Result<Option<Value>> {
        for place in control::places(&self.config.state) {
            if let Some(answer) = ask(&place)? {
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
