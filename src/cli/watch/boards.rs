//! What has been heard of boards: bounded, whatever a broker sends.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::cli::plain::short;

/// Boards that are kept; more are counted.
const BOARDS_MAX: usize = 2000;
/// Pipelines of a board, and models.
const EACH_MAX: usize = 32;
/// Characters of a word.
const WORD: usize = 64;

/// A pipeline as its board says it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pipeline {
    pub(super) state: String,
    pub(super) paused: bool,
    pub(super) model: String,
    pub(super) version: String,
    pub(super) rate_hz: Option<f64>,
    pub(super) p99_us: Option<f64>,
    /// What it found or said last, and when that was heard.
    pub(super) last: Option<(String, Duration)>,
}

/// A board.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Board {
    /// `online`, `offline`, `stopping`; empty until it is known.
    pub(super) status: String,
    pub(super) session: String,
    /// `ok`, `degraded`, `failing`; empty until it is known.
    pub(super) health: String,
    pub(super) reason: String,
    pub(super) pipelines: BTreeMap<String, Pipeline>,
    /// Each model's update, where one is on its way or failed.
    pub(super) updates: BTreeMap<String, String>,
    /// When something live was heard last; not what a broker had kept.
    pub(super) heard: Option<Duration>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Boards {
    boards: BTreeMap<String, Board>,
    pub(super) left_out: u64,
}

fn word(value: &Value) -> String {
    short(value.as_str().unwrap_or_default(), WORD)
}

impl Boards {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Board)> {
        self.boards.iter()
    }

    pub(super) fn forget(&mut self, device: &str) {
        self.boards.remove(&short(device, WORD));
    }

    /// `payload`, an object, was said on `topic` of `device`.
    pub(super) fn hear(
        &mut self,
        device: &str,
        topic: &str,
        payload: &Value,
        retained: bool,
        now: Duration,
    ) {
        let device = short(device, WORD);
        if !self.boards.contains_key(&device) && self.boards.len() >= BOARDS_MAX {
            self.left_out += 1;
            return;
        }
        let board = self.boards.entry(device).or_default();
        // A last will is said by the broker in the board's place.
        let itself = !(topic == "status" && payload["state"] == "offline");
        if !retained && itself {
            board.heard = Some(now);
        }
        match topic.split('/').collect::<Vec<_>>()[..] {
            ["status"] => board.status(payload),
            ["health"] => board.health(payload),
            ["info"] => board.info(payload),
            ["result", pipeline] => board.said(pipeline, result(&payload["result"]), now),
            ["event", pipeline] => board.said(pipeline, event(payload), now),
            ["model", model, "reported"] => board.reported(model, payload),
            _ => {}
        }
    }
}

impl Board {
    fn status(&mut self, payload: &Value) {
        let (state, session) = (word(&payload["state"]), word(&payload["session"]));
        // A will that comes late belongs to an earlier run.
        if state == "offline" && self.status == "online" && self.session != session {
            return;
        }
        (self.status, self.session) = (state, session);
    }

    fn health(&mut self, payload: &Value) {
        self.health = word(&payload["state"]);
        self.reason = word(&payload["reasons"][0]);
        for one in payload["pipelines"].as_array().into_iter().flatten().take(EACH_MAX) {
            let Some(pipeline) = self.pipeline(&word(&one["name"])) else { continue };
            pipeline.state = word(&one["state"]);
            pipeline.paused = one["paused"] == true;
            pipeline.model = word(&one["model"]);
            pipeline.version = word(&one["version"]);
            pipeline.rate_hz = one["rate_hz"].as_f64();
            pipeline.p99_us = one["latency_p99_us"].as_f64();
        }
    }

    /// What is there is known; what is gone since goes, too.
    fn info(&mut self, payload: &Value) {
        let Some(pipelines) = payload["pipelines"].as_array() else { return };
        let names: Vec<String> = pipelines.iter().map(|one| word(&one["name"])).collect();
        self.pipelines.retain(|name, one| names.contains(name) || one.state == "failing");
        for one in pipelines.iter().take(EACH_MAX) {
            let Some(pipeline) = self.pipeline(&word(&one["name"])) else { continue };
            pipeline.model = word(&one["model"]);
            pipeline.version = word(&one["version"]);
        }
    }

    fn reported(&mut self, model: &str, payload: &Value) {
        let model = short(model, WORD);
        let (state, target) = (word(&payload["state"]), word(&payload["target"]));
        let failure = &payload["failure"];
        let said = if !target.is_empty() {
            let percent = payload["progress"]["percent"].as_u64();
            let percent = percent.map_or(String::new(), |percent| format!(" {percent} %"));
            Some(format!("{state} {target}{percent}"))
        } else if failure.is_object() {
            let (version, code) = (word(&failure["version"]), word(&failure["code"]));
            Some(format!("{state} {version}: {code}"))
        } else {
            None
        };
        match said {
            Some(said) if self.updates.len() < EACH_MAX => drop(self.updates.insert(model, said)),
            _ => drop(self.updates.remove(&model)),
        }
    }

    fn said(&mut self, pipeline: &str, said: String, now: Duration) {
        if let Some(pipeline) = self.pipeline(&short(pipeline, WORD)) {
            pipeline.last = Some((said, now));
        }
    }

    fn pipeline(&mut self, name: &str) -> Option<&mut Pipeline> {
        let fits = self.pipelines.len() < EACH_MAX || self.pipelines.contains_key(name);
        fits.then(|| self.pipelines.entry(name.to_owned()).or_default())
    }
}

/// What was found, in few words.
pub(super) fn result(result: &Value) -> String {
    let number = |value: &Value| value.as_f64().map_or("-".to_owned(), |n| format!("{n:.3}"));
    if result.get("label").is_some() {
        let label = result["label"].as_str().map_or("none".to_owned(), |label| short(label, 24));
        let score = result["score"].as_f64().unwrap_or_default() * 100.0;
        format!("{label} {score:.0} %")
    } else if result.get("anomalous").is_some() {
        let what = if result["anomalous"] == true { "ANOMALY" } else { "usual" };
        format!("{what} {}", number(&result["score"]))
    } else if result.get("value").is_some() {
        format!("{} {}", number(&result["value"]), short(result["unit"].as_str().unwrap_or(""), 8))
            .trim_end()
            .to_owned()
    } else {
        short(&result.to_string(), 32)
    }
}

/// What has happened, in few words.
pub(super) fn event(event: &Value) -> String {
    let name = short(event["event"].as_str().unwrap_or("?"), 24);
    let detail = match name.as_str() {
        "label_changed" => short(event["to"].as_str().unwrap_or("none"), 24),
        "sensor_lost"
        | "sensor_back"
        | "sensor_stuck"
        | "sensor_out_of_range"
        | "sensor_in_range" => short(event["sensor"].as_str().unwrap_or(""), 24),
        _ => String::new(),
    };
    format!("{} {detail}", name.replace('_', " ")).trim_end().to_owned()
}
