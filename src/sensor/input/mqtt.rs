//! The `mqtt` driver: numbers out of other devices' messages, held and sampled at a rate.

use std::sync::Arc;
use std::time::Duration;

use super::{Field, Held, InputSpec};
use crate::clock::Clock;
use crate::data::{Frames, Stamp};
use crate::sensor::pace::Pace;
use crate::sensor::{Sensor, SensorError, SensorSpec};

/// Settings of the driver.
#[derive(Clone, Debug, PartialEq)]
pub struct MqttInput {
    /// What every input is told.
    pub spec: InputSpec,
    /// Where each channel's number stands.
    pub fields: Vec<Field>,
    /// Whether messages that the broker had kept count.
    pub retained: bool,
}

struct Sampled {
    held: Held,
    spec: SensorSpec,
    topics: String,
    stale_after: Duration,
    clock: Arc<dyn Clock>,
    values: Vec<f32>,
    pace: Pace,
}

pub(super) fn open(
    input: &MqttInput,
    held: &Held,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Sensor>, SensorError> {
    let spec = input.spec.sensor();
    let mut sampled = Sampled {
        held: held.clone(),
        pace: Pace::new(spec.period(), spec.period()),
        spec,
        topics: held.topics().join(", "),
        stale_after: input.spec.stale_after,
        values: vec![f32::NAN; input.fields.len()],
        clock,
    };
    // One that was lost for want of messages stays lost until there is one.
    sampled.look()?;
    Ok(Box::new(sampled))
}

impl Sampled {
    /// Whether there is a number to give; when none may be expected any more it is lost.
    fn look(&mut self) -> Result<bool, SensorError> {
        let now = self.clock.monotonic();
        let Some(reading) = self.held.read(now, self.stale_after, &mut self.values) else {
            let why = "only the running daemon hears its messages";
            return Err(SensorError::InUse(why.into()));
        };
        if now.saturating_sub(reading.since) > self.stale_after {
            let (topics, time) = (&self.topics, humantime::format_duration(self.stale_after));
            let nothing = match reading.any {
                true => format!("nothing on {topics} for {time}"),
                false => format!("nothing on {topics} yet, after {time}"),
            };
            let why = match reading.complaint {
                Some(complaint) => format!("{nothing}; what comes: {complaint}"),
                None => nothing,
            };
            return Err(SensorError::Bus { doing: "listening to other devices", why });
        }
        Ok(reading.any)
    }
}

impl Sensor for Sampled {
    fn spec(&self) -> &SensorSpec {
        &self.spec
    }

    /// A frame of what is held, once in a period; none before the first message.
    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        let at = self.clock.monotonic();
        if !self.pace.is_due(at) {
            return Ok(0);
        }
        if !self.look()? {
            return Ok(0);
        }
        self.pace.begin(at);
        let gap_before = self.pace.is_gap(at);
        out.push(&self.values, Stamp { at, wall: self.clock.wall(), gap_before });
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::sensor::{Channel, InputSettings};

    fn input() -> MqttInput {
        let channels = vec![Channel::new("temperature", "°C")];
        let stale_after = Duration::from_secs(10);
        let field = Field { topic: "z/room".to_owned(), pointer: "/temperature".to_owned() };
        let spec = InputSpec { channels, rate_hz: 1.0, stale_after };
        MqttInput { spec, fields: vec![field], retained: false }
    }

    fn parts() -> (InputSettings, Held, Arc<ManualClock>) {
        let settings = InputSettings::mqtt(input());
        let InputSettings::Mqtt(_, held) = &settings else { unreachable!() };
        let (held, clock) = (held.clone(), Arc::new(ManualClock::new()));
        held.feed(clock.clone());
        (settings, held, clock)
    }

    #[test]
    fn the_latest_number_is_given_at_the_rate_until_it_is_stale_and_then_the_sensor_is_lost() {
        let (settings, held, clock) = parts();
        let mut sensor = settings.open(clock.clone()).unwrap();
        let mut out = Frames::new(1, 8);
        assert_eq!(sensor.read(&mut out), Ok(0), "nothing heard yet, and that is no fault yet");
        held.hear("z/room", br#"{"temperature":20}"#, false);
        assert_eq!(sensor.read(&mut out), Ok(1));
        assert_eq!(sensor.read(&mut out), Ok(0), "not due");
        for second in 1..=10 {
            clock.advance(Duration::from_secs(1));
            if second == 3 {
                held.hear("z/room", br#"{"temperature":21}"#, false);
            }
            assert_eq!(sensor.read(&mut out), Ok(1));
        }
        assert_eq!(out.values()[..5], [20.0, 20.0, 20.0, 21.0, 21.0]);
        let gaps: Vec<bool> = out.stamps().iter().map(|stamp| stamp.gap_before).collect();
        assert!(gaps[0] && gaps[1..].iter().all(|gap| !gap));
        clock.advance(Duration::from_secs(4));
        let lost = sensor.read(&mut out).unwrap_err().to_string();
        assert_eq!(lost, "listening to other devices: nothing on z/room for 10s");
        let still = settings.open(clock.clone()).err().unwrap().to_string();
        assert_eq!(still, lost);
        held.hear("z/room", br#"{"temperature":22}"#, false);
        assert_eq!(settings.open(clock).unwrap().read(&mut out), Ok(1));
        assert_eq!(out.values().last(), Some(&22.0));
    }

    #[test]
    fn a_topic_that_never_says_anything_is_a_loss_after_a_while_with_what_it_says_instead() {
        let (settings, held, clock) = parts();
        held.hear("z/room", b"offline", false);
        clock.advance(Duration::from_secs(11));
        let lost = settings.open(clock).err().unwrap().to_string();
        assert!(
            lost.starts_with("listening to other devices: nothing on z/room yet, after 10s; what comes: z/room: no JSON"),
            "{lost}"
        );
    }

    #[test]
    fn outside_of_the_daemon_nobody_listens() {
        let settings = InputSettings::mqtt(input());
        let why = settings.open(Arc::new(ManualClock::new())).err().unwrap().to_string();
        assert!(why.contains("only the running daemon"), "{why}");
    }
}
