//! What a camera's driver in the kernel can be asked, as a seam: V4L2, or a camera that fails on cue.

use std::io;
use std::time::Duration;

/// How pixels lie in a buffer, as V4L2 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// A JPEG each.
    Mjpeg,
    /// YUYV, 16 bits a pixel.
    Yuyv,
}

impl PixelFormat {
    /// V4L2's codes of it, as four letters.
    pub(super) fn codes(self) -> &'static [[u8; 4]] {
        // Drivers of cameras that send pictures one by one say JPEG.
        const MJPEG: &[[u8; 4]] = &[*b"MJPG", *b"JPEG"];
        const YUYV: &[[u8; 4]] = &[*b"YUYV"];
        match self {
            Self::Mjpeg => MJPEG,
            Self::Yuyv => YUYV,
        }
    }

    /// As the configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mjpeg => "mjpeg",
            Self::Yuyv => "yuyv",
        }
    }
}

/// A format that a device has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its code.
    pub code: [u8; 4],
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Bytes from one row to the next, of formats with rows.
    pub stride: usize,
}

/// A filled buffer.
#[derive(Clone, Copy, Debug)]
pub struct Filled<'a> {
    /// What the device wrote.
    pub bytes: &'a [u8],
    /// How long ago it was taken; `None` where the driver's stamps are of another clock.
    pub age: Option<Duration>,
    /// The device's number of it: one that is left out was lost.
    pub sequence: u32,
    /// The driver says itself that it is damaged.
    pub is_damaged: bool,
}

/// A camera as the kernel gives it. Nothing here waits.
pub trait Video: Send {
    /// Codes that it offers.
    ///
    /// # Errors
    /// The system's.
    fn codes(&mut self) -> io::Result<Vec<[u8; 4]>>;

    /// Asks for a format; a device takes the nearest that it can.
    ///
    /// # Errors
    /// The system's; busy when another program streams.
    fn set_format(&mut self, code: [u8; 4], width: usize, height: usize) -> io::Result<Taken>;

    /// Asks for pictures a second; says what it will be, 0 where the device does not say.
    ///
    /// # Errors
    /// The system's.
    fn set_rate(&mut self, rate_hz: f64) -> io::Result<f64>;

    /// Begins to stream.
    ///
    /// # Errors
    /// The system's.
    fn start(&mut self) -> io::Result<()>;

    /// Lends the oldest filled buffer to `look`, and gives it back to the device; `false` when none is filled.
    ///
    /// # Errors
    /// The system's: the device is gone.
    fn next(&mut self, look: &mut dyn FnMut(Filled<'_>)) -> io::Result<bool>;
}
