//! Which board this is, and what its maker says about its header. None of it was tried on the board itself.

use crate::health::Kernel;

/// A board that is known by its device tree.
#[derive(Debug, PartialEq, Eq)]
pub struct Board {
    /// As `--board` takes it.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Words of which one is in its device tree's `compatible`, most particular boards first in [`BOARDS`].
    compatible: &'static [&'static str],
    /// The I²C bus on pins 3 and 5 of the 40-pin header.
    pub bus: &'static str,
    /// Where that bus is written down.
    pub source: &'static str,
    /// What else a person should know, a line each.
    pub notes: &'static [&'static str],
}

const JETSON: &[&str] = &[
    "the group i2c owns the buses; edgerun's user must be in it (the package does that)",
    "health reads all thermal zones: CPU-therm, GPU-therm and so on; tegrastats shows the same",
];
const JETSON_DOCS: &str = "https://docs.nvidia.com/jetson/archives/r35.4.1/DeveloperGuide/text/HR/ConfiguringTheJetsonExpansionHeaders.html \
                           (which pins; the bus's number is what `i2cdetect -l` shows)";
const PI: &[&str] = &[
    "the bus is off at first: dtparam=i2c_arm=on in config.txt, or raspi-config",
    "the group i2c owns the buses; edgerun's user must be in it (the package does that)",
    "health reads the one thermal zone, cpu-thermal, and under-voltage from the firmware's hwmon",
];
const PI_DOCS: &str = "https://www.raspberrypi.com/documentation/computers/configuration.html#i2c";
const CORAL: &[&str] = &[
    "the group i2c owns the buses, the group apex the Edge TPU (which edgerun does not use yet)",
    "the header's pins are 3.3 V only",
];

/// Every board that is known.
pub const BOARDS: &[Board] = &[
    Board {
        name: "jetson-nano",
        title: "NVIDIA Jetson Nano",
        compatible: &["nvidia,jetson-nano", "nvidia,tegra210"],
        bus: "/dev/i2c-1",
        source: "Jetson Nano Developer Kit User Guide, expansion header J41 (I2C_2 on pins 3 and 5 is bus 1)",
        notes: JETSON,
    },
    Board {
        name: "jetson-xavier",
        title: "NVIDIA Jetson Xavier (NX, AGX)",
        compatible: &["nvidia,tegra194"],
        bus: "/dev/i2c-8",
        source: JETSON_DOCS,
        notes: JETSON,
    },
    Board {
        name: "jetson-orin",
        title: "NVIDIA Jetson Orin (Nano, NX, AGX)",
        compatible: &["nvidia,tegra234"],
        bus: "/dev/i2c-7",
        source: JETSON_DOCS,
        notes: JETSON,
    },
    Board {
        name: "coral-dev-board",
        title: "Coral Dev Board",
        compatible: &["google,imx8mq-phanbell", "imx8mq-phanbell"],
        bus: "/dev/i2c-1",
        source: "https://coral.ai/docs/dev-board/gpio",
        notes: CORAL,
    },
    Board {
        name: "coral-dev-board-mini",
        title: "Coral Dev Board Mini",
        compatible: &["mt8167"],
        bus: "/dev/i2c-3",
        source: "https://www.coral.ai/docs/dev-board-mini/gpio/",
        notes: CORAL,
    },
    Board {
        name: "raspberry-pi-4",
        title: "Raspberry Pi 4",
        compatible: &["brcm,bcm2711"],
        bus: "/dev/i2c-1",
        source: PI_DOCS,
        notes: PI,
    },
    Board {
        name: "raspberry-pi-5",
        title: "Raspberry Pi 5",
        compatible: &["brcm,bcm2712"],
        bus: "/dev/i2c-1",
        source: PI_DOCS,
        notes: PI,
    },
    Board {
        name: "generic",
        title: "a board that edgerun does not know",
        compatible: &[],
        bus: "/dev/i2c-1",
        source: "a guess: `i2cdetect -l` shows the buses",
        notes: &["edgerun's user must be in the group that owns the bus, usually i2c"],
    },
];

impl Board {
    /// The board called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        BOARDS.iter().find(|board| board.name == name)
    }

    /// This machine's, by its device tree; `generic` where that says nothing known.
    pub fn detect(kernel: &Kernel) -> &'static Self {
        let of = |file: &str| {
            let text = kernel.text(format!("proc/device-tree/{file}"));
            // What `/proc/device-tree` leads to, for kernels that do not mount it there.
            text.or_else(|| kernel.text(format!("sys/firmware/devicetree/base/{file}")))
        };
        let compatible = of("compatible").unwrap_or_default().to_ascii_lowercase();
        let words: Vec<&str> = compatible.split('\0').collect();
        let known = |board: &&Self| {
            board.compatible.iter().any(|part| words.iter().any(|word| word.contains(part)))
        };
        BOARDS.iter().find(known).unwrap_or(&BOARDS[BOARDS.len() - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::kernel::fake;

    #[test]
    fn boards_are_known_by_their_device_tree() {
        // As the makers' kernels have them.
        for (compatible, name) in [
            (
                "nvidia,p3449-0000-b00+p3448-0000-b00\0nvidia,jetson-nano\0nvidia,tegra210\0",
                "jetson-nano",
            ),
            (
                "nvidia,p3449-0000+p3668-0001\0nvidia,p3509-0000+p3668-0001\0nvidia,tegra194\0",
                "jetson-xavier",
            ),
            ("nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0", "jetson-orin"),
            ("google,imx8mq-phanbell\0fsl,imx8mq\0", "coral-dev-board"),
            ("mediatek,mt8167-coral\0mediatek,mt8167\0", "coral-dev-board-mini"),
            ("raspberrypi,4-model-b\0brcm,bcm2711\0", "raspberry-pi-4"),
            ("raspberrypi,5-model-b\0brcm,bcm2712\0", "raspberry-pi-5"),
            ("raspberrypi,3-model-b\0brcm,bcm2837\0", "generic"),
        ] {
            for file in ["proc/device-tree/compatible", "sys/firmware/devicetree/base/compatible"] {
                let (_root, kernel) = fake::tree(&[(file, compatible)]);
                assert_eq!(Board::detect(&kernel).name, name, "{compatible:?}");
            }
        }
        let (_root, kernel) = fake::tree(&[]);
        assert_eq!(Board::detect(&kernel).name, "generic");
    }

    #[test]
    fn every_board_has_a_name_of_its_own() {
        for board in BOARDS {
            assert_eq!(Board::named(board.name), Some(board));
        }
        assert_eq!(Board::named("toaster"), None);
    }
}
