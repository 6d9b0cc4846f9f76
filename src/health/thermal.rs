//! How hot the board is, and whether heat or its power supply holds it back.

use std::path::PathBuf;

use super::kernel::Kernel;

/// Above this a board ages and throttles, where its zone names no critical temperature of its own.
const HOT_C: f64 = 85.0;
/// A zone is too hot this far below the temperature at which the kernel switches the machine off.
const BELOW_CRITICAL_C: f64 = 10.0;

/// A thermal zone of the kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// The kernel's name for it, as in `cpu-thermal`.
    pub name: String,
    /// Its temperature.
    pub celsius: f64,
    /// From here on it is too hot.
    pub limit: f64,
}

/// What holds the processor back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Cooling devices that slow something down at present, by their type, each once; fans do not.
    pub devices: Vec<String>,
    /// The highest frequency allowed, in percent of what the processor has: of the policy that is held back most.
    pub frequency_cap_percent: Option<u8>,
    /// The firmware's bits, on a Raspberry Pi.
    pub firmware: Option<Firmware>,
    /// Whether the power supply gives too little, or did since the reading before, where the board watches it.
    pub under_voltage: Option<bool>,
}

impl Throttling {
    /// Whether something runs slower than it could because of heat or power.
    pub fn now(&self) -> bool {
        !self.devices.is_empty() || self.firmware.is_some_and(|bits| bits.throttled())
    }
}

/// `get_throttled` of a Raspberry Pi's firmware. Source: Raspberry Pi documentation, `vcgencmd get_throttled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firmware(u32);

impl Firmware {
    const UNDER_VOLTAGE: u32 = 1 << 0;
    const FREQUENCY_CAPPED: u32 = 1 << 1;
    const THROTTLED: u32 = 1 << 2;
    const SOFT_TEMPERATURE_LIMIT: u32 = 1 << 3;
    const UNDER_VOLTAGE_SEEN: u32 = 1 << 16;

    fn throttled(self) -> bool {
        self.0 & (Self::FREQUENCY_CAPPED | Self::THROTTLED | Self::SOFT_TEMPERATURE_LIMIT) != 0
    }

    fn under_voltage(self) -> bool {
        self.0 & Self::UNDER_VOLTAGE != 0
    }

    /// At some moment since the board's start.
    fn under_voltage_seen(self) -> bool {
        self.0 & Self::UNDER_VOLTAGE_SEEN != 0
    }
}

/// A zone as it was found at the start: its name and limit do not change, and reading them is most of the work.
#[derive(Clone, Debug)]
pub(super) struct Found {
    temp: PathBuf,
    name: String,
    limit: f64,
}

/// Every thermal zone of the kernel.
pub(super) fn find(kernel: &Kernel) -> Vec<Found> {
    let zones = kernel.folders("sys/class/thermal", "thermal_zone").into_iter();
    let found = zones.filter_map(|folder| {
        let file_name = folder.file_name()?.to_string_lossy().into_owned();
        let name = kernel.text(folder.join("type")).unwrap_or(file_name);
        // Points are numbered without gaps.
        let points = (0..12).map_while(|point| {
            let of = |what| folder.join(format!("trip_point_{point}_{what}"));
            Some((kernel.text(of("type"))?, kernel.number::<i32>(of("temp"))))
        });
        let critical = points.filter(|(kind, _)| kind == "critical").find_map(|(_, milli)| milli);
        let limit = match critical {
            // Others are placeholders.
            Some(milli @ 50_000..=150_000) => {
                HOT_C.min(f64::from(milli) / 1000.0 - BELOW_CRITICAL_C)
            }
            _ => HOT_C,
        };
        Some(Found { temp: folder.join("temp"), name, limit })
    });
    found.collect()
}

/// Those of `found` that tell a plausible temperature at present.
pub(super) fn read(kernel: &Kernel, found: &[Found]) -> Vec<Zone> {
    let zones = found.iter().filter_map(|Found { temp, name, limit }| {
        let milli: i32 = kernel.number(temp)?;
        // Zones that are switched off answer with absurd values on several boards.
        let plausible = (-40_000..=200_000).contains(&milli);
        let celsius = f64::from(milli) / 1000.0;
        plausible.then(|| Zone { name: name.clone(), celsius, limit: *limit })
    });
    zones.collect()
}

/// What holds the processor back at present; `before` are the firmware's bits at the reading before.
pub(super) fn throttling(kernel: &Kernel, before: Option<Firmware>) -> Throttling {
    let firmware = kernel.text("sys/devices/platform/soc/soc:firmware/get_throttled");
    let firmware = firmware
        .and_then(|bits| u32::from_str_radix(bits.trim_start_matches("0x"), 16).ok().map(Firmware));
    let alarm = kernel.folders("sys/class/hwmon", "hwmon").into_iter().find_map(|folder| {
        let is_supply = kernel.text(folder.join("name"))? == "rpi_volt";
        is_supply.then(|| kernel.number::<u8>(folder.join("in0_lcrit_alarm")))?.map(|bit| bit != 0)
    });
    // It is short, and falls between two readings as a rule: the firmware remembers it until the next start.
    let seen_before = before.is_some_and(Firmware::under_voltage_seen);
    let bit = firmware.map(|now| now.under_voltage() || now.under_voltage_seen() && !seen_before);
    let under_voltage = match (alarm, bit) {
        (None, None) => None,
        (alarm, bit) => Some(alarm == Some(true) || bit == Some(true)),
    };
    Throttling {
        devices: devices(kernel),
        frequency_cap_percent: frequency_cap(kernel),
        firmware,
        under_voltage,
    }
}

fn devices(kernel: &Kernel) -> Vec<String> {
    /// Of what slows processors and graphics down; the others are fans, lamps and radios.
    const SLOWING: [&str; 6] = ["cpufreq", "devfreq", "Processor", "cpu-", "gpu-", "throttle"];
    let mut acting = Vec::new();
    for folder in kernel.folders("sys/class/thermal", "cooling_device") {
        let Some(kind) = kernel.text(folder.join("type")) else { continue };
        let slows = SLOWING.iter().any(|part| kind.contains(part)) && !kind.contains("fan");
        let acts = slows && kernel.number::<i64>(folder.join("cur_state")).is_some_and(|s| s > 0);
        if acts && !acting.contains(&kind) {
            acting.push(kind);
        }
    }
    acting
}

fn frequency_cap(kernel: &Kernel) -> Option<u8> {
    let policies = kernel.folders("sys/devices/system/cpu/cpufreq", "policy");
    let caps = policies.into_iter().filter_map(|folder| {
        let highest: u64 = kernel.number(folder.join("cpuinfo_max_freq")).filter(|hz| *hz > 0)?;
        let allowed: u64 = kernel.number(folder.join("scaling_max_freq"))?;
        u8::try_from(allowed.min(highest).checked_mul(100)? / highest).ok()
    });
    caps.min()
}

#[cfg(test)]
mod tests {
    use super::super::kernel::fake::tree;
    use super::*;

    fn zones(kernel: &Kernel) -> Vec<Zone> {
        read(kernel, &find(kernel))
    }

    #[test]
    fn zones_have_their_names_and_only_plausible_temperatures() {
        let (_root, kernel) = tree(&[
            ("sys/class/thermal/thermal_zone0/temp", "41500\n"),
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone1/temp", "-273000"),
            ("sys/class/thermal/thermal_zone2/temp", "39000"),
            ("sys/class/thermal/thermal_zone3/temp", "warm"),
            ("sys/class/thermal/thermal_zone4/type", "GPU-therm"),
            ("sys/class/thermal/cooling_device0/temp", "99000"),
        ]);
        let zone = |name: &str, celsius| Zone { name: name.to_owned(), celsius, limit: 85.0 };
        assert_eq!(zones(&kernel), [zone("cpu-thermal", 41.5), zone("thermal_zone2", 39.0)]);
        let (_root, nothing) = tree(&[]);
        assert!(zones(&nothing).is_empty());
        assert_eq!(throttling(&nothing, None), Throttling::default());
    }

    #[test]
    fn a_zone_is_too_hot_well_before_the_kernel_switches_off() {
        for (critical, limit) in
            [("90000", 80.0), ("110000", 85.0), ("0", 85.0), ("-1", 85.0), ("?", 85.0)]
        {
            let zone = "sys/class/thermal/thermal_zone0";
            let file = |name: &str| format!("{zone}/{name}");
            let (temp, passive, of, kind, at) = (
                file("temp"),
                file("trip_point_0_type"),
                file("trip_point_0_temp"),
                file("trip_point_1_type"),
                file("trip_point_1_temp"),
            );
            let (_root, kernel) = tree(&[
                (&temp, "50000"),
                (&passive, "passive"),
                (&of, "70000"),
                (&kind, "critical"),
                (&at, critical),
            ]);
            assert_eq!(zones(&kernel)[0].limit, limit, "{critical}");
        }
    }

    #[test]
    fn what_slows_the_processor_down_is_named_and_a_fan_does_not() {
        let (_root, kernel) = tree(&[
            ("sys/class/thermal/cooling_device0/type", "thermal-cpufreq-0"),
            ("sys/class/thermal/cooling_device0/cur_state", "2"),
            ("sys/class/thermal/cooling_device1/type", "pwm-fan"),
            ("sys/class/thermal/cooling_device1/cur_state", "3"),
            ("sys/class/thermal/cooling_device2/type", "cpufreq-cpu4"),
            ("sys/class/thermal/cooling_device2/cur_state", "0"),
            ("sys/class/thermal/cooling_device3/type", "gpu-balanced"),
            ("sys/class/thermal/cooling_device3/cur_state", "-1"),
            ("sys/class/thermal/cooling_device4/type", "Processor"),
            ("sys/class/thermal/cooling_device4/cur_state", "1"),
            ("sys/class/thermal/cooling_device5/type", "Processor"),
            ("sys/class/thermal/cooling_device5/cur_state", "1"),
            ("sys/class/thermal/cooling_device6/cur_state", "1"),
            ("sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "1800000"),
            ("sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq", "1350000"),
            ("sys/devices/system/cpu/cpufreq/policy4/cpuinfo_max_freq", "0"),
            ("sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq", "7"),
        ]);
        let found = throttling(&kernel, None);
        assert_eq!(found.devices, ["thermal-cpufreq-0", "Processor"]);
        assert_eq!(found.frequency_cap_percent, Some(75));
        assert_eq!((found.now(), found.under_voltage), (true, None));
    }

    #[test]
    fn a_raspberry_pi_tells_of_its_power_supply() {
        const BITS: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";
        for (bits, throttled, weak, again) in [
            ("0\n", false, false, false),
            ("50005", true, true, true),
            // Only in the past, which is told once.
            ("0x50000", false, true, false),
            ("8", true, false, false),
        ] {
            let (_root, kernel) = tree(&[(BITS, bits)]);
            let found = throttling(&kernel, None);
            assert_eq!((found.now(), found.under_voltage), (throttled, Some(weak)), "{bits}");
            let next = throttling(&kernel, found.firmware);
            assert_eq!((next.now(), next.under_voltage), (throttled, Some(again)), "{bits}");
        }
        let (_root, malformed) = tree(&[(BITS, "throttled=0x0")]);
        assert_eq!(throttling(&malformed, None), Throttling::default());
        let (_root, mainline) = tree(&[
            ("sys/class/hwmon/hwmon0/name", "cpu_thermal"),
            ("sys/class/hwmon/hwmon1/name", "rpi_volt"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
        ]);
        assert_eq!(throttling(&mainline, None).under_voltage, Some(true));
    }
}
