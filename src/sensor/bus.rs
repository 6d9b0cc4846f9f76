//! A chip's place on a bus: transfers whose errors say what was being done and what a person can do.

use embedded_hal::i2c::{self, ErrorKind, I2c};

use super::SensorError;

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
}

impl<I2C> I2cPort<I2C> {
    /// The chip at `address`, 7 bits, on `bus`.
    pub fn new(bus: I2C, address: u8) -> Self {
        Self { bus, address }
    }
}

impl<I2C: I2c + Send> Port for I2cPort<I2C> {
    fn write(&mut self, bytes: &[u8], doing: &'static str) -> Result<(), SensorError> {
        let Self { bus, address } = self;
        bus.write(*address, bytes).map_err(|error| bus_error(doing, *address, &error))
    }

    fn read(&mut self, into: &mut [u8], doing: &'static str) -> Result<(), SensorError> {
        let Self { bus, address } = self;
        bus.read(*address, into).map_err(|error| bus_error(doing, *address, &error))
    }

    fn write_read(
        &mut self,
        bytes: &[u8],
        into: &mut [u8],
        doing: &'static str,
    ) -> Result<(), SensorError> {
        let Self { bus, address } = self;
        bus.write_read(*address, bytes, into).map_err(|error| bus_error(doing, *address, &error))
    }
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
