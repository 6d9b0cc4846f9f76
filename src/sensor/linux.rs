//! Buses of the Linux kernel, with errors that a person can act on.

mod gpio;
mod i2c;
mod lock;
mod spi;

pub(super) use gpio::open as open_line;
pub(super) use i2c::LinuxI2c;
pub(super) use spi::open as open_spi;
