//! The steps of `edgerun check` that meet the world: sensors, models, the broker.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use super::step::Step;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, Credentials, ModelSource};
use crate::daemon::{self, Loaded};
use crate::data::Frames;
use crate::model::Bundle;
use crate::net;
use crate::sensor::{DriverSettings, SensorError};
use crate::storage::DirStorage;
use crate::store::Store;
use crate::update::record::Record;

/// How long a sensor may take to its first frame, beyond its own period.
const FIRST_FRAME: Duration = Duration::from_secs(2);

/// A step for each sensor, each pipeline and the broker.
pub(super) fn steps<'a>(config: &'a Config, credentials: &'a Credentials) -> Vec<Step<'a>> {
    let sensors = config.sensors.iter().map(|sensor| {
        Step::surroundings(format!("sensor {}", sensor.name), move || look_at_sensor(sensor))
    });
    let pipelines = config.pipelines.iter().map(|pipeline| {
        Step::surroundings(format!("pipeline {}", pipeline.name), move || {
            look_at_pipeline(config, pipeline)
        })
    });
    let broker = config
        .mqtt
        .iter()
        .map(|_| Step::surroundings("broker", move || look_at_broker(config, credentials)));
    sensors.chain(pipelines).chain(broker).collect()
}

fn look_at_sensor(sensor: &config::Sensor) -> anyhow::Result<String> {
    let settings = daemon::driver_settings(&sensor.driver);
    if let DriverSettings::Join(join) = &settings {
        // Its sensors are looked at themselves.
        let names: Vec<_> = join.parts.iter().map(|part| part.name.as_str()).collect();
        let spec = settings.spec()?;
        let (names, channels, hz) = (names.join(", "), spec.channels.len(), spec.rate_hz);
        return Ok(format!("joins {names}: {channels} channels at {hz} Hz"));
    }
    let mut opened = match settings.open(Arc::new(SystemClock)) {
        // Not asked: two drivers on one chip would take each other's samples.
        Err(SensorError::InUse(why)) => return Ok(format!("{}: {why}", settings.driver())),
        opened => opened?,
    };
    let (channels, rate_hz) = (opened.spec().channels.len(), opened.spec().rate_hz);
    let mut frames = Frames::new(channels, 256);
    let clock = SystemClock;
    let deadline = clock.monotonic() + opened.spec().period() + FIRST_FRAME;
    while frames.is_empty() {
        if clock.monotonic() > deadline {
            bail!("{} opens, but gives no samples", settings.driver());
        }
        match opened.read(&mut frames) {
            Ok(0) => clock.sleep_until(clock.monotonic() + opened.spec().period()),
            Ok(_) | Err(SensorError::Ended) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let gives = match frames.picture(0) {
        Some(picture) => format!("pictures of {} x {}", picture.width(), picture.height()),
        None => format!("{channels} channels"),
    };
    Ok(format!("{} answers: {gives} at {rate_hz} Hz", settings.driver()))
}

fn look_at_pipeline(config: &Config, pipeline: &config::Pipeline) -> anyhow::Result<String> {
    let bundle = match &pipeline.model {
        ModelSource::Path(path) => Bundle::open(path)?,
        ModelSource::Store(name) => match stored(config, name)? {
            Some(bundle) => bundle,
            None => return Ok(format!("model {name} has no version in the store yet")),
        },
    };
    let loaded = Loaded::new(&bundle, pipeline)?;
    if let Some(feed) = &pipeline.feed {
        let sensor = config.sensor(&feed.sensor).context("its sensor is not configured")?;
        let spec = daemon::driver_settings(&sensor.driver).spec()?;
        daemon::fit(&loaded.manifest, feed.window, &spec)?;
    }
    loaded.predictor()?;
    let report = loaded.model.report();
    let (name, version) = (&loaded.manifest.name, &loaded.manifest.version);
    Ok(format!("model {name} {version} loads on engine {}", report.engine))
}

/// What the store says that `model` runs; a daemon may be at work meanwhile.
fn stored(config: &Config, model: &str) -> anyhow::Result<Option<Bundle>> {
    let record = Record::of(&DirStorage::new(&config.state), model)?;
    let Some(current) = record.current else { return Ok(None) };
    let path = Store::file(&Store::folder(&config.state), &current.digest);
    Ok(Some(Bundle::open(&path)?))
}

fn look_at_broker(config: &Config, credentials: &Credentials) -> anyhow::Result<String> {
    let secrets = config.secrets(credentials).map_err(|wrong| {
        let named = wrong.iter().map(|(key, error)| format!("{key}: {error}"));
        anyhow!("not asked without its credentials: {}", named.collect::<Vec<_>>().join("; "))
    })?;
    let settings = daemon::mqtt_settings(config, &secrets).context("no [mqtt]")?;
    let remarks = net::probe(&settings)?;
    let address = settings.address();
    Ok(match remarks.as_slice() {
        [] => format!("{address} lets us in"),
        remarks => format!("{address} lets us in; {}", remarks.join("; ")),
    })
}
