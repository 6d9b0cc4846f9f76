//! `health`: how the board is doing, now and not of half a minute ago.

use serde::Deserialize;

use super::super::report;
use super::{Board, Call, Outcome};
use crate::net::wire::command::{Code, Refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {}

pub(super) fn run(board: &Board, call: &Call) -> Outcome {
    let Args {} = call.read()?;
    let health = report::lock(&board.reporter).health();
    serde_json::to_value(&health).map_err(|error| Refusal::new(Code::Internal, error))
}
