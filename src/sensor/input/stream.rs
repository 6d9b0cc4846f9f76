//! Rows that come by themselves, one for each period: when each was sampled, and when they have stopped.

use std::sync::Arc;
use std::time::Duration;

use super::InputSpec;
use crate::clock::Clock;
use crate::data::Frames;
use crate::sensor::timeline::{Placed, Timeline};
use crate::sensor::{Sensor, SensorError, SensorSpec};

/// Nobody looks more often for rows than this.
const POLL: Duration = Duration::from_millis(10);

/// Where rows come from. Nothing here waits.
pub(super) trait Source: Send {
    /// Appends the values of all rows that are there at `now`, row-major.
    ///
    /// # Errors
    /// When there will be no more.
    fn take(&mut self, now: Duration, out: &mut Vec<f32>) -> Result<(), SensorError>;

    /// What is wrong with what comes instead of rows.
    fn complaint(&self) -> Option<String>;
}

/// A sensor of rows.
pub(super) struct Stream<S> {
    source: S,
    spec: SensorSpec,
    stale_after: Duration,
    clock: Arc<dyn Clock>,
    timeline: Timeline,
    /// When the last rows came, or since when they are awaited.
    since: Duration,
    /// So many rows may come at once whatever the rate.
    burst: usize,
    doing: &'static str,
    values: Vec<f32>,
}

impl<S: Source> Stream<S> {
    /// Rows are awaited from now on, `burst` of them at once whatever the rate; `doing` is for the words of a loss.
    pub(super) fn new(
        source: S,
        input: &InputSpec,
        burst: usize,
        clock: Arc<dyn Clock>,
        doing: &'static str,
    ) -> Self {
        let spec = input.sensor();
        let since = clock.monotonic();
        let timeline = Timeline::new(spec.period(), since);
        let (stale_after, values) = (input.stale_after, Vec::new());
        Self { source, spec, stale_after, clock, timeline, since, burst, doing, values }
    }
}

impl<S: Source> Sensor for Stream<S> {
    fn spec(&self) -> &SensorSpec {
        &self.spec
    }

    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        self.values.clear();
        let ended = self.source.take(now, &mut self.values);
        let width = self.spec.channels.len().max(1);
        let rows = self.values.len() / width;
        let waited = now.saturating_sub(self.since);
        if rows == 0 {
            ended?;
            self.timeline.nothing(now);
            if waited > self.stale_after {
                let time = humantime::format_duration(self.stale_after);
                let why = match self.source.complaint() {
                    Some(complaint) => format!("no row for {time}; what comes: {complaint}"),
                    None => format!("no row for {time}"),
                };
                return Err(SensorError::Bus { doing: self.doing, why });
            }
            return Ok(0);
        }
        let most = 2.0 * waited.as_secs_f64() * self.spec.rate_hz + self.burst as f64;
        if rows as f64 > most {
            let rate = self.spec.rate_hz;
            let why = format!("{rows} rows within {waited:.1?}, where rate is {rate} Hz");
            return Err(SensorError::Bus { doing: self.doing, why });
        }
        self.since = now;
        match self.timeline.place(u32::try_from(rows).unwrap_or(u32::MAX), now, wall) {
            Placed::Torn => Ok(0),
            Placed::At(burst) => {
                for (index, row) in self.values.chunks_exact(width).enumerate() {
                    out.push(row, burst.stamp(u32::try_from(index).unwrap_or(u32::MAX)));
                }
                Ok(rows)
            }
        }
    }

    fn poll_period(&self) -> Duration {
        self.spec.period().clamp(POLL, POLL * 10)
    }
}
