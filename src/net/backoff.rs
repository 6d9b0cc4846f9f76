//! Pauses between attempts: doubled up to a cap, with jitter, for ever.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The next pause after a failure.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl Backoff {
    /// Pauses of `first`, twice `first`, … up to `cap`.
    pub(super) fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, next: first }
    }

    /// The pause to make now: between half and the whole of the step, so that a thousand boards that
    /// lost one broker at one moment do not come back at one moment.
    pub(super) fn pause(&mut self) -> Duration {
        let step = self.next.min(self.cap);
        self.next = step.saturating_mul(2).min(self.cap);
        jittered(step)
    }

    /// Starts over: the connection has proved itself.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Between half and the whole of `step`.
pub(super) fn jittered(step: Duration) -> Duration {
    // RandomState is seeded by the operating system and differs at every call; nothing here needs more.
    let random = RandomState::new().hash_one(0u8) as u32;
    step / 2 + (step / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_keep_half_as_jitter() {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        let mut step = Duration::from_millis(250);
        for _ in 0..20 {
            let pause = backoff.pause();
            assert!(pause >= step / 2 && pause <= step, "{pause:?} of {step:?}");
            step = (step * 2).min(Duration::from_secs(30));
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(250));
    }
}
