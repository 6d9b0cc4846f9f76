//! `reload`: the configuration is read anew, as `systemctl reload` does. A bad one is refused and changes nothing.

use serde::Deserialize;
use serde_json::json;

use super::{Board, Call, Outcome};
use crate::net::wire::command::{Code, Refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {}

pub(super) fn run(board: &Board, call: &Call) -> Outcome {
    let Args {} = call.read()?;
    (board.host.check)().map_err(|why| Refusal::new(Code::BadRequest, why))?;
    // What follows the answer: `commands::then`.
    Ok(json!({ "reloading": true }))
}
