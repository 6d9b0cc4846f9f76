//! The USB device: Till Harbaum's i2c-tiny-usb, as the kernel's driver of that name talks to it.
//!
//! Source: Linux, drivers/i2c/busses/i2c-tiny-usb.c; descriptors: USB 2.0, section 9.6.

use crate::sensor::sim::Bus;
use crate::usbip::{Device, Setup};

/// Device: USB 1.10, vendor's class, 8 bytes a packet, 0403:c631, strings 1 and 2, one configuration.
const DEVICE: [u8; 18] =
    [18, 1, 0x10, 0x01, 0xff, 0, 0, 8, 0x03, 0x04, 0x31, 0xc6, 0x00, 0x01, 1, 2, 0, 1];

/// One configuration of 100 mA with one interface that has no endpoint of its own.
const CONFIGURATION: [u8; 18] = [9, 2, 18, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 0, 0xff, 0, 0, 0];

/// English (United States), the one language.
const LANGUAGES: [u8; 4] = [4, 3, 0x09, 0x04];

const GET_STATUS: u8 = 0;
const SET_ADDRESS: u8 = 5;
const GET_DESCRIPTOR: u8 = 6;
const SET_CONFIGURATION: u8 = 9;
const SET_INTERFACE: u8 = 11;

/// Bits 6 and 5 of the request's type: 0 is USB's own.
const VENDOR: u8 = 0x60;
/// Bit 7 of the request's type.
const TO_HOST: u8 = 0x80;

const CMD_GET_FUNC: u8 = 1;
const CMD_SET_DELAY: u8 = 2;
const CMD_GET_STATUS: u8 = 3;
/// Bits 0 and 1 of the command say whether a start and a stop go with the message.
const CMD_I2C_IO: std::ops::RangeInclusive<u8> = 4..=7;

/// I2C_FUNC_I2C and the SMBus functions that the kernel makes of it, as the real adapter says.
const FUNCTIONS: u32 = 0x0eff_0001;

#[derive(Clone, Copy)]
enum Status {
    Idle = 0,
    Acknowledged = 1,
    NotAcknowledged = 2,
}

/// The adapter and what is on its bus.
pub(crate) struct Adapter {
    bus: Bus,
    status: Status,
}

impl Adapter {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus, status: Status::Idle }
    }

    fn standard(setup: Setup) -> Option<Vec<u8>> {
        match setup.request {
            GET_STATUS => Some(vec![0, 0]),
            SET_ADDRESS | SET_CONFIGURATION | SET_INTERFACE => Some(Vec::new()),
            GET_DESCRIPTOR => match setup.value.to_be_bytes() {
                [1, _] => Some(DEVICE.to_vec()),
                [2, _] => Some(CONFIGURATION.to_vec()),
                [3, 0] => Some(LANGUAGES.to_vec()),
                [3, 1] => Some(string("edgerun")),
                [3, 2] => Some(string("i2c-tiny-usb")),
                _ => None,
            },
            _ => None,
        }
    }

    /// One message to or from the chip with the address `setup.index`.
    fn message(&mut self, setup: Setup, out: &[u8]) -> Vec<u8> {
        let address = setup.index;
        let (answer, acknowledged) = if setup.request_type & TO_HOST != 0 {
            // A bus that nobody pulls down reads as ones.
            let bytes = self.bus.read(address, setup.length);
            let acknowledged = bytes.is_some();
            (bytes.unwrap_or_else(|| vec![0xff; setup.length]), acknowledged)
        } else {
            (Vec::new(), self.bus.write(address, out))
        };
        self.status = if acknowledged { Status::Acknowledged } else { Status::NotAcknowledged };
        answer
    }
}

impl Device for Adapter {
    fn control(&mut self, setup: Setup, out: &[u8]) -> Option<Vec<u8>> {
        if setup.request_type & VENDOR == 0 {
            return Self::standard(setup);
        }
        match setup.request {
            CMD_GET_FUNC => Some(FUNCTIONS.to_le_bytes().to_vec()),
            // The bus is as fast as the requests come.
            CMD_SET_DELAY => Some(Vec::new()),
            CMD_GET_STATUS => Some(vec![self.status as u8]),
            command if CMD_I2C_IO.contains(&command) => Some(self.message(setup, out)),
            _ => None,
        }
    }
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = vec![0, 3];
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    bytes[0] = bytes.len() as u8;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::mpu6050::registers::*;
    use crate::sensor::sim::{ADDRESS, Playback};

    struct Host(Adapter, std::path::PathBuf);

    impl Host {
        fn new(name: &str) -> Self {
            let removed =
                std::env::temp_dir().join(format!("i2c-usbip-{name}-{}", std::process::id()));
            Self(Adapter::new(Bus::new(Playback::default(), removed.clone())), removed)
        }

        fn ask(
            &mut self,
            request_type: u8,
            request: u8,
            index: u16,
            length: usize,
            out: &[u8],
        ) -> Option<Vec<u8>> {
            self.0.control(Setup { request_type, request, value: 0, index, length }, out)
        }

        /// Writes the register's number, reads one byte, as the kernel's driver does; with both statuses.
        fn register(&mut self, address: u16, register: u8) -> (u8, [u8; 2]) {
            self.ask(0x40, 5, address, 1, &[register]);
            let first = self.status();
            let byte = self.ask(0xc0, 6, address, 1, &[]).unwrap()[0];
            (byte, [first, self.status()])
        }

        fn status(&mut self) -> u8 {
            self.ask(0xc0, CMD_GET_STATUS, 0, 1, &[]).unwrap()[0]
        }
    }

    #[test]
    fn the_chip_answers_and_others_do_not() {
        let mut host = Host::new("answers");
        assert_eq!(host.register(ADDRESS, WHO_AM_I), (0x68, [1, 1]));
        assert_eq!(host.register(ADDRESS + 1, WHO_AM_I), (0xff, [2, 2]));
    }

    #[test]
    fn a_chip_that_was_removed_comes_back_with_its_reset_values() {
        let mut host = Host::new("removed");
        host.ask(0x40, 7, ADDRESS, 2, &[PWR_MGMT_1, CLKSEL_PLL_X]);
        assert_eq!(host.register(ADDRESS, PWR_MGMT_1), (CLKSEL_PLL_X, [1, 1]));
        std::fs::write(&host.1, []).unwrap();
        assert_eq!(host.register(ADDRESS, PWR_MGMT_1), (0xff, [2, 2]));
        std::fs::remove_file(&host.1).unwrap();
        assert_eq!(host.register(ADDRESS, PWR_MGMT_1), (SLEEP, [1, 1]));
    }

    #[test]
    fn descriptors_are_as_long_as_they_say() {
        for value in [0x100, 0x200, 0x300, 0x301, 0x302] {
            let setup =
                Setup { request_type: 0x80, request: GET_DESCRIPTOR, value, index: 0, length: 255 };
            let bytes = Adapter::standard(setup).unwrap();
            // A configuration's comes with its interface's, and has the length of both.
            let length = if value == 0x200 { bytes[2] } else { bytes[0] };
            assert_eq!(usize::from(length), bytes.len());
            assert_eq!(u16::from(bytes[1]), value >> 8);
        }
    }
}
