//! A chip on an SPI bus of the Linux kernel (spidev), with errors that a person can act on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use embedded_hal::spi::{Error, ErrorKind, ErrorType, Operation, SpiDevice};
use linux_embedded_hal::SpidevDevice;
use linux_embedded_hal::spidev::{SpiModeFlags, SpidevOptions};

use super::lock;
use crate::sensor::SensorError;

/// A chip select as `/dev/spidev0.0`.
pub(in crate::sensor) struct LinuxSpi {
    device: SpidevDevice,
    _lock: File,
}

/// Opens a chip select, which no other process has then, or says what to do. `mode` is 0 to 3.
pub(in crate::sensor) fn open(
    path: &Path,
    mode: u8,
    speed_hz: u32,
) -> Result<LinuxSpi, SensorError> {
    let opened = std::fs::metadata(path).and_then(|found| {
        if !found.file_type().is_char_device() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no device"));
        }
        let lock = File::options().read(true).write(true).open(path)?;
        let device = SpidevDevice::open(path).map_err(own)?;
        Ok((device, lock))
    });
    let doing = "opening the SPI device";
    let (mut device, lock) = opened.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => {
                "is SPI enabled (dtparam=spi=on on a Raspberry Pi, jetson-io on a Jetson, module spidev) and is it \
                 the right chip select? `ls /dev/spidev*` shows them"
            }
            io::ErrorKind::PermissionDenied => {
                "add the user that runs edgerun to the file's group, spi on most systems"
            }
            _ => "a chip on SPI is a device file as /dev/spidev0.0",
        };
        SensorError::Bus { doing, why: format!("{}: {error}: {advice}", path.display()) }
    })?;
    lock::take(&lock, 0, || path.display().to_string())?;
    let mode = match mode {
        1 => SpiModeFlags::SPI_MODE_1,
        2 => SpiModeFlags::SPI_MODE_2,
        3 => SpiModeFlags::SPI_MODE_3,
        _ => SpiModeFlags::SPI_MODE_0,
    };
    let options = SpidevOptions::new().bits_per_word(8).max_speed_hz(speed_hz).mode(mode).build();
    device.configure(&options).map_err(|error| {
        let why =
            format!("{}: {error}: the controller cannot do this mode or speed", path.display());
        SensorError::Bus { doing, why }
    })?;
    Ok(LinuxSpi { device, _lock: lock })
}

/// The same error, which cannot be moved out of the one that holds it.
fn own(error: linux_embedded_hal::SPIError) -> io::Error {
    match error.inner().raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.inner().kind(), error.inner().to_string()),
    }
}

impl ErrorType for LinuxSpi {
    type Error = LinuxSpiError;
}

impl SpiDevice for LinuxSpi {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), LinuxSpiError> {
        self.device.transaction(operations).map_err(|error| LinuxSpiError(own(error)))
    }
}

/// The kernel's error; shown in its words.
pub(in crate::sensor) struct LinuxSpiError(io::Error);

impl std::fmt::Debug for LinuxSpiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl Error for LinuxSpiError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(path: &str) -> String {
        open(Path::new(path), 0, 1_000_000).err().expect("cannot be opened").to_string()
    }

    #[test]
    fn what_is_no_spi_device_is_named_with_what_to_do() {
        let said = says("/dev/spidev-no-such");
        assert!(said.starts_with("opening the SPI device: /dev/spidev-no-such: "), "{said}");
        assert!(said.contains("is SPI enabled"), "{said}");
        assert!(
            says("/dev/null").contains("cannot do this mode or speed"),
            "{}",
            says("/dev/null")
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(says(file.path().to_str().unwrap()).contains("it is no device"));
    }
}
