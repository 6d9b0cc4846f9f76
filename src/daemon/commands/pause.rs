//! `pause` and `resume`: pipelines that make no results while their sensors go on. It survives a restart, since
//! nobody is near the board to pause it again.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use super::super::report;
use super::{Board, Call, Outcome, Piped, Tap};
use crate::net::wire::command::{Code, Refusal};
use crate::storage::{FileName, Storage};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    /// All of them where it is left out.
    pipeline: Option<String>,
}

fn file() -> FileName {
    FileName::new("paused.json").expect("a plain name")
}

/// The pipelines that are to make no results; none, and that is said, where it cannot be known.
pub(in crate::daemon) fn paused(storage: &dyn Storage) -> BTreeSet<String> {
    let bytes = match storage.read(&file()) {
        Ok(bytes) => bytes,
        Err(error) => {
            log::error!("which pipelines are paused: {error}; none is");
            return BTreeSet::new();
        }
    };
    let names = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    names.map(Option::unwrap_or_default).unwrap_or_else(|error| {
        log::error!("which pipelines are paused cannot be read: {error}; none is");
        BTreeSet::new()
    })
}

pub(super) fn run(board: &Board, call: &Call, pause: bool) -> Outcome {
    let Args { pipeline } = call.read()?;
    let meant: Vec<(&str, &Tap)> = match pipeline.as_deref() {
        None => board.pipelines.iter().filter_map(named).collect(),
        Some(name) => {
            let piped = board.pipeline(Some(name))?;
            let message = format!("no sensor feeds pipeline {name}: it answers only requests");
            let one = named(piped).ok_or_else(|| Refusal::new(Code::BadRequest, message))?;
            vec![one]
        }
    };
    let before = paused(board.storage.as_ref());
    let mut names = before.clone();
    for (name, _) in &meant {
        if pause {
            names.insert((*name).to_owned());
        } else {
            names.remove(*name);
        }
    }
    if names != before {
        let bytes = serde_json::to_vec(&names).expect("a list of names");
        let kept = board.storage.replace(&file(), &bytes);
        kept.map_err(|error| {
            let full = error.source.kind() == std::io::ErrorKind::StorageFull;
            Refusal::new(if full { Code::NoSpace } else { Code::Internal }, error)
        })?;
    }
    meant.iter().for_each(|(_, tap)| tap.switch.pause(pause));
    report::lock(&board.reporter).hurry();
    let now = board.pipelines.iter().filter_map(named).filter(|(_, tap)| tap.switch.is_paused());
    Ok(json!({ "paused": now.map(|(name, _)| name).collect::<Vec<_>>() }))
}

fn named(piped: &Piped) -> Option<(&str, &Tap)> {
    Some((piped.name.as_str(), piped.tap.as_ref()?))
}
