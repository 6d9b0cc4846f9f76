//! The share of the time that a PWM channel is on, by a finding's score or value, through `/sys/class/pwm`.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::actuator::{self, Actuator};
use super::gpio::number;
use super::{Sink, Worker};
use crate::clock::Clock;
use crate::data::Finding;

/// What a channel does while nobody says anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Safe {
    /// It is on for this share of the time, 0 to 1.
    Duty(f64),
    /// It is disabled: what the wire does then is the chip's.
    Off,
}

/// A channel and what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The chip's folder, as in `/sys/class/pwm/pwmchip0`.
    pub chip: PathBuf,
    /// On that chip.
    pub channel: u32,
    /// Of one turn, in nanoseconds.
    pub period_ns: u64,
    /// Whether on is low.
    pub inverted: bool,
    /// Whose score counts, of a classification.
    pub label: Option<String>,
    /// What becomes `duty[0]` and `duty[1]`; the two differ.
    pub from: [f32; 2],
    /// Shares of the time, 0 to 1; what lies outside of `from` is clamped to them.
    pub duty: [f64; 2],
    /// What it does while nobody says anything.
    pub safe: Safe,
    /// For how long a finding counts.
    pub stale_after: Duration,
}

impl Settings {
    /// As in `pwm pwmchip0:1`.
    pub fn name(&self) -> String {
        let chip = self.chip.file_name().unwrap_or_default().to_string_lossy();
        format!("pwm {chip}:{}", self.channel)
    }

    /// The share of the time for a finding; `None` for one of another kind, or without a number.
    pub fn duty(&self, finding: &Finding) -> Option<f64> {
        let value = match (&self.label, finding) {
            (Some(wanted), Finding::Classification { top, .. }) => {
                // One that is not among the best counts as none at all.
                Some(top.iter().find(|one| *one.label == **wanted).map_or(0.0, |one| one.score))
            }
            (Some(_), _) => None,
            (None, Finding::Classification { score, .. }) => Some(*score),
            (None, finding) => number(finding),
        };
        let value = value.filter(|value| !value.is_nan())?;
        let [low, high] = self.from.map(f64::from);
        let share = ((f64::from(value) - low) / (high - low)).clamp(0.0, 1.0);
        Some(self.duty[0] + share * (self.duty[1] - self.duty[0]))
    }
}

/// Starts the thread that holds the channel.
///
/// # Errors
/// When the system has no thread left. A channel that cannot be had is trouble of the sink, and tried again.
pub fn start(settings: Settings, clock: Arc<dyn Clock>) -> io::Result<(Box<dyn Sink>, Worker)> {
    let (name, stale_after, own) = (settings.name(), settings.stale_after, settings.clone());
    let asks = move |finding: &Finding| own.duty(finding);
    let held = Channel { settings, is_ready: false };
    let (output, worker) = actuator::start(&name, held, asks, stale_after, clock)?;
    Ok((Box::new(output), worker))
}

/// Brings the channel into its safe state, once.
///
/// # Errors
/// In the system's words.
pub fn make_safe(settings: &Settings) -> Result<(), String> {
    Channel { settings: settings.clone(), is_ready: false }.make_safe()
}

struct Channel {
    settings: Settings,
    is_ready: bool,
}

impl Channel {
    fn folder(&self) -> PathBuf {
        self.settings.chip.join(format!("pwm{}", self.settings.channel))
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.folder().join(file);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Exported, with its period and polarity.
    fn prepare(&mut self) -> Result<(), String> {
        if self.is_ready {
            return Ok(());
        }
        if !self.folder().exists() {
            let export = self.settings.chip.join("export");
            fs::write(&export, self.settings.channel.to_string())
                .map_err(|error| format!("{}: {error}", export.display()))?;
        }
        let read = |file: &str| fs::read_to_string(self.folder().join(file)).unwrap_or_default();
        let period = self.settings.period_ns.to_string();
        let polarity = if self.settings.inverted { "inversed" } else { "normal" };
        if read("polarity").trim() != polarity {
            // Only one that is disabled takes another, and some chips have none at all.
            self.write("enable", "0").ok();
            match self.write("polarity", polarity) {
                Err(why) if self.settings.inverted => return Err(why),
                Ok(()) | Err(_) => {}
            }
        }
        if read("period").trim() != period {
            // A time on that is longer than the new period would be refused; on a fresh channel there is none.
            self.write("duty_cycle", "0").ok();
            self.write("period", &period)?;
        }
        self.is_ready = true;
        Ok(())
    }

    fn duty(&mut self, duty: f64) -> Result<(), String> {
        self.prepare()?;
        let on = (duty.clamp(0.0, 1.0) * self.settings.period_ns as f64).round() as u64;
        self.write("duty_cycle", &on.to_string())?;
        self.write("enable", "1")
    }

    fn safe(&mut self) -> Result<(), String> {
        match self.settings.safe {
            Safe::Duty(duty) => self.duty(duty),
            Safe::Off => {
                self.prepare()?;
                self.write("enable", "0")
            }
        }
    }
}

impl Actuator for Channel {
    type State = Option<f64>;

    /// Without a number it is in its safe state.
    fn set(&mut self, duty: Option<f64>) -> Result<(), String> {
        let set = match duty {
            Some(duty) => self.duty(duty),
            None => self.safe(),
        };
        set.inspect_err(|_| self.is_ready = false)
    }

    fn make_safe(&mut self) -> Result<(), String> {
        self.safe().inspect_err(|_| self.is_ready = false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::actuator::tests::{PATIENCE, value};
    use super::*;
    use crate::clock::ManualClock;
    use crate::data::ScoredLabel;

    /// A folder as the kernel shows a channel.
    fn chip() -> (tempfile::TempDir, Settings) {
        let dir = tempfile::tempdir().unwrap();
        let channel = dir.path().join("pwm1");
        fs::create_dir(&channel).unwrap();
        for (file, text) in
            [("period", "0\n"), ("duty_cycle", "0\n"), ("polarity", "normal\n"), ("enable", "0\n")]
        {
            fs::write(channel.join(file), text).unwrap();
        }
        let settings = Settings {
            chip: dir.path().to_owned(),
            channel: 1,
            period_ns: 20_000_000,
            inverted: false,
            label: None,
            from: [10.0, 30.0],
            duty: [0.05, 0.10],
            safe: Safe::Duty(0.075),
            stale_after: Duration::from_secs(10),
        };
        (dir, settings)
    }

    fn read(settings: &Settings, file: &str) -> String {
        let path = settings.chip.join("pwm1").join(file);
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    #[test]
    fn a_value_is_mapped_and_clamped_and_one_that_is_no_number_is_the_safe_state() {
        let (_dir, settings) = chip();
        let duty = |number: f32| settings.duty(&value(number));
        assert_eq!(duty(10.0), Some(0.05));
        assert!((duty(20.0).unwrap() - 0.075).abs() < 1e-9);
        assert_eq!((duty(-1e9), duty(f32::INFINITY)), (Some(0.05), Some(0.10)));
        assert_eq!(duty(f32::NAN), None);
        let turned = Settings { from: [30.0, 10.0], ..settings };
        assert_eq!(turned.duty(&value(10.0)), Some(0.10));
    }

    #[test]
    fn a_label_s_score_counts_and_one_that_is_not_among_the_best_is_zero() {
        let (_dir, settings) = chip();
        let settings = Settings { from: [0.0, 1.0], duty: [0.0, 1.0], ..settings };
        let found = Finding::Classification {
            label: None,
            score: 0.75,
            top: vec![ScoredLabel { label: "walking".into(), score: 0.75 }],
        };
        let of = |label: Option<&str>| {
            let label = label.map(str::to_owned);
            Settings { label, ..settings.clone() }.duty(&found)
        };
        assert_eq!(of(Some("walking")), Some(0.75));
        assert_eq!(of(Some("running")), Some(0.0));
        assert_eq!(of(None), Some(0.75));
        let labelled = Settings { label: Some("walking".to_owned()), ..settings };
        assert_eq!(labelled.duty(&value(1.0)), None);
    }

    #[test]
    fn the_kernel_s_files_get_the_period_the_time_on_and_in_the_end_the_safe_state() {
        let (_dir, settings) = chip();
        let clock = Arc::new(ManualClock::new());
        let (mut sink, worker) = start(settings.clone(), clock.clone()).unwrap();
        sink.found(&value(30.0), clock.monotonic());
        drop(sink);
        worker.stop(PATIENCE);
        assert_eq!(read(&settings, "period"), "20000000");
        assert_eq!(read(&settings, "duty_cycle"), "1500000");
        assert_eq!(read(&settings, "enable"), "1");
        let off = Settings { safe: Safe::Off, inverted: true, ..settings };
        make_safe(&off).unwrap();
        assert_eq!((read(&off, "enable"), read(&off, "polarity")), ("0".into(), "inversed".into()));
    }

    #[test]
    fn a_chip_that_is_not_there_is_named() {
        let (dir, settings) = chip();
        let settings = Settings { chip: dir.path().join("pwmchip9"), ..settings };
        let why = make_safe(&settings).unwrap_err();
        assert!(why.contains("pwmchip9/export: "), "{why}");
    }
}
