//! The kernel's side of USB/IP: requests come in, answers go out, one at a time.
//!
//! Source: Linux, Documentation/usb/usbip_protocol.rst.

use std::io::{self, Read, Write};

const CMD_SUBMIT: u32 = 1;
const CMD_UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;
const HEADER_BYTES: usize = 48;

/// What no request of an I²C adapter comes near.
const LENGTH_MAX: usize = 1 << 16;

/// -EPIPE: the endpoint stalls, USB's word for a request that is not understood.
const STALL: i32 = -32;

/// The eight bytes that begin a control request (USB 2.0, section 9.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) request_type: u8,
    pub(crate) request: u8,
    pub(crate) value: u16,
    pub(crate) index: u16,
    pub(crate) length: usize,
}

/// A device with nothing but its control endpoint.
pub(crate) trait Device {
    /// Answers a request: the bytes for the host, none after `out` came from it. `None` stalls.
    fn control(&mut self, setup: Setup, out: &[u8]) -> Option<Vec<u8>>;
}

/// Answers until the kernel hangs up.
pub(crate) fn serve(line: &mut (impl Read + Write), device: &mut impl Device) -> io::Result<()> {
    let mut header = [0; HEADER_BYTES];
    loop {
        match line.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            result => result?,
        }
        let answer = match word(&header, 0) {
            CMD_SUBMIT => submit(line, device, &header)?,
            // Answers go out before the next request is read, so there is never one to withdraw.
            CMD_UNLINK => reply(RET_UNLINK, &header, 0, 0),
            other => return Err(invalid(format!("command {other} is not of USB/IP"))),
        };
        line.write_all(&answer)?;
    }
}

fn submit(
    line: &mut impl Read,
    device: &mut impl Device,
    header: &[u8; HEADER_BYTES],
) -> io::Result<Vec<u8>> {
    let to_device = word(header, 3) == 0;
    let endpoint = word(header, 4);
    let length = word(header, 6) as usize;
    if length > LENGTH_MAX {
        return Err(invalid(format!("a request of {length} bytes")));
    }
    let mut out = vec![0; if to_device { length } else { 0 }];
    line.read_exact(&mut out)?;
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let setup = Setup {
        request_type: header[40],
        request: header[41],
        value: half(42),
        index: half(44),
        length,
    };
    let answered = if endpoint == 0 { device.control(setup, &out) } else { None };
    Ok(match answered {
        None => reply(RET_SUBMIT, header, STALL, 0),
        Some(_) if to_device => reply(RET_SUBMIT, header, 0, length),
        Some(mut data) => {
            data.truncate(length);
            let mut answer = reply(RET_SUBMIT, header, 0, data.len());
            answer.extend(data);
            answer
        }
    })
}

/// Word `index` of a header; they are big-endian.
fn word(header: &[u8; HEADER_BYTES], index: usize) -> u32 {
    let at = index * 4;
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn reply(command: u32, request: &[u8; HEADER_BYTES], status: i32, length: usize) -> Vec<u8> {
    let mut answer = Vec::with_capacity(HEADER_BYTES + length);
    answer.extend(command.to_be_bytes());
    // The sequence number; device, direction and endpoint are 0 in answers.
    answer.extend(&request[4..8]);
    answer.resize(20, 0);
    answer.extend(status.to_be_bytes());
    answer.extend((length as u32).to_be_bytes());
    answer.resize(HEADER_BYTES, 0);
    answer
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel sent, and what it got.
    struct Line(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Line {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(into)
        }
    }

    impl Write for Line {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Gives the request's own number, but stalls on request 9.
    struct Echo;

    impl Device for Echo {
        fn control(&mut self, setup: Setup, out: &[u8]) -> Option<Vec<u8>> {
            (setup.request != 9).then(|| [&[setup.request; 4], out].concat())
        }
    }

    fn request(command: u32, sequence: u32, to_host: bool, length: u32, setup: [u8; 8]) -> Vec<u8> {
        let words = [command, sequence, 65538, u32::from(to_host), 0, 0, length, 0, 0, 0];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend(setup);
        bytes
    }

    fn answers(requests: &[Vec<u8>]) -> io::Result<Vec<u8>> {
        let mut line = Line(io::Cursor::new(requests.concat()), Vec::new());
        serve(&mut line, &mut Echo).map(|()| line.1)
    }

    #[test]
    fn bytes_go_to_the_host_only_when_it_asks_for_some() {
        let read = request(CMD_SUBMIT, 7, true, 2, [0xc0, 3, 0, 0, 0, 0, 2, 0]);
        let write = [request(CMD_SUBMIT, 8, false, 2, [0x40, 4, 0, 0, 0, 0, 2, 0]), vec![1, 2]];
        let got = answers(&[read, write.concat()]).unwrap();
        assert_eq!(got.len(), 48 + 2 + 48);
        assert_eq!(got[..8], [0, 0, 0, 3, 0, 0, 0, 7]);
        assert_eq!(got[20..28], [0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(got[48..58], [3, 3, 0, 0, 0, 3, 0, 0, 0, 8]);
        assert_eq!(got[74..78], [0, 0, 0, 2]);
    }

    #[test]
    fn what_is_not_understood_stalls_and_what_is_withdrawn_was_answered() {
        let stalled = request(CMD_SUBMIT, 1, true, 2, [0xc0, 9, 0, 0, 0, 0, 2, 0]);
        let got = answers(&[stalled, request(CMD_UNLINK, 2, false, 0, [0; 8])]).unwrap();
        assert_eq!(got[20..28], [255, 255, 255, 224, 0, 0, 0, 0]);
        assert_eq!(got[48..56], [0, 0, 0, 4, 0, 0, 0, 2]);
    }

    #[test]
    fn nonsense_ends_the_line() {
        for bad in [request(5, 1, true, 2, [0; 8]), request(CMD_SUBMIT, 1, false, u32::MAX, [0; 8])]
        {
            assert_eq!(answers(&[bad]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
