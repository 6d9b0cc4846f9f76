//! What is wished for the models of this board, as the broker has it: only the latest word of each topic counts.
//!
//! The mirror of [`super::retained`]: filled by the network, read by the thread that updates, and neither ever
//! waits for the other.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::settings::Subscriptions;
use super::wire::{self, Desired, Effective, Said, Topics};

/// One of the subscriptions of a connection: all topics of one source, or a single topic where the broker
/// knows no wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    /// The topic filter.
    pub(super) filter: String,
    /// Whether messages say if they were meant to be retained.
    pub(super) tells_retained: bool,
    places: Vec<usize>,
}

impl Subscription {
    /// To something that is no wish: nothing of it is kept between two connections.
    pub(super) fn passing(filter: String, tells_retained: bool) -> Self {
        Self { filter, tells_retained, places: Vec::new() }
    }
}

/// Called when something has changed.
type Wake = Arc<dyn Fn() + Send + Sync>;

#[derive(Debug, Default)]
struct Place {
    said: Option<Said>,
    /// Said on an earlier connection, and not again on this one.
    stale: bool,
}

#[derive(Debug, Default)]
struct Table {
    /// Of each model one for the device and one for each group: fixed, whatever the broker sends.
    places: Vec<Place>,
    changes: u64,
}

struct Shared {
    models: Vec<String>,
    groups: Vec<String>,
    topics: Vec<String>,
    by_topic: HashMap<String, usize>,
    wildcards: Vec<Subscription>,
    chunks: Option<Subscription>,
    table: Mutex<Table>,
    changed: Condvar,
    wake: Mutex<Option<Wake>>,
}

/// The wishes for the models of this board; clones share them.
#[derive(Clone)]
pub struct Wishes(Arc<Shared>);

impl fmt::Debug for Wishes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wishes")
            .field("models", &self.0.models)
            .field("table", &self.0.table)
            .finish()
    }
}

impl Wishes {
    pub(super) fn new(subscriptions: Subscriptions, topics: &Topics) -> Self {
        let Subscriptions { models, groups, files, commands: _, inputs: _ } = subscriptions;
        let sources = 1 + groups.len();
        // By model, then by source.
        let topic = |model: &str, source: usize| match source.checked_sub(1) {
            None => topics.desired(model),
            Some(group) => topics.group_desired(&groups[group], model),
        };
        let all: Vec<String> = models
            .iter()
            .flat_map(|model| (0..sources).map(|source| topic(model, source)).collect::<Vec<_>>())
            .collect();
        // Not a wish, but of the same kind to the connection.
        let chunks = files.then(|| Subscription::passing(topics.fetch_chunk(), false));
        let wildcards = (0..sources)
            .filter(|_| !models.is_empty())
            .map(|source| Subscription {
                filter: topic("+", source),
                tells_retained: false,
                places: (0..models.len()).map(|model| model * sources + source).collect(),
            })
            .chain(chunks.clone())
            .collect();
        let places = all.iter().map(|_| Place::default()).collect();
        let by_topic =
            all.iter().cloned().enumerate().map(|(place, topic)| (topic, place)).collect();
        Self(Arc::new(Shared {
            models,
            groups,
            topics: all,
            by_topic,
            wildcards,
            chunks,
            table: Mutex::new(Table { places, changes: 0 }),
            changed: Condvar::new(),
            wake: Mutex::new(None),
        }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The models that wishes are heard for.
    pub fn models(&self) -> &[String] {
        &self.0.models
    }

    /// The wish that counts for `model`; none for a model that is not heard for.
    pub fn of(&self, model: &str) -> Effective {
        let Some(index) = self.0.models.iter().position(|known| known == model) else {
            return Effective::default();
        };
        let sources = 1 + self.0.groups.len();
        let table = self.table();
        let places = &table.places[index * sources..(index + 1) * sources];
        let groups: Vec<(&str, &Said)> = self
            .0
            .groups
            .iter()
            .zip(&places[1..])
            .filter_map(|(group, place)| Some((group.as_str(), place.said.as_ref()?)))
            .collect();
        wire::effective(places[0].said.as_ref(), &groups)
    }

    /// Has `wake` called after each change, on the network's thread: it must neither wait nor panic. Called once
    /// at once, since something may have come in before. Replaces the one before.
    pub fn on_change(&self, wake: impl Fn() + Send + Sync + 'static) {
        let wake: Wake = Arc::new(wake);
        *self.0.wake.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&wake));
        wake();
    }

    /// How many changes there have been.
    pub fn changes(&self) -> u64 {
        self.table().changes
    }

    /// Waits on the caller's thread until there have been other than `seen` changes, at most `within`; returns
    /// how many there have been.
    pub fn wait(&self, seen: u64, within: Duration) -> u64 {
        let unchanged = |table: &mut Table| table.changes == seen;
        match self.0.changed.wait_timeout_while(self.table(), within, unchanged) {
            Ok((table, _)) => table.changes,
            Err(poisoned) => poisoned.into_inner().0.changes,
        }
    }

    /// What to subscribe to on a broker that knows `wildcards` or does not.
    pub(super) fn subscriptions(&self, wildcards: bool) -> Vec<Subscription> {
        if wildcards {
            return self.0.wildcards.clone();
        }
        let topics = self.0.topics.iter().enumerate();
        topics
            .map(|(place, topic)| Subscription {
                filter: topic.clone(),
                tells_retained: false,
                places: vec![place],
            })
            .chain(self.0.chunks.clone())
            .collect()
    }

    /// A new subscription: until a retained topic is said again it is not known whether it still stands.
    pub(super) fn doubt(&self, subscription: &Subscription) {
        let mut table = self.table();
        for place in &subscription.places {
            table.places[*place].stale = true;
        }
    }

    /// The broker has had its time to say what it retains for `subscription`: what it has not said again was
    /// cleared while there was no connection.
    pub(super) fn settle(&self, subscription: &Subscription) {
        let mut changed = false;
        let mut table = self.table();
        for place in &subscription.places {
            let place = &mut table.places[*place];
            if std::mem::take(&mut place.stale) {
                changed |= place.said.take().is_some();
            }
        }
        drop(table);
        if changed {
            self.tell();
        }
    }

    /// The broker says `payload` on `topic`; an empty one clears it. Topics that nobody asked for are ignored.
    pub(super) fn hear(&self, topic: &str, payload: &[u8]) {
        let Some(place) = self.0.by_topic.get(topic) else {
            return log::debug!("{topic}: no model and group of this board");
        };
        let said = (!payload.is_empty()).then(|| Desired::parse(payload));
        let news = {
            let mut table = self.table();
            let place = &mut table.places[*place];
            place.stale = false;
            let news = place.said != said;
            place.said.clone_from(&said);
            news
        };
        if news {
            match &said {
                None => log::info!("{topic}: no wish any more"),
                Some(Ok(desired)) => log::info!("{topic}: {desired} is wished"),
                Some(Err(error)) => log::warn!("{topic}: {error}"),
            }
            self.tell();
        }
    }

    fn tell(&self) {
        self.table().changes += 1;
        self.0.changed.notify_all();
        // Called without the lock: it may set another one.
        let wake = self.0.wake.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(wake) = wake {
            wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn wishes() -> Wishes {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let models = names(&["gestures", "pump"]);
        let subscriptions =
            Subscriptions { models, groups: names(&["line-3"]), ..Subscriptions::default() };
        Wishes::new(subscriptions, &Topics::new(None, "bench-07"))
    }

    fn version(wishes: &Wishes, model: &str) -> Option<String> {
        wishes.of(model).desired?.version.map(|version| version.to_string())
    }

    const OWN: &str = "edgerun/bench-07/model/gestures/desired";
    const GROUP: &str = "edgerun/group/line-3/model/gestures/desired";

    #[test]
    fn the_latest_word_of_each_topic_counts_until_it_is_cleared() {
        let wishes = wishes();
        assert_eq!(wishes.of("gestures"), Effective::default());
        wishes.hear(GROUP, br#"{"version":"1.0.0"}"#);
        assert_eq!(version(&wishes, "gestures").as_deref(), Some("1.0.0"));
        wishes.hear(OWN, br#"{"version":"2.0.0"}"#);
        wishes.hear(OWN, br#"{"version":"2.1.0"}"#);
        assert_eq!(version(&wishes, "gestures").as_deref(), Some("2.1.0"));
        assert_eq!(version(&wishes, "pump"), None, "another model");
        wishes.hear(OWN, b"");
        assert_eq!(version(&wishes, "gestures").as_deref(), Some("1.0.0"));
        wishes.hear(GROUP, b"");
        assert_eq!(wishes.of("gestures"), Effective::default());
    }

    #[test]
    fn models_and_groups_of_others_are_ignored_whatever_comes() {
        let wishes = wishes();
        for topic in [
            "edgerun/bench-07/model/unknown/desired",
            "edgerun/group/line-4/model/gestures/desired",
            "edgerun/bench-08/model/gestures/desired",
            "edgerun/bench-07/model/gestures/reported",
            "",
        ] {
            wishes.hear(topic, br#"{"version":"1.0.0"}"#);
        }
        assert_eq!(wishes.changes(), 0);
        assert_eq!(wishes.of("unknown"), Effective::default());
    }

    #[test]
    fn what_is_no_wish_is_kept_as_a_complaint_about_that_model() {
        let wishes = wishes();
        wishes.hear("edgerun/bench-07/model/pump/desired", &[b' '; 5000]);
        let counts = wishes.of("pump");
        assert_eq!(counts.desired, None);
        assert!(counts.remark.unwrap().contains("5000 bytes are no wish"));
        assert_eq!(wishes.of("gestures"), Effective::default());
    }

    #[test]
    fn only_a_change_wakes_and_the_first_call_comes_at_once() {
        let wishes = wishes();
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        wishes.on_change(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let said = |payload: &str| {
            wishes.hear(OWN, payload.as_bytes());
            calls.load(Ordering::Relaxed)
        };
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert_eq!(said(r#"{"version":"1.0.0"}"#), 2);
        assert_eq!(said(r#"{ "version" : "1.0.0" }"#), 2, "the same wish");
        assert_eq!(said(""), 3);
        assert_eq!(said(""), 3);
    }

    #[test]
    fn a_wait_ends_with_the_change_or_in_time() {
        let wishes = wishes();
        let hearing = wishes.clone();
        let hear = std::thread::spawn(move || hearing.hear(OWN, br#"{"version":"1.0.0"}"#));
        assert_eq!(wishes.wait(0, Duration::from_secs(30)), 1);
        assert_eq!(version(&wishes, "gestures").as_deref(), Some("1.0.0"));
        hear.join().unwrap();
        assert_eq!(wishes.wait(1, Duration::ZERO), 1);
    }

    #[test]
    fn what_a_new_connection_does_not_say_again_was_cleared_meanwhile() {
        let wishes = wishes();
        wishes.hear(OWN, br#"{"version":"1.0.0"}"#);
        wishes.hear(GROUP, br#"{"version":"2.0.0"}"#);
        let subscriptions = wishes.subscriptions(true);
        assert_eq!(subscriptions.len(), 2);
        subscriptions.iter().for_each(|subscription| wishes.doubt(subscription));
        assert_eq!(version(&wishes, "gestures").as_deref(), Some("1.0.0"), "until it is known");
        wishes.hear(GROUP, br#"{"version":"2.0.0"}"#);
        wishes.settle(&subscriptions[1]);
        assert_eq!(version(&wishes, "gestures").as_deref(), Some("1.0.0"), "another source");
        wishes.settle(&subscriptions[0]);
        assert_eq!(version(&wishes, "gestures").as_deref(), Some("2.0.0"));
    }

    #[test]
    fn a_broker_without_wildcards_is_asked_for_each_topic() {
        let filters = |wildcards| {
            let all = wishes().subscriptions(wildcards);
            all.into_iter().map(|one| one.filter).collect::<Vec<_>>()
        };
        assert_eq!(
            filters(true),
            ["edgerun/bench-07/model/+/desired", "edgerun/group/line-3/model/+/desired"]
        );
        assert_eq!(
            filters(false),
            [
                OWN,
                GROUP,
                "edgerun/bench-07/model/pump/desired",
                "edgerun/group/line-3/model/pump/desired",
            ]
        );
        let files = Subscriptions { files: true, ..Subscriptions::default() };
        let chunks = Wishes::new(files, &Topics::new(None, "bench-07"));
        for wildcards in [true, false] {
            let [only] = &chunks.subscriptions(wildcards)[..] else { panic!("one topic") };
            assert_eq!(only.filter, "edgerun/bench-07/fetch/chunk");
            chunks.doubt(only);
            chunks.settle(only);
        }
        let nothing = Wishes::new(Subscriptions::default(), &Topics::new(None, "bench-07"));
        assert!(nothing.subscriptions(true).is_empty() && nothing.subscriptions(false).is_empty());
    }
}
