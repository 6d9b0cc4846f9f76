//! Sensor → window → preprocess → engine → postprocess → sink: [`Pipeline::turn`] is the product on
//! one screen. One thread for each pipeline; nothing here waits for the network.

mod exchange;
mod switch;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TrySendError;
use std::time::Duration;

use crate::clock::{Clock, Stopwatch};
use crate::data::{
    Content, Event, EventKind, Finding, Frames, Inference, Rejected, Stamp, WindowSpan,
};
use crate::health::PipelineStats;
use crate::predict::PredictError;
use crate::queue::{FrameReceiver, Waited};
use crate::sequence::Sequence;
use crate::sink::Sink;
use crate::window::Windower;
pub use exchange::{Exchange, NotTaken, Order, Served, Serving, Taps};
pub use switch::Switch;

/// How long a pipeline waits for frames before it shows that it is alive.
const BEAT: Duration = Duration::from_millis(250);

/// Which findings are published; events always are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Publish {
    /// Each window's.
    Every,
    /// Those whose label, value or alarm differs from the one published before.
    Change,
    /// Those whose score or value is at least this.
    Above(f32),
}

/// The parts of a pipeline, joined.
pub struct Pipeline {
    /// The pipeline's name.
    pub name: Arc<str>,
    /// Cuts the stream of all the sensor's channels, so that no version of a model changes what is collected.
    pub windower: Windower,
    /// Values of a frame.
    pub channels: usize,
    /// What runs on the windows; nothing before a model's first version is there.
    pub serving: Option<Box<Serving>>,
    /// Where another bundle comes from.
    pub exchange: Arc<Exchange>,
    /// Where windows go, too.
    pub taps: Taps,
    /// Whether windows become results.
    pub switch: Switch,
    /// A finding later than this after its last sample is a deadline miss: the next window is due.
    pub deadline: Duration,
    /// Which findings are published.
    pub publish: Publish,
    /// Numbers the findings.
    pub sequence: Arc<Sequence>,
    /// Where findings and events go.
    pub sinks: Vec<Box<dyn Sink>>,
    /// What is counted.
    pub stats: Arc<PipelineStats>,
    /// The stream's time.
    pub clock: Arc<dyn Clock>,
    /// What was published last, for [`Publish::Change`].
    pub last: Option<Finding>,
}

impl Pipeline {
    /// Takes frames from `queue` until its other end is gone and nothing is left.
    pub fn run(mut self, queue: &FrameReceiver, mut frames: Frames) {
        loop {
            match queue.take(&mut frames, BEAT) {
                Waited::Frames => self.turn(&frames),
                Waited::Nothing => self.exchange.take(&mut self.serving, &mut self.taps),
                Waited::Closed => break,
            }
            self.stats.dropped_frames.store(queue.dropped(), Ordering::Relaxed);
            self.stats.beat();
        }
        self.exchange.end();
    }

    /// One batch of frames all the way through.
    pub fn turn(&mut self, frames: &Frames) {
        for (index, (frame, stamp)) in frames.iter().enumerate() {
            self.exchange.take(&mut self.serving, &mut self.taps);
            if let (true, Some(serving)) = (stamp.gap_before, &mut self.serving) {
                serving.predictor.reset();
            }
            let Some(window) = self.windower.push(frame, stamp) else { continue };
            let content =
                frames.picture(index).map_or(Content::Rows(window.values), Content::Picture);
            if let Some(capture) = &self.taps.capture
                && let Err(TrySendError::Disconnected(_)) = capture.try_send(window.values.to_vec())
            {
                self.taps.capture = None;
            }
            let Some(serving) = &mut self.serving else { continue };
            if self.switch.is_paused() {
                // To what comes after the pause, what was before it is another stream.
                serving.predictor.reset();
                continue;
            }
            let watch = Stopwatch::start();
            let found = serving.predict(content, window.fresh, self.channels);
            let (latency, span) = (watch.elapsed(), window.span);
            if let Some(shadow) = &mut self.taps.shadow {
                shadow.offer(
                    content,
                    window.fresh,
                    found.as_ref().ok().map(|(finding, _)| finding),
                );
            }
            match found {
                Ok((finding, event)) => self.found(finding, event, latency, span, stamp),
                Err(error) => {
                    self.stats.dropped_windows.fetch_add(1, Ordering::Relaxed);
                    if !matches!(error, PredictError::Preprocess(_)) {
                        self.stats.failed_windows.fetch_add(1, Ordering::Relaxed);
                    }
                    let error = error.to_string();
                    if self.stats.set_error(Some(error.clone())) {
                        log::warn!("pipeline {}: {error}", self.name);
                    }
                }
            }
        }
    }

    fn found(
        &mut self,
        finding: Finding,
        event: Option<EventKind>,
        latency: Duration,
        window: WindowSpan,
        last_sample: Stamp,
    ) {
        self.stats.windows.fetch_add(1, Ordering::Relaxed);
        self.stats.latencies.add(latency);
        self.stats.set_error(None);
        if self.clock.monotonic().saturating_sub(last_sample.at) > self.deadline {
            self.stats.deadline_misses.fetch_add(1, Ordering::Relaxed);
        }
        let Some(serving) = &self.serving else { return };
        let (model, version) = (serving.model.clone(), serving.version.clone());
        let pipeline = self.name.clone();
        for sink in &mut self.sinks {
            sink.found(&finding, last_sample.at);
        }
        if let Some(kind) = event {
            let event = Event { pipeline: pipeline.clone(), time: window.end, kind };
            for sink in &mut self.sinks {
                count_drop(&self.stats, sink.event(event.clone()));
            }
        }
        if !self.publish.wants(&finding, self.last.as_ref()) {
            return;
        }
        self.last = (self.publish == Publish::Change).then(|| finding.clone());
        let seq = self.sequence.take();
        let found = Inference { pipeline, seq, model, version, latency, window, finding };
        self.stats.published.fetch_add(1, Ordering::Relaxed);
        for sink in &mut self.sinks {
            count_drop(&self.stats, sink.publish(found.clone()));
        }
    }
}

fn count_drop(stats: &PipelineStats, taken: Result<(), Rejected>) {
    if taken.is_err() {
        stats.sink_drops.fetch_add(1, Ordering::Relaxed);
    }
}

impl Publish {
    /// Whether `finding` is published after `last` was.
    fn wants(self, finding: &Finding, last: Option<&Finding>) -> bool {
        match self {
            Self::Every => true,
            Self::Change => last.is_none_or(|last| !finding.says_the_same_as(last)),
            Self::Above(limit) => finding.reaches(limit),
        }
    }
}

#[cfg(test)]
mod tests;
