//! `capture`: the next windows of a pipeline's sensor as they come, for training.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Board, Call, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::net::wire::command::{Code, Refusal};
use crate::pipeline::{NotTaken, Order};

/// Windows of one answer.
const WINDOWS_MAX: usize = 64;
/// Numbers of one answer: about 10 bytes each.
const VALUES_MAX: usize = 65_536;
/// Windows that may wait here: they come while others are turned into text.
const WAITING: usize = 4;
/// How long a pipeline may take to the end of a window.
const BETWEEN_WINDOWS: Duration = Duration::from_secs(10);
/// How often a stop is looked for.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    /// May be left out where there is only one.
    pipeline: Option<String>,
    /// How many, one after the other.
    #[serde(default = "one")]
    windows: usize,
}

fn one() -> usize {
    1
}

pub(super) fn run(board: &Board, call: &Call) -> Outcome {
    let Args { pipeline, windows } = call.read()?;
    let piped = board.pipeline(pipeline.as_deref())?;
    let name = &piped.name;
    let bad = |message: String| Refusal::new(Code::BadRequest, message);
    let tap = piped.tap.as_ref().ok_or_else(|| bad(format!("no sensor feeds pipeline {name}")))?;
    allowed(tap.is_private, board.capture_private)?;
    if !(1..=WINDOWS_MAX).contains(&windows) {
        return Err(bad(format!("windows must be 1 to {WINDOWS_MAX}, is {windows}")));
    }
    if tap.spec.gives_pictures() {
        return Err(bad(format!("pipeline {name} takes pictures, which no answer has room for")));
    }
    let channels = tap.spec.channels.len();
    let values = windows * tap.frames * channels;
    if values > VALUES_MAX {
        let most = VALUES_MAX / (tap.frames * channels).max(1);
        let message =
            format!("{windows} windows are {values} numbers; ask for at most {most} at once");
        return Err(Refusal::new(Code::TooLarge, message));
    }
    let (sender, receiver) = sync_channel(WAITING);
    let stops = || Refusal::new(Code::Busy, "the daemon stops");
    let begun = SystemClock.monotonic();
    loop {
        if board.stopped() {
            return Err(stops());
        }
        match tap.exchange.order(Order::Capture(sender.clone()), LOOK) {
            Ok(_) => break,
            Err(NotTaken::TooLate) if SystemClock.monotonic() < begun + BETWEEN_WINDOWS => {}
            Err(error) => return Err(Refusal::new(Code::Internal, error)),
        }
    }
    drop(sender);
    let mut taken: Vec<Value> = Vec::with_capacity(windows);
    let late = loop {
        if taken.len() == windows {
            break None;
        }
        let now = SystemClock.monotonic();
        match receiver.recv_timeout(LOOK) {
            Ok(window) => taken.push(rows(&window, channels)),
            Err(RecvTimeoutError::Disconnected) => break Some("the pipeline has ended"),
            Err(RecvTimeoutError::Timeout) if board.stopped() => break Some("the daemon stops"),
            Err(RecvTimeoutError::Timeout) if now >= call.until => {
                break Some("no more windows came in time");
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    // The pipeline sees at its next window that nobody takes them any more.
    drop(receiver);
    if let Some(why) = late {
        let message = format!("{} of {windows} windows: {why}", taken.len());
        return Err(Refusal::new(Code::Busy, message));
    }
    let channel = |c: &crate::sensor::Channel| json!({ "name": c.name, "unit": c.unit });
    Ok(json!({
        "pipeline": name,
        "rate_hz": tap.spec.rate_hz,
        "channels": tap.spec.channels.iter().map(channel).collect::<Vec<_>>(),
        "windows": taken,
    }))
}

/// What a microphone or a camera gives needs more than the verb to be allowed.
fn allowed(is_private: bool, capture_private: bool) -> Result<(), Refusal> {
    if is_private && !capture_private {
        let message = "this sensor hears or sees people; the board needs [privacy] capture = true";
        return Err(Refusal::new(Code::NotAllowed, message));
    }
    Ok(())
}

/// `[frames, channels]`; a number that is not finite is null.
fn rows(window: &[f32], channels: usize) -> Value {
    let row = |row: &[f32]| row.iter().map(|&value| json!(value)).collect::<Value>();
    window.chunks_exact(channels.max(1)).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microphones_and_cameras_need_their_own_permission() {
        for (is_private, capture_private, good) in
            [(false, false, true), (false, true, true), (true, false, false), (true, true, true)]
        {
            let said = allowed(is_private, capture_private);
            assert_eq!(said.is_ok(), good);
            assert!(said.is_ok() || said.unwrap_err().code == Code::NotAllowed);
        }
    }

    #[test]
    fn windows_are_rows_of_channels() {
        assert_eq!(rows(&[1.0, 2.5, f32::NAN, -4.0], 2), json!([[1.0, 2.5], [null, -4.0]]));
    }
}
