//! `info`: what this device is and can do. Changes only with the configuration, a model or the program.

use serde::Serialize;

/// The payload of `info`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Info {
    /// When it was composed, RFC 3339.
    pub time: String,
    /// `synced` or `unsynced`.
    pub clock: String,
    /// The run.
    pub session: String,
    /// The device's id.
    pub device: String,
    /// Fleet groups it belongs to.
    pub groups: Vec<String>,
    /// edgerun's version.
    pub version: String,
    /// The machine.
    pub hardware: Hardware,
    /// Engines in this build.
    pub engines: Vec<String>,
    /// One for each sensor.
    pub sensors: Vec<SensorInfo>,
    /// One for each pipeline.
    pub pipelines: Vec<PipelineInfo>,
    /// Verbs that `cmd/…` accepts.
    pub commands: Vec<String>,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hardware {
    /// The board's own name, as in `Raspberry Pi 4 Model B Rev 1.4`, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// Instruction set, as in `aarch64`.
    pub arch: String,
    /// Operating system, as in `linux`.
    pub os: String,
    /// Processor cores that may be used.
    pub cpus: usize,
    /// Memory, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// A sensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SensorInfo {
    /// Its name in the configuration.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Frames a second, nominal.
    pub rate_hz: f64,
    /// What a frame holds, in order.
    pub channels: Vec<ChannelInfo>,
}

/// A channel of a sensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChannelInfo {
    /// Its name, as in `accel_x`.
    pub name: String,
    /// SI symbol, as in `m/s²`.
    pub unit: String,
}

/// A pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PipelineInfo {
    /// Its name in the configuration.
    pub name: String,
    /// The sensor it reads.
    pub sensor: String,
    /// The model's name.
    pub model: String,
    /// The model's version.
    pub version: String,
    /// The engine that runs it.
    pub engine: String,
    /// `classification`, `regression` or `anomaly`.
    pub kind: String,
    /// The labels a classification gives; empty otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The unit of a regression's value; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}
