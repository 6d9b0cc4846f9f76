//! `edgerun repo expire`.

use std::io::Write;

use serde_json::json;

use super::{Outcome, RepoArgs, day, now};
use crate::publish::Role;

const DAY_S: u64 = 24 * 60 * 60;

/// Arguments of `edgerun repo expire`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    repo: RepoArgs,

    /// The role whose signature shall last --days: root, targets, snapshot or timestamp
    #[arg(long, requires = "days")]
    role: Option<Role>,

    /// From now on; root is signed at once, the others by the next `publish`
    #[arg(long, requires = "role")]
    days: Option<u32>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut publisher = args.repo.open()?;
    if let (Some(role), Some(days)) = (args.role, args.days) {
        publisher.set_lifetime(role, days, now())?;
        if !args.repo.json && role != Role::Root {
            writeln!(out, "It counts after edgerun repo publish {}.", args.repo.dir.display())?;
        }
    }
    let expiries = publisher.expiries()?;
    if args.repo.json {
        let roles: serde_json::Map<_, _> = expiries
            .iter()
            .map(|expiry| {
                let (keys, threshold) = expiry.keys;
                let value = json!({
                    "version": expiry.version, "expires": day(expiry.expires),
                    "lifetime_days": expiry.lifetime_days, "keys": keys, "threshold": threshold,
                });
                (expiry.role.to_string(), value)
            })
            .collect();
        writeln!(out, "{}", serde_json::Value::Object(roles))?;
        return Ok(Outcome::Good);
    }
    writeln!(out, "role       version  until        days left  lasts       keys that sign")?;
    for expiry in expiries {
        let left = expiry.expires.saturating_sub(now()) / DAY_S;
        let (keys, threshold) = expiry.keys;
        let lasts = format!("{} days", expiry.lifetime_days);
        writeln!(
            out,
            "{:9}  {:>7}  {}  {left:>9}  {lasts:10}  {threshold} of {keys}",
            expiry.role.as_str(),
            expiry.version,
            day(expiry.expires),
        )?;
    }
    Ok(Outcome::Good)
}
