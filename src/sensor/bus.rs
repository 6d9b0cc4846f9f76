//! A chip's place on a bus, I²C or SPI: transfers whose errors say what was being done and what a person can do.
//!
//! A driver writes and reads registers by their numbers; what a chip wants beside the number, and which bus it is, the
//! port knows.

use std::path::{Path, PathBuf};

use embedded_hal::i2c::{self, ErrorKind, I2c};
use embedded_hal::spi::{Operation, SpiDevice};

use super::{BadSetting, SensorError};

/// Where a chip is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At an address of an I²C bus.
    I2c {
        /// The bus's device file, as in `/dev/i2c-1`.
        bus: PathBuf,
        /// 7 bits.
        address: u8,
    },
    /// Behind a chip select of an SPI bus.
    Spi {
        /// The device file of this chip select, as in `/dev/spidev0.0`.
        device: PathBuf,
        /// Clock, bits a second.
        speed_hz: u32,
    },
}

impl Place {
    /// A place on an I²C bus.
    pub fn i2c(bus: impl Into<PathBuf>, address: u8) -> Self {
        Self::I2c { bus: bus.into(), address }
    }

    /// The device file.
    pub fn file(&self) -> &Path {
        match self {
            Self::I2c { bus, .. } => bus,
            Self::Spi { device, .. } => device,
        }
    }

    /// What tells chips apart that share the device file.
    pub fn address(&self) -> Option<u8> {
        match self {
            Self::I2c { address, .. } => Some(*address),
            Self::Spi { .. } => None,
        }
    }

    /// What of it a chip cannot do that has one of `addresses` (any where there is none) and speaks `dialect`.
    pub(super) fn validate(&self, addresses: &[u8], dialect: Dialect) -> Vec<BadSetting> {
        let bad = match (self, dialect.spi) {
            (Self::I2c { address, .. }, _) => {
                if addresses.is_empty() || addresses.contains(address) {
                    return Vec::new();
                }
                let list: Vec<String> =
                    addresses.iter().map(|each| format!("{each:#04x}")).collect();
                let why = format!("must be {}, is {address:#04x}", list.join(" or "));
                BadSetting { key: "address", why }
            }
            (Self::Spi { .. }, None) => {
                let why = "this chip is reached over I²C only: a bus as \"/dev/i2c-1\"".into();
                BadSetting { key: "bus", why }
            }
            (Self::Spi { speed_hz, .. }, Some(spi)) => {
                if (1..=spi.speed_max_hz).contains(speed_hz) {
                    return Vec::new();
                }
                let most = f64::from(spi.speed_max_hz) / 1e6;
                let asked = f64::from(*speed_hz) / 1e6;
                let why = format!("the chip does {most} MHz at most, asked for {asked} MHz");
                BadSetting { key: "speed", why }
            }
        };
        vec![bad]
    }
}

/// What a chip wants beside a register's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// Bits of the number where several bytes go over I²C at once; 0 where a burst needs nothing.
    pub i2c_burst: u8,
    /// How it is spoken to over SPI; `None` where it has no SPI.
    pub spi: Option<SpiDialect>,
}

/// What a chip wants over SPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpiDialect {
    /// Clock's polarity and phase, 0 to 3.
    pub mode: u8,
    /// Bits of the register's number that are 1 in a read and 0 in a write.
    pub read: u8,
    /// Bits of the number where several bytes go at once.
    pub burst: u8,
    /// The fastest clock.
    pub speed_max_hz: u32,
}

/// Transfers to one chip. `doing` stands in the error: `reading WHO_AM_I`.
pub trait Port: Send {
    /// Writes `bytes`.
    ///
    /// # Errors
    /// [`SensorError::Bus`].
    fn write(&mut self, bytes: &[u8], doing: &'static str) -> Result<(), SensorError>;

    /// Fills `into`.
    ///
    /// # Errors
    /// [`SensorError::Bus`].
    fn read(&mut self, into: &mut [u8], doing: &'static str) -> Result<(), SensorError>;

    /// Writes `bytes` and fills `into`, without letting the bus go in between.
    ///
    /// # Errors
    /// [`SensorError::Bus`].
    fn write_read(
        &mut self,
        bytes: &[u8],
        into: &mut [u8],
        doing: &'static str,
    ) -> Result<(), SensorError>;
}

/// A chip at an address of an I²C bus.
pub struct I2cPort<I2C> {
    bus: I2C,
    address: u8,
    burst: u8,
}

impl<I2C> I2cPort<I2C> {
    /// The chip at `address`, 7 bits, on `bus`.
    pub fn new(bus: I2C, address: u8, dialect: Dialect) -> Self {
        Self { bus, address, burst: dialect.i2c_burst }
    }
}

impl<I2C: I2c + Send> Port for I2cPort<I2C> {
    fn write(&mut self, bytes: &[u8], doing: &'static str) -> Result<(), SensorError> {
        let Self { bus, address, burst } = self;
        let written = match bytes.len() > 2 && *burst != 0 {
            true => bus.write(*address, &numbered(bytes, |number| number | *burst)),
            false => bus.write(*address, bytes),
        };
        written.map_err(|error| bus_error(doing, *address, &error))
    }

    fn read(&mut self, into: &mut [u8], doing: &'static str) -> Result<(), SensorError> {
        let Self { bus, address, .. } = self;
        bus.read(*address, into).map_err(|error| bus_error(doing, *address, &error))
    }

    fn write_read(
        &mut self,
        bytes: &[u8],
        into: &mut [u8],
        doing: &'static str,
    ) -> Result<(), SensorError> {
        let Self { bus, address, burst } = self;
        let read = match into.len() > 1 && *burst != 0 {
            true => bus.write_read(*address, &numbered(bytes, |number| number | *burst), into),
            false => bus.write_read(*address, bytes, into),
        };
        read.map_err(|error| bus_error(doing, *address, &error))
    }
}

/// A chip behind a chip select of an SPI bus. Nothing acknowledges there: a chip that is not there reads as ones or zeros.
pub struct SpiPort<D> {
    device: D,
    dialect: SpiDialect,
}

impl<D> SpiPort<D> {
    /// The chip that `device` selects.
    pub fn new(device: D, dialect: SpiDialect) -> Self {
        Self { device, dialect }
    }
}

impl<D: SpiDevice + Send> Port for SpiPort<D> {
    fn write(&mut self, bytes: &[u8], doing: &'static str) -> Result<(), SensorError> {
        let SpiDialect { read, burst, .. } = self.dialect;
        let burst = if bytes.len() > 2 { burst } else { 0 };
        let written = self.device.write(&numbered(bytes, |number| number & !read | burst));
        written.map_err(|error| fault(doing, format!("the SPI bus failed: {error:?}")))
    }

    fn read(&mut self, into: &mut [u8], doing: &'static str) -> Result<(), SensorError> {
        let read = self.device.read(into);
        read.map_err(|error| fault(doing, format!("the SPI bus failed: {error:?}")))
    }

    fn write_read(
        &mut self,
        bytes: &[u8],
        into: &mut [u8],
        doing: &'static str,
    ) -> Result<(), SensorError> {
        let SpiDialect { read, burst, .. } = self.dialect;
        let burst = if into.len() > 1 { burst } else { 0 };
        let number = numbered(bytes, |number| number | read | burst);
        let done = self.device.transaction(&mut [Operation::Write(&number), Operation::Read(into)]);
        done.map_err(|error| fault(doing, format!("the SPI bus failed: {error:?}")))
    }
}

/// `bytes` with another first one, the register's number or its high byte.
fn numbered(bytes: &[u8], number: impl FnOnce(u8) -> u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(first) = bytes.first_mut() {
        *first = number(*first);
    }
    bytes
}

/// Opens the bus of this machine for the chip at `place`, which no other process has then.
#[cfg(target_os = "linux")]
pub(super) fn open(place: &Place, dialect: Dialect) -> Result<Box<dyn Port>, SensorError> {
    use super::linux::{LinuxI2c, open_spi};
    match (place, dialect.spi) {
        (Place::I2c { bus, address }, _) => {
            Ok(Box::new(I2cPort::new(LinuxI2c::open(bus, *address)?, *address, dialect)))
        }
        (Place::Spi { device, speed_hz }, Some(spi)) => {
            Ok(Box::new(SpiPort::new(open_spi(device, spi.mode, *speed_hz)?, spi)))
        }
        (Place::Spi { .. }, None) => {
            Err(SensorError::Unusable("this chip is reached over I²C only".into()))
        }
    }
}

/// The same where there is no such bus.
#[cfg(not(target_os = "linux"))]
pub(super) fn open(_: &Place, _: Dialect) -> Result<Box<dyn Port>, SensorError> {
    Err(SensorError::Unusable("I²C and SPI are reached through Linux only".into()))
}

/// The bus's error in words.
pub(super) fn bus_error<E: i2c::Error>(doing: &'static str, address: u8, error: &E) -> SensorError {
    let why = match error.kind() {
        ErrorKind::NoAcknowledge(_) => {
            format!("nothing answers at address {address:#04x}: check wiring and power ({error:?})")
        }
        _ => format!("the bus failed: {error:?}"),
    };
    SensorError::Bus { doing, why }
}

/// A fault that a driver finds in what it was told.
pub(super) fn fault(doing: &'static str, why: impl Into<String>) -> SensorError {
    SensorError::Bus { doing, why: why.into() }
}

/// Fails when all of `bytes` is ones or zeros, as on a bus that nobody drives.
pub(super) fn driven(bytes: &[u8], doing: &'static str) -> Result<(), SensorError> {
    let first = bytes.first().copied().unwrap_or(0);
    if matches!(first, 0x00 | 0xff) && bytes.iter().all(|byte| *byte == first) {
        let why = format!(
            "every bit is {}: no chip drives the data line; check wiring, power and pull-ups",
            first & 1
        );
        return Err(fault(doing, why));
    }
    Ok(())
}

/// `found` if it is one of `known`; `expected` names them for people.
pub(super) fn identify(
    found: u8,
    known: &[u8],
    expected: &'static str,
    doing: &'static str,
) -> Result<u8, SensorError> {
    if known.contains(&found) {
        return Ok(found);
    }
    driven(&[found], doing)?;
    Err(SensorError::WrongChip { found, expected })
}
