//! `info`: what the device is and can do.

use super::{PartState, Reporter};
use crate::engine::EngineKind;
use crate::health;
use crate::model::PostprocessKind;
use crate::net::wire::{ChannelInfo, Hardware, Info, PipelineInfo, SensorInfo};

impl Reporter {
    pub(super) fn info(&self) -> Info {
        let wall = self.clock.wall();
        let channel = |c: &crate::sensor::Channel| ChannelInfo {
            name: c.name.to_string(),
            unit: c.unit.to_string(),
        };
        let sensors = self.sensors.iter().map(|part| SensorInfo {
            name: part.name.clone(),
            driver: part.driver.to_owned(),
            rate_hz: part.spec.rate_hz,
            channels: part.spec.channels.iter().map(channel).collect(),
        });
        let pipelines = self.parts.iter().filter_map(|part| {
            let PartState::Running { current, .. } = &part.state else { return None };
            let loaded = current.get()?;
            Some(PipelineInfo {
                name: part.name.clone(),
                sensor: part.sensor.clone(),
                model: loaded.manifest.name.clone(),
                version: loaded.manifest.version.to_string(),
                engine: loaded.model.report().engine.as_str().to_owned(),
                kind: loaded.manifest.postprocess.kind.as_str().to_owned(),
                labels: loaded.manifest.labels.clone(),
                unit: match &loaded.manifest.postprocess.kind {
                    PostprocessKind::Regression(settings) => Some(settings.unit.clone()),
                    _ => None,
                },
            })
        });
        Info {
            time: wall.rfc3339(),
            clock: wall.clock.as_str().to_owned(),
            session: self.session.as_str().to_owned(),
            device: self.device.clone(),
            groups: self.groups.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hardware: Hardware {
                board: health::model_name(),
                arch: std::env::consts::ARCH.to_owned(),
                os: std::env::consts::OS.to_owned(),
                cpus: std::thread::available_parallelism().map_or(1, usize::from),
                memory_bytes: health::memory_bytes(),
            },
            engines: EngineKind::built().map(|engine| engine.to_string()).collect(),
            sensors: sensors.collect(),
            pipelines: pipelines.collect(),
            commands: self.commands.clone(),
        }
    }
}
