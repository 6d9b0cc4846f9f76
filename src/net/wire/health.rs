//! `health`: how the device is doing, with the reasons where it could do better.

use serde::Serialize;

/// The overall state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything does its job.
    #[default]
    Ok,
    /// Something is missing or late, and the rest does its job.
    Degraded,
    /// No pipeline does its job.
    Failing,
}

/// The payload of `health`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Health {
    /// When it was composed, RFC 3339.
    pub time: String,
    /// `synced` or `unsynced`.
    pub clock: String,
    /// The run.
    pub session: String,
    /// The overall state.
    pub state: Verdict,
    /// Why it is not `ok`: sentences for people; empty when it is.
    pub reasons: Vec<String>,
    /// One for each pipeline.
    pub pipelines: Vec<PipelineHealth>,
    /// One for each sensor.
    pub sensors: Vec<SensorHealth>,
    /// This process.
    pub process: Process,
    /// The machine.
    pub board: Board,
    /// The connection to the broker.
    pub mqtt: MqttHealth,
}

/// How a pipeline is doing. Rates and percentiles are those of the last reporting period, counters run
/// since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PipelineHealth {
    /// Its name in the configuration.
    pub name: String,
    /// `ok`, `degraded` or `failing`.
    pub state: Verdict,
    /// The model's name.
    pub model: String,
    /// The model's version.
    pub version: String,
    /// The engine that runs it.
    pub engine: String,
    /// Results a second.
    pub rate_hz: f64,
    /// Median of preprocess, engine and postprocess together.
    pub latency_p50_us: u64,
    /// The 99th percentile of the same.
    pub latency_p99_us: u64,
    /// Windows that were ready later than the next one began.
    pub deadline_misses: u64,
    /// Windows given up because the pipeline was behind.
    pub dropped_windows: u64,
    /// Windows that became results.
    pub windows: u64,
    /// What went wrong last, until it has gone well again.
    pub last_error: Option<String>,
}

/// Whether a sensor answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SensorState {
    /// It answers.
    #[default]
    Ok,
    /// It does not; it is asked again with back-off.
    Lost,
}

/// How a sensor is doing; counters run since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SensorHealth {
    /// Its name in the configuration.
    pub name: String,
    /// Whether it answers.
    pub state: SensorState,
    /// Frames a second over the last reporting period.
    pub rate_hz: f64,
    /// Frames read.
    pub frames: u64,
    /// Reads that began after the next one was due.
    pub missed_deadlines: u64,
    /// The largest delay of a read behind its deadline.
    pub jitter_max_us: u64,
    /// Breaks in the stream.
    pub gaps: u64,
    /// Reads that the bus refused.
    pub bus_errors: u64,
}

/// This process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Process {
    /// Resident memory.
    pub rss_bytes: u64,
    /// Processor time over the last reporting period; 100 is one core.
    pub cpu_percent: f64,
    /// Time since the start.
    pub uptime_s: u64,
}

/// The machine; what it does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Board {
    /// `synced` or `unsynced`.
    pub clock: String,
    /// Space left where edgerun keeps its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// The hottest thermal zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
}

/// The connection to the broker; counters run since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MqttHealth {
    /// Whether it is up.
    pub connected: bool,
    /// Messages waiting for it.
    pub queue: u64,
    /// Messages given up: no room, too large, or refused by the broker.
    pub dropped: u64,
    /// Connections after the first.
    pub reconnects: u64,
}
