//! A simulated I²C bus with one chip on it, and everything that can be wrong between the two.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

use super::device::Device;
use crate::clock::Clock;

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
        let stretch = self.0.now().wires.stretch;
        if !stretch.is_zero() {
            self.0.clock.sleep_until(self.0.clock.monotonic() + stretch);
        }
        let mut state = self.0.now();
        state.transactions += 1;
        assert!(
            state.transactions <= state.transactions_max,
            "the driver used more transactions than the test allows"
        );
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
