//! Brokers that are not mosquitto: another one that speaks MQTT 5, and one that speaks MQTT 3.1.1 only.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use edgerun::clock::Stopwatch;

use super::mosquitto::free_port;
use super::{PATIENCE, find, is_installed};

/// A running broker on loopback. Dropping it kills it.
pub(crate) struct Broker {
    folder: tempfile::TempDir,
    port: u16,
    start: fn(&Self) -> Command,
    child: Option<Child>,
}

impl Broker {
    /// ejabberd of Debian: MQTT 5; lets in who gives a user name.
    pub(crate) fn ejabberd() -> Option<Self> {
        is_installed("ejabberdctl", "ejabberd").then(|| Self::new(|broker| {
            let folder = broker.folder.path();
            let config = format!(
                "hosts: [localhost]\nloglevel: warning\nauth_method: [anonymous]\nanonymous_protocol: both\n\
                 allow_multiple_connections: true\nlisten:\n  - port: {}\n    ip: \"127.0.0.1\"\n    module: mod_mqtt\n\
                 modules:\n  mod_mqtt: {{}}\n",
                broker.port
            );
            fs::write(folder.join("ejabberd.yml"), config).unwrap();
            // Its own script wants another user and a node that others can reach.
            let mut command = Command::new("erl");
            let libraries = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
            let there = libraries.iter().find(|path| fs::metadata(path).is_ok());
            command
                .env("ERL_LIBS", there.unwrap())
                .env("EJABBERD_CONFIG_PATH", folder.join("ejabberd.yml"))
                .env("EJABBERD_LOG_PATH", folder.join("ejabberd.log"))
                .env("ERL_CRASH_DUMP", folder.join("crash"))
                .args(["-noinput", "-mnesia", "dir"])
                .arg(format!("\"{}\"", folder.join("db").display()))
                .args(["-s", "ejabberd"]);
            command
        }))
    }

    /// nats-server of Debian: MQTT 3.1.1, what it keeps is on disk.
    pub(crate) fn nats() -> Option<Self> {
        is_installed("nats-server", "nats-server").then(|| Self::new(|broker| {
            let folder = broker.folder.path();
            let config = format!(
                "server_name: test\nlisten: \"127.0.0.1:{}\"\njetstream {{ store_dir: \"{}\" }}\n\
                 mqtt {{ listen: \"127.0.0.1:{}\" }}\n",
                free_port(),
                folder.join("store").display(),
                broker.port
            );
            fs::write(folder.join("nats.conf"), config).unwrap();
            let mut command = Command::new(find("nats-server").unwrap());
            command.arg("-c").arg(folder.join("nats.conf"));
            command
        }))
    }

    fn new(start: fn(&Self) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut broker = Self { folder, port: free_port(), start, child: None };
        broker.start();
        broker
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Starts it on the same port, and waits until it listens there.
    pub(crate) fn start(&mut self) {
        self.kill();
        let mut command = (self.start)(self);
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let watch = Stopwatch::start();
        while TcpStream::connect_timeout(
            &(Ipv4Addr::LOCALHOST, self.port).into(),
            Duration::from_secs(1),
        )
        .is_err()
        {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(watch.elapsed() < PATIENCE, "it does not start:\n{}", log());
            std::thread::yield_now();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}
