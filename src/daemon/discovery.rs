//! What Home Assistant is told of this device, and what it is to forget: remembered durably, since pipelines go away
//! while nothing runs.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Config, Mqtt};
use crate::net::wire::{self, Board, Discovery, Info, Platforms, Topics};
use crate::net::{Link, NetState};
use crate::storage::{FileName, Storage};

/// Entities that are gone are named in the payload for ever, since nobody knows when Home Assistant reads it; but no
/// more than so many.
const GONE_MAX: usize = 128;
/// The same of topics.
const CLEAR_MAX: usize = 8;
/// A connection that goes on for so long after something was said has brought it: one that does not acknowledge is
/// given up long before.
const SURELY: Duration = Duration::from_secs(60);

/// Where it is told: retained, and said again on each connection.
pub(super) trait Tell {
    /// Replaces what stands at `topic`; nothing clears it.
    fn tell(&mut self, topic: &str, payload: Vec<u8>);
}

impl Tell for &Link {
    fn tell(&mut self, topic: &str, payload: Vec<u8>) {
        self.publish_discovery(topic, payload);
    }
}

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Where the device was announced last; empty when it is not.
    topic: String,
    /// All entities that were ever announced there, as far as there is room.
    entities: Platforms,
    /// Topics of other ids or prefixes, to be cleared.
    #[serde(default)]
    clear: Vec<String>,
}

/// Tells Home Assistant.
pub(super) struct Announcer {
    storage: Arc<dyn Storage>,
    record: Record,
    topics: Topics,
    /// Of this device; `None`: it is not to be told.
    topic: Option<String>,
    models: Vec<String>,
    /// The pipelines of the configuration, also those that do not run.
    pipelines: Vec<String>,
    said: Option<Vec<u8>>,
    /// The connection on which topics were cleared, and when that was first seen.
    clearing: Option<(u64, Duration)>,
}

impl Announcer {
    /// Reads what was announced before.
    pub(super) fn new(storage: Arc<dyn Storage>, mqtt: &Mqtt, config: &Config) -> Self {
        let device = config.device.id.as_str();
        let topics = Topics::new(mqtt.prefix.as_deref(), device);
        let topic = mqtt.discovery.as_deref().map(|prefix| wire::discovery_topic(prefix, device));
        let pipelines = config.pipelines.iter().map(|p| p.name.as_str().to_owned()).collect();
        let kept = storage.read(&file()).unwrap_or_else(|error| {
            log::warn!("{error}");
            None
        });
        let mut record = match kept.as_deref().map(serde_json::from_slice::<Record>) {
            None => Record::default(),
            Some(Ok(record)) => record,
            Some(Err(error)) => {
                log::warn!("what Home Assistant was told cannot be read: {error}");
                Record::default()
            }
        };
        if Some(&record.topic) != topic.as_ref() && !record.topic.is_empty() {
            let old = std::mem::take(&mut record);
            record.clear = old.clear;
            record.clear.push(old.topic);
        }
        record.clear.retain(|old| Some(old) != topic.as_ref());
        let surplus = record.clear.len().saturating_sub(CLEAR_MAX);
        record.clear.drain(..surplus);
        let models = config.store_models();
        Self { storage, record, topics, topic, models, pipelines, said: None, clearing: None }
    }

    /// Says what has changed since it was said last. `board` is what the device tells of it in `health`.
    pub(super) fn announce(&mut self, link: &mut impl Tell, info: &Info, board: &Board) {
        let first = self.said.is_none();
        if first {
            for topic in &self.record.clear {
                link.tell(topic, Vec::new());
            }
        }
        let Some(topic) = self.topic.clone() else {
            self.said = Some(Vec::new());
            return;
        };
        // One that waits for its model is not gone, and what it is called by people is not to be forgotten.
        let announced = |name: &str| self.record.entities.contains_key(&format!("result-{name}"));
        let runs = |name: &str| info.pipelines.iter().any(|pipeline| pipeline.name == name);
        if self.pipelines.iter().any(|name| announced(name) && !runs(name)) {
            return;
        }
        let Self { models, topics, .. } = self;
        let discovery = Discovery { info, board, models, topics };
        let (entities, payload) = compose(&discovery, &self.record.entities);
        let payload = wire::json(&payload);
        if self.said.as_ref() == Some(&payload) {
            return;
        }
        // First kept, then said: what was said is never forgotten.
        self.keep(Record { topic: topic.clone(), entities, clear: self.record.clear.clone() });
        link.tell(&topic, payload.clone());
        self.said = Some(payload);
    }

    /// Forgets topics to be cleared once the broker must have heard it. `now` is monotonic.
    pub(super) fn tick(&mut self, net: impl FnOnce() -> NetState, now: Duration) {
        if self.record.clear.is_empty() {
            return;
        }
        let net = net();
        self.clearing = match self.clearing {
            _ if !net.connected => None,
            Some((connection, since)) if connection == net.reconnects => Some((connection, since)),
            _ => Some((net.reconnects, now)),
        };
        if self.clearing.is_some_and(|(_, since)| now.saturating_sub(since) >= SURELY) {
            let record = Record { clear: Vec::new(), ..self.record.clone() };
            self.keep(record);
        }
    }

    fn keep(&mut self, record: Record) {
        if record == self.record {
            return;
        }
        let bytes = serde_json::to_vec(&record).expect("a plain struct");
        if let Err(error) = self.storage.replace(&file(), &bytes) {
            log::warn!("what Home Assistant is to forget later is not remembered: {error}");
        }
        self.record = record;
    }
}

fn file() -> FileName {
    FileName::new("home-assistant").expect("a plain name")
}

/// The payload, and all entities that it names.
fn compose(discovery: &Discovery<'_>, before: &Platforms) -> (Platforms, serde_json::Value) {
    let mut all = discovery.platforms();
    let gone = before.iter().filter(|(id, _)| !all.contains_key(*id)).take(GONE_MAX);
    let gone: Platforms = gone.map(|(id, platform)| (id.clone(), platform.clone())).collect();
    let payload = discovery.payload(&gone);
    all.extend(gone);
    (all, payload)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Machine;
    use crate::data::Session;
    use crate::net::wire::PipelineInfo;
    use crate::storage::MemoryStorage;

    fn config(device: &str, discovery: &str, pipelines: &[&str]) -> Config {
        let mut text = format!(
            "[device]\nid = \"{device}\"\n[mqtt]\nurl = \"mqtt://127.0.0.1\"\ndiscovery = {discovery}\n[http]\n"
        );
        for name in pipelines {
            text += &format!("[[pipeline]]\nname = \"{name}\"\nmodel = \"./{name}\"\n");
        }
        Config::parse(&text, Path::new("test.toml"), &Machine::this()).unwrap()
    }

    fn info(device: &str, pipelines: &[&str]) -> Info {
        let of = |name: &&str| PipelineInfo {
            name: (*name).to_owned(),
            kind: "anomaly".to_owned(),
            ..PipelineInfo::default()
        };
        let pipelines = pipelines.iter().map(of).collect();
        Info { device: device.to_owned(), pipelines, ..Info::default() }
    }

    /// What a run says of topics: each with its payload, `None` where it is cleared.
    #[derive(Default)]
    struct Said(Vec<(String, Option<serde_json::Value>)>);

    impl Tell for Said {
        fn tell(&mut self, topic: &str, payload: Vec<u8>) {
            let payload = (!payload.is_empty()).then(|| serde_json::from_slice(&payload).unwrap());
            self.0.push((topic.to_owned(), payload));
        }
    }

    impl Said {
        /// The entities announced, those to forget in brackets; only of results.
        fn results(&self) -> Vec<String> {
            let (_, payload) = self.0.last().unwrap();
            let entities = payload.as_ref().unwrap()["components"].as_object().unwrap();
            let named = entities.iter().filter_map(|(id, entity)| {
                let name = id.strip_prefix("result-")?;
                let gone = entity.get("name").is_none();
                Some(if gone { format!("({name})") } else { name.to_owned() })
            });
            named.collect()
        }
    }

    fn announcer(storage: &Arc<dyn Storage>, config: &Config) -> Announcer {
        Announcer::new(storage.clone(), config.mqtt.as_ref().unwrap(), config)
    }

    /// One run of a device with these pipelines, all of which run.
    fn run(storage: &Arc<dyn Storage>, device: &str, discovery: &str, pipelines: &[&str]) -> Said {
        let mut said = Said::default();
        let mut announcer = announcer(storage, &config(device, discovery, pipelines));
        announcer.announce(&mut said, &info(device, pipelines), &Board::default());
        said
    }

    fn net(connected: bool, reconnects: u64) -> NetState {
        NetState { connected, reconnects, ..NetState::new(Session::from_bits([0; 16])) }
    }

    #[test]
    fn a_pipeline_that_went_away_while_nothing_ran_is_forgotten() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        assert_eq!(run(&storage, "a", "true", &["pump", "fan"]).results(), ["pump", "fan"]);
        assert_eq!(run(&storage, "a", "true", &["fan"]).results(), ["fan", "(pump)"]);
        // For ever: nobody knows when Home Assistant reads it.
        assert_eq!(run(&storage, "a", "true", &["fan"]).results(), ["fan", "(pump)"]);
        assert_eq!(run(&storage, "a", "true", &["fan", "pump"]).results(), ["fan", "pump"]);
    }

    #[test]
    fn what_is_gone_is_remembered_within_bounds() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        for number in 0..40 {
            run(&storage, "a", "true", &[&format!("p{number}")]);
        }
        let said = run(&storage, "a", "true", &["last"]);
        let (_, payload) = said.0.last().unwrap();
        let entities = payload.as_ref().unwrap()["components"].as_object().unwrap();
        let gone = entities.values().filter(|entity| entity.get("unique_id").is_none()).count();
        assert_eq!(gone, GONE_MAX);
    }

    #[test]
    fn another_id_or_prefix_clears_the_topic_before_until_the_broker_has_heard_it() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        run(&storage, "a", "true", &["pump"]);
        let old = ("homeassistant/device/a/config".to_owned(), None);
        for device in ["b", "b"] {
            let said = run(&storage, device, "\"ha\"", &["pump"]).0;
            assert_eq!(said[0], old);
            assert_eq!((said[1].0.as_str(), said.len()), ("ha/device/b/config", 2));
        }
        let mut said = Said::default();
        let mut announcer = announcer(&storage, &config("b", "\"ha\"", &["pump"]));
        announcer.announce(&mut said, &info("b", &["pump"]), &Board::default());
        let at = Duration::from_secs;
        // Neither without a connection nor on two that break soon.
        announcer.tick(|| net(false, 0), at(0));
        announcer.tick(|| net(true, 0), at(100));
        announcer.tick(|| net(true, 1), at(159));
        announcer.tick(|| net(true, 1), at(200));
        assert_eq!(run(&storage, "b", "\"ha\"", &["pump"]).0[0], old);
        announcer.tick(|| net(true, 1), at(219));
        assert_eq!(run(&storage, "b", "\"ha\"", &["pump"]).0.len(), 1);
    }

    #[test]
    fn a_device_that_is_not_to_be_told_any_more_is_cleared() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        assert!(run(&storage, "a", "false", &["pump"]).0.is_empty());
        run(&storage, "a", "true", &["pump"]);
        let old = ("homeassistant/device/a/config".to_owned(), None);
        assert_eq!(run(&storage, "a", "false", &["pump"]).0, std::slice::from_ref(&old));
        // It has not been heard yet; and once more it is told.
        assert_eq!(run(&storage, "a", "false", &["pump"]).0, [old]);
        let said = run(&storage, "a", "true", &["pump"]).0;
        assert!(said.len() == 1 && said[0].1.is_some());
    }

    #[test]
    fn it_is_said_again_only_when_it_has_changed() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let mut said = Said::default();
        let mut announcer = announcer(&storage, &config("a", "true", &["pump", "fan"]));
        // A pipeline that was never there and waits for its first model holds nothing up.
        for (pipelines, count) in
            [(&["pump"][..], 1), (&["pump"], 1), (&["pump", "fan"], 2), (&["pump"], 2)]
        {
            announcer.announce(&mut said, &info("a", pipelines), &Board::default());
            assert_eq!(said.0.len(), count, "{pipelines:?}");
        }
        // The last one waits for a version that can serve: it is not gone.
        assert_eq!(said.results(), ["pump", "fan"]);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_no_record() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        for torn in ["", "{", "[]", r#"{"topic":7}"#] {
            storage.replace(&file(), torn.as_bytes()).unwrap();
            assert_eq!(run(&storage, "a", "true", &["pump"]).results(), ["pump"], "{torn}");
        }
    }
}
