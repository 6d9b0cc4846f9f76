//! What the service manager is told: ready, alive, reloading, stopping, and one line of status.
//!
//! Every function does nothing and succeeds when the program was not started by a service manager
//! (`NOTIFY_SOCKET` is unset), so callers need not ask. Words and rules: `sd_notify(3)`. Abstract
//! sockets (`NOTIFY_SOCKET=@…`) are not reached; systemd itself has given a path since version 212.

use std::{fmt, io, time::Duration};

use sd_notify::NotifyState;

/// What was to be told; stands in a [`NotifyError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `READY=1`.
    Ready,
    /// `STATUS=…`.
    Status,
    /// `WATCHDOG=1`.
    Alive,
    /// `RELOADING=1`.
    Reloading,
    /// `STOPPING=1`.
    Stopping,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "READY=1",
            Self::Status => "STATUS",
            Self::Alive => "WATCHDOG=1",
            Self::Reloading => "RELOADING=1",
            Self::Stopping => "STOPPING=1",
        })
    }
}

/// The service manager could not be told. Log it and go on: when it matters, systemd acts on the
/// silence (start-up timeout, watchdog).
#[derive(Debug, thiserror::Error)]
#[error("cannot tell the service manager {notice}; is the socket in NOTIFY_SOCKET there?")]
pub struct NotifyError {
    /// What was to be told.
    pub notice: Notice,
    /// Why the datagram was not taken.
    pub source: io::Error,
}

/// Start-up is finished: `systemctl start` returns, and what is ordered after us starts.
/// Also ends a reload that [`reloading`] began. `status` is shown by `systemctl status`.
///
/// # Errors
/// [`NotifyError`]: log it; systemd stops the service when its `TimeoutStartSec` is over.
pub fn ready(status: &str) -> Result<(), NotifyError> {
    tell(Notice::Ready, &[NotifyState::Ready, NotifyState::Status(&one_line(status))])
}

/// One line for `systemctl status`; the newest replaces the one before.
///
/// # Errors
/// [`NotifyError`]: log it once; nothing depends on the line.
pub fn status(status: &str) -> Result<(), NotifyError> {
    tell(Notice::Status, &[NotifyState::Status(&one_line(status))])
}

/// Feeds the watchdog. Call it every [`watchdog_interval`], and only while all work makes progress.
///
/// # Errors
/// [`NotifyError`]: log it; systemd restarts the service when nothing arrives for `WatchdogSec`.
pub fn alive() -> Result<(), NotifyError> {
    tell(Notice::Alive, &[NotifyState::Watchdog])
}

/// A reload begins; [`ready`] must follow, also when the new configuration was refused.
///
/// # Errors
/// [`NotifyError`]: log it and reload all the same.
pub fn reloading() -> Result<(), NotifyError> {
    // systemd 253 and newer want the time of the request in the same datagram.
    let now = NotifyState::monotonic_usec_now()
        .map_err(|source| NotifyError { notice: Notice::Reloading, source })?;
    tell(Notice::Reloading, &[NotifyState::Reloading, now])
}

/// An orderly stop begins; systemd no longer takes silence for a failure before `TimeoutStopSec`.
///
/// # Errors
/// [`NotifyError`]: log it and stop all the same.
pub fn stopping(status: &str) -> Result<(), NotifyError> {
    tell(Notice::Stopping, &[NotifyState::Stopping, NotifyState::Status(&one_line(status))])
}

/// How often [`alive`] is due: half of the unit's `WatchdogSec`, as `sd_watchdog_enabled(3)` advises.
/// `None` when no watchdog waits for this process.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()).map(|limit| limit / 2)
}

fn tell(notice: Notice, states: &[NotifyState<'_>]) -> Result<(), NotifyError> {
    sd_notify::notify(states).map_err(|source| NotifyError { notice, source })
}

/// Fields are separated by newlines: a text with one could say READY=1 in our name.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        os::unix::net::UnixDatagram,
        process::{Command, Output},
    };

    use super::*;

    /// Set in the copies of this test binary that play the service.
    const ROLE: &str = "EDGERUN_TEST_SYSTEMD_ROLE";

    /// Plays the service in a process of its own: the functions read the environment, and changing
    /// that of a running, threaded process is not sound. Returns at once in an ordinary test run.
    #[test]
    fn service_in_a_process_of_its_own() {
        let Ok(role) = env::var(ROLE) else { return };
        match role.as_str() {
            "life" => {
                ready("2 pipelines").unwrap();
                alive().unwrap();
                status("all good\nREADY=1").unwrap();
                reloading().unwrap();
                ready("3 pipelines").unwrap();
                stopping("asked to").unwrap();
            }
            "watchdog" => println!("interval {:?}", watchdog_interval()),
            "refused" => println!("error {}", ready("never heard").unwrap_err()),
            other => panic!("unknown role {other}"),
        }
    }

    fn service(role: &str, env: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "systemd::tests::service_in_a_process_of_its_own", "--nocapture"]);
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        let output = command.env(ROLE, role).envs(env.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn printed(output: &Output) -> String {
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn systemd_hears_a_service_start_live_reload_and_stop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        systemd.set_nonblocking(true).unwrap();
        service("life", &[("NOTIFY_SOCKET", path.to_str().unwrap())]);

        let mut heard = Vec::new();
        let mut buffer = [0; 512];
        while let Ok(n) = systemd.recv(&mut buffer) {
            heard.push(String::from_utf8(buffer[..n].to_vec()).unwrap());
        }
        let (reload, others): (Vec<_>, Vec<_>) =
            heard.iter().partition(|text| text.starts_with("RELOADING=1\n"));
        assert_eq!(
            others,
            [
                "READY=1\nSTATUS=2 pipelines\n",
                "WATCHDOG=1\n",
                "STATUS=all good READY=1\n",
                "READY=1\nSTATUS=3 pipelines\n",
                "STOPPING=1\nSTATUS=asked to\n"
            ]
        );
        let usec = reload[0].trim_end().strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(usec.parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn without_a_service_manager_nothing_is_sent_and_nothing_fails() {
        service("life", &[]);
    }

    #[test]
    fn socket_that_is_gone_is_an_error_that_names_the_message() {
        let output = service("refused", &[("NOTIFY_SOCKET", "/nonexistent/notify")]);
        assert!(printed(&output).contains("error cannot tell the service manager READY=1"));
    }

    #[test]
    fn watchdog_is_fed_twice_in_each_limit_and_only_where_systemd_wants_it() {
        let interval = |env: &[(&str, &str)]| printed(&service("watchdog", env));
        assert!(interval(&[("WATCHDOG_USEC", "30000000")]).contains("interval Some(15s)"));
        assert!(interval(&[]).contains("interval None"));
        assert!(interval(&[("WATCHDOG_USEC", "0")]).contains("interval None"));
        assert!(interval(&[("WATCHDOG_USEC", "soon")]).contains("interval None"));
        // Inherited by a child of the process that is watched.
        let child = [("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "1")];
        assert!(interval(&child).contains("interval None"));
    }
}
