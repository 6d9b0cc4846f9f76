//! `rollback`: a model's version before serves again, as `edgerun ota rollback` does.

use semver::Version;
use serde::Deserialize;
use serde_json::json;

use super::super::updater::{Answer, Ask};
use super::update::the_model;
use super::{Board, Call, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::net::wire::command::{Code, Refusal};
use crate::update::status;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    /// May be left out where there is only one.
    model: Option<String>,
    /// Another one that is kept, instead of the one before.
    version: Option<Version>,
}

pub(super) fn run(board: &Board, call: &Call) -> Outcome {
    let Args { model, version } = call.read()?;
    let (asker, model) = the_model(board, model)?;
    let within = call.until.saturating_sub(SystemClock.monotonic());
    let answer = asker.ask(Ask::RollBack(model.clone(), version), within)?;
    let Answer::RolledBack(running) = answer else {
        return Err(Refusal::new(Code::Internal, "the updates answered something else"));
    };
    let running = status::installed(&running);
    Ok(json!({ "model": model, "running": running }))
}
