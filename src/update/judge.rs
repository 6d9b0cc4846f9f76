//! Whether a new bundle is good enough: on live windows beside what serves, then at work. Pure.

use std::time::Duration;

use super::failure::{Code, Failure};
use crate::data::Finding;
use crate::model::UpdateLimits;

/// What a new bundle must keep to.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Live windows through both before the new one takes over; 0 for none.
    pub shadow_windows: u32,
    /// The least share of them whose findings must agree, 0 to 1.
    pub agreement: f32,
    /// Regression: findings agree within this share of the value that serves (at least of 1).
    pub within: f32,
    /// Time that a window may take, where that is less than until the next one is due.
    pub latency: Option<Duration>,
    /// How long it is watched at work.
    pub trial: Duration,
    /// Memory of the process may grow by this much meanwhile.
    pub growth_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            shadow_windows: 20,
            agreement: 0.6,
            within: 0.1,
            latency: None,
            trial: Duration::from_secs(600),
            growth_bytes: 64 << 20,
        }
    }
}

impl Limits {
    /// With what was said of the comparison; of the rest nothing changes.
    pub fn comparing(&self, said: &UpdateLimits) -> Self {
        Self {
            shadow_windows: said.windows.unwrap_or(self.shadow_windows),
            agreement: said.agreement.unwrap_or(self.agreement),
            within: said.within.unwrap_or(self.within),
            latency: said.latency.or(self.latency),
            ..self.clone()
        }
    }
}

/// Errors, late windows of a comparison: forgiven as long as there are no more than this.
const FORGIVEN: u64 = 2;
/// Late results of a trial: one pause of the machine makes several in a row late, whatever the bundle is like.
const FORGIVEN_LATE: u64 = 5;
/// Of many windows this share is forgiven, beyond what the bundle before had.
const FORGIVEN_SHARE: f64 = 0.02;
/// And as many more as chance gives: standard deviations of a Poisson distribution.
const CHANCE: f64 = 3.0;
/// Windows that must have gone through before a trial is good.
const TRIAL_WINDOWS: u64 = 10;

/// Findings of both bundles for the same windows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    windows: u32,
    agreed: u32,
    late: u32,
    slowest: Duration,
    /// What a window may take by its limit, where that is less than until the next one is due.
    limit: Option<Duration>,
}

impl Comparison {
    /// Windows so far.
    pub fn windows(&self) -> u32 {
        self.windows
    }

    /// Adds a window: what serves found, and what the new one found in `took`. After `due` the next window must be
    /// done.
    pub fn add(
        &mut self,
        served: &Finding,
        new: &Finding,
        took: Duration,
        due: Duration,
        limits: &Limits,
    ) {
        self.limit = limits.latency.filter(|limit| *limit < due);
        self.windows += 1;
        self.agreed += u32::from(agree(served, new, limits.within));
        self.late += u32::from(took > self.limit.unwrap_or(due));
        self.slowest = self.slowest.max(took);
    }

    /// Whether the new one may take over; `None` while there are not windows enough.
    pub fn verdict(&self, limits: &Limits) -> Option<Result<(), Failure>> {
        let wanted = limits.shadow_windows;
        if self.windows < wanted {
            return None;
        }
        if self.windows == 0 {
            return Some(Ok(()));
        }
        let share = self.agreed as f32 / self.windows as f32;
        let refused = |message| Some(Err(Failure::new(Code::ShadowDisagreed, message)));
        if share < limits.agreement {
            let (agreed, windows, least) = (self.agreed, self.windows, limits.agreement);
            return refused(format!(
                "on {agreed} of {windows} live windows it agreed with the version that serves; \
                 at least {:.0} % must",
                least * 100.0
            ));
        }
        if u64::from(self.late) > FORGIVEN.min(u64::from(self.windows) / 2) {
            let (late, windows) = (self.late, self.windows);
            let allowed = match self.limit {
                Some(limit) => format!("the {limit:?} of its limit"),
                None => "until the next one was due".to_owned(),
            };
            return refused(format!(
                "{late} of {windows} live windows took it longer than {allowed}, {} ms at most",
                self.slowest.as_millis()
            ));
        }
        Some(Ok(()))
    }
}

/// Whether two findings say the same. Findings of different kinds never do.
fn agree(served: &Finding, new: &Finding, within: f32) -> bool {
    match (served, new) {
        (
            Finding::Classification { label: served, .. },
            Finding::Classification { label: new, .. },
        ) => served == new,
        (Finding::Regression { value: served, .. }, Finding::Regression { value: new, .. }) => {
            (served - new).abs() <= within * served.abs().max(1.0)
        }
        (Finding::Anomaly { anomalous: served, .. }, Finding::Anomaly { anomalous: new, .. }) => {
            served == new
        }
        (
            Finding::Detection { .. } | Finding::Keypoints { .. } | Finding::Segmentation { .. },
            _,
        ) => served.says_the_same_as(new),
        (Finding::Action { action: served, .. }, Finding::Action { action: new, .. }) => {
            served == new
        }
        (Finding::Cluster { cluster: served, .. }, Finding::Cluster { cluster: new, .. }) => {
            served == new
        }
        (Finding::Vector { vector: served }, Finding::Vector { vector: new }) => {
            let length = |values: &mut dyn Iterator<Item = f32>| {
                values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
            };
            let apart = length(&mut served.iter().zip(new).map(|(a, b)| a - b));
            let whole = length(&mut served.iter().copied());
            served.len() == new.len() && apart <= f64::from(within) * whole.max(1.0)
        }
        _ => false,
    }
}

/// Counters of the pipelines that a model serves, and of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Windows that gave a finding.
    pub windows: u64,
    /// Windows that gave none, because of the bundle.
    pub errors: u64,
    /// Findings that came after the next window was due.
    pub misses: u64,
    /// Resident memory of the process.
    pub rss_bytes: u64,
    /// What the last error said.
    pub last_error: Option<String>,
    /// Whether a sensor feeds one of them; otherwise there are no windows to wait for.
    pub fed: bool,
    /// Whether a pipeline makes no progress.
    pub hangs: bool,
}

/// How a trial stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Too early to say.
    Wait,
    /// The bundle stays.
    Good,
    /// The bundle before returns.
    Bad(Failure),
}

/// Judges a trial that has lasted `elapsed`, by the counters from its `start` to `now`. Those up to the start are
/// of the bundle before, and say what is usual.
pub fn trial(limits: &Limits, start: &Reading, now: &Reading, elapsed: Duration) -> Verdict {
    let bad = |message: String| Verdict::Bad(Failure::new(Code::TrialFailed, message));
    let windows = now.windows.saturating_sub(start.windows);
    let errors = now.errors.saturating_sub(start.errors);
    let misses = now.misses.saturating_sub(start.misses);
    if now.hangs {
        return bad("on trial a pipeline made no progress any more".into());
    }
    let turns = windows + errors;
    let too_many = |forgiven: u64, found: u64, of: u64, then: u64, of_then: u64| {
        let usual = then as f64 / of_then.max(1) as f64;
        let expected = (usual + FORGIVEN_SHARE) * of as f64;
        found > forgiven && found as f64 > expected + CHANCE * expected.sqrt()
    };
    if too_many(FORGIVEN, errors, turns, start.errors, start.windows + start.errors) {
        let last = now.last_error.as_deref().unwrap_or("no finding");
        return bad(format!("on trial {errors} of {turns} windows failed: {last}"));
    }
    if too_many(FORGIVEN_LATE, misses, windows, start.misses, start.windows) {
        return bad(format!(
            "on trial {misses} of {windows} results came after the next window was due"
        ));
    }
    let growth = now.rss_bytes.saturating_sub(start.rss_bytes);
    if growth > limits.growth_bytes {
        let (grown, most) = (growth >> 20, limits.growth_bytes >> 20);
        return bad(format!("on trial memory grew by {grown} MiB, more than {most} MiB"));
    }
    let seen_enough = !now.fed || windows >= TRIAL_WINDOWS;
    if elapsed >= limits.trial && seen_enough { Verdict::Good } else { Verdict::Wait }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn label(name: &str) -> Finding {
        Finding::Classification { label: Some(Arc::from(name)), score: 0.9, top: Vec::new() }
    }

    fn compared(agreed: u32, late: u32, windows: u32) -> Option<Result<(), Failure>> {
        compared_with(&UpdateLimits::default(), agreed, late, windows)
    }

    fn compared_with(
        said: &UpdateLimits,
        agreed: u32,
        late: u32,
        windows: u32,
    ) -> Option<Result<(), Failure>> {
        let limits = Limits { shadow_windows: 10, ..Limits::default() }.comparing(said);
        let mut comparison = Comparison::default();
        for window in 0..windows {
            let new = if window < agreed { "a" } else { "b" };
            let took = Duration::from_millis(if window < late { 200 } else { 1 });
            let due = Duration::from_millis(100);
            comparison.add(&label("a"), &label(new), took, due, &limits);
        }
        comparison.verdict(&limits)
    }

    #[test]
    fn a_shadow_run_compares_answers_and_time() {
        assert_eq!(compared(9, 0, 9), None);
        assert_eq!(compared(10, 0, 10), Some(Ok(())));
        assert_eq!(compared(6, 2, 10), Some(Ok(())));
        let why = |found: Option<Result<(), Failure>>| found.unwrap().unwrap_err().message;
        assert_eq!(
            why(compared(5, 0, 10)),
            "on 5 of 10 live windows it agreed with the version that serves; at least 60 % must"
        );
        assert_eq!(
            why(compared(10, 3, 10)),
            "3 of 10 live windows took it longer than until the next one was due, 200 ms at most"
        );
    }

    #[test]
    fn what_was_said_of_a_comparison_counts_instead() {
        let why = |said: UpdateLimits| {
            compared_with(&said, 8, 3, 10).unwrap().err().map(|failure| failure.message)
        };
        let wanted = UpdateLimits { agreement: Some(0.9), ..UpdateLimits::default() };
        assert!(why(wanted).unwrap().ends_with("at least 90 % must"));
        let fast = Some(Duration::from_micros(150_500));
        let wanted = UpdateLimits { latency: fast, ..UpdateLimits::default() };
        assert!(
            why(wanted).unwrap().contains("until the next one was due"),
            "100 ms, whatever is said"
        );
        let fast = Some(Duration::from_micros(20_500));
        let wanted = UpdateLimits { latency: fast, ..UpdateLimits::default() };
        assert_eq!(
            why(wanted).unwrap(),
            "3 of 10 live windows took it longer than the 20.5ms of its limit, 200 ms at most"
        );
        let none =
            UpdateLimits { windows: Some(0), agreement: Some(1.0), ..UpdateLimits::default() };
        let comparison = Comparison::default();
        assert_eq!(comparison.verdict(&Limits::default().comparing(&none)), Some(Ok(())));
        let few = UpdateLimits { windows: Some(20), ..UpdateLimits::default() };
        assert_eq!(compared_with(&few, 10, 0, 10), None);
    }

    #[test]
    fn numbers_agree_within_a_share() {
        let value = |value| Finding::Regression { value, unit: Arc::from("m") };
        assert!(agree(&value(100.0), &value(109.0), 0.1));
        assert!(!agree(&value(100.0), &value(111.0), 0.1));
        assert!(agree(&value(0.0), &value(0.1), 0.1));
        assert!(!agree(&value(0.0), &value(f32::NAN), 0.1));
        assert!(!agree(&value(0.0), &label("a"), 0.1));
    }

    fn reading(windows: u64, errors: u64, misses: u64) -> Reading {
        Reading { windows, errors, misses, fed: true, ..Reading::default() }
    }

    #[test]
    fn a_trial_is_good_after_its_time_and_bad_at_once() {
        let limits = Limits::default();
        let (start, long) = (reading(500, 1, 1), limits.trial);
        let judged = |now: &Reading, elapsed| trial(&limits, &start, now, elapsed);
        assert_eq!(judged(&reading(600, 1, 1), Duration::from_secs(1)), Verdict::Wait);
        assert_eq!(judged(&reading(600, 1, 1), long), Verdict::Good);
        assert_eq!(judged(&reading(505, 1, 1), long), Verdict::Wait, "a sensor is away");
        assert_eq!(judged(&reading(600, 3, 3), long), Verdict::Good, "two are forgiven");
        let bad = |now: &Reading| match judged(now, Duration::ZERO) {
            Verdict::Bad(failure) => failure.message,
            other => panic!("{other:?}"),
        };
        let mut failing = reading(500, 6, 1);
        failing.last_error = Some("NaN".into());
        assert_eq!(bad(&failing), "on trial 5 of 5 windows failed: NaN");
        assert_eq!(
            bad(&reading(510, 1, 7)),
            "on trial 6 of 10 results came after the next window was due"
        );
        let grown = Reading { rss_bytes: 65 << 20, ..reading(510, 1, 1) };
        assert_eq!(bad(&grown), "on trial memory grew by 65 MiB, more than 64 MiB");
        let hung = Reading { hangs: true, ..reading(510, 1, 1) };
        assert_eq!(bad(&hung), "on trial a pipeline made no progress any more");
        let unfed = Reading { fed: false, ..reading(500, 1, 1) };
        assert_eq!(judged(&unfed, long), Verdict::Good);
    }

    #[test]
    fn one_pause_of_the_machine_is_no_fault_and_a_slow_bundle_is() {
        let limits = Limits::default();
        let start = reading(500, 0, 0);
        let judged = |windows: u64, misses: u64| {
            trial(&limits, &start, &reading(500 + windows, 0, misses), Duration::from_secs(1))
        };
        for (windows, misses) in [(5, 5), (20, 3), (184, 4), (600, 20)] {
            assert_eq!(judged(windows, misses), Verdict::Wait, "{misses} of {windows}");
        }
        for (windows, misses) in [(6, 6), (20, 7), (600, 24), (60_000, 1_400)] {
            assert!(matches!(judged(windows, misses), Verdict::Bad(_)), "{misses} of {windows}");
        }
    }

    #[test]
    fn what_the_bundle_before_did_as_well_is_no_fault() {
        let limits = Limits::default();
        let before = reading(100, 50, 50);
        let judged = trial(&limits, &before, &reading(200, 100, 101), limits.trial);
        assert_eq!(judged, Verdict::Good);
    }
}
