//! JPEG, PNG and BMP files as pictures.
//!
//! The files are hostile: sizes are checked before memory is taken, and a decoder's panic becomes an error. A file
//! that is cut off is an error and not half a picture.

mod bmp;
mod jpeg;
mod png;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::data::{PIXELS_MAX, Picture};

/// Most bytes of a file.
pub const FILE_BYTES_MAX: usize = 64 << 20;

/// Formats by the bytes that a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// Baseline and progressive, 8 bits; also a camera's MJPEG, whose Huffman tables are left out.
    Jpeg,
    /// Any; 16 bits are cut to 8, transparency is left out.
    Png,
    /// Uncompressed, 8 bits with a palette, 24 or 32.
    Bmp,
}

impl PictureFormat {
    /// The format of a file that begins with `bytes`.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', ..] => Some(Self::Png),
            [b'B', b'M', ..] => Some(Self::Bmp),
            _ => None,
        }
    }

    /// Whether a file's extension is one of this kind of files.
    pub fn knows(extension: &str) -> bool {
        ["jpg", "jpeg", "png", "bmp"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    }
}

/// Why a file is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// It begins with something else.
    #[error("neither JPEG nor PNG nor BMP")]
    Unknown,
    /// More pixels than are taken.
    #[error("{width} x {height} pixels, at most {PIXELS_MAX} are taken")]
    TooLarge {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// The file ends before the picture does.
    #[error("cut off: the file ends before the picture does")]
    CutOff,
    /// Something in it is wrong, or of a kind that is not taken.
    #[error("{0}")]
    Damaged(String),
}

/// The picture in the file `bytes`, in the memory `into`. Turned as it is stored: a camera's note on how it was held
/// (EXIF) is not followed, as Pillow does not.
///
/// # Errors
/// Says what is wrong with the file.
pub fn decode(bytes: &[u8], into: Vec<u8>) -> Result<Picture, PictureError> {
    let format = PictureFormat::of(bytes).ok_or(PictureError::Unknown)?;
    let decoded = catch_unwind(AssertUnwindSafe(|| match format {
        PictureFormat::Jpeg => jpeg::decode(bytes, into),
        PictureFormat::Png => png::decode(bytes, into),
        PictureFormat::Bmp => bmp::decode(bytes, into),
    }));
    decoded.unwrap_or_else(|_| Err(PictureError::Damaged("the decoder gave it up".into())))
}

/// A PNG file of `picture`, lossless; quickly rather than as small as can be.
///
/// # Errors
/// None that a [`Picture`] should cause.
pub fn encode(picture: &Picture) -> Result<Vec<u8>, PictureError> {
    png::encode(picture)
}

/// Memory for `width` x `height` pixels, zeroed where it was not there.
fn room(width: usize, height: usize, mut into: Vec<u8>) -> Result<Vec<u8>, PictureError> {
    let pixels = width.checked_mul(height).filter(|pixels| *pixels <= PIXELS_MAX);
    let pixels = pixels.ok_or(PictureError::TooLarge { width, height })?;
    into.resize(3 * pixels, 0);
    Ok(into)
}

fn finished(width: usize, height: usize, bytes: Vec<u8>) -> Result<Picture, PictureError> {
    Picture::new(width, height, bytes).map_err(|why| PictureError::Damaged(why.to_string()))
}

#[cfg(test)]
mod tests;
