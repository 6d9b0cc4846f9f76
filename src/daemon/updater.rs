//! The thread on which updates run, at the lowest priority, and what others may ask of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use semver::Version;

use super::Surroundings;
use super::channel::{Channel, no_repository};
use super::report::{self, Reporter};
use super::site::{Site, Slot};
use crate::clock::Clock;
use crate::config::{Config, Follow};
use crate::data::Session;
use crate::model::Bundle;
use crate::net::wire::{Desired, Effective, Progress, Reported, ReportedBundle, ReportedFailure};
use crate::net::{Link, Wishes};
use crate::storage::OsDisk;
use crate::store::Store;
use crate::trust::Source;
use crate::update::failure::{Code, Failure};
use crate::update::machine::{Next, Updates};
use crate::update::record::{Installed, Record};
use crate::update::world::{Report, Wish};

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

/// How all models stand.
#[derive(Clone, Default)]
pub(super) struct Standing {
    /// Each model: name, how it stands, what is known of it.
    pub(super) models: Vec<(String, Report, Record)>,
    /// The fingerprint of the root of trust.
    pub(super) root: Option<String>,
}

/// What an operator may ask.
pub(super) enum Ask {
    /// To take this bundle, unsigned.
    Apply(Box<Bundle>),
    /// To take a signed version from a medium: this one, or the newest that the board can run.
    Bring {
        model: String,
        version: Option<Version>,
        allow_downgrade: bool,
        medium: Arc<dyn Source>,
    },
    /// To go back to the version before, or to this one.
    RollBack(String, Option<Version>),
    /// To keep a version of a model, or that no longer; the one that serves where none is named.
    Pin(String, Option<Version>, bool),
    /// To ask the repository now.
    Check,
    /// To bring this about, as long as no topic says otherwise.
    Update(String, Wish),
}

/// What is answered.
pub(super) enum Answer {
    /// The update has begun.
    Begun,
    /// An update to this version has begun, or it serves already.
    Brought { version: Version, begun: bool },
    /// This serves again.
    RolledBack(Installed),
    /// This is kept, or that no longer.
    Pinned(Installed),
    /// The repository is asked.
    Asked,
}

/// What wakes the thread up.
enum Call {
    /// A question, and where its answer goes.
    Question(Ask, SyncSender<Result<Answer, Failure>>),
    /// Wishes have changed, or it is to stop: it looks by itself.
    Look,
}

/// Asks the thread; cheap to clone.
#[derive(Clone)]
pub(super) struct Asker {
    calls: SyncSender<Call>,
    /// Raised when something was called: a download gives way, and goes on afterwards.
    called: Arc<AtomicBool>,
    announce: Arc<Mutex<Announcer>>,
}

impl Asker {
    /// How all models stand; known at once, whatever the thread is at.
    pub(super) fn standing(&self) -> Standing {
        lock(&self.announce).standing.clone()
    }

    fn call(&self, call: Call) -> bool {
        let sent = self.calls.try_send(call).is_ok();
        self.called.store(true, Ordering::Release);
        sent
    }

    /// Asks, and waits for the answer: a self-test that runs comes first.
    ///
    /// # Errors
    /// What the updates say, or that they are busy for too long.
    pub(super) fn ask(&self, ask: Ask, within: Duration) -> Result<Answer, Failure> {
        let busy = || Failure::new(Code::Busy, "updates are busy; try again in a minute");
        let (reply, answer) = sync_channel(1);
        if !self.call(Call::Question(ask, reply)) {
            return Err(busy());
        }
        answer.recv_timeout(within).map_err(|_| busy())?
    }
}

/// The updates before their thread runs: pipelines are still being made.
pub(super) struct Opened {
    updates: Option<(Updates, Site)>,
    announce: Arc<Mutex<Announcer>>,
    follow: Follow,
    stop: Arc<AtomicBool>,
    called: Arc<AtomicBool>,
}

impl Opened {
    /// Reads the store of `config`, if any pipeline's model lies there.
    pub(super) fn new(
        config: &Config,
        around: &Surroundings,
        link: Option<Link>,
        session: &Session,
    ) -> Result<Self, Failure> {
        let (session, clock) = (session.clone(), around.clock.clone());
        let files = link.as_ref().map(Link::files);
        let standing = Standing::default();
        let announcer = Announcer { link, reporter: None, session, clock, standing };
        let announce = Arc::new(Mutex::new(announcer));
        let [stop, called] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let models = config.store_models();
        let follow = config.ota.follow;
        if models.is_empty() {
            return Ok(Self { updates: None, announce, follow, stop, called });
        }
        let store = Store::open(Arc::new(OsDisk), &around.store)?;
        let shared = Box::new(Shared(announce.clone()));
        let channel = match &config.ota.repository {
            Some(repository) => {
                let (storage, clock) = (around.storage.clone(), around.clock.clone());
                Channel::new(repository, storage, clock, files, (stop.clone(), called.clone()))
            }
            None => Err(no_repository()),
        };
        let unusable = match &channel {
            Ok(channel) => channel.unusable(),
            Err(failure) => Some(failure).filter(|_| config.ota.repository.is_some()),
        };
        if let Some(failure) = unusable {
            log::error!("no updates from the repository: {failure}");
        }
        let clock = around.clock.clone();
        let stops = (stop.clone(), called.clone());
        let mut site = Site::new(&config.ota, channel, clock, shared, stops);
        let storage = around.storage.clone();
        let updates = Updates::open(&models, store, storage, config.ota.check, &mut site)?;
        Ok(Self { updates: Some((updates, site)), announce, follow, stop, called })
    }

    /// What `model` is to serve first; `None`, said in the log, when there is nothing good yet.
    pub(super) fn serving(&mut self, model: &str) -> Option<Bundle> {
        let (updates, _) = self.updates.as_mut()?;
        updates.current(model).map_err(|failure| log::warn!("{failure}")).ok()
    }

    /// What [`Opened::serving`] gave cannot serve: the version before it, if a trial ends with that.
    pub(super) fn cannot_serve(&mut self, model: &str, why: &str) -> Option<Bundle> {
        let (updates, site) = self.updates.as_mut()?;
        updates.cannot_serve(model, why, site)
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
        let (sender, calls) = sync_channel(WAITING);
        let (stop, follow) = (self.stop.clone(), self.follow);
        let (called, announce) = (self.called.clone(), self.announce.clone());
        let asker = Asker { calls: sender, called: self.called, announce: self.announce };
        let wishes = lock(&announce).link.as_ref().map(Link::wishes);
        let wishes = wishes.filter(|_| follow == Follow::Desired);
        if let Some(wishes) = &wishes {
            let asker = asker.clone();
            // Where the queue is full the thread is awake, and looks.
            wishes.on_change(move || {
                asker.call(Call::Look);
            });
        }
        let (ordered, stop_work) = (BTreeMap::new(), stop.clone());
        let mut work =
            Work { updates, site, calls, called, announce, wishes, ordered, stop: stop_work };
        // Whoever asks from now on gets an answer.
        work.stand();
        let thread = std::thread::Builder::new()
            .name("update".to_owned())
            .spawn(move || work.run(follow))
            .context("cannot start a thread")?;
        Ok(Some(Updater { asker, stop, thread }))
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
        // Where the queue is full it is awake.
        self.asker.call(Call::Look);
        if self.thread.join().is_err() {
            log::error!("thread update ended with a panic");
        }
    }
}

struct Work {
    updates: Updates,
    site: Site,
    calls: Receiver<Call>,
    /// Something was called since it was last lowered.
    called: Arc<AtomicBool>,
    announce: Arc<Mutex<Announcer>>,
    /// What the broker says is wished; `None` where that is not followed.
    wishes: Option<Wishes>,
    /// What commands asked for: holds as long as no topic wishes anything, until the process ends.
    ordered: BTreeMap<String, Wish>,
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
        loop {
            self.called.store(false, Ordering::Release);
            // What was called before that; whatever comes later raises it again.
            while let Ok(call) = self.calls.try_recv() {
                self.take(call);
            }
            if self.stop.load(Ordering::Acquire) {
                break;
            }
            self.hear();
            let wait = match self.updates.turn(&mut self.site) {
                Next::AtOnce => Duration::ZERO,
                Next::After(wait) => wait.min(TURN),
                Next::Nothing => TURN,
            };
            self.stand();
            match self.calls.recv_timeout(wait) {
                Ok(call) => self.take(call),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.updates.stop();
    }

    fn take(&mut self, call: Call) {
        if let Call::Question(ask, reply) = call {
            let answer = self.answer(ask);
            self.stand();
            // Whoever asked may have gone away.
            reply.try_send(answer).ok();
        }
    }

    /// Shows how everything stands now.
    fn stand(&mut self) {
        let Self { updates, site, .. } = self;
        let models = updates.names().filter_map(|name| {
            let (report, record) = (updates.report(name)?, updates.record(name)?.clone());
            Some((name.to_owned(), report, record))
        });
        let models = models.collect();
        let root = site.channel().ok().and_then(|channel| channel.fingerprint());
        lock(&self.announce).standing = Standing { models, root };
    }

    /// Follows what is wished at present.
    fn hear(&mut self) {
        let Some(wishes) = &self.wishes else { return };
        for model in wishes.models() {
            let Effective { desired, remark } = wishes.of(model);
            let wish = match desired {
                Some(Desired { version: Some(version), allow_downgrade }) => {
                    Wish::Version { version, allow_downgrade }
                }
                Some(Desired { version: None, .. }) | None => {
                    self.ordered.get(model).cloned().unwrap_or(Wish::Keep)
                }
            };
            self.updates.wish(model, wish, &mut self.site);
            if let Some(remark) = remark {
                let failure = Failure::new(Code::BadRequest, remark);
                self.updates.remark(model, failure, &mut self.site);
            }
        }
    }

    fn answer(&mut self, ask: Ask) -> Result<Answer, Failure> {
        let Self { updates, site, wishes, ordered, .. } = self;
        match ask {
            Ask::Update(model, wish) => {
                let wished = wishes.as_ref().and_then(|wishes| wishes.of(&model).desired);
                if let Some(Desired { version: Some(version), .. }) = wished {
                    let message = format!(
                        "the broker's topic model/{model}/desired, of this board or a group, wishes {version}, \
                         and wins; change it there, or clear it"
                    );
                    return Err(Failure::new(Code::BadRequest, message));
                }
                // What was refused before is tried again; what is under way goes on.
                if updates.report(&model).is_some_and(|report| report.target.is_none()) {
                    updates.wish(&model, Wish::Keep, site);
                }
                updates.wish(&model, wish.clone(), site);
                ordered.insert(model, wish);
                Ok(Answer::Asked)
            }
            Ask::Apply(bundle) => updates.apply(&bundle, site).map(|()| Answer::Begun),
            Ask::Bring { model, version, allow_downgrade, medium } => {
                // What is on its way keeps its own medium.
                updates.is_free(&model)?;
                let candidate = site.channel()?.find_on(medium, &model, version.as_ref())?;
                let version = candidate.bundle.version.clone();
                let taken = updates.take(&model, candidate, allow_downgrade, site);
                if !matches!(taken, Ok(true)) {
                    site.channel()?.forget_medium(&model);
                }
                taken.map(|begun| Answer::Brought { version, begun })
            }
            Ask::RollBack(model, to) => {
                ordered.remove(&model);
                updates.roll_back(&model, to.as_ref(), site).map(Answer::RolledBack)
            }
            Ask::Pin(model, version, pinned) => {
                updates.pin(&model, version.as_ref(), pinned).map(Answer::Pinned)
            }
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
    session: Session,
    clock: Arc<dyn Clock>,
    standing: Standing,
}

impl Announcer {
    fn reported(&self, report: &Report) -> Reported {
        let wall = self.clock.wall();
        let bundle = |bundle: &Installed| ReportedBundle {
            version: bundle.version.to_string(),
            digest: bundle.digest.to_string(),
            origin: bundle.origin.as_str().to_owned(),
        };
        let failure = |(version, failure): &(Option<Version>, Failure)| ReportedFailure {
            version: version.as_ref().map(Version::to_string),
            code: failure.code.as_str().to_owned(),
            message: failure.message.clone(),
        };
        Reported {
            time: wall.rfc3339(),
            clock: wall.clock.as_str().to_owned(),
            session: self.session.as_str().to_owned(),
            state: report.state.to_owned(),
            running: report.running.as_ref().map(bundle),
            previous: report.previous.as_ref().map(bundle),
            target: report.target.as_ref().map(Version::to_string),
            progress: report.progress.map(|(bytes, of)| Progress::new(bytes, of)),
            failure: report.failure.as_ref().map(failure),
        }
    }
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
        let mut announcer = lock(&self.0);
        let stands = announcer.standing.models.iter_mut().find(|(name, ..)| name == model);
        if let Some((_, stands, _)) = stands {
            stands.clone_from(report);
        }
        if let Some(link) = &announcer.link {
            link.publish_reported(model, &announcer.reported(report));
        }
    }

    fn changed(&mut self) {
        let announcer = lock(&self.0);
        if let Some(reporter) = &announcer.reporter {
            report::lock(reporter).introduce();
        }
    }
}
