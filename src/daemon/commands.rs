//! Carries commands out: which have been already, which wait, which run, and when an answer is due. What each
//! verb does stands in a file of its own.
//!
//! ```text
//!  net ──order──► dispatcher ──quick verbs: at once──► answer
//!                  │  ▲ done
//!                  ▼  │
//!                 lanes: one thread for each kind of slow verb, a few waiting
//! ```

mod capture;
mod health;
mod infer;
mod log_level;
mod memory;
pub(super) mod pause;
mod reload;
mod restart;
mod rollback;
mod update;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::report::Reporter;
use super::updater::Asker;
use crate::clock::{Clock, SystemClock};
use crate::data::{ClockState, Verb};
use crate::net::Journal;
use crate::net::commands::{Commands as Link, Order, Route};
use crate::net::http::Door;
use crate::net::random_number;
use crate::net::wire::command::{Args, Code, Outcome, Refusal};
use crate::pipeline::{Exchange, Switch};
use crate::sensor::SensorSpec;
use crate::storage::Storage;
use crate::update::failure::Failure;
use memory::Memory;

/// Commands that may wait for the dispatcher, beside what slow verbs say when they are done.
const WAITING: usize = 32;
/// Commands of a group that may wait for their moment.
const DELAYED: usize = 32;
/// Commands that may wait for each kind of slow verb.
const LANE: usize = 2;
/// Requests of one id that may wait for one answer.
const ROUTES: usize = 4;
/// A slow verb gives up after this, whatever the request says.
const PATIENCE: Duration = Duration::from_secs(120);

/// A pipeline as commands see it.
pub(super) struct Piped {
    pub(super) name: String,
    /// `None` where no sensor feeds it.
    pub(super) tap: Option<Tap>,
}

/// What a pipeline with a sensor can be told.
pub(super) struct Tap {
    pub(super) switch: Switch,
    pub(super) exchange: Arc<Exchange>,
    pub(super) spec: SensorSpec,
    /// Frames in a window.
    pub(super) frames: usize,
    /// Whether people can be heard or seen in what the sensor gives.
    pub(super) is_private: bool,
}

/// What whoever runs the daemon does for commands that reach beyond it.
#[derive(Clone)]
pub struct Host {
    /// Whether the configuration, read anew, is good; otherwise what is wrong with it.
    pub check: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Sets what is logged until the process ends: `off`, `error`, `warn`, `info`, `debug`, `trace`.
    pub log_level: Arc<SetLevel>,
    /// Has lines of that level and above noted there as well, or no more.
    pub tap: Arc<SetTap>,
}

/// Sets a level by its name, or says why not.
pub type SetLevel = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// Sets where lines are noted besides, and from which level on.
pub type SetTap = dyn Fn(Option<(Journal, log::LevelFilter)>) + Send + Sync;

impl Host {
    /// Nothing beyond the daemon can be reached.
    pub fn none() -> Self {
        let no = |what: &str| Err(format!("{what} is not there where edgerun runs like this"));
        let check = Arc::new(move || no("a configuration file"));
        Self { check, log_level: Arc::new(no), tap: Arc::new(|_| {}) }
    }
}

/// What whoever runs the daemon is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Stop, read the configuration, start anew.
    Reload,
    /// End the process so that it is started again.
    Restart,
}

/// All that verbs work on.
pub(super) struct Board {
    pub(super) reporter: Arc<Mutex<Reporter>>,
    pub(super) pipelines: Vec<Piped>,
    /// A session of its own for each model, made when it is first asked for.
    pub(super) doors: Vec<Door>,
    /// `None` where no model lies in the store.
    pub(super) asker: Option<Asker>,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) host: Host,
    /// `[privacy] capture`.
    pub(super) capture_private: bool,
    pub(super) wanted: Arc<AtomicU8>,
    pub(super) stop: Arc<AtomicBool>,
}

/// What a verb is called with.
struct Call {
    args: Args,
    /// When nobody waits any more, by the system's monotonic clock.
    until: Duration,
}

impl Call {
    /// The arguments as `T`, which names all that there can be: a slip in one must not mean another command.
    fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let args = Value::Object(self.args.clone());
        serde_json::from_value(args)
            .map_err(|error| Refusal::new(Code::BadRequest, format_args!("args: {error}")))
    }
}

impl Board {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn names(&self) -> String {
        self.pipelines.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The pipeline of this name, or the only one that there is.
    fn pipeline(&self, name: Option<&str>) -> Result<&Piped, Refusal> {
        match (name, &self.pipelines[..]) {
            (None, [only]) => Ok(only),
            (None, _) => {
                let message = format!("say which pipeline: {}", self.names());
                Err(Refusal::new(Code::BadRequest, message))
            }
            (Some(name), all) => all.iter().find(|one| one.name == name).ok_or_else(|| {
                let message = format!("no pipeline {name:?}; there are: {}", self.names());
                Refusal::new(Code::NotFound, message)
            }),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        // The names are a part of the same closed list.
        let code = serde_json::from_value(failure.code.as_str().into()).unwrap_or(Code::Internal);
        Self { code, message: failure.message }
    }
}

/// A new verb: a variant of [`Verb`], a file, and an arm here.
fn act(board: &Board, verb: Verb, call: &Call) -> Outcome {
    match verb {
        Verb::Health => health::run(board, call),
        Verb::Infer => infer::run(board, call),
        Verb::Capture => capture::run(board, call),
        Verb::Pause => pause::run(board, call, true),
        Verb::Resume => pause::run(board, call, false),
        Verb::Reload => reload::run(board, call),
        Verb::Update => update::run(board, call),
        Verb::Rollback => rollback::run(board, call),
        Verb::Restart => restart::run(board, call),
        Verb::LogLevel => log_level::run(board, call),
    }
}

/// What a slow verb waits for: each kind has a thread, so that none waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Models,
    Windows,
    Updates,
}

/// `None` for a verb that is done at once.
fn kind(verb: Verb) -> Option<Kind> {
    match verb {
        Verb::Infer => Some(Kind::Models),
        Verb::Capture => Some(Kind::Windows),
        Verb::Update | Verb::Rollback => Some(Kind::Updates),
        Verb::Health
        | Verb::Pause
        | Verb::Resume
        | Verb::Reload
        | Verb::Restart
        | Verb::LogLevel => None,
    }
}

/// What is to happen once the answer is on its way.
fn then(verb: Verb) -> Option<Wanted> {
    match verb {
        Verb::Reload => Some(Wanted::Reload),
        Verb::Restart => Some(Wanted::Restart),
        _ => None,
    }
}

/// What `wanted` holds, as [`Board::wanted`] has it.
pub(super) fn wanted(wanted: &AtomicU8) -> Option<Wanted> {
    match wanted.load(Ordering::Acquire) {
        1 => Some(Wanted::Reload),
        2 => Some(Wanted::Restart),
        _ => None,
    }
}

fn guarded(board: &Board, verb: Verb, call: &Call) -> Outcome {
    let acted = catch_unwind(AssertUnwindSafe(|| act(board, verb, call)));
    acted.unwrap_or_else(|_| {
        let message = format!("{verb} failed unexpectedly; the board's log says more");
        Err(Refusal::new(Code::Internal, message))
    })
}

/// What the dispatcher is told.
enum Message {
    Order(Box<Order>),
    Done(u64, Outcome),
    Stop,
}

/// A command for a lane.
struct Job {
    ticket: u64,
    verb: Verb,
    call: Call,
}

/// The running threads.
pub(super) struct Commands {
    link: Link,
    stop: Arc<AtomicBool>,
    messages: SyncSender<Message>,
    thread: JoinHandle<()>,
}

impl Commands {
    /// Starts to carry out what comes over `link`.
    pub(super) fn start(link: Link, board: Board) -> anyhow::Result<Self> {
        let board = Arc::new(board);
        let stop = board.stop.clone();
        let (sender, messages) = sync_channel(WAITING);
        let mut lanes = HashMap::new();
        for kind in link.allowed().iter().filter_map(|verb| kind(*verb)) {
            if let Entry::Vacant(vacant) = lanes.entry(kind) {
                vacant.insert(lane(kind, &board, &sender)?);
            }
        }
        let memory = Memory::open(board.storage.clone());
        let mut dispatcher = Dispatcher {
            link: link.clone(),
            board,
            memory,
            messages,
            lanes,
            delayed: Vec::new(),
            running: HashMap::new(),
            next: 0,
        };
        let thread = std::thread::Builder::new()
            .name("commands".to_owned())
            .spawn(move || dispatcher.run())
            .context("cannot start a thread")?;
        let orders = sender.clone();
        link.serve(move |order| match orders.try_send(Message::Order(Box::new(order))) {
            Err(TrySendError::Full(Message::Order(order))) => Some(*order),
            Err(TrySendError::Disconnected(Message::Order(order))) => Some(*order),
            _ => None,
        });
        Ok(Self { link, stop, messages: sender, thread })
    }

    /// Takes no more, and has what runs come to its end.
    pub(super) fn begin_to_stop(&self) {
        self.link.leave();
        self.stop.store(true, Ordering::Release);
        // Room comes as soon as the dispatcher takes what is there.
        self.messages.send(Message::Stop).ok();
    }

    /// Waits until all has been answered; what a verb waits for must have been stopped before.
    pub(super) fn stop(self) {
        drop(self.messages);
        if self.thread.join().is_err() {
            log::error!("thread commands ended with a panic");
        }
    }
}

fn lane(
    kind: Kind,
    board: &Arc<Board>,
    done: &SyncSender<Message>,
) -> anyhow::Result<SyncSender<Job>> {
    let (sender, jobs) = sync_channel::<Job>(LANE);
    let (board, done) = (board.clone(), done.clone());
    let work = move || {
        for Job { ticket, verb, call } in jobs {
            let outcome = guarded(&board, verb, &call);
            if done.send(Message::Done(ticket, outcome)).is_err() {
                return;
            }
        }
    };
    let name = format!("cmd-{kind:?}").to_lowercase();
    std::thread::Builder::new().name(name).spawn(work).context("cannot start a thread")?;
    Ok(sender)
}

/// A command that is carried out, or waits for its moment.
struct Pending {
    verb: Verb,
    id: Option<String>,
    args: Args,
    /// Where its answers go; none once it is too late for one.
    routes: Vec<Route>,
    /// When it must have been answered.
    due: Option<Duration>,
}

struct Dispatcher {
    link: Link,
    board: Arc<Board>,
    memory: Memory,
    messages: Receiver<Message>,
    lanes: HashMap<Kind, SyncSender<Job>>,
    delayed: Vec<(Duration, Pending)>,
    running: HashMap<u64, Pending>,
    next: u64,
}

impl Dispatcher {
    fn run(&mut self) {
        loop {
            let now = SystemClock.monotonic();
            self.wake(now);
            let delays = self.delayed.iter().flat_map(|(at, one)| [Some(*at), one.due]);
            let dues = self.running.values().map(|one| one.due.filter(|_| !one.routes.is_empty()));
            let next = delays.chain(dues).flatten().min();
            let wait = next.map_or(Duration::MAX, |next| next.saturating_sub(now));
            // A wait without an end is one that the next message ends.
            let message = match self.messages.recv_timeout(wait.min(Duration::from_secs(3600))) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match message {
                Message::Order(order) => self.order(*order),
                Message::Done(ticket, outcome) => {
                    if let Some(pending) = self.running.remove(&ticket) {
                        self.done(pending, outcome);
                    }
                }
                // The lanes end with what they are at, and their ends of the channel go with them.
                Message::Stop => self.lanes.clear(),
            }
        }
        let stops = Refusal::new(Code::Busy, "the daemon stops; try again in a moment");
        let left = self.delayed.drain(..).map(|(_, one)| one);
        for one in left.chain(self.running.drain().map(|(_, one)| one)) {
            answer(&self.link, &one, &Err(stops.clone()));
        }
    }

    /// Does what is due by now.
    fn wake(&mut self, now: Duration) {
        for one in self.running.values_mut() {
            if one.due.is_some_and(|due| due <= now) && !one.routes.is_empty() {
                let message =
                    format!("{} takes longer than the request counts; it goes on", one.verb);
                answer(&self.link, one, &Err(Refusal::new(Code::Expired, message)));
                one.routes.clear();
            }
        }
        let due =
            |(at, one): &(Duration, Pending)| *at <= now || one.due.is_some_and(|due| due <= now);
        let (ready, delayed) = std::mem::take(&mut self.delayed).into_iter().partition(due);
        self.delayed = delayed;
        for (_, pending) in ready {
            self.begin(pending);
        }
    }

    fn order(&mut self, order: Order) {
        let Order { verb, request, to_group, route, deadline } = order;
        let due = match self.due(verb, request.expires, deadline) {
            Ok(due) => due,
            Err(why) => return self.link.answer(&route, request.id.as_deref(), &Err(why)),
        };
        let (id, args) = (request.id, request.args);
        let pending = Pending { verb, id, args, routes: vec![route], due };
        let Some(pending) = self.repeated(pending) else { return };
        if to_group && !request.jitter.is_zero() {
            if self.delayed.len() >= DELAYED {
                let message = "too many commands of groups wait for their moment";
                return answer(&self.link, &pending, &Err(Refusal::new(Code::Busy, message)));
            }
            // 52 bits; where there is no chance, all boards wait for the whole of it.
            let part = random_number().map_or(1.0, |number| number as f64 / (1_u64 << 52) as f64);
            let at = SystemClock.monotonic() + request.jitter.mul_f64(part.min(1.0));
            self.delayed.push((at, pending));
            return;
        }
        self.begin(pending);
    }

    /// When an answer is due: by the broker's count, and by the request's own moment as far as the clock is right.
    fn due(
        &self,
        verb: Verb,
        expires: Option<Duration>,
        deadline: Option<Duration>,
    ) -> Result<Option<Duration>, Refusal> {
        let Some(expires) = expires else { return Ok(deadline) };
        let wall = self.board.clock.wall();
        if wall.clock == ClockState::Unsynced {
            if !verb.changes_state() {
                return Ok(deadline);
            }
            let message = "the clock is not synchronised, so nobody knows whether this has expired; \
                           leave expires out, or use the message expiry of MQTT 5";
            return Err(Refusal::new(Code::Expired, message));
        }
        let left = expires.checked_sub(wall.since_epoch).filter(|left| !left.is_zero());
        let left = left.ok_or_else(|| {
            Refusal::new(Code::Expired, format_args!("expired; it is {} here", wall.rfc3339()))
        })?;
        let due = SystemClock.monotonic().saturating_add(left);
        Ok(Some(deadline.map_or(due, |deadline| deadline.min(due))))
    }

    /// Answers a command that was carried out before, or joins one that is; gives back any other.
    fn repeated(&mut self, pending: Pending) -> Option<Pending> {
        let Some(id) = &pending.id else { return Some(pending) };
        let other = |verb: &str| {
            let message = format!("the id was used for {verb} before; each command needs its own");
            Err(Refusal::new(Code::BadRequest, message))
        };
        if let Some(past) = self.memory.of(id) {
            // Carried out at present: its entry was made before it began.
            if !self.running.values().any(|one| one.id.as_ref() == Some(id)) {
                let same = past.verb == pending.verb.as_str();
                let outcome = if same { past.outcome } else { other(&past.verb) };
                answer(&self.link, &pending, &outcome);
                return None;
            }
        }
        let delayed = self.delayed.iter_mut().map(|(_, one)| one);
        let same = |one: &&mut Pending| one.id.as_ref() == Some(id);
        let Some(first) = self.running.values_mut().chain(delayed).find(same) else {
            return Some(pending);
        };
        if first.verb != pending.verb {
            answer(&self.link, &pending, &other(first.verb.as_str()));
        } else if first.routes.len() < ROUTES {
            first.routes.extend(pending.routes);
            first.due = first.due.zip(pending.due).map(|(one, other)| one.max(other));
        } else {
            let message = "this is carried out already, and too many wait for it";
            answer(&self.link, &pending, &Err(Refusal::new(Code::Busy, message)));
        }
        None
    }

    fn begin(&mut self, pending: Pending) {
        let now = SystemClock.monotonic();
        if pending.due.is_some_and(|due| due <= now) {
            let why = Refusal::new(Code::Expired, "expired before it could be carried out");
            return answer(&self.link, &pending, &Err(why));
        }
        let until = pending.due.map_or(now + PATIENCE, |due| due.min(now + PATIENCE));
        let call = Call { args: pending.args.clone(), until };
        let verb = pending.verb;
        log::info!("command {verb} {}", pending.id.as_deref().unwrap_or_default());
        let Some(kind) = kind(verb) else {
            let outcome = guarded(&self.board, verb, &call);
            return self.done(pending, outcome);
        };
        let ticket = self.next;
        self.next += 1;
        // Once more of these would be another thing: it must not be carried out again after a power cut either.
        let once = if verb == Verb::Rollback { pending.id.as_deref() } else { None };
        if let Some(id) = once {
            self.memory.begin(id, verb);
        }
        let job = Job { ticket, verb, call };
        if self.lanes.get(&kind).is_none_or(|lane| lane.try_send(job).is_err()) {
            let message = format!("{verb} is busy with the ones before; try again in a moment");
            return self.done(pending, Err(Refusal::new(Code::Busy, message)));
        }
        self.running.insert(ticket, pending);
    }

    fn done(&mut self, pending: Pending, outcome: Outcome) {
        if let Err(why) = &outcome {
            log::warn!("command {}: {why}", pending.verb);
        }
        // Kept before it is answered, and before a restart: what is answered is never carried out again.
        match (&pending.id, &outcome) {
            (None, _) => {}
            // Nothing was done, and may be another time.
            (Some(id), Err(Refusal { code: Code::Busy, .. })) => self.memory.forget(id),
            (Some(id), _) => self.memory.end(id, pending.verb, &outcome),
        }
        answer(&self.link, &pending, &outcome);
        if let (Ok(_), Some(wanted)) = (&outcome, then(pending.verb)) {
            let wanted = match wanted {
                Wanted::Reload => 1,
                Wanted::Restart => 2,
            };
            self.board.wanted.fetch_max(wanted, Ordering::AcqRel);
        }
    }
}

fn answer(link: &Link, pending: &Pending, outcome: &Outcome) {
    for route in &pending.routes {
        link.answer(route, pending.id.as_deref(), outcome);
    }
}

#[cfg(test)]
mod tests;
