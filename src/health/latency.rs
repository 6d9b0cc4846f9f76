//! A fixed histogram of durations that threads write without waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Sub-buckets for each doubling: percentiles are right within 1/8.
const STEPS: usize = 8;
const BUCKETS: usize = 33 * STEPS;

/// Durations in microseconds, in buckets that grow with the value; above 71 minutes all in the last.
pub struct Latencies {
    buckets: Box<[AtomicU64]>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl std::fmt::Debug for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count: u64 = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).sum();
        write!(f, "Latencies({count})")
    }
}

impl Latencies {
    /// Adds one duration.
    pub fn add(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(us)].fetch_add(1, Ordering::Relaxed);
    }

    /// The percentiles asked for (0 to 100), in microseconds, of what was added since the last call, and
    /// forgets it. `None` when nothing was added.
    pub fn take<const N: usize>(&self, percentiles: [f64; N]) -> Option<[u64; N]> {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.swap(0, Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return None;
        }
        Some(percentiles.map(|percentile| {
            let rank = ((percentile / 100.0 * total as f64).ceil() as u64).clamp(1, total);
            let mut seen = 0;
            let at = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            upper_us(at.unwrap_or(BUCKETS - 1))
        }))
    }
}

/// Values below `STEPS` have a bucket each; above, each doubling has `STEPS` of them.
fn bucket(us: u64) -> usize {
    if us < STEPS as u64 {
        return us as usize;
    }
    let doubling = us.ilog2() as usize; // at least 3
    let within = (us >> (doubling - 3)) as usize & (STEPS - 1);
    ((doubling - 2) * STEPS + within).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn upper_us(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let (doubling, within) = (bucket / STEPS + 2, bucket % STEPS);
    (((STEPS + within + 1) as u64) << (doubling - 3)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_those_of_what_came_since_the_last_call() {
        let latencies = Latencies::default();
        assert_eq!(latencies.take([50.0]), None);
        (1..=100).for_each(|us| latencies.add(Duration::from_micros(us)));
        let [p50, p99] = latencies.take([50.0, 99.0]).expect("a hundred were added");
        assert!((50..=56).contains(&p50) && (99..=111).contains(&p99), "{p50} {p99}");
        assert_eq!(latencies.take([50.0]), None);
    }

    proptest! {
        #[test]
        fn a_bucket_is_at_most_an_eighth_above_its_values(us in 0u64..1 << 34) {
            let upper = upper_us(bucket(us));
            prop_assert!(us <= upper && upper - us <= us / 8);
        }
    }
}
