//! `restart`: the process ends in order, with an exit code that has systemd start it again.

use serde::Deserialize;
use serde_json::json;

use super::{Board, Call, Outcome};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {}

pub(super) fn run(_board: &Board, call: &Call) -> Outcome {
    let Args {} = call.read()?;
    // What follows the answer: `commands::then`.
    Ok(json!({ "restarting": true }))
}
