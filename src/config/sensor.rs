//! `[[sensor]]`: what is sampled, by which driver.

mod audio;
mod chips;
mod fifo;
mod gpio;
mod inputs;
mod join;
mod place;
mod sight;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys;
use super::name::SensorName;
use super::quantity::{Rate, Span};
use super::raw::Section;
use super::value::{Bad, boolean, one_of, parsed, path, quantity, text};
use crate::sensor::bus::Place;
use crate::sensor::{
    AudioChannel, CameraSettings, FifoSettings, GpioSettings, MicrophoneSettings, PicturesSettings,
    PolledSettings,
};
use audio::audio_channel;
use chips::Chip;
pub use inputs::Input;
pub use join::Join;

/// A sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// What pipelines call it; no other sensor has it.
    pub name: SensorName,
    /// The driver with its own settings.
    pub driver: Driver,
    /// How long all values may stay the same before the device counts as frozen; zero for ever. `None`: as the
    /// driver has it.
    pub stuck_after: Option<Duration>,
}

/// A driver with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Driver {
    /// A chip that samples into a memory of its own.
    Fifo(FifoSettings),
    /// A chip that is asked for one measurement at a time.
    Polled(PolledSettings),
    /// GPIO lines.
    Gpio(GpioSettings),
    /// Numbers that come from elsewhere.
    Input(Input),
    /// A microphone.
    Microphone(MicrophoneSettings),
    /// A camera.
    Camera(CameraSettings),
    /// A folder of pictures.
    Pictures(PicturesSettings),
    /// A recording.
    Replay(Replay),
    /// Several sensors as one.
    Join(Join),
}

/// Settings of [`Driver::Replay`].
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// `.csv`, `.npy` or `.wav`.
    pub path: PathBuf,
    /// Samples a second; `None` for a `.wav`, which has its own.
    pub rate: Option<Rate>,
    /// Whether it starts anew at its end.
    pub repeat: bool,
    /// `.wav` only: what of its channels is taken.
    pub channel: Option<AudioChannel>,
}

#[derive(Clone, Copy)]
enum Kind {
    Fifo(fifo::Chip),
    Polled(Chip),
    Gpio,
    Input(inputs::Kind),
    Microphone,
    Camera,
    Pictures,
    Replay,
    Join,
}

const DRIVERS: &[(&str, Kind)] = &[
    ("mpu6050", Kind::Fifo(fifo::Chip::Mpu6050)),
    ("lis3dh", Kind::Fifo(fifo::Chip::Lis3dh)),
    ("adxl345", Kind::Fifo(fifo::Chip::Adxl345)),
    ("bme280", Kind::Polled(Chip::Bme280)),
    ("bmp280", Kind::Polled(Chip::Bmp280)),
    ("sht3x", Kind::Polled(Chip::Sht3x)),
    ("ads1115", Kind::Polled(Chip::Ads1115)),
    ("ads1015", Kind::Polled(Chip::Ads1015)),
    ("opt3001", Kind::Polled(Chip::Opt3001)),
    ("vl53l0x", Kind::Polled(Chip::Vl53l0x)),
    ("registers", Kind::Polled(Chip::Registers)),
    ("gpio", Kind::Gpio),
    ("mqtt", Kind::Input(inputs::Kind::Mqtt)),
    ("http", Kind::Input(inputs::Kind::Http)),
    ("command", Kind::Input(inputs::Kind::Command)),
    ("microphone", Kind::Microphone),
    ("camera", Kind::Camera),
    ("pictures", Kind::Pictures),
    ("replay", Kind::Replay),
    ("join", Kind::Join),
];

impl Sensor {
    /// All sensors; those that are wrong are noted and left out.
    pub(super) fn read_all(root: &Section<'_>, base: &Path) -> Vec<Self> {
        let sections = root.tables("sensor", &keys::SENSOR);
        let mut taken: Vec<(&str, &str)> = Vec::new();
        for section in &sections {
            // Names that are no strings are noted by `read`.
            let Some(name) = section.peek("name") else { continue };
            match taken.iter().find(|(other, _)| *other == name) {
                Some((_, first)) => {
                    section.wrong("name", format!("{name:?} is the name of {first}, too"));
                }
                None => taken.push((name, section.path())),
            }
        }
        let is_join = |section: &Section<'_>| section.peek("driver") == Some("join");
        let mut sensors: Vec<(usize, Self)> = sections
            .iter()
            .enumerate()
            .filter(|(_, section)| !is_join(section))
            .filter_map(|(n, section)| Some((n, Self::read(section, root, base)?)))
            .collect();
        // Those that are joined are known by now; what is joined cannot be joined again.
        let names: Vec<&str> = sections
            .iter()
            .filter(|section| !is_join(section))
            .filter_map(|section| section.peek("name"))
            .collect();
        for (n, section) in sections.iter().enumerate().filter(|(_, section)| is_join(section)) {
            let joined = Self::joined(section, &names, &sensors);
            sensors.extend(joined.map(|sensor| (n, sensor)));
        }
        sensors.sort_by_key(|(n, _)| *n);
        one_opening_each(&sections, &sensors);
        sensors.into_iter().map(|(_, sensor)| sensor).collect()
    }

    /// Whether it is that one and others.
    pub(super) fn joins(&self, name: &SensorName) -> bool {
        match &self.driver {
            Driver::Join(join) => join.parts.iter().any(|(part, _)| part == name),
            _ => false,
        }
    }

    fn joined(section: &Section<'_>, all: &[&str], read: &[(usize, Self)]) -> Option<Self> {
        let name = section.require("name", parsed::<SensorName>);
        section.require("driver", one_of(DRIVERS));
        let named = join::Named::read(section);
        let stuck_after = section.get("stuck_after", quantity::<Span>).map(Span::duration);
        let driver = Driver::Join(named?.resolve(section, all, read)?);
        Some(Self { name: name?, driver, stuck_after })
    }

    fn read(section: &Section<'_>, root: &Section<'_>, base: &Path) -> Option<Self> {
        let name = section.require("name", parsed::<SensorName>);
        let driver = match section.require("driver", one_of(DRIVERS)) {
            Some(Kind::Fifo(chip)) => chip.read(section).map(Driver::Fifo),
            Some(Kind::Polled(chip)) => chip.read(section).map(Driver::Polled),
            Some(Kind::Gpio) => gpio::read(section).map(Driver::Gpio),
            Some(Kind::Input(input)) => input.read(section, root, base).map(Driver::Input),
            Some(Kind::Microphone) => audio::read(section).map(Driver::Microphone),
            Some(Kind::Camera) => sight::camera(section.with(&keys::CAMERA)).map(Driver::Camera),
            Some(Kind::Pictures) => {
                sight::pictures(section.with(&keys::PICTURES), base).map(Driver::Pictures)
            }
            Some(Kind::Replay) => {
                Replay::read(section.with(&keys::REPLAY), base).map(Driver::Replay)
            }
            // Which keys there may be is not known: those of any driver pass.
            Some(Kind::Join) | None => {
                let known = section.with(&keys::REPLAY).with(&keys::MICROPHONE).with(&keys::JOIN);
                let known = known.with(&keys::GPIO_IN).with(&keys::CAMERA).with(&keys::PICTURES);
                let tables = fifo::TABLES.iter().chain(&chips::TABLES).chain(&inputs::TABLES);
                tables.fold(known, |known, table| known.with(table)).close();
                None
            }
        };
        let stuck_after = section.get("stuck_after", quantity::<Span>).map(Span::duration);
        Some(Self { name: name?, driver: driver?, stuck_after })
    }
}

impl Driver {
    /// Where the chip is that it opens.
    fn place(&self) -> Option<&Place> {
        match self {
            Self::Fifo(chip) => Some(&chip.place),
            Self::Polled(chip) => Some(&chip.place),
            Self::Gpio(_)
            | Self::Microphone(_)
            | Self::Input(_)
            | Self::Camera(_)
            | Self::Pictures(_)
            | Self::Replay(_)
            | Self::Join(_) => None,
        }
    }
}

impl Replay {
    fn read(section: Section<'_>, base: &Path) -> Option<Self> {
        section.close();
        let path = section.require("path", recording(base));
        let rate = section.get("rate", quantity::<Rate>);
        let repeat = section.get("repeat", boolean).unwrap_or(false);
        let channel = section.get("channel", audio_channel);
        let path = path?;
        let wave = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("wav"));
        match section.has("rate") {
            true if wave => section.wrong("rate", "a .wav has its own rate; remove the key"),
            false if !wave => section.missing("rate"),
            _ => {}
        }
        if section.has("channel") && !wave {
            section.wrong("channel", "is for .wav; other recordings give all of their channels");
        }
        (wave || rate.is_some()).then_some(Self { path, rate, repeat, channel })
    }
}

fn recording<'a>(base: &Path) -> impl FnOnce(&'a toml::de::DeValue<'a>) -> Result<PathBuf, Bad> {
    move |value| {
        let file = path(base)(value)?;
        let known = ["csv", "npy", "wav"];
        if !file.extension().is_some_and(|e| known.iter().any(|k| e.eq_ignore_ascii_case(k))) {
            return Err(Bad::Says(format!("{:?} is none of .csv, .npy, .wav", text(value)?)));
        }
        Ok(file)
    }
}

/// Two drivers on one chip would take each other's samples.
fn one_opening_each(sections: &[Section<'_>], sensors: &[(usize, Sensor)]) {
    let chip = |place: &Place| (place.file().to_owned(), place.address());
    for (k, (n, sensor)) in sensors.iter().enumerate() {
        let Some((file, address)) = sensor.driver.place().map(chip) else { continue };
        let same = |other: &Sensor| {
            other.driver.place().map(chip).is_some_and(|other| other == (file.clone(), address))
        };
        let Some((_, other)) = sensors[..k].iter().find(|(_, other)| same(other)) else { continue };
        let (bus, name) = (file.display(), &other.name);
        match address {
            Some(address) => sections[*n].wrong(
                "address",
                format!("{address:#04x} on {bus} is opened by sensor \"{name}\" already"),
            ),
            None => {
                sections[*n].wrong("bus", format!("is opened by sensor \"{name}\" already"));
            }
        }
    }
}
