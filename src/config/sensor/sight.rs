//! `[[sensor]]` for what gives pictures: cameras, and folders.

use std::path::{Path, PathBuf};

use super::super::quantity::Rate;
use super::super::raw::Section;
use super::super::value::{Bad, boolean, one_of, path, quantity, text};
use crate::sensor::camera::PixelFormat;
use crate::sensor::{CameraSettings, PicturesSettings};

const FORMATS: &[(&str, PixelFormat)] =
    &[("mjpeg", PixelFormat::Mjpeg), ("yuyv", PixelFormat::Yuyv)];

pub(super) fn camera(section: Section<'_>) -> Option<CameraSettings> {
    section.close();
    let device = section.require("device", device);
    let size = section.get("size", size);
    let rate = section.require("rate", quantity::<Rate>);
    let format = section.get("format", one_of(FORMATS));
    let size = size.unwrap_or([640, 480]);
    let settings = CameraSettings { device: device?, size, rate_hz: rate?.hz(), format };
    let bad = settings.validate();
    for bad in &bad {
        section.wrong(bad.key, bad.why.clone());
    }
    bad.is_empty().then_some(settings)
}

pub(super) fn pictures(section: Section<'_>, base: &Path) -> Option<PicturesSettings> {
    section.close();
    let path = section.require("path", path(base));
    let rate = section.require("rate", quantity::<Rate>);
    let repeat = section.get("repeat", boolean).unwrap_or(false);
    let settings = PicturesSettings { path: path?, rate_hz: rate?.hz(), repeat };
    let bad = settings.validate();
    for bad in &bad {
        section.wrong(bad.key, bad.why.clone());
    }
    bad.is_empty().then_some(settings)
}

/// `640x480`.
fn size<'a>(value: &'a toml::de::DeValue<'a>) -> Result<[usize; 2], Bad> {
    let said = text(value)?;
    let sides = said.split_once('x').map(|(width, height)| (width.trim(), height.trim()));
    match sides.map(|(width, height)| (width.parse(), height.parse())) {
        Some((Ok(width), Ok(height))) => Ok([width, height]),
        _ => Err(Bad::Says(format!("{said:?} is no width and height, as in \"640x480\""))),
    }
}

fn device<'a>(value: &'a toml::de::DeValue<'a>) -> Result<PathBuf, Bad> {
    if let Some(number) = value.as_integer() {
        let message =
            format!("must be the camera's device file; write it as \"/dev/video{number}\"");
        return Err(Bad::Says(message));
    }
    let device = text(value)?;
    if !device.starts_with("/dev/") || device.contains('\0') {
        let message = format!("{device:?} is not a device file, as in \"/dev/video0\"");
        return Err(Bad::Says(message));
    }
    Ok(device.into())
}
