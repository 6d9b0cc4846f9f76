//! Who has a chip: a lock that goes with an opening of the bus's device file.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::sensor::SensorError;

/// Marks the chip of this number as taken for as long as `file` is open: a lock on the byte of that number, which
/// nothing else looks at. It goes with this opening of the file, however the process ends. `what` names the chip.
pub(super) fn take(file: &File, number: u8, what: impl Fn() -> String) -> Result<(), SensorError> {
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: number.into(),
        l_len: 1,
        l_pid: 0,
    };
    match fcntl(file.as_raw_fd(), FcntlArg::F_OFD_SETLK(&lock)) {
        Ok(_) => Ok(()),
        Err(Errno::EAGAIN | Errno::EACCES) => Err(SensorError::InUse(format!(
            "another process has {}: a running edgerun? It shows its values to its own user and the group edgerun; \
             `systemctl stop edgerun` ends it",
            what()
        ))),
        // A kernel without such locks has worked without them before.
        Err(error) => {
            log::debug!("{}: no lock: {error}", what());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_opening_has_a_chip_and_others_have_the_bus_s_other_chips() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::options().read(true).write(true).open(file.path()).unwrap();
        let (first, second, third) = (open(), open(), open());
        let chip = || "0x68".to_owned();
        take(&first, 0x68, chip).unwrap();
        take(&second, 0x76, chip).unwrap();
        let error = take(&third, 0x68, chip).unwrap_err();
        assert!(matches!(&error, SensorError::InUse(why) if why.contains("0x68")), "{error}");
        drop(first);
        take(&third, 0x68, chip).unwrap();
    }
}
