//! `edgerun outputs`: the lines and channels that pipelines drive, and their safe states by hand.

use std::io::Write;

use super::{ConfigArgs, Outcome};
use crate::daemon;
use crate::sink::gpio;

/// Arguments of `edgerun outputs`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// Brings each into its safe state, as after a crash; not while the daemon runs, which holds them
    #[arg(long)]
    safe: bool,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let config = args.config.load()?;
    if !args.safe {
        for name in daemon::outputs(&config) {
            writeln!(out, "{name}")?;
        }
        return Ok(Outcome::Good);
    }
    let mut outcome = Outcome::Good;
    for (name, made) in daemon::make_safe(&config, &gpio::open_line()) {
        match made {
            Ok(()) => writeln!(out, "{name}: safe")?,
            Err(why) => {
                writeln!(out, "{name}: {why}")?;
                outcome = Outcome::Failed;
            }
        }
    }
    Ok(outcome)
}
