//! PNG through the crate of that name; check sums are looked at.

use std::io::Cursor;

use png::{
    BitDepth, ColorType, Compression, Decoder, DecodingError, Encoder, EncodingError, Limits,
    Transformations,
};

use super::{PictureError, finished, room};
use crate::data::{PIXELS_MAX, Picture};

pub(super) fn decode(bytes: &[u8], into: Vec<u8>) -> Result<Picture, PictureError> {
    let limits = Limits { bytes: 8 * PIXELS_MAX };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    let mut into = room(width, height, into)?;
    let (color, _) = reader.output_color_type();
    if color == ColorType::Rgb {
        reader.next_frame(&mut into).map_err(damaged)?;
        // To the end marker: a file that is cut off behind the last row is cut off.
        reader.finish().map_err(damaged)?;
        return finished(width, height, into);
    }
    let mut other = vec![0; width * height * color.samples()];
    reader.next_frame(&mut other).map_err(damaged)?;
    reader.finish().map_err(damaged)?;
    let pixels = into.as_chunks_mut::<3>().0.iter_mut().zip(other.chunks_exact(color.samples()));
    for (pixel, from) in pixels {
        *pixel = match *from {
            [gray] | [gray, _] => [gray; 3],
            [red, green, blue, ..] => [red, green, blue],
            [] => [0; 3],
        };
    }
    finished(width, height, into)
}

pub(super) fn encode(picture: &Picture) -> Result<Vec<u8>, PictureError> {
    let mut file = Vec::new();
    write(picture, &mut file).map_err(|error| PictureError::Damaged(format!("PNG: {error}")))?;
    Ok(file)
}

fn write(picture: &Picture, file: &mut Vec<u8>) -> Result<(), EncodingError> {
    // No more than 16 megapixels.
    let mut encoder = Encoder::new(file, picture.width() as u32, picture.height() as u32);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture.bytes())?;
    writer.finish()
}

fn damaged(error: DecodingError) -> PictureError {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            PictureError::CutOff
        }
        error => PictureError::Damaged(format!("PNG: {error}")),
    }
}
