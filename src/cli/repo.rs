//! `edgerun repo`: the publisher's side of signed updates, as plain files for any web server.

mod add;
mod describe;
mod expire;
mod init;
mod list;
mod passphrase;
mod publish;
mod retire;
mod rotate;
mod serve;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::Outcome;
use crate::clock::{Clock, SystemClock};
use crate::data::{ClockState, Timestamp};
use crate::publish::{Keyring, PublishError, Publisher};

/// Arguments of `edgerun repo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Makes a repository and its keys in a new folder
    Init(init::Args),
    /// Takes bundles in; boards see them after `publish`
    Add(add::Args),
    /// Signs what was added or retired, and a fresh timestamp: run it every few days, too
    Publish(RepoArgs),
    /// Takes a version back; boards see that after `publish`
    Retire(retire::Args),
    /// Shows what boards can have, and what the next `publish` changes
    List(RepoArgs),
    /// Shows until when each signature lasts; sets it with --role and --days
    Expire(expire::Args),
    /// Gives a role new keys
    Rotate(rotate::Args),
    /// Serves a repository over a broker, to boards that reach nothing else
    Serve(serve::Args),
}

/// Does it.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    match &args.command {
        Command::Init(args) => init::run(args, out),
        Command::Add(args) => add::run(args, out),
        Command::Publish(args) => publish::run(args, out),
        Command::Retire(args) => retire::run(args, out),
        Command::List(args) => list::run(args, out),
        Command::Expire(args) => expire::run(args, out),
        Command::Rotate(args) => rotate::run(args, out),
        Command::Serve(args) => serve::run(args, out),
    }
}

/// What every command but `init` takes: the folder, and where its keys are.
#[derive(clap::Args)]
struct RepoArgs {
    /// The publisher's folder
    dir: PathBuf,

    /// Another folder with key files, as on a stick; may be given more than once
    #[arg(long, value_name = "FOLDER")]
    keys: Vec<PathBuf>,

    #[command(flatten)]
    passphrase: passphrase::Source,

    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

impl RepoArgs {
    fn open(&self) -> Result<Publisher, PublishError> {
        Publisher::open(&self.dir, Keyring::new(self.keys.clone(), self.passphrase.asking()))
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemClock.wall().since_epoch.as_secs()
}

/// The day of a moment, `2026-11-28`.
fn day(seconds: u64) -> String {
    let since_epoch = Duration::from_secs(seconds);
    let mut text = Timestamp { since_epoch, clock: ClockState::Synced }.rfc3339();
    text.truncate("2026-11-28".len());
    text
}
