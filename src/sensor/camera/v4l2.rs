//! V4L2 by the kernel's own structures, streaming into mapped buffers.
//!
//! Source: Linux, `include/uapi/linux/videodev2.h`; sizes and numbers were compared with C's on 64-bit x86 and ARM.

#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use super::device::{Filled, Taken, Video};

/// Buffers that the device fills in turn.
const BUFFERS: u32 = 4;
const CAPTURE: u32 = 1;
const MMAP: u32 = 1;
const CAN_CAPTURE: u32 = 0x1;
const CAN_STREAM: u32 = 0x0400_0000;
const HAS_DEVICE_CAPS: u32 = 0x8000_0000;
const DAMAGED: u32 = 0x40;
const STAMP_MASK: u32 = 0xe000;
const STAMP_MONOTONIC: u32 = 0x2000;

#[repr(C)]
struct Capability {
    driver: [u8; 16],
    card: [u8; 32],
    bus_info: [u8; 32],
    version: u32,
    capabilities: u32,
    device_caps: u32,
    reserved: [u32; 3],
}

#[repr(C)]
struct FormatDescription {
    index: u32,
    kind: u32,
    flags: u32,
    description: [u8; 32],
    code: [u8; 4],
    media_bus_code: u32,
    reserved: [u32; 3],
}

/// `v4l2_format`, whose union begins where a pointer may lie.
#[repr(C)]
struct Format {
    kind: u32,
    fields: FormatFields,
}

#[repr(C)]
union FormatFields {
    pixels: PixelFields,
    raw: [u8; 200],
    _aligned: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct PixelFields {
    width: u32,
    height: u32,
    code: [u8; 4],
    field: u32,
    stride: u32,
    size: u32,
    others: [u32; 6],
}

#[repr(C)]
struct StreamParameters {
    kind: u32,
    capability: u32,
    mode: u32,
    numerator: u32,
    denominator: u32,
    others: [u32; 46],
}

#[repr(C)]
struct BufferRequest {
    count: u32,
    kind: u32,
    memory: u32,
    capabilities: u32,
    flags: u32,
}

#[repr(C)]
struct Buffer {
    index: u32,
    kind: u32,
    used: u32,
    flags: u32,
    field: u32,
    stamp: libc::timeval,
    timecode: [u32; 4],
    sequence: u32,
    memory: u32,
    /// The offset, in a union with a pointer.
    place: usize,
    length: u32,
    reserved: u32,
    request: i32,
}

const fn number(direction: u64, nr: u64, size: usize) -> u64 {
    direction << 30 | (size as u64) << 16 | (b'V' as u64) << 8 | nr
}

const fn both<T>(nr: u64) -> u64 {
    number(3, nr, size_of::<T>())
}

const QUERY_CAPABILITY: u64 = number(2, 0, size_of::<Capability>());
const ENUM_FORMAT: u64 = both::<FormatDescription>(2);
const SET_FORMAT: u64 = both::<Format>(5);
const REQUEST_BUFFERS: u64 = both::<BufferRequest>(8);
const QUERY_BUFFER: u64 = both::<Buffer>(9);
const QUEUE: u64 = both::<Buffer>(15);
const DEQUEUE: u64 = both::<Buffer>(17);
const STREAM_ON: u64 = number(1, 18, size_of::<libc::c_int>());
const SET_PARAMETERS: u64 = both::<StreamParameters>(22);

/// A structure of integers only, for which all zeros is valid and which the kernel may overwrite with anything.
///
/// # Safety
/// No field may be a reference, a `bool`, an enum or a pointer that is followed here.
unsafe trait Plain: Sized {}
// SAFETY: all fields are integers, and unions and arrays of them.
unsafe impl Plain for Capability {}
// SAFETY: as above.
unsafe impl Plain for FormatDescription {}
// SAFETY: as above.
unsafe impl Plain for Format {}
// SAFETY: as above.
unsafe impl Plain for StreamParameters {}
// SAFETY: as above.
unsafe impl Plain for BufferRequest {}
// SAFETY: as above.
unsafe impl Plain for Buffer {}
// SAFETY: as above.
unsafe impl Plain for libc::c_int {}

fn zeros<T: Plain>() -> T {
    // SAFETY: all zeros is a valid `Plain`.
    unsafe { std::mem::zeroed() }
}

/// Asks the kernel; `number`'s size is that of `about`, see the constants.
fn ask<T: Plain>(file: &File, number: u64, about: &mut T) -> io::Result<()> {
    loop {
        // SAFETY: the kernel reads and writes as many bytes as `number` says: the size of the structure, which
        // we own and which may hold any bytes.
        let result =
            unsafe { libc::ioctl(file.as_raw_fd(), number as _, std::ptr::from_mut(about)) };
        if result >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// A buffer of the device in our memory, for reading.
struct Mapping {
    at: *mut libc::c_void,
    length: usize,
}

// SAFETY: it is memory of the whole process, and owned.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(file: &File, length: usize, offset: usize) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        let (prot, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        // SAFETY: a new mapping at a place of the kernel's choice; the file is open.
        let at = unsafe {
            libc::mmap(std::ptr::null_mut(), length, prot, flags, file.as_raw_fd(), offset)
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { at, length })
    }

    /// The first `used` bytes. The device does not write them as long as the buffer is not queued, which
    /// only [`Camera::next`] does, after the borrow.
    fn bytes(&self, used: usize) -> &[u8] {
        // SAFETY: the mapping is as long as that and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.at.cast(), used.min(self.length)) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody borrows from it any more. Its failure would leave it where it is.
        let _ = unsafe { libc::munmap(self.at, self.length) };
    }
}

/// A camera of the kernel.
pub(super) struct Camera {
    buffers: Vec<Mapping>,
    file: File,
}

impl Camera {
    /// Opens the device file `path`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let mut found: Capability = zeros();
        ask(&file, QUERY_CAPABILITY, &mut found)
            .map_err(|_| io::Error::other("it is no camera"))?;
        let can = match found.capabilities & HAS_DEVICE_CAPS {
            0 => found.capabilities,
            _ => found.device_caps,
        };
        if can & (CAN_CAPTURE | CAN_STREAM) != CAN_CAPTURE | CAN_STREAM {
            // A camera has a second device file, of its metadata.
            return Err(io::Error::other(
                "it gives no pictures: try the camera's other device file",
            ));
        }
        Ok(Self { buffers: Vec::new(), file })
    }

    fn buffer(index: u32) -> Buffer {
        Buffer { index, kind: CAPTURE, memory: MMAP, ..zeros() }
    }
}

impl Video for Camera {
    fn codes(&mut self) -> io::Result<Vec<[u8; 4]>> {
        let mut codes = Vec::new();
        for index in 0..64 {
            let mut found = FormatDescription { index, kind: CAPTURE, ..zeros() };
            match ask(&self.file, ENUM_FORMAT, &mut found) {
                Ok(()) => codes.push(found.code),
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(codes)
    }

    fn set_format(&mut self, code: [u8; 4], width: usize, height: usize) -> io::Result<Taken> {
        let side = |n: usize| u32::try_from(n).map_err(io::Error::other);
        let mut format: Format = zeros();
        format.kind = CAPTURE;
        let (width, height) = (side(width)?, side(height)?);
        // No field: progressive, or whatever the device can.
        let pixels =
            PixelFields { width, height, code, field: 0, stride: 0, size: 0, others: [0; 6] };
        format.fields.pixels = pixels;
        ask(&self.file, SET_FORMAT, &mut format)?;
        // SAFETY: every field of the union is integers, which may hold anything.
        let pixels = unsafe { format.fields.pixels };
        let [width, height, stride] =
            [pixels.width, pixels.height, pixels.stride].map(|n| n as usize);
        Ok(Taken { code: pixels.code, width, height, stride })
    }

    fn set_rate(&mut self, rate_hz: f64) -> io::Result<f64> {
        let mut parameters = StreamParameters { kind: CAPTURE, ..zeros() };
        (parameters.numerator, parameters.denominator) = (1000, (rate_hz * 1000.0) as u32);
        match ask(&self.file, SET_PARAMETERS, &mut parameters) {
            Ok(()) if parameters.numerator > 0 => {
                Ok(f64::from(parameters.denominator) / f64::from(parameters.numerator))
            }
            // The rate is as it is.
            Ok(()) => Ok(0.0),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => {
                Ok(0.0)
            }
            Err(error) => Err(error),
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let mut request = BufferRequest { count: BUFFERS, kind: CAPTURE, memory: MMAP, ..zeros() };
        ask(&self.file, REQUEST_BUFFERS, &mut request)?;
        for index in 0..request.count {
            let mut buffer = Self::buffer(index);
            ask(&self.file, QUERY_BUFFER, &mut buffer)?;
            // Little endian: the union's offset is the lower half of the pointer's place.
            let offset = buffer.place & u32::MAX as usize;
            self.buffers.push(Mapping::new(&self.file, buffer.length as usize, offset)?);
            ask(&self.file, QUEUE, &mut Self::buffer(index))?;
        }
        let mut kind = CAPTURE as libc::c_int;
        ask(&self.file, STREAM_ON, &mut kind)
    }

    fn next(&mut self, look: &mut dyn FnMut(Filled<'_>)) -> io::Result<bool> {
        let mut buffer = Self::buffer(0);
        match ask(&self.file, DEQUEUE, &mut buffer) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        let mapping = self.buffers.get(buffer.index as usize);
        let mapping = mapping.ok_or_else(|| io::Error::other("a buffer that there is none of"))?;
        look(Filled {
            bytes: mapping.bytes(buffer.used as usize),
            age: age(&buffer),
            sequence: buffer.sequence,
            is_damaged: buffer.flags & DAMAGED != 0,
        });
        ask(&self.file, QUEUE, &mut Self::buffer(buffer.index))?;
        Ok(true)
    }
}

/// How long ago the buffer was stamped.
fn age(buffer: &Buffer) -> Option<Duration> {
    if buffer.flags & STAMP_MASK != STAMP_MONOTONIC {
        return None;
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
    // The fields' widths differ between targets.
    #[allow(clippy::useless_conversion)]
    let (seconds, micros) = (i64::from(buffer.stamp.tv_sec), i64::from(buffer.stamp.tv_usec));
    let taken = Duration::from_secs(u64::try_from(seconds).ok()?)
        + Duration::from_micros(u64::try_from(micros).ok()?);
    Some(now.saturating_sub(taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a C program with `linux/videodev2.h` prints them: see `docs/verification.md`.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn structures_and_numbers_are_the_kernel_s() {
        let numbers = [
            QUERY_CAPABILITY,
            ENUM_FORMAT,
            SET_FORMAT,
            REQUEST_BUFFERS,
            QUERY_BUFFER,
            QUEUE,
            DEQUEUE,
            STREAM_ON,
            SET_PARAMETERS,
        ];
        let expected = [
            0x8068_5600,
            0xc040_5602,
            0xc0d0_5605,
            0xc014_5608,
            0xc058_5609,
            0xc058_560f,
            0xc058_5611,
            0x4004_5612,
            0xc0cc_5616,
        ];
        assert_eq!(numbers, expected);
        use std::mem::offset_of;
        assert_eq!(offset_of!(Format, fields), 8);
        assert_eq!(offset_of!(PixelFields, stride), 16);
        assert_eq!(offset_of!(StreamParameters, numerator), 12);
        let of_buffer = [
            offset_of!(Buffer, stamp),
            offset_of!(Buffer, sequence),
            offset_of!(Buffer, place),
            offset_of!(Buffer, length),
        ];
        assert_eq!(of_buffer, [24, 56, 64, 72]);
    }

    #[test]
    fn a_file_that_is_no_camera_is_refused() {
        let error = Camera::open(Path::new("/dev/null")).err().unwrap();
        assert_eq!(error.to_string(), "it is no camera");
    }
}
