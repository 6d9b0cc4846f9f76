//! A real mosquitto on loopback: started, stopped and started again on the same port.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::{PATIENCE, find, is_installed};

/// What the broker should be like.
#[derive(Default)]
pub(crate) struct Plan {
    global: String,
    guarded: Option<String>,
    files: Vec<(String, String)>,
    user: Option<(String, String)>,
}

impl Plan {
    /// Adds lines that concern the whole broker. `{folder}` is the broker's own folder.
    pub(crate) fn global(mut self, lines: &str) -> Self {
        self.global.push_str(lines);
        self.global.push('\n');
        self
    }

    /// Adds a second listener with these lines; the first stays open to all, for the test itself.
    pub(crate) fn guarded(mut self, lines: &str) -> Self {
        self.guarded = Some(lines.to_owned());
        self
    }

    /// Puts a file into the broker's folder.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Writes `{folder}/passwords` with one user.
    pub(crate) fn user(mut self, name: &str, password: &str) -> Self {
        self.user = Some((name.to_owned(), password.to_owned()));
        self
    }

    /// Starts the broker; `None` where the test is left out for want of one.
    pub(crate) fn start(self) -> Option<Mosquitto> {
        if !is_installed("mosquitto", "mosquitto")
            || !is_installed("mosquitto_sub", "mosquitto-clients")
        {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in &self.files {
            fs::write(folder.path().join(name), text).expect("the broker's files");
        }
        if let Some((name, password)) = &self.user {
            let status = Command::new("mosquitto_passwd")
                .args(["-b", "-c"])
                .arg(folder.path().join("passwords"))
                .args([name, password])
                .status()
                .expect("mosquitto_passwd: apt-get install mosquitto");
            assert!(status.success(), "mosquitto_passwd failed");
        }
        // A port that was free a moment ago may be taken by somebody else by now.
        let mut log = String::new();
        for _ in 0..5 {
            let (port, guarded_port) = (free_port(), free_port());
            let config = folder.path().join("mosquitto.conf");
            fs::write(&config, self.config(folder.path(), port, guarded_port)).expect("its config");
            match Running::new(&config, port) {
                Ok(running) => {
                    let running = Some(running);
                    return Some(Mosquitto { folder, config, port, guarded_port, running });
                }
                Err(said) if said.contains("in use") => log = said,
                Err(said) => panic!("mosquitto did not start:\n{said}"),
            }
        }
        panic!("mosquitto found no free port:\n{log}");
    }

    fn config(&self, folder: &Path, port: u16, guarded_port: u16) -> String {
        // "user root" has it keep its user, which owns the folder; it matters only to root.
        let mut config = format!(
            "per_listener_settings true\nlog_dest stderr\nlog_type all\nuser root\n{}\n\
             listener {port} 127.0.0.1\nallow_anonymous true\n",
            self.global
        );
        if let Some(lines) = &self.guarded {
            config.push_str(&format!("listener {guarded_port} 127.0.0.1\n{lines}\n"));
        }
        config.replace("{folder}", &folder.display().to_string())
    }
}

/// A port that nobody had a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// The broker. Dropping it kills it.
pub(crate) struct Mosquitto {
    folder: tempfile::TempDir,
    config: PathBuf,
    port: u16,
    guarded_port: u16,
    running: Option<Running>,
}

impl Mosquitto {
    /// A broker open to all; `None` where the test is left out for want of one.
    pub(crate) fn start() -> Option<Self> {
        Plan::default().start()
    }

    /// The port that is open to all.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The port of [`Plan::guarded`].
    pub(crate) fn guarded_port(&self) -> u16 {
        self.guarded_port
    }

    /// Where its files lie.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it in order, as an administrator does; it writes its database first, where it has one.
    pub(crate) fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let pid = running.child.id().to_string();
            let asked = Command::new("kill").args(["-TERM", &pid]).status();
            assert!(asked.expect("kill").success(), "mosquitto had ended before");
            running.child.wait().expect("it is ours to wait for");
        }
    }

    /// Starts it again on the same ports.
    pub(crate) fn start_again(&mut self) {
        self.stop();
        match Running::new(&self.config, self.port) {
            Ok(running) => self.running = Some(running),
            Err(said) => panic!("mosquitto did not start again:\n{said}"),
        }
    }
}

struct Running {
    child: Child,
    _log: Receiver<String>,
}

impl Running {
    /// Starts it and waits until it serves `port`; what it said when it does not come to that.
    fn new(config: &Path, port: u16) -> Result<Self, String> {
        let mut child = Command::new(find("mosquitto").expect("it is installed"))
            .arg("-c")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("an installed program starts");
        let stderr = child.stderr.take().expect("it is piped");
        // Read to its end, so that the broker never stands on a full pipe.
        let (lines, log) = mpsc::sync_channel(4096);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.try_send(line).ok();
            }
        });
        let mut said = String::new();
        loop {
            match log.recv_timeout(PATIENCE) {
                Ok(line) if line.ends_with(" running") => {
                    greet(port);
                    return Ok(Self { child, _log: log });
                }
                Ok(line) => {
                    said.push_str(&line);
                    said.push('\n');
                }
                Err(_) => {
                    child.kill().ok();
                    child.wait().ok();
                    return Err(said);
                }
            }
        }
    }
}

/// Connects and waits for the answer. The broker says "running" before its main loop runs, and forgets a
/// SIGTERM that comes in between.
fn greet(port: u16) {
    // CONNECT of MQTT 3.1.1 with a clean session and no client id; section 3.1.
    const CONNECT: [u8; 14] = *b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0";
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a deadline");
    stream.write_all(&CONNECT).expect("it reads");
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).expect("it answers in time");
    assert_eq!(connack, [0x20, 2, 0, 0], "it accepts everybody on this port");
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
