//! `edgerun repo list`.

use std::io::Write;

use serde_json::json;

use super::{Outcome, RepoArgs};
use crate::publish::{ListState, Listed};

pub(super) fn run(args: &RepoArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let publisher = args.open()?;
    let (version, fingerprint) = publisher.root()?;
    let listed = publisher.list()?;
    if args.json {
        let bundles: Vec<_> = listed
            .iter()
            .map(|item| {
                let release = item.release.as_ref().map(|release| release.to_json());
                json!({ "name": item.name, "state": state(item), "length": item.length,
                    "release": release })
            })
            .collect();
        let line = json!({
            "root_version": version, "fingerprint": fingerprint, "bundles": bundles,
        });
        writeln!(out, "{line}")?;
        return Ok(Outcome::Good);
    }
    writeln!(out, "root {version}, fingerprint {fingerprint}")?;
    if listed.is_empty() {
        writeln!(out, "no bundles yet: edgerun repo add {} BUNDLE.edge", args.dir.display())?;
    }
    let width = listed.iter().map(|item| item.name.len()).max().unwrap_or(0);
    for item in &listed {
        let engine = item.release.as_ref().map(|release| release.engine.join(","));
        let engine = engine.unwrap_or_else(|| "?".to_owned());
        let (name, length, state) = (&item.name, item.length, state(item));
        writeln!(out, "{name:width$}  {length:>10} bytes  {engine:12}  {state}")?;
    }
    Ok(Outcome::Good)
}

fn state(item: &Listed) -> &'static str {
    match item.state {
        ListState::Published => "published",
        ListState::Added => "added, not yet published",
        ListState::Retired => "taken back, still published",
    }
}
