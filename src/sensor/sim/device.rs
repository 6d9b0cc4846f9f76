//! What a simulated chip is to the bus that it is on.

use std::time::Duration;

/// A chip at register level.
pub trait Device: Send {
    /// Everything that happens up to `now`, monotonic. Not called while the chip is frozen.
    fn catch_up(&mut self, now: Duration);

    /// What is written in one part of a transaction.
    fn write(&mut self, bytes: &[u8]);

    /// The next byte that is read.
    fn read_byte(&mut self) -> u8;

    /// The register that `number` means over SPI, where a chip keeps a bit of it for something else.
    fn over_spi(&self, number: u8) -> u8 {
        number
    }

    /// The supply goes, or comes back with everything at its reset value.
    fn power(&mut self, on: bool);
}
