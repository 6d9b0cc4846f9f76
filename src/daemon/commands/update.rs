//! `update`: another version of a model, as a wish on `desired` brings it; or a look into the repository now.

use std::time::Duration;

use semver::Version;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::updater::{Ask, Asker};
use super::{Board, Call, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::net::wire::command::{Code, Refusal};
use crate::update::status;
use crate::update::world::Wish;

/// How long it is waited for that the update begins or is refused: the repository is asked meanwhile.
const BEGINS: Duration = Duration::from_secs(20);
/// How often it is looked how it stands.
const POLL: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    /// May be left out where there is only one.
    model: Option<String>,
    /// A version, or `latest`; without one the repository is asked for what is wished already.
    version: Option<String>,
    /// Whether a version below the one that runs is meant.
    #[serde(default)]
    allow_downgrade: bool,
}

pub(super) fn run(board: &Board, call: &Call) -> Outcome {
    let Args { model, version, allow_downgrade } = call.read()?;
    let (asker, model) = the_model(board, model)?;
    let left = call.until.saturating_sub(SystemClock.monotonic());
    let wanted = match version.as_deref() {
        None => {
            asker.ask(Ask::Check, left)?;
            return Ok(stands(asker, &model).unwrap_or_default());
        }
        Some("latest") => None,
        Some(text) => Some(text.parse::<Version>().map_err(|error| {
            let shown: String = text.chars().take(32).collect();
            let message = format!("version: {shown:?} is none ({error}); write it as in \"1.3.0\"");
            Refusal::new(Code::BadRequest, message)
        })?),
    };
    let wish = match &wanted {
        Some(version) => Wish::Version { version: version.clone(), allow_downgrade },
        None => Wish::Newest,
    };
    asker.ask(Ask::Update(model.clone(), wish), left)?;
    let until = call.until.min(SystemClock.monotonic() + BEGINS);
    loop {
        let standing = asker.standing();
        let Some((_, report, _)) = standing.models.iter().find(|(name, ..)| *name == model) else {
            return Ok(json!({ "model": model }));
        };
        if let (Some((_, failure)), None) = (&report.failure, &report.target) {
            return Err(failure.clone().into());
        }
        let runs = report.running.as_ref().map(|running| &running.version);
        let there = wanted.is_some() && runs == wanted.as_ref();
        let now = SystemClock.monotonic();
        if there || report.target.is_some() || now >= until || board.stopped() {
            return Ok(stands(asker, &model).unwrap_or_default());
        }
        SystemClock.sleep_until(now + POLL);
    }
}

/// How `model` stands, in short; the whole is on its `reported` topic.
fn stands(asker: &Asker, model: &str) -> Option<Value> {
    let standing = asker.standing();
    let (_, report, _) = standing.models.iter().find(|(name, ..)| name == model)?;
    Some(json!({
        "model": model,
        "state": report.state,
        "running": report.running.as_ref().map(status::installed),
        "target": report.target.as_ref().map(ToString::to_string),
    }))
}

/// The updates, and the model of the store that is meant.
pub(super) fn the_model(
    board: &Board,
    wanted: Option<String>,
) -> Result<(&Asker, String), Refusal> {
    let Some(asker) = &board.asker else {
        let message = "no pipeline of this board runs a model of the store: nothing can be updated";
        return Err(Refusal::new(Code::NotFound, message));
    };
    let models: Vec<String> = asker.standing().models.into_iter().map(|(name, ..)| name).collect();
    let there = models.join(", ");
    match (wanted, &models[..]) {
        (None, [only]) => Ok((asker, only.clone())),
        (None, _) => Err(Refusal::new(Code::BadRequest, format_args!("say which model: {there}"))),
        (Some(name), models) if models.contains(&name) => Ok((asker, name)),
        (Some(name), _) => {
            let message = format!("no model is called {name:?}; there are: {there}");
            Err(Refusal::new(Code::NotFound, message))
        }
    }
}
