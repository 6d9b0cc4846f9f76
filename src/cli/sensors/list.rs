//! `edgerun sensors list`.

use std::io::Write;

use serde_json::{Value, json};

use super::Outcome;
use crate::config::Config;
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
    for sensor in &config.sensors {
        let settings = driver_settings(&sensor.driver);
        let (name, driver) = (sensor.name.as_str(), settings.driver());
        match settings.spec() {
            Ok(spec) if json => {
                let channels: Vec<Value> = spec.channels.iter().map(channel).collect();
                all.push(json!({
                    "sensor": name, "driver": driver, "rate_hz": spec.rate_hz, "channels": channels,
                }));
            }
            Ok(spec) => {
                writeln!(out, "{name}: {driver}, {} Hz", spec.rate_hz)?;
                for channel in &spec.channels {
                    let range = channel.range.map(|[low, high]| format!("{low} to {high} "));
                    let (name, range) = (&channel.name, range.unwrap_or_default());
                    writeln!(out, "  {name:<16}  {range}{}", channel.unit)?;
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

fn channel(channel: &Channel) -> Value {
    json!({"name": channel.name, "unit": channel.unit, "range": channel.range})
}
