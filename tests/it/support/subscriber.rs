//! An independent subscriber: `mosquitto_sub` as a child process.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use serde_json::Value;

use super::PATIENCE;

const PROBE: &str = "test/probe";

/// A message as the subscriber got it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) qos: u64,
    /// Whether the broker had kept it from before the subscription.
    pub(crate) retained: bool,
    /// The payload, which must be JSON; null where it is empty, which clears a topic.
    pub(crate) payload: Value,
    /// What came beside it, by mosquitto's names.
    pub(crate) properties: Value,
}

/// How mosquitto's programs speak to a broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// `5` or `311`.
    pub(crate) version: &'static str,
    /// A user name, where the broker wants one; any password will do.
    pub(crate) user: Option<&'static str>,
}

impl Client {
    const USUAL: Self = Self { version: "5", user: None };

    fn command(self, program: &str, port: u16) -> Command {
        let mut command = Command::new(program);
        command.args(["-V", self.version, "-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1"]);
        if let Some(user) = self.user {
            command.args(["-u", user, "-P", "any"]);
        }
        command
    }

    /// Publishes one retained message through a client that is not ours; an empty one clears the topic.
    pub(crate) fn publish_retained(self, port: u16, topic: &str, payload: &str) {
        let status = self
            .command("mosquitto_pub", port)
            .args(["-r", "-t", topic, "-m", payload])
            .status()
            .expect("no mosquitto_pub on this machine: apt-get install mosquitto-clients");
        assert!(status.success(), "mosquitto_pub failed");
    }
}

/// Subscribed to a filter at QoS 1 from the moment it exists. Dropping it ends it.
pub(crate) struct Subscriber {
    child: Child,
    /// What the broker had kept and sent before the proof that the subscription stands.
    early: RefCell<VecDeque<Received>>,
    messages: Receiver<Received>,
}

impl Subscriber {
    /// Subscribes to `filter` at the open port of a broker.
    pub(crate) fn new(port: u16, filter: &str) -> Self {
        Self::with(Client::USUAL, port, filter, &[])
    }

    /// The same of another broker.
    pub(crate) fn of(client: Client, port: u16, filter: &str) -> Self {
        Self::with(client, port, filter, &[])
    }

    /// The same with a session that outlives connections: the broker keeps what is published while the
    /// subscriber or (with a database) the broker itself is away.
    pub(crate) fn lasting(port: u16, filter: &str) -> Self {
        Self::with(Client::USUAL, port, filter, &["-c", "-i", "lasting-subscriber", "-x", "3600"])
    }

    fn with(client: Client, port: u16, filter: &str, more: &[&str]) -> Self {
        // A retained message proves that the subscription stands: it is the answer to it.
        client.publish_retained(port, PROBE, "\"ready\"");
        let mut child = client
            .command("mosquitto_sub", port)
            .args(["-t", filter, "-t", PROBE, "-F", "%j"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("no mosquitto_sub on this machine: apt-get install mosquitto-clients");
        let stdout = child.stdout.take().expect("it is piped");
        let (lines, messages) = mpsc::sync_channel(65_536);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines.send(parse(&line)).is_err() {
                    return;
                }
            }
        });
        let subscriber = Self { child, early: RefCell::default(), messages };
        loop {
            let message = subscriber.receive();
            if message.topic == PROBE {
                return subscriber;
            }
            subscriber.early.borrow_mut().push_back(message);
        }
    }

    fn receive(&self) -> Received {
        self.messages.recv_timeout(PATIENCE).expect("a message in time")
    }

    /// The next message.
    pub(crate) fn next(&self) -> Received {
        self.until(|_| true)
    }

    /// The next message that `wanted` wants; others are passed over.
    pub(crate) fn until(&self, wanted: impl Fn(&Received) -> bool) -> Received {
        loop {
            let early = self.early.borrow_mut().pop_front();
            let message = early.unwrap_or_else(|| {
                self.messages.recv_timeout(PATIENCE).expect("a message in time")
            });
            // The proof comes again when the subscriber itself has to reconnect.
            if message.topic != PROBE && wanted(&message) {
                return message;
            }
        }
    }

    /// The next message on `topic`.
    pub(crate) fn on(&self, topic: &str) -> Received {
        self.until(|message| message.topic == topic)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// [`Client::publish_retained`] to a usual broker.
pub(crate) fn publish_retained(port: u16, topic: &str, payload: &str) {
    Client::USUAL.publish_retained(port, topic, payload);
}

fn parse(line: &str) -> Received {
    let message: Value = serde_json::from_str(line).expect("mosquitto_sub writes JSON for %j");
    let payload = message["payload"].as_str().unwrap_or_default();
    Received {
        topic: message["topic"].as_str().expect("a topic").to_owned(),
        qos: message["qos"].as_u64().expect("a QoS"),
        retained: message["retain"] == 1,
        // Others clear retained topics with nothing.
        payload: match payload {
            "" => Value::Null,
            text => serde_json::from_str(text).expect("every payload of ours is JSON"),
        },
        properties: message["properties"].clone(),
    }
}
