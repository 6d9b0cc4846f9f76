//! A client that is no device: hears topics and says something to that. For whoever serves files to boards
//! ([`super::files`] asks them), sends a command or watches; keeps no state between two connections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rumqttc::v5::mqttbytes::{QoS, valid_topic};
use rustls::ClientConfig;
use tokio::time::{Instant, sleep};

use super::backoff::Backoff;
use super::connection::{Connection, Happening};
use super::envelope::{Envelope, Heard, Say};
use super::failure::{Failure, Remedy};
use super::flight::{Cargo, Flight};
use super::limits::Limits;
use super::settings::MqttSettings;
use super::{NetError, prepare};

/// Messages that may wait for the broker; more are left out, and asked for again.
const WAITING: usize = 256;
/// It looks that often whether it is to stop.
const LOOK: Duration = Duration::from_millis(200);

/// What a client is told.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// The broker took every subscription of a new connection.
    Subscribed,
    /// Somebody says something.
    Heard(&'a Heard),
    /// Nothing for a moment.
    Nothing,
    /// There is no connection, and why; told again and again until there is one.
    Away(&'a str),
}

/// What is said to the news.
pub type Talk<'a> = dyn FnMut(News<'_>) -> Vec<Say> + 'a;

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

/// Answers what comes on topics of `filter` until `stop`: a topic and a payload, or nothing. As [`converse`].
///
/// # Errors
/// As [`converse`].
pub fn respond(
    settings: MqttSettings,
    filter: &str,
    answer: &mut Answer<'_>,
    stop: &AtomicBool,
) -> Result<(), NetError> {
    let mut talk = |news: News<'_>| -> Vec<Say> {
        let News::Heard(heard) = news else { return Vec::new() };
        let said = answer(&heard.topic, &heard.payload);
        let say = |(topic, payload)| Say { topic, payload, envelope: Envelope::default() };
        said.map(say).into_iter().collect()
    };
    converse(settings, &[filter.to_owned()], &mut talk, stop)
}

/// Hears the topics of `filters` and says what `talk` says to them until `stop`, which `talk` may raise, too; a
/// broker that goes away is waited for.
///
/// # Errors
/// What a person must mend: settings that cannot work, a login that is refused at the first try, a topic that
/// this client may not read.
pub fn converse(
    settings: MqttSettings,
    filters: &[String],
    talk: &mut Talk<'_>,
    stop: &AtomicBool,
) -> Result<(), NetError> {
    let (tls, runtime) = prepare(&settings)?;
    let mut client = Client {
        backoff: Backoff::new(settings.timing.backoff_first, settings.timing.backoff_cap),
        settings: Arc::new(settings),
        tls,
        filters,
        talk,
        stop,
        ever_accepted: false,
    };
    let ended = runtime.block_on(client.run());
    runtime.shutdown_background();
    ended
}

struct Client<'a, 'b> {
    settings: Arc<MqttSettings>,
    tls: Option<Arc<ClientConfig>>,
    filters: &'a [String],
    talk: &'a mut Talk<'b>,
    stop: &'a AtomicBool,
    backoff: Backoff,
    ever_accepted: bool,
}

/// A connection that the broker has accepted.
struct Accepted {
    limits: Limits,
    flight: Flight,
    asked: usize,
    granted: usize,
}

impl Client<'_, '_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

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
                // Nobody hears what would be said to that.
                drop((self.talk)(News::Away(&failure.message)));
                if self.stopped() {
                    return Ok(());
                }
                sleep(LOOK.min(end - Instant::now())).await;
            }
        }
    }

    async fn connection(&mut self) -> Ended {
        let mut line = Connection::open(&self.settings, self.tls.as_ref(), None);
        let mut accepted: Option<Accepted> = None;
        let mut answers: VecDeque<Say> = VecDeque::new();
        loop {
            let happening = tokio::select! {
                happening = line.happening() => Some(happening),
                () = sleep(LOOK) => None,
            };
            let news = match &happening {
                None if accepted.is_none() => Some(News::Away("the broker does not answer yet")),
                None => Some(News::Nothing),
                Some(Happening::Heard(heard)) if answers.len() < WAITING => {
                    Some(News::Heard(heard))
                }
                Some(Happening::Subscribed(id)) => self.granted(&mut accepted, *id),
                Some(_) => None,
            };
            if let Some(news) = news {
                let said = (self.talk)(news);
                answers.extend(said);
            }
            // Here, so that whoever has heard what it waited for need not wait any longer.
            if self.stopped() {
                line.say_goodbye();
                return Ended::Stopped;
            }
            match happening {
                None | Some(Happening::Heard(_) | Happening::Subscribed(_)) => {}
                Some(Happening::Lost(failure)) => return Ended::Lost(failure),
                Some(Happening::SaidGoodbye) => return Ended::Stopped,
                Some(Happening::Accepted(limits)) => {
                    log::info!("connected to the broker at {}", self.settings.address());
                    self.ever_accepted = true;
                    let flight = Flight::new(limits.receive_max);
                    accepted = Some(Accepted { limits, flight, asked: 0, granted: 0 });
                }
                Some(happening) => {
                    if let Some(now) = &mut accepted
                        && let Some(why) = self.done(now, &happening)
                    {
                        return Ended::NotAllowed(why);
                    }
                }
            }
            if let Some(now) = &mut accepted {
                match self.fill(&line, now, &mut answers) {
                    Ok(true) => {}
                    Ok(false) => {
                        return Ended::Lost(Failure::retry(
                            "the broker does not keep up".to_owned(),
                        ));
                    }
                    Err(why) => return Ended::NotAllowed(why),
                }
            }
        }
    }

    fn granted(&mut self, accepted: &mut Option<Accepted>, id: u16) -> Option<News<'static>> {
        let now = accepted.as_mut()?;
        now.flight.subscribed(id)?;
        self.backoff.reset();
        now.granted += 1;
        (now.granted == self.filters.len()).then_some(News::Subscribed)
    }

    /// Something handed over is done; says why where a subscription is refused.
    fn done(&mut self, now: &mut Accepted, happening: &Happening) -> Option<String> {
        match happening {
            Happening::Written(id) => drop(now.flight.written(*id)),
            Happening::Acknowledged(id) => drop(now.flight.acknowledged(*id)),
            Happening::Refused(id, reason) => {
                now.flight.acknowledged(*id);
                log::warn!("the broker refuses what is said: {reason:?}");
            }
            Happening::NotSubscribed(id, reason) => {
                let index = now.flight.subscribed(*id).unwrap_or_default();
                let filter = self.filters.get(index).map_or("", String::as_str);
                let address = self.settings.address();
                return Some(format!(
                    "the broker at {address} refused to subscribe us to {filter}: {reason:?}: allow this client to read it"
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
        now: &mut Accepted,
        answers: &mut VecDeque<Say>,
    ) -> Result<bool, String> {
        let at = Instant::now();
        if now.flight.oldest().is_some_and(|since| at - since > self.settings.timing.ack) {
            return Ok(false);
        }
        while now.flight.has_room() {
            if let Some(filter) = self.filters.get(now.asked) {
                if !now.limits.takes_filter(filter) || !line.subscribe(filter, false) {
                    return Err(format!("{filter} is no topic filter that the broker takes"));
                }
                now.flight.depart(Cargo::Subscription(now.asked), at);
                now.asked += 1;
                continue;
            }
            let Some(say) = answers.pop_front() else { return Ok(true) };
            if !valid_topic(&say.topic) || !now.limits.takes(&say.topic, say.bytes()) {
                log::warn!("{}: {} bytes are more than the broker takes", say.topic, say.bytes());
                continue;
            }
            if !line.say(now.limits.qos(QoS::AtLeastOnce), say) {
                return Ok(false);
            }
            now.flight.depart(Cargo::Passing, at);
        }
        Ok(true)
    }
}
