//! One file from a source to a channel: tries again where it was cut, keeps the limits, loses patience.

use std::io::Read as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tough::Bytes;

use super::{Body, FetchError, Patience, RepositoryPath, Source};

/// What is read at once: small enough for boards, large enough to be quick.
const CHUNK: usize = 16 << 10;

/// Takes chunks; `false` when nobody wants more.
pub(super) type Taker<'a> = dyn FnMut(Bytes) -> bool + 'a;

/// Brings `path` from byte `at` on.
///
/// # Errors
/// When it cannot be had; what came before was handed over.
pub(super) fn pump(
    source: &dyn Source,
    path: &RepositoryPath,
    at: u64,
    patience: &Patience,
    take: &mut Taker<'_>,
) -> Result<(), FetchError> {
    let mut pump = Pump { patience, at, limit: path.bytes_max, watch: Watch::new(patience) };
    let mut tries = 0;
    loop {
        let before = pump.at;
        let failed = match source.open(path, pump.at).and_then(|body| pump.drain(body, take)) {
            Ok(()) => return Ok(()),
            Err(FetchError::Failed(why)) => why,
            Err(other) => return Err(other),
        };
        // What moves on may be cut as often as it likes; the watch sees to it that it does move.
        tries = if pump.at > before { 1 } else { tries + 1 };
        if tries >= patience.tries {
            return Err(FetchError::Failed(failed));
        }
        log::debug!("update: {}: {failed}; trying again", path.as_str());
        let pause = patience.pause.saturating_mul(1 << (tries - 1).min(6));
        pump.watch.sleep(pause);
        pump.stopped()?;
    }
}

struct Pump<'a> {
    patience: &'a Patience,
    /// The next byte that is wanted.
    at: u64,
    limit: u64,
    watch: Watch<'a>,
}

impl Pump<'_> {
    fn stopped(&self) -> Result<(), FetchError> {
        if self.patience.stop.load(Ordering::Relaxed) { Err(FetchError::Stopped) } else { Ok(()) }
    }

    /// Reads one body to its end, as far as the other side lets us.
    fn drain(&mut self, mut body: Body, take: &mut Taker<'_>) -> Result<(), FetchError> {
        let Some(mut skip) = self.at.checked_sub(body.offset) else {
            return Err(FetchError::Refused("the other side left bytes out".to_owned()));
        };
        let mut came = 0u64;
        let mut chunk = vec![0; CHUNK];
        loop {
            self.stopped()?;
            let count = match body.reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(FetchError::Failed(error.to_string())),
            };
            came += count as u64;
            let skipped = skip.min(count as u64);
            skip -= skipped;
            let fresh = &chunk[usize::try_from(skipped).unwrap_or(count)..count];
            self.at += fresh.len() as u64;
            if self.at > self.limit {
                return Err(FetchError::TooLarge { limit: self.limit });
            }
            if !fresh.is_empty() && !take(Bytes::copy_from_slice(fresh)) {
                return Ok(());
            }
            self.watch.count(count as u64)?;
        }
        match body.length {
            Some(length) if came < length => {
                Err(FetchError::Failed(format!("cut after {came} of {length} bytes")))
            }
            _ if skip > 0 => Err(FetchError::Refused("the file is shorter than before".to_owned())),
            _ => Ok(()),
        }
    }
}

/// Measures how fast bytes come, the time that we ourselves waited left out.
struct Watch<'a> {
    patience: &'a Patience,
    /// Monotonic time at which the present stretch began.
    since: Duration,
    bytes: u64,
    /// When the next byte is due, under a limit of bandwidth.
    due: Duration,
}

impl<'a> Watch<'a> {
    fn new(patience: &'a Patience) -> Self {
        let now = patience.clock.monotonic();
        Self { patience, since: now, bytes: 0, due: now }
    }

    fn sleep(&mut self, pause: Duration) {
        let clock = &self.patience.clock;
        let before = clock.monotonic();
        clock.sleep_until(before + pause);
        self.since += clock.monotonic().saturating_sub(before);
    }

    fn count(&mut self, bytes: u64) -> Result<(), FetchError> {
        self.bytes += bytes;
        let now = self.patience.clock.monotonic();
        let within = now.saturating_sub(self.since);
        if within >= self.patience.slow_within {
            if self.bytes < self.patience.slow_bytes {
                return Err(FetchError::Slow { bytes: self.bytes, within });
            }
            (self.since, self.bytes) = (now, 0);
        }
        if let Some(rate) = self.patience.bytes_per_s {
            // What was not used while the network was slow is not made up for later.
            let cost = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1));
            self.due = self.due.max(now) + cost;
            self.sleep(self.due.saturating_sub(now));
        }
        Ok(())
    }
}
