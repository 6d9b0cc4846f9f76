//! The latest numbers out of messages: the network fills it, a sensor reads it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::json;
use crate::clock::Clock;

/// Where a channel's number stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The topic, without wildcards.
    pub topic: String,
    /// JSON pointer into its messages.
    pub pointer: String,
}

/// Clones share what is held.
#[derive(Clone, Debug)]
pub struct Held(Arc<Shared>);

struct Shared {
    fields: Vec<Field>,
    takes_retained: bool,
    /// Of whoever listens, and since when it does.
    fed: OnceLock<(Arc<dyn Clock>, Duration)>,
    state: Mutex<State>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("fields", &self.fields).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    /// Of each field, the number and when it was heard.
    values: Vec<Option<(f32, Duration)>>,
    /// When anything was heard last.
    heard: Option<Duration>,
    /// Messages without a number of ours.
    bad: u64,
    /// Why the last one was bad, until a good one comes.
    complaint: Option<String>,
}

/// What is held at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// Since when nothing was heard: the last number, or the beginning.
    pub(super) since: Duration,
    /// Whether there was any number yet.
    pub(super) any: bool,
    /// What is wrong with what comes instead.
    pub(super) complaint: Option<String>,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Held {}

impl Held {
    /// For these fields. Messages that the broker had kept are left out unless it `takes_retained`: nobody knows how
    /// old they are.
    pub fn new(fields: Vec<Field>, takes_retained: bool) -> Self {
        let values = vec![None; fields.len()];
        let state = Mutex::new(State { values, heard: None, bad: 0, complaint: None });
        Self(Arc::new(Shared { fields, takes_retained, fed: OnceLock::new(), state }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody listens to the topics from now on; the first one counts.
    pub fn feed(&self, clock: Arc<dyn Clock>) {
        let now = clock.monotonic();
        self.0.fed.set((clock, now)).ok();
    }

    /// The topics, each once.
    pub fn topics(&self) -> Vec<&str> {
        let mut topics: Vec<&str> = self.0.fields.iter().map(|f| f.topic.as_str()).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Messages that held no number of ours, since the start.
    pub fn bad(&self) -> u64 {
        self.state().bad
    }

    /// A message, on the network's thread. What it does not say stays as it was; a message that says nothing is counted,
    /// and told once.
    pub fn hear(&self, topic: &str, payload: &[u8], retained: bool) {
        let Some((clock, _)) = self.0.fed.get() else { return };
        if !self.0.fields.iter().any(|field| field.topic == topic) {
            return;
        }
        // A retained message that is cleared is no message.
        if payload.is_empty() || (retained && !self.0.takes_retained) {
            return log::debug!("{topic}: retained, or cleared: not taken");
        }
        let now = clock.monotonic();
        let found = json::parse(payload).and_then(|value| {
            let fields = self.0.fields.iter().enumerate().filter(|(_, f)| f.topic == topic);
            let of = |(index, field): (usize, &Field)| {
                Some((index, json::number(value.pointer(&field.pointer)?)?))
            };
            let numbers: Vec<(usize, f32)> = fields.filter_map(of).collect();
            match numbers.is_empty() {
                true => Err("no number where the channels' pointers lead".to_owned()),
                false => Ok(numbers),
            }
        });
        let mut state = self.state();
        match found {
            Ok(numbers) => {
                for (index, number) in numbers {
                    if let Some(value) = state.values.get_mut(index) {
                        *value = Some((number, now));
                    }
                }
                state.heard = Some(now);
                state.complaint = None;
            }
            Err(why) => {
                state.bad += 1;
                let first = state.complaint.replace(format!("{topic}: {why}")).is_none();
                drop(state);
                if first {
                    log::warn!("{topic}: {why}; messages like it are counted");
                }
            }
        }
    }

    /// Writes each field's number into `values`, NaN where none is as young as `stale_after`. `None`: nobody listens.
    pub(super) fn read(
        &self,
        now: Duration,
        stale_after: Duration,
        values: &mut [f32],
    ) -> Option<Reading> {
        let (_, fed) = self.0.fed.get()?;
        let state = self.state();
        for (value, held) in values.iter_mut().zip(&state.values) {
            *value = match held {
                Some((number, at)) if now.saturating_sub(*at) <= stale_after => *number,
                _ => f32::NAN,
            };
        }
        let since = state.heard.unwrap_or(*fed);
        Some(Reading { since, any: state.heard.is_some(), complaint: state.complaint.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const STALE: Duration = Duration::from_secs(60);

    fn field(topic: &str, pointer: &str) -> Field {
        Field { topic: topic.to_owned(), pointer: pointer.to_owned() }
    }

    fn held(takes_retained: bool) -> (Held, Arc<ManualClock>) {
        let fields =
            vec![field("z/room", "/temperature"), field("z/room", "/humidity"), field("power", "")];
        let (held, clock) = (Held::new(fields, takes_retained), Arc::new(ManualClock::new()));
        held.feed(clock.clone());
        (held, clock)
    }

    fn values(held: &Held, clock: &ManualClock) -> Vec<Option<f32>> {
        let mut values = [0.0; 3];
        held.read(clock.monotonic(), STALE, &mut values).unwrap();
        values.iter().map(|value| (!value.is_nan()).then_some(*value)).collect()
    }

    #[test]
    fn a_number_is_held_until_it_is_stale_and_a_message_need_not_have_them_all() {
        let (held, clock) = held(false);
        assert_eq!(held.topics(), ["power", "z/room"]);
        held.hear("z/room", br#"{"temperature":21.5,"humidity":40,"battery":97}"#, false);
        held.hear("power", b"230", false);
        assert_eq!(values(&held, &clock), [Some(21.5), Some(40.0), Some(230.0)]);
        clock.advance(STALE);
        held.hear("z/room", br#"{"humidity":41}"#, false);
        held.hear("elsewhere", br#"{"temperature":99}"#, false);
        assert_eq!(values(&held, &clock), [Some(21.5), Some(41.0), Some(230.0)]);
        clock.advance(Duration::from_millis(1));
        assert_eq!(values(&held, &clock), [None, Some(41.0), None]);
    }

    #[test]
    fn what_is_retained_counts_only_where_that_is_wanted() {
        let ((no, clock), (yes, other)) = (held(false), held(true));
        for held in [&no, &yes] {
            held.hear("power", b"230", true);
            held.hear("power", b"", true);
        }
        assert_eq!((values(&no, &clock)[2], values(&yes, &other)[2]), (None, Some(230.0)));
        assert_eq!((no.bad(), yes.bad()), (0, 0));
    }

    #[test]
    fn hostile_messages_are_counted_and_change_nothing() {
        let (held, clock) = held(false);
        held.hear("power", b"1", false);
        for bad in [&b"{"[..], b"\"ON\"", b"null", b"\xff\xfe", &[b'['; 20_000], &[b'1'; 400]] {
            held.hear("power", bad, false);
        }
        assert_eq!((held.bad(), values(&held, &clock)[2]), (6, Some(1.0)));
        let reading = held.read(clock.monotonic(), STALE, &mut [0.0; 3]).unwrap();
        assert!(reading.complaint.unwrap().starts_with("power: no JSON"));
        assert!(reading.any);
    }

    #[test]
    fn without_somebody_who_listens_there_is_nothing_to_wait_for() {
        let held = Held::new(vec![field("a", "")], false);
        held.hear("a", b"1", false);
        assert_eq!(held.read(Duration::ZERO, STALE, &mut [0.0]), None);
    }
}
