//! Results and events outlive the broker's absence, bad lines and the death of the process.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use edgerun::net::{self, BacklogSettings, MqttSettings, SpoolSettings, Stopped, Subscriptions};
use edgerun::sink::Sink;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::daemon::{Board, http};
use crate::support::device::{identity, inference, label_changed, settings};
use crate::support::mosquitto::{Mosquitto, Plan, free_port};
use crate::support::proxy::{Proxy, Weather};
use crate::support::subscriber::{Subscriber, publish_retained};

/// A broker that keeps every message for its subscribers.
fn patient() -> Option<Mosquitto> {
    Plan::default().global("max_queued_messages 0").start()
}

fn spooled(port: u16, dir: &Path) -> MqttSettings {
    let mut settings = settings(port);
    settings.spool = Some(SpoolSettings {
        dir: dir.to_owned(),
        bytes_max: 64 << 20,
        commit: Duration::from_secs(5),
        each: false,
    });
    // A busy machine may take longer than the usual ten seconds, after which new messages take turns.
    settings.backlog = BacklogSettings { drain_hz: 1e6, in_order: Duration::from_secs(3600) };
    settings
}

/// A day of one result a second, and an event every quarter of an hour.
#[test]
fn a_day_without_a_broker_is_caught_up_with_in_order() {
    const DAY: u64 = 86_400;
    const QUARTER: u64 = 900;
    let Some(broker) = patient() else { return };
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::new(broker.port(), Weather::Down);
    let settings = spooled(proxy.port(), dir.path());
    let net = net::start(settings, identity(), Subscriptions::default()).unwrap();
    let mut sink = net.publisher();
    let mut pushed = 0;
    for seq in 0..DAY {
        if seq % QUARTER == 0 {
            sink.event(label_changed(&format!("at {seq}"))).unwrap();
            pushed += 1;
        }
        sink.publish(inference(seq)).unwrap();
        pushed += 1;
        // The queue to the network's thread has places for 256.
        if seq % 100 == 0 {
            assert!(net.link().wait(PATIENCE, |state| state.queue >= pushed));
        }
    }
    assert!(net.link().wait(PATIENCE, |state| state.queue == pushed));
    let state = net.state();
    assert_eq!((state.dropped, state.spool_error), (0, None));
    assert!(state.spool_bytes < 64 << 20, "{}", state.spool_bytes);

    let subscriber = Subscriber::new(broker.port(), "edgerun/bench-07/+/gestures");
    proxy.set(Weather::Fair);
    let (mut results, mut events) = (0, 0);
    for _ in 0..pushed {
        let message = subscriber.next();
        assert_eq!(message.payload["replayed"], true, "{message:?}");
        match message.topic.contains("/event/") {
            true => {
                assert_eq!(message.payload["to"], format!("at {}", events * QUARTER));
                events += 1;
            }
            false => {
                assert_eq!(message.payload["seq"], results);
                results += 1;
            }
        }
    }
    assert_eq!((results, events), (DAY, DAY / QUARTER));
    assert!(net.link().wait(PATIENCE, |state| state.queue == 0));
    // And nothing is left for the next start.
    assert_eq!(net.stop(PATIENCE), Stopped::Flushed);
    let settings = spooled(broker.port(), dir.path());
    let net = net::start(settings, identity(), Subscriptions::default()).unwrap();
    assert!(net.link().wait(PATIENCE, |state| state.connected));
    assert_eq!(net.state().queue, 0);
}

#[test]
fn when_it_is_full_the_oldest_results_go_and_each_is_counted() {
    let Some(broker) = patient() else { return };
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::new(broker.port(), Weather::Down);
    let mut small = spooled(proxy.port(), dir.path());
    small.spool.as_mut().unwrap().bytes_max = 1 << 20;
    let net = net::start(small, identity(), Subscriptions::default()).unwrap();
    let mut sink = net.publisher();
    const RESULTS: u64 = 8000;
    for seq in 0..RESULTS {
        if seq % 500 == 0 {
            sink.event(label_changed(&format!("at {seq}"))).unwrap();
        }
        sink.publish(inference(seq)).unwrap();
        if seq % 100 == 0 {
            let taken = seq + 1 + seq / 500 + 1;
            let all = |state: &net::NetState| state.queue as u64 + state.dropped >= taken;
            assert!(net.link().wait(PATIENCE, all));
        }
    }
    let subscriber = Subscriber::new(broker.port(), "edgerun/bench-07/+/gestures");
    proxy.set(Weather::Fair);
    assert!(net.link().wait(PATIENCE, |state| state.connected && state.queue == 0));
    let state = net.state();
    let (mut seqs, mut events) = (Vec::new(), 0);
    while seqs.last() != Some(&(RESULTS - 1)) {
        let message = subscriber.next();
        match message.payload["seq"].as_u64() {
            Some(seq) => seqs.push(seq),
            None => events += 1,
        }
    }
    assert_eq!(events, RESULTS / 500, "no event goes while there are results");
    assert!(seqs.is_sorted() && seqs.len() > 1000, "{}", seqs.len());
    assert_eq!(seqs.len() as u64 + state.dropped, RESULTS);
    // The oldest: what is left is without a gap.
    assert_eq!(seqs[0], RESULTS - seqs.len() as u64);
}

#[test]
fn whatever_becomes_of_the_line_everything_arrives_and_nothing_leaks() {
    let Some(broker) = patient() else { return };
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::new(broker.port(), Weather::Fair);
    let mut hasty = spooled(proxy.port(), dir.path());
    hasty.timing.connect = Duration::from_millis(150);
    hasty.timing.ack = Duration::from_millis(300);
    hasty.timing.backoff_first = Duration::from_millis(1);
    hasty.timing.backoff_cap = Duration::from_millis(20);
    let net = net::start(hasty, identity(), Subscriptions::default()).unwrap();
    let subscriber = Subscriber::new(broker.port(), "edgerun/bench-07/result/gestures");
    let mut sink = net.publisher();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let rounds = if std::env::var_os("EDGERUN_FULL").is_some() { 500 } else { 50 };
    let weather = [
        Weather::Down,
        Weather::Cut(700),
        Weather::Halved,
        Weather::Cut(1),
        Weather::Doubled,
        Weather::Cut(3000),
        Weather::Silent,
        Weather::Slow(5),
    ];
    let (mut seq, mut before) = (0, None);
    for round in 0..rounds {
        let connections = proxy.accepted();
        proxy.set(weather[round % weather.len()]);
        proxy.cut();
        for _ in 0..10 {
            sink.publish(inference(seq)).unwrap();
            seq += 1;
        }
        // A try in this weather has come, and failed or not.
        while proxy.accepted() == connections {
            std::thread::yield_now();
        }
        proxy.set(Weather::Fair);
        proxy.cut();
        assert!(net.link().wait(PATIENCE, |state| state.connected && state.queue == 0));
        if round == 15 {
            before = Some((open(), threads()));
        }
    }
    let mut seen = HashSet::new();
    while seen.len() < seq as usize {
        seen.insert(subscriber.next().payload["seq"].as_u64().unwrap());
    }
    assert_eq!(net.state().dropped, 0);
    // A connection more or less, of the proxy or ours, may be on its way out.
    let ((files, tasks), (files_before, tasks_before)) = ((open(), threads()), before.unwrap());
    assert!(files <= files_before + 8, "{files_before} files before, {files} now");
    assert!(tasks <= tasks_before + 4, "{tasks_before} threads before, {tasks} now");
}

/// Three wines, one of each kind, so that the label changes.
const WINES: [&str; 3] = [
    "14.23,1.71,2.43,15.6,127,2.8,3.06,0.28,2.29,5.64,1.04,3.92,1065",
    "12.37,0.94,1.36,10.6,88,1.98,0.57,0.28,0.42,1.95,1.05,1.82,520",
    "12.86,1.35,2.32,18,122,1.51,1.25,0.21,0.94,4.1,0.76,1.29,630",
];

/// A board that classifies wines, 200 a second, and changes its mind every few.
fn board(mqtt: u16, door: u16) -> Board {
    let board = Board::new(&format!(
        r#"
        [device]
        id = "board-1"
        [mqtt]
        url = "mqtt://127.0.0.1:{mqtt}"
        spool = {{ drain = "100 kHz" }}
        [http]
        listen = "127.0.0.1:{door}"
        [[sensor]]
        name = "table"
        driver = "replay"
        path = "recording.csv"
        rate = "200 Hz"
        repeat = true
        [[pipeline]]
        name = "wine"
        sensor = "table"
        model = "{{models}}/wine-tree"
        window = {{ length = 1, stride = 1 }}
        publish = "every"
        "#
    ));
    board.record("wine-tree");
    let text = std::fs::read_to_string(board.path("recording.csv")).unwrap();
    let mut csv = text.lines().next().unwrap().to_owned();
    for row in [0, 0, 0, 1, 1, 2, 2, 2, 2, 0, 1, 1, 1, 2] {
        csv.push('\n');
        csv.push_str(WINES[row]);
    }
    std::fs::write(board.path("recording.csv"), csv + "\n").unwrap();
    board
}

fn metric(port: u16, name: &str) -> Option<f64> {
    let (_, text) = http(port, "GET", "/metrics", "", "");
    let mut lines = text.lines().filter(|line| line.starts_with(name));
    lines.next()?.rsplit_once(' ')?.1.parse().ok()
}

/// What came of one run.
#[derive(Default)]
struct Run {
    /// Label and the window's end, by number.
    results: BTreeMap<u64, (String, String)>,
    /// When the label changed.
    events: HashSet<String>,
}

/// Kills the daemon again and again while its line to the broker comes and goes. Each label that differs from
/// the one before it must have its event, in each run; and of results, none is missing among those that came.
#[test]
fn a_killed_daemon_loses_no_event_and_no_result_but_its_last() {
    let Some(broker) = patient() else { return };
    let subscriber = Subscriber::new(broker.port(), "edgerun/board-1/+/wine");
    let proxy = Proxy::new(broker.port(), Weather::Fair);
    let door = free_port();
    let board = board(proxy.port(), door);
    let kills = if std::env::var_os("EDGERUN_FULL").is_some() { 200 } else { 6 };
    let windows = || metric(door, "edgerun_windows_total").unwrap_or_default();
    for kill in 0..kills {
        proxy.set(if kill % 3 == 1 { Weather::Down } else { Weather::Fair });
        let mut daemon = board.run_until_ready(&[]);
        let wanted = f64::from(3 + kill * 53 % 211);
        let mut turned = false;
        while windows() < wanted {
            if kill % 3 == 2 && !turned && windows() > wanted / 2.0 {
                proxy.set(Weather::Down);
                turned = true;
            }
        }
        daemon.kill();
    }
    proxy.set(Weather::Fair);
    let mut daemon = board.run_until_ready(&[]);
    while metric(door, "edgerun_mqtt_queue_messages").is_none_or(|queue| queue > 20.0)
        || metric(door, "edgerun_mqtt_connected") != Some(1.0)
    {}
    assert_eq!(daemon.terminate(), Some(0));
    // Behind everything that the broker has.
    publish_retained(broker.port(), "edgerun/board-1/end/wine", "{}");

    let mut runs: HashMap<String, Run> = HashMap::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let messages = std::iter::from_fn(|| Some(subscriber.next()));
    for message in messages.take_while(|message| !message.topic.contains("/end/")) {
        let payload = message.payload;
        let run = runs.entry(text(&payload["session"])).or_default();
        match payload["seq"].as_u64() {
            Some(seq) => {
                let found = (text(&payload["result"]["label"]), text(&payload["window"]["end"]));
                let before = run.results.insert(seq, found.clone());
                assert!(before.is_none_or(|before| before == found), "one number, two results");
            }
            None => drop(run.events.insert(text(&payload["time"]))),
        }
    }
    assert!(runs.len() > kills as usize / 2, "{} of {kills} runs got through", runs.len());
    let (mut changes, mut results) = (0, 0);
    for (session, Run { results: found, events }) in &runs {
        let first = *found.keys().next().unwrap_or(&0);
        results += found.len();
        for (expected, (seq, (label, end))) in (first..).zip(found) {
            assert_eq!(*seq, expected, "a gap in run {session}");
            let before = seq.checked_sub(1).and_then(|before| found.get(&before));
            if before.is_some_and(|(before, _)| before != label) {
                changes += 1;
                assert!(events.contains(end), "no event for {label} at {end} in run {session}");
            }
        }
    }
    assert!(changes > 10 && results > 100, "{changes} changes in {results} results");
}
