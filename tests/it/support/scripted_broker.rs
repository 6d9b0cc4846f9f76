//! A broker that does exactly what a test says, packet by packet: for what a real one rarely does.
//!
//! Its own reading of MQTT 5, so that a mistake of the client library is not repeated here.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::PATIENCE;

/// Property identifiers of CONNACK: MQTT 5 section 2.2.2.2.
pub(crate) fn receive_maximum(count: u16) -> Vec<u8> {
    let [high, low] = count.to_be_bytes();
    vec![0x21, high, low]
}

/// See [`receive_maximum`].
pub(crate) fn maximum_packet_size(bytes: u32) -> Vec<u8> {
    [&[0x27][..], &bytes.to_be_bytes()].concat()
}

/// A listener whose connections the test answers by hand.
pub(crate) struct ScriptedBroker {
    port: u16,
    connections: Receiver<TcpStream>,
}

impl ScriptedBroker {
    /// Listens on a free port.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let (accepted, connections) = mpsc::sync_channel(16);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepted.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { port, connections }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The next connection, of which nothing has been read.
    pub(crate) fn accept(&self) -> Peer {
        let stream = self.connections.recv_timeout(PATIENCE).expect("a connection in time");
        Peer { stream, unread: Vec::new() }
    }

    /// The next connection, its CONNECT answered with success and `properties`.
    pub(crate) fn welcome(&self, properties: &[u8]) -> Peer {
        let mut peer = self.accept();
        assert_eq!(peer.packet().0 >> 4, 1, "a client begins with CONNECT");
        peer.connack(0, properties);
        peer
    }
}

/// Property of CONNACK: wildcards are not available.
pub(crate) const NO_WILDCARDS: [u8; 2] = [0x28, 0];

/// A publish as it came.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) topic: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) packet_id: u16,
    pub(crate) payload: Value,
}

/// One connection.
pub(crate) struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    /// Answers CONNECT.
    pub(crate) fn connack(&mut self, code: u8, properties: &[u8]) {
        let length = u8::try_from(properties.len()).expect("few properties");
        let head = [0x20, length + 3, 0, code, length];
        self.stream.write_all(&[&head, properties].concat()).expect("the client reads");
    }

    /// Acknowledges a publish.
    pub(crate) fn puback(&mut self, packet_id: u16) {
        let [high, low] = packet_id.to_be_bytes();
        self.stream.write_all(&[0x40, 2, high, low]).expect("the client reads");
    }

    /// The next packet, which subscribes to one filter at QoS 1: its id and the filter.
    pub(crate) fn subscription(&mut self) -> (u16, String) {
        let (head, body) = self.packet();
        assert_eq!(head, 0x82, "expected SUBSCRIBE");
        assert_eq!(body[2], 0, "we send no subscribe properties");
        let (filter, options) = body[5..].split_at(usize::from(body[4]));
        assert_eq!((body[3], options), (0, &[1][..]), "one short filter at QoS 1");
        let filter = String::from_utf8(filter.to_vec()).expect("filters are UTF-8");
        (u16::from_be_bytes([body[0], body[1]]), filter)
    }

    /// Answers a subscription with a reason code: MQTT 5 section 3.9.3.
    pub(crate) fn suback(&mut self, packet_id: u16, code: u8) {
        let [high, low] = packet_id.to_be_bytes();
        self.stream.write_all(&[0x90, 4, high, low, 0, code]).expect("the client reads");
    }

    /// Publishes at QoS 0, with `properties`; short enough for one byte of length.
    pub(crate) fn say(&mut self, topic: &str, properties: &[u8], payload: &str) {
        let byte = |length: usize| u8::try_from(length).expect("short");
        let head = [0, byte(topic.len())];
        let behind = [byte(properties.len())];
        let body = [&head, topic.as_bytes(), &behind, properties, payload.as_bytes()].concat();
        assert!(body.len() < 128, "{} bytes", body.len());
        self.stream.write_all(&[&[0x30, byte(body.len())], &body[..]].concat()).expect("read");
    }

    /// The next packet but pings: first byte and body.
    pub(crate) fn packet(&mut self) -> (u8, Vec<u8>) {
        self.packet_within(PATIENCE).expect("a packet in time")
    }

    /// The next publish.
    pub(crate) fn publish(&mut self) -> Published {
        let (head, body) = self.packet();
        published(head, &body)
    }

    /// The next publish on a topic that contains `part`; all that comes before is acknowledged.
    pub(crate) fn publish_on(&mut self, part: &str) -> Published {
        loop {
            let published = self.publish();
            if published.topic.contains(part) {
                return published;
            }
            self.puback(published.packet_id);
        }
    }

    /// The next publish, if one comes within `within`.
    pub(crate) fn publish_within(&mut self, within: Duration) -> Option<Published> {
        self.packet_within(within).map(|(head, body)| published(head, &body))
    }

    fn packet_within(&mut self, within: Duration) -> Option<(u8, Vec<u8>)> {
        self.stream.set_read_timeout(Some(within)).expect("a socket takes a deadline");
        loop {
            if let Some((head, body)) = take_packet(&mut self.unread) {
                if head >> 4 == 12 {
                    self.stream.write_all(&[0xd0, 0]).expect("the client reads");
                    continue;
                }
                // To the own status, after a reconnect: which is not what tests are about.
                if head == 0x82 && body.windows(7).any(|part| part == b"/status") {
                    self.suback(u16::from_be_bytes([body[0], body[1]]), 1);
                    continue;
                }
                return Some((head, body));
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return None;
                }
                Err(error) => panic!("the connection broke: {error}"),
            }
        }
    }
}

fn take_packet(unread: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (mut length, mut digits) = (0usize, 0);
    loop {
        let byte = *unread.get(1 + digits)?;
        length |= usize::from(byte & 0x7f) << (7 * digits);
        digits += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let start = 1 + digits;
    if unread.len() < start + length {
        return None;
    }
    let head = unread[0];
    let body = unread[start..start + length].to_vec();
    unread.drain(..start + length);
    Some((head, body))
}

fn published(head: u8, body: &[u8]) -> Published {
    assert_eq!(head >> 4, 3, "expected PUBLISH, got packet type {}", head >> 4);
    let qos = (head >> 1) & 3;
    let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    let topic = String::from_utf8(body[2..topic_end].to_vec()).expect("topics are UTF-8");
    let (packet_id, rest) = if qos == 0 {
        (0, &body[topic_end..])
    } else {
        let id = u16::from_be_bytes([body[topic_end], body[topic_end + 1]]);
        (id, &body[topic_end + 2..])
    };
    assert_eq!(rest[0], 0, "we send no publish properties");
    let payload = serde_json::from_slice(&rest[1..]).expect("every payload of ours is JSON");
    Published { topic, qos, retain: head & 1 == 1, packet_id, payload }
}
