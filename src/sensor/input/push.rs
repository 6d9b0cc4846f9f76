//! The `http` driver: rows that others send to `POST /sensors/NAME`.

use std::sync::Arc;

use super::stream::Stream;
use super::{InputSpec, Rows};
use crate::clock::Clock;
use crate::sensor::{Sensor, SensorError};

/// Settings of the driver.
#[derive(Clone, Debug, PartialEq)]
pub struct PushInput {
    /// What every input is told; a row is one period.
    pub spec: InputSpec,
}

impl PushInput {
    /// Rows that may wait: those of ten seconds.
    pub(super) fn capacity(&self) -> usize {
        (10.0 * self.spec.rate_hz).ceil().clamp(64.0, 100_000.0) as usize
    }
}

pub(super) fn open(
    input: &PushInput,
    rows: &Rows,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Sensor>, SensorError> {
    if !rows.is_fed() {
        let why = "only the running daemon takes rows";
        return Err(SensorError::InUse(why.into()));
    }
    let doing = "taking rows over HTTP";
    Ok(Box::new(Stream::new(rows.clone(), &input.spec, input.capacity(), clock, doing)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;
    use crate::data::Frames;
    use crate::sensor::{Channel, InputSettings};

    #[test]
    fn rows_are_consecutive_samples_and_a_sender_that_stops_is_a_loss() {
        let channels = vec![Channel::new("a", ""), Channel::new("b", "")];
        let spec = InputSpec { channels, rate_hz: 10.0, stale_after: Duration::from_secs(5) };
        let settings = InputSettings::http(PushInput { spec });
        let InputSettings::Http(_, rows) = &settings else { unreachable!() };
        let clock = Arc::new(ManualClock::new());
        let outside = settings.open(clock.clone()).err().unwrap().to_string();
        assert!(outside.contains("only the running daemon"), "{outside}");
        rows.feed();
        let mut sensor = settings.open(clock.clone()).unwrap();
        let mut out = Frames::new(2, 8);
        assert_eq!(sensor.read(&mut out), Ok(0));
        for _ in 0..3 {
            clock.advance(Duration::from_millis(200));
            rows.push(b"[[1,2],[3,4]]").unwrap();
            assert_eq!(sensor.read(&mut out), Ok(2));
        }
        let at: Vec<u128> = out.stamps().iter().map(|stamp| stamp.at.as_millis()).collect();
        assert_eq!(at, [100, 200, 300, 400, 500, 600]);
        assert_eq!(out.stamps().iter().filter(|stamp| stamp.gap_before).count(), 1);
        clock.advance(Duration::from_millis(5001));
        let lost = sensor.read(&mut out).unwrap_err().to_string();
        assert_eq!(lost, "taking rows over HTTP: no row for 5s");
        rows.push(br#"{"a":1,"b":2}"#).unwrap();
        let mut sensor = settings.open(clock.clone()).unwrap();
        assert_eq!(sensor.read(&mut out), Ok(1));
        assert!(out.stamps().last().unwrap().gap_before);
    }
}
