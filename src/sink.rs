//! Where findings leave a pipeline. A sink takes one at a time and returns at once: what is slow has a thread of its
//! own behind a bounded hand-over.

mod actuator;
pub mod gpio;
pub mod json_lines;
mod memory;
pub mod mqtt;
pub mod pwm;
mod relay;
mod stats;
mod waiting;
pub mod webhook;
mod worker;

pub use memory::{Kept, Memory};
pub use mqtt::{MqttSink, Qos};
pub use relay::{Found, Relay, Taken, Tray, relay};
pub use stats::{SinkReading, SinkStats};
pub use worker::Worker;

use std::time::Duration;

use crate::data::{Event, Finding, Inference, Rejected};

/// The last station of a pipeline; it is called on the inference thread.
pub trait Sink: Send {
    /// Hears every finding, also those that are not published, before it is published; `at` is when its last sample
    /// was taken, of the clock's monotonic time.
    fn found(&mut self, finding: &Finding, at: Duration) {
        let _ = (finding, at);
    }

    /// Takes one result.
    ///
    /// # Errors
    /// [`Rejected::DroppedOldest`]: taken, but an older result was given up for it; count it.
    /// [`Rejected::Closed`]: not taken, nobody will read it any more.
    fn publish(&mut self, found: Inference) -> Result<(), Rejected>;

    /// Takes one event; events outlive results where something must be dropped.
    ///
    /// # Errors
    /// As for [`Sink::publish`].
    fn event(&mut self, event: Event) -> Result<(), Rejected>;
}
