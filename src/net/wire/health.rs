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

impl Verdict {
    /// The word in payloads.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
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
    /// The same for programs, in the same order.
    pub problems: Vec<ProblemHealth>,
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

/// One reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProblemHealth {
    /// Its kind, from the list in `docs/mqtt.md`.
    pub code: &'static str,
    /// The pipeline, sensor or thermal zone that it is about; absent when it is about the whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// As in `reasons`.
    pub message: String,
}

/// How a pipeline is doing. Rates and percentiles are those of the last reporting period, counters run
/// since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PipelineHealth {
    /// Its name in the configuration.
    pub name: String,
    /// `ok`, `degraded` or `failing`.
    pub state: Verdict,
    /// Whether it was told to make no results.
    pub paused: bool,
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
    /// Results that came later after their last sample than the next window was due.
    pub deadline_misses: u64,
    /// Windows given up by the recipe, a failed run or a full queue.
    pub dropped_windows: u64,
    /// Windows that became results.
    pub windows: u64,
    /// What went wrong last, until it has gone well again.
    pub last_error: Option<String>,
    /// Where its results go beside the broker; absent without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkHealth>,
}

/// How a sink beside the broker is doing; counters run since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkHealth {
    /// `json_lines`, `webhook`, or an output such as `gpio gpiochip0:17`.
    pub sink: String,
    /// Results and events that arrived, or times that an output was set.
    pub delivered: u64,
    /// Results and events given up.
    pub dropped: u64,
    /// Why it does not do its job; absent while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    /// edgerun's version.
    pub version: String,
    /// Starts on this board after the first.
    pub restarts: u64,
    /// Runs before this one that ended without being stopped.
    pub unclean_stops: u64,
    /// How the run before ended, from the list in `docs/mqtt.md`; absent at the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_stop: Option<&'static str>,
}

/// The machine; what it does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Board {
    /// `synced` or `unsynced`.
    pub clock: String,
    /// Since the board's start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_s: Option<u64>,
    /// The kernel's release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Share of all cores in use over the last reporting period, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// Processes that ran or waited, on average over 1, 5 and 15 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<[f64; 3]>,
    /// All memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<u64>,
    /// Memory that can still be had without swapping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
    /// The file system where edgerun keeps its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_total_bytes: Option<u64>,
    /// Space left on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// Whether it cannot be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_read_only: Option<bool>,
    /// Life used of the most worn eMMC, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_wear_percent: Option<u8>,
    /// The hottest thermal zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
    /// All thermal zones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub temperatures: Vec<ZoneHealth>,
    /// Whether heat or power holds the processor back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<bool>,
    /// The cooling devices that do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub throttled_by: Vec<String>,
    /// The highest frequency allowed, in percent of what the processor has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_cap_percent: Option<u8>,
    /// Whether the power supply gives too little.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under_voltage: Option<bool>,
}

/// A thermal zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ZoneHealth {
    /// The kernel's name for it, as in `cpu-thermal`.
    pub zone: String,
    /// Its temperature.
    pub temperature_c: f64,
}

/// The connection to the broker; counters run since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MqttHealth {
    /// Whether it is up.
    pub connected: bool,
    /// Messages waiting for it.
    pub queue: u64,
    /// Bytes that they take on disk.
    pub spool_bytes: u64,
    /// Messages given up: no room, too large, or refused by the broker.
    pub dropped: u64,
    /// Of those, the ones that the broker refused.
    pub refused: u64,
    /// Messages that the broker has acknowledged.
    pub acknowledged: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// Why there is no connection, or what the broker refused last; absent when there is nothing to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}
