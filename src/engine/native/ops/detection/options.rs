//! What the operator's FlexBuffers map says.

use super::super::{Refusal, malformed};
use crate::engine::native::flexbuffer::{FlexError, Map, Number};

/// Inputs: encodings `[1, n, 4 or more]` (y, x, height, width), scores `[1, n, classes]`, anchors
/// `[n, 4]` (y, x, height, width). Outputs: boxes `[1, d, 4]` (top, left, bottom, right), classes
/// `[1, d]`, scores `[1, d]`, and how many there are; zeros follow.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Detection {
    pub(super) detections: usize,
    /// Of the fast suppression, which keeps a box once for several classes.
    pub(super) classes_per_detection: usize,
    /// Of the regular suppression, which goes through each class on its own.
    pub(super) per_class: usize,
    pub(super) regular: bool,
    pub(super) score: f32,
    pub(super) overlap: f32,
    /// Without the background.
    pub(super) classes: usize,
    /// What encodings are divided by: y, x, height, width.
    pub(super) scales: [f64; 4],
}

/// More of anything than a detector has.
const COUNT_MAX: i64 = 1 << 20;

impl From<FlexError> for Refusal {
    fn from(error: FlexError) -> Self {
        malformed(error.to_string())
    }
}

fn count(map: &Map<'_>, name: &str, default: Option<i64>) -> Result<usize, Refusal> {
    let found = match map.number(name)? {
        Some(Number::Whole(value)) => Some(value),
        Some(Number::Real(value)) => Some(value as i64),
        None => default,
    };
    let value = found.filter(|value| (1..=COUNT_MAX).contains(value));
    let value = value.and_then(|value| usize::try_from(value).ok());
    value.ok_or_else(|| malformed(format!("{name} is {found:?}")))
}

fn real(map: &Map<'_>, name: &str) -> Result<f32, Refusal> {
    let value = match map.number(name)? {
        Some(Number::Whole(value)) => value as f32,
        Some(Number::Real(value)) => value as f32,
        None => return Err(malformed(format!("there is no {name}"))),
    };
    if value.is_finite() { Ok(value) } else { Err(malformed(format!("{name} is {value}"))) }
}

impl Detection {
    /// Reads the map.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let map = Map::root(bytes)?;
        let mut scales = [0.0; 4];
        for (scale, name) in scales.iter_mut().zip(["y_scale", "x_scale", "h_scale", "w_scale"]) {
            *scale = f64::from(real(&map, name)?);
            if *scale == 0.0 {
                return Err(malformed(format!("{name} is 0")));
            }
        }
        let overlap = real(&map, "nms_iou_threshold")?;
        if !(overlap > 0.0 && overlap <= 1.0) {
            return Err(malformed(format!("nms_iou_threshold is {overlap}")));
        }
        let regular = match map.number("use_regular_nms")? {
            None => false,
            Some(Number::Whole(value)) => value != 0,
            Some(Number::Real(value)) => value != 0.0,
        };
        Ok(Self {
            detections: count(&map, "max_detections", None)?,
            classes_per_detection: count(&map, "max_classes_per_detection", None)?,
            per_class: count(&map, "detections_per_class", Some(100))?,
            regular,
            score: real(&map, "nms_score_threshold")?,
            overlap,
            classes: count(&map, "num_classes", None)?,
            scales,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of real numbers of 4 bytes, with names in order.
    fn map(entries: &[(&str, f32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut names = Vec::new();
        for (name, _) in entries {
            names.push(bytes.len());
            bytes.extend(name.bytes().chain([0]));
        }
        let count = entries.len() as u32;
        bytes.extend(count.to_le_bytes());
        let keys = bytes.len();
        for name in names {
            bytes.extend((bytes.len() as u32 - name as u32).to_le_bytes());
        }
        for field in [(bytes.len() - keys) as u32, 4, count] {
            bytes.extend(field.to_le_bytes());
        }
        entries.iter().for_each(|(_, value)| bytes.extend(value.to_le_bytes()));
        bytes.extend(entries.iter().map(|_| 3u8 << 2 | 2));
        let back = entries.len() as u8 * 5;
        bytes.extend([back, 9 << 2 | 2, 1]);
        bytes
    }

    const ENTRIES: [(&str, f32); 9] = [
        ("h_scale", 5.0),
        ("max_classes_per_detection", 1.0),
        ("max_detections", 10.0),
        ("nms_iou_threshold", 0.5),
        ("nms_score_threshold", 0.25),
        ("num_classes", 90.0),
        ("w_scale", 5.0),
        ("x_scale", 10.0),
        ("y_scale", 10.0),
    ];

    #[test]
    fn what_is_left_out_has_its_default() {
        let read = Detection::read(&map(&ENTRIES)).unwrap();
        let wanted = Detection {
            detections: 10,
            classes_per_detection: 1,
            per_class: 100,
            regular: false,
            score: 0.25,
            overlap: 0.5,
            classes: 90,
            scales: [10.0, 10.0, 5.0, 5.0],
        };
        assert_eq!(read, wanted);
    }

    #[test]
    fn values_that_cannot_be_are_named() {
        for (i, wrong) in [(0, 0.0), (2, -1.0), (3, 1.5), (4, f32::NAN), (5, 1e30)] {
            let mut entries = ENTRIES;
            entries[i].1 = wrong;
            let Err(Refusal::Malformed(why)) = Detection::read(&map(&entries)) else {
                panic!("{wrong} was taken");
            };
            assert!(why.contains(entries[i].0), "{why}");
        }
        assert!(matches!(Detection::read(&map(&ENTRIES[1..])), Err(Refusal::Malformed(_))));
        assert!(matches!(Detection::read(&[]), Err(Refusal::Malformed(_))));
    }
}
