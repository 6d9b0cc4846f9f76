//! `health`: what was read and found, as its payload.

use std::sync::atomic::Ordering::Relaxed;

use super::{Part, PartState, Reporter, SensorPart, waiting};
use crate::daemon::outputs::SinkPart;
use crate::health::{BoardReading, BoardVersions, Stop};
use crate::net::NetState;
use crate::net::wire::{
    Board, Health, MqttHealth, PipelineHealth, ProblemHealth, Process, SensorHealth, SensorState,
    SinkHealth, ZoneHealth,
};
use crate::sensor;
use crate::sink::SinkReading;

impl Reporter {
    /// The present health; counters are of this moment, rates, percentiles and the board of the last period,
    /// reasons at most a second old.
    pub(in crate::daemon) fn health(&self) -> Health {
        let problems = self.conditions.problems().map(|problem| ProblemHealth {
            code: problem.code.as_str(),
            part: problem.part,
            message: problem.message,
        });
        let problems: Vec<_> = problems.collect();
        let wall = self.clock.wall();
        let clock = wall.clock.as_str().to_owned();
        Health {
            time: wall.rfc3339(),
            clock: clock.clone(),
            session: self.session.as_str().to_owned(),
            state: self.verdict(),
            reasons: problems.iter().map(|problem| problem.message.clone()).collect(),
            problems,
            pipelines: self.parts.iter().enumerate().map(|(k, p)| self.pipeline(k, p)).collect(),
            sensors: self.sensors.iter().enumerate().map(|(k, s)| self.sensor(k, s)).collect(),
            process: Process {
                rss_bytes: self.meter.rss_bytes(),
                cpu_percent: self.period.cpu_percent,
                uptime_s: self.uptime().as_secs(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                restarts: self.run.restarts,
                unclean_stops: self.run.unclean_stops,
                last_stop: self.run.last_stop.map(Stop::as_str),
            },
            board: board(&self.board, &self.versions, clock),
            mqtt: self.link.as_ref().map_or_else(MqttHealth::default, |link| mqtt(link.state())),
        }
    }

    fn sensor(&self, index: usize, part: &SensorPart) -> SensorHealth {
        let reading = part.stats.read();
        SensorHealth {
            name: part.name.clone(),
            state: match reading.state {
                sensor::SensorState::Lost | sensor::SensorState::Stuck => SensorState::Lost,
                _ => SensorState::Ok,
            },
            rate_hz: self.period.sensors.get(index).copied().unwrap_or_default(),
            frames: reading.frames,
            missed_deadlines: reading.missed_deadlines,
            jitter_max_us: u64::try_from(reading.jitter_max.as_micros()).unwrap_or(u64::MAX),
            gaps: reading.gaps,
            bus_errors: reading.errors,
        }
    }

    fn pipeline(&self, index: usize, part: &Part) -> PipelineHealth {
        let name = part.name.clone();
        let state = self.of_pipeline(part);
        let (current, stats, paused, sinks) = match &part.state {
            PartState::Running { current, stats, switch, sinks, .. } => {
                (current, stats, switch.is_paused(), sinks.iter().map(sink).collect())
            }
            PartState::Failed { why } => {
                let last_error = Some(why.clone());
                return PipelineHealth { name, state, last_error, ..PipelineHealth::default() };
            }
        };
        let Some(loaded) = current.get() else {
            let last_error = Some(waiting(&name, stats));
            let rest = PipelineHealth::default();
            return PipelineHealth { name, state, paused, last_error, sinks, ..rest };
        };
        let period = self.period.pipelines.get(index).copied().unwrap_or_default();
        PipelineHealth {
            name,
            state,
            paused,
            model: loaded.manifest.name.clone(),
            version: loaded.manifest.version.to_string(),
            engine: loaded.model.report().engine.as_str().to_owned(),
            rate_hz: period.rate_hz,
            latency_p50_us: period.p50_us,
            latency_p99_us: period.p99_us,
            deadline_misses: stats.deadline_misses.load(Relaxed),
            dropped_windows: stats.dropped_windows.load(Relaxed),
            windows: stats.windows.load(Relaxed),
            last_error: stats.last_error(),
            sinks,
        }
    }
}

fn sink(part: &SinkPart) -> SinkHealth {
    let SinkReading { delivered, dropped, trouble } = part.stats.read();
    SinkHealth { sink: part.name.clone(), delivered, dropped, last_error: trouble }
}

pub(super) fn board(reading: &BoardReading, versions: &BoardVersions, clock: String) -> Board {
    let zones = reading.zones.iter();
    let throttling = &reading.throttling;
    // Where nothing tells, it is not known.
    let tells = throttling.firmware.is_some() || throttling.frequency_cap_percent.is_some();
    Board {
        clock,
        uptime_s: reading.uptime_s,
        kernel: versions.kernel.clone(),
        os: versions.os.clone(),
        cpu_percent: reading.cpu_percent.map(tenths),
        load: reading.load,
        memory_total_bytes: reading.memory_total_bytes,
        memory_available_bytes: reading.memory_available_bytes,
        disk_total_bytes: reading.disk.map(|disk| disk.total_bytes),
        disk_free_bytes: reading.disk.map(|disk| disk.free_bytes),
        disk_read_only: reading.disk.map(|disk| disk.read_only),
        disk_wear_percent: reading.wear.map(|wear| wear.percent),
        temperature_c: reading.hottest().map(|zone| zone.celsius),
        temperatures: zones
            .map(|zone| ZoneHealth { zone: zone.name.clone(), temperature_c: zone.celsius })
            .collect(),
        throttled: (tells || throttling.now()).then(|| throttling.now()),
        throttled_by: throttling.devices.clone(),
        frequency_cap_percent: throttling.frequency_cap_percent,
        under_voltage: throttling.under_voltage,
    }
}

fn mqtt(state: NetState) -> MqttHealth {
    MqttHealth {
        connected: state.connected,
        queue: state.queue as u64,
        spool_bytes: state.spool_bytes,
        dropped: state.dropped,
        refused: state.refused,
        acknowledged: state.acked,
        reconnects: state.reconnects,
        last_error: state.last_error,
    }
}

/// Digits below a tenth are noise that costs bytes.
pub(super) fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::assess::{self, Facts, PipelineFacts, SensorFacts, Work};
    use super::*;
    use crate::clock::Stopwatch;
    use crate::data::ClockState;
    use crate::health::{BoardMeter, Conditions, Run, fake};
    use crate::net::wire;

    /// As on a Raspberry Pi 4; a Jetson has more zones.
    fn board_files() -> Vec<(String, &'static str)> {
        let mut files: Vec<(String, &str)> = [
            ("proc/loadavg", "0.31 1.20 0.9 2/114 9004\n"),
            ("proc/meminfo", "MemTotal: 3932160 kB\nMemFree: 1 kB\nMemAvailable: 3536896 kB\n"),
            ("proc/uptime", "1954.56 4000.00\n"),
            ("proc/stat", "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n"),
            ("proc/sys/kernel/osrelease", "6.6.31+rpt-rpi-v8\n"),
            ("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            ("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n"),
            ("sys/class/hwmon/hwmon0/name", "cpu_thermal\n"),
            ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n"),
            ("sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "1800000\n"),
            ("sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq", "1800000\n"),
            ("sys/block/mmcblk0/device/type", "SD\n"),
        ]
        .map(|(path, text)| (path.to_owned(), text))
        .into();
        for zone in 0..8 {
            let folder = format!("sys/class/thermal/thermal_zone{zone}");
            files.push((format!("{folder}/type"), "cpu-thermal\n"));
            files.push((format!("{folder}/temp"), "48500\n"));
            files.push((format!("{folder}/trip_point_0_type"), "critical\n"));
            files.push((format!("{folder}/trip_point_0_temp"), "110000\n"));
        }
        for device in 0..4 {
            let folder = format!("sys/class/thermal/cooling_device{device}");
            files.push((format!("{folder}/type"), "thermal-cpufreq-0\n"));
            files.push((format!("{folder}/cur_state"), "0\n"));
        }
        files
    }

    /// Prints what one report costs, for docs/benchmarks.md.
    #[test]
    fn a_report_is_small_also_on_a_board_with_many_zones() {
        const REPORTS: u32 = 1000;
        let files = board_files();
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let (_root, kernel) = fake::tree(&files);
        let mut meter = BoardMeter::new(kernel, Path::new("/"));
        let versions = meter.versions();
        let mut conditions = Conditions::default();
        let mut spent = [Duration::ZERO; 3];
        let mut bytes = 0;
        for report in 0..REPORTS {
            let watch = Stopwatch::start();
            let reading = meter.read();
            spent[0] += watch.elapsed();
            let watch = Stopwatch::start();
            let (dropped, durable, last_error) = (0, true, None);
            let work = Work::Running { misses: 0, dropped, durable, last_error, sinks: Vec::new() };
            let facts = Facts {
                pipelines: vec![PipelineFacts { name: "gestures", work }],
                sensors: vec![SensorFacts {
                    name: "imu",
                    lost: None,
                    stuck: None,
                    outside: Vec::new(),
                }],
                net: None,
                board: &reading,
                clock: ClockState::Synced,
                run: Run::default(),
                uptime: Duration::ZERO,
            };
            assess::assess(&mut conditions, &facts, Duration::from_secs(report.into()));
            spent[1] += watch.elapsed();
            let watch = Stopwatch::start();
            let name = "gestures".to_owned();
            let health = Health {
                time: "2026-11-23T10:02:11.020Z".to_owned(),
                clock: "synced".to_owned(),
                session: "5f0c3f0e9a0b4d0f8f5a6c1e2d3b4a59".to_owned(),
                pipelines: vec![PipelineHealth { name, ..PipelineHealth::default() }],
                sensors: vec![SensorHealth { name: "imu".to_owned(), ..SensorHealth::default() }],
                board: board(&reading, &versions, "synced".to_owned()),
                ..Health::default()
            };
            bytes = wire::json(&health).len();
            spent[2] += watch.elapsed();
        }
        assert!(bytes < 4096, "{bytes}");
        let [read, assess, write] = spent.map(|spent| spent / REPORTS);
        println!("board read {read:.1?}, reasons {assess:.1?}, payload {write:.1?}, {bytes} bytes");
    }
}
