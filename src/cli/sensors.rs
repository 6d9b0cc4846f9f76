//! `edgerun sensors`: what sensors give, seen and recorded, exactly as the daemon reads them.

mod daemon;
mod list;
mod read;
mod record;
mod sampling;

use std::io::Write;

use anyhow::bail;

use super::{ConfigArgs, Outcome};
use crate::config::{Config, Sensor};

/// Arguments of `edgerun sensors`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// Prints JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Shows the configured sensors with their channels, or with --drivers what there can be; opens nothing
    List(list::Args),
    /// Shows values live, with the rate that is reached and its jitter
    Read(read::Args),
    /// Records a sensor into a .csv or .npy file, a camera into a folder: what the drivers `replay` and `pictures`, and training, read
    Record(record::Args),
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let config = || args.config.load();
    match &args.command {
        Command::List(what) if what.drivers => list::drivers(args.json, out),
        Command::List(_) => list::sensors(&config()?, args.json, out),
        Command::Read(what) => read::run(&config()?, what, args.json, out),
        Command::Record(what) => record::run(&config()?, what, args.json, out),
    }
}

/// The sensors of these names; all where none is named.
fn named<'a>(config: &'a Config, names: &[String]) -> anyhow::Result<Vec<&'a Sensor>> {
    let there = || config.sensors.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
    if config.sensors.is_empty() {
        bail!("the configuration has no [[sensor]]");
    }
    if names.is_empty() {
        return Ok(config.sensors.iter().collect());
    }
    let mut found: Vec<&Sensor> = Vec::with_capacity(names.len());
    for name in names {
        match config.sensors.iter().find(|sensor| sensor.name.as_str() == name) {
            Some(sensor) if found.iter().all(|other| other.name != sensor.name) => {
                found.push(sensor);
            }
            Some(_) => {}
            None => bail!("there is no sensor {name:?}; there are: {}", there()),
        }
    }
    Ok(found)
}
