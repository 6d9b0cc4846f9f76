//! `edgerun sensors list`.

use std::io::Write;

use serde_json::{Value, json};

use super::Outcome;
use super::daemon::Daemon;
use crate::config::Config;
use crate::daemon::control::SensorNow;
use crate::daemon::driver_settings;
use crate::sensor::{Channel, DRIVERS};

/// Arguments of `edgerun sensors list`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Shows the drivers of this build instead
    #[arg(long)]
    pub(super) drivers: bool,
}

pub(super) fn drivers(json: bool, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    if json {
        let all = DRIVERS.iter().map(|driver| json!({"driver": driver.name, "what": driver.what}));
        writeln!(out, "{}", json!({ "drivers": all.collect::<Vec<_>>() }))?;
        return Ok(Outcome::Good);
    }
    for driver in DRIVERS {
        writeln!(out, "{:<10}  {}", driver.name, driver.what)?;
    }
    Ok(Outcome::Good)
}

pub(super) fn sensors(config: &Config, json: bool, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut all = Vec::with_capacity(config.sensors.len());
    // One that does not answer is no reason to say nothing.
    let daemon = Daemon::of(config).ok().flatten();
    for sensor in &config.sensors {
        let settings = driver_settings(&sensor.driver);
        let (name, driver) = (sensor.name.as_str(), settings.driver());
        match settings.spec() {
            Ok(spec) if json => {
                let channels: Vec<Value> = spec.channels.iter().map(channel).collect();
                let now = daemon.as_ref().and_then(|daemon| daemon.sensor(name));
                all.push(json!({
                    "sensor": name, "driver": driver, "rate_hz": spec.rate_hz, "channels": channels,
                    "daemon": now.map(counters),
                }));
            }
            Ok(spec) => {
                writeln!(out, "{name}: {driver}, {} Hz", spec.rate_hz)?;
                for channel in &spec.channels {
                    let range = channel.range.map(|[low, high]| format!("{low} to {high} "));
                    let (name, range) = (&channel.name, range.unwrap_or_default());
                    writeln!(out, "  {name:<16}  {range}{}", channel.unit)?;
                }
                if let Some(now) = daemon.as_ref().and_then(|daemon| daemon.sensor(name)) {
                    writeln!(out, "  {}", in_the_daemon(now))?;
                }
            }
            Err(error) if json => {
                all.push(json!({"sensor": name, "driver": driver, "error": error.to_string()}));
            }
            Err(error) => writeln!(out, "{name}: {driver}: {error}")?,
        }
    }
    if json {
        writeln!(out, "{}", json!({ "sensors": all }))?;
    }
    Ok(Outcome::Good)
}

/// What the running daemon has counted.
fn in_the_daemon(now: &SensorNow) -> String {
    let reading = now.reading();
    let why = reading.last_error.map(|why| format!(": {why}")).unwrap_or_default();
    format!(
        "in the daemon: {}, {} frames, {} gaps, {} errors, jitter p99 {:.1?}{why}",
        now.state, reading.frames, reading.gaps, reading.errors, reading.jitter_p99
    )
}

fn counters(now: &SensorNow) -> Value {
    json!({
        "state": now.state, "frames": now.frames, "gaps": now.gaps, "errors": now.errors,
        "missed_deadlines": now.missed_deadlines, "jitter_p99_us": now.jitter_p99_us,
        "jitter_max_us": now.jitter_max_us, "last_error": now.last_error, "outside": now.outside,
    })
}

fn channel(channel: &Channel) -> Value {
    json!({"name": channel.name, "unit": channel.unit, "range": channel.range})
}
