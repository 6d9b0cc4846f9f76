//! The keys of `[[sensor]]` for GPIO lines.

use super::{Table, optional, required};

pub(in crate::config) const GPIO_IN: Table = Table {
    header: "[[sensor]] with driver = \"gpio\"",
    about: "Lines of a GPIO chip: levels, edges counted, and their rate.",
    keys: &[
        required("chip", "\"/dev/gpiochip0\"", "The chip's device file."),
        required("rate", "\"1 Hz\"", "Frames a second, up to 1 kHz."),
        required("line", "[[sensor.line]]", "A table for each line, see below."),
    ],
    later: &[],
};

pub(in crate::config) const GPIO_LINE: Table = Table {
    header: "[[sensor.line]]",
    about: "One line, which is one channel.",
    keys: &[
        required("name", "\"flow\"", "The channel's name, as a recipe has it."),
        required("line", "17", "The line's number on that chip, or its name, as in `\"GPIO17\"`."),
        optional(
            "measure",
            "\"rate\"",
            "`\"level\"`",
            "`\"level\"`: 1 or 0; `\"count\"`: edges since the frame before; `\"rate\"`: edges a second (Hz), by their times.",
        ),
        optional(
            "edge",
            "\"both\"",
            "`\"rising\"`",
            "Which edges count, after `active_low`: `\"rising\"`, `\"falling\"` or `\"both\"`.",
        ),
        optional(
            "bias",
            "\"pull-up\"",
            "`\"as-is\"`",
            "The chip's own resistor: `\"as-is\"`, `\"off\"`, `\"pull-up\"`, `\"pull-down\"`; Linux 5.5 and newer.",
        ),
        optional("active_low", "true", "`false`", "Whether a low wire is 1."),
        optional(
            "debounce",
            "\"5 ms\"",
            "`\"0 s\"`",
            "A level counts once it has stayed for this long, 1 s at most.",
        ),
    ],
    later: &[],
};
