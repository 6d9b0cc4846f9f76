//! The kernel's PCM interface: three ioctls, and plain reads.
//!
//! Source: `include/uapi/sound/asound.h` of Linux; `sound/core/pcm_native.c` for what it does: a device opened for recording starts
//! with its first read, and one whose ring is full stops and answers `EPIPE`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::format::{FORMATS, Format};
use super::{MicrophoneSettings, Pcm, Place, bus};
use crate::sensor::{AudioChannel, SensorError};

/// Numbers of `snd_pcm_hw_param_t`: the first interval is 8.
const FIRST_INTERVAL: usize = 8;
const CHANNELS: usize = 10;
const RATE: usize = 11;
const PERIOD_TIME: usize = 12;
const BUFFER_TIME: usize = 16;
/// Indices of masks.
const ACCESS: usize = 0;
const FORMAT: usize = 1;
/// `SNDRV_PCM_ACCESS_RW_INTERLEAVED`.
const INTERLEAVED: u32 = 3;

/// The kernel wakes us at most so often, and the ring is that long, in microseconds.
const PERIOD_LEAST_US: u32 = 8_000;
const BUFFER_MOST_US: u32 = 500_000;

/// `struct snd_interval`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Interval {
    min: u32,
    max: u32,
    /// Bits: the ends are open, it is of whole numbers, it is empty.
    flags: u32,
}

const INTEGER: u32 = 1 << 2;

/// `struct snd_pcm_hw_params`: what is possible together.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct HwParams {
    flags: u32,
    masks: [[u32; 8]; 3],
    reserved_masks: [[u32; 8]; 5],
    intervals: [Interval; 12],
    reserved_intervals: [Interval; 9],
    /// Parameters that may change, and that did.
    rmask: u32,
    cmask: u32,
    info: u32,
    msbits: u32,
    rate_num: u32,
    rate_den: u32,
    fifo_size: libc::c_ulong,
    reserved: [u8; 64],
}

const fn request(direction: u32, number: u32, size: usize) -> libc::Ioctl {
    ((direction << 30) | ((size as u32) << 16) | ((b'A' as u32) << 8) | number) as libc::Ioctl
}

/// `SNDRV_PCM_IOCTL_HW_REFINE`, `…_HW_PARAMS`, `…_PREPARE`.
const HW_REFINE: libc::Ioctl = request(3, 0x10, size_of::<HwParams>());
const HW_PARAMS: libc::Ioctl = request(3, 0x11, size_of::<HwParams>());
const PREPARE: libc::Ioctl = request(0, 0x40, 0);

impl HwParams {
    /// All that any device could.
    fn any() -> Self {
        let all = Interval { min: 0, max: u32::MAX, flags: 0 };
        Self {
            flags: 0,
            masks: [[u32::MAX; 8]; 3],
            reserved_masks: [[0; 8]; 5],
            intervals: [all; 12],
            reserved_intervals: [Interval { min: 0, max: 0, flags: 0 }; 9],
            rmask: u32::MAX,
            cmask: 0,
            info: u32::MAX,
            msbits: 0,
            rate_num: 0,
            rate_den: 0,
            fifo_size: 0,
            reserved: [0; 64],
        }
    }

    fn only(&mut self, mask: usize, value: u32) {
        self.masks[mask] = [0; 8];
        self.masks[mask][(value / 32) as usize] = 1 << (value % 32);
        self.rmask = u32::MAX;
    }

    fn offers(&self, mask: usize, value: u32) -> bool {
        self.masks[mask][(value / 32) as usize] & (1 << (value % 32)) != 0
    }

    fn interval(&self, parameter: usize) -> (u32, u32) {
        let interval = self.intervals[parameter - FIRST_INTERVAL];
        (interval.min, interval.max)
    }

    fn within(&mut self, parameter: usize, min: u32, max: u32) {
        let flags = if min == max { INTEGER } else { 0 };
        self.intervals[parameter - FIRST_INTERVAL] = Interval { min, max, flags };
        self.rmask = u32::MAX;
    }
}

/// An open device that records.
pub(super) struct Device {
    file: File,
    format: Format,
    channels: u16,
}

impl Device {
    /// Opens and sets up the device, which starts with the first read.
    pub(super) fn open(place: &Place, settings: &MicrophoneSettings) -> Result<Self, SensorError> {
        let path = path(place)?;
        // Nonblocking from the start: a device that somebody else has must not hold up the thread.
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path);
        let file = opened.map_err(|error| match error.raw_os_error() {
            Some(libc::EBUSY | libc::EAGAIN) => {
                SensorError::InUse(format!("{}: another process records from it", path.display()))
            }
            Some(libc::EACCES | libc::EPERM) => SensorError::Bus {
                doing: "opening the microphone",
                why: format!("{}: {error}: the user must be in the group `audio`", path.display()),
            },
            Some(libc::ENOENT) => SensorError::Bus {
                doing: "opening the microphone",
                why: format!(
                    "{}: {error}: `cat /proc/asound/pcm` lists what there is",
                    path.display()
                ),
            },
            _ => SensorError::Bus {
                doing: "opening the microphone",
                why: format!("{}: {error}", path.display()),
            },
        })?;
        let offered = refine(&file, &wanted()).map_err(|error| {
            SensorError::Unusable(format!("{}: no ALSA device: {error}", path.display()))
        })?;
        let chosen = choose(&offered, settings)
            .map_err(|why| SensorError::Unusable(format!("{}: {why}", path.display())))?;
        let params = refine(&file, &chosen.params).map_err(|_| {
            let (rate, format, channels) = (settings.rate_hz, chosen.format, chosen.channels);
            let why = format!("{rate} Hz, {channels} channels and {format:?} do not go together");
            SensorError::Unusable(format!("{}: {why}: choose another rate", path.display()))
        })?;
        let mut device = Self { file, format: chosen.format, channels: chosen.channels };
        device.set_up(params).map_err(|error| bus("setting the device up", &error))?;
        device.prepare().map_err(|error| bus("beginning to record", &error))?;
        Ok(device)
    }

    fn set_up(&self, params: HwParams) -> io::Result<()> {
        // Seldom woken, and a short ring, where the device can.
        let mut calm = params;
        calm.within(PERIOD_TIME, PERIOD_LEAST_US, u32::MAX);
        calm.within(BUFFER_TIME, 0, BUFFER_MOST_US);
        let mut last = refine(&self.file, &calm).unwrap_or(params);
        last.rmask = u32::MAX;
        call(&self.file, HW_PARAMS, &mut last)
    }
}

impl Pcm for Device {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes)
    }

    fn prepare(&mut self) -> io::Result<()> {
        prepare(&self.file)
    }

    fn format(&self) -> (Format, u16) {
        (self.format, self.channels)
    }
}

/// What is wanted of every device.
fn wanted() -> HwParams {
    let mut params = HwParams::any();
    params.only(ACCESS, INTERLEAVED);
    params
}

#[derive(Debug)]
struct Chosen {
    format: Format,
    channels: u16,
    params: HwParams,
}

/// The settings out of what a device offers.
fn choose(offered: &HwParams, settings: &MicrophoneSettings) -> Result<Chosen, String> {
    let format = FORMATS.into_iter().find(|format| offered.offers(FORMAT, format.number()));
    let format = format.ok_or("it has none of the formats S16_LE, S32_LE, S24_3LE")?;
    let rate = settings.rate_hz as u32;
    let (low, high) = offered.interval(RATE);
    if !(low..=high).contains(&rate) {
        return Err(format!(
            "rate: the device records at {low} to {high} Hz, not at {rate}; nothing is converted here"
        ));
    }
    let (fewest, most) = offered.interval(CHANNELS);
    let needed = match settings.channel {
        AudioChannel::Index(channel) => u32::from(channel) + 1,
        AudioChannel::Mix => 1,
    };
    let channels = settings.channels.map_or(fewest.max(needed), u32::from);
    if !(fewest..=most).contains(&channels) {
        let asked = if settings.channels.is_some() { "channels" } else { "channel" };
        return Err(format!("{asked}: the device has {fewest} to {most} channels, not {channels}"));
    }
    let mut params = *offered;
    params.only(FORMAT, format.number());
    params.within(RATE, rate, rate);
    params.within(CHANNELS, channels, channels);
    let channels = u16::try_from(channels).map_err(|_| format!("{channels} channels"))?;
    Ok(Chosen { format, channels, params })
}

/// The device's file.
fn path(place: &Place) -> Result<PathBuf, SensorError> {
    let (card, device) = match place {
        Place::File(path) => return Ok(path.clone()),
        Place::Card { card, device } => (card, device),
    };
    let number = match card.parse::<u32>() {
        Ok(number) => number,
        // A link to the card's folder, which has its number.
        Err(_) => {
            let link = std::fs::read_link(format!("/proc/asound/{card}"));
            let folder = link.ok().and_then(|folder| folder.to_str().map(str::to_owned));
            let number = folder.and_then(|folder| folder.strip_prefix("card")?.parse().ok());
            number.ok_or_else(|| SensorError::Bus {
                doing: "opening the microphone",
                why: format!("there is no card {card:?} in /proc/asound/cards"),
            })?
        }
    };
    Ok(format!("/dev/snd/pcmC{number}D{device}c").into())
}

/// What of `params` the device can, all together.
fn refine(file: &File, params: &HwParams) -> io::Result<HwParams> {
    let mut refined = *params;
    call(file, HW_REFINE, &mut refined)?;
    Ok(refined)
}

#[allow(unsafe_code)]
fn call(file: &File, request: libc::Ioctl, params: &mut HwParams) -> io::Result<()> {
    // SAFETY: `HwParams` has the size that `request` names and the layout of `struct snd_pcm_hw_params`, plain integers for which
    // every bit pattern is valid; the kernel reads and writes only within it, while it is borrowed. The file is open.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), request, std::ptr::from_mut(params)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[allow(unsafe_code)]
fn prepare(file: &File) -> io::Result<()> {
    // SAFETY: the request takes no argument and touches no memory of ours. The file is open.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), PREPARE) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// As `cc` has it with Linux's header, on x86-64 and 64-bit ARM.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn layout_and_requests_are_the_kernels() {
        assert_eq!(size_of::<HwParams>(), 608);
        assert_eq!(size_of::<Interval>(), 12);
        let places = [
            offset_of!(HwParams, masks),
            offset_of!(HwParams, intervals),
            offset_of!(HwParams, rmask),
            offset_of!(HwParams, rate_num),
            offset_of!(HwParams, fifo_size),
            offset_of!(HwParams, reserved),
        ];
        assert_eq!(places, [4, 260, 512, 528, 536, 544]);
        let requests = [HW_REFINE, HW_PARAMS, PREPARE].map(|request| request as u32);
        assert_eq!(requests, [0xc260_4110, 0xc260_4111, 0x4140]);
    }

    fn offered(formats: &[u32], rates: (u32, u32), channels: (u32, u32)) -> HwParams {
        let mut params = wanted();
        params.masks[FORMAT] = [0; 8];
        for format in formats {
            params.masks[FORMAT][(format / 32) as usize] |= 1 << (format % 32);
        }
        params.within(RATE, rates.0, rates.1);
        params.within(CHANNELS, channels.0, channels.1);
        params
    }

    fn settings(channel: AudioChannel, channels: Option<u16>) -> MicrophoneSettings {
        MicrophoneSettings { device: "hw:0".into(), rate_hz: 16_000.0, channel, channels }
    }

    #[test]
    fn the_fewest_channels_and_the_best_known_format_are_taken() {
        let first = settings(AudioChannel::Index(0), None);
        let usb = offered(&[32, 10], (8000, 48_000), (1, 2));
        let chosen = choose(&usb, &first).expect("it can");
        assert_eq!((chosen.format, chosen.channels), (Format::S32, 1));
        assert_eq!(chosen.params.interval(RATE), (16_000, 16_000));
        assert_eq!(chosen.params.interval(CHANNELS), (1, 1));
        let stereo = offered(&[32], (16_000, 16_000), (2, 2));
        let chosen = choose(&stereo, &first).expect("it can");
        assert_eq!((chosen.format, chosen.channels), (Format::S24Packed, 2));
        let second = settings(AudioChannel::Index(1), None);
        assert_eq!(choose(&usb, &second).expect("it can").channels, 2);
    }

    #[test]
    fn what_a_device_does_not_offer_is_said_with_what_it_does() {
        let first = settings(AudioChannel::Index(0), None);
        let says = |offered: &HwParams, settings: &MicrophoneSettings| {
            choose(offered, settings).expect_err("it cannot")
        };
        let fast = offered(&[2], (44_100, 48_000), (1, 2));
        assert_eq!(
            says(&fast, &first),
            "rate: the device records at 44100 to 48000 Hz, not at 16000; nothing is converted here"
        );
        let float = offered(&[14], (8000, 48_000), (1, 2));
        assert!(says(&float, &first).contains("none of the formats"));
        let mono = offered(&[2], (8000, 48_000), (1, 1));
        let third = settings(AudioChannel::Index(2), None);
        assert_eq!(says(&mono, &third), "channel: the device has 1 to 1 channels, not 3");
        let four = settings(AudioChannel::Mix, Some(4));
        assert_eq!(says(&mono, &four), "channels: the device has 1 to 1 channels, not 4");
    }

    #[test]
    fn file_that_is_no_device_is_not_taken_for_a_microphone() {
        let place = Place::File("/dev/null".into());
        let error = Device::open(&place, &settings(AudioChannel::Mix, None)).err();
        let error = error.expect("no microphone").to_string();
        assert!(error.starts_with("/dev/null: no ALSA device: "), "{error}");
        let missing = Place::Card { card: "no-such-card".into(), device: 0 };
        let error = Device::open(&missing, &settings(AudioChannel::Mix, None)).err();
        let error = error.expect("no microphone").to_string();
        assert!(error.contains("there is no card \"no-such-card\""), "{error}");
    }
}
