//! A recording as sound: RIFF WAVE with PCM of 8 to 32 bits or floats, one of its channels or their mean.
//!
//! Source: "Multimedia Programming Interface and Data Specifications 1.0" (1991) and Microsoft's WAVEFORMATEXTENSIBLE.

use super::{AudioChannel, Recording};
use crate::sensor::Channel;

/// `wFormatTag`: whole numbers, floats, and what the extension says.
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xfffe;
/// What every extension's GUID ends with after its format tag.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// Channels of a file; more is a mistake or an attack.
const CHANNELS_MAX: u16 = 64;

/// Reads a recording, values -1 to 1, and its rate in Hz.
pub(super) fn parse(bytes: &[u8], channel: AudioChannel) -> Result<(Recording, f64), String> {
    let Some((header, body)) = bytes.split_first_chunk::<12>() else {
        return Err("not a WAVE file: it is too short".into());
    };
    if &header[..4] != b"RIFF" || &header[8..] != b"WAVE" {
        return Err("not a WAVE file: it does not begin with RIFF and WAVE".into());
    }
    let (mut rest, mut format) = (body, None);
    loop {
        let Some((head, after)) = rest.split_first_chunk::<8>() else {
            return Err("cut off: there is no data chunk".into());
        };
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((chunk, after)) = after.split_at_checked(length) else {
            let (name, found) = (String::from_utf8_lossy(&head[..4]), after.len());
            return Err(format!(
                "cut off: its chunk `{}` has {found} of {length} bytes",
                name.escape_default()
            ));
        };
        match &head[..4] {
            b"fmt " => format = Some(Format::parse(chunk)?),
            b"data" => {
                let format = format.ok_or("its data come before their format")?;
                return Ok((format.recording(chunk, channel)?, format.rate.into()));
            }
            _ => {}
        }
        // Chunks begin at even places.
        rest = after.get(length % 2..).unwrap_or_default();
    }
}

/// How the numbers are written.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Format {
    float: bool,
    channels: u16,
    rate: u32,
    /// Bytes of one number.
    width: usize,
}

impl Format {
    fn parse(chunk: &[u8]) -> Result<Self, String> {
        let Some(head) = chunk.first_chunk::<16>() else {
            return Err("its format chunk is too short".into());
        };
        let word = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let (tag, channels, align, bits) = (word(0), word(2), word(12), word(14));
        let rate = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let tag = match (tag, chunk.get(24..40)) {
            (EXTENSIBLE, Some(guid)) if guid[2..] == GUID_TAIL => {
                u16::from_le_bytes([guid[0], guid[1]])
            }
            _ => tag,
        };
        let float = match (tag, bits) {
            (PCM, 8 | 16 | 24 | 32) => false,
            (FLOAT, 32) => true,
            _ => {
                return Err(format!(
                    "its samples are of format {tag:#x} with {bits} bits; must be PCM (0x1) of 8, 16, 24 or 32 bits, or \
                     floats (0x3) of 32"
                ));
            }
        };
        if !(1..=CHANNELS_MAX).contains(&channels) {
            return Err(format!("{channels} channels; there must be 1 to {CHANNELS_MAX}"));
        }
        if !(1..=100_000).contains(&rate) {
            return Err(format!("its rate of {rate} Hz is not 1 Hz to 100 kHz"));
        }
        let width = usize::from(bits / 8);
        if usize::from(align) != width * usize::from(channels) {
            let why = "blocks that do not fit channels and bits";
            return Err(format!("{channels} channels of {bits} bits in {why}: {align} bytes"));
        }
        Ok(Self { float, channels, rate, width })
    }

    fn recording(self, data: &[u8], channel: AudioChannel) -> Result<Recording, String> {
        let channels = usize::from(self.channels);
        let block = channels * self.width;
        if !data.len().is_multiple_of(block) {
            return Err(format!("cut off: {} bytes of data in blocks of {block}", data.len()));
        }
        let picked = match channel {
            AudioChannel::Mix => 0..channels,
            AudioChannel::Index(n) if usize::from(n) < channels => n.into()..usize::from(n) + 1,
            AudioChannel::Index(n) => {
                return Err(format!("it has {channels} channels, from 0 on; there is no {n}"));
            }
        };
        let count = picked.len() as f32;
        let mut values = Vec::with_capacity(data.len() / block);
        for block in data.chunks_exact(block) {
            let numbers = block.chunks_exact(self.width);
            let numbers = numbers.skip(picked.start).take(picked.len());
            values.push(numbers.map(|number| self.value(number)).sum::<f32>() / count);
        }
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(format!("sample {place} is not a finite number"));
        }
        let gaps = (0..values.len()).map(|frame| frame == 0).collect();
        Ok(Recording { channels: vec![Channel::new("audio", "")], values, gaps })
    }

    /// One number, `[width]` bytes, as -1 to 1.
    fn value(self, bytes: &[u8]) -> f32 {
        match *bytes {
            // 8 bits are without a sign, 128 being silence.
            [a] => (f32::from(a) - 128.0) / 128.0,
            [a, b] => f32::from(i16::from_le_bytes([a, b])) / 32768.0,
            [a, b, c] => i32::from_le_bytes([0, a, b, c]) as f32 / 2_147_483_648.0,
            [a, b, c, d] if self.float => f32::from_le_bytes([a, b, c, d]),
            [a, b, c, d] => i32::from_le_bytes([a, b, c, d]) as f32 / 2_147_483_648.0,
            _ => f32::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let mut chunk = [&name[..], &(data.len() as u32).to_le_bytes(), data].concat();
        chunk.resize(chunk.len().next_multiple_of(2), 0);
        chunk
    }

    fn format(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
        let align = channels * (bits / 8);
        [
            &tag.to_le_bytes()[..],
            &channels.to_le_bytes(),
            &rate.to_le_bytes(),
            &(rate * u32::from(align)).to_le_bytes(),
            &align.to_le_bytes(),
            &bits.to_le_bytes(),
        ]
        .concat()
    }

    fn file(format: &[u8], data: &[u8]) -> Vec<u8> {
        let body = [&b"WAVE"[..], &chunk(b"LIST", b"odd"), &chunk(b"fmt ", format)].concat();
        let body = [body, chunk(b"data", data)].concat();
        [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
    }

    fn values(format: &[u8], data: &[u8], channel: AudioChannel) -> Vec<f32> {
        parse(&file(format, data), channel).expect("a fine file").0.values
    }

    #[test]
    fn every_width_is_one_scale() {
        let first = AudioChannel::Index(0);
        let says = |tag, bits, data: &[u8]| values(&format(tag, 1, 16_000, bits), data, first);
        assert_eq!(says(PCM, 8, &[0, 128, 192]), [-1.0, 0.0, 0.5]);
        assert_eq!(says(PCM, 16, &[0, 0x80, 0, 0, 0, 0x40]), [-1.0, 0.0, 0.5]);
        assert_eq!(says(PCM, 24, &[0, 0, 0x80, 0, 0, 0x40]), [-1.0, 0.5]);
        assert_eq!(says(PCM, 32, &[0, 0, 0, 0x80, 0, 0, 0, 0x40]), [-1.0, 0.5]);
        assert_eq!(says(FLOAT, 32, &0.25_f32.to_le_bytes()), [0.25]);
        let mut extended = format(EXTENSIBLE, 1, 16_000, 16);
        extended.extend([22, 0, 16, 0, 4, 0, 0, 0, 1, 0]);
        extended.extend(GUID_TAIL);
        assert_eq!(values(&extended, &[0, 0x40], first), [0.5]);
    }

    #[test]
    fn a_channel_or_their_mean_is_taken() {
        let format = format(PCM, 2, 48_000, 16);
        let data = [0, 0x40, 0, 0, 0, 0x40, 0, 0x20];
        let bytes = file(&format, &data);
        let (recording, rate) = parse(&bytes, AudioChannel::Mix).expect("a fine file");
        assert_eq!((recording.values, rate), (vec![0.25, 0.375], 48_000.0));
        assert_eq!(recording.gaps, [true, false]);
        assert_eq!(recording.channels, [Channel::new("audio", "")]);
        assert_eq!(values(&format, &data, AudioChannel::Index(1)), [0.0, 0.25]);
        let missing = parse(&bytes, AudioChannel::Index(2)).expect_err("two channels");
        assert_eq!(missing, "it has 2 channels, from 0 on; there is no 2");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let says = |bytes: &[u8]| parse(bytes, AudioChannel::Mix).expect_err("a wrong file");
        assert!(says(b"OggS").contains("too short"));
        assert!(says(b"RIFF0000AVI LIST").contains("does not begin"));
        let good = file(&format(PCM, 1, 8000, 16), &[0; 64]);
        assert_eq!(says(&good[..good.len() - 10]), "cut off: its chunk `data` has 54 of 64 bytes");
        assert_eq!(says(&good[..50]), "cut off: there is no data chunk");
        assert!(says(&file(&format(0x55, 1, 8000, 16), &[])).contains("format 0x55 with 16 bits"));
        assert!(says(&file(&format(FLOAT, 1, 8000, 64), &[])).contains("64 bits"));
        assert!(says(&file(&format(PCM, 0, 8000, 16), &[])).starts_with("0 channels"));
        assert!(says(&file(&format(PCM, 1, 0, 16), &[])).contains("rate of 0 Hz"));
        assert!(says(&file(&format(PCM, 2, 8000, 16), &[0; 6])).contains("blocks of 4"));
        let nan = f32::NAN.to_le_bytes();
        assert!(says(&file(&format(FLOAT, 1, 8000, 32), &nan)).contains("sample 0"));
        let mut torn = format(PCM, 1, 8000, 16);
        torn[12] = 3;
        assert!(says(&file(&torn, &[])).contains("do not fit"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            head in prop::collection::vec(any::<u8>(), 0..48),
            data in prop::collection::vec(any::<u8>(), 0..64),
            cut in 0usize..200,
        ) {
            let bytes = file(&head, &data);
            drop(parse(&bytes[..cut.min(bytes.len())], AudioChannel::Mix));
            drop(parse(&head, AudioChannel::Index(3)));
        }
    }
}
