//! `edgerun repo init`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::anyhow;
use serde_json::json;

use super::{Outcome, now, passphrase};
use crate::publish::{Keyring, Plan, Publisher};

/// Arguments of `edgerun repo init`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A new or empty folder
    dir: PathBuf,

    /// How many root keys are made
    #[arg(long, value_name = "N", default_value_t = 3)]
    root_keys: u32,

    /// How many of them must sign a new root
    #[arg(long, value_name = "N", default_value_t = 2)]
    root_threshold: u32,

    /// Seals keys with a passphrase: those of root and targets (offline), or all
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true,
        default_missing_value = "offline")]
    passphrase: Option<Which>,

    #[command(flatten)]
    source: passphrase::Source,

    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Which keys are sealed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    Offline,
    All,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let what = match args.passphrase {
        Some(Which::All) => "all roles",
        _ => "root and targets",
    };
    let secret = match args.passphrase {
        Some(_) => Some(args.source.new_one(what).map_err(|why| anyhow!(why))?),
        None => None,
    };
    let plan = Plan {
        root_keys: args.root_keys,
        root_threshold: args.root_threshold,
        online_passphrase: secret.clone().filter(|_| args.passphrase == Some(Which::All)),
        offline_passphrase: secret,
        ..Plan::default()
    };
    let keyring = Keyring::new(Vec::new(), args.source.asking());
    let publisher = Publisher::init(&args.dir, &plan, keyring, now())?;
    let (version, fingerprint) = publisher.root()?;
    let (dir, root) = (args.dir.display(), publisher.root_file());
    if args.json {
        let made = json!({
            "dir": dir.to_string(), "fingerprint": fingerprint, "root": root.display().to_string(),
            "root_version": version, "root_keys": plan.root_keys,
            "root_threshold": plan.root_threshold,
        });
        writeln!(out, "{made}")?;
        return Ok(Outcome::Good);
    }
    writeln!(out, "{dir}: a repository, published and empty")?;
    writeln!(out, "  fingerprint  {fingerprint}")?;
    writeln!(out, "  for boards   {}", root.display())?;
    writeln!(out, "  to serve     {dir}/repository")?;
    writeln!(
        out,
        "  keys         {dir}/keys: {} of root, {} of them sign; one each of targets, snapshot, timestamp",
        plan.root_keys, plan.root_threshold
    )?;
    writeln!(out, "Next: edgerun repo add {dir} BUNDLE.edge, then edgerun repo publish {dir}.")?;
    writeln!(
        out,
        "Before boards trust it: copy the keys of root and targets to places of their own."
    )?;
    Ok(Outcome::Good)
}
