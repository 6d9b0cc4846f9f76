//! A program with its group: started without a shell, read without waiting, ended with everything that it started.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::clock::Clock;

/// Read at one time; the rest stays in the pipe.
const READ_MAX: usize = 256 << 10;
/// How long a program has between being asked to end and being made to.
const GRACE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(10);
/// What a program gets of our environment: no credentials, no sockets of systemd.
const ENVIRONMENT: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// Why there will be no more lines.
pub(super) enum Ended {
    /// It runs, but writes no more.
    Closed,
    /// It does not run any more.
    Exited(String),
    /// It cannot be read.
    Failed(io::Error),
}

/// A running program; dropping it ends it.
pub(super) struct Child {
    child: std::process::Child,
    out: ChildStdout,
    errors: Option<ChildStderr>,
    /// When it had closed its standard output.
    closed: Option<Duration>,
    clock: Arc<dyn Clock>,
}

impl Child {
    /// Starts `command`, the program and its arguments.
    pub(super) fn start(command: &[String], clock: Arc<dyn Clock>) -> io::Result<Self> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let kept = ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(kept)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (out, errors) = (child.stdout.take(), child.stderr.take());
        let out = out.ok_or_else(|| io::Error::other("it has no standard output"))?;
        // From here on whatever fails ends it again.
        let child = Self { child, out, errors, closed: None, clock };
        never_wait(&child.out)?;
        if let Some(errors) = &child.errors {
            never_wait(errors)?;
        }
        Ok(child)
    }

    /// Calls `each` with what it has written; why there is no more, if so.
    pub(super) fn read_lines(&mut self, each: impl FnMut(&[u8])) -> Option<Ended> {
        if self.closed.is_none() {
            match read(&mut self.out, each) {
                Ok(true) => return None,
                Ok(false) => self.closed = Some(self.clock.monotonic()),
                Err(error) => return Some(Ended::Failed(error)),
            }
        }
        let closed = self.closed?;
        match self.exited() {
            Some(how) => Some(Ended::Exited(how)),
            // A program that ends closes its output a moment before.
            None if self.clock.monotonic().saturating_sub(closed) < GRACE => None,
            None => Some(Ended::Closed),
        }
    }

    /// The same for standard error, which may end before.
    pub(super) fn read_errors(&mut self, each: impl FnMut(&[u8])) {
        if let Some(errors) = &mut self.errors
            && !matches!(read(errors, each), Ok(true))
        {
            self.errors = None;
        }
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// How it has ended. It is not collected, so that its number, which is its group's, stays taken.
    fn exited(&self) -> Option<String> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.pid()?), options).ok()??;
        Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "in an unknown way".to_owned(),
        })
    }
}

impl Drop for Child {
    /// Asks its group to end, and makes it after a while.
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            // Gone already, or not ours any more: nothing is left to end.
            kill_process_group(pid, Signal::TERM).ok();
            let end = self.clock.monotonic() + GRACE;
            while self.exited().is_none() && self.clock.monotonic() < end {
                self.clock.sleep_until(self.clock.monotonic() + LOOK);
            }
            kill_process_group(pid, Signal::KILL).ok();
        }
        self.child.wait().ok();
    }
}

fn never_wait(fd: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(fd.as_fd())?;
    Ok(fcntl_setfl(fd, flags | OFlags::NONBLOCK)?)
}

/// Whether there may be more.
fn read(from: &mut impl Read, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
    let mut chunk = [0; 4096];
    let mut left = READ_MAX;
    while left > 0 {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                each(&chunk[..count]);
                left = left.saturating_sub(count);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
