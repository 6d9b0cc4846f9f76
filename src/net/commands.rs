//! Commands on their way in and their answers on their way out: what can be told at the door (where it came
//! from, its size and rate, whether it may be asked at all) is told here, and nothing waits.
//!
//! Filled by the network, emptied by the thread that carries commands out, and back.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rumqttc::v5::mqttbytes::valid_topic;
use tokio::sync::Notify;

use super::envelope::{Envelope, Heard, Say};
use super::limits::Limits;
use super::wire::Topics;
use super::wire::command::{self, Code, NotRequest, Outcome, Refusal, Request};
use super::wishes::Subscription;
use crate::clock::{Clock, SystemClock};
use crate::data::Verb;

/// Commands that may be asked at once, and how many more each second.
const BURST: f64 = 20.0;
const EACH_SECOND: f64 = 5.0;
/// Commands that may wait until somebody carries them out.
const ORDERS: usize = 16;
/// Answers that may wait for the broker, and their bytes.
const ANSWERS: usize = 64;
const ANSWER_BYTES: usize = 1 << 20;
/// What is taken along of a request's envelope.
const TOPIC_BYTES_MAX: usize = 256;
const CORRELATION_BYTES_MAX: usize = 256;
const USER_BYTES_MAX: usize = 1024;
/// A complaint that comes again is logged this often.
const COMPLAIN: Duration = Duration::from_secs(60);

/// Where an answer goes, and what it carries again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    topic: String,
    correlation: Option<Vec<u8>>,
    user: Vec<(String, String)>,
}

/// A command that may be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// What to do.
    pub verb: Verb,
    /// With what.
    pub request: Request,
    /// Whether a group was asked, and not this board alone.
    pub to_group: bool,
    /// Where the answer goes.
    pub route: Route,
    /// When the broker's count ends, by the system's monotonic clock.
    pub deadline: Option<Duration>,
}

/// Takes an order; gives it back where there is no room for it.
type Take = Box<dyn Fn(Order) -> Option<Order> + Send>;

struct Desk {
    take: Option<Take>,
    /// Before somebody takes them.
    orders: VecDeque<Order>,
    answers: VecDeque<(Option<String>, Say)>,
    answer_bytes: usize,
    tokens: f64,
    filled: Duration,
    /// Messages that were no command, or not answered.
    ignored: u64,
    complained: Option<(Duration, u64)>,
}

struct Shared {
    device: String,
    topics: Topics,
    groups: Vec<String>,
    allowed: Vec<Verb>,
    desk: Mutex<Desk>,
    answered: Notify,
}

/// Where commands come in and answers go out; clones share it.
#[derive(Clone)]
pub struct Commands(Arc<Shared>);

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").field("allowed", &self.0.allowed).finish_non_exhaustive()
    }
}

impl Commands {
    pub(super) fn new(device: &str, groups: &[String], allowed: &[Verb], topics: &Topics) -> Self {
        let desk = Desk {
            take: None,
            orders: VecDeque::new(),
            answers: VecDeque::new(),
            answer_bytes: 0,
            tokens: BURST,
            filled: Duration::ZERO,
            ignored: 0,
            complained: None,
        };
        Self(Arc::new(Shared {
            device: device.to_owned(),
            topics: topics.clone(),
            groups: groups.to_vec(),
            allowed: allowed.to_vec(),
            desk: Mutex::new(desk),
            answered: Notify::new(),
        }))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The verbs that may be asked.
    pub fn allowed(&self) -> &[Verb] {
        &self.0.allowed
    }

    /// Messages on topics of commands that were no command, or could not even be answered.
    pub fn ignored(&self) -> u64 {
        self.desk().ignored
    }

    /// Has `take` called with each command, on the network's thread: it must neither wait nor panic, and gives back
    /// what it has no room for. What came before is given to it at once.
    pub fn serve(&self, take: impl Fn(Order) -> Option<Order> + Send + 'static) {
        let mut desk = self.desk();
        let refused: Vec<Order> = desk.orders.drain(..).filter_map(&take).collect();
        desk.take = Some(Box::new(take));
        drop(desk);
        refused.iter().for_each(|order| self.busy(order));
    }

    /// Nobody carries commands out any more.
    pub fn leave(&self) {
        self.desk().take = None;
    }

    /// Answers the request `id`.
    pub fn answer(&self, route: &Route, id: Option<&str>, outcome: &Outcome) {
        let Route { topic, correlation, user } = route.clone();
        let payload = command::answer(id, &self.0.device, outcome);
        let envelope = Envelope { correlation, user, ..Envelope::default() };
        let say = Say { topic, payload, envelope };
        let mut desk = self.desk();
        let full = desk.answers.len() >= ANSWERS || desk.answer_bytes + say.bytes() > ANSWER_BYTES;
        // One answer may be as large as it likes: whether the broker takes it is seen when it goes.
        if full && !desk.answers.is_empty() {
            desk.complain("answers that wait for the broker are too many; left out");
            return;
        }
        desk.answer_bytes += say.bytes();
        desk.answers.push_back((id.map(str::to_owned), say));
        drop(desk);
        self.0.answered.notify_one();
    }

    fn busy(&self, order: &Order) {
        let message = "too many commands at once; try again in a moment";
        let outcome = Err(Refusal::new(Code::Busy, message));
        self.answer(&order.route, order.request.id.as_deref(), &outcome);
    }

    /// What to subscribe to on a broker that knows `wildcards` or does not; nothing where nothing is allowed.
    pub(super) fn subscriptions(&self, wildcards: bool) -> Vec<Subscription> {
        let Shared { topics, groups, allowed, .. } = &*self.0;
        if allowed.is_empty() {
            return Vec::new();
        }
        let names: Vec<&str> = match wildcards {
            true => vec!["+"],
            false => Verb::ALL.iter().map(|verb| verb.as_str()).collect(),
        };
        let own = names.iter().map(|verb| topics.command(verb));
        let each = |group: &String| {
            names.iter().map(|verb| topics.group_command(group, verb)).collect::<Vec<_>>()
        };
        let all = own.chain(groups.iter().flat_map(each));
        // A command that is to be retained would come again with every connection.
        all.map(|filter| Subscription::passing(filter, true)).collect()
    }

    /// The verb that stands in `topic`, and whether it is a group's; `None` for a topic of something else.
    fn verb<'a>(&self, topic: &'a str) -> Option<(&'a str, bool)> {
        let Shared { topics, groups, .. } = &*self.0;
        let below = |root: String| topic.strip_prefix(root.as_str());
        if let Some(verb) = below(topics.command("")) {
            return Some((verb, false));
        }
        let verb = groups.iter().find_map(|group| below(topics.group_command(group, "")))?;
        Some((verb, true))
    }

    /// Whether `topic` is one of commands.
    pub(super) fn are_on(&self, topic: &str) -> bool {
        self.verb(topic).is_some()
    }

    /// Somebody says something on a topic of commands: it is answered, handed on, or ignored and counted.
    pub(super) fn hear(&self, heard: Heard) {
        let Heard { topic, payload, retained, envelope } = heard;
        let Some((name, to_group)) = self.verb(&topic) else { return };
        let shown = || name.chars().take(64).collect::<String>();
        if retained {
            // An empty one only clears the topic, as an operator does after a mistake.
            if !payload.is_empty() {
                let message = format!(
                    "cmd/{}: a retained command is never carried out; clear the topic",
                    shown()
                );
                self.desk().complain(&message);
            }
            return;
        }
        let named =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(named) {
            return self.desk().complain(&format!("cmd/{}: no verb is written so", shown()));
        }
        if !self.desk().takes_one_more(SystemClock.monotonic()) {
            let mut desk = self.desk();
            desk.complain(&format!("cmd/{name}: more commands than {EACH_SECOND} a second"));
            let half_full = desk.answers.len() >= ANSWERS / 2;
            drop(desk);
            // Whoever floods is not given a flood back.
            if half_full {
                return;
            }
            let id = Request::parse(&payload).ok().and_then(|request| request.id);
            let message =
                format!("more than {EACH_SECOND} commands a second; try again in a moment");
            let (route, _) = self.route(name, &envelope);
            return self.answer(&route, id.as_deref(), &Err(Refusal::new(Code::Busy, message)));
        }
        let (route, wrong) = self.route(name, &envelope);
        match self.admit(name, &payload, wrong) {
            Err(NotRequest { id, why }) => {
                log::warn!("cmd/{name}: {why}");
                self.answer(&route, id.as_deref(), &Err(why));
            }
            Ok((verb, request)) => {
                let expiry = envelope.expiry_s.map(|s| Duration::from_secs(s.into()));
                let deadline = expiry.map(|expiry| SystemClock.monotonic() + expiry);
                self.hand_on(Order { verb, request, to_group, route, deadline });
            }
        }
    }

    fn hand_on(&self, order: Order) {
        let mut desk = self.desk();
        let refused = match &desk.take {
            Some(take) => take(order),
            None if desk.orders.len() < ORDERS => {
                desk.orders.push_back(order);
                None
            }
            None => Some(order),
        };
        drop(desk);
        if let Some(order) = refused {
            self.busy(&order);
        }
    }

    fn admit(
        &self,
        name: &str,
        payload: &[u8],
        wrong: Option<Refusal>,
    ) -> Result<(Verb, Request), NotRequest> {
        let request = Request::parse(payload)?;
        let no = |why| NotRequest { id: request.id.clone(), why };
        if let Some(why) = wrong {
            return Err(no(why));
        }
        let allowed = &self.0.allowed;
        let names: Vec<&str> = allowed.iter().map(|verb| verb.as_str()).collect();
        let verb = Verb::named(name).ok_or_else(|| {
            let message = format!("there is no verb {name:?}; allowed are: {}", names.join(", "));
            no(Refusal::new(Code::UnknownVerb, message))
        })?;
        if !allowed.contains(&verb) {
            let message = format!(
                "{name} is not allowed on this board; [mqtt] commands names what is: {}",
                names.join(", ")
            );
            return Err(no(Refusal::new(Code::NotAllowed, message)));
        }
        Ok((verb, request))
    }

    /// Where the answer goes, and what is wrong with where it was asked to go.
    fn route(&self, name: &str, envelope: &Envelope) -> (Route, Option<Refusal>) {
        let mut wrong = None;
        let mut refuse = |message: String| {
            wrong = Some(Refusal::new(Code::BadRequest, message));
        };
        let replies = self.0.topics.replies();
        let may = |topic: &str| {
            topic.len() <= TOPIC_BYTES_MAX
                && topic.strip_prefix(&replies).is_some_and(|rest| !rest.is_empty())
                && valid_topic(topic)
                && !topic.chars().any(char::is_control)
        };
        let usual = || self.0.topics.command_response(name);
        let topic = match &envelope.response_topic {
            Some(topic) if may(topic) => topic.clone(),
            Some(_) => {
                refuse(format!(
                    "a response topic must lie below {replies}, in at most {TOPIC_BYTES_MAX} bytes"
                ));
                usual()
            }
            None => usual(),
        };
        let fits = |data: &&Vec<u8>| data.len() <= CORRELATION_BYTES_MAX;
        let correlation = envelope.correlation.as_ref().filter(fits).cloned();
        if correlation.is_none() && envelope.correlation.is_some() {
            refuse(format!("correlation data of more than {CORRELATION_BYTES_MAX} bytes"));
        }
        let bytes: usize = envelope.user.iter().map(|(name, value)| name.len() + value.len()).sum();
        let user = if bytes <= USER_BYTES_MAX { envelope.user.clone() } else { Vec::new() };
        if bytes > USER_BYTES_MAX {
            refuse(format!("user properties of more than {USER_BYTES_MAX} bytes"));
        }
        (Route { topic, correlation, user }, wrong)
    }

    /// Returns when something was answered since the last call; cancelling it loses nothing.
    pub(super) async fn answered(&self) {
        self.0.answered.notified().await;
    }

    /// The next answer, as it fits into what the broker takes; it counts as said from now on.
    pub(super) fn next(&self, limits: &Limits) -> Option<Say> {
        let (id, say) = {
            let mut desk = self.desk();
            let (id, say) = desk.answers.pop_front()?;
            desk.answer_bytes = desk.answer_bytes.saturating_sub(say.bytes());
            (id, say)
        };
        if limits.takes(&say.topic, say.bytes()) {
            return Some(say);
        }
        let (bytes, most) = (say.payload.len(), limits.packet_max);
        let message =
            format!("the answer has {bytes} bytes, the broker takes {most} with all around it");
        let outcome = Err(Refusal::new(Code::TooLarge, message));
        let payload = command::answer(id.as_deref(), &self.0.device, &outcome);
        let less = Say { payload, ..say };
        if limits.takes(&less.topic, less.bytes()) {
            return Some(less);
        }
        self.desk().complain("the broker takes no packet that an answer fits into; left out");
        self.next(limits)
    }

    /// Whether no answer waits.
    pub(super) fn all_said(&self) -> bool {
        self.desk().answers.is_empty()
    }
}

impl Desk {
    /// Whether one more command keeps within the rate.
    fn takes_one_more(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.filled).as_secs_f64();
        self.filled = now;
        self.tokens = (self.tokens + passed * EACH_SECOND).min(BURST);
        let takes = self.tokens >= 1.0;
        self.tokens -= if takes { 1.0 } else { 0.0 };
        takes
    }

    /// Counts something that is ignored; logged at once, and then as often as [`COMPLAIN`].
    fn complain(&mut self, message: &str) {
        self.ignored += 1;
        let now = SystemClock.monotonic();
        match self.complained {
            Some((at, _)) if now.saturating_sub(at) < COMPLAIN => {}
            before => {
                let more = before.map_or(0, |(_, ignored)| self.ignored - ignored - 1);
                let more = if more > 0 {
                    format!("; {more} more were ignored since")
                } else {
                    String::new()
                };
                log::warn!("{message}{more}");
                self.complained = Some((now, self.ignored));
            }
        }
    }
}

/// Commands as a network would bring them, for tests of who carries them out.
#[cfg(test)]
pub(crate) mod bench {
    use super::*;

    /// Of the board `bench-07` in the group `line-3`.
    pub(crate) fn commands(allowed: &[Verb]) -> Commands {
        let topics = Topics::new(None, "bench-07");
        Commands::new("bench-07", &["line-3".to_owned()], allowed, &topics)
    }

    /// Somebody says `payload` to the board, or to its group; it counts for `expiry_s`.
    pub(crate) fn say(
        commands: &Commands,
        group: bool,
        verb: &str,
        payload: &str,
        expiry_s: Option<u32>,
    ) {
        let whom = if group { "group/line-3" } else { "bench-07" };
        commands.hear(Heard {
            topic: format!("edgerun/{whom}/cmd/{verb}"),
            payload: payload.as_bytes().to_vec(),
            retained: false,
            envelope: Envelope { expiry_s, ..Envelope::default() },
        });
    }

    /// The next answer, if there is one.
    pub(crate) fn answer(commands: &Commands) -> Option<serde_json::Value> {
        let limits = Limits {
            receive_max: 10,
            qos_max: rumqttc::v5::mqttbytes::QoS::AtLeastOnce,
            retain: true,
            wildcards: true,
            packet_max: usize::MAX,
        };
        let say = commands.next(&limits)?;
        Some(serde_json::from_slice(&say.payload).expect("answers are JSON"))
    }
}

#[cfg(test)]
mod tests;
