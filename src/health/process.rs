//! This process: memory and processor time, from `/proc`.

use std::fs;
use std::time::Duration;

/// Reads memory and processor time of this process; what the kernel does not tell is 0.
#[derive(Debug, Default)]
pub struct ProcessMeter {
    last: Option<(Duration, Duration)>,
}

impl ProcessMeter {
    /// Resident memory in bytes.
    pub fn rss_bytes(&self) -> u64 {
        rss_of(&fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    /// Share of one core used since the last call, in percent; 0 at the first. `now` is monotonic.
    pub fn cpu_percent(&mut self, now: Duration) -> f64 {
        let used = cpu_of(&fs::read_to_string("/proc/self/stat").unwrap_or_default());
        let before = self.last.replace((now, used));
        let Some((then, used_then)) = before else { return 0.0 };
        let (passed, used) = (now.saturating_sub(then), used.saturating_sub(used_then));
        if passed.is_zero() { 0.0 } else { used.as_secs_f64() / passed.as_secs_f64() * 100.0 }
    }
}

fn rss_of(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// User and system time. The command's name may hold spaces, so fields are counted after its `)`.
fn cpu_of(stat: &str) -> Duration {
    /// USER_HZ, which is 100 on every Linux architecture that edgerun is built for.
    const TICK: Duration = Duration::from_millis(10);
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks =
        fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u32>().ok()).sum();
    TICK.saturating_mul(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_time_are_read_from_the_kernels_own_words() {
        assert_eq!(rss_of("VmPeak:\t 9 kB\nVmRSS:\t    2048 kB\n"), 2 << 20);
        let stat = "7 (a b) c) S 1 7 7 0 -1 0 0 0 0 0 250 50 0 0 20";
        assert_eq!(cpu_of(stat), Duration::from_secs(3));
        assert_eq!((rss_of(""), cpu_of("")), (0, Duration::ZERO));
    }
}
