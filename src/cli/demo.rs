//! `edgerun demo`: the whole system on this machine, nothing else installed.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use anyhow::bail;

use super::{Outcome, output};
use crate::demo::{self, Options, Summary};

/// Arguments of `edgerun demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many times faster than real time the recording plays, 0.1 to 200
    #[arg(long, value_name = "X", default_value_t = 30.0, value_parser = speed)]
    speed: f64,

    /// Ends after the recordings, without the model updates; so does any speed below 1
    #[arg(long)]
    no_updates: bool,

    /// Also serves HTTP here, as in 127.0.0.1:8080; loopback only
    #[arg(long, value_name = "ADDR", value_parser = loopback)]
    http: Option<SocketAddr>,

    /// Prints the summary as one line of JSON and nothing else
    #[arg(long)]
    json: bool,
}

/// Below, a model that is slow for the demo would take too long for a self-test.
const SLOWEST: f64 = 1.0;

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    // Beyond this the pauses between two samples come near what a busy machine's scheduler takes.
    if (0.1..=200.0).contains(&speed) { Ok(speed) } else { Err("must be 0.1 to 200".to_owned()) }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "not HOST:PORT".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("the demo has no token, so it listens on 127.0.0.1 or [::1] only".to_owned()),
    }
}

/// Runs the demo to its end or to Ctrl-C.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let stop = super::stop_on_signal()?;
    let Args { speed, http, json, no_updates } = *args;
    let live = !json && output::shows_colours();
    let updates = !no_updates && speed >= SLOWEST;
    let options = Options { speed, updates, http, live };
    let summary = if json {
        let summary = demo::run(&options, &stop, io::sink())?;
        writeln!(out, "{}", serde_json::to_string(&summary)?)?;
        summary
    } else {
        demo::run(&options, &stop, out)?
    };
    outcome(&summary, stop.load(Ordering::Acquire))
}

/// A demo that nobody stopped has to have shown something.
fn outcome(summary: &Summary, stopped: bool) -> anyhow::Result<Outcome> {
    if summary.windows == 0 && !stopped {
        bail!("no result came back from the demo's own broker: run it with --log-level debug");
    }
    Ok(Outcome::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_without_a_result_has_failed_unless_it_was_stopped() {
        let nothing = Summary::default();
        assert!(outcome(&nothing, false).is_err());
        assert!(outcome(&nothing, true).is_ok());
        assert!(outcome(&Summary { windows: 1, ..nothing }, false).is_ok());
    }
}
