//! Where findings leave a pipeline. A sink takes one at a time and returns at once.

mod json_lines;
mod memory;
pub mod mqtt;

pub use json_lines::JsonLines;
pub use memory::{Kept, Memory};
pub use mqtt::{MqttSink, Qos};

use crate::data::{Event, Inference, Rejected};

/// The last station of a pipeline; it is called on the inference thread.
pub trait Sink: Send {
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
