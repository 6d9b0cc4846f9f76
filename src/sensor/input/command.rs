//! The `command` driver: lines that a program writes to its standard output, a row each.
//!
//! The program is read without waiting, on the sampling thread: its pipe is the bounded hand-over, and a program that
//! writes more than is taken waits for us.

mod child;

use std::sync::Arc;
use std::time::Duration;

use super::InputSpec;
use super::lines::{Format, Lines};
use super::stream::{Source, Stream};
use crate::clock::Clock;
use crate::sensor::{Sensor, SensorError};
use child::{Child, Ended};

/// Rows that may come at once whatever the rate: programs write what they have collected.
const BURST: usize = 1024;
/// Lines of standard error that are logged in a row, and how often there is one more.
const SAID_MAX: u32 = 10;
const SAID_EVERY: Duration = Duration::from_secs(10);
/// Of one such line.
const SAID_CHARS: usize = 200;

/// Settings of the driver.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandInput {
    /// What every input is told; a line is one period.
    pub spec: InputSpec,
    /// The program and its arguments; no shell.
    pub command: Vec<String>,
    /// How a line is written.
    pub format: Format,
}

pub(super) fn open(
    input: &CommandInput,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Sensor>, SensorError> {
    let program = input.command.first().map_or("", String::as_str);
    let child = Child::start(&input.command, clock.clone())
        .map_err(|error| fault(format!("{program}: {error}")))?;
    let name = program.rsplit('/').next().unwrap_or(program).to_owned();
    let source = Program {
        name,
        child,
        format: input.format.clone(),
        lines: Lines::default(),
        errors: Lines::default(),
        bad: 0,
        complaint: None,
        said: Said { left: SAID_MAX, next: Duration::ZERO, suppressed: 0 },
    };
    Ok(Box::new(Stream::new(source, &input.spec, BURST, clock, DOING)))
}

const DOING: &str = "reading a program's lines";

fn fault(why: String) -> SensorError {
    SensorError::Bus { doing: DOING, why }
}

struct Program {
    name: String,
    child: Child,
    format: Format,
    lines: Lines,
    errors: Lines,
    bad: u64,
    complaint: Option<String>,
    said: Said,
}

/// How much of standard error may still be logged.
struct Said {
    left: u32,
    next: Duration,
    suppressed: u64,
}

impl Said {
    fn may(&mut self, now: Duration) -> bool {
        if now >= self.next {
            self.left = (self.left + 1).min(SAID_MAX);
            self.next = now + SAID_EVERY;
        }
        let may = self.left > 0;
        match may {
            true => self.left -= 1,
            false => self.suppressed += 1,
        }
        may
    }
}

impl Program {
    fn listen_to_errors(&mut self, now: Duration) {
        let Self { child, errors, said, name, .. } = self;
        child.read_errors(|bytes| {
            errors.push(bytes, |line| {
                if !said.may(now) {
                    return;
                }
                let line = String::from_utf8_lossy(line.unwrap_or(b"(a long line)")).into_owned();
                let line: String =
                    line.chars().filter(|c| !c.is_control()).take(SAID_CHARS).collect();
                match std::mem::take(&mut said.suppressed) {
                    0 => log::warn!("{name}: {line}"),
                    more => log::warn!("{name}: {line} ({more} lines before it are left out)"),
                }
            });
        });
    }
}

impl Source for Program {
    fn take(&mut self, now: Duration, out: &mut Vec<f32>) -> Result<(), SensorError> {
        self.listen_to_errors(now);
        let Self { child, lines, format, bad, complaint, .. } = self;
        let ended = child.read_lines(|bytes| {
            lines.push(bytes, |line| {
                let read = match line {
                    Some(line) => format.read(line, out),
                    None => Err("a line that is too long".to_owned()),
                };
                match read {
                    Ok(()) => *complaint = None,
                    Err(why) => {
                        *bad += 1;
                        *complaint = Some(why);
                    }
                }
            });
        });
        match ended {
            None => {}
            Some(Ended::Closed) => return Err(fault("it has closed its standard output".into())),
            Some(Ended::Exited(how)) => return Err(fault(format!("it has ended: {how}"))),
            Some(Ended::Failed(error)) => return Err(fault(error.to_string())),
        }
        if *bad == 1 && complaint.is_some() {
            // Once for each start.
            *bad += 1;
            let why = complaint.as_deref().unwrap_or_default();
            log::warn!("{}: a line holds no row: {why}; others like it are passed over", self.name);
        }
        Ok(())
    }

    fn complaint(&self) -> Option<String> {
        self.complaint.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Stopwatch, SystemClock};
    use crate::data::Frames;
    use crate::sensor::Channel;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn input(script: &str) -> CommandInput {
        let channels = vec![Channel::new("a", ""), Channel::new("b", "")];
        let spec = InputSpec { channels, rate_hz: 10.0, stale_after: Duration::from_secs(5) };
        let command = ["/bin/sh", "-c", script].map(str::to_owned).into();
        CommandInput { spec, command, format: Format::Columns(vec![0, 1]) }
    }

    /// Reads until there are `rows` rows or it is lost.
    fn rows(sensor: &mut dyn Sensor, rows: usize) -> Result<Vec<f32>, SensorError> {
        let mut out = Frames::new(2, 16);
        let watch = Stopwatch::start();
        while out.len() < rows {
            assert!(watch.elapsed() < PATIENCE, "{} rows", out.len());
            sensor.read(&mut out)?;
        }
        Ok(out.values().to_vec())
    }

    #[test]
    fn each_line_is_a_row_and_lines_that_are_none_are_passed_over() {
        let script =
            "echo starting; echo 1,2; echo 3,4 >&1; echo oops >&2; echo 5,6; exec sleep 60";
        let mut sensor = open(&input(script), Arc::new(SystemClock)).unwrap();
        assert_eq!(rows(sensor.as_mut(), 3).unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn a_program_that_ends_is_a_loss_that_says_how_after_its_last_row() {
        let mut sensor = open(&input("echo 1,2; exit 3"), Arc::new(SystemClock)).unwrap();
        assert_eq!(rows(sensor.as_mut(), 1).unwrap(), [1.0, 2.0]);
        let lost = rows(sensor.as_mut(), 1).unwrap_err().to_string();
        assert_eq!(lost, "reading a program's lines: it has ended: exit status 3");
        let killed = open(&input("kill -9 $$"), Arc::new(SystemClock));
        let lost = rows(killed.unwrap().as_mut(), 1).unwrap_err().to_string();
        assert!(lost.contains("signal 9"), "{lost}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let command = vec!["/no/such/program".to_owned()];
        let wrong = CommandInput { command, ..input("") };
        let why = open(&wrong, Arc::new(SystemClock)).err().unwrap().to_string();
        assert!(why.starts_with("reading a program's lines: /no/such/program: "), "{why}");
    }

    #[test]
    fn a_program_that_hangs_is_a_loss_with_what_it_says_instead() {
        let clock = Arc::new(ManualClock::auto());
        let script = "echo warming up; exec sleep 60";
        let mut sensor = open(&input(script), clock.clone()).unwrap();
        let mut out = Frames::new(2, 16);
        assert_eq!(sensor.read(&mut out), Ok(0));
        let watch = Stopwatch::start();
        // When its line comes, is the system's.
        let lost = loop {
            clock.advance(Duration::from_secs(6));
            let lost = sensor.read(&mut out).unwrap_err().to_string();
            if lost.contains("what comes") || watch.elapsed() > PATIENCE {
                break lost;
            }
        };
        assert_eq!(
            lost,
            "reading a program's lines: no row for 5s; what comes: column 1 is no number"
        );
    }

    #[test]
    fn a_program_that_floods_is_stopped() {
        let clock = Arc::new(ManualClock::auto());
        let mut sensor = open(&input("exec yes 1,2"), clock).unwrap();
        let lost = rows(sensor.as_mut(), usize::MAX).unwrap_err().to_string();
        assert!(lost.contains(" rows within ") && lost.ends_with("where rate is 10 Hz"), "{lost}");
    }

    #[test]
    fn what_it_started_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!(
            "trap '' TERM; sleep 600 & echo $! >{}; echo 1,2; wait; sleep 600",
            file.display()
        );
        let mut sensor = open(&input(&script), Arc::new(SystemClock)).unwrap();
        rows(sensor.as_mut(), 1).unwrap();
        let pid: u32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        drop(sensor);
        let watch = Stopwatch::start();
        // Gone, or waiting to be collected by whoever collects orphans.
        let runs = || {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z "))
        };
        while runs() {
            assert!(watch.elapsed() < PATIENCE);
        }
    }
}
