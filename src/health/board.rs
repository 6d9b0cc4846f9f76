//! The board as health shows it: temperature, power, processor, memory, disk, versions. What it does not tell is
//! `None`.

use std::path::{Path, PathBuf};

use super::disk::{self, Disk, Wear};
use super::kernel::Kernel;
use super::thermal::{self, Firmware, Throttling, Zone};

/// What is read of a board at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardReading {
    /// Thermal zones, in the kernel's order.
    pub zones: Vec<Zone>,
    /// What holds the processor back.
    pub throttling: Throttling,
    /// Processes that ran or waited, on average over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Share of all cores in use since the reading before, 0 to 100; none at the first.
    pub cpu_percent: Option<f64>,
    /// All memory.
    pub memory_total_bytes: Option<u64>,
    /// Memory that can still be had without swapping.
    pub memory_available_bytes: Option<u64>,
    /// Where edgerun keeps its state.
    pub disk: Option<Disk>,
    /// Of the most worn eMMC.
    pub wear: Option<Wear>,
    /// Since the board's start.
    pub uptime_s: Option<u64>,
}

impl BoardReading {
    /// The hottest zone.
    pub fn hottest(&self) -> Option<&Zone> {
        self.zones.iter().max_by(|a, b| a.celsius.total_cmp(&b.celsius))
    }
}

/// What does not change while the board is up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardVersions {
    /// The kernel's release, as in `6.6.31+rpt-rpi-v8`.
    pub kernel: Option<String>,
    /// The operating system, as in `Debian GNU/Linux 12 (bookworm)`.
    pub os: Option<String>,
}

/// Reads a board again and again; some twenty small files each time.
#[derive(Debug)]
pub struct BoardMeter {
    kernel: Kernel,
    state: PathBuf,
    zones: Vec<thermal::Found>,
    /// Ticks of all processors: busy, in all.
    cpu: Option<(u64, u64)>,
    firmware: Option<Firmware>,
}

impl BoardMeter {
    /// The board of `kernel`, whose state lies in the folder `state`.
    pub fn new(kernel: Kernel, state: &Path) -> Self {
        let zones = thermal::find(&kernel);
        Self { kernel, state: state.to_owned(), zones, cpu: None, firmware: None }
    }

    /// Reads what changes.
    pub fn read(&mut self) -> BoardReading {
        let kernel = &self.kernel;
        let meminfo = kernel.text("proc/meminfo").unwrap_or_default();
        let cpu = kernel.text("proc/stat").as_deref().and_then(cpu_ticks);
        let before = std::mem::replace(&mut self.cpu, cpu);
        let throttling = thermal::throttling(kernel, self.firmware);
        self.firmware = throttling.firmware;
        BoardReading {
            zones: thermal::read(kernel, &self.zones),
            throttling,
            load: kernel.text("proc/loadavg").as_deref().and_then(load),
            cpu_percent: before.zip(cpu).and_then(|(before, now)| busy_percent(before, now)),
            memory_total_bytes: meminfo_bytes(&meminfo, "MemTotal:"),
            memory_available_bytes: meminfo_bytes(&meminfo, "MemAvailable:"),
            disk: Disk::of(&self.state),
            wear: disk::wear(kernel),
            uptime_s: kernel.text("proc/uptime").as_deref().and_then(uptime),
        }
    }

    /// Reads what stays.
    pub fn versions(&self) -> BoardVersions {
        let release = self.kernel.text("etc/os-release");
        let release = release.or_else(|| self.kernel.text("usr/lib/os-release"));
        let name = release.as_deref().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
            Some(line.trim_matches(['"', '\'']).to_owned()).filter(|name| !name.is_empty())
        });
        BoardVersions { kernel: self.kernel.text("proc/sys/kernel/osrelease"), os: name }
    }
}

/// All memory of the machine.
pub fn memory_bytes() -> Option<u64> {
    meminfo_bytes(&Kernel::this().text("proc/meminfo")?, "MemTotal:")
}

/// Memory that can still be had without swapping.
pub fn memory_available_bytes() -> Option<u64> {
    meminfo_bytes(&Kernel::this().text("proc/meminfo")?, "MemAvailable:")
}

fn meminfo_bytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn load(text: &str) -> Option<[f64; 3]> {
    let mut words = text.split_whitespace().map(|word| word.parse::<f64>().ok());
    let mut next = || words.next()?.filter(|load| load.is_finite() && *load >= 0.0);
    Some([next()?, next()?, next()?])
}

fn uptime(text: &str) -> Option<u64> {
    text.split(['.', ' ']).next()?.parse().ok()
}

/// Busy ticks and all of them, from the first line of `/proc/stat`: user, nice, system, idle, iowait, irq,
/// softirq, steal; guest time is within user's.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Option<Vec<u64>> =
        line.split_whitespace().take(8).map(|word| word.parse().ok()).collect();
    let ticks = ticks.filter(|ticks| ticks.len() >= 5)?;
    let all = ticks.iter().fold(0, |all: u64, tick| all.saturating_add(*tick));
    Some((all.saturating_sub(ticks[3]).saturating_sub(ticks[4]), all))
}

fn busy_percent((busy, all): (u64, u64), (busy_now, all_now): (u64, u64)) -> Option<f64> {
    let passed = all_now.checked_sub(all).filter(|passed| *passed > 0)?;
    // Idle time may run backwards a little on some kernels.
    Some((busy_now.saturating_sub(busy) as f64 / passed as f64 * 100.0).min(100.0))
}

/// The kernel's id of this boot; the same for all where it does not tell, so that an end of the process is
/// never taken for a power cut.
pub fn boot_id() -> String {
    Kernel::this().text("proc/sys/kernel/random/boot_id").unwrap_or_else(|| "unknown".to_owned())
}

/// The board's own name from the device tree, as in `Raspberry Pi 4 Model B Rev 1.4`.
pub fn model_name() -> Option<String> {
    Kernel::this().text("proc/device-tree/model")
}

#[cfg(test)]
mod tests {
    use super::super::kernel::fake::tree;
    use super::*;

    fn meter(kernel: &Kernel) -> BoardMeter {
        BoardMeter::new(kernel.clone(), Path::new("/"))
    }

    #[test]
    fn a_board_that_tells_everything_is_read_whole() {
        let (root, kernel) = tree(&[
            ("proc/loadavg", "0.31 1.20 0.9 2/114 9004\n"),
            ("proc/meminfo", "MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable:\t1024 kB\n"),
            ("proc/uptime", "1234.56 4000.00\n"),
            ("proc/stat", "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n"),
            ("proc/sys/kernel/osrelease", "6.6.31+rpt-rpi-v8\n"),
            ("etc/os-release", "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            ("sys/class/thermal/thermal_zone0/temp", "41500"),
            ("sys/class/thermal/thermal_zone1/temp", "52250"),
        ]);
        let mut meter = meter(&kernel);
        let reading = meter.read();
        assert_eq!(reading.load, Some([0.31, 1.2, 0.9]));
        assert_eq!(reading.memory_total_bytes, Some(2 << 20));
        assert_eq!(reading.memory_available_bytes, Some(1 << 20));
        assert_eq!(reading.uptime_s, Some(1234));
        assert_eq!(reading.cpu_percent, None);
        assert_eq!(reading.hottest().map(|zone| zone.celsius), Some(52.25));
        assert!(reading.disk.is_some());
        std::fs::write(root.path().join("proc/stat"), "cpu  125 0 50 850 75 0 0 0 0 0\n").unwrap();
        assert_eq!(meter.read().cpu_percent, Some(25.0));
        let versions = meter.versions();
        assert_eq!(versions.kernel.as_deref(), Some("6.6.31+rpt-rpi-v8"));
        assert_eq!(versions.os.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
    }

    #[test]
    fn a_board_that_tells_nothing_or_nonsense_is_read_all_the_same() {
        let nonsense = [
            ("proc/loadavg", "much"),
            ("proc/meminfo", "MemTotal: 99999999999999999999 kB\nMemAvailable:\n"),
            ("proc/uptime", "long"),
            ("proc/stat", "cpu 1 2"),
            ("etc/os-release", "PRETTY_NAME=\"\"\n"),
            ("sys/class/thermal/thermal_zone0/temp", ""),
        ];
        for files in [&nonsense[..], &[]] {
            let (_root, kernel) = tree(files);
            let mut meter = BoardMeter::new(kernel, Path::new("/no/such/folder"));
            meter.read();
            assert_eq!(meter.read(), BoardReading::default());
            assert_eq!(meter.versions(), BoardVersions::default());
        }
        assert_eq!(load("1 2"), None);
        assert_eq!(load("1 inf 2"), None);
        assert_eq!(busy_percent((5, 100), (1, 90)), None);
        assert_eq!(busy_percent((5, 100), (1, 110)), Some(0.0));
    }
}
