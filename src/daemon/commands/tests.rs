use std::path::Path;

use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::config::{Config, Machine};
use crate::daemon::Surroundings;
use crate::data::Timestamp;
use crate::net;
use crate::net::commands::bench;
use crate::storage::MemoryStorage;

/// A board with the pipelines `a` and `b`, which nothing feeds.
struct Bench {
    link: Link,
    storage: Arc<dyn Storage>,
    clock: Arc<ManualClock>,
    switches: [Switch; 2],
    wanted: Arc<AtomicU8>,
}

impl Bench {
    fn new() -> Self {
        Self {
            link: bench::commands(&Verb::ALL),
            storage: Arc::new(MemoryStorage::default()),
            clock: Arc::new(ManualClock::new()),
            switches: Default::default(),
            wanted: Arc::default(),
        }
    }

    fn start(&self) -> Commands {
        let text = "[http]\n[[pipeline]]\nname = \"a\"\nmodel = \"./a\"\n";
        let config = Config::parse(text, Path::new("edgerun.toml"), &Machine::this()).unwrap();
        let clock: Arc<dyn Clock> = self.clock.clone();
        let session = net::new_session().unwrap();
        let around = Surroundings {
            clock: clock.clone(),
            storage: self.storage.clone(),
            ..Surroundings::board(Path::new("state"))
        };
        let reporter = Reporter::new(&config, session, &around, None, Vec::new(), Vec::new());
        let channels =
            vec![crate::sensor::Channel { name: "x".into(), unit: "".into(), range: None }];
        let piped = |name: &str, switch: &Switch| Piped {
            name: name.to_owned(),
            tap: Some(Tap {
                switch: switch.clone(),
                exchange: Arc::default(),
                spec: SensorSpec { channels: channels.clone(), rate_hz: 10.0 },
                frames: 4,
                is_private: false,
            }),
        };
        let board = Board {
            reporter: Arc::new(Mutex::new(reporter)),
            pipelines: vec![piped("a", &self.switches[0]), piped("b", &self.switches[1])],
            doors: Vec::new(),
            asker: None,
            storage: self.storage.clone(),
            clock,
            host: Host::none(),
            capture_private: false,
            wanted: self.wanted.clone(),
            stop: Arc::default(),
        };
        Commands::start(self.link.clone(), board).unwrap()
    }

    fn say(&self, verb: &str, payload: &Value) {
        bench::say(&self.link, false, verb, &payload.to_string(), None);
    }

    /// The next answer.
    fn answer(&self) -> Value {
        loop {
            match bench::answer(&self.link) {
                Some(answer) => return answer,
                None => std::thread::yield_now(),
            }
        }
    }

    fn ask(&self, verb: &str, payload: &Value) -> Value {
        self.say(verb, payload);
        self.answer()
    }

    fn paused(&self) -> [bool; 2] {
        [self.switches[0].is_paused(), self.switches[1].is_paused()]
    }
}

fn end(commands: Commands) {
    commands.begin_to_stop();
    commands.stop();
}

#[test]
fn a_repeated_command_is_answered_again_and_changes_nothing_also_after_a_restart() {
    let bench = Bench::new();
    let commands = bench.start();
    let pause = json!({"id": "1", "args": {"pipeline": "a"}});
    let first = bench.ask("pause", &pause);
    assert_eq!((&first["result"], bench.paused()), (&json!({"paused": ["a"]}), [true, false]));
    assert_eq!(bench.ask("resume", &json!({"id": "2"}))["ok"], true);
    assert_eq!(bench.ask("pause", &pause), first);
    assert_eq!(bench.paused(), [false, false]);
    assert_eq!(bench.ask("resume", &pause)["error"]["code"], "bad_request", "another verb");
    end(commands);
    let commands = bench.start();
    assert_eq!(bench.ask("pause", &pause), first);
    assert_eq!(bench.paused(), [false, false]);
    end(commands);
}

#[test]
fn without_an_id_each_one_counts() {
    let bench = Bench::new();
    let commands = bench.start();
    for (verb, paused) in [("pause", true), ("resume", false), ("pause", true)] {
        assert_eq!(bench.ask(verb, &json!({}))["id"], Value::Null);
        assert_eq!(bench.paused(), [paused, paused]);
    }
    assert_eq!(pause::paused(bench.storage.as_ref()), ["a".to_owned(), "b".to_owned()].into());
    end(commands);
}

#[test]
fn slips_in_arguments_never_mean_another_command() {
    let bench = Bench::new();
    let commands = bench.start();
    for (verb, args, code) in [
        ("pause", json!({"pipline": "a"}), "bad_request"),
        ("pause", json!({"pipeline": "c"}), "not_found"),
        ("pause", json!({"pipeline": 7}), "bad_request"),
        ("capture", json!({}), "bad_request"),
        ("capture", json!({"pipeline": "a", "windows": 0}), "bad_request"),
        ("capture", json!({"pipeline": "a", "windows": -1}), "bad_request"),
        ("capture", json!({"pipeline": "a", "windows": 65}), "bad_request"),
        ("infer", json!({"pipeline": "a"}), "bad_request"),
        ("infer", json!({"pipeline": "c", "input": []}), "not_found"),
        ("update", json!({"version": "1"}), "not_found"),
        ("rollback", json!({"model": "x"}), "not_found"),
        ("log-level", json!({"level": "loud"}), "bad_request"),
        ("reload", json!({"now": true}), "bad_request"),
        ("restart", json!({"now": true}), "bad_request"),
        ("health", json!({"x": 1}), "bad_request"),
    ] {
        let said = bench.ask(verb, &json!({ "args": args }));
        assert_eq!(said["error"]["code"], code, "{verb} {args}: {said}");
    }
    assert_eq!(bench.paused(), [false, false]);
    assert_eq!(wanted(&bench.wanted), None);
    end(commands);
}

#[test]
fn what_expires_is_not_carried_out_and_without_a_clock_nothing_that_might_have() {
    let bench = Bench::new();
    bench.clock.set_wall(Timestamp {
        since_epoch: Duration::from_secs(1_795_600_000),
        clock: ClockState::Synced,
    });
    let commands = bench.start();
    let with = |expires: &str| json!({"id": "1", "expires": expires});
    let past = bench.ask("pause", &with("2026-11-25T00:00:00Z"));
    assert_eq!((&past["error"]["code"], bench.paused()), (&json!("expired"), [false; 2]));
    let later = with("2027-01-01T00:00:00Z");
    assert_eq!(bench.ask("pause", &later)["ok"], true, "one that was refused may come again");
    bench::say(&bench.link, false, "pause", "{}", Some(0));
    assert_eq!(bench.answer()["error"]["code"], "expired", "the broker's count");
    let unsynced = Timestamp { clock: ClockState::Unsynced, ..bench.clock.wall() };
    bench.clock.set_wall(unsynced);
    let again = json!({"id": "2", "expires": "2027-01-01T00:00:00Z"});
    assert_eq!(bench.ask("resume", &again)["error"]["code"], "expired");
    assert_eq!(bench.ask("health", &again)["ok"], true);
    assert_eq!(bench.paused(), [true; 2]);
    end(commands);
}

#[test]
fn a_slow_command_holds_up_no_other_and_its_time_may_end_first() {
    let bench = Bench::new();
    let commands = bench.start();
    // Nobody makes windows here: the order for them is not taken.
    bench::say(&bench.link, false, "capture", r#"{"id":"s","args":{"pipeline":"a"}}"#, Some(1));
    assert_eq!(bench.ask("health", &json!({"id": "h"}))["id"], "h");
    let late = bench.answer();
    assert_eq!((&late["id"], &late["error"]["code"]), (&json!("s"), &json!("expired")));
    end(commands);
}

#[test]
fn a_full_lane_is_busy_and_one_id_is_carried_out_once() {
    let bench = Bench::new();
    let commands = bench.start();
    for id in ["0", "0", "0", "0", "0"] {
        bench.say("capture", &json!({"id": id, "args": {"pipeline": "a"}}));
    }
    assert_eq!(bench.answer()["error"]["code"], "busy", "five wait for one answer");
    for id in ["1", "2", "3", "4"] {
        bench.say("capture", &json!({"id": id, "args": {"pipeline": "a"}}));
    }
    let busy = bench.answer();
    assert_eq!(busy["error"]["code"], "busy", "{busy}");
    assert_ne!(busy["id"], "0");
    commands.begin_to_stop();
    commands.stop();
}

#[test]
fn a_group_s_command_waits_for_its_part_of_the_jitter() {
    let bench = Bench::new();
    let commands = bench.start();
    bench::say(&bench.link, true, "pause", r#"{"id":"1","jitter_s":0.05}"#, None);
    assert_eq!(bench.answer()["ok"], true);
    bench::say(&bench.link, true, "resume", r#"{"id":"2","jitter_s":3600}"#, Some(0));
    bench::say(&bench.link, true, "resume", r#"{"id":"2","jitter_s":3600}"#, Some(0));
    for _ in 0..2 {
        assert_eq!(bench.answer()["error"]["code"], "expired", "before its moment");
    }
    assert_eq!(bench.paused(), [true; 2]);
    bench.say("resume", &json!({"id": "3", "jitter_s": 3600}));
    assert_eq!(bench.answer()["ok"], true, "to one board there is nothing to spread");
    bench::say(&bench.link, true, "pause", r#"{"id":"4","jitter_s":3600}"#, None);
    assert_eq!(bench.ask("health", &json!({}))["ok"], true);
    end(commands);
    assert_eq!(bench.answer()["error"]["code"], "busy", "a stop ends the wait");
}

#[test]
fn a_restart_is_asked_for_once_its_answer_is_on_its_way_and_never_twice() {
    let bench = Bench::new();
    let commands = bench.start();
    let restart = json!({"id": "1"});
    let first = bench.ask("restart", &restart);
    assert_eq!(first["result"], json!({"restarting": true}));
    end(commands);
    assert_eq!(wanted(&bench.wanted), Some(Wanted::Restart));
    bench.wanted.store(0, Ordering::Release);
    let commands = bench.start();
    assert_eq!(bench.ask("restart", &restart), first);
    assert_eq!(bench.ask("reload", &json!({"id": "2"}))["error"]["code"], "bad_request");
    end(commands);
    assert_eq!(wanted(&bench.wanted), None);
}
