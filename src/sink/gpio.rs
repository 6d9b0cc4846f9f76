//! A line of a GPIO chip that findings switch on and off, with a safe state for when there are none.

#[cfg(target_os = "linux")]
mod chardev;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::actuator::{self, Actuator};
use super::{Sink, Worker};
use crate::clock::Clock;
use crate::data::Finding;

/// When a line is on.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// While the finding's label, action or cluster is this.
    Label(String),
    /// While the finding is an anomaly.
    Anomalous,
    /// While the value, or the anomaly's score, is above this.
    Above(f32),
    /// While it is below this.
    Below(f32),
}

impl Rule {
    /// Whether it holds; a finding of another kind never does.
    pub fn holds(&self, finding: &Finding) -> bool {
        let value = number(finding);
        match self {
            Self::Label(wanted) => match finding {
                Finding::Detection { objects } => {
                    objects.iter().any(|object| *object.label == **wanted)
                }
                finding => label(finding) == Some(wanted.as_str()),
            },
            Self::Anomalous => matches!(finding, Finding::Anomaly { anomalous: true, .. }),
            Self::Above(limit) => value.is_some_and(|value| value > *limit),
            Self::Below(limit) => value.is_some_and(|value| value < *limit),
        }
    }
}

fn label(finding: &Finding) -> Option<&str> {
    match finding {
        Finding::Classification { label, .. } => label.as_deref(),
        Finding::Action { action, .. } => Some(action),
        Finding::Cluster { cluster, .. } => cluster.as_deref(),
        _ => None,
    }
}

/// The value of a regression or an action, the score of an anomaly, the distance to a cluster.
pub(super) fn number(finding: &Finding) -> Option<f32> {
    match finding {
        Finding::Regression { value, .. } => Some(*value),
        Finding::Anomaly { score, .. } => Some(*score),
        Finding::Action { value, .. } => Some(*value),
        Finding::Cluster { distance, .. } => Some(*distance),
        _ => None,
    }
}

/// What a line does while nobody says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safe {
    /// The wire is low, whatever `active_low` says.
    Low,
    /// The wire is high.
    High,
    /// The line is given back to the kernel: what the wire does then is the chip's and the circuit's.
    Release,
}

/// Which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineId {
    /// By its number on the chip.
    Offset(u32),
    /// By the name that the device tree gives it.
    Name(String),
}

/// A line and what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The chip's device file, as in `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// On that chip.
    pub line: LineId,
    /// Whether on is low.
    pub active_low: bool,
    /// When it is on.
    pub rule: Rule,
    /// What it does while nobody says anything.
    pub safe: Safe,
    /// For how long a finding counts.
    pub stale_after: Duration,
}

impl Settings {
    /// As in `gpio gpiochip0:17`.
    pub fn name(&self) -> String {
        let chip = self.chip.file_name().unwrap_or_default().to_string_lossy();
        match &self.line {
            LineId::Offset(offset) => format!("gpio {chip}:{offset}"),
            LineId::Name(name) => format!("gpio {chip}:{name}"),
        }
    }
}

/// A line that is held as an output; dropping it releases it.
pub trait Line: Send {
    /// Drives the wire.
    ///
    /// # Errors
    /// In the system's words.
    fn drive(&mut self, high: bool) -> Result<(), String>;
}

/// Takes a line as an output that is `high` from its first moment on.
pub type OpenLine = Arc<dyn Fn(&Settings, bool) -> Result<Box<dyn Line>, String> + Send + Sync>;

/// Takes lines of the kernel's character devices.
pub fn open_line() -> OpenLine {
    #[cfg(target_os = "linux")]
    return Arc::new(chardev::open);
    #[cfg(not(target_os = "linux"))]
    return Arc::new(|_, _| Err("GPIO lines are reached through Linux only".to_owned()));
}

/// Starts the thread that holds the line.
///
/// # Errors
/// When the system has no thread left. A line that cannot be had is trouble of the sink, and tried again.
pub fn start(
    settings: Settings,
    open: OpenLine,
    clock: Arc<dyn Clock>,
) -> io::Result<(Box<dyn Sink>, Worker)> {
    let (name, stale_after, rule) = (settings.name(), settings.stale_after, settings.rule.clone());
    let asks = move |finding: &Finding| rule.holds(finding);
    let held = Held { settings, open, line: None };
    let (output, worker) = actuator::start(&name, held, asks, stale_after, clock)?;
    Ok((Box::new(output), worker))
}

/// Brings the line into its safe state, once.
///
/// # Errors
/// In the system's words.
pub fn make_safe(settings: &Settings, open: &OpenLine) -> Result<(), String> {
    Held { settings: settings.clone(), open: open.clone(), line: None }.make_safe()
}

struct Held {
    settings: Settings,
    open: OpenLine,
    line: Option<Box<dyn Line>>,
}

impl Held {
    fn drive(&mut self, high: bool) -> Result<(), String> {
        let driven = match &mut self.line {
            Some(line) => line.drive(high),
            None => (self.open)(&self.settings, high).map(|line| self.line = Some(line)),
        };
        // One that failed is taken anew.
        driven.inspect_err(|_| self.line = None)
    }
}

impl Actuator for Held {
    type State = bool;

    fn set(&mut self, on: bool) -> Result<(), String> {
        self.drive(on != self.settings.active_low)
    }

    fn make_safe(&mut self) -> Result<(), String> {
        match self.settings.safe {
            Safe::Low => self.drive(false),
            Safe::High => self.drive(true),
            Safe::Release => {
                self.line = None;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::actuator::tests::{PATIENCE, Seen, value};
    use super::*;
    use crate::clock::ManualClock;

    struct Fake(Seen);

    impl Line for Fake {
        fn drive(&mut self, high: bool) -> Result<(), String> {
            self.0.push(if high { "high" } else { "low" });
            Ok(())
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            self.0.push("released");
        }
    }

    fn settings(active_low: bool, safe: Safe) -> Settings {
        Settings {
            chip: "/dev/gpiochip0".into(),
            line: LineId::Offset(17),
            active_low,
            rule: Rule::Above(1.0),
            safe,
            stale_after: Duration::from_secs(10),
        }
    }

    fn run(active_low: bool, safe: Safe) -> Vec<String> {
        let (seen, clock) = (Seen::default(), Arc::new(ManualClock::new()));
        let fakes = seen.clone();
        let open: OpenLine = Arc::new(move |_, high| {
            fakes.push(if high { "taken high" } else { "taken low" });
            Ok(Box::new(Fake(fakes.clone())))
        });
        let (mut sink, worker) = start(settings(active_low, safe), open, clock.clone()).unwrap();
        let before = usize::from(safe != Safe::Release);
        seen.first(before);
        sink.found(&value(2.0), clock.monotonic());
        seen.first(before + 1);
        drop(sink);
        worker.stop(PATIENCE);
        seen.first(before + 2)
    }

    #[test]
    fn a_line_is_taken_in_its_safe_state_and_left_in_it() {
        assert_eq!(run(false, Safe::Low), ["taken low", "high", "low", "released"]);
        assert_eq!(run(true, Safe::High), ["taken high", "low", "high", "released"]);
        assert_eq!(run(false, Safe::Release), ["taken high", "released"]);
    }

    #[test]
    fn each_rule_holds_for_its_kind_of_finding_only() {
        let walking =
            Finding::Classification { label: Some("walking".into()), score: 0.9, top: Vec::new() };
        let anomaly = Finding::Anomaly { score: 3.0, limit: 2.0, anomalous: true };
        let rules = [
            Rule::Label("walking".to_owned()),
            Rule::Anomalous,
            Rule::Above(2.5),
            Rule::Below(2.5),
        ];
        let hold = |finding: &Finding| rules.clone().map(|rule| rule.holds(finding));
        assert_eq!(hold(&walking), [true, false, false, false]);
        assert_eq!(hold(&anomaly), [false, true, true, false]);
        assert_eq!(hold(&value(1.0)), [false, false, false, true]);
        assert_eq!(hold(&value(f32::NAN)), [false; 4]);
    }
}
