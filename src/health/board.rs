//! The board: temperature, memory, disk, its name. What it does not tell is `None`.

use std::fs;
use std::path::Path;

/// Bytes that edgerun may still write on the file system that holds `path`.
pub fn disk_free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// The hottest of the kernel's thermal zones, in °C.
pub fn hottest_zone_c() -> Option<f64> {
    hottest_in(Path::new("/sys/class/thermal"))
}

fn hottest_in(dir: &Path) -> Option<f64> {
    let zones = fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let milli = zones.filter_map(|zone| {
        let text = fs::read_to_string(zone.path().join("temp")).ok()?;
        text.trim().parse::<i32>().ok()
    });
    // Zones that are switched off answer with absurd values on several boards.
    milli.filter(|milli| (-40_000..=200_000).contains(milli)).max().map(|m| f64::from(m) / 1000.0)
}

/// All memory of the machine.
pub fn memory_bytes() -> Option<u64> {
    meminfo("MemTotal:")
}

/// Memory that can still be had without swapping.
pub fn memory_available_bytes() -> Option<u64> {
    meminfo("MemAvailable:")
}

fn meminfo(key: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The kernel's id of this boot; the same for all where it does not tell, so that an end of the process is
/// never taken for a power cut.
pub fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

/// The board's own name from the device tree, as in `Raspberry Pi 4 Model B Rev 1.4`.
pub fn model_name() -> Option<String> {
    let bytes = fs::read("/proc/device-tree/model").ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let name = text.trim_end_matches('\0').trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_plausible_zone_counts() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(hottest_in(dir.path()), None);
        for (zone, milli) in
            [("zone0", "41500\n"), ("zone1", "-273000"), ("zone2", "39000"), ("x", "?")]
        {
            let zone = dir.path().join(zone);
            fs::create_dir(&zone).expect("made");
            fs::write(zone.join("temp"), milli).expect("written");
        }
        assert_eq!(hottest_in(dir.path()), Some(41.5));
    }

    #[test]
    fn free_space_is_known_for_a_folder_that_is_there() {
        assert!(disk_free_bytes(Path::new("/")).is_some());
        assert_eq!(disk_free_bytes(Path::new("/no/such/folder")), None);
    }
}
