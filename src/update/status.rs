//! How a model's updates stand, as JSON: what the control socket answers and `edgerun ota --json` prints.

use serde_json::{Value, json};

use super::record::{Installed, Record};
use super::world::Report;

/// One model.
pub fn status(model: &str, report: &Report, record: &Record) -> Value {
    let failure = report.failure.as_ref().map(|(version, failure)| {
        json!({
            "version": version.as_ref().map(ToString::to_string),
            "code": failure.code, "message": failure.message,
        })
    });
    json!({
        "model": model,
        "state": report.state,
        "running": report.running.as_ref().map(installed),
        "previous": report.previous.as_ref().map(installed),
        "pinned": record.pinned.iter().map(installed).collect::<Vec<_>>(),
        "target": report.target.as_ref().map(ToString::to_string),
        "progress": report.progress.map(|(bytes, of)| json!({ "bytes": bytes, "of": of })),
        "failure": failure,
        "history": record.history,
        "rejected": record.rejected,
    })
}

/// A bundle in the store.
pub fn installed(bundle: &Installed) -> Value {
    let Installed { version, digest, origin } = bundle;
    json!({ "version": version.to_string(), "digest": digest.as_str(), "origin": origin })
}
