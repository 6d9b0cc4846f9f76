//! What of the device's state is a reason to worry, and the verdict that follows. Pure: facts in, conditions out.

use std::time::Duration;

use crate::data::ClockState;
use crate::health::{BoardReading, Code, Conditions, Disk, Reading, Round, Run};
use crate::net::NetState;
use crate::net::wire::Verdict;
use crate::sink::SinkReading;

const MIB: u64 = 1 << 20;
/// A zone has cooled down this far below its limit.
const COOLED_C: f64 = 5.0;
/// How long after the start a run that fell over is still told.
const UNCLEAN_TOLD: Duration = Duration::from_secs(600);

/// Everything that the verdict depends on, at one moment.
pub(super) struct Facts<'a> {
    pub(super) pipelines: Vec<PipelineFacts<'a>>,
    pub(super) sensors: Vec<SensorFacts<'a>>,
    /// `None` without a broker.
    pub(super) net: Option<NetState>,
    pub(super) board: &'a BoardReading,
    pub(super) clock: ClockState,
    pub(super) run: Run,
    /// Of the process.
    pub(super) uptime: Duration,
}

pub(super) struct SensorFacts<'a> {
    pub(super) name: &'a str,
    /// Why it is away.
    pub(super) lost: Option<String>,
    /// Why its values are no measurements.
    pub(super) stuck: Option<String>,
    /// Channels outside of what it can measure.
    pub(super) outside: Vec<String>,
}

pub(super) struct PipelineFacts<'a> {
    pub(super) name: &'a str,
    pub(super) work: Work<'a>,
}

/// What a pipeline is able to do.
pub(super) enum Work<'a> {
    Failed {
        why: &'a str,
    },
    Waiting {
        why: String,
    },
    Running {
        misses: u64,
        dropped: u64,
        durable: bool,
        last_error: Option<String>,
        /// The sinks beside the broker, each with its name.
        sinks: Vec<(&'a str, SinkReading)>,
    },
}

/// Reads every condition at `now` (monotonic).
pub(super) fn assess(conditions: &mut Conditions, facts: &Facts<'_>, now: Duration) {
    let mut round = conditions.round(now);
    for SensorFacts { name, lost, stuck, outside } in &facts.sensors {
        let away = || format!("sensor {name} does not answer: {}", lost.as_deref().unwrap_or(""));
        round.state(Code::SensorLost, name, Reading::of(lost.is_some()), away);
        let frozen = || format!("sensor {name} is {}", stuck.as_deref().unwrap_or(""));
        round.state(Code::SensorStuck, name, Reading::of(stuck.is_some()), frozen);
        round.state(Code::SensorOutOfRange, name, Reading::of(!outside.is_empty()), || {
            format!("sensor {name} is beyond what it can measure: {}", outside.join(", "))
        });
    }
    for pipeline in &facts.pipelines {
        assess_pipeline(&mut round, pipeline);
    }
    if let Some(net) = &facts.net {
        assess_net(&mut round, net);
    }
    assess_board(&mut round, facts.board);
    let unsynced = facts.clock == ClockState::Unsynced;
    round.state(Code::ClockUnsynced, "", Reading::of(unsynced), || {
        "the clock is not synchronised: times may be wrong".to_owned()
    });
    if let Some(stop) = facts.run.unclean() {
        let told = Reading::of(facts.uptime < UNCLEAN_TOLD);
        round.state(Code::UncleanStop, "", told, || {
            let times = facts.run.unclean_stops;
            format!("the run before was not stopped ({}); {times} so far", stop.as_str())
        });
    }
    round.end();
}

fn assess_pipeline(round: &mut Round<'_>, pipeline: &PipelineFacts<'_>) {
    let name = pipeline.name;
    match &pipeline.work {
        Work::Failed { why } => round.state(Code::PipelineFailed, name, Reading::Bad, || {
            format!("pipeline {name} cannot run: {why}")
        }),
        Work::Waiting { why } => {
            round.state(Code::PipelineWaiting, name, Reading::Bad, || why.clone());
        }
        Work::Running { misses, dropped, durable, last_error, sinks } => {
            round.count(Code::DeadlineMisses, name, *misses, |misses| {
                format!("pipeline {name} is too slow: {misses} deadline misses")
            });
            round.count(Code::WindowsDropped, name, *dropped, |dropped| {
                format!("pipeline {name} has given up {dropped} windows or frames")
            });
            round.state(Code::SequenceNotDurable, name, Reading::of(!durable), || {
                format!("pipeline {name}: sequence numbers cannot be kept on disk")
            });
            let error = Reading::of(last_error.is_some());
            round.state(Code::PipelineError, name, error, || {
                format!("pipeline {name}: {}", last_error.as_deref().unwrap_or(""))
            });
            let troubles = || {
                let of = |(sink, reading): &(&str, SinkReading)| {
                    reading.trouble.as_ref().map(|why| format!("{sink}: {why}"))
                };
                sinks.iter().filter_map(of).collect::<Vec<_>>()
            };
            let failed = Reading::of(sinks.iter().any(|(_, sink)| sink.trouble.is_some()));
            round.state(Code::SinkFailed, name, failed, || {
                format!("pipeline {name}: {}", troubles().join("; "))
            });
            let given_up = sinks.iter().map(|(_, sink)| sink.dropped).sum();
            round.count(Code::SinkDropped, name, given_up, |dropped| {
                format!("pipeline {name}: sinks have given up {dropped} results or events")
            });
        }
    }
}

fn assess_net(round: &mut Round<'_>, net: &NetState) {
    let why = net.last_error.as_deref();
    // A first attempt that has not ended is no reason yet.
    let away = Reading::of(!net.connected && why.is_some());
    round.state(Code::BrokerAway, "", away, || {
        format!("no connection to the broker: {}", why.unwrap_or(""))
    });
    let refuses = Reading::of(net.connected && why.is_some());
    round.state(Code::BrokerRefuses, "", refuses, || why.unwrap_or("").to_owned());
    round.state(Code::IdTaken, "", Reading::of(net.twin), || {
        "another board connects with this board's id: give each its own [device] id".to_owned()
    });
    let spool = net.spool_error.as_deref();
    round.state(Code::SpoolNotDurable, "", Reading::of(spool.is_some()), || {
        format!("results and events wait in memory only: {}", spool.unwrap_or(""))
    });
    round.count(Code::MessagesDropped, "", net.dropped, |dropped| {
        format!("{dropped} results or events for the broker were given up")
    });
}

fn assess_board(round: &mut Round<'_>, board: &BoardReading) {
    for zone in &board.zones {
        let hot = Reading::above(zone.celsius, zone.limit, COOLED_C);
        round.state(Code::TemperatureHigh, &zone.name, hot, || {
            let (celsius, limit) = (zone.celsius, zone.limit);
            format!("{} is at {celsius:.0} °C; its limit is {limit:.0} °C", zone.name)
        });
    }
    let throttling = &board.throttling;
    round.state(Code::Throttled, "", Reading::of(throttling.now()), || {
        let by = throttling.devices.join(", ");
        let by = if by.is_empty() { "the firmware" } else { &by };
        format!("the processor is slowed down by {by}")
    });
    let weak = Reading::of(throttling.under_voltage == Some(true));
    round
        .state(Code::UnderVoltage, "", weak, || "the power supply gives too little voltage".into());
    if let (Some(total), Some(available)) = (board.memory_total_bytes, board.memory_available_bytes)
    {
        let limit = (total / 20).min(128 * MIB) as f64;
        let low = Reading::below(available as f64, limit, limit / 4.0);
        round.state(Code::MemoryLow, "", low, || {
            format!("{} MiB of {} MiB memory are left", available / MIB, total / MIB)
        });
    }
    if let Some(Disk { free_bytes, total_bytes, read_only }) = board.disk {
        let limit = (total_bytes / 20).min(256 * MIB) as f64;
        let low = Reading::below(free_bytes as f64, limit, limit / 4.0);
        round.state(Code::DiskLow, "", low, || {
            let (free, total) = (free_bytes / MIB, total_bytes / MIB);
            format!("{free} MiB of {total} MiB are left on the disk with the state")
        });
        round.state(Code::DiskReadOnly, "", Reading::of(read_only), || {
            "the disk with the state cannot be written".to_owned()
        });
    }
    let worn = board.wear.is_some_and(|wear| wear.near_end || wear.percent >= 90);
    round.state(Code::DiskWorn, "", Reading::of(worn), || {
        let percent = board.wear.map_or(0, |wear| wear.percent);
        format!("the flash memory is worn out: up to {percent} % of its life are used")
    });
}

/// How the pipeline `name` is doing, whose sensor is `sensor`.
pub(super) fn of_pipeline(conditions: &Conditions, name: &str, sensor: &str) -> Verdict {
    conditions.keys().fold(Verdict::Ok, |verdict, (code, part)| match code {
        Code::PipelineFailed | Code::PipelineWaiting if part == name => Verdict::Failing,
        Code::SensorLost | Code::SensorStuck if part == sensor => Verdict::Failing,
        Code::SensorOutOfRange if part == sensor && verdict == Verdict::Ok => Verdict::Degraded,
        Code::DeadlineMisses
        | Code::WindowsDropped
        | Code::SequenceNotDurable
        | Code::PipelineError
        | Code::SinkFailed
        | Code::SinkDropped
            if part == name && verdict == Verdict::Ok =>
        {
            Verdict::Degraded
        }
        _ => verdict,
    })
}

/// How the whole is doing with its `pipelines`.
pub(super) fn of_all(
    conditions: &Conditions,
    mut pipelines: impl Iterator<Item = Verdict>,
) -> Verdict {
    match () {
        () if pipelines.all(|verdict| verdict == Verdict::Failing) => Verdict::Failing,
        () if conditions.keys().next().is_none() => Verdict::Ok,
        () => Verdict::Degraded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Session;
    use crate::health::{Stop, Wear, Zone};

    fn well() -> BoardReading {
        BoardReading {
            zones: vec![Zone { name: "cpu-thermal".into(), celsius: 48.5, limit: 85.0 }],
            memory_total_bytes: Some(1024 * MIB),
            memory_available_bytes: Some(512 * MIB),
            disk: Some(Disk { free_bytes: 4 << 30, total_bytes: 8 << 30, read_only: false }),
            wear: Some(Wear { percent: 30, near_end: false }),
            ..BoardReading::default()
        }
    }

    fn net(connected: bool, why: Option<&str>) -> NetState {
        let last_error = why.map(str::to_owned);
        NetState { connected, last_error, ..NetState::new(Session::from_bits([0; 16])) }
    }

    fn running(last_error: Option<&str>) -> Work<'static> {
        let last_error = last_error.map(str::to_owned);
        Work::Running { misses: 0, dropped: 0, durable: true, last_error, sinks: Vec::new() }
    }

    fn facts(board: &BoardReading) -> Facts<'_> {
        Facts {
            pipelines: vec![PipelineFacts { name: "gestures", work: running(None) }],
            sensors: vec![SensorFacts {
                name: "imu",
                lost: None,
                stuck: None,
                outside: Vec::new(),
            }],
            net: Some(net(true, None)),
            board,
            clock: ClockState::Synced,
            run: Run::default(),
            uptime: Duration::ZERO,
        }
    }

    /// Codes and parts after one look, and the two verdicts.
    fn found(facts: &Facts<'_>) -> (Vec<String>, Verdict, Verdict) {
        let mut conditions = Conditions::default();
        assess(&mut conditions, facts, Duration::from_secs(1));
        let keys = conditions.keys().map(|(code, part)| {
            if part.is_empty() {
                code.as_str().to_owned()
            } else {
                format!("{}:{part}", code.as_str())
            }
        });
        let pipeline = of_pipeline(&conditions, "gestures", "imu");
        let all = of_all(&conditions, [pipeline].into_iter());
        (keys.collect(), pipeline, all)
    }

    #[test]
    fn a_board_that_is_well_or_tells_nothing_has_no_reason() {
        for board in [well(), BoardReading::default()] {
            assert_eq!(found(&facts(&board)), (vec![], Verdict::Ok, Verdict::Ok));
        }
    }

    #[test]
    fn every_trouble_of_the_board_is_a_reason_and_no_pipeline_fails_for_it() {
        type Change = fn(&mut BoardReading);
        let changes: [(&str, Change); 9] = [
            ("temperature_high:cpu-thermal", |b| b.zones[0].celsius = 85.0),
            ("throttled", |b| b.throttling.devices = vec!["thermal-cpufreq-0".into()]),
            ("under_voltage", |b| b.throttling.under_voltage = Some(true)),
            ("memory_low", |b| b.memory_available_bytes = Some(40 * MIB)),
            ("disk_low", |b| {
                b.disk = Some(Disk { free_bytes: 0, total_bytes: 8 << 30, read_only: false });
            }),
            ("disk_low", |b| {
                b.disk =
                    Some(Disk { free_bytes: 3 * MIB, total_bytes: 64 * MIB, read_only: false });
            }),
            ("disk_read_only", |b| {
                b.disk = Some(Disk { free_bytes: 4 << 30, total_bytes: 8 << 30, read_only: true });
            }),
            ("disk_worn", |b| b.wear = Some(Wear { percent: 90, near_end: false })),
            ("disk_worn", |b| b.wear = Some(Wear { percent: 0, near_end: true })),
        ];
        for (code, change) in changes {
            let mut board = well();
            change(&mut board);
            let expected = (vec![code.to_owned()], Verdict::Ok, Verdict::Degraded);
            assert_eq!(found(&facts(&board)), expected);
        }
    }

    #[test]
    fn a_lost_sensor_or_a_pipeline_without_a_model_fails() {
        let board = well();
        let mut lost = facts(&board);
        lost.sensors[0].lost = Some("no acknowledge".to_owned());
        let expected = (vec!["sensor_lost:imu".to_owned()], Verdict::Failing, Verdict::Failing);
        assert_eq!(found(&lost), expected);
        let mut stuck = facts(&board);
        stuck.sensors[0].stuck = Some("frozen".to_owned());
        let expected = (vec!["sensor_stuck:imu".to_owned()], Verdict::Failing, Verdict::Failing);
        assert_eq!(found(&stuck), expected);
        let mut outside = facts(&board);
        outside.sensors[0].outside = vec!["temperature".to_owned()];
        let code = vec!["sensor_out_of_range:imu".to_owned()];
        assert_eq!(found(&outside), (code, Verdict::Degraded, Verdict::Degraded));
        let mut failed = facts(&board);
        failed.pipelines[0].work = Work::Failed { why: "no such file" };
        let code = vec!["pipeline_failed:gestures".to_owned()];
        assert_eq!(found(&failed), (code, Verdict::Failing, Verdict::Failing));
        let mut waiting = facts(&board);
        waiting.pipelines[0].work = Work::Waiting { why: "waits".to_owned() };
        let code = vec!["pipeline_waiting:gestures".to_owned()];
        assert_eq!(found(&waiting), (code, Verdict::Failing, Verdict::Failing));
    }

    #[test]
    fn what_goes_wrong_at_work_degrades() {
        let board = well();
        let mut wrong = facts(&board);
        wrong.pipelines[0].work = running(Some("NaN in output y"));
        let code = vec!["pipeline_error:gestures".to_owned()];
        assert_eq!(found(&wrong), (code, Verdict::Degraded, Verdict::Degraded));
        let mut unkept = facts(&board);
        unkept.pipelines[0].work = Work::Running {
            misses: 0,
            dropped: 0,
            durable: false,
            last_error: None,
            sinks: Vec::new(),
        };
        let code = vec!["sequence_not_durable:gestures".to_owned()];
        assert_eq!(found(&unkept), (code, Verdict::Degraded, Verdict::Degraded));
        let mut unsynced = facts(&board);
        unsynced.clock = ClockState::Unsynced;
        assert_eq!(found(&unsynced).0, ["clock_unsynced"]);
    }

    #[test]
    fn a_sink_that_does_not_do_its_job_or_gives_up_degrades_its_pipeline() {
        let board = well();
        let mut wrong = facts(&board);
        let mut conditions = Conditions::default();
        for (second, dropped) in [(1, 0), (2, 3)] {
            let trouble = Some("the server answers 500".to_owned());
            let sinks = vec![("webhook", SinkReading { delivered: 0, dropped, trouble })];
            let (misses, dropped, durable, last_error) = (0, 0, true, None);
            wrong.pipelines[0].work = Work::Running { misses, dropped, durable, last_error, sinks };
            assess(&mut conditions, &wrong, Duration::from_secs(second));
        }
        let said: Vec<_> = conditions.problems().map(|problem| problem.message).collect();
        let expected = [
            "pipeline gestures: webhook: the server answers 500",
            "pipeline gestures: sinks have given up 3 results or events",
        ];
        assert_eq!(said, expected);
        assert_eq!(of_pipeline(&conditions, "gestures", "imu"), Verdict::Degraded);
    }

    #[test]
    fn what_is_wrong_with_the_broker_or_the_spool_is_a_reason_once_it_is_known() {
        let board = well();
        for (state, code) in [
            (net(false, None), None),
            (net(false, Some("refused")), Some("broker_away")),
            (net(true, Some("refused to subscribe")), Some("broker_refuses")),
        ] {
            let mut with = facts(&board);
            with.net = Some(state);
            assert_eq!(found(&with).0, code.map(str::to_owned).into_iter().collect::<Vec<_>>());
        }
        let mut with = facts(&board);
        with.net = Some(NetState { twin: true, ..net(true, None) });
        assert_eq!(found(&with).0, ["id_taken"]);
        let mut with = facts(&board);
        with.net = Some(NetState { spool_error: Some("no space".into()), ..net(true, None) });
        assert_eq!(found(&with).0, ["spool_not_durable"]);
    }

    #[test]
    fn a_run_that_fell_over_is_told_for_a_while() {
        let board = well();
        let mut crashed = facts(&board);
        crashed.run = Run { restarts: 3, unclean_stops: 2, last_stop: Some(Stop::Watchdog) };
        assert_eq!(found(&crashed).0, ["unclean_stop"]);
        crashed.uptime = UNCLEAN_TOLD;
        assert!(found(&crashed).0.is_empty());
        crashed.uptime = Duration::ZERO;
        crashed.run.last_stop = Some(Stop::Clean);
        assert!(found(&crashed).0.is_empty());
    }

    #[test]
    fn drops_and_misses_count_from_when_they_are_seen() {
        let (board, mut conditions) = (well(), Conditions::default());
        let mut now = facts(&board);
        for (second, misses, keys) in [(0, 5, 0), (1, 6, 1), (60, 6, 1), (200, 6, 0)] {
            let (dropped, durable, last_error) = (0, true, None);
            now.pipelines[0].work =
                Work::Running { misses, dropped, durable, last_error, sinks: Vec::new() };
            assess(&mut conditions, &now, Duration::from_secs(second));
            assert_eq!(conditions.keys().count(), keys, "{second}");
        }
    }
}
