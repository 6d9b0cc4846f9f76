//! The other side of [`super::files`]: hears what devices ask, answers each, and keeps no state between two
//! questions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rumqttc::v5::mqttbytes::{QoS, valid_topic};
use rustls::ClientConfig;
use tokio::time::{Instant, sleep};

use super::backoff::Backoff;
use super::connection::{Connection, Happening};
use super::failure::{Failure, Remedy};
use super::flight::{Cargo, Flight};
use super::limits::Limits;
use super::settings::MqttSettings;
use super::{NetError, prepare};

/// Answers that may wait for the broker; more are left out, and asked for again.
const WAITING: usize = 256;
/// It looks that often whether it is to stop.
const LOOK: Duration = Duration::from_millis(200);

/// A topic and a payload.
type Said = (String, Vec<u8>);

/// What answers a message on a topic; `None` for nothing.
type Answer<'a> = dyn FnMut(&str, &[u8]) -> Option<Said> + 'a;

/// Why a connection ended.
enum Ended {
    Lost(Failure),
    Stopped,
    NotAllowed(String),
}

/// Answers what comes on topics of `filter` until `stop`; a broker that goes away is waited for.
///
/// # Errors
/// What a person must mend: settings that cannot work, a login that is refused at the first try, a topic that
/// this client may not read.
pub fn respond(
    settings: MqttSettings,
    filter: &str,
    answer: &mut Answer<'_>,
    stop: &AtomicBool,
) -> Result<(), NetError> {
    let (tls, runtime) = prepare(&settings)?;
    let mut responder = Responder {
        backoff: Backoff::new(settings.timing.backoff_first, settings.timing.backoff_cap),
        settings: Arc::new(settings),
        tls,
        filter,
        answer,
        stop,
        ever_accepted: false,
    };
    let ended = runtime.block_on(responder.run());
    runtime.shutdown_background();
    ended
}

struct Responder<'a> {
    settings: Arc<MqttSettings>,
    tls: Option<Arc<ClientConfig>>,
    filter: &'a str,
    answer: &'a mut Answer<'a>,
    stop: &'a AtomicBool,
    backoff: Backoff,
    ever_accepted: bool,
}

impl Responder<'_> {
    async fn run(&mut self) -> Result<(), NetError> {
        loop {
            let failure = match self.connection().await {
                Ended::Stopped => return Ok(()),
                Ended::NotAllowed(why) => return Err(NetError::Broker(why)),
                Ended::Lost(failure) => failure,
            };
            if !self.ever_accepted && matches!(failure.remedy, Remedy::Slowly) {
                return Err(NetError::Broker(failure.message));
            }
            log::warn!("{}; trying again", failure.message);
            let end = Instant::now() + self.backoff.pause();
            while Instant::now() < end {
                if self.stop.load(Ordering::Acquire) {
                    return Ok(());
                }
                sleep(LOOK).await;
            }
        }
    }

    async fn connection(&mut self) -> Ended {
        let mut line = Connection::open(&self.settings, self.tls.as_ref(), None);
        let mut accepted: Option<(Limits, Flight)> = None;
        let mut answers: VecDeque<Said> = VecDeque::new();
        loop {
            let happening = tokio::select! {
                happening = line.happening() => Some(happening),
                () = sleep(LOOK) => None,
            };
            if self.stop.load(Ordering::Acquire) {
                line.say_goodbye();
                return Ended::Stopped;
            }
            match happening {
                None => {}
                Some(Happening::Lost(failure)) => return Ended::Lost(failure),
                Some(Happening::SaidGoodbye) => return Ended::Stopped,
                Some(Happening::Accepted(limits)) => {
                    log::info!("connected to the broker at {}", self.settings.address());
                    self.ever_accepted = true;
                    if !line.subscribe(self.filter) {
                        let why = format!("{} is no topic filter", self.filter);
                        return Ended::NotAllowed(why);
                    }
                    let mut flight = Flight::new(limits.receive_max);
                    flight.depart(Cargo::Subscription(0), Instant::now());
                    accepted = Some((limits, flight));
                }
                Some(Happening::Heard { topic, payload }) if answers.len() < WAITING => {
                    answers.extend((self.answer)(&topic, &payload));
                }
                Some(happening) => {
                    if let Some((_, flight)) = &mut accepted
                        && let Some(why) = self.done(flight, &happening)
                    {
                        return Ended::NotAllowed(why);
                    }
                }
            }
            if let Some((limits, flight)) = &mut accepted
                && !self.fill(&line, limits, flight, &mut answers)
            {
                return Ended::Lost(Failure::retry("the broker does not keep up".to_owned()));
            }
        }
    }

    /// Something handed over is done; says why where the subscription is refused.
    fn done(&mut self, flight: &mut Flight, happening: &Happening) -> Option<String> {
        match happening {
            Happening::Written(id) => drop(flight.written(*id)),
            Happening::Acknowledged(id) => drop(flight.acknowledged(*id)),
            Happening::Refused(id, reason) => {
                flight.acknowledged(*id);
                log::warn!("the broker refuses an answer: {reason:?}");
            }
            Happening::Subscribed(id) => {
                flight.subscribed(*id);
                self.backoff.reset();
            }
            Happening::NotSubscribed(_, reason) => {
                let address = self.settings.address();
                return Some(format!(
                    "the broker at {address} refused to subscribe us to {}: {reason:?}: allow this client to read it",
                    self.filter
                ));
            }
            _ => {}
        }
        None
    }

    /// Hands over as much as the window holds; `false` where nothing moves any more.
    fn fill(
        &self,
        line: &Connection,
        limits: &Limits,
        flight: &mut Flight,
        answers: &mut VecDeque<Said>,
    ) -> bool {
        let now = Instant::now();
        if flight.oldest().is_some_and(|since| now - since > self.settings.timing.ack) {
            return false;
        }
        while flight.has_room() {
            let Some((topic, payload)) = answers.pop_front() else { return true };
            if !valid_topic(&topic) || !limits.takes(&topic, payload.len()) {
                log::warn!("{topic}: {} bytes are more than the broker takes", payload.len());
                continue;
            }
            if !line.publish(&topic, limits.qos(QoS::AtLeastOnce), false, payload) {
                return false;
            }
            flight.depart(Cargo::Passing, now);
        }
        true
    }
}
