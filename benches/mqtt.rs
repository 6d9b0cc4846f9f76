//! What it costs to get results to a broker, for `scripts/bench-mqtt`: run by it, prints one line of JSON.
//!
//!     mqtt throughput PORT COUNT [SPOOL]     results as fast as the broker acknowledges them
//!     mqtt paced PORT COUNT GROUP MS SPOOL   GROUP messages each MS milliseconds, written by a commit after as long;
//!                                            says `ready` when it has a segment, and waits for a line
//!
//! A PORT of 0 is a broker that is away. The last word of COUNT may be `e` for events instead of results.

#![expect(clippy::disallowed_methods, reason = "it paces messages as a sensor does")]

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use edgerun::clock::Stopwatch;
use edgerun::data::{
    ClockState, Event, EventKind, Finding, Inference, ScoredLabel, Timestamp, WindowSpan,
};
use edgerun::net::{self, Identity, MqttSettings, NetHandle, SpoolSettings, Subscriptions};
use edgerun::sink::{MqttSink, Sink};

const PATIENCE: Duration = Duration::from_secs(120);

fn at(ms: u64) -> Timestamp {
    let since_epoch = Duration::from_millis(1_795_600_000_000 + ms);
    Timestamp { since_epoch, clock: ClockState::Synced }
}

/// A result of 353 bytes.
fn result(seq: u64) -> Inference {
    let score = |label: &str, score| ScoredLabel { label: label.into(), score };
    Inference {
        pipeline: "gestures".into(),
        seq,
        model: "gestures".into(),
        version: "1.0.0".into(),
        latency: Duration::from_micros(412),
        window: WindowSpan { start: at(seq), end: at(seq + 3900), frames: 40 },
        finding: Finding::Classification {
            label: Some("walking".into()),
            score: 0.97,
            top: vec![score("walking", 0.97), score("running", 0.03)],
        },
    }
}

fn publish(sink: &mut MqttSink, seq: u64, events: bool) {
    let sent = if events {
        let kind = EventKind::LabelChanged { from: None, to: Some("walking".into()) };
        sink.event(Event { pipeline: "gestures".into(), time: at(seq), kind })
    } else {
        sink.publish(result(seq))
    };
    sent.expect("the queue is never full here");
}

fn start(port: u16, spool: Option<PathBuf>, commit: Duration) -> NetHandle {
    let mut settings = MqttSettings::new("127.0.0.1", port.max(1), "bench");
    settings.spool =
        spool.map(|dir| SpoolSettings { dir, bytes_max: 64 << 20, commit, each: false });
    let identity = Identity {
        device: "bench".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        session: net::new_session().expect("random bits"),
        since: at(0),
    };
    let net = net::start(settings, identity, Subscriptions::default()).expect("a thread");
    assert!(port == 0 || net.link().wait(PATIENCE, |state| state.connected), "no broker");
    net
}

fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    let own = stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
    // Of this thread alone; the others' are in their own files.
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let all = tasks.flatten().filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(all.sum::<u64>().max(own))
}

fn main() {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.trim_end_matches('e').parse().ok());
    let (Some(port), Some(count)) = (number(1), number(2)) else {
        return println!("see scripts/bench-mqtt");
    };
    let port = u16::try_from(port).expect("a port");
    let events = words[2].ends_with('e');
    let line = match words[0].as_str() {
        "throughput" => throughput(port, count, events, words.get(3).map(PathBuf::from)),
        _ => {
            let (group, ms) = (number(3).unwrap_or(1), number(4).unwrap_or(100));
            paced(port, count, events, group, Duration::from_millis(ms), PathBuf::from(&words[5]))
        }
    };
    println!("{line}");
}

fn throughput(port: u16, count: u64, events: bool, spool: Option<PathBuf>) -> serde_json::Value {
    let net = start(port, spool, Duration::from_secs(5));
    let mut sink = net.publisher();
    let (before, watch) = (cpu(), Stopwatch::start());
    for seq in 0..count {
        publish(&mut sink, seq, events);
        // No more than the queue to the network's thread holds.
        if seq % 64 == 0 {
            net.link().wait(PATIENCE, |state| state.acked + 128 > seq);
        }
    }
    assert!(net.link().wait(PATIENCE, |state| state.acked >= count), "not all were acknowledged");
    let (seconds, used) = (watch.elapsed().as_secs_f64(), cpu() - before);
    serde_json::json!({
        "messages": count, "seconds": seconds, "per_second": count as f64 / seconds,
        "cpu_us": used.as_secs_f64() * 1e6 / count as f64,
    })
}

fn paced(
    port: u16,
    count: u64,
    events: bool,
    group: u64,
    pause: Duration,
    spool: PathBuf,
) -> serde_json::Value {
    let net = start(port, Some(spool), pause);
    let mut sink = net.publisher();
    // The first one makes the segment: zeros, once for hundreds of messages.
    publish(&mut sink, 0, events);
    assert!(net.link().wait(PATIENCE, |state| state.spool_bytes > 0 || state.acked == 1));
    thread::sleep(4 * pause);
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).expect("a word from the script");
    let (mut seq, count) = (1, count + 1);
    while seq < count {
        for _ in 0..group.min(count - seq) {
            publish(&mut sink, seq, events);
            seq += 1;
        }
        thread::sleep(pause);
    }
    let all = |state: &net::NetState| state.queue as u64 + state.acked >= count;
    assert!(net.link().wait(PATIENCE, all));
    let state = net.state();
    net.stop(Duration::from_secs(5));
    serde_json::json!({
        "messages": count, "acked": state.acked, "waiting": state.queue, "dropped": state.dropped,
    })
}
