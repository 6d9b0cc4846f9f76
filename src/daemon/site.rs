//! What updates work on: the pipelines of this board, the child for self-tests, the repository, the broker.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use semver::Version;

use super::assemble::{Current, Loaded, fit};
use super::channel::Channel;
use super::updater::Announce;
use crate::clock::{Clock, CpuWatch, SystemClock};
use crate::config::{self, ModelSource};
use crate::health::{self, PipelineStats, ProcessMeter};
use crate::model::{Bundle, UpdateLimits};
use crate::pipeline::{Exchange, Order, Served, Serving};
use crate::predict::PredictError;
use crate::selftest::child;
use crate::sensor::SensorSpec;
use crate::store::Receiving;
use crate::update::failure::{Code, Failure};
use crate::update::judge::{self, Comparison, Limits, Reading, Verdict};
use crate::update::record::Candidate;
use crate::update::world::{Report, World};

/// How long a pipeline may take to the end of a window.
const BETWEEN_WINDOWS: Duration = Duration::from_secs(10);
/// Windows that may wait for the comparison; more are left out.
const WAITING: usize = 4;
/// A pipeline that shows no beat for this long hangs.
const HANG: Duration = Duration::from_secs(10);
/// Memory that must stay free for everything else on the board when a second model is loaded.
const MEMORY_LEFT: u64 = 16 << 20;

/// A pipeline as updates see it.
pub(super) struct Slot {
    settings: config::Pipeline,
    fed: Option<Fed>,
    current: Current,
    stats: Arc<PipelineStats>,
}

/// What a sensor's windows go through.
pub(super) struct Fed {
    pub(super) spec: SensorSpec,
    pub(super) exchange: Arc<Exchange>,
    pub(super) deadline: Duration,
}

impl Slot {
    pub(super) fn new(
        settings: &config::Pipeline,
        fed: Option<Fed>,
        current: Current,
        stats: Arc<PipelineStats>,
    ) -> Self {
        Self { settings: settings.clone(), fed, current, stats }
    }

    fn runs(&self, model: &str) -> bool {
        matches!(&self.settings.model, ModelSource::Store(name) if name == model)
    }

    /// Whether `bundle` fits the window and the sensor; the columns that it takes of it.
    fn fit(&self, bundle: &Bundle) -> anyhow::Result<Vec<usize>> {
        match (&self.fed, &self.settings.feed) {
            (Some(fed), Some(feed)) => fit(&bundle.manifest, feed.window, &fed.spec),
            _ => Ok(Vec::new()),
        }
    }

    fn prepare(&self, bundle: &Bundle) -> anyhow::Result<Prepared> {
        let columns = self.fit(bundle)?;
        let loaded = Loaded::new(bundle, &self.settings)?;
        let serving = match &self.fed {
            Some(_) => Some(loaded.serving(columns.clone())?),
            None => None,
        };
        Ok(Prepared { loaded: Arc::new(loaded), serving, columns })
    }

    /// `prepared` serves from the next window on; what served before is freed here.
    fn take_over(&self, prepared: Option<Prepared>) -> Result<(), Failure> {
        let (loaded, serving) = match prepared {
            Some(prepared) => (Some(prepared.loaded), prepared.serving),
            None => (None, None),
        };
        if let Some(fed) = &self.fed {
            let taken = fed.exchange.order(Order::Serve(serving), BETWEEN_WINDOWS);
            let named = |error| {
                Failure::new(Code::Internal, format!("pipeline {}: {error}", self.settings.name))
            };
            drop(taken.map_err(named)?);
        }
        self.current.set(loaded);
        Ok(())
    }
}

/// A bundle made ready for one pipeline.
struct Prepared {
    loaded: Arc<Loaded>,
    serving: Option<Box<Serving>>,
    columns: Vec<usize>,
}

/// A bundle beside the one that serves.
#[derive(Default)]
struct Staged {
    prepared: HashMap<usize, Prepared>,
    shadow: Option<Shadow>,
}

/// The comparison on live windows, on the first pipeline that has any.
struct Shadow {
    slot: usize,
    new: Serving,
    channels: usize,
    served: Receiver<Served>,
    comparison: Comparison,
    limits: Limits,
}

/// A bundle on trial.
struct Trial {
    began: Duration,
    start: Reading,
    beats: Vec<(u64, Duration)>,
}

/// Everything around the updates of this board.
pub(super) struct Site {
    slots: Vec<Slot>,
    staged: HashMap<String, Staged>,
    trials: HashMap<String, Trial>,
    /// Memory that a bundle's self-test took, for the question whether there is room for a second model.
    peaks: HashMap<String, u64>,
    limits: Limits,
    /// What the configuration says of comparisons; it comes before what a bundle says.
    said: UpdateLimits,
    memory_bytes: u64,
    clock: Arc<dyn Clock>,
    boot: String,
    meter: ProcessMeter,
    /// Or why there is no repository.
    channel: Result<Channel, Failure>,
    announce: Box<dyn Announce>,
    stop: Arc<AtomicBool>,
    called: Arc<AtomicBool>,
}

impl Site {
    /// `stops`: the process is to stop; somebody called, and a download gives way.
    pub(super) fn new(
        ota: &config::Ota,
        channel: Result<Channel, Failure>,
        clock: Arc<dyn Clock>,
        announce: Box<dyn Announce>,
        (stop, called): (Arc<AtomicBool>, Arc<AtomicBool>),
    ) -> Self {
        let limits =
            Limits { trial: ota.trial, growth_bytes: ota.memory_bytes, ..Limits::default() };
        Self {
            slots: Vec::new(),
            staged: HashMap::new(),
            trials: HashMap::new(),
            peaks: HashMap::new(),
            limits,
            said: ota.limits,
            memory_bytes: ota.memory_bytes,
            clock,
            boot: health::boot_id(),
            meter: ProcessMeter::default(),
            channel,
            announce,
            stop,
            called,
        }
    }

    /// The repository, if there is one.
    pub(super) fn channel(&mut self) -> Result<&mut Channel, Failure> {
        self.channel.as_mut().map_err(|failure| failure.clone())
    }

    pub(super) fn add(&mut self, slot: Slot) {
        self.slots.push(slot);
    }

    fn of(&self, model: &str) -> impl Iterator<Item = (usize, &Slot)> {
        let model = model.to_owned();
        self.slots.iter().enumerate().filter(move |(_, slot)| slot.runs(&model))
    }

    fn prepare(&self, model: &str, bundle: &Bundle) -> Result<HashMap<usize, Prepared>, Failure> {
        let each = self.of(model).map(|(index, slot)| {
            let prepared = slot.prepare(bundle).map_err(|error| {
                let name = &slot.settings.name;
                Failure::new(
                    Code::Incompatible,
                    format!("pipeline {name}: {}", super::explained(&error)),
                )
            })?;
            Ok((index, prepared))
        });
        each.collect()
    }

    /// Begins to compare; `None` where no sensor feeds the model.
    fn begin_shadow(&self, model: &str) -> Result<Option<Shadow>, Failure> {
        let staged = self.staged.get(model);
        let fed = self.of(model).find_map(|(index, slot)| {
            Some((index, slot.fed.as_ref()?, staged?.prepared.get(&index)?))
        });
        let Some((slot, fed, prepared)) = fed else { return Ok(None) };
        let internal = |error: String| Failure::new(Code::Internal, error);
        let loaded = &prepared.loaded;
        let predictor = loaded.predictor().map_err(|error| internal(error.to_string()))?;
        let version = loaded.manifest.version.to_string();
        let new = Serving::new(model, &version, prepared.columns.clone(), predictor);
        let (sender, served) = sync_channel(WAITING);
        let taken = fed.exchange.order(Order::Copy(Some(sender)), BETWEEN_WINDOWS);
        taken.map_err(|error| internal(error.to_string()))?;
        let channels = fed.spec.channels.len();
        let limits = self.limits.comparing(&self.said.or(loaded.manifest.update));
        let comparison = Comparison::default();
        Ok(Some(Shadow { slot, new, channels, served, comparison, limits }))
    }

    fn reading(&mut self, model: &str) -> Reading {
        let mut reading = Reading { rss_bytes: self.meter.rss_bytes(), ..Reading::default() };
        for (_, slot) in self.of(model) {
            let stats = &slot.stats;
            reading.windows += stats.windows.load(Ordering::Relaxed);
            reading.errors += stats.failed_windows.load(Ordering::Relaxed);
            reading.misses += stats.deadline_misses.load(Ordering::Relaxed);
            reading.fed |= slot.fed.is_some();
            reading.last_error = reading.last_error.or_else(|| stats.last_error());
        }
        reading
    }

    /// Of each pipeline with a sensor: its beats, and whether it has ended.
    fn beats(&self, model: &str) -> Vec<(u64, bool)> {
        let fed = self.of(model).filter_map(|(_, slot)| Some((slot, slot.fed.as_ref()?)));
        fed.map(|(slot, fed)| (slot.stats.beats(), fed.exchange.has_ended())).collect()
    }
}

impl Shadow {
    /// Runs the windows that have come since.
    fn go_on(&mut self, deadline: Duration) -> Option<Result<(), Failure>> {
        let limits = &self.limits;
        while let Ok(Served { window, fresh, finding }) = self.served.try_recv() {
            // Time of this thread's own work: it has the lowest priority, what serves comes first.
            let watch = CpuWatch::start();
            let found = self.new.predict(window.content(), fresh, self.channels);
            let took = watch.elapsed();
            match found {
                Ok((new, _)) => {
                    self.comparison.add(&finding, &new, took, deadline, limits);
                }
                // The window itself is not fit for the recipe.
                Err(PredictError::Preprocess(_)) => {}
                Err(why) => {
                    let message = format!("on a live window it gave no finding: {why}");
                    return Some(Err(Failure::new(Code::ShadowDisagreed, message)));
                }
            }
            if let Some(verdict) = self.comparison.verdict(limits) {
                return Some(verdict);
            }
        }
        self.comparison.verdict(limits)
    }
}

impl World for Site {
    fn now(&self) -> Duration {
        SystemClock.monotonic()
    }

    fn time(&self) -> String {
        self.clock.wall().rfc3339()
    }

    fn boot(&self) -> &str {
        &self.boot
    }

    fn find(&mut self, model: &str, version: Option<&Version>) -> Result<Candidate, Failure> {
        self.channel()?.find(model, version)
    }

    fn fetch(
        &mut self,
        model: &str,
        candidate: &Candidate,
        into: &mut Receiving,
        report: &Report,
    ) -> Result<(), Failure> {
        let length = candidate.length.max(1);
        let mut told = into.length().saturating_mul(10) / length;
        let Self { channel, announce, .. } = self;
        let channel = channel.as_mut().map_err(|failure| failure.clone())?;
        channel.fetch(model, candidate, into, &mut |there| {
            // Each tenth: a broker need not hear of every block.
            let tenth = there.saturating_mul(10) / length;
            if tenth > told {
                told = tenth;
                let progress = Some((there, candidate.length));
                announce.report(model, &Report { progress, ..report.clone() });
            }
        })
    }

    fn verify(&mut self, model: &str, bundle: &Bundle) -> Result<(), Failure> {
        bundle.manifest.runs_here().map_err(|why| Failure::new(Code::Incompatible, why))?;
        for (_, slot) in self.of(model) {
            slot.fit(bundle).map_err(|error| {
                let message = format!("pipeline {}: {error}", slot.settings.name);
                Failure::new(Code::Incompatible, message)
            })?;
        }
        Ok(())
    }

    fn self_test(
        &mut self,
        model: &str,
        candidate: &Candidate,
        file: &Path,
    ) -> Result<(), Failure> {
        let limits = child::Limits { memory_bytes: self.memory_bytes, ..child::Limits::default() };
        let passed = child::run(file, &limits, &self.stop)?;
        log::info!(
            "model {model} {}: self-test passed, {} windows, slowest {:?}",
            candidate.bundle.version,
            passed.windows,
            passed.slowest
        );
        self.peaks.insert(model.to_owned(), passed.peak_bytes);
        Ok(())
    }

    fn stage(&mut self, model: &str, bundle: &Bundle) -> Result<(), Failure> {
        // A session for each pipeline and one for the comparison.
        let needed = self.peaks.get(model).copied().unwrap_or(bundle.model.len() as u64 * 3);
        let free = health::memory_available_bytes().unwrap_or(u64::MAX);
        if free < needed.saturating_add(MEMORY_LEFT) {
            let (needed, free) = (needed >> 20, free >> 20);
            let message = format!(
                "{free} MiB of memory are free, {needed} MiB are needed beside what serves"
            );
            return Err(Failure::new(Code::NoMemory, message));
        }
        let prepared = self.prepare(model, bundle)?;
        self.staged.insert(model.to_owned(), Staged { prepared, shadow: None });
        Ok(())
    }

    fn shadow(&mut self, model: &str) -> Option<Result<(), Failure>> {
        if self.staged.get(model)?.shadow.is_none() {
            match self.begin_shadow(model) {
                Ok(Some(shadow)) => self.staged.get_mut(model)?.shadow = Some(shadow),
                Ok(None) => return Some(Ok(())),
                Err(failure) => return Some(Err(failure)),
            }
        }
        let shadow = self.staged.get_mut(model)?.shadow.as_mut()?;
        let deadline = self.slots.get(shadow.slot)?.fed.as_ref()?.deadline;
        shadow.go_on(deadline)
    }

    fn activate(&mut self, model: &str) -> Result<(), Failure> {
        self.end_shadow(model);
        let Some(mut staged) = self.staged.remove(model) else {
            return Err(Failure::new(Code::Internal, "nothing is staged"));
        };
        for (index, slot) in self.of(model) {
            slot.take_over(staged.prepared.remove(&index))?;
        }
        self.announce.changed();
        Ok(())
    }

    fn trial(&mut self, model: &str) -> Verdict {
        let now = self.now();
        let mut reading = self.reading(model);
        let beats = self.beats(model);
        let trial = self.trials.entry(model.to_owned()).or_insert_with(|| Trial {
            began: now,
            start: reading.clone(),
            beats: beats.iter().map(|&(beat, _)| (beat, now)).collect(),
        });
        for (seen, (beat, ended)) in trial.beats.iter_mut().zip(beats) {
            if seen.0 != beat || ended {
                *seen = (beat, now);
            }
            reading.hangs |= now.saturating_sub(seen.1) > HANG;
        }
        let elapsed = now.saturating_sub(trial.began);
        judge::trial(&self.limits, &trial.start, &reading, elapsed)
    }

    fn clear(&mut self, model: &str) {
        self.end_shadow(model);
        self.staged.remove(model);
        self.trials.remove(model);
        if let Ok(channel) = &mut self.channel {
            channel.forget_medium(model);
        }
    }

    fn serve(&mut self, model: &str, bundle: Option<&Bundle>) -> Result<(), Failure> {
        let mut prepared = match bundle {
            Some(bundle) => self.prepare(model, bundle)?,
            None => HashMap::new(),
        };
        for (index, slot) in self.of(model) {
            slot.take_over(prepared.remove(&index))?;
        }
        self.announce.changed();
        Ok(())
    }

    fn report(&mut self, model: &str, report: &Report) {
        self.announce.report(model, report);
    }

    fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.called.load(Ordering::Acquire)
    }
}

impl Site {
    fn end_shadow(&mut self, model: &str) {
        let shadow = self.staged.get_mut(model).and_then(|staged| staged.shadow.take());
        let Some(shadow) = shadow else { return };
        if let Some(fed) = self.slots.get(shadow.slot).and_then(|slot| slot.fed.as_ref()) {
            // A pipeline that has ended copies nothing any more.
            fed.exchange.order(Order::Copy(None), BETWEEN_WINDOWS).ok();
        }
    }
}
