//! The delivery task: takes messages in, keeps the window full, goes back to the oldest unacknowledged
//! after every lost connection, and tries for ever. On each connection it subscribes anew, since none is resumed.
//!
//! ```text
//!  connecting ──accepted──► delivering ──stop──► farewell ──► ended
//!      ▲  │lost                 │lost                │lost, deadline: ended
//!      │  ▼                     ▼
//!      └─ pausing (back-off; messages are taken in all the while)
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::{PubAckReason, SubscribeReasonCode};
use rumqttc::v5::mqttbytes::{QoS, valid_topic};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::backoff::{Backoff, jittered};
use super::connection::{Connection, Happening, Will};
use super::failure::{Failure, Remedy};
use super::flight::{Cargo, Flight};
use super::limits::Limits;
use super::outbox::{Home, Message, Outbox, Rules};
use super::retained::Slot;
use super::settings::{Identity, MqttSettings};
use super::twin::{self, Twin};
use super::wire::{self, DeviceState, Status, Topics};
use super::wishes::Subscription;
use super::{INTAKE, Shared};
use crate::data::payload;
use crate::sink::Qos;
use crate::sink::mqtt::{Intake, Outgoing};
use crate::spool::Lane;
use crate::storage::OsDisk;

/// How the delivery is asked to end: `Some(deadline)`; the sender's end is gone when it is simply cut.
pub(super) type Stop = watch::Receiver<Option<Instant>>;

/// A connection that the broker has accepted.
struct Accepted {
    limits: Limits,
    /// The first subscription is to our own status, and goes before everything else.
    looks_for_twin: bool,
    flight: Flight,
    subscriptions: Vec<Subscription>,
    /// How many of them have been handed over.
    asked: usize,
    /// Those of them that the broker took, while it says what it retains for them.
    granted: Vec<usize>,
    /// When it has said all that.
    settled: Option<Instant>,
}

/// Why a connection ended.
enum Ended {
    Lost(Failure),
    Stopped,
}

/// All that delivery needs.
pub(super) struct Courier {
    settings: Arc<MqttSettings>,
    identity: Identity,
    topics: Topics,
    tls: Option<Arc<ClientConfig>>,
    intake: Intake,
    outbox: Outbox,
    shared: Shared,
    stop: Stop,
    backoff: Backoff,
    will_qos: QoS,
    will_retain: bool,
    ever_accepted: bool,
    accepted_at: Option<Instant>,
    said_too_large: bool,
    /// What of subscriptions has been logged, each once.
    said_unheard: BTreeSet<String>,
    twin: Twin,
    twin_seen: Option<Instant>,
}

impl Courier {
    pub(super) fn new(
        settings: MqttSettings,
        identity: Identity,
        topics: Topics,
        tls: Option<Arc<ClientConfig>>,
        intake: Intake,
        shared: Shared,
        stop: Stop,
    ) -> Self {
        Self {
            topics,
            twin: Twin::new(identity.session.clone()),
            twin_seen: None,
            outbox: Outbox::new(rules(&settings)),
            backoff: Backoff::new(settings.timing.backoff_first, settings.timing.backoff_cap),
            settings: Arc::new(settings),
            identity,
            tls,
            intake,
            shared,
            stop,
            will_qos: QoS::AtLeastOnce,
            will_retain: true,
            ever_accepted: false,
            accepted_at: None,
            said_too_large: false,
            said_unheard: BTreeSet::new(),
        }
    }

    /// Delivers until it is stopped; returns how many results and events are lost.
    pub(super) async fn run(mut self) -> usize {
        self.shared.retained.set(Slot::Status, self.status(DeviceState::Online));
        loop {
            match self.connection().await {
                Ended::Stopped => break,
                Ended::Lost(failure) => {
                    let pause = self.lost(&failure);
                    if !self.pause(pause).await {
                        break;
                    }
                }
            }
        }
        self.intake.close();
        self.take_in(false);
        let lost = self.outbox.close(Instant::now());
        self.shared.board.update(|state| state.connected = false);
        self.note();
        lost
    }

    fn status(&self, state: DeviceState) -> Vec<u8> {
        let Identity { session, since, version, .. } = &self.identity;
        wire::json(&Status::new(state, session, *since, version))
    }

    /// One connection from its first packet to its end.
    async fn connection(&mut self) -> Ended {
        let will = Will {
            topic: self.topics.status(),
            payload: self.status(DeviceState::Offline),
            qos: self.will_qos,
            retain: self.will_retain,
        };
        let mut line = Connection::open(&self.settings, self.tls.as_ref(), Some(will));
        let mut accepted: Option<Accepted> = None;
        let mut deadline: Option<Instant> = None;
        loop {
            let oldest = accepted.as_ref().and_then(|now| now.flight.oldest());
            let settled = accepted.as_ref().and_then(|now| now.settled);
            let stalled = oldest.map(|since| since + self.settings.timing.ack);
            let due = self.outbox.wake_at(Instant::now());
            tokio::select! {
                happening = line.happening() => match happening {
                    Happening::Lost(_) if deadline.is_some() => return Ended::Stopped,
                    Happening::Lost(failure) => return Ended::Lost(failure),
                    Happening::SaidGoodbye => return Ended::Stopped,
                    Happening::Accepted(limits) => {
                        accepted = Some(self.accepted(limits));
                    }
                    Happening::Written(id) => self.written(&mut accepted, id),
                    Happening::Acknowledged(id) => self.acknowledged(&mut accepted, id),
                    Happening::Refused(id, reason) => self.refused(&mut accepted, id, reason),
                    Happening::Subscribed(id) => self.subscribed(&mut accepted, id),
                    Happening::NotSubscribed(id, reason) => {
                        self.not_subscribed(&mut accepted, id, reason);
                    }
                    Happening::Heard(heard) if heard.topic == self.topics.status() => {
                        self.hear_status(&heard.payload);
                    }
                    Happening::Heard(heard) => self.shared.hear(heard, &self.topics),
                },
                () = self.intake.filled() => {}
                () = self.shared.retained.changed() => {}
                () = self.shared.files.asked() => {}
                () = self.outbox.reported() => {}
                () = until(due) => {}
                () = self.shared.commands.answered() => {}
                () = self.shared.journal.noted() => {}
                asked = self.stop.changed(), if deadline.is_none() => {
                    deadline = *self.stop.borrow_and_update();
                    if asked.is_err() || deadline.is_none() || accepted.is_none() {
                        return Ended::Stopped;
                    }
                    self.intake.close();
                    self.shared.retained.set(Slot::Status, self.status(DeviceState::Stopping));
                }
                () = until(deadline) => return Ended::Stopped,
                () = until(settled) => self.settle(&mut accepted),
                () = until(stalled) => {
                    return Ended::Lost(Failure::retry(format!(
                        "the broker at {} does not acknowledge what it is sent",
                        self.settings.address()
                    )));
                }
            }
            self.take_in(accepted.is_some());
            if let Some(now) = &mut accepted {
                if !self.fill(&line, now) {
                    let why = "the MQTT client takes nothing more".to_owned();
                    return Ended::Lost(Failure::retry(why));
                }
                // A backlog on disk is for the next start.
                let all_said = now.flight.is_empty() && self.outbox.is_up_to_date();
                if deadline.is_some() && all_said && self.shared.all_said() {
                    return goodbye(line, deadline).await;
                }
            }
        }
    }

    fn accepted(&mut self, limits: Limits) -> Accepted {
        self.shared.retained.rewind();
        self.shared.files.rewind();
        self.outbox.rewind(true);
        self.accepted_at = Some(Instant::now());
        let again = std::mem::replace(&mut self.ever_accepted, true);
        self.shared.board.update(|state| {
            state.connected = true;
            state.last_error = None;
            state.reconnects += u64::from(again);
        });
        log::info!("connected to the broker at {}", self.settings.address());
        let mut subscriptions = self.shared.wishes.subscriptions(limits.wildcards);
        subscriptions.extend(self.shared.commands.subscriptions(limits.wildcards));
        subscriptions.extend(self.shared.inputs.subscriptions());
        // Before our own word replaces what another board has left there.
        let looks_for_twin = self.twin.has_spoken() && limits.retain;
        if looks_for_twin {
            subscriptions.insert(0, Subscription::passing(self.topics.status(), false));
        }
        Accepted {
            limits,
            looks_for_twin,
            flight: Flight::new(limits.receive_max),
            subscriptions,
            asked: 0,
            granted: Vec::new(),
            settled: None,
        }
    }

    fn hear_status(&mut self, payload: &[u8]) {
        let Some(session) = self.twin.hear(payload) else { return };
        let news = self.twin_seen.replace(Instant::now()).is_none();
        if news {
            let id = &self.identity.device;
            log::error!(
                "another board says that it is {id}, too (session {session}): give each its own [device] id; \
                 until then they take turns, and messages of both are mixed"
            );
        }
        self.shared.board.update(|state| state.twin = true);
    }

    /// Whether another board with this id was seen not long ago.
    fn has_twin(&mut self) -> bool {
        self.twin_seen = self.twin_seen.filter(|seen| seen.elapsed() < twin::FORGET);
        self.twin_seen.is_some()
    }

    fn subscribed(&mut self, accepted: &mut Option<Accepted>, packet_id: u16) {
        let Some(now) = accepted else { return };
        let Some(index) = now.flight.subscribed(packet_id) else { return };
        // A broker that retains nothing will not say anything again.
        if now.limits.retain {
            now.granted.push(index);
            now.settled = Some(Instant::now() + self.settings.timing.settle);
        }
    }

    fn not_subscribed(
        &mut self,
        accepted: &mut Option<Accepted>,
        packet_id: u16,
        reason: SubscribeReasonCode,
    ) {
        let Some(now) = accepted else { return };
        let Some(index) = now.flight.subscribed(packet_id) else { return };
        let hint = match reason {
            SubscribeReasonCode::NotAuthorized => ": allow this device to read it",
            _ => "",
        };
        self.unheard(&now.subscriptions[index].filter, &format!("{reason:?}{hint}"));
    }

    /// A subscription that does not come about: told, and nothing stops for it.
    fn unheard(&mut self, filter: &str, why: &str) {
        if filter == self.topics.status() {
            return log::debug!("{filter}: {why}; another board with this id is not seen");
        }
        let address = self.settings.address();
        let message = format!("the broker at {address} refused to subscribe us to {filter}: {why}");
        self.shared.board.update(|state| state.last_error = Some(message.clone()));
        if self.said_unheard.insert(message.clone()) {
            log::error!("{message}; what is said there is not heard");
        }
    }

    fn settle(&mut self, accepted: &mut Option<Accepted>) {
        let Some(now) = accepted else { return };
        now.settled = None;
        for index in now.granted.drain(..) {
            self.shared.wishes.settle(&now.subscriptions[index]);
        }
    }

    fn written(&mut self, accepted: &mut Option<Accepted>, packet_id: u16) {
        let cargo = accepted.as_mut().and_then(|now| now.flight.written(packet_id));
        self.delivered(cargo);
    }

    fn acknowledged(&mut self, accepted: &mut Option<Accepted>, packet_id: u16) {
        let cargo = accepted.as_mut().and_then(|now| now.flight.acknowledged(packet_id));
        self.delivered(cargo);
    }

    fn delivered(&mut self, cargo: Option<Cargo>) {
        if cargo == Some(Cargo::Retained(Slot::Status)) {
            self.twin.spoke();
        }
        if let Some(Cargo::Stored(id)) = cargo
            && self.outbox.finish(id)
        {
            let queue = self.outbox.len();
            self.shared.board.update(|state| {
                state.acked += 1;
                state.queue = queue;
            });
        }
    }

    /// Makes known how the outbox does.
    fn note(&mut self) {
        let outbox = &mut self.outbox;
        let (dropped, queue) = (outbox.take_dropped(), outbox.len());
        let (bytes, error) = (outbox.disk_bytes(), outbox.error());
        self.shared.board.update(|state| {
            state.dropped += dropped;
            state.queue = queue;
            state.spool_bytes = bytes;
            if state.spool_error.as_deref() != error {
                state.spool_error = error.map(str::to_owned);
            }
        });
    }

    fn refused(&mut self, accepted: &mut Option<Accepted>, packet_id: u16, reason: PubAckReason) {
        let cargo = accepted.as_mut().and_then(|now| now.flight.acknowledged(packet_id));
        let what = match cargo {
            Some(Cargo::Stored(id)) => {
                let counts = u64::from(self.outbox.finish(id));
                self.shared.board.update(|state| {
                    state.refused += counts;
                    state.dropped += counts;
                });
                "a result or event".to_owned()
            }
            Some(Cargo::Retained(slot)) => slot.to_string(),
            Some(Cargo::Passing) => {
                "a question for a file of the update repository, or the answer to a command"
                    .to_owned()
            }
            Some(Cargo::Subscription(_)) | None => return,
        };
        let hint = match reason {
            PubAckReason::NotAuthorized => ": allow this device to write its own topics",
            _ => "",
        };
        let address = self.settings.address();
        let message = format!("the broker at {address} refused {what}: {reason:?}{hint}");
        let news = self.shared.board.update(|state| state.last_error.replace(message.clone()));
        if news.as_ref() != Some(&message) {
            log::error!("{message}; the message is dropped");
        }
    }

    /// The connection is gone: keeps what is not acknowledged, and says how long to wait.
    fn lost(&mut self, failure: &Failure) -> Duration {
        self.outbox.rewind(false);
        let lasted = self.accepted_at.take().map_or(Duration::ZERO, |at| at.elapsed());
        // Not for less: two boards with one id throw each other out for ever, and should not hammer the
        // broker while they do.
        if lasted >= self.settings.timing.backoff_cap {
            self.backoff.reset();
        }
        self.note();
        let news = self.shared.board.update(|state| {
            let was_connected = std::mem::replace(&mut state.connected, false);
            let before = state.last_error.replace(failure.message.clone());
            was_connected || before.as_ref() != Some(&failure.message)
        });
        match (news, failure.remedy) {
            (true, Remedy::Slowly) => log::error!("{}", failure.message),
            (true, _) => log::warn!("{}; trying again", failure.message),
            (false, _) => log::debug!("{}", failure.message),
        }
        let has_twin = self.has_twin();
        self.shared.board.update(|state| state.twin = has_twin);
        if has_twin {
            // No war: each board gets a word in now and then.
            return jittered(self.settings.timing.refused);
        }
        match failure.remedy {
            Remedy::Retry => {}
            Remedy::Slowly => return jittered(self.settings.timing.refused),
            Remedy::PlainWill => self.will_qos = QoS::AtMostOnce,
            Remedy::PassingWill => self.will_retain = false,
        }
        self.backoff.pause()
    }

    /// Waits, and takes messages in meanwhile; `false` when it is time to stop.
    async fn pause(&mut self, length: Duration) -> bool {
        let end = Instant::now() + length;
        loop {
            let due = self.outbox.wake_at(Instant::now());
            tokio::select! {
                () = sleep_until(end) => return true,
                () = self.intake.filled() => {}
                () = self.outbox.reported() => {}
                () = until(due) => {}
                _ = self.stop.changed() => return false,
            }
            self.take_in(false);
        }
    }

    /// Moves what the pipelines have left into the outbox, and has that do what is due.
    fn take_in(&mut self, connected: bool) {
        let (now, mut unwanted) = (Instant::now(), 0);
        let mut left = INTAKE;
        while let Some(entry) = self.intake.take() {
            let mut payload = Vec::with_capacity(512);
            let session = &self.identity.session;
            let (lane, qos, topic) = match entry {
                Outgoing::Result(found, qos) => {
                    payload::write_result(&found, session, &mut payload);
                    (Lane::Result, qos, self.topics.result(&found.pipeline))
                }
                Outgoing::Event(event) => {
                    payload::write_event(&event, session, &mut payload);
                    (Lane::Event, Qos::AtLeastOnce, self.topics.event(&event.pipeline))
                }
            };
            match qos {
                Qos::AtMostOnce if !connected => unwanted += 1,
                _ => self.outbox.push(Message { lane, qos, topic, payload }, now),
            }
            // Pipelines that never pause must not keep the connection from being looked after.
            left -= 1;
            if left == 0 {
                self.intake.again();
                break;
            }
        }
        self.outbox.turn(now);
        self.shared.board.update(|state| state.dropped += unwanted);
        self.note();
    }

    /// Hands over as much as the window holds; `false` when the library takes nothing more.
    fn fill(&mut self, line: &Connection, now: &mut Accepted) -> bool {
        let limits = now.limits;
        while now.flight.has_room() {
            if now.looks_for_twin && now.asked == 0 {
                if !self.subscribe(line, now) {
                    return false;
                }
                continue;
            }
            if let Some(answer) = self.shared.commands.next(&limits) {
                if !line.say(limits.qos(QoS::AtLeastOnce), answer) {
                    return false;
                }
                now.flight.depart(Cargo::Passing, Instant::now());
                continue;
            }
            let (cargo, topic, qos, retain, payload) =
                if let Some((slot, payload)) = self.shared.retained.next() {
                    let topic = slot.topic(&self.topics);
                    (Cargo::Retained(slot), topic, QoS::AtLeastOnce, limits.retain, payload)
                } else if now.asked < now.subscriptions.len() {
                    if !self.subscribe(line, now) {
                        return false;
                    }
                    continue;
                } else if let Some(request) = self.shared.files.next() {
                    let topic = self.topics.fetch_request();
                    (Cargo::Passing, topic, QoS::AtLeastOnce, false, request)
                } else if let Some(line) = self.shared.journal.next() {
                    (Cargo::Passing, self.topics.log(), QoS::AtMostOnce, false, line)
                } else if let Some((id, message, late)) = self.outbox.depart(Instant::now()) {
                    let mut payload = message.payload.clone();
                    if late {
                        wire::mark_replayed(&mut payload);
                    }
                    let qos = match message.qos {
                        Qos::AtMostOnce => QoS::AtMostOnce,
                        Qos::AtLeastOnce => QoS::AtLeastOnce,
                    };
                    (Cargo::Stored(id), message.topic.clone(), qos, false, payload)
                } else {
                    return true;
                };
            if !valid_topic(&topic) || !limits.takes(&topic, payload.len()) {
                self.undeliverable(&cargo, &topic, payload.len());
                continue;
            }
            if !line.publish(&topic, limits.qos(qos), retain, payload) {
                return false;
            }
            now.flight.depart(cargo, Instant::now());
            self.shared.board.update(|state| state.published += 1);
        }
        true
    }

    /// Hands the next subscription over; `false` when the library takes nothing more.
    fn subscribe(&mut self, line: &Connection, now: &mut Accepted) -> bool {
        let index = now.asked;
        now.asked += 1;
        let subscription = &now.subscriptions[index];
        // What is too large for the broker would end the connection, and each one after it.
        if !now.limits.takes_filter(&subscription.filter) {
            let why = format!("it takes packets of at most {} bytes", now.limits.packet_max);
            self.unheard(&subscription.filter, &why);
            return true;
        }
        // Before it is asked: what it retains may come before its answer.
        self.shared.wishes.doubt(subscription);
        if !line.subscribe(&subscription.filter, subscription.tells_retained) {
            return false;
        }
        now.flight.depart(Cargo::Subscription(index), Instant::now());
        true
    }

    /// A message that this broker cannot be sent: dropped, counted, logged once.
    fn undeliverable(&mut self, cargo: &Cargo, topic: &str, bytes: usize) {
        if let Cargo::Stored(id) = cargo {
            self.outbox.finish(*id);
            self.shared.board.update(|state| state.dropped += 1);
            self.note();
        }
        if !self.said_too_large {
            self.said_too_large = true;
            log::error!(
                "{topic}: {bytes} bytes are more than the broker at {} takes, or the topic is not \
                 valid; dropped and counted, as others like it will be",
                self.settings.address()
            );
        }
    }
}

fn rules(settings: &MqttSettings) -> Rules {
    let spool = settings.spool.as_ref();
    Rules {
        bytes_max: settings.outbox_bytes,
        home: spool.map(|spool| Home {
            disk: Arc::new(OsDisk),
            dir: spool.dir.clone(),
            bytes_max: spool.bytes_max,
            alone: false,
        }),
        commit: spool.map_or(Duration::MAX, |spool| spool.commit),
        each: spool.is_some_and(|spool| spool.each),
        in_order: settings.backlog.in_order,
        drain_hz: settings.backlog.drain_hz,
    }
}

/// Says goodbye and waits until it is written, so that the broker forgets the last will.
async fn goodbye(mut line: Connection, deadline: Option<Instant>) -> Ended {
    if line.say_goodbye() {
        loop {
            tokio::select! {
                happening = line.happening() => {
                    if matches!(happening, Happening::SaidGoodbye | Happening::Lost(_)) {
                        break;
                    }
                }
                () = until(deadline) => break,
                // Written at once unless the peer has stopped reading.
                () = sleep(Duration::from_secs(2)) => break,
            }
        }
    }
    Ended::Stopped
}

/// Returns at `moment`; never, if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
