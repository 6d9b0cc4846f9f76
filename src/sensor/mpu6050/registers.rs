//! The MPU-6050's register map and the meaning of its numbers.
//!
//! Source: InvenSense "MPU-6000 and MPU-6050 Register Map and Descriptions", RM-MPU-6000A-00 revision
//! 4.2; names are its names. `ACCEL_CONFIG_2`: "MPU-9250 Register Map", RM-MPU-9250A-00 revision 1.6.

/// Sample rate = 1 kHz / (1 + this), with the low-pass filter on (section 4.2).
pub(crate) const SMPLRT_DIV: u8 = 0x19;
/// Low-pass filter in bits 2..0 (section 4.3).
pub(crate) const CONFIG: u8 = 0x1a;
/// Full scale in bits 4..3 (section 4.4).
pub(crate) const GYRO_CONFIG: u8 = 0x1b;
/// Full scale in bits 4..3 (section 4.5).
pub(crate) const ACCEL_CONFIG: u8 = 0x1c;
/// MPU-6500 and later only: the accelerometer's own low-pass filter in bits 2..0.
pub(crate) const ACCEL_CONFIG_2: u8 = 0x1d;
/// Which sensors are written to the FIFO (section 4.7).
pub(crate) const FIFO_EN: u8 = 0x23;
/// Which events raise an interrupt (section 4.15).
pub(crate) const INT_ENABLE: u8 = 0x38;
/// Which events there were; reading clears it (section 4.16).
pub(crate) const INT_STATUS: u8 = 0x3a;
/// First of six bytes of acceleration, two of temperature, six of angular rate (section 4.17).
#[cfg(any(test, feature = "demo"))]
pub(crate) const ACCEL_XOUT_H: u8 = 0x3b;
/// FIFO on, FIFO reset (section 4.29).
pub(crate) const USER_CTRL: u8 = 0x6a;
/// Reset, sleep, clock source (section 4.30); PWR_MGMT_2, axes in standby, follows it.
pub(crate) const PWR_MGMT_1: u8 = 0x6b;
/// High byte of the number of bytes in the FIFO; the low byte follows (section 4.32).
pub(crate) const FIFO_COUNT_H: u8 = 0x72;
/// Takes bytes out of the FIFO; a burst stays at this address (section 4.33).
pub(crate) const FIFO_R_W: u8 = 0x74;
/// The chip's id (section 4.34).
pub(crate) const WHO_AM_I: u8 = 0x75;

/// FIFO_EN: the gyroscope's three axes (bits 6..4) and the accelerometer (bit 3).
pub(crate) const FIFO_EN_GYRO_ACCEL: u8 = 0b0111_1000;
/// INT_ENABLE and INT_STATUS: the FIFO overflowed.
pub(crate) const FIFO_OFLOW: u8 = 0x10;
/// INT_STATUS: a new sample is in the data registers.
#[cfg(any(test, feature = "demo"))]
pub(crate) const DATA_RDY: u8 = 0x01;
/// USER_CTRL: the FIFO takes and gives.
pub(crate) const USER_FIFO_EN: u8 = 0x40;
/// USER_CTRL: empties the FIFO, while FIFO_EN is 0; clears itself.
pub(crate) const USER_FIFO_RESET: u8 = 0x04;
/// PWR_MGMT_1: all registers to their reset values; clears itself.
pub(crate) const DEVICE_RESET: u8 = 0x80;
/// PWR_MGMT_1: low power, no samples; set after power-on.
#[cfg(any(test, feature = "demo"))]
pub(crate) const SLEEP: u8 = 0x40;
/// PWR_MGMT_1: awake, clocked by the X gyroscope's PLL, as section 4.30 recommends.
pub(crate) const CLKSEL_PLL_X: u8 = 0x01;

/// Bytes of one frame in the FIFO: acceleration x, y, z, angular rate x, y, z, each 16-bit big-endian
/// two's complement, in the order of the data registers.
pub(crate) const FRAME_BYTES: usize = 12;
/// Values of one frame.
pub(crate) const CHANNELS: usize = 6;

pub(crate) use crate::sensor::gravity::GRAVITY;

/// Full scale of the accelerometer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccelRange {
    /// ±2 g.
    G2,
    /// ±4 g.
    G4,
    /// ±8 g.
    G8,
    /// ±16 g.
    G16,
}

impl AccelRange {
    /// The range of ±`g` g, if there is one.
    pub fn from_g(g: u16) -> Option<Self> {
        Some(match g {
            2 => Self::G2,
            4 => Self::G4,
            8 => Self::G8,
            16 => Self::G16,
            _ => return None,
        })
    }

    /// AFS_SEL in its place (section 4.5).
    pub(crate) fn bits(self) -> u8 {
        (self as u8) << 3
    }

    /// Steps for one g: 16 384, 8 192, 4 096, 2 048 (section 4.17).
    fn steps_per_g(self) -> f32 {
        match self {
            Self::G2 => 16_384.0,
            Self::G4 => 8_192.0,
            Self::G8 => 4_096.0,
            Self::G16 => 2_048.0,
        }
    }
}

/// Full scale of the gyroscope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GyroRange {
    /// ±250 °/s.
    Dps250,
    /// ±500 °/s.
    Dps500,
    /// ±1000 °/s.
    Dps1000,
    /// ±2000 °/s.
    Dps2000,
}

impl GyroRange {
    /// The range of ±`dps` °/s, if there is one.
    pub fn from_dps(dps: u16) -> Option<Self> {
        Some(match dps {
            250 => Self::Dps250,
            500 => Self::Dps500,
            1000 => Self::Dps1000,
            2000 => Self::Dps2000,
            _ => return None,
        })
    }

    /// FS_SEL in its place (section 4.4).
    pub(crate) fn bits(self) -> u8 {
        (self as u8) << 3
    }

    /// Steps for one °/s: 131, 65.5, 32.8, 16.4 (section 4.19).
    fn steps_per_dps(self) -> f32 {
        match self {
            Self::Dps250 => 131.0,
            Self::Dps500 => 65.5,
            Self::Dps1000 => 32.8,
            Self::Dps2000 => 16.4,
        }
    }
}

/// Acceleration in m/s². The ends of the range, -32 768 and 32 767, may stand for anything beyond.
pub fn acceleration(raw: i16, range: AccelRange) -> f32 {
    f32::from(raw) / range.steps_per_g() * GRAVITY
}

/// Angular rate in rad/s. The ends of the range, -32 768 and 32 767, may stand for anything beyond.
pub fn angular_rate(raw: i16, range: GyroRange) -> f32 {
    (f32::from(raw) / range.steps_per_dps()).to_radians()
}

/// DLPF_CFG (section 4.3): the widest filter whose band ends below half the sample rate, so that
/// vibration above does not fold into the signal; accelerometer bandwidths are 184, 94, 44, 21, 10 and
/// 5 Hz. Never 0, which would clock the gyroscope at 8 kHz.
pub(crate) fn low_pass(rate_hz: f64) -> u8 {
    const BANDWIDTH_HZ: [(u8, f64); 5] = [(1, 184.0), (2, 94.0), (3, 44.0), (4, 21.0), (5, 10.0)];
    let fits = BANDWIDTH_HZ.iter().find(|(_, bandwidth)| *bandwidth <= rate_hz / 2.0);
    fits.map_or(6, |(setting, _)| *setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acceleration_is_as_the_data_sheet_has_it() {
        assert_eq!(acceleration(16_384, AccelRange::G2), GRAVITY);
        assert_eq!(acceleration(-8_192, AccelRange::G4), -GRAVITY);
        assert_eq!(acceleration(4_096, AccelRange::G8), GRAVITY);
        assert_eq!(acceleration(-32_768, AccelRange::G16), -16.0 * GRAVITY);
        assert_eq!(acceleration(0, AccelRange::G16), 0.0);
    }

    #[test]
    fn angular_rate_is_as_the_data_sheet_has_it() {
        let degrees = |raw, range| angular_rate(raw, range).to_degrees();
        assert!((degrees(131, GyroRange::Dps250) - 1.0).abs() < 1e-6);
        assert!((degrees(-655, GyroRange::Dps500) + 10.0).abs() < 1e-5);
        assert!((degrees(328, GyroRange::Dps1000) - 10.0).abs() < 1e-5);
        assert!((degrees(16_400, GyroRange::Dps2000) - 1000.0).abs() < 1e-3);
    }

    #[test]
    fn range_bits_are_as_the_data_sheet_has_them() {
        let accel = [2, 4, 8, 16].map(|g| AccelRange::from_g(g).map(AccelRange::bits));
        assert_eq!(accel, [Some(0x00), Some(0x08), Some(0x10), Some(0x18)]);
        let gyro = [250, 500, 1000, 2000].map(|dps| GyroRange::from_dps(dps).map(GyroRange::bits));
        assert_eq!(gyro, [Some(0x00), Some(0x08), Some(0x10), Some(0x18)]);
        assert_eq!((AccelRange::from_g(3), GyroRange::from_dps(0)), (None, None));
    }

    #[test]
    fn low_pass_filter_ends_below_half_the_rate() {
        let chosen = [1000.0, 400.0, 200.0, 100.0, 50.0, 20.0, 10.0, 4.0].map(low_pass);
        assert_eq!(chosen, [1, 1, 2, 3, 4, 5, 6, 6]);
    }
}
