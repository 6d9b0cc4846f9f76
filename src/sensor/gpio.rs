//! GPIO lines as a sensor: levels of switches and contacts, and edges counted for flow meters and tachometers.
//!
//! The kernel watches the edges and keeps them with their times, so neither the count nor the rate depends on when the
//! thread looks.

mod edges;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edges::Edges;

use super::pace::Pace;
use super::{BadSetting, Channel, Sensor, SensorError, SensorSpec};
use crate::clock::Clock;
use crate::data::{Frames, Stamp};

/// Kernels before 5.10 keep 16 edges of a line: looked at this often, up to 1.6 kHz are counted there.
const POLL_COUNTING: Duration = Duration::from_millis(10);
const RATES_HZ: std::ops::RangeInclusive<f64> = 1.0 / 3600.0..=1000.0;
const DEBOUNCE_MAX: Duration = Duration::from_secs(1);
/// What one request for lines can hold.
const LINES_MAX: usize = 64;

/// Settings of the driver `gpio`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The chip's device file, as in `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// One for each channel.
    pub lines: Vec<Line>,
}

/// Settings of the driver `gpio` with its rate.
#[derive(Clone, Debug, PartialEq)]
pub struct GpioSettings {
    /// Which lines.
    pub lines: Lines,
    /// Frames a second.
    pub rate_hz: f64,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The channel's name.
    pub name: String,
    /// Which line of the chip.
    pub id: LineId,
    /// What its channel is.
    pub measure: Measure,
    /// Which edges are counted.
    pub edge: Edge,
    /// The chip's own resistor.
    pub bias: Bias,
    /// A low wire is 1.
    pub active_low: bool,
    /// A level counts once it has stayed for this long; zero: at once.
    pub debounce: Duration,
}

/// A line by what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineId {
    /// Its number on the chip.
    Offset(u32),
    /// Its name, as in `GPIO17`.
    Name(String),
}

/// What a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// 1 or 0.
    Level,
    /// Edges since the frame before.
    Count,
    /// Edges a second, by their times.
    Rate,
}

/// Which edges are counted, of the level after `active_low`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// From 0 to 1.
    Rising,
    /// From 1 to 0.
    Falling,
    /// All.
    Both,
}

/// The chip's own resistor at a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// As it is.
    AsIs,
    /// None.
    Off,
    /// Towards the supply.
    PullUp,
    /// Towards ground.
    PullDown,
}

impl Line {
    /// Whether its edges are asked for.
    fn counts(&self) -> bool {
        self.measure != Measure::Level
    }
}

/// An edge that the kernel saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When, on the kernel's clock.
    pub at: Duration,
    /// From 0 to 1.
    pub rising: bool,
    /// Edges of this line that it saw so far, this one included; wraps around. `None`: an older kernel, which does not say.
    pub number: Option<u32>,
}

/// A line that was opened.
pub trait Open: Send {
    /// Whether it is 1.
    ///
    /// # Errors
    /// [`SensorError::Bus`].
    fn level(&mut self) -> Result<bool, SensorError>;

    /// Every edge since the last call, oldest first. Never waits.
    ///
    /// # Errors
    /// [`SensorError::Bus`].
    fn edges(&mut self, each: &mut dyn FnMut(Seen)) -> Result<(), SensorError>;

    /// Whether the kernel keeps bouncing away, where that was wished for.
    fn is_debounced(&self) -> bool;
}

/// Opens a line of the chip: the kernel's, or a test's.
pub type OpenLine<'a> = dyn FnMut(&Path, &Line) -> Result<Box<dyn Open>, SensorError> + 'a;

impl GpioSettings {
    /// Everything that cannot be done; empty when all is well.
    pub fn validate(&self) -> Vec<BadSetting> {
        let mut bad = Vec::new();
        let mut wrong = |key: &'static str, why: String| bad.push(BadSetting { key, why });
        if !RATES_HZ.contains(&self.rate_hz) {
            wrong("rate", format!("must be 1 an hour to 1 kHz, is {} Hz", self.rate_hz));
        }
        let lines = &self.lines.lines;
        if lines.is_empty() || lines.len() > LINES_MAX {
            wrong("line", format!("must be 1 to {LINES_MAX} of them; add [[sensor.line]]"));
        }
        for (n, line) in lines.iter().enumerate() {
            let before = &lines[..n];
            if before.iter().any(|other| other.name == line.name) {
                wrong("line", format!("{:?} is there twice", line.name));
            } else if before.iter().any(|other| other.id == line.id) {
                wrong("line", format!("{}: its line is another channel's, too", line.name));
            }
            if line.debounce > DEBOUNCE_MAX {
                wrong("line", format!("{}: debounce is longer than 1 s", line.name));
            }
        }
        bad
    }

    /// What the sensor will give.
    ///
    /// # Errors
    /// [`SensorError::Unusable`] when it cannot do what is set.
    pub fn spec(&self) -> Result<SensorSpec, SensorError> {
        let bad = self.validate();
        if !bad.is_empty() {
            return Err(BadSetting::refuse("gpio", &bad));
        }
        let channel = |line: &Line| Channel {
            name: line.name.clone().into(),
            unit: if line.measure == Measure::Rate { "Hz".into() } else { "".into() },
            range: None,
        };
        let channels = self.lines.lines.iter().map(channel).collect();
        Ok(SensorSpec { channels, rate_hz: self.rate_hz })
    }
}

/// Lines as a sensor.
pub struct Gpio {
    lines: Vec<Watched>,
    clock: Arc<dyn Clock>,
    spec: SensorSpec,
    /// Between two reads: more often than a frame is due where edges are counted.
    poll: Duration,
    pace: Pace,
    values: Vec<f32>,
}

struct Watched {
    line: Box<dyn Open>,
    measure: Measure,
    /// Where edges are counted, or bouncing is kept away here.
    edges: Option<Edges>,
}

impl Gpio {
    /// Opens all lines with `open`.
    ///
    /// # Errors
    /// By what the caller does next: see [`SensorError`].
    pub fn new(
        settings: &GpioSettings,
        clock: Arc<dyn Clock>,
        open: &mut OpenLine<'_>,
    ) -> Result<Self, SensorError> {
        let spec = settings.spec()?;
        let mut lines = Vec::with_capacity(settings.lines.lines.len());
        for line in &settings.lines.lines {
            let mut opened = open(&settings.lines.chip, line)?;
            let own = !opened.is_debounced() && !line.debounce.is_zero();
            let edges = match own || line.counts() {
                true => {
                    let debounce = if own { line.debounce } else { Duration::ZERO };
                    Some(Edges::new(line.edge, debounce, opened.level()?))
                }
                false => None,
            };
            lines.push(Watched { line: opened, measure: line.measure, edges });
        }
        let counting = lines.iter().any(|watched| watched.edges.is_some());
        let values = vec![0.0; lines.len()];
        let period = spec.period();
        let poll = if counting { period.min(POLL_COUNTING) } else { period };
        let pace = Pace::new(period, poll);
        Ok(Self { lines, clock, spec, poll, pace, values })
    }
}

impl Sensor for Gpio {
    fn spec(&self) -> &SensorSpec {
        &self.spec
    }

    fn poll_period(&self) -> Duration {
        self.poll
    }

    fn read(&mut self, out: &mut Frames) -> Result<usize, SensorError> {
        let at = self.clock.monotonic();
        for Watched { line, edges, .. } in &mut self.lines {
            let Some(edges) = edges else { continue };
            line.edges(&mut |seen| edges.saw(seen, at))?;
            edges.settle(at);
        }
        if !self.pace.is_due(at) {
            return Ok(0);
        }
        self.pace.begin(at);
        let wall = self.clock.wall();
        for (value, Watched { line, measure, edges }) in self.values.iter_mut().zip(&mut self.lines)
        {
            *value = match (measure, edges) {
                (Measure::Level, Some(edges)) => f32::from(edges.level()),
                (Measure::Level, None) => f32::from(line.level()?),
                (Measure::Count, Some(edges)) => edges.count(at).0 as f32,
                (Measure::Rate, Some(edges)) => edges.count(at).1 as f32,
                (Measure::Count | Measure::Rate, None) => f32::NAN,
            };
        }
        let gap_before = self.pace.is_gap(at);
        out.push(&self.values, Stamp { at, wall, gap_before });
        Ok(1)
    }
}
