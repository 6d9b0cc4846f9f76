//! The thread on which updates run, at the lowest priority, and what others may ask of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;

use super::Surroundings;
use super::report::{self, Reporter};
use super::site::{Site, Slot};
use crate::config::{Config, Follow, ModelSource};
use crate::model::Bundle;
use crate::net::Link;
use crate::storage::OsDisk;
use crate::store::Store;
use crate::update::failure::{Code, Failure};
use crate::update::machine::{Next, Report, Updates, Wish};
use crate::update::record::{Installed, Record};

/// Questions that may wait for the thread, which may be busy with a self-test.
const WAITING: usize = 8;
/// The thread looks at the world at least this often.
const TURN: Duration = Duration::from_secs(1);

/// Whom updates tell how they stand.
pub(super) trait Announce: Send {
    /// A model's updates stand like this; it is durable.
    fn report(&mut self, model: &str, report: &Report);

    /// Another version serves: what the device says of itself has changed.
    fn changed(&mut self);
}

/// What an operator may ask.
pub(super) enum Ask {
    /// How all models stand.
    Status,
    /// To take this bundle, unsigned.
    Apply(Box<Bundle>),
    /// To go back to the version before.
    RollBack(String),
    /// To ask the repository now.
    Check,
}

/// What is answered.
pub(super) enum Answer {
    /// Each model: name, how it stands, what is known of it.
    Status(Vec<(String, Report, Record)>),
    /// The update has begun.
    Begun,
    /// This serves again.
    RolledBack(Installed),
    /// The repository is asked.
    Asked,
}

type Question = (Ask, SyncSender<Result<Answer, Failure>>);

/// Asks the thread; cheap to clone.
#[derive(Clone)]
pub(super) struct Asker(SyncSender<Question>);

impl Asker {
    /// Asks, and waits for the answer: a self-test that runs comes first.
    ///
    /// # Errors
    /// What the updates say, or that they are busy for too long.
    pub(super) fn ask(&self, ask: Ask, within: Duration) -> Result<Answer, Failure> {
        let busy = || Failure::new(Code::Busy, "updates are busy; try again in a minute");
        let (reply, answer) = sync_channel(1);
        self.0.try_send((ask, reply)).map_err(|_| busy())?;
        answer.recv_timeout(within).map_err(|_| busy())?
    }
}

/// The updates before their thread runs: pipelines are still being made.
pub(super) struct Opened {
    updates: Option<(Updates, Site)>,
    announce: Arc<Mutex<Announcer>>,
    follow: Follow,
    stop: Arc<AtomicBool>,
}

impl Opened {
    /// Reads the store of `config`, if any pipeline's model lies there.
    pub(super) fn new(
        config: &Config,
        around: &Surroundings,
        link: Option<Link>,
    ) -> Result<Self, Failure> {
        let announce = Arc::new(Mutex::new(Announcer { link, reporter: None }));
        let stop = Arc::new(AtomicBool::new(false));
        let mut models: Vec<String> = Vec::new();
        for pipeline in &config.pipelines {
            if let ModelSource::Store(name) = &pipeline.model
                && !models.contains(name)
            {
                models.push(name.clone());
            }
        }
        let follow = config.ota.follow;
        if models.is_empty() {
            return Ok(Self { updates: None, announce, follow, stop });
        }
        let store = Store::open(Arc::new(OsDisk), &around.store)?;
        let shared = Box::new(Shared(announce.clone()));
        let mut site = Site::new(&config.ota, around.clock.clone(), shared, stop.clone());
        let storage = around.storage.clone();
        let updates = Updates::open(&models, store, storage, config.ota.check, &mut site)?;
        Ok(Self { updates: Some((updates, site)), announce, follow, stop })
    }

    /// What `model` is to serve first; `None`, said in the log, when there is nothing good yet.
    pub(super) fn serving(&mut self, model: &str) -> Option<Bundle> {
        let (updates, _) = self.updates.as_mut()?;
        updates.current(model).map_err(|failure| log::warn!("{failure}")).ok()
    }

    /// A pipeline that was started.
    pub(super) fn add(&mut self, slot: Slot) {
        if let Some((_, site)) = &mut self.updates {
            site.add(slot);
        }
    }

    /// Starts the thread; `None` when no model lies in the store.
    pub(super) fn start(self, reporter: &Arc<Mutex<Reporter>>) -> anyhow::Result<Option<Updater>> {
        let Some((updates, site)) = self.updates else { return Ok(None) };
        lock(&self.announce).reporter = Some(reporter.clone());
        let (sender, questions) = sync_channel(WAITING);
        let (stop, follow) = (self.stop.clone(), self.follow);
        let work = Work { updates, site, questions, stop: stop.clone() };
        let thread = std::thread::Builder::new()
            .name("update".to_owned())
            .spawn(move || work.run(follow))
            .context("cannot start a thread")?;
        Ok(Some(Updater { asker: Asker(sender), stop, thread }))
    }
}

/// The running thread.
pub(super) struct Updater {
    asker: Asker,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Updater {
    /// A way to ask it.
    pub(super) fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// Ends it; what is under way is gone on with at the next start.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        // Whoever waits for the thread wakes it up.
        let (reply, _answer) = sync_channel(1);
        self.asker.0.try_send((Ask::Status, reply)).ok();
        if self.thread.join().is_err() {
            log::error!("thread update ended with a panic");
        }
    }
}

struct Work {
    updates: Updates,
    site: Site,
    questions: Receiver<Question>,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn run(mut self, follow: Follow) {
        // What serves comes first.
        if let Err(error) = rustix::process::nice(19) {
            log::debug!("updates run at the usual priority: {error}");
        }
        if follow == Follow::Latest {
            let names: Vec<String> = self.updates.names().map(str::to_owned).collect();
            for name in names {
                self.updates.wish(&name, Wish::Newest, &mut self.site);
            }
        }
        self.updates.tell_all(&mut self.site);
        while !self.stop.load(Ordering::Acquire) {
            let wait = match self.updates.turn(&mut self.site) {
                Next::AtOnce => Duration::ZERO,
                Next::After(wait) => wait.min(TURN),
                Next::Nothing => TURN,
            };
            match self.questions.recv_timeout(wait) {
                Ok((ask, reply)) => {
                    let answer = self.answer(ask);
                    // Whoever asked may have gone away.
                    reply.try_send(answer).ok();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.updates.stop();
    }

    fn answer(&mut self, ask: Ask) -> Result<Answer, Failure> {
        let Self { updates, site, .. } = self;
        match ask {
            Ask::Status => {
                let each = updates.names().filter_map(|name| {
                    let (report, record) = (updates.report(name)?, updates.record(name)?.clone());
                    Some((name.to_owned(), report, record))
                });
                Ok(Answer::Status(each.collect()))
            }
            Ask::Apply(bundle) => updates.apply(&bundle, site).map(|()| Answer::Begun),
            Ask::RollBack(model) => updates.roll_back(&model, site).map(Answer::RolledBack),
            Ask::Check => {
                updates.look_again();
                Ok(Answer::Asked)
            }
        }
    }
}

/// Tells the broker.
struct Announcer {
    link: Option<Link>,
    reporter: Option<Arc<Mutex<Reporter>>>,
}

struct Shared(Arc<Mutex<Announcer>>);

fn lock(announcer: &Mutex<Announcer>) -> std::sync::MutexGuard<'_, Announcer> {
    announcer.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Announce for Shared {
    fn report(&mut self, model: &str, report: &Report) {
        let target = report.target.as_ref().map(ToString::to_string).unwrap_or_default();
        match report.progress {
            Some((there, of)) => {
                log::debug!("model {model}: {} {target}, {there} of {of} bytes", report.state);
            }
            None => log::info!("model {model}: {} {target}", report.state),
        }
        let announcer = lock(&self.0);
        let _ = &announcer.link;
    }

    fn changed(&mut self) {
        let announcer = lock(&self.0);
        if let Some(reporter) = &announcer.reporter {
            report::lock(reporter).introduce();
        }
    }
}
