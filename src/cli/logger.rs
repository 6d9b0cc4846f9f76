//! Log lines on standard error: plain, in colour on a terminal, with priorities for the journal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::SystemTime;

use log::{LevelFilter, Log, Metadata, Record};

use crate::net::Journal;

/// What is logged, as the command line says it.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
#[allow(missing_docs)]
pub(crate) enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Off => Self::Off,
            Level::Error => Self::Error,
            Level::Warn => Self::Warn,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
            Level::Trace => Self::Trace,
        }
    }
}

/// Why `EDGERUN_LOG` cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no level; write off, error, warn, info, debug or trace, or target=level, joined by commas"
)]
pub(crate) struct WrongRule(String);

/// Starts logging; `level` wins over `variable`, and without both `usual` holds.
pub(crate) fn start(
    level: Option<Level>,
    variable: Option<&OsStr>,
    usual: Level,
) -> Result<(), WrongRule> {
    let text = variable.unwrap_or_default().to_string_lossy();
    let mut rules = Rules::parse(&text, usual)?;
    if let Some(level) = level {
        rules.ours = level.into();
    }
    log::set_max_level(rules.max());
    let rules = RwLock::new(rules);
    let tap = RwLock::default();
    let logger = LOGGER.get_or_init(|| Logger { rules, style: Style::of_stderr(), tap });
    // Fails where a logger runs already, which then stays.
    log::set_logger(logger).ok();
    Ok(())
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Logs our own records from `level` on, until the process ends.
pub(crate) fn set(level: &str) -> Result<(), String> {
    let parsed = <Level as clap::ValueEnum>::from_str(level, false).map_err(|_| {
        format!("{level:?} is no level; write off, error, warn, info, debug or trace")
    })?;
    let logger = LOGGER.get().ok_or("nothing is logged where edgerun runs like this")?;
    let mut rules = logger.rules.write().unwrap_or_else(PoisonError::into_inner);
    rules.ours = parsed.into();
    log::set_max_level(rules.max());
    Ok(())
}

/// Has our own records from a level on noted there as well, or no more.
pub(crate) fn set_tap(tap: Option<(Journal, LevelFilter)>) {
    if let Some(logger) = LOGGER.get() {
        *logger.tap.write().unwrap_or_else(PoisonError::into_inner) = tap;
    }
}

/// Writes a line that is for people and not a log record; to the journal as an error.
pub(crate) fn say(line: &str) {
    let prefix = if Style::of_stderr() == Style::Journal { "<3>" } else { "" };
    // Where standard error is gone, nobody is left to tell.
    io::stderr().write_all(format!("{prefix}{line}\n").as_bytes()).ok();
}

struct Logger {
    rules: RwLock<Rules>,
    style: Style,
    tap: RwLock<Option<(Journal, LevelFilter)>>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        metadata.level() <= rules.of(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            #[allow(clippy::disallowed_methods)] // shown, never compared
            let now = SystemTime::now();
            // One write for one line, so that threads do not mix theirs.
            io::stderr().write_all(self.style.line(record, now).as_bytes()).ok();
        }
        let tap = self.tap.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((journal, from)) = &*tap
            && record.level() <= *from
            && record.target().starts_with("edgerun")
        {
            journal.note(record.level(), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Which records are let through.
#[derive(Debug, PartialEq, Eq)]
struct Rules {
    ours: LevelFilter,
    targets: Vec<(String, LevelFilter)>,
}

impl Rules {
    fn parse(text: &str, usual: Level) -> Result<Self, WrongRule> {
        let mut rules = Self { ours: usual.into(), targets: Vec::new() };
        for rule in text.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
            let wrong = |_| WrongRule(rule.to_owned());
            match rule.split_once('=') {
                Some((target, level)) => {
                    let level = level.trim().parse().map_err(wrong)?;
                    rules.targets.push((target.trim().to_owned(), level));
                }
                None => rules.ours = rule.parse().map_err(wrong)?,
            }
        }
        Ok(rules)
    }

    fn of(&self, target: &str) -> LevelFilter {
        let within = |name: &str| {
            target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let named = self.targets.iter().filter(|(name, _)| within(name));
        match named.max_by_key(|(name, _)| name.len()) {
            Some((_, level)) => *level,
            None if within("edgerun") => self.ours,
            // The demo's broker opens spans at every level, errors included, and means nothing by it.
            None if within("rumqttd") => LevelFilter::Off,
            // Libraries speak to their developers below `warn`.
            None => self.ours.min(LevelFilter::Warn),
        }
    }

    fn max(&self) -> LevelFilter {
        self.targets.iter().map(|(_, level)| *level).fold(self.ours, Ord::max)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// systemd reads `<N>` as the priority and adds the time itself: sd-daemon(3).
    Journal,
    Plain,
    Colours,
}

impl Style {
    fn of_stderr() -> Self {
        let journal = std::env::var("JOURNAL_STREAM").ok();
        if journal.is_some() && journal == stderr_stream() {
            Self::Journal
        } else if io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        {
            Self::Colours
        } else {
            Self::Plain
        }
    }

    fn line(self, record: &Record<'_>, now: SystemTime) -> String {
        let (number, word, colour) = match record.level() {
            log::Level::Error => (3, "ERROR", "\x1b[31m"),
            log::Level::Warn => (4, "WARN ", "\x1b[33m"),
            log::Level::Info => (6, "INFO ", "\x1b[32m"),
            log::Level::Debug => (7, "DEBUG", "\x1b[36m"),
            log::Level::Trace => (7, "TRACE", "\x1b[2m"),
        };
        let mut message = String::new();
        let target = record.target();
        if !target.starts_with("edgerun") {
            message = format!("{target}: ");
        }
        message += &record.args().to_string();
        // A message may hold what a broker sent: it must not begin lines or steer a terminal.
        let message: String = message
            .chars()
            .flat_map(|c| {
                let (shown, escaped) = match c.is_control() {
                    true => (None, Some(c.escape_default())),
                    false => (Some(c), None),
                };
                shown.into_iter().chain(escaped.into_iter().flatten())
            })
            .collect();
        let time = humantime::format_rfc3339_seconds(now);
        match self {
            Self::Journal => format!("<{number}>{message}\n"),
            Self::Plain => format!("{time} {word} {message}\n"),
            Self::Colours => format!("\x1b[2m{time}\x1b[0m {colour}{word}\x1b[0m {message}\n"),
        }
    }
}

/// Device and inode of standard error, as `JOURNAL_STREAM` has them: systemd.exec(5). The variable
/// alone says nothing, since children inherit it.
#[cfg(unix)]
fn stderr_stream() -> Option<String> {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?);
    let metadata = stderr.metadata().ok()?;
    Some(format!("{}:{}", metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn stderr_stream() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn libraries_are_heard_from_warn_on_unless_they_are_named() {
        let parse = |text: &str| Rules::parse(text, Level::Info);
        let rules = parse("debug, rumqttc=trace, edgerun::net=error").unwrap();
        assert_eq!(rules.of("edgerun::pipeline"), LevelFilter::Debug);
        assert_eq!(rules.of("edgerun::net::tls"), LevelFilter::Error);
        assert_eq!(rules.of("edgerun::network"), LevelFilter::Debug);
        assert_eq!(rules.of("rumqttc::v5"), LevelFilter::Trace);
        assert_eq!(rules.of("tract_core"), LevelFilter::Warn);
        assert_eq!(rules.max(), LevelFilter::Trace);
        assert_eq!(parse("off").unwrap().of("tract_core"), LevelFilter::Off);
        assert_eq!(parse("").unwrap().ours, LevelFilter::Info);
        assert_eq!(Rules::parse("rumqttc=info", Level::Warn).unwrap().ours, LevelFilter::Warn);
        assert_eq!(parse("info,loud"), Err(WrongRule("loud".into())));
        assert_eq!(parse("rumqttc=loud"), Err(WrongRule("rumqttc=loud".into())));
    }

    #[test]
    fn a_record_is_one_line_whatever_it_holds() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let line = |style: Style, target: &str| {
            style.line(
                &Record::builder()
                    .level(log::Level::Warn)
                    .target(target)
                    .args(format_args!("lost\n<0>fake \x1b[2J größe"))
                    .build(),
                now,
            )
        };
        let message = "lost\\n<0>fake \\u{1b}[2J größe\n";
        assert_eq!(line(Style::Journal, "edgerun::net"), format!("<4>{message}"));
        assert_eq!(
            line(Style::Plain, "rumqttc"),
            format!("2023-11-14T22:13:20Z WARN  rumqttc: {message}")
        );
        assert!(line(Style::Colours, "edgerun").contains("\x1b[33mWARN \x1b[0m lost"));
    }
}
