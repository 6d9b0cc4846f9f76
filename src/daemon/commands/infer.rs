//! `infer`: a pipeline's model on given input, as `POST /predict` answers it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Board, Call, Outcome};
use crate::net::http;
use crate::net::wire::command::{Code, Refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    /// May be left out where there is only one.
    pipeline: Option<String>,
    /// One instance or a list of them.
    input: Value,
}

pub(super) fn run(board: &Board, call: &Call) -> Outcome {
    let Args { pipeline, input } = call.read()?;
    let name = board.pipeline(pipeline.as_deref())?.name.as_str();
    let prediction = http::predict(&board.doors, Some(name), &input)
        .map_err(|error| Refusal::new(Code::BadRequest, error))?;
    Ok(json!({ "pipeline": name, "prediction": prediction }))
}
