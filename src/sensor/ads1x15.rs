//! TI ADS1115 (16 bits) and ADS1015 (12 bits) over I²C: voltages at up to four inputs.
//!
//! Sources: TI SBAS444D (ADS111x) and SBAS473E (ADS101x); section and table numbers below are those of the
//! first. The chips have no id; that the configuration reads as it was written tells them from a dead bus.

use std::time::Duration;

use super::bus::{Port, driven, fault};
use super::polled::{Chip, Model, Wait};
use super::{BadSetting, Channel, SensorError};

const CONVERSION: u8 = 0x00;
const CONFIG: u8 = 0x01;

/// CONFIG (table 8): begins a conversion; reads as 1 while none runs.
const OS: u16 = 0x8000;
/// CONFIG: one conversion, then sleep; comparator off.
const SINGLE_SHOT: u16 = 0x0100;
const COMPARATOR_OFF: u16 = 0x0003;

/// Conversions a second by their bits.
const RATES_16: [u16; 8] = [8, 16, 32, 64, 128, 250, 475, 860];
const RATES_12: [u16; 7] = [128, 250, 490, 920, 1600, 2400, 3300];

/// Full scales in mV by their bits.
const FULL_SCALES_MV: [u16; 6] = [6144, 4096, 2048, 1024, 512, 256];

/// Inputs by their bits: differences first.
const INPUTS: [(&str, &str); 8] = [
    ("A0-A1", "a0_a1"),
    ("A0-A3", "a0_a3"),
    ("A1-A3", "a1_a3"),
    ("A2-A3", "a2_a3"),
    ("A0", "a0"),
    ("A1", "a1"),
    ("A2", "a2"),
    ("A3", "a3"),
];

/// Settings of the drivers `ads1115` and `ads1015`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ads1x15 {
    /// 16 or 12.
    pub bits: u8,
    /// A channel for each: `A0` to `A3` against ground, or a difference, `A0-A1`, `A0-A3`, `A1-A3`, `A2-A3`.
    pub inputs: Vec<String>,
    /// 6144, 4096, 2048, 1024, 512 or 256.
    pub full_scale_mv: u16,
}

impl Ads1x15 {
    fn rates(&self) -> &'static [u16] {
        if self.bits == 12 { &RATES_12 } else { &RATES_16 }
    }

    /// The slowest, so least noisy, conversion rate with which all inputs fit into a period, by its bits.
    fn rate_bits(&self, rate_hz: f64) -> usize {
        let fits = |rate: &u16| {
            conversion(*rate).as_secs_f64() * self.inputs.len() as f64 * rate_hz <= 0.8
        };
        let rates = self.rates();
        rates.iter().position(fits).unwrap_or(rates.len() - 1)
    }
}

/// How long a conversion takes at most: the rate is right within 10 %, and waking takes 25 µs.
fn conversion(rate: u16) -> Duration {
    Duration::from_secs_f64(1.1 / f64::from(rate)) + Duration::from_micros(30)
}

impl Model for Ads1x15 {
    fn addresses(&self) -> &[u8] {
        &[0x48, 0x49, 0x4a, 0x4b]
    }

    fn channels(&self) -> Vec<Channel> {
        let known = |input: &String| INPUTS.iter().find(|(name, _)| name == input);
        self.inputs
            .iter()
            .filter_map(known)
            .map(|(_, channel)| Channel::new(channel, "V"))
            .collect()
    }

    fn takes(&self) -> Duration {
        let fastest = self.rates().last().copied().unwrap_or(860);
        // Half as long again, for the transfers.
        (conversion(fastest) * self.inputs.len().max(1) as u32).mul_f64(1.5)
    }

    fn stuck_after(&self) -> Option<Duration> {
        // An input at rest may give the same number for hours.
        None
    }

    fn driver(&self, rate_hz: f64) -> Box<dyn Chip> {
        let rate_bits = self.rate_bits(rate_hz);
        let gain = FULL_SCALES_MV.iter().position(|mv| *mv == self.full_scale_mv).unwrap_or(2);
        let mux = |input: &String| INPUTS.iter().position(|(name, _)| name == input);
        Box::new(Driver {
            configs: self
                .inputs
                .iter()
                .filter_map(mux)
                .map(|mux| {
                    (mux as u16) << 12
                        | (gain as u16) << 9
                        | SINGLE_SHOT
                        | (rate_bits as u16) << 5
                        | COMPARATOR_OFF
                })
                .collect(),
            takes: conversion(self.rates()[rate_bits]),
            volts_per_step: f32::from(self.full_scale_mv) / 1000.0 / 32_768.0,
            highest: if self.bits == 12 { 0x7ff0 } else { 0x7fff },
        })
    }

    fn validate(&self) -> Vec<BadSetting> {
        let mut bad = Vec::new();
        let inputs = &self.inputs;
        let known: Vec<&str> = INPUTS.iter().map(|(name, _)| *name).collect();
        if let Some(odd) = inputs.iter().find(|input| !known.contains(&input.as_str())) {
            let why = format!("{odd:?} is none of {}", known.join(", "));
            bad.push(BadSetting { key: "inputs", why });
        } else if inputs.is_empty() || (1..inputs.len()).any(|n| inputs[..n].contains(&inputs[n])) {
            bad.push(BadSetting { key: "inputs", why: "must name at least one, each once".into() });
        }
        if !FULL_SCALES_MV.contains(&self.full_scale_mv) {
            let why = "must be 6.144, 4.096, 2.048, 1.024, 0.512 or 0.256".into();
            bad.push(BadSetting { key: "full_scale", why });
        }
        bad
    }
}

struct Driver {
    /// CONFIG for each input, without [`OS`].
    configs: Vec<u16>,
    takes: Duration,
    volts_per_step: f32,
    highest: i16,
}

fn get(port: &mut dyn Port, register: u8, doing: &'static str) -> Result<u16, SensorError> {
    let mut bytes = [0; 2];
    port.write_read(&[register], &mut bytes, doing)?;
    Ok(u16::from_be_bytes(bytes))
}

impl Driver {
    /// Converts with `config` and gives the result as it stands in the register.
    fn convert(
        &self,
        port: &mut dyn Port,
        wait: &Wait<'_>,
        config: u16,
    ) -> Result<i16, SensorError> {
        let [high, low] = (config | OS).to_be_bytes();
        port.write(&[CONFIG, high, low], "starting a conversion")?;
        let doing = "waiting for the conversion";
        let mut found = 0;
        wait.until(self.takes, self.takes * 4 + Duration::from_millis(5), doing, || {
            found = get(port, CONFIG, doing)?;
            driven(&found.to_be_bytes(), doing)?;
            Ok(found & OS != 0)
        })?;
        if found & !OS != config {
            let why = format!(
                "wrote {config:#06x} to CONFIG, it reads {found:#06x}: another chip, or a supply that dips"
            );
            return Err(fault(doing, why));
        }
        Ok(get(port, CONVERSION, "reading the conversion")? as i16)
    }
}

impl Chip for Driver {
    fn start(&mut self, port: &mut dyn Port, wait: &Wait<'_>) -> Result<(), SensorError> {
        let first = self.configs.first().copied().unwrap_or(0);
        self.convert(port, wait, first).map(drop)
    }

    fn measure(
        &mut self,
        port: &mut dyn Port,
        wait: &Wait<'_>,
        values: &mut [f32],
    ) -> Result<(), SensorError> {
        for (value, config) in values.iter_mut().zip(&self.configs) {
            let raw = self.convert(port, wait, *config)?;
            *value = match raw {
                raw if raw >= self.highest => f32::INFINITY,
                i16::MIN => f32::NEG_INFINITY,
                raw => f32::from(raw) * self.volts_per_step,
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::sensor::Sensor as _;
    use crate::sensor::bus::Place;
    use crate::sensor::polled::bench::{Bench, Words, opened};
    use crate::sensor::polled::{Kind, PolledSettings};
    use crate::sensor::sim::Sim;

    fn ads(inputs: &[&str], full_scale_mv: u16, bits: u8) -> Ads1x15 {
        let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
        Ads1x15 { bits, inputs, full_scale_mv }
    }

    fn settings(chip: Ads1x15, rate_hz: f64) -> PolledSettings {
        PolledSettings { place: Place::i2c("/dev/i2c-1", 0x48), rate_hz, kind: Kind::Ads1x15(chip) }
    }

    /// Gives 1000 steps at A0, 2000 at A1 and so on.
    fn model() -> Words {
        Words::new(&[(CONFIG, 0x8583)], |words, register, _| {
            if register == CONFIG && words[1] & OS != 0 {
                words[0] = match words[1] >> 12 & 0b111 {
                    4 => 1000,
                    5 => 2000,
                    6 => 0x7fff,
                    7 => 0x8000,
                    _ => -1000i16 as u16,
                };
            }
        })
    }

    fn read(chip: Ads1x15) -> Vec<f32> {
        let clock = std::sync::Arc::new(ManualClock::auto());
        let sim = Sim::at(0x48, clock.clone(), model());
        let mut sensor = opened(&sim, &settings(chip, 10.0), clock).unwrap();
        let mut frames = crate::data::Frames::new(sensor.spec().channels.len(), 1);
        assert_eq!(sensor.read(&mut frames), Ok(1));
        frames.values().to_vec()
    }

    #[test]
    fn inputs_come_in_volts_and_a_full_scale_is_out_of_range() {
        // Table 3: one step is 62.5 µV at ±2.048 V, 187.5 µV at ±6.144 V.
        let all = read(ads(&["A0", "A1", "A2", "A3"], 2048, 16));
        assert_eq!(all, [0.0625, 0.125, f32::INFINITY, f32::NEG_INFINITY]);
        assert_eq!(read(ads(&["A0-A1"], 6144, 16)), [-0.1875]);
        assert_eq!(read(ads(&["A1"], 256, 12)), [0.015_625]);
    }

    #[test]
    fn the_slowest_conversion_that_fits_is_taken() {
        let chip = ads(&["A0", "A1"], 2048, 16);
        let chosen = |rate_hz| RATES_16[chip.rate_bits(rate_hz)];
        assert_eq!([chosen(0.1), chosen(1.0), chosen(10.0), chosen(100.0)], [8, 8, 32, 475]);
        assert!(settings(chip.clone(), 200.0).validate().is_empty());
        assert_eq!(settings(chip, 400.0).validate()[0].key, "rate");
    }

    #[test]
    fn what_the_chip_does_not_have_is_refused() {
        let key = |inputs: &[&str], mv| settings(ads(inputs, mv, 16), 1.0).validate()[0].key;
        assert_eq!(key(&["A4"], 2048), "inputs");
        assert_eq!(key(&[], 2048), "inputs");
        assert_eq!(key(&["A0", "A0"], 2048), "inputs");
        assert_eq!(key(&["A0"], 5000), "full_scale");
    }

    #[test]
    fn faults_are_faults_and_never_data() {
        Bench::faults_of(settings(ads(&["A0", "A1"], 2048, 16), 1.0), model);
    }
}
