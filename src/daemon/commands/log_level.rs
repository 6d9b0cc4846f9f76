//! `log-level`: what is logged, until the process ends.

use serde::Deserialize;
use serde_json::json;

use super::{Board, Call, Outcome};
use crate::net::wire::command::{Code, Refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`.
    level: String,
}

pub(super) fn run(board: &Board, call: &Call) -> Outcome {
    let Args { level } = call.read()?;
    (board.host.log_level)(&level).map_err(|why| Refusal::new(Code::BadRequest, why))?;
    Ok(json!({ "level": level }))
}
