//! A simulated bus, I²C or SPI, with one chip on it, and everything that can be wrong between the two.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use embedded_hal::spi::{self, SpiDevice};

use super::device::Device;
use crate::clock::Clock;
use crate::sensor::bus::{Dialect, I2cPort, Place, Port, SpiDialect, SpiPort};

/// A chip on a board. Clones are the same chip.
pub struct Sim<C> {
    state: Arc<Mutex<State<C>>>,
    clock: Arc<dyn Clock>,
    address: u8,
}

impl<C> Clone for Sim<C> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), clock: self.clock.clone(), address: self.address }
    }
}

struct State<C> {
    chip: C,
    wires: Wires,
    transactions: u64,
    transactions_max: u64,
}

/// What is wrong between the chip and the bus.
#[derive(Default)]
struct Wires {
    removed: bool,
    frozen: bool,
    stuck: Option<u8>,
    nack_next: u32,
    nack_at: Option<u64>,
    nack_after_bytes: Option<usize>,
    stretch: Duration,
}

/// A connection to the chip's bus, for one driver.
pub struct SimBus<C>(Sim<C>);

/// The same where the chip is on SPI.
pub struct SimSpi<C> {
    sim: Sim<C>,
    dialect: SpiDialect,
    /// What [`Device::write`] knows a burst by.
    i2c_burst: u8,
}

impl<C: Device + 'static> Sim<C> {
    /// The chip as a driver for `place` reaches it.
    pub fn port(&self, place: &Place, dialect: Dialect) -> Box<dyn Port> {
        match (place, dialect.spi) {
            (Place::Spi { .. }, Some(spi)) => {
                let sim = self.clone();
                let bus = SimSpi { sim, dialect: spi, i2c_burst: dialect.i2c_burst };
                Box::new(SpiPort::new(bus, spi))
            }
            _ => {
                let address = place.address().unwrap_or(self.address);
                Box::new(I2cPort::new(self.bus(), address, dialect))
            }
        }
    }
}

impl<C: Device> Sim<C> {
    /// `chip` at `address`, which has just been powered.
    pub fn at(address: u8, clock: Arc<dyn Clock>, chip: C) -> Self {
        let wires = Wires::default();
        let state = State { chip, wires, transactions: 0, transactions_max: u64::MAX };
        Self { state: Arc::new(Mutex::new(state)), clock, address }
    }

    /// A new connection to the chip's bus.
    pub fn bus(&self) -> SimBus<C> {
        SimBus(self.clone())
    }

    /// Looks at the chip itself, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut C) -> T) -> T {
        look(&mut self.now().chip)
    }

    /// The next `count` transactions are not acknowledged.
    pub fn nack_next(&self, count: u32) {
        self.now().wires.nack_next = count;
    }

    /// The transaction after `count` more is not acknowledged.
    pub fn nack_at(&self, count: u64) {
        let mut state = self.now();
        state.wires.nack_at = Some(state.transactions + count + 1);
    }

    /// The next read of more than `bytes` bytes breaks off after them; they are lost.
    pub fn nack_after_bytes(&self, bytes: usize) {
        self.now().wires.nack_after_bytes = Some(bytes);
    }

    /// Takes the chip off its bus and supply.
    pub fn remove(&self) {
        let mut state = self.now();
        state.wires.removed = true;
        state.chip.power(false);
    }

    /// Puts the chip back, with its reset values.
    pub fn plug_in(&self) {
        let mut state = self.now();
        state.wires.removed = false;
        state.chip.power(true);
    }

    /// Every byte that is read is `byte` until `None` ends it: 0xff or 0x00 for a dead bus.
    pub fn stuck_at(&self, byte: Option<u8>) {
        self.now().wires.stuck = byte;
    }

    /// The chip answers, but nothing happens in it any more: its values stay as they are.
    pub fn freeze(&self, frozen: bool) {
        self.now().wires.frozen = frozen;
    }

    /// The chip holds the clock line for this long in each transaction.
    pub fn stretch(&self, time: Duration) {
        self.now().wires.stretch = time;
    }

    /// The supply dips: all registers have their reset values.
    pub fn brown_out(&self) {
        self.now().chip.power(true);
    }

    /// Transactions on the bus so far.
    pub fn transactions(&self) -> u64 {
        self.now().transactions
    }

    /// Makes the bus panic after `count` more transactions: an endless loop in a driver ends there.
    pub fn allow_transactions(&self, count: u64) {
        let mut state = self.now();
        state.transactions_max = state.transactions + count;
    }

    /// Begins a transaction.
    fn begin(&self) -> MutexGuard<'_, State<C>> {
        let stretch = self.now().wires.stretch;
        if !stretch.is_zero() {
            self.clock.sleep_until(self.clock.monotonic() + stretch);
        }
        let mut state = self.now();
        state.transactions += 1;
        assert!(
            state.transactions <= state.transactions_max,
            "the driver used more transactions than the test allows"
        );
        state
    }

    /// The state as it is at this moment.
    fn now(&self) -> MutexGuard<'_, State<C>> {
        // The panic of `allow_transactions` is the only one, and leaves the state whole.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.wires.frozen {
            state.chip.catch_up(self.clock.monotonic());
        }
        state
    }
}

impl<C> ErrorType for SimBus<C> {
    type Error = ErrorKind;
}

impl<C: Device> I2c for SimBus<C> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), ErrorKind> {
        let mut state = self.0.begin();
        let State { chip, wires, transactions, .. } = &mut *state;
        let nack = Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
        if wires.removed || address != self.0.address {
            return nack;
        }
        if wires.nack_at == Some(*transactions) {
            return nack;
        }
        if wires.nack_next > 0 {
            wires.nack_next -= 1;
            return nack;
        }
        for operation in operations {
            match operation {
                Operation::Write(_) if wires.stuck.is_some() => {}
                Operation::Write(bytes) => chip.write(bytes),
                Operation::Read(into) => {
                    let broken = wires.nack_after_bytes.take_if(|bytes| *bytes < into.len());
                    let read = broken.unwrap_or(into.len());
                    into[..read].fill_with(|| wires.stuck.unwrap_or_else(|| chip.read_byte()));
                    if broken.is_some() {
                        return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data));
                    }
                }
            }
        }
        Ok(())
    }
}

impl<C> spi::ErrorType for SimSpi<C> {
    type Error = spi::ErrorKind;
}

impl<C: Device> SpiDevice for SimSpi<C> {
    /// Nobody acknowledges: a chip that is not there, and one that was told to be written, leave the line as it is, high.
    fn transaction(
        &mut self,
        operations: &mut [spi::Operation<'_, u8>],
    ) -> Result<(), spi::ErrorKind> {
        let mut state = self.sim.begin();
        let State { chip, wires, transactions, .. } = &mut *state;
        let fails = wires.nack_at == Some(*transactions) || wires.nack_next > 0;
        wires.nack_next = wires.nack_next.saturating_sub(1);
        if fails {
            return Err(spi::ErrorKind::Other);
        }
        let SpiDialect { read, burst, .. } = self.dialect;
        let dead = if wires.removed { Some(0xff) } else { wires.stuck };
        let (mut reads, mut one) = (true, false);
        for operation in operations {
            match operation {
                spi::Operation::Write(bytes) => {
                    let Some((&number, values)) = bytes.split_first() else { continue };
                    reads = number & read == read;
                    let several = number & burst == burst;
                    one = !several;
                    assert!(
                        values.len() < 2 || several,
                        "several bytes are written without the burst bit"
                    );
                    let more = if several && burst != 0 { self.i2c_burst } else { 0 };
                    let number = chip.over_spi(number & !read & !burst) | more;
                    if dead.is_none() {
                        chip.write(&[&[number], values].concat());
                    }
                }
                spi::Operation::Read(into) => {
                    assert!(into.len() < 2 || !one, "several bytes are read without the burst bit");
                    let dead = if reads { dead } else { Some(0xff) };
                    into.fill_with(|| dead.unwrap_or_else(|| chip.read_byte()));
                }
                _ => return Err(spi::ErrorKind::Other),
            }
        }
        Ok(())
    }
}
