//! `edgerun repo publish`.

use std::io::Write;

use serde_json::json;

use super::{Outcome, RepoArgs, day, now};
use crate::cli::logger;
use crate::publish::{Expiry, Role};

/// A role whose signature ends within this many days is pointed out.
const SOON_DAYS: u64 = 30;

pub(super) fn run(args: &RepoArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut publisher = args.open()?;
    let done = publisher.publish(now())?;
    let expiries = publisher.expiries()?;
    if args.json {
        let until: serde_json::Map<_, _> = expiries
            .iter()
            .map(|expiry| (expiry.role.to_string(), json!(day(expiry.expires))))
            .collect();
        let line = json!({
            "timestamp": done.timestamp, "added": done.added, "retired": done.retired,
            "signed": { "targets": done.targets.is_some(), "snapshot": done.snapshot },
            "expires": until,
        });
        writeln!(out, "{line}")?;
        return Ok(Outcome::Good);
    }
    for name in &done.added {
        writeln!(out, "+ {name}")?;
    }
    for name in &done.retired {
        writeln!(out, "- {name}")?;
    }
    let until = expiries.iter().find(|expiry| expiry.role == Role::Timestamp);
    let until = until.map(|expiry| day(expiry.expires)).unwrap_or_default();
    writeln!(out, "published, generation {}; publish again before {until}", done.timestamp)?;
    for expiry in expiries.iter().filter(|expiry| soon(expiry)) {
        logger::say(&hint(expiry, &args.dir.display().to_string()));
    }
    Ok(Outcome::Good)
}

/// Whether people have to bring keys soon; the others are renewed by each `publish`.
fn soon(expiry: &Expiry) -> bool {
    let offline = matches!(expiry.role, Role::Root | Role::Targets);
    offline && expiry.expires < now() + SOON_DAYS * 24 * 60 * 60
}

fn hint(expiry: &Expiry, dir: &str) -> String {
    let Expiry { role, expires, lifetime_days: days, .. } = expiry;
    format!(
        "warning: the signature of {role} ends on {}: with its keys at hand, run \
         edgerun repo expire {dir} --role {role} --days {days}{}",
        day(*expires),
        if *role == Role::Targets { ", then publish" } else { "" }
    )
}
