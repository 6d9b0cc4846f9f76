//! Messages of other devices, for the sensors that are made of them.

use super::envelope::Heard;
use super::wishes::Subscription;
use crate::sensor::input::Held;

/// Sensors that listen; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs(Vec<Held>);

impl Inputs {
    pub(super) fn new(held: Vec<Held>) -> Self {
        Self(held)
    }

    /// Each topic once.
    pub(super) fn subscriptions(&self) -> Vec<Subscription> {
        let mut topics: Vec<&str> = self.0.iter().flat_map(Held::topics).collect();
        topics.sort_unstable();
        topics.dedup();
        topics.into_iter().map(|topic| Subscription::passing(topic.to_owned(), false)).collect()
    }

    /// Brings a message to whom it concerns; neither waits.
    pub(super) fn hear(&self, heard: &Heard) {
        for held in &self.0 {
            held.hear(&heard.topic, &heard.payload, heard.retained);
        }
    }
}
