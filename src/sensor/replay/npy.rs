//! A recording as a NumPy array, `[frames, channels]` or `[segments, frames, channels]`.
//!
//! Source: NumPy's format description, "numpy.lib.format", versions 1.0 to 3.0. Read here and not by
//! `npyz`, which trusts the header's numbers: a hostile one makes it overflow.

use super::{CHANNELS_MAX, Recording, channel, check_channels};
use crate::sensor::Channel;

#[derive(Clone, Copy)]
enum Element {
    F32,
    F64,
}

/// Reads an array; `names` are its channels, or empty.
pub(super) fn parse(bytes: &[u8], names: &[String]) -> Result<Recording, String> {
    let (header, data) = split(bytes).ok_or("not a NumPy .npy file, or cut off in its header")?;
    let element = match field(header, "descr")?.split('\'').nth(1) {
        Some("<f4") => Element::F32,
        Some("<f8") => Element::F64,
        other => {
            let other = other.unwrap_or("no plain type");
            return Err(format!("elements are {other}; must be little-endian float32 or float64"));
        }
    };
    if !field(header, "fortran_order")?.starts_with("False") {
        return Err("the array is in Fortran order; save it with numpy.ascontiguousarray".into());
    }
    let shape = shape(field(header, "shape")?)?;
    let (segment_frames, width) = match shape[..] {
        [frames, channels] => (frames, channels),
        [_, frames, channels] => (frames, channels),
        _ => {
            return Err(format!(
                "shape is {shape:?}; must be [frames, channels] or [segments, frames, channels]"
            ));
        }
    };
    let size = match element {
        Element::F32 => 4,
        Element::F64 => 8,
    };
    let wanted = shape.iter().try_fold(size, |bytes: usize, axis| bytes.checked_mul(*axis));
    if wanted != Some(data.len()) {
        return Err(format!("shape {shape:?} does not fit the {} bytes of data", data.len()));
    }
    let channels = channels(names, width)?;
    let values: Vec<f32> = match element {
        Element::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Element::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
    };
    if let Some(place) = values.iter().position(|value| value.is_infinite()) {
        let (frame, channel) = (place / width, place % width);
        return Err(format!(
            "frame {frame}, channel {channel} is infinite; NaN marks a missing value"
        ));
    }
    let gaps = (0..values.len() / width).map(|frame| frame % segment_frames == 0).collect();
    Ok(Recording { channels, values, gaps })
}

/// The header's text and what follows it.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = match version[0] {
        1 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
        }
        _ => return None,
    };
    let (header, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

/// What follows `'name':` in the header, a Python dictionary.
fn field<'a>(header: &'a str, name: &str) -> Result<&'a str, String> {
    let key = format!("'{name}'");
    let value = header.split_once(&key).and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    value.map(str::trim_start).ok_or_else(|| format!("the header has no {name}"))
}

/// `(a, b, …)`.
fn shape(value: &str) -> Result<Vec<usize>, String> {
    let bad = || "the header's shape is not a tuple of whole numbers".to_owned();
    let inside = value.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or_else(bad)?.0;
    let axes = inside.split(',').map(str::trim).filter(|axis| !axis.is_empty());
    axes.map(|axis| axis.parse().map_err(|_| bad())).collect()
}

fn channels(names: &[String], width: usize) -> Result<Vec<Channel>, String> {
    if width > CHANNELS_MAX {
        return Err(format!("{width} channels; there must be 1 to {CHANNELS_MAX}"));
    }
    let numbered = || (0..width).map(|index| channel(&format!("channel_{index}"))).collect();
    let channels: Result<Vec<_>, _> = if names.is_empty() {
        numbered()
    } else {
        names.iter().map(|name| channel(name)).collect()
    };
    let channels = channels?;
    if channels.len() != width {
        return Err(format!("has {width} channels, `channels` names {}", channels.len()));
    }
    check_channels(&channels)?;
    Ok(channels)
}
