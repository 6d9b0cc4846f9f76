//! What happens to the simulated chip: recordings one after another, on a timeline of their own.

use std::time::Duration;

/// Recordings to play.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Playback {
    /// Played one after another.
    pub segments: Vec<Segment>,
    /// Pause between two segments in which the chip makes no samples. From four sample periods on, a
    /// driver sees it as a gap.
    pub gap: Duration,
    /// Whether it begins again after the last one, for ever.
    pub repeat: bool,
}

/// One recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// Acceleration x, y, z in m/s² and angular rate x, y, z in rad/s, one sample period apart.
    pub frames: Vec<[f32; 6]>,
}

/// A playback on the clock. It goes on whether or not the chip is awake, as the world does.
pub(super) struct World {
    playback: Playback,
    running: Option<Running>,
}

struct Running {
    period: Duration,
    /// When each segment of the first round begins; its first sample is one period later.
    begins: Vec<Duration>,
    /// How long all of them take, with the pauses.
    round: Duration,
    /// The next sample: round, segment and frame.
    next: (u32, usize, usize),
}

impl Running {
    fn sample_time(&self, (round, segment, frame): (u32, usize, usize)) -> Duration {
        self.begins[segment] + self.round * round + self.period * (frame as u32 + 1)
    }
}

impl World {
    pub(super) fn new(playback: Playback) -> Self {
        Self { playback, running: None }
    }

    /// Begins to play at `now`; once begun, it only goes on.
    pub(super) fn start(&mut self, now: Duration, period: Duration) {
        if self.running.is_some() {
            return;
        }
        let mut end = now;
        let begins = self.playback.segments.iter().map(|segment| {
            let begin = end;
            end += period * segment.frames.len() as u32 + self.playback.gap;
            begin
        });
        let begins = begins.collect();
        self.running = Some(Running { period, begins, round: end - now, next: (0, 0, 0) });
    }

    /// The next sample that is due by `now`.
    pub(super) fn next(&mut self, now: Duration) -> Option<[f32; 6]> {
        let Playback { segments, repeat, .. } = &self.playback;
        let running = self.running.as_mut()?;
        loop {
            let (round, segment, frame) = running.next;
            let Some(Segment { frames }) = segments.get(segment) else {
                // A round without a sample would never end.
                if !repeat || running.round.is_zero() {
                    return None;
                }
                running.next = (round + 1, 0, 0);
                if running.sample_time(running.next) > now {
                    return None;
                }
                continue;
            };
            match frames.get(frame) {
                None => running.next = (round, segment + 1, 0),
                Some(_) if running.sample_time(running.next) > now => return None,
                Some(sample) => {
                    running.next.2 += 1;
                    return Some(*sample);
                }
            }
        }
    }

    pub(super) fn ended(&self) -> bool {
        let Some(running) = &self.running else { return false };
        let (_, segment, frame) = running.next;
        let left = self.playback.segments.iter().skip(segment).map(|s| s.frames.len()).sum();
        !self.playback.repeat && frame >= left
    }

    pub(super) fn started(&self) -> Option<Duration> {
        self.running.as_ref().and_then(|running| running.begins.first().copied())
    }

    pub(super) fn segments(&self) -> Vec<(Duration, Duration)> {
        let Some(running) = &self.running else { return Vec::new() };
        let segments = running.begins.iter().zip(&self.playback.segments);
        segments
            .map(|(begin, segment)| {
                (*begin + running.period, *begin + running.period * segment.frames.len() as u32)
            })
            .collect()
    }

    pub(super) fn segment_at(&self, time: Duration) -> Option<(u32, usize)> {
        let running = self.running.as_ref()?;
        let (mut round, mut within) = (0, time);
        if self.playback.repeat && !running.round.is_zero() {
            let since = time.checked_sub(self.started()?)?;
            // A segment's time begins behind its own beginning, as does a round's.
            let ended =
                since.saturating_sub(Duration::from_nanos(1)).as_nanos() / running.round.as_nanos();
            round = u32::try_from(ended).ok()?;
            within = time - running.round * round;
        }
        let (_, end) = *self.segments().last()?;
        if within > end + self.playback.gap {
            return None;
        }
        Some((round, running.begins.iter().rposition(|begin| *begin < within)?))
    }
}
