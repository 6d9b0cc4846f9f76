//! The drivers by name. A new chip is its own file, one variant of [`DriverSettings`] with its arms
//! here, and one line of [`DRIVERS`].

use std::sync::Arc;
use std::time::Duration;

use super::bus;
#[cfg(any(test, target_os = "linux"))]
use super::gpio;
use super::{
    CameraSettings, Fifo, FifoSettings, GpioSettings, InputSettings, JoinSettings,
    MicrophoneSettings, Pictures, PicturesSettings, Polled, PolledSettings, Replay, ReplaySettings,
    Sensor, SensorError, SensorSpec,
};
use crate::clock::Clock;

/// A driver as a person meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverInfo {
    /// The name in the configuration.
    pub name: &'static str,
    /// What it samples.
    pub what: &'static str,
}

/// Every driver of this build.
pub const DRIVERS: &[DriverInfo] = &[
    DriverInfo {
        name: "mpu6050",
        what: "InvenSense MPU-6050, 6500, 9250, 9255 over I²C: acceleration, angular rate",
    },
    DriverInfo { name: "lis3dh", what: "ST LIS3DH, LIS2DH12 over I²C or SPI: acceleration" },
    DriverInfo {
        name: "adxl345",
        what: "Analog Devices ADXL345, ADXL343 over I²C or SPI: acceleration",
    },
    DriverInfo {
        name: "bme280",
        what: "Bosch BME280 over I²C or SPI: temperature, pressure, humidity",
    },
    DriverInfo { name: "bmp280", what: "Bosch BMP280 over I²C or SPI: temperature, pressure" },
    DriverInfo { name: "sht3x", what: "Sensirion SHT30, 31, 35 over I²C: temperature, humidity" },
    DriverInfo { name: "ads1115", what: "TI ADS1115 over I²C: voltages, 16 bits" },
    DriverInfo { name: "ads1015", what: "TI ADS1015 over I²C: voltages, 12 bits" },
    DriverInfo { name: "opt3001", what: "TI OPT3001 over I²C: illuminance" },
    DriverInfo { name: "vl53l0x", what: "ST VL53L0X over I²C: distance" },
    DriverInfo {
        name: "registers",
        what: "any chip over I²C or SPI that the configuration describes",
    },
    DriverInfo { name: "gpio", what: "GPIO lines: levels, edges counted and their rate" },
    DriverInfo { name: "mqtt", what: "numbers out of other devices' messages on the broker" },
    DriverInfo { name: "http", what: "rows that others send to this board's HTTP server" },
    DriverInfo { name: "command", what: "lines that a program writes" },
    DriverInfo { name: "microphone", what: "a microphone, or another ALSA input" },
    DriverInfo { name: "camera", what: "a camera of the kernel (V4L2), MJPEG or YUYV: pictures" },
    DriverInfo { name: "pictures", what: "a folder of pictures, played at a given rate" },
    DriverInfo { name: "replay", what: "a recording, CSV, NPY or WAVE, played at its rate" },
    DriverInfo { name: "join", what: "several sensors as one, on one grid of time" },
];

/// A driver with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum DriverSettings {
    /// The drivers of chips with a memory, see [`super::fifo`].
    Fifo(FifoSettings),
    /// The drivers of slow chips, see [`super::polled`].
    Polled(PolledSettings),
    /// The `gpio` driver.
    Gpio(GpioSettings),
    /// The drivers of numbers that come from elsewhere, see [`super::input`].
    Input(InputSettings),
    /// The `microphone` driver.
    Microphone(MicrophoneSettings),
    /// The `camera` driver.
    Camera(CameraSettings),
    /// The `pictures` driver.
    Pictures(PicturesSettings),
    /// The `replay` driver.
    Replay(ReplaySettings),
    /// The `join` driver.
    Join(JoinSettings),
}

/// A setting that a driver cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSetting {
    /// Its key in the configuration.
    pub key: &'static str,
    /// What is wrong and what would be right.
    pub why: String,
}

impl BadSetting {
    /// All of them as the error of `driver`.
    pub(super) fn refuse(driver: &str, bad: &[Self]) -> SensorError {
        let each: Vec<String> = bad.iter().map(|bad| format!("{}: {}", bad.key, bad.why)).collect();
        SensorError::Unusable(format!("{driver}: {}", each.join("; ")))
    }
}

impl DriverSettings {
    /// The driver's name.
    pub fn driver(&self) -> &'static str {
        match self {
            Self::Fifo(settings) => settings.kind.name(),
            Self::Polled(settings) => settings.kind.name(),
            Self::Gpio(_) => "gpio",
            Self::Input(settings) => settings.driver(),
            Self::Microphone(_) => "microphone",
            Self::Camera(_) => "camera",
            Self::Pictures(_) => "pictures",
            Self::Replay(_) => "replay",
            Self::Join(_) => "join",
        }
    }

    /// Whether people can be heard or seen in what it gives: microphones and cameras, which need `[privacy]
    /// capture` to be recorded from afar.
    pub fn is_private(&self) -> bool {
        match self {
            Self::Microphone(_) | Self::Camera(_) => true,
            Self::Fifo(_)
            | Self::Polled(_)
            | Self::Gpio(_)
            | Self::Pictures(_)
            | Self::Input(_)
            | Self::Replay(_) => false,
            Self::Join(settings) => settings.is_private(),
        }
    }

    /// After how long without any change of any value the device counts as frozen, unless a person says
    /// otherwise; `None` where real values stay the same.
    pub fn stuck_after(&self) -> Option<Duration> {
        match self {
            Self::Fifo(settings) => settings.stuck_after(),
            Self::Polled(settings) => settings.kind.model().stuck_after(),
            // A contact may rest for weeks.
            Self::Gpio(_) => None,
            // Noise is above the last bit; only silence that a switch makes is the same for so long.
            Self::Microphone(_) => Some(Duration::from_secs(30)),
            // Its parts are looked at themselves.
            Self::Join(_) => None,
            // Its noise is above its resolution; a test picture is not.
            Self::Input(_) | Self::Camera(_) | Self::Pictures(_) | Self::Replay(_) => None,
        }
    }

    /// Everything that the driver cannot do; empty when all is well. Opens nothing.
    pub fn validate(&self) -> Vec<BadSetting> {
        match self {
            Self::Fifo(settings) => settings.validate(),
            Self::Polled(settings) => settings.validate(),
            Self::Gpio(settings) => settings.validate(),
            Self::Input(settings) => settings.validate(),
            Self::Microphone(settings) => settings.validate(),
            Self::Camera(settings) => settings.validate(),
            Self::Pictures(settings) => settings.validate(),
            Self::Replay(settings) => settings.validate(),
            Self::Join(settings) => settings.validate(),
        }
    }

    /// What the sensor will give. Reads a recording, but opens no device: a pipeline can be checked
    /// while its sensor is away.
    ///
    /// # Errors
    /// [`SensorError::Unusable`] when the driver cannot work as it is set up.
    pub fn spec(&self) -> Result<SensorSpec, SensorError> {
        match self {
            Self::Fifo(settings) => settings.spec(),
            Self::Polled(settings) => settings.spec(),
            Self::Gpio(settings) => settings.spec(),
            Self::Input(settings) => settings.spec(),
            Self::Microphone(settings) => settings.spec(),
            Self::Camera(settings) => settings.spec(),
            Self::Pictures(settings) => settings.spec(),
            Self::Replay(settings) => settings.spec(),
            Self::Join(settings) => settings.spec(),
        }
    }

    /// Opens the device and sets it up, on the calling thread.
    ///
    /// # Errors
    /// By what the caller does next: see [`SensorError`].
    pub fn open(&self, clock: Arc<dyn Clock>) -> Result<Box<dyn Sensor>, SensorError> {
        match self {
            Self::Fifo(settings) => {
                let port = bus::open(&settings.place, settings.kind.model().dialect())?;
                Ok(Box::new(Fifo::new(port, settings, clock)?))
            }
            Self::Polled(settings) => {
                let port = bus::open(&settings.place, settings.kind.model().dialect())?;
                Ok(Box::new(Polled::new(port, settings, clock)?))
            }
            Self::Gpio(settings) => open_gpio(settings, clock),
            Self::Input(settings) => settings.open(clock),
            Self::Microphone(settings) => settings.open(clock),
            Self::Camera(settings) => open_camera(settings, clock),
            Self::Pictures(settings) => Ok(Box::new(Pictures::open(settings, clock)?)),
            Self::Replay(settings) => Ok(Box::new(Replay::open(settings, clock)?)),
            Self::Join(settings) => Ok(Box::new(settings.open(clock)?)),
        }
    }
}

#[cfg(target_os = "linux")]
fn open_gpio(
    settings: &GpioSettings,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Sensor>, SensorError> {
    let mut open = |chip: &std::path::Path, line: &gpio::Line| {
        let line = super::linux::open_line(chip, line)?;
        Ok(Box::new(line) as Box<dyn gpio::Open>)
    };
    Ok(Box::new(super::Gpio::new(settings, clock, &mut open)?))
}

#[cfg(not(target_os = "linux"))]
fn open_gpio(_: &GpioSettings, _: Arc<dyn Clock>) -> Result<Box<dyn Sensor>, SensorError> {
    Err(SensorError::Unusable("gpio: lines are reached through Linux only".into()))
}

#[cfg(target_os = "linux")]
fn open_camera(
    settings: &CameraSettings,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Sensor>, SensorError> {
    super::camera::open(settings, clock)
}

#[cfg(not(target_os = "linux"))]
fn open_camera(
    _settings: &CameraSettings,
    _clock: Arc<dyn Clock>,
) -> Result<Box<dyn Sensor>, SensorError> {
    Err(SensorError::Unusable("camera: cameras are reached through Linux only".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::sensor::ads1x15::Ads1x15;
    use crate::sensor::adxl345::Adxl345;
    use crate::sensor::bme280::Bme280;
    use crate::sensor::bus::Place;
    use crate::sensor::input::{CommandInput, Format, InputSpec, MqttInput, PushInput};
    use crate::sensor::lis3dh::Lis3dh;
    use crate::sensor::mpu6050::Mpu6050;
    use crate::sensor::opt3001::Opt3001;
    use crate::sensor::register_map::RegisterMap;
    use crate::sensor::sht3x::Sht3x;
    use crate::sensor::vl53l0x::Vl53l0x;
    use crate::sensor::{Kind, fifo};

    fn imu(bus: &std::path::Path) -> DriverSettings {
        let kind = fifo::Kind::Mpu6050(Mpu6050::default());
        DriverSettings::Fifo(FifoSettings { place: Place::i2c(bus, 0x68), rate_hz: 100.0, kind })
    }

    fn open_error(settings: DriverSettings) -> String {
        let opened = settings.open(Arc::new(ManualClock::auto()));
        opened.err().expect("cannot be opened").to_string()
    }

    #[test]
    fn every_driver_stands_in_the_table() {
        let inputs = vec!["A0".to_owned()];
        let ads =
            |bits| Kind::Ads1x15(Ads1x15 { bits, inputs: inputs.clone(), full_scale_mv: 2048 });
        let bme = |humidity| Kind::Bme280(Bme280 { oversampling: 1, humidity });
        let chips = [
            bme(true),
            bme(false),
            Kind::Sht3x(Sht3x),
            ads(16),
            ads(12),
            Kind::Opt3001(Opt3001),
            Kind::Vl53l0x(Vl53l0x),
            Kind::Registers(RegisterMap::default()),
        ];
        let polled = chips.map(|kind| {
            let place = Place::i2c("/dev/i2c-1", 0x48);
            DriverSettings::Polled(PolledSettings { place, rate_hz: 1.0, kind })
        });
        let fifo = [
            fifo::Kind::Mpu6050(Mpu6050::default()),
            fifo::Kind::Lis3dh(Lis3dh { range_g: 2 }),
            fifo::Kind::Adxl345(Adxl345 { range_g: 2 }),
        ]
        .map(|kind| {
            let place = Place::i2c("/dev/i2c-1", 0x68);
            DriverSettings::Fifo(FifoSettings { place, rate_hz: 100.0, kind })
        });
        let stale_after = Duration::from_secs(10);
        let spec = InputSpec { channels: Vec::new(), rate_hz: 1.0, stale_after };
        let mqtt = MqttInput { spec: spec.clone(), fields: Vec::new(), retained: false };
        let (command, format) = (Vec::new(), Format::Columns(Vec::new()));
        let inputs = [
            InputSettings::mqtt(mqtt),
            InputSettings::http(PushInput { spec: spec.clone() }),
            InputSettings::Command(CommandInput { spec, command, format }),
        ];
        let all: Vec<_> = fifo
            .into_iter()
            .chain(polled)
            .chain([DriverSettings::Gpio(GpioSettings {
                lines: gpio::Lines::default(),
                rate_hz: 1.0,
            })])
            .chain(inputs.map(DriverSettings::Input))
            .chain([
                DriverSettings::Microphone(MicrophoneSettings::default()),
                DriverSettings::Camera(CameraSettings::default()),
                DriverSettings::Pictures(PicturesSettings::default()),
                DriverSettings::Replay(ReplaySettings::default()),
                DriverSettings::Join(JoinSettings::default()),
            ])
            .collect();
        let names: Vec<_> = all.iter().map(DriverSettings::driver).collect();
        assert_eq!(names, DRIVERS.iter().map(|driver| driver.name).collect::<Vec<_>>());
    }

    #[test]
    fn microphones_are_private() {
        let microphone = MicrophoneSettings { device: "hw:0".into(), ..Default::default() };
        assert!(DriverSettings::Microphone(microphone).is_private());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn missing_bus_is_named_with_what_to_do() {
        let error = open_error(imu("/dev/i2c-no-such".as_ref()));
        assert!(error.starts_with("opening the I²C bus: /dev/i2c-no-such: "), "{error}");
        assert!(error.contains("is I²C enabled"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn file_that_is_no_device_is_not_taken_for_a_bus() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let error = open_error(imu(file.path()));
        assert!(error.contains("it is no device"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn device_that_is_no_bus_is_an_error_and_not_data() {
        let error = open_error(imu("/dev/null".as_ref()));
        assert!(error.contains("WHO_AM_I") || error.contains("bus"), "{error}");
    }
}
