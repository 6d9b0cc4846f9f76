//! Uncompressed BMP: 8 bits with a palette, 24 and 32 bits. Too small to depend on somebody for.
//!
//! Source: Microsoft, "Bitmap storage", BITMAPFILEHEADER and BITMAPINFOHEADER.

use super::{PictureError, finished, room};
use crate::data::Picture;

const FILE_HEADER: usize = 14;

pub(super) fn decode(bytes: &[u8], into: Vec<u8>) -> Result<Picture, PictureError> {
    let u32_at = |at: usize| {
        let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
        four.map(u32::from_le_bytes).ok_or(PictureError::CutOff)
    };
    let u16_at = |at: usize| Ok::<_, PictureError>(u32_at(at)? as u16);
    let header = u32_at(FILE_HEADER)? as usize;
    if !(40..=124).contains(&header) {
        return Err(damaged(format!("a header of {header} bytes is none that is known")));
    }
    let (pixels, compression) = (u32_at(10)? as usize, u32_at(30)?);
    let (width, height) = (u32_at(18)? as i32, u32_at(22)? as i32);
    let bits = u16_at(28)?;
    // Bit fields are taken in the usual order only.
    let plain = compression == 0
        || compression == 3
            && bits == 32
            && [u32_at(54)?, u32_at(58)?, u32_at(62)?] == [0xff_0000, 0xff00, 0xff];
    if !plain || !matches!(bits, 8 | 24 | 32) {
        return Err(damaged(format!("{bits} bits with compression {compression} are not taken")));
    }
    let width = usize::try_from(width).ok().filter(|width| *width > 0);
    let width = width.ok_or_else(|| damaged("its width is not above 0".into()))?;
    // A negative height: the first row comes first.
    let (rows, down) = (height.unsigned_abs() as usize, height < 0);
    let mut into = room(width, rows, into)?;
    let size = usize::from(bits / 8);
    let stride = (width * size).next_multiple_of(4);
    let palette = bytes.get(FILE_HEADER + header..pixels).unwrap_or_default().as_chunks::<4>().0;
    let data = bytes.get(pixels..).and_then(|data| data.get(..stride * rows));
    let data = data.ok_or(PictureError::CutOff)?;
    for (y, row) in data.chunks_exact(stride).enumerate() {
        let y = if down { y } else { rows - 1 - y };
        let to = into[y * width * 3..][..width * 3].as_chunks_mut::<3>().0;
        for (to, from) in to.iter_mut().zip(row.chunks_exact(size)) {
            *to = match *from {
                [index] => {
                    let color = palette.get(usize::from(index));
                    let [blue, green, red, _] =
                        *color.ok_or_else(|| damaged("a colour is not in its palette".into()))?;
                    [red, green, blue]
                }
                [blue, green, red, ..] => [red, green, blue],
                _ => [0; 3],
            };
        }
    }
    finished(width, rows, into)
}

fn damaged(why: String) -> PictureError {
    PictureError::Damaged(format!("BMP: {why}"))
}
