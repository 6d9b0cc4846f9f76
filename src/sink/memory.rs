//! A sink that remembers, for tests of what stands before it.

use std::sync::{Arc, Mutex, PoisonError};

use super::Sink;
use crate::data::{Event, Inference, Rejected};

/// What a [`Memory`] was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// Results, oldest first.
    pub results: Vec<Inference>,
    /// Events, oldest first.
    pub events: Vec<Event>,
}

/// Keeps everything; clones share what they keep, so that a test can hold one end.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Kept>>);

impl Memory {
    /// Keeps nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes out what was kept so far.
    pub fn take(&self) -> Kept {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for Memory {
    fn publish(&mut self, found: Inference) -> Result<(), Rejected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).results.push(found);
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), Rejected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).events.push(event);
        Ok(())
    }
}

/// Findings for the tests of this room.
#[cfg(test)]
pub(super) mod examples {
    use std::time::Duration;

    use crate::data::{
        ClockState, Event, EventKind, Finding, Inference, ScoredLabel, Timestamp, WindowSpan,
    };

    fn at(ms: u64) -> Timestamp {
        Timestamp {
            since_epoch: Duration::from_millis(1_700_000_000_000 + ms),
            clock: ClockState::Synced,
        }
    }

    pub(in crate::sink) fn inference(seq: u64) -> Inference {
        Inference {
            pipeline: "gestures".into(),
            seq,
            model: "gestures".into(),
            version: "1.0.0".into(),
            latency: Duration::from_micros(412),
            window: WindowSpan { start: at(0), end: at(3900), frames: 40 },
            finding: Finding::Classification {
                label: Some("walking".into()),
                score: 0.97,
                top: vec![ScoredLabel { label: "walking".into(), score: 0.97 }],
            },
        }
    }

    pub(in crate::sink) fn event(to: &str) -> Event {
        Event {
            pipeline: "gestures".into(),
            time: at(3900),
            kind: EventKind::LabelChanged { from: None, to: Some(to.into()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_what_they_keep() {
        let kept = Memory::new();
        let mut sink = kept.clone();
        sink.publish(examples::inference(1)).unwrap();
        sink.event(examples::event("walking")).unwrap();
        let Kept { results, events } = kept.take();
        assert_eq!((results.len(), events.len()), (1, 1));
        assert_eq!(kept.take(), Kept::default());
    }
}
