//! The disk that holds the state: room, whether it can be written, wear.

use std::path::Path;

use rustix::fs::{StatVfs, StatVfsMountFlags};

use super::kernel::Kernel;

/// A file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that edgerun may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// Nothing can be written: mounted so, or by the kernel after an error.
    pub read_only: bool,
}

impl Disk {
    /// The file system that holds `path`.
    pub fn of(path: &Path) -> Option<Self> {
        Self::from_stat(&rustix::fs::statvfs(path).ok()?)
    }

    fn from_stat(stat: &StatVfs) -> Option<Self> {
        Some(Self {
            free_bytes: stat.f_bavail.checked_mul(stat.f_frsize)?,
            total_bytes: stat.f_blocks.checked_mul(stat.f_frsize)?,
            read_only: stat.f_flag.contains(StatVfsMountFlags::RDONLY),
        })
    }
}

/// How far a flash chip is used up, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wear {
    /// Life used, at most; in steps of 10, 100 is all that its maker promises.
    pub percent: u8,
    /// Its spare blocks are nearly gone.
    pub near_end: bool,
}

/// The most worn eMMC of the board; SD cards and USB sticks do not tell.
///
/// Source: JEDEC JESD84-B51, `DEVICE_LIFE_TIME_EST_TYP_A`/`_B` (1 is 0 to 10 %, 11 is more than all) and
/// `PRE_EOL_INFO` (2: 80 % of the spare blocks are used, 3: 90 %).
pub(super) fn wear(kernel: &Kernel) -> Option<Wear> {
    let chips = kernel.folders("sys/block", "mmcblk").into_iter().filter_map(|folder| {
        let device = folder.join("device");
        let byte = |word: &str| u8::from_str_radix(word.trim_start_matches("0x"), 16).ok();
        let lives = kernel.text(device.join("life_time"));
        let lives = lives.iter().flat_map(|text| text.split_whitespace()).filter_map(byte);
        let life = lives.filter(|step| (1..=11).contains(step)).max();
        let spare = kernel.text(device.join("pre_eol_info")).and_then(|text| byte(&text));
        let spare = spare.filter(|step| (1..=3).contains(step));
        if life.is_none() && spare.is_none() {
            return None;
        }
        Some(Wear {
            percent: life.unwrap_or(0).min(10) * 10,
            near_end: spare.is_some_and(|step| step > 1) || life == Some(11),
        })
    });
    chips.max_by_key(|wear| (wear.near_end, wear.percent))
}

#[cfg(test)]
mod tests {
    use super::super::kernel::fake::tree;
    use super::*;

    #[test]
    fn room_is_known_for_a_folder_that_is_there() {
        let disk = Disk::of(Path::new("/")).expect("it is there");
        assert!(disk.free_bytes <= disk.total_bytes && disk.total_bytes > 0);
        assert_eq!(Disk::of(Path::new("/no/such/folder")), None);
    }

    #[test]
    fn a_disk_that_the_kernel_made_read_only_says_so() {
        let mut stat = rustix::fs::statvfs("/").expect("it is there");
        stat.f_flag.insert(StatVfsMountFlags::RDONLY);
        assert!(Disk::from_stat(&stat).expect("in range").read_only);
        (stat.f_bavail, stat.f_frsize) = (u64::MAX, 4096);
        assert_eq!(Disk::from_stat(&stat), None);
    }

    #[test]
    fn the_most_worn_chip_counts_and_malformed_files_tell_nothing() {
        let wear_of = |life: &str, spare: &str| {
            let (_root, kernel) = tree(&[
                ("sys/block/mmcblk0/device/life_time", life),
                ("sys/block/mmcblk0/device/pre_eol_info", spare),
                ("sys/block/mmcblk1/device/type", "SD"),
                ("sys/block/sda/device/life_time", "0x0b 0x0b"),
            ]);
            wear(&kernel).map(|wear| (wear.percent, wear.near_end))
        };
        assert_eq!(wear_of("0x01 0x03\n", "0x01\n"), Some((30, false)));
        assert_eq!(wear_of("0x0a 0x01", "0x02"), Some((100, true)));
        assert_eq!(wear_of("0x0b 0x01", "0x01"), Some((100, true)));
        assert_eq!(wear_of("0x00 0x00", "0x01"), Some((0, false)));
        assert_eq!(wear_of("0x00 0xff", "0x00"), None);
        assert_eq!(wear_of("worn", ""), None);
        let (_root, nothing) = tree(&[]);
        assert_eq!(wear(&nothing), None);
    }
}
