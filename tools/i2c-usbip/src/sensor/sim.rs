//! A bus with the simulated chip on it.

mod chip;
mod device;
mod playback;

use std::path::PathBuf;
use std::time::Instant;

use chip::Chip;
use device::Device as _;
pub(crate) use playback::{Playback, Segment};

/// The chip's address: its pin AD0 is low.
pub(crate) const ADDRESS: u16 = 0x68;

pub(crate) struct Bus {
    chip: Chip,
    begin: Instant,
    /// While it exists, the chip is not there.
    removed: PathBuf,
    powered: bool,
}

impl Bus {
    pub(crate) fn new(playback: Playback, removed: PathBuf) -> Self {
        // `Clock` is the daemon's seam and not linked here.
        #[allow(clippy::disallowed_methods)]
        let begin = Instant::now();
        Self { chip: Chip::new(playback), begin, removed, powered: true }
    }

    /// Writes to the chip with that address; `false`: nobody acknowledged.
    pub(crate) fn write(&mut self, address: u16, bytes: &[u8]) -> bool {
        let answers = self.answers(address);
        if answers {
            self.chip.write(bytes);
        }
        answers
    }

    /// Reads `length` bytes from the chip with that address; `None`: nobody acknowledged.
    pub(crate) fn read(&mut self, address: u16, length: usize) -> Option<Vec<u8>> {
        self.answers(address).then(|| (0..length).map(|_| self.chip.read_byte()).collect())
    }

    /// Brings the chip to this moment and says whether it acknowledges its address.
    fn answers(&mut self, address: u16) -> bool {
        let here = !self.removed.exists();
        if here != self.powered {
            self.powered = here;
            self.chip.power(here);
        }
        self.chip.catch_up(self.begin.elapsed());
        here && address == ADDRESS
    }
}
