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
    /// When each segment begins; its first sample is one period later.
    begins: Vec<Duration>,
    /// The next sample: segment and frame.
    next: (usize, usize),
}

impl Running {
    fn sample_time(&self, segment: usize, frame: usize) -> Duration {
        self.begins[segment] + self.period * (frame as u32 + 1)
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
        let begins = self.playback.segments.iter().scan(now, |begin, segment| {
            let this = *begin;
            *begin += period * segment.frames.len() as u32 + self.playback.gap;
            Some(this)
        });
        self.running = Some(Running { period, begins: begins.collect(), next: (0, 0) });
    }

    /// The next sample that is due by `now`.
    pub(super) fn next(&mut self, now: Duration) -> Option<[f32; 6]> {
        let running = self.running.as_mut()?;
        loop {
            let (segment, frame) = running.next;
            match self.playback.segments.get(segment)?.frames.get(frame) {
                None => running.next = (segment + 1, 0),
                Some(_) if running.sample_time(segment, frame) > now => return None,
                Some(sample) => {
                    running.next.1 += 1;
                    return Some(*sample);
                }
            }
        }
    }

    pub(super) fn ended(&self) -> bool {
        let Some(running) = &self.running else { return false };
        let (segment, frame) = running.next;
        let left = self.playback.segments.iter().skip(segment).map(|s| s.frames.len()).sum();
        frame >= left
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

    pub(super) fn segment_at(&self, time: Duration) -> Option<usize> {
        let running = self.running.as_ref()?;
        let (_, end) = *self.segments().last()?;
        if time > end + self.playback.gap {
            return None;
        }
        running.begins.iter().rposition(|begin| *begin < time)
    }
}
