//! What a finding holds in a state, and a safe state for when there is none: the thread that sees to it is not the
//! inference thread, so a model that hangs, a sensor that is lost or a pipeline that is paused end in the safe state.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Sink, SinkStats, Worker};
use crate::clock::Clock;
use crate::data::{Event, Finding, Inference, Rejected};

/// How often time is looked at: a safe state comes at most this much late.
const SLICE: Duration = Duration::from_millis(100);
/// How long an output that cannot be set is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// Something outside that has a state.
pub(super) trait Actuator: Send + 'static {
    /// What findings ask for.
    type State: Copy + PartialEq + Send;

    /// Brings it into a state; called again with the same one after an error.
    fn set(&mut self, state: Self::State) -> Result<(), String>;

    /// Brings it into its safe state.
    fn make_safe(&mut self) -> Result<(), String>;
}

struct Desk<S> {
    /// What the newest finding asks for, and when its last sample was taken.
    asked: Option<(S, Duration)>,
    closed: bool,
}

struct Shared<S> {
    desk: Mutex<Desk<S>>,
    changed: Condvar,
}

impl<S> Shared<S> {
    fn desk(&self) -> MutexGuard<'_, Desk<S>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pipeline's end of an output: only the newest finding counts.
pub(super) struct Output<S, F> {
    shared: Arc<Shared<S>>,
    asks: F,
}

/// Starts the thread that holds `actuator` in the state that `asks` makes of the newest finding, and in its safe state
/// from the start on, whenever no finding is younger than `stale_after`, and in the end.
pub(super) fn start<A, F>(
    name: &str,
    mut actuator: A,
    asks: F,
    stale_after: Duration,
    clock: Arc<dyn Clock>,
) -> io::Result<(Output<A::State, F>, Worker)>
where
    A: Actuator,
    F: FnMut(&Finding) -> A::State + Send,
{
    let desk = Mutex::new(Desk { asked: None, closed: false });
    let shared = Arc::new(Shared { desk, changed: Condvar::new() });
    let stats = Arc::<SinkStats>::default();
    let (own, counted, called) = (shared.clone(), stats.clone(), name.to_owned());
    let worker = Worker::spawn(name, stats, move || {
        hold(&called, &mut actuator, &own, stale_after, clock.as_ref(), &counted);
    })?;
    Ok((Output { shared, asks }, worker))
}

#[derive(Clone, Copy, PartialEq)]
enum Goal<S> {
    State(S),
    Safe,
}

fn hold<A: Actuator>(
    name: &str,
    actuator: &mut A,
    shared: &Shared<A::State>,
    stale_after: Duration,
    clock: &dyn Clock,
    stats: &SinkStats,
) {
    let started = clock.monotonic();
    let (mut reached, mut failed_at): (Option<Goal<A::State>>, Option<Duration>) = (None, None);
    // Nobody knows what it was in before.
    let mut begins = true;
    loop {
        let first = std::mem::take(&mut begins);
        let (asked, closed) = {
            let desk = shared.desk();
            (desk.asked, desk.closed)
        };
        let now = clock.monotonic();
        let fresh = |at: &Duration| now.saturating_sub(*at) <= stale_after;
        let goal = match asked {
            Some((state, at)) if fresh(&at) && !closed && !first => Goal::State(state),
            _ => Goal::Safe,
        };
        let rests = failed_at.is_some_and(|at| now.saturating_sub(at) < RETRY) && !closed;
        if reached != Some(goal) && !rests {
            let set = match goal {
                Goal::State(state) => actuator.set(state),
                Goal::Safe => actuator.make_safe(),
            };
            match set {
                Ok(()) => {
                    (reached, failed_at) = (Some(goal), None);
                    stats.delivered(1);
                }
                Err(why) => {
                    // What it is in now is not known.
                    (reached, failed_at) = (None, Some(now));
                    if stats.set_trouble(Some(why.clone())) {
                        log::error!("sink {name}: {why}");
                    }
                }
            }
        }
        if closed {
            return;
        }
        if failed_at.is_none() {
            let stale = goal == Goal::Safe && !fresh(&asked.map_or(started, |(_, at)| at));
            let trouble = stale.then(|| {
                let time = humantime::format_duration(stale_after);
                format!("in its safe state: no finding is younger than {time}")
            });
            let news = stats.set_trouble(trouble.clone());
            match trouble {
                Some(trouble) if news => log::warn!("sink {name}: {trouble}"),
                None if news => log::info!("sink {name}: findings come again"),
                _ => {}
            }
        }
        let desk = shared.desk();
        if first || desk.closed || desk.asked != asked {
            continue;
        }
        drop(shared.changed.wait_timeout(desk, SLICE).unwrap_or_else(PoisonError::into_inner));
    }
}

impl<S: Copy + PartialEq + Send, F: FnMut(&Finding) -> S + Send> Sink for Output<S, F> {
    fn found(&mut self, finding: &Finding, at: Duration) {
        let state = (self.asks)(finding);
        let mut desk = self.shared.desk();
        let news = desk.asked.is_none_or(|(before, _)| before != state);
        desk.asked = Some((state, at));
        drop(desk);
        if news {
            self.shared.changed.notify_one();
        }
    }

    fn publish(&mut self, _: Inference) -> Result<(), Rejected> {
        Ok(())
    }

    fn event(&mut self, _: Event) -> Result<(), Rejected> {
        Ok(())
    }
}

impl<S, F> Drop for Output<S, F> {
    fn drop(&mut self) {
        self.shared.desk().closed = true;
        self.shared.changed.notify_one();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::ManualClock;

    pub(in crate::sink) const PATIENCE: Duration = Duration::from_secs(30);
    const STALE: Duration = Duration::from_secs(10);

    /// Remembers what an output was set to; a test waits for it.
    #[derive(Clone, Default)]
    pub(in crate::sink) struct Seen(Arc<(Mutex<Vec<String>>, Condvar)>);

    impl Seen {
        pub(in crate::sink) fn push(&self, what: impl Into<String>) {
            self.0.0.lock().unwrap().push(what.into());
            self.0.1.notify_all();
        }

        /// Waits until `count` things were seen, and gives them.
        pub(in crate::sink) fn first(&self, count: usize) -> Vec<String> {
            let few = |seen: &mut Vec<String>| seen.len() < count;
            let guard = self.0.0.lock().unwrap();
            let (seen, waited) = self.0.1.wait_timeout_while(guard, PATIENCE, few).unwrap();
            assert!(!waited.timed_out(), "only {:?}", *seen);
            seen.clone()
        }
    }

    struct Fake {
        seen: Seen,
        failures: u32,
    }

    impl Actuator for Fake {
        type State = bool;

        fn set(&mut self, state: bool) -> Result<(), String> {
            if self.failures > 0 {
                self.failures -= 1;
                self.seen.push("fails");
                return Err("no such line".to_owned());
            }
            self.seen.push(if state { "on" } else { "off" });
            Ok(())
        }

        fn make_safe(&mut self) -> Result<(), String> {
            self.seen.push("safe");
            Ok(())
        }
    }

    pub(in crate::sink) fn value(value: f32) -> Finding {
        Finding::Regression { value, unit: "".into() }
    }

    fn positive(finding: &Finding) -> bool {
        matches!(finding, Finding::Regression { value, .. } if *value > 0.0)
    }

    fn started(failures: u32) -> (impl Sink, Worker, Seen, Arc<ManualClock>) {
        let (seen, clock) = (Seen::default(), Arc::new(ManualClock::new()));
        let fake = Fake { seen: seen.clone(), failures };
        let (output, worker) = start("fake", fake, positive, STALE, clock.clone()).unwrap();
        (output, worker, seen, clock)
    }

    #[test]
    fn it_is_safe_before_the_first_finding_follows_each_and_is_safe_in_the_end() {
        let (mut output, worker, seen, clock) = started(0);
        assert_eq!(seen.first(1), ["safe"]);
        output.found(&value(1.0), clock.monotonic());
        assert_eq!(seen.first(2)[1], "on");
        output.found(&value(2.0), clock.monotonic());
        output.found(&value(-1.0), clock.monotonic());
        assert_eq!(seen.first(3)[2], "off");
        drop(output);
        worker.stop(PATIENCE);
        assert_eq!(seen.first(4), ["safe", "on", "off", "safe"]);
    }

    #[test]
    fn without_a_young_finding_it_becomes_safe_by_itself_says_so_and_comes_back() {
        let (mut output, worker, seen, clock) = started(0);
        output.found(&value(1.0), clock.monotonic());
        seen.first(2);
        clock.advance(STALE);
        output.found(&value(1.0), clock.monotonic());
        clock.advance(STALE);
        assert_eq!(seen.first(2), ["safe", "on"], "the finding is as old as it may be");
        clock.advance(Duration::from_millis(1));
        assert_eq!(seen.first(3)[2], "safe");
        // One that is too old when it comes changes nothing.
        output.found(&value(1.0), Duration::ZERO);
        output.found(&value(1.0), clock.monotonic());
        assert_eq!(seen.first(4), ["safe", "on", "safe", "on"]);
        drop(output);
        worker.stop(PATIENCE);
    }

    #[test]
    fn an_output_that_cannot_be_set_is_tried_again_and_is_trouble_meanwhile() {
        let (mut output, worker, seen, clock) = started(1);
        output.found(&value(1.0), clock.monotonic());
        assert_eq!(seen.first(2), ["safe", "fails"]);
        let stats = worker.stats().clone();
        clock.advance(RETRY);
        assert_eq!(seen.first(3)[2], "on");
        drop(output);
        worker.stop(PATIENCE);
        assert_eq!(stats.read().trouble.as_deref(), None);
    }
}
