//! An I²C bus of the Linux kernel, with errors that a person can act on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use embedded_hal::i2c::{self, ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use linux_embedded_hal::I2cdev;
use linux_embedded_hal::i2cdev::linux::LinuxI2CError;

use super::lock;
use crate::sensor::SensorError;

/// A bus as `/dev/i2c-1`, opened for one chip.
pub(in crate::sensor) struct LinuxI2c {
    bus: I2cdev,
    _lock: File,
}

impl LinuxI2c {
    /// Opens a bus for the chip at `address`, which no other process has then, or says what to do.
    pub(in crate::sensor) fn open(path: &Path, address: u8) -> Result<Self, SensorError> {
        let opened = std::fs::metadata(path).and_then(|found| {
            if !found.file_type().is_char_device() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no device"));
            }
            I2cdev::new(path).map_err(io::Error::from)
        });
        let opened =
            opened.and_then(|bus| Ok((bus, File::options().read(true).write(true).open(path)?)));
        let (bus, lock) = opened.map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::NotFound => {
                    "is I²C enabled (dtparam=i2c_arm=on on a Raspberry Pi, module i2c-dev \
                     elsewhere) and is it the right bus? `ls /dev/i2c-*` shows the buses"
                }
                io::ErrorKind::PermissionDenied => {
                    "add the user that runs edgerun to the file's group, i2c on most systems"
                }
                _ => "an I²C bus is a device file as /dev/i2c-1",
            };
            let why = format!("{}: {error}: {advice}", path.display());
            SensorError::Bus { doing: "opening the I²C bus", why }
        })?;
        lock::take(&lock, address, || format!("{address:#04x} on {}", path.display()))?;
        Ok(Self { bus, _lock: lock })
    }
}

impl ErrorType for LinuxI2c {
    type Error = LinuxI2cError;
}

impl I2c for LinuxI2c {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), LinuxI2cError> {
        I2c::transaction(&mut self.bus, address, operations).map_err(|error| {
            LinuxI2cError(match error.inner() {
                LinuxI2CError::Errno(number) => io::Error::from_raw_os_error(*number),
                LinuxI2CError::Io(error) => match error.raw_os_error() {
                    Some(number) => io::Error::from_raw_os_error(number),
                    None => io::Error::new(error.kind(), error.to_string()),
                },
            })
        })
    }
}

/// The kernel's error; shown in its words.
pub(in crate::sensor) struct LinuxI2cError(io::Error);

impl std::fmt::Debug for LinuxI2cError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl i2c::Error for LinuxI2cError {
    /// Source: the kernel's "I2C/SMBUS Fault Codes", plus EREMOTEIO, which the Raspberry Pi's and
    /// other adapters give where that page asks for ENXIO.
    fn kind(&self) -> ErrorKind {
        match self.0.raw_os_error() {
            Some(libc::ENXIO | libc::ENODEV | libc::EREMOTEIO) => {
                ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown)
            }
            Some(libc::EAGAIN) => ErrorKind::ArbitrationLoss,
            Some(libc::EBUSY | libc::EINVAL | libc::EIO | libc::ETIMEDOUT) => ErrorKind::Bus,
            _ => ErrorKind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use embedded_hal::i2c::Error as _;

    use super::*;

    #[test]
    fn missing_acknowledgement_is_known_by_every_number_that_adapters_give_for_it() {
        for number in [libc::ENXIO, libc::ENODEV, libc::EREMOTEIO] {
            let error = LinuxI2cError(io::Error::from_raw_os_error(number));
            assert!(matches!(error.kind(), ErrorKind::NoAcknowledge(_)));
        }
    }

    #[test]
    fn errors_are_shown_in_the_kernel_s_words() {
        let error = LinuxI2cError(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        assert_eq!(format!("{error:?}"), "Connection timed out (os error 110)");
        assert_eq!(error.kind(), ErrorKind::Bus);
    }
}
