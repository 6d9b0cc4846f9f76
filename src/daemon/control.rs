//! The control socket: how `edgerun ota` and `edgerun sensors` ask the daemon of this board. One line of JSON each way;
//! a bundle's bytes follow the question.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::brought::{self, Brought};
use super::live::Live;
pub use super::live::{ChannelNow, LiveFrames, SensorNow};
use super::updater::{Answer, Ask, Asker, Standing};
use crate::model::archive;
use crate::net::wire::{FetchRequest, NoPart, Part};
use crate::update::failure::{Code, Failure};
use crate::update::status;

/// The socket's name.
pub const NAME: &str = "control.sock";
/// The state folder of a board's daemon, and where systemd's unit has the socket then.
const STATE: &str = "/var/lib/edgerun";
const RUNTIME: &str = "/run/edgerun";
/// Longest question.
const QUESTION_MAX: u64 = 4 << 10;
/// How long a client may hold the socket up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may take: a self-test may run meanwhile.
const ANSWER: Duration = Duration::from_secs(60);

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// How all models stand.
    Status,
    /// To take the bundle file whose bytes follow.
    Apply {
        /// How many.
        bytes: u64,
    },
    /// To take a signed version from a medium that whoever asks reads: see [`ask_with`].
    Bring {
        /// Of this model.
        model: String,
        /// Which; the newest that this board can run where none is named.
        version: Option<Version>,
        /// Whether an older one than serves is meant.
        allow_downgrade: bool,
    },
    /// To go back to the version before.
    Rollback {
        /// Of this model.
        model: String,
        /// To this version instead, which is kept.
        version: Option<Version>,
    },
    /// To keep a version whatever comes, or that no longer.
    Pin {
        /// Of this model.
        model: String,
        /// Which; the one that serves where none is named.
        version: Option<Version>,
        /// Whether it is to be kept.
        pinned: bool,
    },
    /// To ask the repository now.
    Check,
    /// Which sensors the daemon samples, and how they are.
    Sensors,
    /// What a sensor gives.
    Frames {
        /// Its name.
        sensor: String,
        /// The number of the first frame that is wanted; from now on where none is named.
        after: Option<u64>,
    },
}

/// Who answers.
pub(super) struct Answers {
    /// On updates; `None` where the daemon has no model of the store.
    pub(super) asker: Option<Asker>,
    /// On sensors.
    pub(super) live: Arc<Live>,
}

/// The socket as it is served.
pub(super) struct Control {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Control {
    /// Listens at `path`, for this user and its group.
    pub(super) fn start(path: PathBuf, answers: Answers) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        if UnixStream::connect(&path).is_ok() {
            bail!("another daemon answers at {shown}");
        }
        // Left by a process that was killed.
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot replace {shown}"))?;
        }
        let listener =
            UnixListener::bind(&path).with_context(|| format!("cannot listen at {shown}"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660))
            .with_context(|| format!("cannot set who may use {shown}"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let serve = move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                let served = stream.map_err(anyhow::Error::from).and_then(|s| serve(&s, &answers));
                if let Err(error) = served {
                    log::debug!("control socket: {error:#}");
                }
            }
        };
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(serve)?;
        Ok(Self { path, stop, thread })
    }

    /// Ends it.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        // Wakes it up; where nobody listens any more it has ended.
        UnixStream::connect(&self.path).ok();
        if self.thread.join().is_err() {
            log::error!("thread control ended with a panic");
        }
        fs::remove_file(&self.path).ok();
    }
}

fn serve(stream: &UnixStream, answers: &Answers) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    (&mut reader).take(QUESTION_MAX).read_line(&mut line)?;
    // The answer to one who brings a medium goes between two questions for its files.
    let medium = Brought::new(stream.try_clone()?);
    let answer = match answer(&line, &mut reader, &medium, answers) {
        Ok(answer) => json!({ "ok": true, "result": answer }),
        Err(failure) => json!({ "ok": false, "error": failure }),
    };
    medium.say(&answer)?;
    Ok(())
}

fn answer(
    line: &str,
    rest: &mut dyn Read,
    medium: &Brought,
    answers: &Answers,
) -> Result<Value, Failure> {
    // A closed list for clients: a question that this version does not know is not the daemon's fault.
    let question: Question = serde_json::from_str(line)
        .map_err(|error| Failure::new(Code::Internal, format!("not understood: {error}")))?;
    let internal = |error: serde_json::Error| Failure::new(Code::Internal, error);
    let asker = || {
        let none = || Failure::new(Code::BadRequest, "the daemon has no model of the store");
        answers.asker.as_ref().ok_or_else(none)
    };
    let ask = match question {
        Question::Sensors => {
            let sensors = serde_json::to_value(answers.live.now()).map_err(internal)?;
            return Ok(json!({ "sensors": sensors }));
        }
        Question::Frames { sensor, after } => {
            let (now, frames) = answers.live.frames(&sensor, after)?;
            let now = serde_json::to_value(now).map_err(internal)?;
            let frames = serde_json::to_value(frames).map_err(internal)?;
            return Ok(json!({ "now": now, "frames": frames }));
        }
        Question::Status => {
            let Standing { models, root } = asker()?.standing();
            let each =
                models.iter().map(|(name, report, record)| status::status(name, report, record));
            return Ok(json!({ "models": each.collect::<Vec<_>>(), "root": root }));
        }
        Question::Check => Ask::Check,
        Question::Rollback { model, version } => Ask::RollBack(model, version),
        Question::Pin { model, version, pinned } => Ask::Pin(model, version, pinned),
        Question::Apply { bytes } => {
            let bundle = archive::read(&mut rest.take(bytes));
            let bundle = bundle.map_err(|error| Failure::new(Code::Incompatible, error))?;
            Ask::Apply(Box::new(bundle))
        }
        Question::Bring { model, version, allow_downgrade } => {
            Ask::Bring { model, version, allow_downgrade, medium: Arc::new(medium.clone()) }
        }
    };
    Ok(match asker()?.ask(ask, ANSWER)? {
        Answer::Begun | Answer::Asked => json!({}),
        Answer::Brought { version, begun } => {
            json!({ "version": version.to_string(), "begun": begun })
        }
        Answer::Pinned(bundle) => status::installed(&bundle),
        Answer::RolledBack(bundle) => json!({ "running": status::installed(&bundle) }),
    })
}

/// Asks the daemon that listens at `path`; `None` when none does.
///
/// # Errors
/// What the daemon refuses, or that it does not answer.
pub fn ask(path: &Path, question: &Question, bundle: &[u8]) -> anyhow::Result<Option<Value>> {
    let Ok(mut stream) = UnixStream::connect(path) else { return Ok(None) };
    stream.set_read_timeout(Some(ANSWER + PATIENCE))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    // A daemon that refuses early reads no further; its answer says why.
    stream.write_all(bundle).ok();
    let mut answer = String::new();
    let silent = || silent(path);
    stream.read_to_string(&mut answer).with_context(silent)?;
    understood(answer.as_bytes()).with_context(silent)?.map(Some).map_err(Into::into)
}

/// The same for a question about files that `read` gives; returns when the daemon needs no more of them.
///
/// # Errors
/// What the daemon refuses, or that it does not answer.
pub fn ask_with(
    path: &Path,
    question: &Question,
    read: &mut dyn FnMut(&FetchRequest) -> Result<Part, NoPart>,
) -> anyhow::Result<Option<Value>> {
    let Ok(mut stream) = UnixStream::connect(path) else { return Ok(None) };
    let silent = || silent(path);
    stream.set_read_timeout(Some(ANSWER + PATIENCE))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = None;
    brought::answer(&stream, read, &mut |line| {
        // Another model's update may come first, and takes as long as it takes.
        stream.set_read_timeout(None).ok();
        answer = Some(understood(line));
        matches!(answer, Some(Ok(Ok(_))))
    })
    .with_context(silent)?;
    let answer = answer.with_context(silent)?;
    answer.with_context(silent)?.map(Some).map_err(Into::into)
}

fn silent(path: &Path) -> String {
    format!("{}: the daemon does not answer, or not so that it is understood", path.display())
}

/// The daemon's answer: what it gives, or why it refuses.
fn understood(line: &[u8]) -> serde_json::Result<Result<Value, Failure>> {
    let mut answer: Value = serde_json::from_slice(line)?;
    if answer["ok"] == true {
        return Ok(Ok(answer["result"].take()));
    }
    serde_json::from_value(answer["error"].take()).map(Err)
}

/// The same wherever the socket of the daemon with this state folder may be; `None` when none listens.
///
/// # Errors
/// As [`ask`].
pub fn ask_at(state: &Path, question: &Question) -> anyhow::Result<Option<Value>> {
    for place in places(state) {
        if let Some(answer) = ask(&place, question, &[])? {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// Where a daemon with this state folder may listen, as a command sees it.
pub fn places(state: &Path) -> Vec<PathBuf> {
    let mut places = vec![path(state)];
    // Commands are not started by systemd, so they have no RUNTIME_DIRECTORY.
    if state == Path::new(STATE) {
        places.push(Path::new(RUNTIME).join(NAME));
    }
    places
}

/// Where the daemon listens: the folder that systemd makes for it, otherwise the state folder.
pub fn path(state: &Path) -> PathBuf {
    let runtime = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
    runtime.as_deref().unwrap_or(state).join(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Answers {
        Answers { asker: None, live: Arc::new(Live::new(Vec::new(), false)) }
    }

    #[test]
    fn a_socket_is_one_daemon_s_and_one_that_was_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(NAME);
        drop(UnixListener::bind(&place).unwrap());
        let first = Control::start(place.clone(), answers()).unwrap();
        let error = Control::start(place.clone(), answers()).err().unwrap();
        assert!(error.to_string().contains("another daemon answers at"), "{error}");
        let sensors = ask(&place, &Question::Sensors, &[]).unwrap().unwrap();
        assert_eq!(sensors, json!({ "sensors": [] }));
        let refused = ask(&place, &Question::Status, &[]).unwrap_err().to_string();
        assert!(refused.contains("no model of the store"), "{refused}");
        let frames = Question::Frames { sensor: "imu".into(), after: None };
        let refused = ask(&place, &frames, &[]).unwrap_err().to_string();
        assert!(refused.contains("samples no sensor \"imu\""), "{refused}");
        first.stop();
        assert!(ask(&place, &Question::Sensors, &[]).unwrap().is_none());
    }
}
