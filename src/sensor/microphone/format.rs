//! How a device writes samples: numbers of some bytes → -1 to 1.

use crate::sensor::AudioChannel;

/// Those that are read, the best known first: nothing is gained by more than 16 bits, but some devices have no such.
pub(super) const FORMATS: [Format; 3] = [Format::S16, Format::S32, Format::S24Packed];

/// A format of the kernel, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `S16_LE`.
    S16,
    /// `S32_LE`.
    S32,
    /// `S24_3LE`: 24 bits in three bytes, as USB devices have them.
    S24Packed,
}

impl Format {
    /// `SNDRV_PCM_FORMAT_…`.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::S16 => 2,
            Self::S32 => 10,
            Self::S24Packed => 32,
        }
    }

    /// Bytes of a sample.
    pub(super) fn width(self) -> usize {
        match self {
            Self::S16 => 2,
            Self::S24Packed => 3,
            Self::S32 => 4,
        }
    }

    /// One sample, `[width]` bytes.
    fn value(self, bytes: &[u8]) -> f32 {
        match *bytes {
            [a, b] => f32::from(i16::from_le_bytes([a, b])) / 32768.0,
            [a, b, c] => i32::from_le_bytes([0, a, b, c]) as f32 / 2_147_483_648.0,
            [a, b, c, d] => i32::from_le_bytes([a, b, c, d]) as f32 / 2_147_483_648.0,
            _ => f32::NAN,
        }
    }

    /// What is wanted of one frame, all of its channels' bytes.
    pub(super) fn frame(self, bytes: &[u8], channel: AudioChannel) -> f32 {
        let mut samples = bytes.chunks_exact(self.width()).map(|sample| self.value(sample));
        match channel {
            AudioChannel::Index(n) => samples.nth(n.into()).unwrap_or(f32::NAN),
            AudioChannel::Mix => {
                let count = samples.len().max(1) as f32;
                samples.sum::<f32>() / count
            }
        }
    }
}
