//! Numbers that come from elsewhere: out of messages of other devices, pushed over HTTP, written by a program.
//!
//! [`Held`] and [`Rows`] are what the network fills; a sensor reads them, and neither waits for the other.

mod command;
mod held;
mod json;
mod lines;
mod mqtt;
mod push;
mod rows;
mod stream;

use std::sync::Arc;
use std::time::Duration;

pub use command::CommandInput;
pub use held::{Field, Held};
pub use json::is_pointer;
pub use lines::Format;
pub use mqtt::MqttInput;
pub use push::PushInput;
pub use rows::{NotTaken, Rows};

use super::{BadSetting, Channel, Sensor, SensorError, SensorSpec};
use crate::clock::Clock;

/// Settings of a driver here, with what the network fills for it; clones share that.
#[derive(Clone, Debug, PartialEq)]
pub enum InputSettings {
    /// Messages of other devices.
    Mqtt(MqttInput, Held),
    /// Rows that others send.
    Http(PushInput, Rows),
    /// Lines of a program.
    Command(CommandInput),
}

/// What every input is told.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    /// One for each value of a frame.
    pub channels: Vec<Channel>,
    /// Frames a second.
    pub rate_hz: f64,
    /// After this long without anything new the sensor is lost.
    pub stale_after: Duration,
}

impl InputSpec {
    fn sensor(&self) -> SensorSpec {
        SensorSpec { channels: self.channels.clone(), rate_hz: self.rate_hz }
    }

    /// Its channels can be told apart.
    fn validate(&self) -> Vec<BadSetting> {
        let twice = self.channels.iter().enumerate().find(|(n, channel)| {
            self.channels[..*n].iter().any(|before| before.name == channel.name)
        });
        let why = match (self.channels.len(), twice) {
            (0, _) => "there is none".to_owned(),
            (_, Some((_, channel))) => format!("there are two called {:?}", channel.name),
            (65.., None) => "there are more than 64".to_owned(),
            (_, None) => return Vec::new(),
        };
        vec![BadSetting { key: "channel", why }]
    }
}

impl InputSettings {
    /// Messages of other devices.
    pub fn mqtt(input: MqttInput) -> Self {
        let held = Held::new(input.fields.clone(), input.retained);
        Self::Mqtt(input, held)
    }

    /// Rows that others send.
    pub fn http(input: PushInput) -> Self {
        let names = input.spec.channels.iter().map(|channel| channel.name.to_string()).collect();
        let rows = Rows::new(names, input.capacity());
        Self::Http(input, rows)
    }

    fn input(&self) -> &InputSpec {
        match self {
            Self::Mqtt(input, _) => &input.spec,
            Self::Http(input, _) => &input.spec,
            Self::Command(input) => &input.spec,
        }
    }

    /// The driver's name.
    pub fn driver(&self) -> &'static str {
        match self {
            Self::Mqtt(..) => "mqtt",
            Self::Http(..) => "http",
            Self::Command(_) => "command",
        }
    }

    /// What it cannot do.
    pub fn validate(&self) -> Vec<BadSetting> {
        self.input().validate()
    }

    /// What it will give.
    ///
    /// # Errors
    /// [`SensorError::Unusable`] when it cannot work as it is set up.
    pub fn spec(&self) -> Result<SensorSpec, SensorError> {
        match self.validate().as_slice() {
            [] => Ok(self.input().sensor()),
            bad => Err(BadSetting::refuse(self.driver(), bad)),
        }
    }

    /// Begins to read.
    ///
    /// # Errors
    /// By what the caller does next: see [`SensorError`].
    pub fn open(&self, clock: Arc<dyn Clock>) -> Result<Box<dyn Sensor>, SensorError> {
        self.spec()?;
        match self {
            Self::Mqtt(input, held) => mqtt::open(input, held, clock),
            Self::Http(input, rows) => push::open(input, rows, clock),
            Self::Command(input) => command::open(input, clock),
        }
    }
}
