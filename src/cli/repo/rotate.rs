//! `edgerun repo rotate`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::anyhow;
use serde_json::json;

use super::{Outcome, RepoArgs, now};
use crate::publish::{NewKeys, Role};

/// Arguments of `edgerun repo rotate`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    repo: RepoArgs,

    /// root, targets, snapshot or timestamp
    role: Role,

    /// How many keys are made [default: 3 for root, otherwise 1]
    #[arg(long, value_name = "N")]
    count: Option<u32>,

    /// How many of them must sign [default: 2 for root, otherwise 1]
    #[arg(long, value_name = "N")]
    threshold: Option<u32>,

    /// Seals the new keys with a passphrase
    #[arg(long)]
    passphrase: bool,

    /// Instead of a key file: a shell command that reads bytes and prints their signature
    #[arg(long, value_name = "COMMAND", requires = "public_key",
        conflicts_with_all = ["count", "threshold", "passphrase"])]
    signer: Option<String>,

    /// The signer's public key: Ed25519 or P-256, PEM, DER or hex
    #[arg(long, value_name = "FILE", requires = "signer")]
    public_key: Option<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut publisher = args.repo.open()?;
    let secret = match args.passphrase {
        true => {
            let secret = args.repo.passphrase.new_one(args.role.as_str());
            Some(secret.map_err(|why| anyhow!(why))?)
        }
        false => None,
    };
    let (count, threshold) = if args.role == Role::Root { (3, 2) } else { (1, 1) };
    let new = match (&args.signer, &args.public_key) {
        (Some(command), Some(public)) => NewKeys::Command { command, public },
        _ => {
            let count = args.count.unwrap_or(count);
            let threshold = args.threshold.unwrap_or(threshold.min(count));
            NewKeys::Files { count, threshold, passphrase: secret.as_ref() }
        }
    };
    let done = publisher.rotate(args.role, &new, now())?;
    let (_, fingerprint) = publisher.root()?;
    let obsolete: Vec<_> = done.obsolete.iter().map(|path| path.display().to_string()).collect();
    if args.repo.json {
        let line = json!({
            "role": args.role.as_str(), "root_version": done.root, "fingerprint": fingerprint,
            "obsolete": obsolete,
        });
        writeln!(out, "{line}")?;
        return Ok(Outcome::Good);
    }
    writeln!(out, "{}: new keys, by root {}; boards follow by themselves", args.role, done.root)?;
    writeln!(out, "  fingerprint  {fingerprint}")?;
    for file in obsolete {
        writeln!(out, "  signs nothing any more: {file}")?;
    }
    Ok(Outcome::Good)
}
